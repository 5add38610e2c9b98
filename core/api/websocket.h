/* SPDX-License-Identifier: Apache-2.0 */
/* websocket.h - a WebSocket in front of a plain byte stream (RFC 6455). */
#ifndef DRAY_API_WEBSOCKET_H
#define DRAY_API_WEBSOCKET_H

#include "api/http.h"

#include <pthread.h>

struct dray_websocket {
    int inner; /* the plain stream: read what the client sent, write what it shall get */
    int outer; /* the relay's end of it */
    pthread_t relay;
};

/**
 * Answer a request for a WebSocket and translate between its frames (binary; text for versions
 * before 1.28, as Docker) and w->inner in a thread of its own. DRAY_E_INVAL when the client asked
 * for no WebSocket.
 */
int dray_websocket_open(struct dray_http *h, struct dray_websocket *w, struct dray_err *err);
/** Close the stream, wait until what was written to it is sent, say goodbye to the client. */
void dray_websocket_close(struct dray_websocket *w);

#endif
