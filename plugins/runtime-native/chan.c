/* SPDX-License-Identifier: Apache-2.0 */
/* chan.c - the talk between the maker of a container's process and that process. */
#include "chan.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

struct letter {
    uint8_t word;
    uint8_t pad[7];
    struct dray_err err;
};

int rn_chan_open(int ends[2], struct dray_err *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return dray_fail_errno(err, "make a socket pair");
    return 0;
}

int rn_chan_send(int chan, enum rn_word word, const struct dray_err *failed, int fd)
{
    struct letter l = {.word = (uint8_t)word};
    if (failed)
        l.err = *failed;
    struct iovec iov = {.iov_base = &l,
                        .iov_len = failed ? sizeof l : offsetof(struct letter, err)};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } c = {.bytes = {0}};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = &c;
        msg.msg_controllen = sizeof c.bytes;
        c.head.cmsg_level = SOL_SOCKET;
        c.head.cmsg_type = SCM_RIGHTS;
        c.head.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&c.head), &fd, sizeof fd);
    }
    ssize_t n = 0;
    do
        n = sendmsg(chan, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

/** Milliseconds from now, at least 0; -1 is forever. */
static int time_left(uint64_t deadline_ns)
{
    if (deadline_ns == 0)
        return -1;
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    uint64_t ms = deadline_ns > now ? (deadline_ns - now) / 1000000u + 1 : 0;
    return ms > 1000000000u ? 1000000000 : (int)ms;
}

static void keep_fd(const struct msghdr *msg, int *fd_out)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    int fd = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    if (fd < 0)
        return;
    if (fd_out)
        *fd_out = fd;
    else
        (void)close(fd);
}

bool rn_chan_ready(int chan, uint64_t deadline_ns, int ms)
{
    struct pollfd p = {.fd = chan, .events = POLLIN};
    int left = deadline_ns != 0 ? time_left(deadline_ns) : ms;
    return poll(&p, 1, left < ms ? left : ms) != 0 || (deadline_ns != 0 && left <= ms);
}

int rn_chan_recv(int chan, uint64_t deadline_ns, enum rn_word *word, struct dray_err *failed,
                 int *fd_out, struct dray_err *err)
{
    struct letter l;
    struct iovec iov = {.iov_base = &l, .iov_len = sizeof l};
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } c;
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c.bytes};
    struct pollfd p = {.fd = chan, .events = POLLIN};
    int ready = 1;
    if (deadline_ns != 0)
        do
            ready = poll(&p, 1, time_left(deadline_ns));
        while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return dray_fail(err, DRAY_E_TIMEOUT, "the container's process did not answer in time");
    ssize_t n = 0;
    do
        n = recvmsg(chan, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != ECONNRESET)
        return dray_fail_errno(err, "hear from the container's process");
    if (n > 0)
        keep_fd(&msg, fd_out);
    *word = n > 0 ? (enum rn_word)l.word : RN_WORD_END;
    if (n == (ssize_t)sizeof l && l.word == RN_WORD_FAILED && failed) {
        l.err.text[sizeof l.err.text - 1] = '\0';
        l.err.op[sizeof l.err.op - 1] = '\0';
        if (l.err.code >= 0)
            l.err.code = DRAY_E_INTERNAL;
        *failed = l.err;
    }
    return 0;
}
