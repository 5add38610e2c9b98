/* SPDX-License-Identifier: Apache-2.0 */
/* pump.c - passes bytes between a socket and a call whose messages carry them. */
#include "kit/pb.h"
#include "kit/session.h"

#include <errno.h>
#include <sys/socket.h>

#define PIECE 32768u

struct pump {
    struct grpc_call *call;
    int sock, stop_fd;
};

static void *upwards(void *arg)
{
    struct pump *p = arg;
    char buf[PIECE];
    for (;;) {
        ssize_t n = recv(p->sock, buf, sizeof buf, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        DRAY_AUTO(dray_buf) msg = {0};
        pb_bytes(&msg, 1, buf, (size_t)n);
        if (msg.failed || grpc_send(p->call, msg.data, msg.len, p->stop_fd, NULL) != 0)
            break;
    }
    grpc_send_end(p->call);
    return NULL;
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static void downwards(struct pump *p)
{
    DRAY_AUTO(dray_buf) msg = {0};
    bool ok = true;
    while (ok && grpc_recv(p->call, &msg, p->stop_fd, NULL) == 1) {
        struct pb m = pb_open(msg.data, msg.len);
        struct pb_field f;
        while (ok && pb_next(&m, &f))
            ok = f.number != 1 || !f.data || send_all(p->sock, f.data, f.len);
    }
}

void kit_pump(struct grpc_call *call, int sock, int stop_fd)
{
    struct pump p = {.call = call, .sock = sock, .stop_fd = stop_fd};
    pthread_t up;
    if (pthread_create(&up, NULL, upwards, &p) != 0)
        return;
    downwards(&p);
    (void)shutdown(sock, SHUT_RDWR); /* wakes the other direction */
    (void)pthread_join(up, NULL);
}
