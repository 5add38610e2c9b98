/* SPDX-License-Identifier: Apache-2.0 */
/* sockmsg.c - JSON messages with descriptors over SOCK_SEQPACKET unix sockets. */
#include "base/sockmsg.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* A packet is one byte that says where the body is, then the body if it is here. */
#define IN_PACKET 'J'
#define IN_MEMFD 'M'
#define PACKET_MAX ((size_t)16 << 10)
#define BODY_MAX ((size_t)64 << 20)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define CONTROL_FDS (DRAY_SOCKMSG_FDS + 1)
#define SEND_MS 10000 /* for a peer that is alive and does not read */

static int wait_for(int sock, short events, int timeout_ms, struct dray_err *err)
{
    int64_t end = dray_clock_mono() + (int64_t)timeout_ms * 1000000;
    for (;;) {
        struct pollfd p = {.fd = sock, .events = events};
        int n = poll(&p, 1, timeout_ms);
        if (n > 0)
            return 0;
        if (n == 0)
            return dray_fail(err, DRAY_E_TIMEOUT, "no message in time");
        if (errno != EINTR)
            return dray_fail_errno(err, "wait for a message");
        if (timeout_ms >= 0) {
            int64_t left = (end - dray_clock_mono()) / 1000000;
            timeout_ms = left > 0 ? (int)left : 0;
        }
    }
}

static int fail_peer(struct dray_err *err, const char *what)
{
    if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN || errno == ECONNREFUSED)
        return dray_fail(err, DRAY_E_UNAVAIL, "%s: the peer has gone", what);
    return dray_fail_errno(err, "%s", what);
}

static int make_memfd(const char *text, size_t len, int *fd_out, struct dray_err *err)
{
    dray_autofd int fd = memfd_create("dray-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return dray_fail_errno(err, "send message: memfd");
    int rc = dray_fs_write_all(fd, text, len, err);
    if (rc)
        return rc;
    if (fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) != 0)
        return dray_fail_errno(err, "send message: seal");
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

static int send_packet(int sock, struct msghdr *msg, struct dray_err *err)
{
    for (;;) {
        if (sendmsg(sock, msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return fail_peer(err, "send message");
        int rc = wait_for(sock, POLLOUT, SEND_MS, err);
        if (rc)
            return rc;
    }
}

int dray_sockmsg_send(int sock, struct json_object *body, const int *fds, size_t n_fds,
                      struct dray_err *err)
{
    const char *text = dray_json_text(body);
    if (!text)
        return dray_fail(err, DRAY_E_NOMEM, "send message: out of memory");
    size_t len = strlen(text);
    if (n_fds > DRAY_SOCKMSG_FDS || len > BODY_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "send message: too large");
    dray_autofd int memfd = -EBADF;
    char tag = IN_PACKET;
    int pass[CONTROL_FDS];
    size_t n_pass = 0;
    if (len >= PACKET_MAX) {
        int rc = make_memfd(text, len, &memfd, err);
        if (rc)
            return rc;
        tag = IN_MEMFD;
        pass[n_pass++] = memfd;
        len = 0;
    }
    for (size_t i = 0; i < n_fds; i++)
        pass[n_pass++] = fds[i];

    struct iovec io[2] = {{&tag, 1}, {(void *)(uintptr_t)text, len}};
    struct msghdr msg = {.msg_iov = io, .msg_iovlen = 2};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int) * CONTROL_FDS)];
    } control = {0};
    if (n_pass) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_pass);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_pass);
        memcpy(CMSG_DATA(c), pass, sizeof(int) * n_pass);
    }
    return send_packet(sock, &msg, err);
}

/* Descriptors that came with a packet. */
struct cargo {
    int fds[CONTROL_FDS];
    size_t n;
};

static void cargo_fini(struct cargo *c)
{
    for (size_t i = 0; i < c->n; i++)
        dray_cleanup_fd(&c->fds[i]);
}

static void unload(struct msghdr *msg, struct cargo *cargo)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (cargo->n < CONTROL_FDS)
                cargo->fds[cargo->n++] = fd;
            else
                (void)close(fd);
        }
    }
}

static int recv_packet(int sock, int timeout_ms, char *packet, size_t *len_out, struct cargo *cargo,
                       struct dray_err *err)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int) * CONTROL_FDS)];
    } control;
    struct iovec io = {packet, PACKET_MAX + 1};
    for (;;) {
        struct msghdr msg = {
            .msg_iov = &io,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = sizeof control,
        };
        ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            int rc = wait_for(sock, POLLIN, timeout_ms, err);
            if (rc)
                return rc;
            continue;
        }
        if (n < 0)
            return fail_peer(err, "receive message");
        unload(&msg, cargo);
        if (n == 0)
            return dray_fail(err, DRAY_E_UNAVAIL, "receive message: the peer has gone");
        if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
            return dray_fail(err, DRAY_E_CORRUPT, "receive message: cut short");
        *len_out = (size_t)n;
        return 0;
    }
}

/* A peer could shrink an unsealed file under the reader, or send one that never ends. */
static int read_memfd(struct cargo *cargo, struct dray_buf *body, struct dray_err *err)
{
    struct stat st;
    if (cargo->n == 0)
        return dray_fail(err, DRAY_E_CORRUPT, "receive message: its body is missing");
    int fd = cargo->fds[0];
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) != 0 || st.st_size < 0 ||
        (size_t)st.st_size > BODY_MAX)
        return dray_fail(err, DRAY_E_CORRUPT, "receive message: its body is not acceptable");
    if (lseek(fd, 0, SEEK_SET) != 0)
        return dray_fail_errno(err, "receive message");
    return dray_fs_read_fd(fd, BODY_MAX, body, err);
}

int dray_sockmsg_recv(int sock, int timeout_ms, struct dray_sockmsg *out, struct dray_err *err)
{
    *out = (struct dray_sockmsg){0};
    int rc = timeout_ms < 0 ? 0 : wait_for(sock, POLLIN, timeout_ms, err);
    if (rc)
        return rc;
    char packet[PACKET_MAX + 1];
    size_t len = 0;
    __attribute__((cleanup(cargo_fini))) struct cargo cargo = {0};
    rc = recv_packet(sock, timeout_ms, packet, &len, &cargo, err);
    if (rc)
        return rc;
    DRAY_AUTO(dray_buf) large = {0};
    bool apart = packet[0] == IN_MEMFD;
    if (apart)
        rc = read_memfd(&cargo, &large, err);
    else if (packet[0] != IN_PACKET)
        rc = dray_fail(err, DRAY_E_CORRUPT, "receive message: not one of ours");
    if (!rc)
        rc = dray_json_parse(apart && large.data ? large.data : packet + 1,
                             apart ? large.len : len - 1, &out->body, err);
    if (rc)
        return rc;
    for (size_t i = apart ? 1 : 0; i < cargo.n && out->n_fds < DRAY_SOCKMSG_FDS; i++)
        out->fds[out->n_fds++] = dray_steal_fd(&cargo.fds[i]);
    return 0;
}

void dray_sockmsg_free(struct dray_sockmsg *m)
{
    if (m->body)
        json_object_put(m->body);
    for (size_t i = 0; i < m->n_fds; i++)
        dray_cleanup_fd(&m->fds[i]);
    *m = (struct dray_sockmsg){0};
}

int dray_sockmsg_take_fd(struct dray_sockmsg *m, size_t i)
{
    return i < m->n_fds ? dray_steal_fd(&m->fds[i]) : -EBADF;
}

/* Through /proc the address stays short whatever the folder's path is. */
static int address_of(int dirfd, const char *name, struct sockaddr_un *a, struct dray_err *err)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = name[0] == '/' ? snprintf(a->sun_path, sizeof a->sun_path, "%s", name)
            : dirfd == AT_FDCWD
                ? snprintf(a->sun_path, sizeof a->sun_path, "./%s", name)
                : snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/%s", dirfd, name);
    if (n < 0 || (size_t)n >= sizeof a->sun_path)
        return dray_fail(err, DRAY_E_INVAL, "socket %s: the name is too long", name);
    return 0;
}

int dray_sock_listen_at(int dirfd, const char *name, int type, int *fd_out, struct dray_err *err)
{
    struct sockaddr_un a;
    int rc = address_of(dirfd, name, &a, err);
    if (rc)
        return rc;
    dray_autofd int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return dray_fail_errno(err, "socket");
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode))
        (void)unlinkat(dirfd, name, 0); /* left by a crash */
    /* The mode of the unbound socket becomes that of its file: private from the first instant. */
    if (fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        listen(fd, SOMAXCONN) != 0)
        return dray_fail_errno(err, "listen on socket %s", name);
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

int dray_sock_connect_at(int dirfd, const char *name, int type, int *fd_out, struct dray_err *err)
{
    struct sockaddr_un a;
    int rc = address_of(dirfd, name, &a, err);
    if (rc)
        return rc;
    dray_autofd int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return dray_fail_errno(err, "socket");
    /* One that accepts nothing any more lets callers wait once its backlog is full. */
    struct timeval most = {.tv_sec = SEND_MS / 1000};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    while (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN)
            return dray_fail(err, DRAY_E_TIMEOUT, "connect to socket %s: nobody accepts", name);
        if (errno == ENOENT || errno == ECONNREFUSED)
            return dray_fail(err, DRAY_E_UNAVAIL, "connect to socket %s: %s", name,
                             strerror(errno));
        return dray_fail_errno(err, "connect to socket %s", name);
    }
    most.tv_sec = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    *fd_out = dray_steal_fd(&fd);
    return 0;
}
