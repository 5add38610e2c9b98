/* SPDX-License-Identifier: Apache-2.0 */
/* console.c - receives the terminal that the runtime made (runc's "--console-socket"). */
#include "oci.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define RECEIVE_MS 5000

/* Paths may be longer than an address: the folder is named by a descriptor. */
int oci_console_open(struct oci_console *c, const char *path, struct dray_err *err)
{
    *c = (struct oci_console){.listener = -EBADF, .dir = -EBADF, .master = -EBADF};
    const char *slash = strrchr(path, '/');
    dray_autofree char *folder = strndup(path, (size_t)(slash - path));
    c->dir = folder ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    (void)snprintf(c->address, sizeof c->address, "/proc/%d/fd/%d/%.40s", (int)getpid(), c->dir,
                   slash + 1);
    memcpy(sa.sun_path, c->address, sizeof sa.sun_path);
    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)unlink(path);
    if (c->dir < 0 || c->listener < 0 ||
        bind(c->listener, (const struct sockaddr *)&sa, sizeof sa) != 0 ||
        listen(c->listener, 1) != 0)
        return dray_fail_errno(err, "make a socket for the terminal");
    c->path = strdup(path);
    return c->path ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int oci_console_receive(void *console, struct dray_err *err)
{
    struct oci_console *c = console;
    dray_autofd int conn = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
    if (conn < 0)
        return dray_fail_errno(err, "accept the terminal");
    struct timeval limit = {.tv_sec = RECEIVE_MS / 1000};
    (void)setsockopt(conn, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char name[256];
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec io = {name, sizeof name};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(conn, &m, MSG_CMSG_CLOEXEC);
    const struct cmsghdr *h = n < 0 ? NULL : CMSG_FIRSTHDR(&m);
    if (!h || h->cmsg_type != SCM_RIGHTS || h->cmsg_len != CMSG_LEN(sizeof(int)))
        return dray_fail(err, DRAY_E_INTERNAL, "the runtime has sent no terminal");
    memcpy(&c->master, CMSG_DATA(h), sizeof c->master);
    return 0;
}

void oci_console_close(struct oci_console *c)
{
    dray_cleanup_fd(&c->listener);
    dray_cleanup_fd(&c->dir);
    dray_cleanup_fd(&c->master);
    c->listener = c->dir = c->master = -EBADF;
    if (c->path)
        (void)unlink(c->path);
    free(dray_steal(c->path));
}
