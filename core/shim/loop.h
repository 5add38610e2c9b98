/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h - the shim's event loop: descriptors with handlers, on one thread. */
#ifndef DRAY_SHIM_LOOP_H
#define DRAY_SHIM_LOOP_H

#include <dray/util.h>

#include <stdint.h>
#include <sys/epoll.h>

/** A descriptor and what to do when something happens on it. Embedded in its owner. */
struct shim_watch {
    int fd;          /* -EBADF: none */
    uint32_t events; /* what is asked for now; 0: not registered */
    void (*fn)(struct shim_watch *, uint32_t events);
};

#define SHIM_LOOP_BATCH 32

struct shim_loop {
    int epfd;
    int n, at; /* the batch being delivered */
    struct epoll_event batch[SHIM_LOOP_BATCH];
};

int shim_loop_init(struct shim_loop *l, struct dray_err *err);
void shim_loop_fini(struct shim_loop *l);
/**
 * Ask for events (EPOLLIN, EPOLLOUT, EPOLLHUP alone for "has gone"); 0 takes the descriptor off the
 * loop. Events already fetched for a watch that is taken off are not delivered.
 */
void shim_loop_set(struct shim_loop *l, struct shim_watch *w, uint32_t events);
/** Take off the loop and close. */
void shim_loop_close(struct shim_loop *l, struct shim_watch *w);
/** Wait at most timeout_ms (-1: for ever) and deliver one batch. Returns the number of events. */
int shim_loop_once(struct shim_loop *l, int timeout_ms);

/** The struct that a watch is embedded in. */
#define SHIM_OWNER(w, type, member) ((type *)(void *)((char *)(w)-offsetof(type, member)))

#endif
