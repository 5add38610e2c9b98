/* SPDX-License-Identifier: Apache-2.0 */
/* api.h - exchanges with the daemon's API; errors stay in the cli for cli_report(). */
#ifndef DRAY_CLIENT_API_H
#define DRAY_CLIENT_API_H

#include "client/cli.h"
#include "client/http.h"

/** What to ask. Paths begin with "/" and leave out the version. */
struct api_request {
    const char *method;
    const char *path;
    struct json_object *body; /**< borrowed, or NULL */
    const char *headers;      /**< further lines, each with its CRLF, or NULL */
};

/** Exchange JSON. out may be NULL; it stays NULL without a body. 0, or -1 with the error kept and
 *  cli->status set (0 when the daemon was not reached). */
int api_call(struct cli *cli, const char *method, const char *path, struct json_object *body,
             struct json_object **out);
/** Begin an exchange with a streamed answer: status and headers have been read and are good. */
int api_open(struct cli *cli, const struct api_request *r, struct http_conn **out);
/** Send only; pair with api_await(). Lets several requests be under way at once. */
int api_begin(struct cli *cli, const struct api_request *r, struct http_conn **out);
/** Read the status of a begun request; on failure the connection is closed and *c is NULL. */
int api_await(struct cli *cli, struct http_conn **c);
/** Give a connection back: kept for the next request if it can be. */
void api_done(struct cli *cli, struct http_conn *c);
/** Have n connections waiting in the pool. */
void api_warm(struct cli *cli, size_t n);
/** Close the waiting connections. */
void api_forget(struct cli *cli);
/** Learn the version that the server speaks, before a request that cannot be repeated. */
int api_ping(struct cli *cli);
/** Copy the body to a descriptor. */
int api_copy_out(struct cli *cli, struct http_conn *c, int fd);
/** POST (or PUT) what fd gives as the body; the answer is as with api_open(). */
int api_upload(struct cli *cli, const struct api_request *r, int fd, struct http_conn **out);

/** Append ?key=value or &key=value, escaped. A NULL value adds nothing. */
void api_query(struct dray_buf *path, const char *key, const char *value);
/** Append "/" and an escaped piece. */
void api_piece(struct dray_buf *path, const char *text);
/** {"label":["a=b"]} of "label=a=b" words, as the filters query parameter. */
void api_filters(struct dray_buf *path, const struct dray_strlist *words);
/** --platform "os/arch/variant" as the JSON that save, load, push, history take. */
void api_platform(struct dray_buf *path, const char *key, const char *platform);
/** since, until: dates and durations become Unix seconds with a fraction. NULL adds nothing. */
int api_when(struct cli *cli, struct dray_buf *path, const char *key, const char *value);

#endif
