/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peerwire.h - frames between the daemon and the client of a build: secrets, and the client's ssh
 * agent.
 *
 * The client opens POST /build/session?id=ID (an upgraded stream) and names the ID in POST
 * /build?session=ID. A frame is a type, a channel and a length, both big-endian, and the payload.
 * The daemon numbers the channels; it asks, the client answers:
 *
 *     S id            V bytes | N text     a secret
 *     Q id            V | N text           is there an agent of that name?
 *     O id            (C when it fails)    a connection to the agent; then D and C both ways
 */
#ifndef DRAY_BASE_PEERWIRE_H
#define DRAY_BASE_PEERWIRE_H

#include "base/buf.h"

#include <arpa/inet.h>
#include <stdint.h>

#define PEER_HEAD 9u
/** Longest payload. */
#define PEER_MAX (1u << 20)
/** Longest secret, as BuildKit has it. */
#define PEER_SECRET_MAX (500u << 10)

enum peer_type {
    PEER_SECRET = 'S',
    PEER_QUERY = 'Q',
    PEER_OPEN = 'O',
    PEER_VALUE = 'V',
    PEER_NONE = 'N',
    PEER_DATA = 'D',
    PEER_CLOSE = 'C',
};

/** Append a frame. */
static inline void peer_put(struct dray_buf *b, enum peer_type type, uint32_t channel,
                            const void *data, size_t n)
{
    char head[PEER_HEAD] = {(char)type};
    uint32_t wide[2] = {htonl(channel), htonl((uint32_t)n)};
    memcpy(head + 1, wide, sizeof wide);
    dray_buf_add(b, head, sizeof head);
    dray_buf_add(b, data, n);
}

/** A frame in a buffer; data lies in it. */
struct peer_frame {
    enum peer_type type;
    uint32_t channel;
    const char *data;
    size_t n;
};

/** The frame at the front of n bytes: its whole length, 0 when more is to come, -1: no frame. */
static inline ssize_t peer_take(const char *data, size_t n, struct peer_frame *out)
{
    uint32_t wide[2];
    if (n < PEER_HEAD)
        return 0;
    memcpy(wide, data + 1, sizeof wide);
    *out = (struct peer_frame){(enum peer_type)data[0], ntohl(wide[0]), data + PEER_HEAD,
                               ntohl(wide[1])};
    if (out->n > PEER_MAX)
        return -1;
    return n < PEER_HEAD + out->n ? 0 : (ssize_t)(PEER_HEAD + out->n);
}

/** Free a buffer that held secrets, and leave nothing of them. */
static inline void peer_wipe(struct dray_buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    dray_buf_free(b);
}

#endif
