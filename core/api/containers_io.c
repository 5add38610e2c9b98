/* SPDX-License-Identifier: Apache-2.0 */
/* containers_io.c - logs, attach, wait and stats: answers that go on for a while. */
#include "api/containers.h"
#include "api/websocket.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/containers.h"
#include "engine/engine.h"

#include <poll.h>

#define DRAY_LOG_AREA "api"
#define SAMPLE_MS 1000
#define FIRST_SAMPLE_MS 500

const char *dray_api_stream_type(struct dray_http *h, bool tty)
{
    return tty || dray_http_version(h) < 142 ? "application/vnd.docker.raw-stream"
                                             : "application/vnd.docker.multiplexed-stream";
}

/* Sleep; false when the client has gone or the server stops. */
static bool pause_for(struct dray_http *h, int ms)
{
    struct pollfd p = {.fd = dray_http_cancel_fd(h), .events = POLLIN};
    return poll(&p, 1, ms) == 0;
}

/* ---- Logs ---- */

struct log_writer {
    struct dray_http *h;
    const char *content_type;
};

/* The head goes out with the first bytes, so that a failure before them still has its status. */
static int write_log(void *ctx, const void *data, size_t len)
{
    struct log_writer *w = ctx;
    if (!dray_http_streaming(w->h)) {
        int rc = dray_http_stream(w->h, 200, w->content_type, NULL);
        if (rc)
            return rc;
    }
    return dray_http_write(w->h, data, len);
}

static int parse_when(struct dray_http *h, const char *key, int64_t *out, struct dray_err *err)
{
    const char *text = dray_http_query(h, key);
    *out = 0;
    if (!text || !*text || strcmp(text, "0") == 0)
        return 0;
    if (!dray_time_parse_when(text, dray_clock_now(), out))
        return dray_fail(err, DRAY_E_INVAL, "invalid value for \"%s\": %s", key, text);
    return 0;
}

static int64_t parse_tail(const char *text)
{
    char *end = NULL;
    long long n = text && *text ? strtoll(text, &end, 10) : -1;
    return !end || *end || n < 0 ? -1 : n;
}

int dray_api_logs(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *name = dray_http_param(h, "name");
    struct dray_logs_req req = {
        .follow = dray_http_query_bool(h, "follow", false),
        .stdout_ = dray_http_query_bool(h, "stdout", false),
        .stderr_ = dray_http_query_bool(h, "stderr", false),
        .timestamps = dray_http_query_bool(h, "timestamps", false),
        .details = dray_http_query_bool(h, "details", false),
        .tail = parse_tail(dray_http_query(h, "tail")),
        .client = dray_http_client_fd(h),
    };
    if (!req.stdout_ && !req.stderr_)
        return dray_fail(err, DRAY_E_INVAL, "Bad parameters: you must choose at least one stream");
    int rc = parse_when(h, "since", &req.since_ns, err);
    if (!rc)
        rc = parse_when(h, "until", &req.until_ns, err);
    bool tty = false;
    if (!rc)
        rc = dray_containers_logs_prepare(e->containers, name, &tty, err);
    struct log_writer w = {.h = h, .content_type = dray_api_stream_type(h, tty)};
    if (!rc && req.follow)
        rc = write_log(&w, "", 0);
    if (!rc)
        rc = dray_containers_logs(e->containers, name, &req, write_log, &w, err);
    if (!rc && !dray_http_streaming(h))
        rc = write_log(&w, "", 0);
    return rc;
}

/* ---- Attach ---- */

static struct dray_attach_req attach_request(struct dray_http *h)
{
    const char *keys = dray_http_query(h, "detachKeys");
    return (struct dray_attach_req){
        .stream = dray_http_query_bool(h, "stream", false),
        .stdin_ = dray_http_query_bool(h, "stdin", false),
        .stdout_ = dray_http_query_bool(h, "stdout", false),
        .stderr_ = dray_http_query_bool(h, "stderr", false),
        .logs = dray_http_query_bool(h, "logs", false),
        .detach_keys = keys && *keys ? keys : NULL,
        .api_version = dray_http_version(h),
    };
}

int dray_api_attach(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *name = dray_http_param(h, "name");
    struct dray_attach_req req = attach_request(h);
    bool tty = false;
    int sock = -1;
    struct dray_attach_ticket *ticket = NULL;
    int rc = dray_containers_attach_prepare(e->containers, name, &req, &tty, &ticket, err);
    /* As Docker: only who upgrades is told that the stream has frames. */
    bool upgrade = dray_http_header_in(h, "Upgrade") != NULL;
    if (!rc)
        rc = dray_http_hijack(h, dray_api_stream_type(h, tty || !upgrade), &sock, err);
    if (!rc)
        return dray_containers_attach(ticket, &req, sock, err);
    dray_attach_ticket_drop(ticket);
    return rc;
}

/* A WebSocket carries both outputs as they come, without frames of Docker's. */
int dray_api_attach_ws(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *name = dray_http_param(h, "name");
    struct dray_attach_req req = attach_request(h);
    struct dray_websocket w;
    bool tty = false;
    req.plain = true;
    struct dray_attach_ticket *ticket = NULL;
    int rc = dray_containers_attach_prepare(e->containers, name, &req, &tty, &ticket, err);
    if (!rc)
        rc = dray_websocket_open(h, &w, err);
    if (rc) {
        dray_attach_ticket_drop(ticket);
        return rc;
    }
    rc = dray_containers_attach(ticket, &req, w.inner, err);
    dray_websocket_close(&w);
    return rc;
}

/* ---- Wait ---- */

static int check_condition(const char *text, struct dray_err *err)
{
    static const char *const known[] = {"not-running", "next-exit", "removed"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(text, known[i]) == 0)
            return 0;
    return dray_fail(err, DRAY_E_INVAL, "invalid condition: \"%s\"", text);
}

static struct json_object *wait_answer(struct dray_waiter *w)
{
    char text[256] = "";
    int code = 0;
    int rc = dray_waiter_result(w, &code, text);
    struct json_object *o = json_object_new_object();
    dray_json_add_int(o, "StatusCode", rc ? -1 : code);
    if (text[0]) {
        struct json_object *error = json_object_new_object();
        dray_json_add_str(error, "Message", text);
        dray_json_add(o, "Error", error);
    }
    return o;
}

int dray_api_wait(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    /* Conditions, and the head that comes at once, are of 1.30. */
    bool modern = dray_http_version(h) >= 130;
    const char *condition = modern ? dray_http_query(h, "condition") : NULL;
    if (!condition || !*condition)
        condition = "not-running";
    int rc = check_condition(condition, err);
    struct dray_waiter *w = NULL;
    if (!rc)
        rc = dray_containers_wait_begin(e->containers, dray_http_param(h, "name"), condition, &w,
                                        err);
    if (rc)
        return rc;
    struct pollfd p[2] = {{.fd = dray_waiter_fd(w), .events = POLLIN},
                          {.fd = dray_http_cancel_fd(h), .events = POLLIN}};
    bool ready = poll(p, 1, 0) == 1;
    /* An answer that is there goes out whole, and leaves the connection open for the next. */
    if (!ready && modern)
        rc = dray_http_stream(h, 200, "application/json", err);
    while (!rc && !ready) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            rc = dray_fail_errno(err, "wait");
        ready = p[0].revents != 0;
        if (!ready && p[1].revents)
            rc = DRAY_E_CANCELED;
    }
    if (!rc && dray_http_streaming(h))
        rc = dray_http_write_json(h, wait_answer(w));
    else if (!rc)
        rc = dray_http_reply_json(h, 200, wait_answer(w));
    dray_waiter_free(w);
    return rc;
}

/* ---- Stats ---- */

static struct json_object *no_cpu(void)
{
    struct json_object *cpu = json_object_new_object();
    struct json_object *usage = json_object_new_object();
    struct json_object *throttling = json_object_new_object();
    static const char *const usages[] = {"total_usage", "usage_in_kernelmode", "usage_in_usermode"};
    static const char *const limits[] = {"periods", "throttled_periods", "throttled_time"};
    for (size_t i = 0; i < 3; i++) {
        dray_json_add_int(usage, usages[i], 0);
        dray_json_add_int(throttling, limits[i], 0);
    }
    dray_json_add(cpu, "cpu_usage", usage);
    dray_json_add(cpu, "throttling_data", throttling);
    return cpu;
}

static struct json_object *no_blkio(void)
{
    static const char *const lists[] = {"service_bytes", "serviced", "queue", "service_time",
                                        "wait_time",     "merged",   "time"};
    struct json_object *o = json_object_new_object();
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        char key[40];
        (void)snprintf(key, sizeof key, "io_%s_recursive", lists[i]);
        dray_json_add(o, key, NULL);
    }
    dray_json_add(o, "sectors_recursive", NULL);
    return o;
}

/* Fill what compares a sample with the one before; a container that is down has neither. */
static void add_previous(struct json_object *sample, struct json_object *before)
{
    struct json_object *cpu = dray_json_obj(before, "cpu_stats");
    dray_json_add_str(sample, "preread", dray_json_str(before, "read", DRAY_TIME_ZERO));
    dray_json_add(sample, "precpu_stats", cpu ? dray_json_copy(cpu) : no_cpu());
    static const char *const objects[] = {"pids_stats", "memory_stats", "storage_stats"};
    if (!dray_json_obj(sample, "blkio_stats"))
        dray_json_add(sample, "blkio_stats", no_blkio());
    for (size_t i = 0; i < sizeof objects / sizeof objects[0]; i++)
        if (!dray_json_obj(sample, objects[i]))
            dray_json_add(sample, objects[i], json_object_new_object());
    if (!dray_json_get(sample, "num_procs"))
        dray_json_add_int(sample, "num_procs", 0);
    if (!dray_json_obj(sample, "cpu_stats"))
        dray_json_add(sample, "cpu_stats", no_cpu());
}

static int stream_stats(struct dray_http *h, struct dray_engine *e, struct json_object *first,
                        struct dray_err *err)
{
    dray_autojson *before = json_object_get(first);
    int rc = dray_http_stream(h, 200, "application/json", err);
    for (int ms = FIRST_SAMPLE_MS; !rc && pause_for(h, ms); ms = SAMPLE_MS) {
        struct json_object *now = NULL;
        /* The end of the container, when it is removed, is the end of the stream. */
        if (dray_containers_stats(e->containers, dray_http_param(h, "name"), &now, NULL))
            return 0;
        dray_autojson *shown = dray_json_copy(now);
        add_previous(shown, before);
        json_object_put(before);
        before = now;
        rc = dray_http_write_json(h, json_object_get(shown));
    }
    return rc == DRAY_E_CANCELED ? 0 : rc;
}

int dray_api_stats(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *name = dray_http_param(h, "name");
    bool stream = dray_http_query_bool(h, "stream", true);
    bool one_shot = dray_http_query_bool(h, "one-shot", false);
    if (stream && one_shot)
        return dray_fail(err, DRAY_E_INVAL, "cannot have stream=true and one-shot=true");
    struct json_object *now = NULL;
    int rc = dray_containers_stats(e->containers, name, &now, err);
    if (rc)
        return rc;
    dray_autojson *first = now;
    if (stream)
        return stream_stats(h, e, first, err);
    bool running = dray_json_obj(first, "cpu_stats") != NULL;
    if (one_shot || !running || !pause_for(h, FIRST_SAMPLE_MS)) {
        add_previous(first, NULL);
        return dray_http_reply_json(h, 200, json_object_get(first));
    }
    rc = dray_containers_stats(e->containers, name, &now, err);
    if (rc)
        return rc;
    add_previous(now, first);
    return dray_http_reply_json(h, 200, now);
}
