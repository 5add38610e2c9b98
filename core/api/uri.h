/* SPDX-License-Identifier: Apache-2.0 */
/* uri.h - takes a request target apart. */
#ifndef DRAY_API_URI_H
#define DRAY_API_URI_H

#include "base/buf.h"
#include "base/strlist.h"

#include <dray/util.h>

/** Decoded. Zero-initialised is empty. */
struct dray_uri {
    struct dray_strlist segments; /**< of the path; "/" has one, "" */
    struct dray_kvlist query;     /**< keys repeat */
};

/** Parse "/path?query". Bad escapes and NUL bytes: DRAY_E_INVAL. */
int dray_uri_parse(const char *target, struct dray_uri *out, struct dray_err *err);
/** Append a segment of a path, percent-encoded (RFC 3986 3.3). */
void dray_uri_escape(struct dray_buf *b, const char *segment);
void dray_uri_free(struct dray_uri *u);

#endif
