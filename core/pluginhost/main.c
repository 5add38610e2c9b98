/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - dray-plugin-host: runs one plugin for the daemon, over a socket on descriptor 3.
 *
 * The main thread reads; each request is carried out in a thread of its own, for the daemon has
 * seen to their turns already. When the socket ends, so does the program.
 */
#include "host.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define THREAD_STACK ((size_t)1 << 20)

static void call_operation(struct plugin_host *h, struct host_job *job, struct dray_wire *reply)
{
    struct dray_wire *q = &job->request;
    struct dray_wire_slots slots = {0};
    struct dray_err err = {0};
    const struct dray_wire_op *op = dray_wire_op(dray_wire_get_u32(q));
    struct dray_call call = {.size = sizeof call, .arena = job};
    call.klass = dray_wire_get_u32(q);
    call.deadline_ns = dray_wire_get_u64(q);
    call.attempt = dray_wire_get_u32(q);
    call.flags = dray_wire_get_u32(q);
    call.request_id = dray_wire_get_str(q);
    call.cancel_fd = dray_wire_get_fd(q);
    const void *ops = op ? h->ops[op->kind] : NULL;
    if (ops)
        dray_wire_get_args(q, op, &slots);
    if (!ops || q->failed || !h->self) {
        dray_wire_put_err(reply, dray_fail(&err, DRAY_E_CORRUPT, "the call cannot be understood"),
                          &err);
        return;
    }
    int32_t rc = op->invoke(ops, h->self, &call, slots.args, &err);
    dray_wire_put_err(reply, rc, &err);
    if (rc >= 0)
        dray_wire_put_outputs(reply, op, &slots);
    reply->own_fds = true; /* what the plugin gave away */
}

static void control(struct plugin_host *h, struct host_job *job, struct dray_wire *reply)
{
    const struct dray_plugin *d = &h->file.desc;
    struct dray_err err = {0};
    int rc = 0;
    if (job->request.type == DRAY_WIRE_HEALTH && d->health)
        rc = d->health(h->self, &err);
    else if (job->request.type == DRAY_WIRE_QUIESCE && d->quiesce)
        rc = d->quiesce(h->self, dray_wire_get_u64(&job->request), &err);
    else if (job->request.type == DRAY_WIRE_CLOSE && h->self)
        d->close(h->self);
    dray_wire_put_err(reply, rc, &err);
}

static void carry_out(struct plugin_host *h, struct host_job *job)
{
    DRAY_AUTO(dray_wire) reply = {.type = DRAY_WIRE_REPLY, .id = job->request.id};
    job->request.alloc = dray_wire_arena_alloc;
    job->request.ctx = &job->memory;
    switch (job->request.type) {
    case DRAY_WIRE_LOAD:
        host_load(h, job, &reply);
        break;
    case DRAY_WIRE_OPEN:
        host_open(h, job, &reply);
        break;
    case DRAY_WIRE_RELOAD:
        host_reload(h, job, &reply);
        break;
    case DRAY_WIRE_CALL:
        call_operation(h, job, &reply);
        break;
    default:
        control(h, job, &reply);
    }
    /* The next request, which begin() takes under this lock, finds what this one has written. */
    pthread_mutex_lock(&h->lock);
    pthread_mutex_unlock(&h->lock);
    host_send(h, &reply);
}

static void free_job(struct host_job *job)
{
    struct plugin_host *h = job->host;
    pthread_mutex_lock(&h->lock);
    struct host_job **at = &h->jobs;
    while (*at && *at != job)
        at = &(*at)->next;
    if (*at)
        *at = job->next;
    pthread_mutex_unlock(&h->lock);
    dray_wire_cleanup(&job->request);
    dray_wire_arena_cleanup(&job->memory);
    pthread_cond_destroy(&job->turn);
    free(job);
}

static void *job_main(void *arg)
{
    struct host_job *job = arg;
    carry_out(job->host, job);
    free_job(job);
    return NULL;
}

static void begin(struct plugin_host *h, struct dray_wire *request)
{
    pthread_t thread;
    struct host_job *job = calloc(1, sizeof *job);
    if (!job)
        abort(); /* the daemon starts another one */
    job->host = h;
    job->request = *request;
    *request = (struct dray_wire){0};
    pthread_cond_init(&job->turn, NULL);
    pthread_mutex_lock(&h->lock);
    job->next = h->jobs;
    h->jobs = job;
    pthread_mutex_unlock(&h->lock);
    if (dray_watchdog_thread(&thread, job_main, job, THREAD_STACK))
        abort();
    (void)pthread_detach(thread);
}

/* The daemon has taken a record. */
static void note_emitted(struct plugin_host *h, struct dray_wire *w)
{
    int32_t rc = (int32_t)dray_wire_get_u32(w);
    pthread_mutex_lock(&h->lock);
    for (struct host_job *job = h->jobs; job; job = job->next) {
        if (job->request.id != w->id || job->request.type == DRAY_WIRE_CLOSE)
            continue;
        job->emitted = true;
        job->emit_rc = rc;
        pthread_cond_signal(&job->turn);
    }
    pthread_mutex_unlock(&h->lock);
}

int main(void)
{
    struct plugin_host h = {.file = {.fd = -EBADF}};
    struct stat st;
    if (fstat(HOST_SOCKET, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        (void)fprintf(stderr, "dray-plugin-host is started by drayd, with a socket\n");
        return 2;
    }
    (void)fcntl(HOST_SOCKET, F_SETFD, FD_CLOEXEC);
    (void)setsid();
    (void)prctl(PR_SET_NAME, "dray-plugin");
    (void)signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&h.lock, NULL);
    pthread_mutex_init(&h.send_lock, NULL);
    host_services(&h);
    for (;;) {
        struct dray_wire w = {0};
        if (dray_wire_recv(HOST_SOCKET, -1, &w, NULL))
            _exit(0);
        if (w.type == DRAY_WIRE_EMITTED)
            note_emitted(&h, &w);
        else
            begin(&h, &w);
        dray_wire_cleanup(&w);
    }
}
