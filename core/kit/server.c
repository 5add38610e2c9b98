/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - POST /grpc: finds the method that a client calls. */
#include "kit/server.h"

#include "base/clock.h"
#include "engine/engine.h"
#include "kit/session.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#define STEP_NS (50 * 1000 * 1000)

int kit_answer(struct grpc_call *call, const struct dray_buf *msg, struct dray_err *err)
{
    if (msg->failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = grpc_send(call, msg->data ? msg->data : "", msg->len, grpc_gone_fd(call), err);
    if (!rc)
        grpc_finish(call, GRPC_OK, NULL);
    return rc;
}

bool kit_server_wait(struct kit_server *s, const struct grpc_call *call)
{
    int64_t until = dray_clock_mono() + STEP_NS;
    struct timespec ts = {.tv_sec = until / DRAY_NS_PER_S, .tv_nsec = until % DRAY_NS_PER_S};
    struct pollfd p = {.fd = grpc_gone_fd(call), .events = POLLIN};
    (void)pthread_cond_clockwait(&s->changed, &s->lock, CLOCK_MONOTONIC, &ts);
    return poll(&p, 1, 0) <= 0;
}

/* ---- What we are ---- */

/* pb.Platform, in Go's names. */
static void add_platform(struct dray_buf *b)
{
    DRAY_AUTO(dray_buf) p = {0};
    struct utsname u;
    const char *machine = uname(&u) == 0 ? u.machine : "";
    pb_text(&p, 1,
            strcmp(machine, "x86_64") == 0    ? "amd64"
            : strcmp(machine, "aarch64") == 0 ? "arm64"
                                              : machine);
    pb_text(&p, 2, "linux");
    pb_message(b, 3, &p);
}

static int list_workers(struct kit_server *s, struct grpc_call *call, struct pb req,
                        struct dray_err *err)
{
    DRAY_AUTO(dray_buf) worker = {0};
    DRAY_AUTO(dray_buf) msg = {0};
    (void)req;
    pb_text(&worker, 1, s->kit->engine->id);
    add_platform(&worker);
    pb_message(&msg, 1, &worker);
    return kit_answer(call, &msg, err);
}

static int health(struct kit_server *s, struct grpc_call *call, struct pb req, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) msg = {0};
    (void)s, (void)req;
    pb_uint(&msg, 1, 1); /* SERVING */
    return kit_answer(call, &msg, err);
}

/* There is none: builds are told of while they run, and their results are images. */
static int build_history(struct kit_server *s, struct grpc_call *call, struct pb req,
                         struct dray_err *err)
{
    (void)s, (void)req, (void)err;
    grpc_finish(call, GRPC_OK, NULL);
    return 0;
}

/* ---- A session within the connection ---- */

struct inner {
    struct kit_server *server;
    struct dray_kit_hello hello;
    int sock, stop_fd;
};

static void *inner_main(void *arg)
{
    struct inner *i = arg;
    (void)dray_kit_session_run(i->server->kit, &i->hello, i->sock, i->stop_fd, NULL);
    (void)shutdown(i->sock, SHUT_RDWR);
    return NULL;
}

/* What POST /session begins, with its headers in those of the call. */
static int session(struct kit_server *s, struct grpc_call *call, struct pb req,
                   struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) methods = {0};
    const char *id = grpc_metadata(call, "x-docker-expose-session-uuid");
    int pair[2];
    pthread_t thread;
    (void)req;
    if (!grpc_metadata_all(call, "x-docker-expose-session-grpc-method", &methods))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct inner i = {
        .server = s,
        .hello = {.id = id ? id : "",
                  .methods = dray_strlist_view(&methods),
                  .shared_key = grpc_metadata(call, "x-docker-expose-session-sharedkey")}};
    int rc = dray_kit_session_check(s->kit, &i.hello, err);
    if (!rc && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        rc = dray_fail_errno(err, "make a pair of sockets");
    if (rc)
        return rc;
    i.sock = pair[1];
    i.stop_fd = grpc_gone_fd(call);
    if (pthread_create(&thread, NULL, inner_main, &i) == 0) {
        kit_pump(call, pair[0], grpc_gone_fd(call));
        (void)pthread_join(thread, NULL);
    } else {
        rc = dray_fail(err, DRAY_E_NOMEM, "start a thread");
    }
    (void)close(pair[0]);
    (void)close(pair[1]);
    if (!rc)
        grpc_finish(call, GRPC_OK, NULL);
    return rc;
}

/* ---- Calls ---- */

#define CONTROL "/moby.buildkit.v1.Control/"
#define BRIDGE "/moby.buildkit.v1.frontend.LLBBridge/"

static const struct {
    const char *name;
    kit_method_fn fn;
    bool stream; /* it takes the messages itself */
} methods[] = {
    {CONTROL "ListWorkers", list_workers, false},
    {CONTROL "Session", session, true},
    {CONTROL "Solve", kit_control_solve, false},
    {CONTROL "Status", kit_control_status, false},
    {CONTROL "DiskUsage", kit_control_usage, false},
    {CONTROL "Prune", kit_control_prune, false},
    {BRIDGE "Ping", kit_bridge_ping, false},
    {BRIDGE "Solve", kit_bridge_solve, false},
    {BRIDGE "Evaluate", kit_bridge_evaluate, false},
    {BRIDGE "Return", kit_bridge_return, false},
    {CONTROL "ListenBuildHistory", build_history, false},
    {"/grpc.health.v1.Health/Check", health, false},
};

static int dispatch(struct kit_server *s, struct grpc_call *call, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) msg = {0};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(grpc_method(call), methods[i].name) != 0)
            continue;
        if (methods[i].stream)
            return methods[i].fn(s, call, pb_open("", 0), err);
        int rc = grpc_recv(call, &msg, grpc_gone_fd(call), err);
        if (rc == 0)
            return dray_fail(err, DRAY_E_INVAL, "%s: no request", methods[i].name);
        return rc < 0 ? rc : methods[i].fn(s, call, pb_open(msg.data, msg.len), err);
    }
    return dray_fail(err, DRAY_E_NOTSUP, "unknown method %s", grpc_method(call));
}

static void serve(void *ctx, struct grpc_call *call)
{
    struct dray_err err = {0};
    if (dispatch(ctx, call, &err) != 0)
        grpc_finish_err(call, &err);
}

int dray_kit_serve(struct dray_kit *k, int sock, int stop_fd, struct dray_err *err)
{
    struct kit_server s = {.kit = k};
    struct grpc_conn *c = NULL;
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.changed, NULL);
    int rc = grpc_conn_new(sock, serve, &s, &c, err);
    if (!rc)
        grpc_conn_run(c, stop_fd);
    grpc_conn_unref(c);
    kit_solves_free(&s);
    pthread_cond_destroy(&s.changed);
    pthread_mutex_destroy(&s.lock);
    return rc;
}
