/* SPDX-License-Identifier: Apache-2.0 */
/* netlink.c - sends batches of netlink requests and matches the answers to them. */
#include "netlink.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#define ANSWER_BUF 32768
#define SEND_BUF (16 << 20) /* a transaction of ten thousand elements must fit */

int dray_nl_socket(int protocol)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return -1;
    int on = 1;
    struct timeval limit = {.tv_sec = 10};
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

static struct dray_nl_item *grow(struct dray_nl_batch *b)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 8;
        struct dray_nl_item *v = reallocarray(b->v, cap, sizeof *v);
        if (!v)
            return NULL;
        b->v = v;
        b->cap = cap;
    }
    return &b->v[b->n];
}

struct nl_msg *dray_nl_add(struct dray_nl_batch *b, int type, int flags, size_t size,
                           const char *what, ...)
{
    struct dray_nl_item *it = grow(b);
    struct nl_msg *m = it ? nlmsg_alloc_size(size + 256) : NULL;
    if (!m || !nlmsg_put(m, 0, (uint32_t)b->n + 1, type, 0, flags | NLM_F_REQUEST)) {
        nlmsg_free(m);
        b->failed = true;
        return NULL;
    }
    *it = (struct dray_nl_item){.msg = m};
    va_list ap;
    va_start(ap, what);
    (void)vsnprintf(it->what, sizeof it->what, what, ap);
    va_end(ap);
    b->n++;
    return m;
}

void dray_nl_ignore(struct dray_nl_batch *b, int errnum)
{
    if (!b->n)
        return;
    int *slots = b->v[b->n - 1].ignored;
    for (size_t i = 0; i < 3; i++) {
        if (!slots[i]) {
            slots[i] = errnum;
            return;
        }
    }
}

void dray_nl_batch_free(struct dray_nl_batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        nlmsg_free(b->v[i].msg);
    free(b->v);
    *b = (struct dray_nl_batch){0};
}

static int transmit(int fd, struct dray_nl_batch *b, struct dray_err *err)
{
    if (b->failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    size_t total = 0;
    for (size_t i = 0; i < b->n; i++)
        total += NLMSG_ALIGN(nlmsg_hdr(b->v[i].msg)->nlmsg_len);
    dray_autofree char *all = calloc(1, total ? total : 1);
    if (!all)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char *at = all;
    for (size_t i = 0; i < b->n; i++) {
        const struct nlmsghdr *h = nlmsg_hdr(b->v[i].msg);
        memcpy(at, h, h->nlmsg_len);
        at += NLMSG_ALIGN(h->nlmsg_len);
    }
    struct iovec iov = {.iov_base = all, .iov_len = total};
    int room = SEND_BUF;
    if (total > 65536)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct msghdr mh = {
        .msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = &iov, .msg_iovlen = 1};
    if (sendmsg(fd, &mh, 0) < 0)
        return dray_fail_errno(err, "netlink: send");
    return 0;
}

static ssize_t receive(int fd, char *buf, struct dray_err *err)
{
    for (;;) {
        ssize_t n = recv(fd, buf, ANSWER_BUF, 0);
        if (n > 0)
            return n;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return dray_fail(err, DRAY_E_TIMEOUT, "netlink: the kernel did not answer");
        return dray_fail_errno(err, "netlink: receive");
    }
}

static bool ignorable(const struct dray_nl_item *it, int errnum)
{
    for (size_t i = 0; i < 3; i++)
        if (it->ignored[i] == errnum)
            return true;
    return false;
}

/* Extended acknowledgements carry the kernel's own words. */
static const char *kernel_words(const struct nlmsghdr *h)
{
    const struct nlmsgerr *e = nlmsg_data(h);
    if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
        return NULL;
    size_t skip = sizeof *e;
    if (!(h->nlmsg_flags & NLM_F_CAPPED))
        skip += e->msg.nlmsg_len - sizeof(struct nlmsghdr);
    struct nlattr *a =
        nlmsg_find_attr((struct nlmsghdr *)(uintptr_t)h, (int)skip, NLMSGERR_ATTR_MSG);
    return a ? nla_get_string(a) : NULL;
}

static int code_of(int errnum)
{
    switch (errnum) {
    case EEXIST:
    case EBUSY:
        return DRAY_E_CONFLICT;
    case ENOENT:
    case ENODEV:
    case ESRCH:
        return DRAY_E_NOTFOUND;
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
        return DRAY_E_NOTSUP;
    case ENOMEM:
        return DRAY_E_NOMEM;
    default:
        return DRAY_E_IO;
    }
}

static int report(const struct nlmsghdr *h, const struct dray_nl_item *it, struct dray_err *err)
{
    const struct nlmsgerr *e = nlmsg_data(h);
    const char *words = kernel_words(h);
    char buf[96];
    const char *why = strerror_r(-e->error, buf, sizeof buf);
    int rc = dray_fail(err, code_of(-e->error), "%s: %s%s%s%s", it ? it->what : "netlink", why,
                       words ? " (" : "", words ? words : "", words ? ")" : "");
    if (err)
        err->os_errno = -e->error;
    return rc;
}

struct answers {
    struct dray_nl_batch *batch;
    uint32_t last; /* seq whose answer ends the wait */
    bool done;
    int rc; /* of the first failure */
};

static void take_answer(struct answers *a, const struct nlmsghdr *h, struct dray_err *err)
{
    if (h->nlmsg_type != NLMSG_ERROR)
        return;
    const struct nlmsgerr *e = nlmsg_data(h);
    size_t i = h->nlmsg_seq - 1u;
    const struct dray_nl_item *it = i < a->batch->n ? &a->batch->v[i] : NULL;
    if (e->error && !(it && ignorable(it, -e->error)) && !a->rc)
        a->rc = report(h, it, err);
    if (h->nlmsg_seq == a->last)
        a->done = true;
}

int dray_nl_send(int fd, struct dray_nl_batch *b, struct dray_err *err)
{
    if (!b->n && !b->failed)
        return 0;
    int rc = transmit(fd, b, err);
    if (rc)
        return rc;
    struct answers a = {.batch = b};
    for (size_t i = 0; i < b->n; i++)
        if (nlmsg_hdr(b->v[i].msg)->nlmsg_flags & NLM_F_ACK)
            a.last = (uint32_t)i + 1;
    dray_autofree char *buf = malloc(ANSWER_BUF);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    /* A transaction that is refused as a whole never answers its last message: stop at the first
     * failure; the socket is not used again after one. */
    while (a.last && !a.done && !a.rc) {
        ssize_t n = receive(fd, buf, err);
        if (n < 0)
            return (int)n;
        int left = (int)n;
        for (struct nlmsghdr *h = (void *)buf; nlmsg_ok(h, left); h = nlmsg_next(h, &left))
            take_answer(&a, h, err);
    }
    return a.rc;
}

/* 1: the dump has ended; 0: go on; negative: failed. */
static int feed(const struct nlmsghdr *h, const struct dray_nl_item *it, dray_nl_dump_fn fn,
                void *ctx, struct dray_err *err)
{
    if (h->nlmsg_type == NLMSG_DONE)
        return 1;
    if (h->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *e = nlmsg_data(h);
        return e->error ? report(h, it, err) : 1;
    }
    if (h->nlmsg_type >= NLMSG_MIN_TYPE && fn(h, ctx))
        return 1;
    return h->nlmsg_flags & NLM_F_MULTI ? 0 : 1;
}

int dray_nl_dump(int fd, struct dray_nl_batch *b, dray_nl_dump_fn fn, void *ctx,
                 struct dray_err *err)
{
    int rc = transmit(fd, b, err);
    if (rc)
        return rc;
    dray_autofree char *buf = malloc(ANSWER_BUF);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (;;) {
        ssize_t n = receive(fd, buf, err);
        if (n < 0)
            return (int)n;
        int left = (int)n;
        for (struct nlmsghdr *h = (void *)buf; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
            rc = feed(h, &b->v[0], fn, ctx, err);
            if (rc)
                return rc < 0 ? rc : 0;
        }
    }
}
