/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - listens, accepts, routes. */
#ifndef DRAY_API_SERVER_H
#define DRAY_API_SERVER_H

#include <dray/util.h>
#include <stdbool.h>

struct dray_engine;
struct dray_server;

/** One -H: unix:///path, tcp://addr:port, fd:// (systemd). */
struct dray_listen {
    const char *host;
    bool tls, tls_verify;
    const char *ca, *cert, *key;
    const char *group; /* of unix sockets; NULL: "dray" or else "docker" */
};

int dray_server_open(struct dray_engine *e, const struct dray_listen *hosts, size_t n,
                     struct dray_server **out, struct dray_err *err);
/**
 * Stop accepting, wake streams, wait for handlers at most timeout_ms, then free. False: handlers
 * still run (an attach session, a hung one); nothing was freed, and the engine must stay as well.
 */
bool dray_server_close(struct dray_server *s, int timeout_ms);

#endif
