/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockmsg.h - JSON messages with descriptors over SOCK_SEQPACKET unix sockets.
 *
 * One packet is one message. A message larger than a packet goes in a sealed memfd instead, which
 * the receiver reads back without the caller noticing.
 */
#ifndef DRAY_BASE_SOCKMSG_H
#define DRAY_BASE_SOCKMSG_H

#include <dray/util.h>

struct json_object;

#define DRAY_SOCKMSG_FDS 8 /**< most descriptors of one message */

struct dray_sockmsg {
    struct json_object *body;  /* owned */
    int fds[DRAY_SOCKMSG_FDS]; /* owned; -EBADF once taken */
    size_t n_fds;
};

/** Send; the descriptors stay the caller's. A peer that has gone: DRAY_E_UNAVAIL; one that does not
 *  read for 10 s: DRAY_E_TIMEOUT. */
int dray_sockmsg_send(int sock, struct json_object *body, const int *fds, size_t n_fds,
                      struct dray_err *err);
/** Receive one message, waiting at most timeout_ms (-1: for ever). End of stream:
 *  DRAY_E_UNAVAIL; nothing in time: DRAY_E_TIMEOUT. */
int dray_sockmsg_recv(int sock, int timeout_ms, struct dray_sockmsg *out, struct dray_err *err);
void dray_sockmsg_free(struct dray_sockmsg *m);
/** Move descriptor i out of the message; -EBADF if there is none. */
int dray_sockmsg_take_fd(struct dray_sockmsg *m, size_t i);

static inline void dray_sockmsg_cleanup(struct dray_sockmsg *m)
{
    dray_sockmsg_free(m);
}

/** Listen, connect at `name` inside the folder dirfd: any path length works. Returns a CLOEXEC
 *  descriptor in *fd_out. type: SOCK_SEQPACKET or SOCK_STREAM. */
int dray_sock_listen_at(int dirfd, const char *name, int type, int *fd_out, struct dray_err *err);
int dray_sock_connect_at(int dirfd, const char *name, int type, int *fd_out, struct dray_err *err);

#endif
