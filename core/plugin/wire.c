/* SPDX-License-Identifier: Apache-2.0 */
/* wire.c - values as bytes, and messages over a socket. */
#include "plugin/wire.h"

#include "plugin/registry.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#define NONE UINT32_MAX

struct head {
    uint32_t len;
    uint16_t type;
    uint16_t n_fds;
    uint64_t id;
};

void dray_wire_cleanup(struct dray_wire *w)
{
    for (size_t i = 0; w->own_fds && i < w->n_fds; i++)
        dray_cleanup_fd(&w->fds[i]);
    dray_buf_free(&w->buf);
    *w = (struct dray_wire){0};
}

/* --- numbers and text --------------------------------------------------------------------------*/

static void take(struct dray_wire *w, void *out, size_t n)
{
    if (w->failed || n > w->buf.len - w->at) {
        w->failed = true;
        memset(out, 0, n);
        return;
    }
    memcpy(out, w->buf.data + w->at, n);
    w->at += n;
}

void dray_wire_put_u32(struct dray_wire *w, uint32_t v)
{
    dray_buf_add(&w->buf, &v, sizeof v);
}

uint32_t dray_wire_get_u32(struct dray_wire *w)
{
    uint32_t v;
    take(w, &v, sizeof v);
    return v;
}

void dray_wire_put_u64(struct dray_wire *w, uint64_t v)
{
    dray_buf_add(&w->buf, &v, sizeof v);
}

uint64_t dray_wire_get_u64(struct dray_wire *w)
{
    uint64_t v;
    take(w, &v, sizeof v);
    return v;
}

static void put_bytes(struct dray_wire *w, const void *data, uint64_t len)
{
    if (len > DRAY_WIRE_MAX) {
        w->failed = true;
        return;
    }
    dray_wire_put_u32(w, (uint32_t)len);
    if (len)
        dray_buf_add(&w->buf, data, (size_t)len);
}

/* A copy with a NUL behind it; NULL for what was NULL. */
static char *get_bytes(struct dray_wire *w, uint64_t *len_out)
{
    uint32_t len = dray_wire_get_u32(w);
    *len_out = 0;
    if (w->failed || len == NONE)
        return NULL;
    if (len > w->buf.len - w->at) {
        w->failed = true;
        return NULL;
    }
    char *copy = w->alloc(w->ctx, (uint64_t)len + 1);
    if (!copy) {
        w->failed = true;
        return NULL;
    }
    memcpy(copy, w->buf.data + w->at, len);
    w->at += len;
    *len_out = len;
    return copy;
}

void dray_wire_put_str(struct dray_wire *w, const char *text)
{
    if (text)
        put_bytes(w, text, strlen(text));
    else
        dray_wire_put_u32(w, NONE);
}

static const char *get_text(struct dray_wire *w)
{
    uint64_t len;
    return get_bytes(w, &len);
}

const char *dray_wire_get_str(struct dray_wire *w)
{
    const char *text = get_text(w);
    return text ? text : "";
}

/* --- lists -------------------------------------------------------------------------------------*/

/* Room for a list of n; what is left of the message bounds n. */
static void *get_list(struct dray_wire *w, uint64_t *n_out, size_t each, size_t least)
{
    uint64_t n = dray_wire_get_u64(w);
    if (w->failed || n > (w->buf.len - w->at) / least)
        w->failed = true;
    *n_out = w->failed ? 0 : n;
    void *v = *n_out ? w->alloc(w->ctx, n * each) : NULL;
    if (*n_out && !v) {
        w->failed = true;
        *n_out = 0;
    }
    return v;
}

static void put_kvs(struct dray_wire *w, const struct dray_kvs *l)
{
    dray_wire_put_u64(w, l->n);
    for (uint64_t i = 0; i < l->n; i++) {
        dray_wire_put_str(w, l->v[i].key);
        dray_wire_put_str(w, l->v[i].value);
    }
}

static void get_kvs(struct dray_wire *w, struct dray_kvs *out)
{
    uint64_t n;
    struct dray_kv *v = get_list(w, &n, sizeof *v, 8);
    for (uint64_t i = 0; i < n; i++) {
        v[i].key = dray_wire_get_str(w);
        v[i].value = dray_wire_get_str(w);
    }
    *out = (struct dray_kvs){v, n};
}

static void put_strs(struct dray_wire *w, const struct dray_strs *l)
{
    dray_wire_put_u64(w, l->n);
    for (uint64_t i = 0; i < l->n; i++)
        dray_wire_put_str(w, l->v[i]);
}

static void get_strs(struct dray_wire *w, struct dray_strs *out)
{
    uint64_t n;
    const char **v = get_list(w, &n, sizeof *v, 4);
    for (uint64_t i = 0; i < n; i++)
        v[i] = dray_wire_get_str(w);
    *out = (struct dray_strs){v, n};
}

void dray_wire_put_fd(struct dray_wire *w, int fd)
{
    dray_wire_put_u32(w, fd >= 0);
    if (fd < 0)
        return;
    if (w->n_fds == DRAY_WIRE_FDS)
        w->failed = true;
    else
        w->fds[w->n_fds++] = fd;
}

int dray_wire_get_fd(struct dray_wire *w)
{
    bool there = dray_wire_get_u32(w) != 0;
    if (!there || w->failed)
        return -1;
    if (w->next_fd >= w->n_fds) {
        w->failed = true;
        return -1;
    }
    return w->fds[w->next_fd++];
}

/* --- structs -----------------------------------------------------------------------------------*/

struct array {
    void *ptr;
    uint64_t n;
};

static void put_array(struct dray_wire *w, const struct dray_wire_struct *type, const void *v,
                      uint64_t n)
{
    dray_wire_put_u64(w, n);
    for (uint64_t i = 0; i < n; i++)
        dray_wire_put_fields(w, type, (const char *)v + i * type->size);
}

static void get_array(struct dray_wire *w, const struct dray_wire_struct *type, struct array *out)
{
    out->ptr = get_list(w, &out->n, type->size, 4);
    for (uint64_t i = 0; i < out->n; i++)
        dray_wire_get_fields(w, type, (char *)out->ptr + i * type->size);
}

static const void *pointer_at(const void *value)
{
    const void *p;
    memcpy(&p, value, sizeof p);
    return p;
}

/* Bytes whose number is a uint32_t right behind the pointer. */
static void put_short_bytes(struct dray_wire *w, const void *value)
{
    uint32_t len;
    memcpy(&len, (const char *)value + sizeof(void *), sizeof len);
    put_bytes(w, pointer_at(value), len);
}

static void get_short_bytes(struct dray_wire *w, void *value)
{
    uint64_t n;
    const void *data = get_bytes(w, &n);
    uint32_t len = (uint32_t)n;
    memcpy(value, &data, sizeof data);
    memcpy((char *)value + sizeof data, &len, sizeof len);
}

static void put_pointer(struct dray_wire *w, const struct dray_wire_struct *type, const void *obj)
{
    dray_wire_put_u32(w, obj != NULL);
    if (obj)
        dray_wire_put_fields(w, type, obj);
}

static void get_pointer(struct dray_wire *w, const struct dray_wire_struct *type, void *value)
{
    void *obj = dray_wire_get_u32(w) && !w->failed ? w->alloc(w->ctx, type->size) : NULL;
    if (obj)
        dray_wire_get_fields(w, type, obj);
    memcpy(value, &obj, sizeof obj);
}

void dray_wire_put(struct dray_wire *w, enum dray_wire_code code,
                   const struct dray_wire_struct *type, const void *value)
{
    const struct dray_span *span = value;
    const struct array *array = value;
    switch (code) {
    case DRAY_W_STR:
        dray_wire_put_str(w, pointer_at(value));
        break;
    case DRAY_W_U16:
        dray_wire_put_u32(w, *(const uint16_t *)value);
        break;
    case DRAY_W_U32:
        dray_wire_put_u32(w, *(const uint32_t *)value);
        break;
    case DRAY_W_U64:
        dray_wire_put_u64(w, *(const uint64_t *)value);
        break;
    case DRAY_W_KVS:
        put_kvs(w, value);
        break;
    case DRAY_W_STRS:
        put_strs(w, value);
        break;
    case DRAY_W_SPAN:
        put_bytes(w, span->data, span->len);
        break;
    case DRAY_W_FD:
        dray_wire_put_fd(w, *(const int32_t *)value);
        break;
    case DRAY_W_ARRAY:
        put_array(w, type, array->ptr, array->n);
        break;
    case DRAY_W_PTR:
        put_pointer(w, type, pointer_at(value));
        break;
    case DRAY_W_BYTES:
        put_short_bytes(w, value);
        break;
    default:
        w->failed = true;
    }
}

void dray_wire_get(struct dray_wire *w, enum dray_wire_code code,
                   const struct dray_wire_struct *type, void *value)
{
    struct dray_span *span = value;
    const char *text;
    switch (code) {
    case DRAY_W_STR:
        text = get_text(w);
        memcpy(value, &text, sizeof text);
        break;
    case DRAY_W_U16:
        *(uint16_t *)value = (uint16_t)dray_wire_get_u32(w);
        break;
    case DRAY_W_U32:
        *(uint32_t *)value = dray_wire_get_u32(w);
        break;
    case DRAY_W_U64:
        *(uint64_t *)value = dray_wire_get_u64(w);
        break;
    case DRAY_W_KVS:
        get_kvs(w, value);
        break;
    case DRAY_W_STRS:
        get_strs(w, value);
        break;
    case DRAY_W_SPAN:
        span->data = get_bytes(w, &span->len);
        break;
    case DRAY_W_FD:
        *(int32_t *)value = dray_wire_get_fd(w);
        break;
    case DRAY_W_ARRAY:
        get_array(w, type, value);
        break;
    case DRAY_W_PTR:
        get_pointer(w, type, value);
        break;
    case DRAY_W_BYTES:
        get_short_bytes(w, value);
        break;
    default:
        w->failed = true;
    }
}

void dray_wire_put_fields(struct dray_wire *w, const struct dray_wire_struct *type, const void *obj)
{
    for (const struct dray_wire_field *f = type->fields; f->code != DRAY_W_END; f++)
        dray_wire_put(w, f->code, f->type, (const char *)obj + f->offset);
}

void dray_wire_get_fields(struct dray_wire *w, const struct dray_wire_struct *type, void *obj)
{
    if (!type->bare)
        *(uint32_t *)obj = (uint32_t)type->size;
    for (const struct dray_wire_field *f = type->fields; f->code != DRAY_W_END; f++)
        dray_wire_get(w, f->code, f->type, (char *)obj + f->offset);
}

void *dray_wire_blank(struct dray_wire *w, const struct dray_wire_struct *type)
{
    char *obj = w->alloc(w->ctx, type->size);
    if (obj && !type->bare)
        *(uint32_t *)(void *)obj = (uint32_t)type->size;
    for (const struct dray_wire_field *f = type->fields; obj && f->code != DRAY_W_END; f++)
        if (f->code == DRAY_W_FD)
            *(int32_t *)(void *)(obj + f->offset) = -1;
    w->failed = w->failed || !obj;
    return obj;
}

/* --- memory ------------------------------------------------------------------------------------*/

#define BLOCK_SIZE ((size_t)8192)

struct dray_wire_block {
    struct dray_wire_block *next;
    size_t used, size;
    _Alignas(16) char data[];
};

void *dray_wire_arena_alloc(void *arena, uint64_t n)
{
    struct dray_wire_arena *a = arena;
    struct dray_wire_block *b = a->blocks;
    if (n > DRAY_WIRE_MAX * 4)
        return NULL;
    size_t need = ((size_t)n + 15) & ~(size_t)15;
    if (!b || b->size - b->used < need) {
        size_t size = need > BLOCK_SIZE ? need : BLOCK_SIZE;
        b = calloc(1, sizeof *b + size);
        if (!b)
            return NULL;
        b->size = size;
        b->next = a->blocks;
        a->blocks = b;
    }
    void *p = b->data + b->used;
    b->used += need;
    return p;
}

void dray_wire_arena_cleanup(struct dray_wire_arena *a)
{
    while (a->blocks) {
        struct dray_wire_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
}

/* --- results and records -----------------------------------------------------------------------*/

void dray_wire_put_err(struct dray_wire *w, int rc, const struct dray_err *err)
{
    dray_wire_put_u32(w, (uint32_t)rc);
    dray_wire_put_u32(w, (uint32_t)err->code);
    dray_wire_put_u32(w, (uint32_t)err->os_errno);
    dray_wire_put_u32(w, err->flags);
    put_bytes(w, err->text, strnlen(err->text, sizeof err->text));
}

int dray_wire_get_err(struct dray_wire *w, struct dray_err *err)
{
    struct dray_err e = {0};
    int rc = (int)dray_wire_get_u32(w);
    e.code = (int32_t)dray_wire_get_u32(w);
    e.os_errno = (int32_t)dray_wire_get_u32(w);
    e.flags = dray_wire_get_u32(w);
    (void)snprintf(e.text, sizeof e.text, "%s", dray_wire_get_str(w));
    if (rc && err)
        *err = e;
    return rc;
}

void dray_wire_put_record(struct dray_wire *w, const struct dray_record *rec)
{
    dray_wire_put_u32(w, rec->type);
    put_kvs(w, &rec->fields);
}

void dray_wire_get_record(struct dray_wire *w, struct dray_record *rec)
{
    rec->size = sizeof *rec;
    rec->type = dray_wire_get_u32(w);
    get_kvs(w, &rec->fields);
}

/* --- messages ----------------------------------------------------------------------------------*/

union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(DRAY_WIRE_FDS * sizeof(int))];
};

static void attach(struct msghdr *m, union control *control, const struct dray_wire *w)
{
    if (!w->n_fds)
        return;
    m->msg_control = control->room;
    m->msg_controllen = CMSG_SPACE(w->n_fds * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(w->n_fds * sizeof(int));
    memcpy(CMSG_DATA(c), w->fds, w->n_fds * sizeof(int));
}

static int wait_ready(int sock, short events, uint64_t deadline_ns, struct dray_err *err)
{
    struct pollfd p = {.fd = sock, .events = events};
    for (;;) {
        uint64_t now = deadline_ns ? dray_mono_ns() : 0;
        uint64_t left = deadline_ns > now ? (deadline_ns - now) / 1000000 + 1 : 0;
        int n = poll(&p, 1, !deadline_ns ? -1 : left < INT_MAX ? (int)left : INT_MAX);
        if (n > 0)
            return 0;
        if (n == 0 && deadline_ns && dray_mono_ns() >= deadline_ns)
            return dray_fail(err, DRAY_E_TIMEOUT, "the plugin's process does not answer");
        if (n < 0 && errno != EINTR)
            return dray_fail_errno(err, "wait for the plugin's process");
    }
}

int dray_wire_send(int sock, const struct dray_wire *w, uint64_t deadline_ns, struct dray_err *err)
{
    if (w->failed || w->buf.failed || w->buf.len > DRAY_WIRE_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "the call is too large for another process");
    struct head h = {(uint32_t)w->buf.len, (uint16_t)w->type, (uint16_t)w->n_fds, w->id};
    struct iovec iov[2] = {{&h, sizeof h}, {w->buf.data, w->buf.len}};
    union control control = {.room = {0}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    attach(&m, &control, w);
    size_t left = sizeof h + w->buf.len;
    while (left) {
        ssize_t n = sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            int rc = wait_ready(sock, POLLOUT, deadline_ns, err);
            if (rc)
                return rc;
            continue;
        }
        if (n < 0)
            return dray_fail(err, DRAY_E_UNAVAIL, "send to the plugin's process: %s",
                             strerror(errno));
        left -= (size_t)n;
        m.msg_control = NULL;
        m.msg_controllen = 0;
        for (size_t i = 0; i < 2; i++) {
            size_t used = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;
            iov[i].iov_base = (char *)iov[i].iov_base + used;
            iov[i].iov_len -= used;
            n -= (ssize_t)used;
        }
    }
    return 0;
}

static int gone(struct dray_err *err)
{
    return dray_fail(err, DRAY_E_UNAVAIL, "the plugin's process has ended");
}

static void keep_fds(struct msghdr *m, struct dray_wire *w)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (w->n_fds < DRAY_WIRE_FDS)
                w->fds[w->n_fds++] = fd;
            else
                (void)close(fd);
        }
    }
}

static int recv_head(int sock, uint64_t deadline_ns, struct head *h, struct dray_wire *w,
                     struct dray_err *err)
{
    union control control = {.room = {0}};
    struct iovec iov = {h, sizeof *h};
    size_t got = 0;
    w->own_fds = true;
    while (got < sizeof *h) {
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control.room,
                           .msg_controllen = sizeof control.room};
        int rc = wait_ready(sock, POLLIN, deadline_ns, err);
        if (rc)
            return rc;
        ssize_t n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return gone(err);
        keep_fds(&m, w);
        got += (size_t)n;
        iov.iov_base = (char *)h + got;
        iov.iov_len = sizeof *h - got;
    }
    return 0;
}

static int recv_body(int sock, uint64_t deadline_ns, size_t len, struct dray_wire *w,
                     struct dray_err *err)
{
    char *room = dray_buf_room(&w->buf, len + 1);
    if (!room)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t got = 0; got < len;) {
        int rc = wait_ready(sock, POLLIN, deadline_ns, err);
        if (rc)
            return rc;
        ssize_t n = recv(sock, room + got, len - got, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return gone(err);
        got += (size_t)n;
    }
    w->buf.len = len;
    room[len] = '\0';
    return 0;
}

int dray_wire_recv(int sock, int timeout_ms, struct dray_wire *out, struct dray_err *err)
{
    struct head h = {0};
    uint64_t deadline_ns = timeout_ms < 0 ? 0 : dray_mono_ns() + (uint64_t)timeout_ms * 1000000;
    int rc = recv_head(sock, deadline_ns, &h, out, err);
    if (rc)
        return rc;
    if (h.len > DRAY_WIRE_MAX || h.n_fds != out->n_fds)
        return dray_fail(err, DRAY_E_CORRUPT, "the plugin's process sent what is no message");
    out->type = h.type;
    out->id = h.id;
    return recv_body(sock, deadline_ns, h.len, out, err);
}
