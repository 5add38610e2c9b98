/* SPDX-License-Identifier: Apache-2.0 */
/* url_fetch.h - reads what an http(s) or ftp URL gives, as a stream. */
#ifndef DRAY_ENGINE_URL_FETCH_H
#define DRAY_ENGINE_URL_FETCH_H

#include <dray/util.h>

struct dray_url_fetch;

/**
 * Begin to fetch, on a thread of its own; *fd_out is what comes (the caller's). The end of that
 * stream says nothing: dray_url_fetch_end() tells whether it was complete. cancel_fd readable, or
 * -1: stop.
 */
int dray_url_fetch_begin(const char *url, int cancel_fd, struct dray_url_fetch **out, int *fd_out,
                         struct dray_err *err);
/** Wait for the end, which comes at once when fd_out was closed. Frees f. */
int dray_url_fetch_end(struct dray_url_fetch *f /* takes */, struct dray_err *err);

#endif
