/* SPDX-License-Identifier: Apache-2.0 */
/* registry_auth.h - the credentials that clients send along, and how a registry's failure is
 * answered. */
#ifndef DRAY_API_REGISTRY_AUTH_H
#define DRAY_API_REGISTRY_AUTH_H

#include "api/http.h"

/**
 * The JSON object in a header such as X-Registry-Auth: base64 or base64url, padded or not. A header
 * that holds none counts as absent, as Docker has it: clients send "null", "{}" or what is no
 * base64. *out is the caller's to put, NULL when there is none. Fails only when out of memory.
 */
int dray_http_registry_header(struct dray_http *h, const char *name, struct json_object **out,
                              struct dray_err *err);

/**
 * The code to answer with where a registry failed. One that cannot be reached, or takes no more
 * requests, is 500 as with Docker: clients try again at that status. err (may be NULL) gets it too.
 */
int dray_http_registry_code(int rc, struct dray_err *err);

#endif
