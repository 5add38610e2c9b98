/* SPDX-License-Identifier: Apache-2.0 */
/* relay.c - copies between two sockets in a thread of its own. */
#include "api/http_priv.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

struct way {
    int from, to;
    char *data;
    size_t len, at, cap;
    bool ended; /* from has ended and to knows */
};

struct relay {
    int a, b;
    char *early;
    size_t n;
};

int dray_thread_start(void *(*fn)(void *), void *arg, pthread_t *out)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, DRAY_THREAD_STACK);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(out, &attr, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    errno = rc;
    return rc ? DRAY_E_IO : 0;
}

/* Move what can be moved without waiting. False: this direction is over for good. */
static bool step(struct way *w)
{
    if (w->at == w->len && !w->ended) {
        ssize_t n = recv(w->from, w->data, w->cap, MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        w->at = 0;
        w->len = (size_t)n;
        if (n == 0) {
            w->ended = true;
            (void)shutdown(w->to, SHUT_WR);
        }
    }
    while (w->at < w->len) {
        ssize_t n = send(w->to, w->data + w->at, w->len - w->at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        w->at += (size_t)n;
    }
    return true;
}

static short wants(const struct way *in, const struct way *out)
{
    return (short)((!in->ended && in->at == in->len ? POLLIN : 0) |
                   (out->at < out->len ? POLLOUT : 0));
}

static void run(struct way *ab, struct way *ba)
{
    while (!(ab->ended && ba->ended)) {
        struct pollfd p[2] = {{.fd = ab->from, .events = wants(ab, ba)},
                              {.fd = ba->from, .events = wants(ba, ab)}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (!step(ab)) {
            /* b takes no more, but what it has still to say goes out. */
            ab->ended = true;
            ab->at = ab->len;
        }
        if (!step(ba))
            return;
        if ((p[1].revents & POLLHUP) && ba->ended && ba->at == ba->len)
            return;
        if ((p[0].revents & (POLLHUP | POLLERR)) && !(p[0].revents & POLLIN))
            return;
    }
}

static void *relay_main(void *arg)
{
    struct relay *r = arg;
    char back[16384];
    size_t cap = r->n > 16384 ? r->n : 16384;
    char *data = realloc(r->early, cap);
    if (data) {
        struct way ab = {.from = r->a, .to = r->b, .data = data, .len = r->n, .cap = cap};
        struct way ba = {.from = r->b, .to = r->a, .data = back, .cap = sizeof back};
        r->early = data;
        run(&ab, &ba);
    }
    (void)shutdown(r->b, SHUT_RDWR);
    free(r->early);
    free(r);
    return NULL;
}

int dray_relay_start(int a, int b, const void *early, size_t n, pthread_t *out)
{
    struct relay *r = calloc(1, sizeof *r);
    char *copy = malloc(n ? n : 1);
    if (!r || !copy) {
        free(r);
        free(copy);
        return DRAY_E_NOMEM;
    }
    if (n)
        memcpy(copy, early, n);
    *r = (struct relay){.a = a, .b = b, .early = copy, .n = n};
    int rc = dray_thread_start(relay_main, r, out);
    if (rc) {
        free(copy);
        free(r);
    }
    return rc;
}
