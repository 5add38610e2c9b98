/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - one request and its answer, as the resource files see it.
 *
 * A handler runs on the connection's own thread and may block. It answers exactly once with one of
 * the reply functions, a stream or a hijack; or it returns an error, which the router turns into
 * {"message": text} with the code's HTTP status.
 */
#ifndef DRAY_API_HTTP_H
#define DRAY_API_HTTP_H

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

struct dray_engine;
struct dray_http;
struct dray_kvlist;
struct dray_strlist;
struct json_object;

typedef int (*dray_http_fn)(struct dray_http *h, struct dray_engine *e, struct dray_err *err);

/** Methods as bits. */
enum dray_http_method {
    DRAY_GET = 1,
    DRAY_POST = 2,
    DRAY_PUT = 4,
    DRAY_DELETE = 8,
    DRAY_HEAD = 16,
    DRAY_OPTIONS = 32,
};

#define DRAY_ROUTE_BODY 1u   /**< the body is streamed: dray_http_body_fd() */
#define DRAY_ROUTE_HIJACK 2u /**< the handler may call dray_http_hijack() */
/** An action whose times Docker's metrics tell (enum dray_timer). */
#define DRAY_ROUTE_TIMED(timer) (((uint32_t)(timer) + 1) << 8)

/** `path` has {name} segments; {name:*} takes any number of segments; {**} at its end takes all the
 *  rest, with empty segments: the parameter "**" is "" when there is none, else it begins with "/".
 */
struct dray_route {
    uint32_t methods;
    const char *path;
    dray_http_fn fn;
    uint32_t flags;   /**< DRAY_ROUTE_* */
    int since, until; /**< API versions (141 is 1.41) that have it; 0: any */
};

/* Each resource file exports its table, ended by a row without a path. */
extern const struct dray_route dray_routes_system[];
extern const struct dray_route dray_routes_containers[];
extern const struct dray_route dray_routes_execs[];
extern const struct dray_route dray_routes_images[];
extern const struct dray_route dray_routes_networks[];
extern const struct dray_route dray_routes_volumes[];
extern const struct dray_route dray_routes_builds[];
extern const struct dray_route dray_routes_kit[];
extern const struct dray_route dray_routes_absent[];
extern const struct dray_route dray_routes_extensions[];

/** Value of {name} of the route, decoded. Never NULL for a segment that the route has. */
const char *dray_http_param(struct dray_http *h, const char *name);
/** First value of a query parameter, decoded; NULL if absent. */
const char *dray_http_query(struct dray_http *h, const char *key);
/** i-th value of a repeated parameter; NULL at the end. */
const char *dray_http_query_at(struct dray_http *h, const char *key, size_t i);
/** As Docker reads booleans: "", "0", "no", "false", "none" are false, all else true. */
bool dray_http_query_bool(struct dray_http *h, const char *key, bool def);
/** DRAY_E_INVAL when present and no integer. */
int dray_http_query_int(struct dray_http *h, const char *key, int64_t def, int64_t *out,
                        struct dray_err *err);
/** All parameters, in order. */
struct dray_kvs dray_http_query_all(struct dray_http *h);
const char *dray_http_header_in(struct dray_http *h, const char *name);
/** Append all values of a header that may be given several times; false without memory. */
bool dray_http_header_in_all(struct dray_http *h, const char *name, struct dray_strlist *out);
/** All headers of the request; of one that is given several times the last. */
void dray_http_headers_in(struct dray_http *h, struct dray_kvlist *out);
/** "GET" */
const char *dray_http_method_in(struct dray_http *h);
/** API version of the request, 151 for v1.51. */
int dray_http_version(struct dray_http *h);

/** The body as one JSON value (at most 32 MiB); *out is the caller's. An empty body gives NULL.
 *  Not JSON by its content type (which an empty body may leave out): DRAY_E_INVAL. */
int dray_http_json(struct dray_http *h, struct json_object **out, struct dray_err *err);
/** The same, whatever the content type says. */
int dray_http_json_untyped(struct dray_http *h, struct json_object **out, struct dray_err *err);
/** Bytes of a body that is not streamed. */
size_t dray_http_body_size(struct dray_http *h);
/** The streamed body of a DRAY_ROUTE_BODY route: read until its end; owned by the request. */
int dray_http_body_fd(struct dray_http *h);

/** Add a header to the answer that will be given. */
void dray_http_header(struct dray_http *h, const char *name, const char *value);
int dray_http_reply_json(struct dray_http *h, int status, struct json_object *value /* takes */);
/** text is JSON already; takes a heap string. */
int dray_http_reply_json_text(struct dray_http *h, int status, char *text /* takes */);
int dray_http_reply_text(struct dray_http *h, int status, const char *content_type,
                         const char *text);
/** Bytes of any sort, copied. content_type is a constant, or NULL. */
int dray_http_reply_bytes(struct dray_http *h, int status, const char *content_type,
                          const void *data, size_t len);
int dray_http_reply_empty(struct dray_http *h, int status);

/** Begin an answer of unknown length; headers go out at once. */
int dray_http_stream(struct dray_http *h, int status, const char *content_type,
                     struct dray_err *err);
/** Send bytes now. DRAY_E_CANCELED once the client has gone. */
int dray_http_write(struct dray_http *h, const void *data, size_t len);
/** Send one JSON object and CRLF. */
int dray_http_write_json(struct dray_http *h, struct json_object *value /* takes */);
/** Is a stream under way (an error can then no longer change the status)? */
bool dray_http_streaming(struct dray_http *h);
/** The client's socket, to poll for POLLRDHUP|POLLHUP while waiting. */
int dray_http_client_fd(struct dray_http *h);
/** Readable as soon as the client has gone; for dray_call.cancel_fd. -1 if there is none. */
int dray_http_cancel_fd(struct dray_http *h);

/**
 * Answer 101 UPGRADED (the client sent Upgrade) or 200, and hand over the raw socket; content_type
 * as Docker sends it, NULL for a WebSocket and for HTTP/2. *sock_out is owned by the request and
 * closed with it.
 */
int dray_http_hijack(struct dray_http *h, const char *content_type, int *sock_out,
                     struct dray_err *err);

/** HTTP status of an error code. */
int dray_http_status(int code);

#endif
