/* SPDX-License-Identifier: Apache-2.0 */
/* reload.c - new options for instances that are open. */
#define DRAY_LOG_AREA "plugin"
#include "plugin/isolate.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/logging.h"

#include <stdatomic.h>

#define RELOAD_NS (5 * (uint64_t)DRAY_NS_PER_S) /* how long a reload may take, its turn included   \
                                                 */

/* New options of one instance, to be taken over when those of all are in order. */
struct change {
    struct dray_instance *in;
    struct dray_options *options;
    const char *json; /* the same, for an isolated one; the config's */
    bool fixed;       /* not to be taken over: something else changed that cannot */
};

static bool can_reload(struct dray_instance *in)
{
    return dray_instance_is_open(in) && (in->n_drivers || dray_instance_is_family(in)) &&
           !in->parent && in->file && atomic_load(&in->options);
}

static const char *label_of(const struct dray_instance *in)
{
    return in->n_drivers ? in->drivers[0].label : in->name;
}

static struct dray_instance *find_instance(struct dray_drivers *r,
                                           const struct dray_plugin_config *c)
{
    struct dray_plugin_file *f = c->path || c->plugin ? NULL : dray_files_find(r, c->name, NULL);
    const char *name = f ? f->card.name : c->name;
    for (struct dray_instance *in = r->instances; in; in = in->next)
        if (can_reload(in) && strcmp(in->name, name) == 0 &&
            (!f || in->file == f || !in->file->listed))
            return in;
    return NULL;
}

/* options NULL: all are the defaults. */
static int plan(struct dray_instance *in, struct json_object *options, struct change *out,
                struct dray_err *err)
{
    const struct dray_plugin *desc = in->desc ? in->desc : &in->file->desc;
    int rc = dray_options_parse(desc->options, desc->n_options, options, &out->options, err);
    if (rc)
        return err ? dray_err_note(err, "plugin %s", label_of(in)) : rc;
    out->json = options ? dray_json_text(options) : "{}";
    const char *fixed = dray_options_fixed_change(atomic_load(&in->options), out->options);
    if (!fixed)
        return 0;
    dray_warn(
        "plugin %s: option \"%s\" cannot be changed while it runs: its options stay as they are "
        "until the daemon is restarted",
        label_of(in), fixed);
    out->fixed = true;
    return 0;
}

/* The driver whose turn keeps the calls of the others away as well: a serial one, if there is one.
 */
static struct dray_driver *strictest(const struct dray_instance *in)
{
    for (size_t i = 0; i < in->n_drivers; i++)
        if (in->drivers[i].threading == DRAY_THREAD_SERIAL)
            return &in->drivers[i];
    return &in->drivers[0];
}

/* reload() has its turn like a call that names no object, but does not wait long for it. */
static int call_reload(struct dray_instance *in, struct dray_err *err)
{
    struct dray_call_scope s = {0};
    dray_call_deadline(&s, dray_mono_ns() + RELOAD_NS);
    int rc = dray_call_enter(&s, strictest(in), DRAY_CLASS_QUICK, -1, err);
    if (!rc)
        rc = dray_call_result(&s, in->desc->reload(in->self, err), "reload", err);
    dray_call_leave(&s);
    return rc;
}

/* Also when no option has another value: files that they name may have changed, and an earlier
 * reload may have failed. */
static void tell(struct dray_instance *in, bool changed)
{
    struct dray_err err = {0};
    if (in->n_drivers && in->desc->reload && call_reload(in, &err))
        dray_error("%s: reload: %s", label_of(in), err.text);
    else if (changed)
        dray_info("%s: options reloaded", label_of(in));
}

static void tell_all(struct dray_instance *in, bool changed)
{
    tell(in, changed);
    for (struct dray_instance *child = in->registry->instances; child; child = child->next)
        if (child->parent == in)
            tell(child, changed);
}

static void apply(struct change *ch)
{
    struct dray_instance *in = ch->in;
    bool changed = !dray_options_equal(atomic_load(&in->options), ch->options);
    if (changed) {
        dray_options_replace(&in->options, dray_steal(ch->options));
        if (in->isolate && ch->json && dray_isolate_set_options(in->isolate, ch->json))
            dray_error("%s: reload: out of memory", label_of(in));
    }
    tell_all(in, changed);
}

static bool planned(const struct change *changes, size_t n, const struct dray_instance *in)
{
    for (size_t i = 0; i < n; i++)
        if (changes[i].in == in)
            return true;
    return false;
}

static size_t count_instances(const struct dray_drivers *r)
{
    size_t n = 0;
    for (const struct dray_instance *in = r->instances; in; in = in->next)
        n++;
    return n;
}

int dray_drivers_reload(struct dray_drivers *r, const struct dray_plugin_config *plugins,
                        size_t n_plugins, struct dray_err *err)
{
    /* Loading and dropping plugins needs a restart: entries without an instance are passed over,
     * instances without an entry have their defaults. */
    size_t n = 0;
    dray_autofree struct change *changes =
        calloc(n_plugins + count_instances(r) + 1, sizeof *changes);
    if (!changes)
        return dray_fail(err, DRAY_E_NOMEM, "reload plugins: out of memory");
    int rc = 0;
    for (size_t i = 0; !rc && i < n_plugins; i++) {
        changes[n].in = find_instance(r, &plugins[i]);
        if (changes[n].in)
            rc = plan(changes[n].in, plugins[i].options, &changes[n], err);
        n += changes[n].in != NULL;
    }
    size_t named = n;
    for (struct dray_instance *in = r->instances; !rc && in; in = in->next) {
        if (!can_reload(in) || planned(changes, named, in))
            continue;
        changes[n].in = in;
        rc = plan(in, NULL, &changes[n++], err);
    }
    for (size_t i = 0; i < n; i++) {
        if (!rc && !changes[i].fixed)
            apply(&changes[i]);
        dray_options_free(changes[i].options);
    }
    return rc;
}
