/* SPDX-License-Identifier: Apache-2.0 */
/* stream.h - a container's or exec's live streams: terminal, signals, detach keys. */
#ifndef DRAY_CLIENT_STREAM_H
#define DRAY_CLIENT_STREAM_H

#include "client/cli.h"
#include "client/http.h"

/** What is streamed. */
struct stream {
    struct cli *cli;
    struct http_conn *conn;  /**< upgraded; stays the caller's */
    bool tty;                /**< one raw stream; else frames of stdout and stderr */
    bool input;              /**< our stdin goes there */
    const char *detach_keys; /**< NULL: config.json's or ctrl-p,ctrl-q */
};

enum stream_end {
    STREAM_EOF,      /**< the other side closed */
    STREAM_DETACHED, /**< the detach keys were typed */
    STREAM_BROKEN,   /**< the connection failed */
};

/** Copy until an end. Restores the terminal. */
enum stream_end stream_run(struct stream *s);
/** Ctrl-p style keys as bytes; false if malformed. */
bool stream_parse_keys(const char *text, char *out, size_t *n);

/** Signals and the terminal's size on behalf of a container or exec, in a thread of its own. */
struct stream_signals {
    struct cli cli;     /**< its own connections */
    const char *kill;   /**< id for /containers/ID/kill, or NULL */
    const char *resize; /**< "/containers/ID" or "/exec/ID" for /resize, or NULL */
};

/** Block the signals; call before the container starts, so none is lost. */
void stream_signals_block(void);
/** Serve them from now on; *s must live until the process ends. */
void stream_signals_serve(struct stream_signals *s);

/** Copy framed or raw output of a request's body (logs) to stdout and stderr. */
int stream_logs(struct cli *cli, struct http_conn *c, bool framed);

#endif
