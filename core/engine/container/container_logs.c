/* SPDX-License-Identifier: Apache-2.0 */
/* container_logs.c - GET /containers/{id}/logs: from a log driver's records to Docker's stream. */
#include "base/buf.h"
#include "base/json.h"
#include "engine/container/container.h"
#include "engine/spec/log_opts.h"
#include "shim/protocol.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define PIPE_BYTES (1 << 20)
#define READ_BYTES (256 * 1024)
#define FLUSH_BYTES (64 * 1024)

/** What the reading thread needs; it outlives nothing: joined before the request ends. */
struct reader {
    struct dray_driver *driver;
    struct dray_log_info info;
    struct dray_log_query query;
    int out;    /* write end of the pipe */
    int cancel; /* eventfd */
    int rc;
    struct dray_err err;
};

/** One request: records come in, bytes go out. */
struct logs {
    const struct dray_logs_req *req;
    bool tty;
    dray_write_fn fn;
    void *ctx;
    struct dray_buf in;  /* undecoded */
    struct dray_buf out; /* to be sent */
    bool partial[3];     /* the stream's last record had no newline */
};

static void *read_thread(void *arg)
{
    struct reader *r = arg;
    DRAY_AUTO(dray_call_scope) s = {0};
    r->rc = dray_call_enter(&s, r->driver, DRAY_CLASS_DATA, r->cancel, &r->err);
    if (r->rc == 0) {
        const struct dray_log_ops *ops = s.ops;
        r->rc = ops->read(s.self, &s.call, &r->info, &r->query, (struct dray_fd_borrow){r->out},
                          &r->err);
    }
    (void)close(r->out);
    return NULL;
}

static void put_header(struct logs *l, uint8_t stream, size_t len)
{
    const uint32_t be = htonl((uint32_t)len);
    char head[DRAY_FRAME_HEADER] = {(char)stream};
    memcpy(head + 4, &be, 4);
    dray_buf_add(&l->out, head, sizeof head);
}

static void put_record(struct logs *l, const struct dray_log_frame *f, const char *attrs,
                       const char *line)
{
    char time[DRAY_TIME_LEN] = "";
    bool begins = !l->partial[f->stream & 1];
    size_t time_len = 0, attrs_len = 0;
    if (l->req->timestamps && begins) {
        dray_time_format_fixed(f->time_ns, time);
        time_len = strlen(time) + 1;
    }
    if (l->req->details && begins)
        attrs_len = (size_t)f->attrs_len + 1;
    bool newline = !(f->flags & DRAY_LOG_PARTIAL);
    l->partial[f->stream & 1] = !newline;
    if (!l->tty)
        put_header(l, f->stream, time_len + attrs_len + f->len + newline);
    if (time_len > 0) {
        dray_buf_add(&l->out, time, time_len - 1);
        dray_buf_addc(&l->out, ' ');
    }
    if (attrs_len > 0) {
        dray_buf_add(&l->out, attrs, attrs_len - 1);
        dray_buf_addc(&l->out, ' ');
    }
    dray_buf_add(&l->out, line, f->len);
    if (newline)
        dray_buf_addc(&l->out, '\n');
}

static int flush_out(struct logs *l)
{
    if (l->out.len == 0)
        return 0;
    int rc = l->fn(l->ctx, l->out.data, l->out.len);
    l->out.len = 0;
    return rc;
}

/** Turn whole records of the input into output; what is left waits for more. */
static int decode(struct logs *l)
{
    size_t at = 0;
    int rc = 0;
    while (rc == 0 && l->in.len - at >= sizeof(struct dray_log_frame)) {
        struct dray_log_frame f;
        memcpy(&f, l->in.data + at, sizeof f);
        size_t need = sizeof f + f.attrs_len + f.len;
        if (l->in.len - at < need)
            break;
        const char *attrs = l->in.data + at + sizeof f;
        put_record(l, &f, attrs, attrs + f.attrs_len);
        at += need;
        if (l->out.len >= FLUSH_BYTES)
            rc = flush_out(l);
    }
    if (at > 0) {
        memmove(l->in.data, l->in.data + at, l->in.len - at);
        l->in.len -= at;
    }
    return rc == 0 && !l->out.failed ? rc : rc ? rc : DRAY_E_NOMEM;
}

static int pump(struct logs *l, int from)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = from, .events = POLLIN},
                              {.fd = l->req->client, .events = POLLRDHUP}};
        if (poll(p, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return DRAY_E_IO;
        }
        if (p[1].revents & (POLLHUP | POLLERR | POLLRDHUP))
            return DRAY_E_CANCELED;
        if (!p[0].revents)
            continue;
        char *room = dray_buf_room(&l->in, READ_BYTES);
        if (!room)
            return DRAY_E_NOMEM;
        ssize_t n = read(from, room, READ_BYTES);
        if (n <= 0)
            return n == 0 ? 0 : DRAY_E_IO;
        l->in.len += (size_t)n;
        int rc = decode(l);
        if (rc == 0)
            rc = flush_out(l);
        if (rc != 0)
            return rc;
    }
}

/** The driver to read with: the container's own, else that of the second copy. */
static struct dray_driver *reading_driver(struct dray_containers *cs, struct json_object *host,
                                          bool *own, struct dray_err *err)
{
    const char *name = dray_json_str(host, "LogConfig.Type", "json-file");
    struct dray_driver *d = dray_drivers_find(cs->engine->drivers, DRAY_KIND_LOG, name);
    *own = d && (dray_driver_features(d) & DRAY_LOG_F_READ);
    if (*own)
        return d;
    bool cached = dray_log_opts_cached(dray_json_obj(host, "LogConfig.Config"));
    if (cached && strcmp(name, "none") != 0)
        return dray_drivers_get(cs->engine->drivers, DRAY_KIND_LOG, DRAY_LOG_CACHE_DRIVER, err);
    dray_fail(err, DRAY_E_NOTSUP, "configured logging driver does not support reading");
    return NULL;
}

int dray_containers_logs_prepare(struct dray_containers *cs, const char *name, bool *tty_out,
                                 struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    dray_autojson *host = dray_container_json(c, &c->host);
    bool own = false;
    if (!reading_driver(cs, host, &own, err))
        return err ? err->code : DRAY_E_NOTSUP;
    *tty_out = c->tty;
    return 0;
}

/** A waiter on the container's end, so that following stops; fd -1 when it does not run. */
static struct dray_waiter *end_of(struct dray_container *c, bool follow)
{
    struct dray_waiter *w = NULL;
    pthread_mutex_lock(&c->lock);
    bool alive = dray_container_alive(c);
    pthread_mutex_unlock(&c->lock);
    if (follow && alive)
        (void)dray_containers_wait_begin(c->set, c->id, "not-running", &w, NULL);
    return w;
}

static int stream(struct logs *l, struct reader *r, struct dray_err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    (void)fcntl(fds[0], F_SETPIPE_SZ, PIPE_BYTES);
    r->out = fds[1];
    pthread_t thread;
    if (pthread_create(&thread, NULL, read_thread, r) != 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return dray_fail_errno(err, "start a thread");
    }
    int rc = pump(l, fds[0]);
    (void)eventfd_write(r->cancel, 1);
    (void)close(fds[0]);
    pthread_join(thread, NULL);
    if (rc == 0 && r->rc != 0 && r->rc != DRAY_E_CANCELED) {
        rc = r->rc;
        if (err)
            *err = r->err;
    }
    return rc == DRAY_E_CANCELED ? 0 : rc;
}

static int read_logs(struct dray_containers *cs, struct dray_container *c,
                     const struct dray_logs_req *req, dray_write_fn fn, void *ctx,
                     struct dray_err *err)
{
    int rc = 0;
    dray_autojson *host = dray_container_json(c, &c->host);
    bool own = false;
    struct dray_driver *d = reading_driver(cs, host, &own, err);
    if (!d)
        return DRAY_E_NOTFOUND;
    DRAY_AUTO(dray_kvlist) opts = {0};
    dray_autojson *given = dray_log_opts_own(dray_json_obj(host, "LogConfig.Config"));
    if (own && (rc = dray_json_to_kvlist(given, &opts, err)) != 0)
        return rc;
    dray_autofree char *dir = dray_strf("%s/containers/%s", cs->engine->config->data_root, c->id);
    struct dray_waiter *end = end_of(c, req->follow);
    dray_autofd int cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct reader r = {
        .driver = d,
        .cancel = cancel,
        .info = {.size = sizeof r.info,
                 .container_id = c->id,
                 .container_name = "",
                 .image_id = c->image_id,
                 .image_name = c->image,
                 .command = "",
                 .daemon_name = "docker",
                 .dir = dir,
                 .created_ns = c->created_ns,
                 .options = dray_kvlist_view(&opts)},
        .query = {.size = sizeof r.query,
                  .flags = (end ? DRAY_LOGQ_FOLLOW : 0) | (req->stdout_ ? DRAY_LOGQ_STDOUT : 0) |
                           (req->stderr_ ? DRAY_LOGQ_STDERR : 0),
                  .since_ns = req->since_ns,
                  .until_ns = req->until_ns,
                  .tail = req->tail,
                  .ended = {end ? dray_waiter_fd(end) : -1}},
    };
    struct logs l = {.req = req, .tty = c->tty || req->raw, .fn = fn, .ctx = ctx};
    rc = stream(&l, &r, err);
    dray_buf_free(&l.in);
    dray_buf_free(&l.out);
    dray_waiter_free(end);
    return rc;
}

int dray_containers_logs(struct dray_containers *cs, const char *name,
                         const struct dray_logs_req *req, dray_write_fn fn, void *ctx,
                         struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    dray_container_folder_hold(c);
    rc = read_logs(cs, c, req, fn, ctx, err);
    dray_container_folder_release(c);
    return rc;
}
