/* SPDX-License-Identifier: Apache-2.0 */
/* events.c - GET /events: replay, then what happens, through filters. */
#include "engine/events.h"

#include "api/system.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "engine/engine.h"
#include "engine/filters.h"

#include <limits.h>
#include <poll.h>

struct window {
    int64_t since, until; /* ns; 0: open */
    struct dray_filters filters;
};

/* "exec_create: sh" passes as "exec_create" too, "health_status: healthy" as "health_status". */
static bool action_passes(const struct dray_filters *f, const char *action)
{
    if (dray_filters_exact(f, "event", action))
        return true;
    size_t n = strcspn(action, ":");
    const char *want = NULL;
    for (size_t i = 0; (want = dray_filters_get(f, "event", i)) != NULL; i++)
        if (action[n] && strlen(want) == n && strncmp(want, action, n) == 0)
            return true;
    return false;
}

static bool object_passes(const struct dray_filters *f, struct json_object *ev)
{
    static const char *const kinds[] = {"container", "plugin",  "volume", "network", "daemon",
                                        "node",      "service", "secret", "config"};
    const char *id = dray_json_str(ev, "Actor.ID", "");
    const char *name = dray_json_str(ev, "Actor.Attributes.name", "");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!dray_filters_prefix(f, kinds[i], id) && !dray_filters_prefix(f, kinds[i], name))
            return false;
    return true;
}

/* By id, by name, or by name without its tag; of a container's events, by its image. */
static bool image_passes(const struct dray_filters *f, struct json_object *ev)
{
    if (!dray_filters_has(f, "image"))
        return true;
    bool image = strcmp(dray_json_str(ev, "Type", ""), "image") == 0;
    const char *name =
        dray_json_str(ev, image ? "Actor.Attributes.name" : "Actor.Attributes.image", "");
    if (image && dray_filters_exact(f, "image", dray_json_str(ev, "Actor.ID", "")))
        return true;
    if (*name && dray_filters_exact(f, "image", name))
        return true;
    const char *slash = strrchr(name, '/');
    const char *colon = strrchr(name, ':');
    if (!colon || (slash && colon < slash))
        return false;
    dray_autofree char *bare = strndup(name, (size_t)(colon - name));
    return bare && dray_filters_exact(f, "image", bare);
}

static bool passes(const struct window *w, struct json_object *ev)
{
    const struct dray_filters *f = &w->filters;
    return dray_json_int(ev, "timeNano", 0) >= w->since &&
           action_passes(f, dray_json_str(ev, "Action", "")) &&
           dray_filters_exact(f, "type", dray_json_str(ev, "Type", "")) &&
           dray_filters_exact(f, "scope", dray_json_str(ev, "scope", "local")) &&
           object_passes(f, ev) && image_passes(f, ev) &&
           dray_filters_labels(f, dray_json_obj(ev, "Actor.Attributes"));
}

/* Milliseconds to `until`, -1 for ever. */
static int time_left(const struct window *w)
{
    if (!w->until)
        return -1;
    int64_t left = w->until - dray_clock_now();
    return left <= 0 ? 0 : left / 1000000 >= INT_MAX - 1 ? INT_MAX : (int)(left / 1000000 + 1);
}

/* Send all that is there. 1: an event past the end was seen. */
static int drain(struct dray_http *h, struct dray_event_reader *r, const struct window *w)
{
    struct json_object *next = NULL;
    int rc = 0;
    while (!rc && (rc = dray_events_next(r, 1, &next)) == 0) {
        dray_autojson *ev = next;
        if (w->until && dray_json_int(ev, "timeNano", 0) > w->until)
            return 1;
        if (passes(w, ev))
            rc = dray_http_write_json(h, json_object_get(ev));
    }
    return rc == DRAY_E_TIMEOUT ? 0 : rc;
}

static int follow(struct dray_http *h, struct dray_event_reader *r, const struct window *w)
{
    struct pollfd p[2] = {{.fd = dray_events_fd(r), .events = POLLIN},
                          {.fd = dray_http_cancel_fd(h), .events = POLLIN}};
    for (;;) {
        int rc = drain(h, r, w);
        if (rc)
            return rc == 1 || rc == DRAY_E_CANCELED ? 0 : rc;
        int left = time_left(w);
        int n = left == 0 ? 0 : poll(p, 2, left);
        if ((n < 0 && errno != EINTR) || n == 0)
            return drain(h, r, w) < 0 ? DRAY_E_CANCELED : 0;
        if (p[1].revents)
            return 0;
    }
}

static int parse_window(struct dray_http *h, struct window *w, struct dray_err *err)
{
    static const char *const allowed[] = {"config", "container", "daemon", "event",  "image",
                                          "label",  "network",   "node",   "plugin", "scope",
                                          "secret", "service",   "type",   "volume", NULL};
    const char *names[] = {"since", "until"};
    int64_t *slots[] = {&w->since, &w->until};
    for (size_t i = 0; i < 2; i++) {
        const char *text = dray_http_query(h, names[i]);
        if (text && *text && !dray_time_parse_when(text, dray_clock_now(), slots[i]))
            return dray_fail(err, DRAY_E_INVAL, "invalid value for \"%s\": %s", names[i], text);
    }
    if (w->until && w->since > w->until)
        return dray_fail(
            err, DRAY_E_INVAL, "`since` time (%lld) cannot be after `until` time (%lld)",
            (long long)(w->since / DRAY_NS_PER_S), (long long)(w->until / DRAY_NS_PER_S));
    return dray_filters_parse(dray_http_query(h, "filters"), allowed, &w->filters, err);
}

int dray_api_events(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct window w = {0};
    struct dray_event_reader *r = NULL;
    int rc = parse_window(h, &w, err);
    bool history = dray_http_query(h, "since") || w.until;
    if (!rc)
        rc = dray_events_subscribe(e->events, history ? (w.since > 0 ? w.since : 1) : 0, &r, err);
    if (!rc)
        rc = dray_http_stream(h, 200, "application/json", err);
    if (!rc)
        rc = follow(h, r, &w);
    dray_events_unsubscribe(r);
    dray_filters_free(&w.filters);
    return rc;
}
