/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c - the shim's event loop: epoll, and no delivery to what has been taken off. */
#include "shim/loop.h"

int shim_loop_init(struct shim_loop *l, struct dray_err *err)
{
    l->n = l->at = 0;
    l->epfd = epoll_create1(EPOLL_CLOEXEC);
    return l->epfd < 0 ? dray_fail_errno(err, "epoll") : 0;
}

void shim_loop_fini(struct shim_loop *l)
{
    dray_cleanup_fd(&l->epfd);
    l->epfd = -EBADF;
}

static void forget(struct shim_loop *l, const struct shim_watch *w)
{
    for (int i = l->at; i < l->n; i++)
        if (l->batch[i].data.ptr == w)
            l->batch[i].data.ptr = NULL;
}

void shim_loop_set(struct shim_loop *l, struct shim_watch *w, uint32_t events)
{
    if (w->fd < 0 || w->events == events)
        return;
    struct epoll_event e = {.events = events, .data.ptr = w};
    int op = !events ? EPOLL_CTL_DEL : w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (!events)
        forget(l, w);
    if (epoll_ctl(l->epfd, op, w->fd, &e) == 0)
        w->events = events;
}

void shim_loop_close(struct shim_loop *l, struct shim_watch *w)
{
    if (w->fd < 0)
        return;
    shim_loop_set(l, w, 0);
    (void)close(w->fd);
    w->fd = -EBADF;
    w->events = 0;
}

int shim_loop_once(struct shim_loop *l, int timeout_ms)
{
    int n = epoll_wait(l->epfd, l->batch, SHIM_LOOP_BATCH, timeout_ms);
    l->n = n > 0 ? n : 0;
    for (l->at = 0; l->at < l->n;) {
        struct epoll_event e = l->batch[l->at++];
        struct shim_watch *w = e.data.ptr;
        if (w)
            w->fn(w, e.events);
    }
    l->n = l->at = 0;
    return n;
}
