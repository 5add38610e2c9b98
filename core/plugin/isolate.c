/* SPDX-License-Identifier: Apache-2.0 */
/* isolate.c - calls to a plugin in another process, and the life of its instance. */
#define DRAY_LOG_AREA "plugin"
#include "plugin/isolate.h"

#include "base/clock.h"
#include "base/logging.h"

#include <fcntl.h>

#define NS ((uint64_t)DRAY_NS_PER_S)
#define CONTROL_NS (5 * NS)
#define OPEN_NS (30 * NS)
#define AGAIN_NS NS       /* how long a call waits for the next process */
#define SEND_NS (10 * NS) /* for a process that does not read */

/* --- messages to it ----------------------------------------------------------------------------*/

/* Kill the process, once; the supervisor finds it gone. */
static void kill_process(struct dray_isolate *iso, const char *why)
{
    pthread_mutex_lock(&iso->lock);
    pid_t pid = iso->pid;
    bool was_up = iso->up;
    iso->up = false;
    dray_isolate_kill(iso);
    pthread_mutex_unlock(&iso->lock);
    if (pid > 0 && was_up)
        dray_error("%s: %s; its process %d is killed", iso->label, why, (int)pid);
}

/* deadline_ns 0: of the caller there is none. */
static int send_message(struct dray_isolate *iso, const struct dray_wire *w, uint64_t deadline_ns,
                        struct dray_err *err)
{
    uint64_t end = dray_mono_ns() + SEND_NS;
    if (deadline_ns && deadline_ns < end)
        end = deadline_ns;
    const struct timespec until = {.tv_sec = (time_t)(end / NS), .tv_nsec = (long)(end % NS)};
    int rc = DRAY_E_TIMEOUT;
    if (pthread_mutex_clocklock(&iso->send_lock, CLOCK_MONOTONIC, &until) == 0) {
        rc = dray_wire_send(iso->sock, w, end, err);
        pthread_mutex_unlock(&iso->send_lock);
    } else {
        (void)dray_fail(err, rc, "the plugin's process takes no messages");
    }
    if (rc == DRAY_E_UNAVAIL || rc == DRAY_E_TIMEOUT)
        kill_process(iso, "it takes no messages");
    return rc;
}

/* The driver that was called, of those that the process has. */
static const char *label_of(const struct dray_isolate *iso, const struct dray_call *call)
{
    return call ? ((const struct dray_call_scope *)call->arena)->driver->label : iso->label;
}

static int is_down(const char *label, struct dray_err *err)
{
    (void)dray_fail(err, DRAY_E_UNAVAIL,
                    "the process of the driver %s has ended and is being started again", label);
    if (err)
        err->flags = DRAY_ERR_TRANSIENT;
    return DRAY_E_UNAVAIL;
}

bool dray_isolate_soon(struct dray_isolate *iso)
{
    pthread_mutex_lock(&iso->lock);
    bool soon = iso->soon;
    pthread_mutex_unlock(&iso->lock);
    return soon;
}

/* Is there a process, or will there be in a moment? iso->lock is held. */
static bool wait_up(struct dray_isolate *iso, uint64_t deadline_ns)
{
    uint64_t end = dray_mono_ns() + AGAIN_NS;
    if (deadline_ns && deadline_ns < end)
        end = deadline_ns;
    const struct timespec until = {.tv_sec = (time_t)(end / NS), .tv_nsec = (long)(end % NS)};
    int timed = 0;
    while (!iso->up && iso->soon && !iso->closing && !timed)
        timed = pthread_cond_clockwait(&iso->wake, &iso->lock, CLOCK_MONOTONIC, &until);
    return iso->up;
}

static bool enlist(struct dray_isolate *iso, struct dray_isolate_wait *wait, uint64_t deadline_ns)
{
    pthread_cond_init(&wait->turn, NULL);
    pthread_mutex_lock(&iso->lock);
    bool up = wait_up(iso, deadline_ns);
    if (up) {
        wait->id = ++iso->next_id;
        wait->next = iso->waits;
        iso->waits = wait;
    }
    pthread_mutex_unlock(&iso->lock);
    return up;
}

static void delist(struct dray_isolate *iso, struct dray_isolate_wait *wait)
{
    pthread_mutex_lock(&iso->lock);
    struct dray_isolate_wait **at = &iso->waits;
    while (*at && *at != wait)
        at = &(*at)->next;
    if (*at)
        *at = wait->next;
    pthread_mutex_unlock(&iso->lock);
    dray_wire_cleanup(&wait->message);
    pthread_cond_destroy(&wait->turn);
}

/* The next message for this call. deadline_ns 0: none. */
static int next_message(struct dray_isolate *iso, struct dray_isolate_wait *wait,
                        uint64_t deadline_ns, struct dray_wire *out, const char *label,
                        struct dray_err *err)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ns / NS),
                                   .tv_nsec = (long)(deadline_ns % NS)};
    int timed = 0;
    pthread_mutex_lock(&iso->lock);
    while (!wait->message.type && !wait->dead && !timed) {
        if (deadline_ns)
            timed = pthread_cond_clockwait(&wait->turn, &iso->lock, CLOCK_MONOTONIC, &until);
        else
            pthread_cond_wait(&wait->turn, &iso->lock);
    }
    *out = wait->message;
    wait->message = (struct dray_wire){0};
    pthread_mutex_unlock(&iso->lock);
    if (out->type)
        return 0;
    if (!timed)
        return is_down(label, err);
    kill_process(iso, "a call has passed its deadline");
    return dray_fail(err, DRAY_E_TIMEOUT, "the driver %s has not answered in time", label);
}

/* Hand a record to the caller, in the thread of its call, and tell the plugin what came of it. */
static int pass_record(struct dray_isolate *iso, struct dray_wire *got,
                       const struct dray_call *call, struct dray_err *err)
{
    DRAY_AUTO(dray_wire_arena) memory = {0};
    struct dray_record rec;
    got->alloc = dray_wire_arena_alloc;
    got->ctx = &memory;
    dray_wire_get_record(got, &rec);
    got->ctx = NULL;
    int32_t rc = got->failed ? DRAY_E_CORRUPT : call ? iso->in->host.emit(call, &rec) : 0;
    DRAY_AUTO(dray_wire) answer = {.type = DRAY_WIRE_EMITTED, .id = got->id};
    dray_wire_put_u32(&answer, (uint32_t)rc);
    return send_message(iso, &answer, call ? call->deadline_ns : 0, err);
}

/* Send a request, serve what it emits, until its answer. */
static int roundtrip(struct dray_isolate *iso, struct dray_wire *request, uint64_t deadline_ns,
                     const struct dray_call *call, struct dray_wire *reply, struct dray_err *err)
{
    struct dray_isolate_wait wait = {0};
    if (!enlist(iso, &wait, deadline_ns)) {
        pthread_cond_destroy(&wait.turn);
        return is_down(label_of(iso, call), err);
    }
    request->id = wait.id;
    int rc = send_message(iso, request, deadline_ns, err);
    while (!rc) {
        dray_wire_cleanup(reply);
        rc = next_message(iso, &wait, deadline_ns, reply, label_of(iso, call), err);
        if (rc || reply->type != DRAY_WIRE_EMIT)
            break;
        rc = pass_record(iso, reply, call, err);
    }
    delist(iso, &wait);
    return rc;
}

/* --- operations --------------------------------------------------------------------------------*/

static void *call_alloc(void *ctx, uint64_t n)
{
    const struct dray_call *call = ctx;
    const struct dray_call_scope *s = call->arena;
    return s->driver->instance->host.alloc(call, n);
}

void dray_isolate_put_call(struct dray_wire *w, uint32_t op, const struct dray_call *call)
{
    dray_wire_put_u32(w, op);
    dray_wire_put_u32(w, call->klass);
    dray_wire_put_u64(w, call->deadline_ns);
    dray_wire_put_u32(w, call->attempt);
    dray_wire_put_u32(w, call->flags);
    dray_wire_put_str(w, call->request_id);
    dray_wire_put_fd(w, call->cancel_fd);
}

int32_t dray_isolate_call(struct dray_self *self, const struct dray_call *call, uint32_t op,
                          void **args, struct dray_err *err)
{
    struct dray_isolate *iso = (struct dray_isolate *)self;
    const struct dray_wire_op *o = dray_wire_op(op);
    DRAY_AUTO(dray_wire) request = {.type = DRAY_WIRE_CALL};
    DRAY_AUTO(dray_wire) reply = {0};
    dray_isolate_put_call(&request, op, call);
    dray_wire_put_args(&request, o, args);
    int rc = roundtrip(iso, &request, call->deadline_ns, call, &reply, err);
    if (rc)
        return rc;
    union {
        const void *in;
        void *out;
    } ctx = {.in = call};
    reply.alloc = call_alloc;
    reply.ctx = ctx.out;
    rc = dray_wire_get_err(&reply, err);
    if (rc < 0)
        return rc;
    dray_wire_get_outputs(&reply, o, args);
    if (reply.failed)
        return dray_fail(err, DRAY_E_CORRUPT, "the process of the driver gave a broken answer");
    reply.own_fds = reply.next_fd < reply.n_fds; /* those that were taken are the caller's */
    dray_isolate_note_call(iso, op, args);
    return rc;
}

/* --- the descriptor's functions ----------------------------------------------------------------*/

static int control(struct dray_isolate *iso, struct dray_wire *request, uint64_t ns,
                   struct dray_err *err)
{
    DRAY_AUTO(dray_wire) reply = {0};
    DRAY_AUTO(dray_wire_arena) memory = {0};
    int rc = roundtrip(iso, request, dray_mono_ns() + ns, NULL, &reply, err);
    if (rc)
        return rc;
    reply.alloc = dray_wire_arena_alloc;
    reply.ctx = &memory;
    return dray_wire_get_err(&reply, err);
}

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    const struct dray_instance *in = host->ctx;
    struct dray_isolate *iso = in->isolate;
    (void)instance;
    DRAY_AUTO(dray_wire) request = {.type = DRAY_WIRE_OPEN};
    dray_isolate_put_open(iso, &request);
    int rc = control(iso, &request, OPEN_NS, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&iso->lock);
    iso->opened = true;
    pthread_mutex_unlock(&iso->lock);
    *out = (struct dray_self *)iso;
    return 0;
}

static int32_t health(struct dray_self *self, struct dray_err *err)
{
    DRAY_AUTO(dray_wire) request = {.type = DRAY_WIRE_HEALTH};
    return control((struct dray_isolate *)self, &request, CONTROL_NS, err);
}

static int32_t reload(struct dray_self *self, struct dray_err *err)
{
    struct dray_isolate *iso = (struct dray_isolate *)self;
    DRAY_AUTO(dray_wire) request = {.type = DRAY_WIRE_RELOAD};
    pthread_mutex_lock(&iso->lock);
    dray_wire_put_str(&request, iso->options);
    pthread_mutex_unlock(&iso->lock);
    return control(iso, &request, CONTROL_NS, err);
}

static int32_t quiesce(struct dray_self *self, uint64_t deadline_ns, struct dray_err *err)
{
    DRAY_AUTO(dray_wire) request = {.type = DRAY_WIRE_QUIESCE};
    uint64_t now = dray_mono_ns();
    dray_wire_put_u64(&request, deadline_ns);
    return control((struct dray_isolate *)self, &request, deadline_ns > now ? deadline_ns - now : 1,
                   err);
}

static void end_process(struct dray_isolate *iso)
{
    pthread_mutex_lock(&iso->lock);
    iso->closing = true;
    dray_isolate_kill(iso);
    pthread_cond_broadcast(&iso->wake);
    pthread_mutex_unlock(&iso->lock);
    if (iso->supervised)
        pthread_join(iso->supervisor, NULL);
    else
        dray_isolate_reap(iso);
    iso->supervised = false;
}

static void close_self(struct dray_self *self)
{
    struct dray_isolate *iso = (struct dray_isolate *)self;
    DRAY_AUTO(dray_wire) request = {.type = DRAY_WIRE_CLOSE};
    pthread_mutex_lock(&iso->lock);
    iso->closing = true; /* its end is no accident from here on */
    pthread_mutex_unlock(&iso->lock);
    (void)control(iso, &request, CONTROL_NS, NULL);
    end_process(iso);
}

void dray_isolate_set_functions(struct dray_plugin *desc, bool has_health, bool has_reload,
                                bool has_quiesce)
{
    desc->open = open_self;
    desc->close = close_self;
    desc->health = has_health ? health : NULL;
    desc->reload = has_reload ? reload : NULL;
    desc->quiesce = has_quiesce ? quiesce : NULL;
}

const struct dray_plugin *dray_isolate_desc(const struct dray_isolate *iso)
{
    return &iso->desc;
}

int dray_isolate_set_options(struct dray_isolate *iso, const char *options_json)
{
    char *copy = strdup(options_json);
    if (!copy)
        return DRAY_E_NOMEM;
    pthread_mutex_lock(&iso->lock);
    free(iso->options);
    iso->options = copy;
    pthread_mutex_unlock(&iso->lock);
    return 0;
}

void dray_isolate_free(struct dray_isolate *iso)
{
    if (!iso)
        return;
    end_process(iso);
    dray_cleanup_fd(&iso->sock);
    dray_cleanup_fd(&iso->so_fd);
    for (uint64_t i = 0; i < iso->desc.n_ifaces; i++)
        free((void *)(uintptr_t)iso->ifaces[i].ops);
    dray_isolate_notes_free(iso);
    dray_wire_arena_cleanup(&iso->keep);
    pthread_mutex_destroy(&iso->lock);
    pthread_mutex_destroy(&iso->send_lock);
    pthread_cond_destroy(&iso->wake);
    free(iso->options);
    free(iso);
}

static struct dray_isolate *new_isolate(struct dray_instance *in, const char *options_json)
{
    struct dray_isolate *iso = calloc(1, sizeof *iso);
    if (!iso)
        return NULL;
    iso->in = in;
    (void)snprintf(iso->label, sizeof iso->label, "plugin/%s", in->name);
    iso->sock = iso->so_fd = iso->pidfd = -EBADF;
    pthread_mutex_init(&iso->lock, NULL);
    pthread_mutex_init(&iso->send_lock, NULL);
    pthread_cond_init(&iso->wake, NULL);
    if (dray_isolate_set_options(iso, options_json)) {
        dray_isolate_free(iso);
        return NULL;
    }
    return iso;
}

/* The very file that was checked; another instance may have used its descriptor up. */
static int take_file(struct dray_isolate *iso, struct dray_err *err)
{
    const struct dray_plugin_file *f = iso->in->file;
    iso->so_fd = f->fd >= 0 ? fcntl(f->fd, F_DUPFD_CLOEXEC, 3) : -EBADF;
    if (iso->so_fd >= 0)
        return 0;
    return dray_card_open_file(f->path, iso->in->registry->config.insecure_files, &iso->so_fd, err);
}

int dray_isolate_start(struct dray_instance *in, const char *options_json)
{
    struct dray_isolate *iso = new_isolate(in, options_json);
    if (!iso)
        return dray_fail(&in->refusal, DRAY_E_NOMEM, "out of memory");
    int rc = take_file(iso, &in->refusal);
    rc = rc ? rc : dray_isolate_spawn(iso, &in->refusal);
    rc = rc ? rc : dray_isolate_load(iso, &in->refusal);
    if (!rc)
        iso->up = iso->soon = true;
    if (!rc && dray_isolate_supervise(iso))
        rc = dray_fail(&in->refusal, DRAY_E_NOMEM, "out of memory");
    if (rc)
        dray_isolate_free(iso);
    else
        in->isolate = iso;
    return rc;
}
