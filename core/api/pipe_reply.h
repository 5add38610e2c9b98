/* SPDX-License-Identifier: Apache-2.0 */
/* pipe_reply.h - streams to the client what an engine call writes into a descriptor. */
#ifndef DRAY_API_PIPE_REPLY_H
#define DRAY_API_PIPE_REPLY_H

#include "api/http.h"

/** Writes to out_fd, which stays the caller's, until all is said. */
typedef int (*dray_pipe_fn)(void *ctx, int out_fd, struct dray_err *err);

/**
 * Run fn in a thread and send what it writes. A failure before the first byte becomes the answer;
 * a later one breaks the stream off, so that the client notices.
 */
int dray_http_reply_pipe(struct dray_http *h, const char *content_type, dray_pipe_fn fn, void *ctx,
                         struct dray_err *err);

#endif
