/* SPDX-License-Identifier: Apache-2.0 */
/* container_events.c - events about containers, with the attributes that Docker puts there. */
#include "base/json.h"
#include "engine/container/container.h"
#include "engine/events.h"

#include <stdarg.h>

void dray_container_event(struct dray_container *c, const char *action, ...)
{
    struct json_object *attrs = json_object_new_object();
    if (!attrs)
        return;
    json_object_object_foreach(c->labels, key, value)
        dray_json_add_str(attrs, key, json_object_get_string(value));
    pthread_mutex_lock(&c->lock);
    dray_json_add_str(attrs, "image", c->image);
    dray_json_add_str(attrs, "name", c->name);
    pthread_mutex_unlock(&c->lock);
    va_list ap;
    va_start(ap, action);
    for (const char *k; (k = va_arg(ap, const char *)) != NULL;) {
        const char *v = va_arg(ap, const char *);
        dray_json_add_str(attrs, k, v);
    }
    va_end(ap);
    dray_events_emit(c->set->engine->events, "container", action, c->id, attrs);
}
