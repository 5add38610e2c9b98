/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_peer.h - the client of a build, connected beside it: its secrets, its ssh agent.
 *
 * Nothing of a secret is kept: it is asked for when a step mounts it, and lives in the caller's
 * buffer alone.
 */
#ifndef DRAY_ENGINE_BUILD_PEER_H
#define DRAY_ENGINE_BUILD_PEER_H

#include "base/buf.h"

/** The clients that are connected, by their ids. */
struct dray_build_peers;
struct dray_build_peer;
struct dray_build_agent;

struct dray_build_peers *dray_build_peers_new(void);
/** All clients are gone by then. */
void dray_build_peers_free(struct dray_build_peers *set);

/** A client announces itself. The id is its choice: 32 to 128 letters and digits that nobody can
 *  guess; DRAY_E_CONFLICT when it is taken. *out is for dray_build_peer_serve(). */
int dray_build_peers_join(struct dray_build_peers *set, const char *id,
                          struct dray_build_peer **out, struct dray_err *err);
/** Serve it on the connection's own thread until it goes, and forget it. sock stays the caller's;
 *  -1: forget it at once. */
void dray_build_peer_serve(struct dray_build_peer *p, int sock);
/** Find a client: referred to; NULL. */
struct dray_build_peer *dray_build_peer_find(struct dray_build_peers *set, const char *id);
/** NULL is nothing. */
void dray_build_peer_unref(struct dray_build_peer *p);

/** A secret of the client, in out (which peer_wipe() frees): DRAY_E_NOTFOUND "secret x: not found".
 *  p may be NULL: a client without a session has none. Waits 30 s at most, or until cancel_fd is
 *  readable. */
int dray_build_peer_secret(struct dray_build_peer *p, const char *id, int cancel_fd,
                           struct dray_buf *out, struct dray_err *err);
/** From now on, who connects to the listening socket (takes) talks to the client's agent of that
 *  name; DRAY_E_NOTFOUND when the client has none. p may be NULL. */
int dray_build_peer_agent(struct dray_build_peer *p, const char *id, int listener /* takes */,
                          int cancel_fd, struct dray_build_agent **out, struct dray_err *err);
/** Stop listening and end its connections. NULL is nothing. */
void dray_build_agent_close(struct dray_build_agent *a);

#endif
