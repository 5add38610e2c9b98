/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - one call into a plugin: its turn, its deadline, its memory. */
#define DRAY_LOG_AREA "plugin"
#include "plugin/isolate.h"
#include "plugin/registry.h"

#include "base/clock.h"
#include "base/logging.h"

#include <poll.h>

#define NS ((uint64_t)DRAY_NS_PER_S)
#define CANCEL_LOOK_NS (NS / 5) /* how soon a waiting call notices that its caller has gone */

enum scope_state {
    SCOPE_IDLE = 0,
    SCOPE_ENTERED = 1,
    SCOPE_OVERDUE = 2,  /* past its deadline: makes the instance suspect */
    SCOPE_FORGIVEN = 3, /* overdue, but the instance has answered health() since */
};

void dray_call_object(struct dray_call_scope *s, const char *object_id)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (const char *p = object_id; p && *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    s->object = object_id;
    s->object_hash = h;
}

void dray_call_emit_to(struct dray_call_scope *s, dray_emit_fn fn, void *ctx)
{
    s->emit = fn;
    s->emit_ctx = ctx;
}

void dray_call_replay(struct dray_call_scope *s)
{
    s->call.flags |= DRAY_CALL_REPLAY;
}

void dray_call_deadline(struct dray_call_scope *s, uint64_t deadline_ns)
{
    s->call.deadline_ns = deadline_ns;
}

/* --- whose turn it is ------------------------------------------------------------------------- */

/* Two calls that the declared threading keeps apart. Serial interfaces of one instance share its
 * data, so that they are apart from each other too. */
static bool collide(const struct dray_call_scope *a, const struct dray_call_scope *b)
{
    if (a->driver->threading == DRAY_THREAD_SERIAL && b->driver->threading == DRAY_THREAD_SERIAL)
        return true;
    if (a->driver != b->driver || a->driver->threading != DRAY_THREAD_PER_OBJECT)
        return false;
    /* A call that names no object may be about any. */
    if (!a->object || !b->object)
        return true;
    return a->object_hash == b->object_hash && strcmp(a->object, b->object) == 0;
}

static struct dray_call_scope *find_collision(const struct dray_call_scope *s)
{
    if (s->driver->threading == DRAY_THREAD_PARALLEL)
        return NULL;
    for (struct dray_call_scope *o = s->driver->instance->calls; o; o = o->next)
        if (collide(s, o))
            return o;
    return NULL;
}

static uint64_t seconds_since(uint64_t start_ns)
{
    return (dray_mono_ns() - start_ns) / NS;
}

static int refuse(struct dray_err *err, int code, const char *label, const char *why)
{
    (void)dray_fail(err, code, "the driver %s %s; try again later", label, why);
    if (err) {
        err->flags = DRAY_ERR_TRANSIENT;
        (void)snprintf(err->op, sizeof err->op, "%.47s", label);
    }
    return code;
}

static int refuse_suspect(const struct dray_call_scope *s, struct dray_err *err)
{
    const struct dray_instance *in = s->driver->instance;
    uint64_t oldest = dray_mono_ns();
    for (const struct dray_call_scope *o = in->calls; o; o = o->next)
        if (o->state == SCOPE_OVERDUE && o->start_ns < oldest)
            oldest = o->start_ns;
    char why[96];
    if (!in->n_overdue)
        return refuse(err, DRAY_E_UNAVAIL, s->driver->label,
                      "has ended and is being started again");
    (void)snprintf(why, sizeof why, "does not answer: a call has been under way for %llu s",
                   (unsigned long long)seconds_since(oldest));
    return refuse(err, DRAY_E_UNAVAIL, s->driver->label, why);
}

static bool canceled(int cancel_fd)
{
    struct pollfd p = {.fd = cancel_fd, .events = POLLIN};
    return cancel_fd >= 0 && poll(&p, 1, 0) > 0;
}

/* Sleep until something changes. in->lock is held. */
static int wait_turn(struct dray_instance *in, const struct dray_call_scope *s,
                     struct dray_err *err)
{
    uint64_t now = dray_mono_ns();
    if (canceled(s->call.cancel_fd))
        return dray_fail(err, DRAY_E_CANCELED, "canceled while waiting for the driver %s",
                         s->driver->label);
    if (s->call.deadline_ns && now >= s->call.deadline_ns)
        return refuse(err, DRAY_E_BUSY, s->driver->label, "is busy with another call");
    uint64_t until = now + (s->call.cancel_fd >= 0 ? CANCEL_LOOK_NS : NS);
    if (s->call.deadline_ns && until > s->call.deadline_ns)
        until = s->call.deadline_ns;
    struct timespec ts = {.tv_sec = (time_t)(until / NS), .tv_nsec = (long)(until % NS)};
    in->n_waiting++;
    (void)pthread_cond_clockwait(&in->turn, &in->lock, CLOCK_MONOTONIC, &ts);
    in->n_waiting--;
    return 0;
}

/* The driver's process has ended, and the call may wait for the next one there. in->lock is held.
 */
static bool comes_again(const struct dray_instance *in)
{
    return in->isolate && !in->n_overdue && dray_isolate_soon(in->isolate);
}

/* Until nothing stands in the way. in->lock is held. *suspect_out: it has just become so. */
static int take_turn(struct dray_instance *in, const struct dray_call_scope *s, bool *suspect_out,
                     struct dray_err *err)
{
    for (;;) {
        uint64_t now = s->start_ns;
        if (in->first_deadline_ns && (in->n_waiting || now > in->first_deadline_ns))
            now = dray_mono_ns();
        if (dray_calls_check(in, now))
            *suspect_out = true;
        if (in->state == DRAY_INSTANCE_SUSPECT && !comes_again(in))
            return refuse_suspect(s, err);
        if (in->state != DRAY_INSTANCE_READY && in->state != DRAY_INSTANCE_SUSPECT)
            return refuse(err, DRAY_E_UNAVAIL, s->driver->label, "is being closed");
        const struct dray_call_scope *other = find_collision(s);
        if (!other)
            return 0;
        if (other->state != SCOPE_ENTERED)
            return refuse(err, DRAY_E_UNAVAIL, s->driver->label,
                          "is held up by a call that does not return");
        int rc = wait_turn(in, s, err);
        if (rc)
            return rc;
    }
}

/* --- enter and leave -------------------------------------------------------------------------- */

static uint64_t default_deadline(uint32_t klass, uint64_t now)
{
    if (klass == DRAY_CLASS_QUICK)
        return now + 10 * NS;
    return klass == DRAY_CLASS_MOUNT ? now + 60 * NS : 0;
}

/* "c" and the number in hexadecimal; printf would cost more than all the rest. */
static void number_request(struct dray_call_scope *s, uint64_t n)
{
    char *p = s->request_id + sizeof s->request_id - 1;
    *p = '\0';
    do {
        *--p = "0123456789abcdef"[n & 15];
        n >>= 4;
    } while (n);
    *--p = 'c';
    s->call.request_id = p;
}

static void link_call(struct dray_instance *in, struct dray_call_scope *s)
{
    s->prev = NULL;
    s->next = in->calls;
    if (s->next)
        s->next->prev = s;
    in->calls = s;
    in->n_calls++;
    in->n_begun++;
    s->state = SCOPE_ENTERED;
    uint64_t d = s->call.deadline_ns;
    if (d && (!in->first_deadline_ns || d < in->first_deadline_ns))
        in->first_deadline_ns = d;
    number_request(s, ++in->serial_no);
}

int dray_call_enter(struct dray_call_scope *s, struct dray_driver *d, uint32_t klass, int cancel_fd,
                    struct dray_err *err)
{
    struct dray_instance *in = d->instance;
    s->driver = d;
    s->start_ns = dray_mono_ns();
    s->call.size = sizeof s->call;
    s->call.klass = klass;
    s->call.cancel_fd = cancel_fd;
    s->call.arena = s;
    if (!s->call.deadline_ns)
        s->call.deadline_ns = default_deadline(klass, s->start_ns);
    s->self = in->self;
    s->ops = d->ops;

    bool suspect = false;
    pthread_mutex_lock(&in->lock);
    int rc = take_turn(in, s, &suspect, err);
    if (!rc)
        link_call(in, s);
    pthread_mutex_unlock(&in->lock);
    if (suspect)
        dray_instance_tell_suspect(in);
    if (rc)
        s->driver = NULL; /* nothing to leave */
    else
        dray_watchdog_poke(in->registry);
    return rc;
}

static void unlink_call(struct dray_instance *in, struct dray_call_scope *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        in->calls = s->next;
    if (s->next)
        s->next->prev = s->prev;
    in->n_calls--;
    if (!in->calls)
        in->first_deadline_ns = 0;
}

void dray_call_leave(struct dray_call_scope *s)
{
    struct dray_driver *d = s->driver;
    if (!d)
        return;
    struct dray_instance *in = d->instance;
    bool recovered = false;
    pthread_mutex_lock(&in->lock);
    unlink_call(in, s);
    uint32_t state = s->state;
    if (state == SCOPE_OVERDUE && --in->n_overdue == 0 && in->state == DRAY_INSTANCE_SUSPECT) {
        in->state = DRAY_INSTANCE_READY;
        recovered = true;
    }
    if (in->n_waiting)
        pthread_cond_broadcast(&in->turn);
    pthread_mutex_unlock(&in->lock);

    s->state = SCOPE_IDLE;
    s->driver = NULL;
    dray_arena_free(s->arena);
    s->arena = NULL;
    if (state != SCOPE_ENTERED)
        dray_warn("%s: an overdue call returned after %llu s", d->label,
                  (unsigned long long)seconds_since(s->start_ns));
    if (recovered) {
        dray_info("%s: serves again", d->label);
        dray_instance_event(in, "recover");
    }
}

int dray_call_result(const struct dray_call_scope *s, int rc, const char *op, struct dray_err *err)
{
    if (rc == 0)
        return 0;
    bool strange = rc > 0 || rc < DRAY_E_AGAIN;
    if (strange || (err && (err->code != rc || !err->text[0])))
        rc = dray_fail(err, strange ? DRAY_E_INTERNAL : rc,
                       "the driver %s failed in %s and did not say why (%d)", s->driver->label, op,
                       rc);
    if (err)
        (void)snprintf(err->op, sizeof err->op, "%.30s.%.15s", s->driver->label, op);
    return rc;
}

/* --- overdue calls ---------------------------------------------------------------------------- */

bool dray_calls_check(struct dray_instance *in, uint64_t now)
{
    if (!in->first_deadline_ns || now <= in->first_deadline_ns)
        return false;
    uint64_t first = 0;
    for (struct dray_call_scope *s = in->calls; s; s = s->next) {
        uint64_t d = s->call.deadline_ns;
        if (!d || s->state != SCOPE_ENTERED)
            continue;
        if (now > d) {
            s->state = SCOPE_OVERDUE;
            in->n_overdue++;
            dray_error("%s: call %s%s%s has passed its deadline, %llu s after it began",
                       s->driver->label, s->call.request_id, s->object ? " on " : "",
                       s->object ? s->object : "", (unsigned long long)((now - s->start_ns) / NS));
        } else if (!first || d < first) {
            first = d;
        }
    }
    in->first_deadline_ns = first;
    if (in->n_overdue == 0 || in->state != DRAY_INSTANCE_READY)
        return false;
    in->state = DRAY_INSTANCE_SUSPECT;
    in->next_health_ns = now;
    pthread_cond_broadcast(&in->turn);
    return true;
}

void dray_instance_tell_suspect(struct dray_instance *in)
{
    dray_warn("%s: suspect; new calls are refused until it answers", in->drivers[0].label);
    dray_instance_event(in, "suspect");
}

void dray_calls_forgive(struct dray_instance *in)
{
    for (struct dray_call_scope *s = in->calls; s; s = s->next)
        if (s->state == SCOPE_OVERDUE)
            s->state = SCOPE_FORGIVEN;
    in->n_overdue = 0;
}

bool dray_calls_may_ask(const struct dray_instance *in)
{
    for (const struct dray_call_scope *s = in->calls; s; s = s->next)
        if (s->state == SCOPE_OVERDUE && s->driver->threading == DRAY_THREAD_SERIAL)
            return false;
    return true;
}
