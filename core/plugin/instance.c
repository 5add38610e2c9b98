/* SPDX-License-Identifier: Apache-2.0 */
/* instance.c - the opening and closing of one instance of a plugin. */
#define DRAY_LOG_AREA "plugin"
#include "plugin/isolate.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/logging.h"

#include <stdatomic.h>

#define OPEN_NS (30 * (uint64_t)DRAY_NS_PER_S)
#define CLAIM_NS (10 * (uint64_t)DRAY_NS_PER_S) /* somebody waits for this one */

static const char *instance_label(const struct dray_instance *in)
{
    return in->n_drivers ? in->drivers[0].label : in->name;
}

void dray_instance_event(struct dray_instance *in, const char *action)
{
    const struct dray_drivers_config *c = &in->registry->config;
    if (c->on_event)
        c->on_event(c->ctx, instance_label(in), action);
}

static int adopt_iface(struct dray_instance *in, struct dray_driver *d,
                       const struct dray_iface *iface)
{
    const struct dray_kind_info *info = dray_kind_info(iface->kind);
    d->instance = in;
    d->kind = iface->kind;
    d->threading = iface->threading;
    (void)snprintf(d->label, sizeof d->label, "%s/%s", info->name, in->name);
    d->ops = calloc(1, info->size);
    if (!d->ops)
        return dray_fail(&in->refusal, DRAY_E_NOMEM, "out of memory");
    d->offered = dray_kind_offered(info, iface->ops);
    const char *missing = NULL;
    int rc = dray_kind_adopt(info, iface->ops, d->ops, &missing);
    if (rc)
        return dray_fail(&in->refusal, rc,
                         "it lacks the mandatory %s operation %s(); every %s driver must have it; "
                         "set .%s in its struct dray_%s_ops",
                         info->name, missing, info->name, missing, info->name);
    return 0;
}

static int adopt_ifaces(struct dray_instance *in)
{
    const struct dray_plugin *desc = in->desc;
    in->drivers = calloc(desc->n_ifaces, sizeof *in->drivers);
    if (!in->drivers)
        return dray_fail(&in->refusal, DRAY_E_NOMEM, "out of memory");
    for (uint64_t i = 0; i < desc->n_ifaces; i++) {
        if (in->parent && desc->ifaces[i].kind != in->claim_kind)
            continue;
        struct dray_driver *d = &in->drivers[in->n_drivers++];
        int rc = adopt_iface(in, d, &desc->ifaces[i]);
        if (rc)
            return rc;
    }
    return 0;
}

/* The plugin's own words, put into the frame of a refusal. */
static int refuse_answer(struct dray_instance *in, const char *what, int rc,
                         const struct dray_err *said, const char *advice)
{
    struct dray_err err = *said;
    if (rc > 0 || rc < -64)
        rc = DRAY_E_INTERNAL;
    return dray_fail(&in->refusal, rc, "%s: %.300s; %s", what,
                     err.code && err.text[0] ? err.text : "the plugin did not say why", advice);
}

/* probe() and open() of one instance, perhaps in a thread that outlives the wait for it. */
struct opening {
    struct dray_instance *in;
    pthread_mutex_t lock; /* guards what follows. order: alone */
    pthread_cond_t done;
    int rc;
    struct dray_err said;
    struct dray_self *self;
    bool probed, ended, abandoned;
};

static void run_opening(struct opening *o)
{
    const struct dray_plugin *desc = o->in->desc;
    struct dray_err said = {0};
    struct dray_self *self = NULL;
    int rc = 0;
    if (o->in->parent)
        rc = desc->claim(&o->in->parent->host, o->in->claim_kind, o->in->name, &said);
    else if (desc->probe)
        rc = desc->probe(&o->in->host, &said);
    bool probed = rc == 0;
    if (probed)
        rc = desc->open(&o->in->host, o->in->name, &self, &said);
    pthread_mutex_lock(&o->lock);
    o->rc = rc;
    o->said = said;
    o->self = self;
    o->probed = probed;
    o->ended = true;
    pthread_cond_signal(&o->done);
    pthread_mutex_unlock(&o->lock);
}

static struct opening *new_opening(struct dray_instance *in)
{
    struct opening *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->in = in;
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->done, NULL);
    return o;
}

static void free_opening(struct opening *o)
{
    pthread_mutex_destroy(&o->lock);
    pthread_cond_destroy(&o->done);
    free(o);
}

/* Nobody waits any more: what came too late is closed again. */
static void drop_opening(struct opening *o)
{
    struct dray_instance *in = o->in;
    if (o->rc == 0)
        in->desc->close(o->self);
    free_opening(o);
    pthread_mutex_lock(&in->lock);
    in->stuck = false; /* the last touch: now it may be freed */
    pthread_mutex_unlock(&in->lock);
}

static void *opening_thread(void *arg)
{
    struct opening *o = arg;
    run_opening(o);
    pthread_mutex_lock(&o->lock);
    bool abandoned = o->abandoned;
    pthread_mutex_unlock(&o->lock);
    if (abandoned)
        drop_opening(o);
    return NULL;
}

/* True when it has ended in time. Otherwise the thread owns o, and the instance is stuck. */
static bool wait_opening(struct opening *o, uint64_t ns)
{
    struct dray_instance *in = o->in;
    uint64_t end = dray_mono_ns() + ns;
    const struct timespec until = {
        .tv_sec = (time_t)(end / DRAY_NS_PER_S),
        .tv_nsec = (long)(end % DRAY_NS_PER_S),
    };
    int rc = 0;
    pthread_mutex_lock(&o->lock);
    while (!o->ended && rc == 0)
        rc = pthread_cond_clockwait(&o->done, &o->lock, CLOCK_MONOTONIC, &until);
    bool ended = o->ended;
    o->abandoned = !ended;
    in->stuck = !ended;
    pthread_mutex_unlock(&o->lock);
    return ended;
}

static int take_answer(struct dray_instance *in, const struct opening *o)
{
    in->unfit = !o->probed;
    in->self = o->rc ? NULL : o->self;
    if (!o->rc)
        return 0;
    if (in->parent && o->said.code == o->rc && o->said.text[0]) {
        in->refusal = o->said;
        return o->rc;
    }
    return refuse_answer(in, o->probed ? "its start failed" : "it cannot work on this machine",
                         o->rc, &o->said, "mend that, or disable the plugin in the configuration");
}

/* A plugin that hangs here must not hang whoever starts it. A host without a watchdog has no
 * threads at all (the shim forks): there it is called directly. */
static int probe_and_open(struct dray_instance *in)
{
    const struct dray_drivers_config *c = &in->registry->config;
    uint64_t ns = c->open_timeout_ms ? c->open_timeout_ms * UINT64_C(1000000)
                  : in->parent       ? CLAIM_NS
                                     : OPEN_NS;
    struct opening *o = new_opening(in);
    pthread_t thread;
    if (!o)
        return dray_fail(&in->refusal, DRAY_E_NOMEM, "out of memory");
    bool apart = !c->no_watchdog && dray_watchdog_thread(&thread, opening_thread, o, 0) == 0;
    if (!apart) {
        run_opening(o);
    } else if (wait_opening(o, ns)) {
        pthread_join(thread, NULL);
    } else {
        pthread_detach(thread);
        return dray_fail(&in->refusal, DRAY_E_TIMEOUT,
                         "its start has not ended after %llu s; probe() and open() must answer in "
                         "that time; mend that, or disable the plugin in the configuration",
                         (unsigned long long)(ns / (uint64_t)DRAY_NS_PER_S));
    }
    int rc = take_answer(in, o);
    free_opening(o);
    return rc;
}

/* Into this process, or into one of its own. */
static int load(struct dray_instance *in, struct dray_plugin_file *f, struct json_object *options)
{
    const char *text = options ? dray_json_text(options) : "{}";
    int rc = f->refusal.code;
    if (!rc && in->isolated)
        rc = dray_isolate_start(in, text ? text : "{}");
    else if (!rc)
        rc = dray_plugin_load(f);
    if (rc && !in->refusal.code)
        in->refusal = f->refusal;
    in->desc = in->isolate ? dray_isolate_desc(in->isolate) : &f->desc;
    return rc;
}

static void set_ready(struct dray_instance *in)
{
    pthread_mutex_lock(&in->lock);
    in->state = DRAY_INSTANCE_READY;
    pthread_mutex_unlock(&in->lock);
}

int dray_instance_open(struct dray_instance *in, struct json_object *options)
{
    struct dray_plugin_file *f = in->file;
    if (dray_instance_is_family(in))
        return dray_family_open(in, options);
    dray_host_init(in);
    int rc = load(in, f, options);
    struct dray_options *parsed = NULL;
    if (!rc)
        rc = dray_options_parse(in->desc->options, in->desc->n_options, options, &parsed,
                                &in->refusal);
    if (rc)
        return rc;
    atomic_store(&in->options, parsed);
    rc = adopt_ifaces(in);
    if (!rc)
        rc = probe_and_open(in);
    if (!rc)
        set_ready(in);
    return rc;
}

int dray_instance_open_child(struct dray_instance *in)
{
    dray_host_init(in);
    in->desc = &in->file->desc;
    int rc = adopt_ifaces(in);
    if (!rc)
        rc = probe_and_open(in);
    if (!rc)
        set_ready(in);
    return rc;
}

/* Wait until no call is under way. in->lock is held. */
static bool wait_idle(struct dray_instance *in, uint64_t deadline_ns)
{
    struct timespec until = {
        .tv_sec = (time_t)(deadline_ns / DRAY_NS_PER_S),
        .tv_nsec = (long)(deadline_ns % DRAY_NS_PER_S),
    };
    in->n_waiting++;
    int rc = 0;
    while ((in->calls || in->n_health) && rc == 0)
        rc = pthread_cond_clockwait(&in->turn, &in->lock, CLOCK_MONOTONIC, &until);
    in->n_waiting--;
    return !in->calls && !in->n_health;
}

enum dray_instance_state dray_instance_state(struct dray_instance *in)
{
    pthread_mutex_lock(&in->lock);
    enum dray_instance_state state = in->state;
    pthread_mutex_unlock(&in->lock);
    return state;
}

bool dray_instance_is_open(struct dray_instance *in)
{
    enum dray_instance_state state = dray_instance_state(in);
    return state == DRAY_INSTANCE_READY || state == DRAY_INSTANCE_SUSPECT;
}

bool dray_instance_is_stuck(struct dray_instance *in)
{
    pthread_mutex_lock(&in->lock);
    bool stuck = in->stuck;
    pthread_mutex_unlock(&in->lock);
    return stuck;
}

bool dray_instance_close(struct dray_instance *in, uint64_t deadline_ns)
{
    if (!dray_instance_is_open(in) || dray_instance_is_family(in))
        return !dray_instance_is_stuck(in);
    const struct dray_plugin *desc = in->desc;
    struct dray_err err = {0};
    pthread_mutex_lock(&in->lock);
    bool suspect = in->state == DRAY_INSTANCE_SUSPECT;
    in->state = DRAY_INSTANCE_DRAINING;
    pthread_cond_broadcast(&in->turn);
    pthread_mutex_unlock(&in->lock);

    if (desc->quiesce && !suspect && desc->quiesce(in->self, deadline_ns, &err))
        dray_warn("%s: quiesce: %s", instance_label(in), err.text);
    pthread_mutex_lock(&in->lock);
    bool idle = wait_idle(in, deadline_ns);
    uint32_t left = in->n_calls;
    pthread_mutex_unlock(&in->lock);
    if (!idle) {
        dray_error("%s: %u calls have not returned; left as it is", instance_label(in), left);
        return false;
    }
    desc->close(in->self);
    pthread_mutex_lock(&in->lock);
    in->state = DRAY_INSTANCE_CLOSED;
    pthread_mutex_unlock(&in->lock);
    dray_instance_event(in, "disable");
    return true;
}

void dray_instance_free(struct dray_instance *in)
{
    for (size_t i = 0; i < in->n_drivers; i++)
        free(in->drivers[i].ops);
    free(in->drivers);
    dray_options_free(atomic_load(&in->options));
    dray_isolate_free(in->isolate); /* it has the table that the options look at */
    free(in->folders[0]);
    free(in->folders[1]);
    free(in->name);
    free(in->path);
    pthread_mutex_destroy(&in->lock);
    pthread_cond_destroy(&in->turn);
    free(in);
}
