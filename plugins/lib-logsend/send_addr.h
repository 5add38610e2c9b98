/* SPDX-License-Identifier: Apache-2.0 */
/* send_addr.h - where records are sent to: "tcp://host:port", "unix:///path" and their like. */
#ifndef DRAY_PLUGIN_SEND_ADDR_H
#define DRAY_PLUGIN_SEND_ADDR_H

#include <dray/util.h>

#include <stdbool.h>

enum dray_send_transport {
    DRAY_SEND_UDP,
    DRAY_SEND_TCP,
    DRAY_SEND_TLS, /* over TCP */
    DRAY_SEND_UNIX,
    DRAY_SEND_UNIXGRAM,
};

struct dray_send_addr {
    enum dray_send_transport transport;
    char host[256]; /* a path for UNIX and UNIXGRAM */
    char port[8];   /* "": none was given */
};

/** The parts of "scheme://host:port/path"; host may be "[::1]". False for anything else. scheme,
 *  host and port are cut to their room. */
struct dray_send_url {
    char scheme[16], host[256], port[16], path[256];
    bool bad_port; /* not a number */
};
bool dray_send_url_parse(const char *text, struct dray_send_url *out);

/** "127.0.0.1:514", "[::1]:514" or the path, for messages. */
const char *dray_send_addr_text(const struct dray_send_addr *a, char *buf, size_t size);

#endif
