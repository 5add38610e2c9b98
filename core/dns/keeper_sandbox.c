/* SPDX-License-Identifier: Apache-2.0 */
/* keeper_sandbox.c - sockets in containers' namespaces, and the documents that tell of them. */
#include "dns/keeper_priv.h"

#include "base/helper.h"
#include "base/json.h"
#include "base/logging.h"
#include "dns/sockets.h"
#include "dns/worker.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DRAY_LOG_AREA "dns"

struct dray_dns_sandbox *dray_dns_sandbox_find(const struct dray_dns_keeper *k, const char *id)
{
    struct dray_dns_sandbox *s = k->sandboxes;
    while (s && strcmp(s->id, id) != 0)
        s = s->next;
    return s;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -EBADF;
}

void dray_dns_sandbox_close(struct dray_dns_keeper *k, struct dray_dns_sandbox *s)
{
    if (!s)
        return;
    struct dray_dns_sandbox **at = &k->sandboxes;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    close_one(&s->netns);
    close_one(&s->udp);
    close_one(&s->tcp);
    free(s);
}

static bool same_namespace(int a, int b)
{
    struct stat x, y;
    return !fstat(a, &x) && !fstat(b, &y) && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static int listen_in(struct dray_dns_keeper *k, struct dray_dns_sandbox *s, bool again,
                     struct dray_err *err)
{
    int rc = dray_dns_enter(s->netns, err);
    if (rc)
        return rc;
    rc = dray_dns_listen(again, &s->udp, &s->tcp, err);
    if (!dray_dns_enter(k->host_netns, NULL))
        return rc;
    dray_error("cannot return to the host's network namespace");
    abort(); /* whatever came next would be done in the wrong place */
}

int dray_dns_sandbox_open(struct dray_dns_keeper *k, const char *id, int netns /* takes */,
                          bool again, struct dray_dns_sandbox **out, struct dray_err *err)
{
    dray_autofd int fd = netns;
    char name[DRAY_HELPER_DOC];
    if (!dray_helper_doc_name(id, name))
        return dray_fail(err, DRAY_E_INVAL, "invalid id of a container");
    struct dray_dns_sandbox *s = dray_dns_sandbox_find(k, id);
    if (s && (fd < 0 || same_namespace(s->netns, fd))) {
        *out = s;
        return 0;
    }
    if (fd < 0)
        return dray_fail(err, DRAY_E_NOTFOUND, "container %.12s: no network namespace", id);
    dray_dns_sandbox_close(k, s);
    s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *s = (struct dray_dns_sandbox){
        .next = k->sandboxes, .netns = dray_steal_fd(&fd), .udp = -EBADF, .tcp = -EBADF};
    (void)snprintf(s->id, sizeof s->id, "%s", id);
    k->sandboxes = s;
    int rc = listen_in(k, s, again, err);
    if (rc)
        dray_dns_sandbox_close(k, s);
    else
        *out = s;
    return rc;
}

/* Requests of the worker. */

static int open_client(struct dray_dns_keeper *k, const struct dray_dns_want *want)
{
    const struct dray_dns_sandbox *s = dray_dns_sandbox_find(k, want->id);
    if (!s || dray_dns_enter(s->netns, NULL)) {
        errno = ENOENT;
        return -1;
    }
    int fd = dray_dns_client_socket(want->six ? AF_INET6 : AF_INET, want->tcp != 0);
    int saved = errno;
    if (dray_dns_enter(k->host_netns, NULL))
        abort();
    errno = saved;
    return fd;
}

void dray_dns_sandbox_serve(struct dray_dns_keeper *k)
{
    struct dray_dns_want want;
    ssize_t n = recv(k->sockets, &want, sizeof want, MSG_DONTWAIT);
    if (n != (ssize_t)sizeof want || want.id[sizeof want.id - 1])
        return;
    dray_autofd int fd = open_client(k, &want);
    struct dray_dns_got got = {.tag = want.tag, .error = fd < 0 ? errno : 0};
    union {
        char data[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.data = {0}};
    struct iovec io = {.iov_base = &got, .iov_len = sizeof got};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = control.data;
        m.msg_controllen = sizeof control.data;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    /* A worker that reads nothing gets nothing: its questions run out of time. */
    (void)sendmsg(k->sockets, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Documents. */

static int load_one(void *ctx, struct json_object *doc, struct dray_err *err)
{
    struct dray_dns_sandbox *s = NULL;
    int netns = open(dray_json_str(doc, "netns", ""), O_RDONLY | O_CLOEXEC);
    return dray_dns_sandbox_open(ctx, dray_json_str(doc, "id", ""), netns, true, &s, err);
}

void dray_dns_sandboxes_load(struct dray_dns_keeper *k)
{
    dray_helper_load(k->dir, load_one, k);
}
