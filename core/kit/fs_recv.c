/* SPDX-License-Identifier: Apache-2.0 */
/* fs_recv.c - receives a tree of a client's. Content is asked for ahead, as much as may lie in
 * memory; a large file comes alone, and goes through. */
#include "kit/fs.h"
#include "kit/pb.h"

#include <poll.h>

#define ENTRIES_MAX 2000000u
#define AHEAD_MAX 64u
#define AHEAD_BYTES ((int64_t)4 << 20)

/** A file whose content is wanted, or a hard link that waits for its file. */
struct wanted {
    struct wanted *next;
    struct kit_fs_entry e;
};

struct queue {
    struct wanted *first, **last;
};

/** A file that was asked for. */
struct ahead {
    struct wanted *w; /* NULL: free */
    struct dray_buf data;
    bool through; /* it is passed on as it comes */
    int64_t passed;
};

struct receiver {
    struct grpc_call *call;
    const struct kit_fs_sink *sink;
    int cancel_fd;
    uint32_t n_entries;
    bool told;    /* the sender has told of all */
    bool through; /* a large file is being passed on: nothing else may be until its end */
    struct queue files, links, others; /* others: what was told of meanwhile */
    struct ahead ahead[AHEAD_MAX];
    unsigned n_ahead;
    int64_t ahead_bytes, received;
};

static void wanted_free(struct wanted *w)
{
    if (w)
        kit_fs_entry_fini(&w->e);
    free(w);
}

static void push(struct queue *q, struct wanted *w)
{
    *q->last = w;
    q->last = &w->next;
}

static struct wanted *pop(struct queue *q)
{
    struct wanted *w = q->first;
    if (w) {
        q->first = w->next;
        w->next = NULL;
        if (!q->first)
            q->last = &q->first;
    }
    return w;
}

static int send_packet(struct receiver *r, enum kit_fs_packet type, uint32_t id,
                       struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    pb_uint(&b, 1, type);
    pb_uint(&b, 3, id);
    return grpc_send(r->call, b.data ? b.data : "", b.len, r->cancel_fd, err);
}

/* ---- Asking ---- */

/* May the next file be asked for now? */
static bool room_for(const struct receiver *r, const struct kit_fs_entry *e)
{
    if (r->n_ahead == 0)
        return true;
    return r->n_ahead < AHEAD_MAX && e->size <= AHEAD_BYTES - r->ahead_bytes;
}

static int ask(struct receiver *r, struct dray_err *err)
{
    int rc = 0;
    while (!rc && r->files.first && room_for(r, &r->files.first->e)) {
        struct ahead *a = r->ahead;
        while (a->w)
            a++;
        a->w = pop(&r->files);
        a->passed = 0;
        a->through = a->w->e.size > AHEAD_BYTES;
        r->n_ahead++;
        r->ahead_bytes += a->w->e.size;
        r->through = a->through;
        if (a->through)
            rc = r->sink->entry(r->sink->ctx, &a->w->e, err);
        if (!rc)
            rc = send_packet(r, FS_REQ, a->w->e.id, err);
    }
    return rc;
}

/* ---- What comes ---- */

/* Pass an entry on, or have it wait: for its content, for the file that it links to. */
static int place(struct receiver *r, struct wanted *w /* takes */, struct dray_err *err)
{
    if (r->through) {
        push(&r->others, w);
        return 0;
    }
    int rc = r->sink->have ? r->sink->have(r->sink->ctx, &w->e, err) : 0;
    if (rc == 0 && S_ISREG(w->e.mode)) {
        push(w->e.link && *w->e.link ? &r->links : &r->files, w);
        return 0;
    }
    if (rc == 0 && !S_ISSOCK(w->e.mode))
        rc = r->sink->entry(r->sink->ctx, &w->e, err);
    wanted_free(w);
    return rc < 0 ? rc : 0;
}

static int take_stat(struct receiver *r, const struct pb_field *stat, struct dray_err *err)
{
    uint32_t id = r->n_entries++;
    if (r->told || id >= ENTRIES_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "the client sends more than %u files", ENTRIES_MAX);
    struct wanted *w = calloc(1, sizeof *w);
    if (!w)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = kit_fs_entry_read(stat, &w->e, err);
    if (rc) {
        wanted_free(w);
        return rc;
    }
    w->e.id = id;
    return place(r, w, err);
}

/* A file of the size that was told: cut, or filled up, when it has changed meanwhile. */
static int pass_on(struct receiver *r, struct ahead *a, const char *data, size_t len,
                   struct dray_err *err)
{
    int64_t left = a->w->e.size - a->passed;
    size_t n = (int64_t)len < left ? len : (size_t)left;
    a->passed += (int64_t)n;
    if (n < len && r->sink->odd)
        r->sink->odd(r->sink->ctx, a->w->e.id);
    return n ? r->sink->data(r->sink->ctx, data, n, err) : 0;
}

static int end_through(struct receiver *r, struct ahead *a, struct dray_err *err)
{
    static const char zeros[65536];
    struct pollfd cancel = {.fd = r->cancel_fd, .events = POLLIN};
    int rc = 0;
    if (a->passed < a->w->e.size && r->sink->odd)
        r->sink->odd(r->sink->ctx, a->w->e.id);
    /* A client that gives up says that this was all of the file, too. */
    while (!rc && a->passed < a->w->e.size)
        rc = poll(&cancel, 1, 0) > 0 ? dray_fail(err, DRAY_E_CANCELED, "canceled")
                                     : pass_on(r, a, zeros, sizeof zeros, err);
    r->through = false;
    for (struct wanted *w; !rc && (w = pop(&r->others)) != NULL;)
        rc = place(r, w, err);
    return rc;
}

static int end_file(struct receiver *r, struct ahead *a, struct dray_err *err)
{
    int rc = 0;
    r->n_ahead--;
    r->ahead_bytes -= a->w->e.size;
    if (a->through) {
        rc = end_through(r, a, err);
    } else {
        bool odd = a->w->e.size != (int64_t)a->data.len;
        a->w->e.size = (int64_t)a->data.len;
        rc = r->sink->entry(r->sink->ctx, &a->w->e, err);
        if (!rc && a->data.len)
            rc = r->sink->data(r->sink->ctx, a->data.data, a->data.len, err);
        if (odd && r->sink->odd)
            r->sink->odd(r->sink->ctx, a->w->e.id);
        dray_buf_reset(&a->data);
    }
    wanted_free(a->w);
    a->w = NULL;
    return rc;
}

static int take_data(struct receiver *r, uint32_t id, const char *data, size_t len,
                     struct dray_err *err)
{
    struct ahead *a = NULL;
    for (size_t i = 0; i < AHEAD_MAX && !a; i++)
        if (r->ahead[i].w && r->ahead[i].w->e.id == id)
            a = &r->ahead[i];
    if (!a)
        return dray_fail(err, DRAY_E_INVAL, "invalid file request %u", id);
    r->received += (int64_t)len;
    if (r->sink->progress)
        r->sink->progress(r->sink->ctx, r->received);
    if (len == 0)
        return end_file(r, a, err);
    if (a->through)
        return pass_on(r, a, data, len, err);
    /* It may have grown, but not without end. */
    if ((int64_t)(a->data.len + len) > a->w->e.size + AHEAD_BYTES)
        len = 0;
    dray_buf_add(&a->data, data, len);
    return a->data.failed ? dray_fail(err, DRAY_E_NOMEM, "out of memory") : 0;
}

struct packet {
    uint64_t type;
    uint32_t id;
    bool has_stat;
    struct pb_field stat, data;
};

static int take_packet(struct receiver *r, const struct dray_buf *msg, bool *fin,
                       struct dray_err *err)
{
    struct packet p = {0};
    struct pb m = pb_open(msg->data, msg->len);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        if (f.number == 1)
            p.type = f.value;
        else if (f.number == 2 && f.data)
            p.stat = f, p.has_stat = true;
        else if (f.number == 3)
            p.id = (uint32_t)f.value;
        else if (f.number == 4 && f.data)
            p.data = f;
    }
    if (m.bad)
        return dray_fail(err, DRAY_E_CORRUPT, "the client sends a malformed packet");
    if (p.type == FS_STAT && p.has_stat)
        return take_stat(r, &p.stat, err);
    if (p.type == FS_DATA)
        return take_data(r, p.id, p.data.data, p.data.len, err);
    if (p.type == FS_ERR)
        return dray_fail(err, DRAY_E_INVAL, "%.*s", (int)p.data.len,
                         p.data.data ? p.data.data : "");
    r->told = r->told || p.type == FS_STAT;
    *fin = p.type == FS_FIN;
    return 0;
}

/* ---- The whole ---- */

static int next_packet(struct receiver *r, struct dray_buf *msg, bool *fin, struct dray_err *err)
{
    int rc = grpc_recv(r->call, msg, r->cancel_fd, err);
    if (rc == 0)
        return dray_fail(err, DRAY_E_CORRUPT, "the client has ended a transfer amid it");
    return rc < 0 ? rc : take_packet(r, msg, fin, err);
}

static int put_links(struct receiver *r, struct dray_err *err)
{
    int rc = 0;
    for (struct wanted *w; !rc && (w = pop(&r->links)) != NULL; wanted_free(w))
        rc = r->sink->entry(r->sink->ctx, &w->e, err);
    return rc;
}

static int receive(struct receiver *r, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) msg = {0};
    bool fin = false;
    int rc = 0;
    while (!rc && !fin && !(r->told && !r->files.first && r->n_ahead == 0)) {
        rc = next_packet(r, &msg, &fin, err);
        if (!rc && fin)
            rc = dray_fail(err, DRAY_E_CORRUPT, "the client has ended a transfer amid it");
        if (!rc)
            rc = ask(r, err);
    }
    if (!rc)
        rc = put_links(r, err);
    if (!rc)
        rc = send_packet(r, FS_FIN, 0, err);
    while (!rc && !fin)
        rc = next_packet(r, &msg, &fin, err);
    grpc_send_end(r->call);
    return rc;
}

static bool plain(const struct dray_strs *s)
{
    for (uint64_t i = 0; i < s->n; i++)
        for (const char *p = s->v[i]; *p; p++)
            if (*p < ' ' || *p > '~')
                return false;
    return true;
}

/* As Go's url.QueryEscape. */
static char *escape(const char *text)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    DRAY_AUTO(dray_buf) b = {0};
    for (; *text; text++) {
        if (strchr(safe, *text))
            dray_buf_addc(&b, *text);
        else
            dray_buf_addf(&b, "%%%02X", (unsigned)(unsigned char)*text);
    }
    return dray_buf_steal(&b);
}

/* Patterns go into headers, which are ASCII: a mark says that they are encoded. */
static bool add_patterns(struct dray_kvlist *md, const char *key, const struct dray_strs *s)
{
    bool as_is = plain(s), ok = true;
    for (uint64_t i = 0; ok && i < s->n; i++) {
        dray_autofree char *coded = as_is ? NULL : escape(s->v[i]);
        ok = (as_is || coded) && dray_kvlist_add(md, key, as_is ? s->v[i] : coded);
    }
    dray_autofree char *mark = as_is ? NULL : dray_strf("%s-encoded", key);
    return ok && (as_is || (mark && dray_kvlist_add(md, mark, "1")));
}

static void receiver_fini(struct receiver *r)
{
    for (struct wanted *w; (w = pop(&r->files)) != NULL;)
        wanted_free(w);
    for (struct wanted *w; (w = pop(&r->links)) != NULL;)
        wanted_free(w);
    for (struct wanted *w; (w = pop(&r->others)) != NULL;)
        wanted_free(w);
    for (size_t i = 0; i < AHEAD_MAX; i++) {
        wanted_free(r->ahead[i].w);
        dray_buf_free(&r->ahead[i].data);
    }
    grpc_call_free(r->call);
}

int kit_fs_receive(struct grpc_conn *c, const struct kit_fs_req *req,
                   const struct kit_fs_sink *sink, int cancel_fd, struct dray_err *err)
{
    struct receiver r = {.sink = sink, .cancel_fd = cancel_fd};
    DRAY_AUTO(dray_kvlist) md = {0};
    r.files.last = &r.files.first;
    r.links.last = &r.links.first;
    r.others.last = &r.others.first;
    if (!dray_kvlist_add(&md, "dir-name", req->dir) ||
        !add_patterns(&md, "include-patterns", &req->include) ||
        !add_patterns(&md, "exclude-patterns", &req->exclude) ||
        !add_patterns(&md, "followpaths", &req->follow))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = grpc_call_start(c, "/moby.filesync.v1.FileSync/DiffCopy", &md, &r.call, err);
    if (!rc)
        rc = receive(&r, err);
    receiver_fini(&r);
    return rc;
}
