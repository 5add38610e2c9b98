/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.h - servers of Docker's plugin protocol: where they listen, and calls to them.
 *
 * The protocol is JSON over HTTP POST (docs.docker.com, "Docker Plugin API"). A server is found by
 * its name: NAME.sock in a folder of sockets, or NAME.spec (one line with a URL) or NAME.json
 * (an object with "Addr" and "TLSConfig") in a folder of specifications, or each of them inside of
 * a folder called NAME. It is looked up anew for every call, so a server may come, go and move.
 */
#ifndef DRAY_PLUGIN_REMOTE_H
#define DRAY_PLUGIN_REMOTE_H

#include <dray/plugin.h>
#include <dray/util.h>

#include <json-c/json.h>
#include <pthread.h>
#include <stdbool.h>

/** Rows of the option table of every bridge. */
#define DRAY_REMOTE_OPTIONS                                                                        \
    {"socket-dirs", DRAY_OPT_LIST,           DRAY_OPT_F_RELOADABLE, "/run/docker/plugins", 0, 0,   \
     NULL,          "folders with NAME.sock"},                                                     \
        {"spec-dirs",                                                                              \
         DRAY_OPT_LIST,                                                                            \
         DRAY_OPT_F_RELOADABLE,                                                                    \
         "/etc/docker/plugins,/usr/lib/docker/plugins",                                            \
         0,                                                                                        \
         0,                                                                                        \
         NULL,                                                                                     \
         "folders with NAME.spec or NAME.json"},                                                   \
    {                                                                                              \
        "timeout", DRAY_OPT_DURATION, DRAY_OPT_F_RELOADABLE, "60s", 1000000, INT64_MAX, NULL,      \
            "longest wait for an answer"                                                           \
    }

/** Where a server listens. Zero it first. */
struct dray_remote_addr {
    char *socket; /* path, or NULL */
    char *url;    /* "http://host:port" */
    bool insecure;
    char *ca, *cert, *key; /* for https */
};
void dray_remote_addr_cleanup(struct dray_remote_addr *a);

/** NOTFOUND: no file of that name; INVAL: there is one, and it makes no sense. */
int dray_remote_find(const struct dray_host *host, const char *name, struct dray_remote_addr *out,
                     struct dray_err *err);
/** For the claim() of a bridge: is there a file of that name? */
int32_t dray_remote_claim(const struct dray_host *host, uint32_t kind, const char *name,
                          struct dray_err *err);

/** A server that is called by its name. All calls may run at the same time. */
struct dray_remote {
    const struct dray_host *host;
    char *name;
    const char *subject;  /* "VolumeDriver": what it must implement */
    pthread_mutex_t lock; /* guards what follows. order: alone */
    bool active;          /* has said that it implements it */
    bool overdue;         /* has not answered in time, and nothing since: it is not given much */
};

int dray_remote_open(const struct dray_host *host, const char *name, const char *subject,
                     struct dray_remote **out, struct dray_err *err);
void dray_remote_close(struct dray_remote *r);

/**
 * POST /SUBJECT.METHOD. `body` is an object or NULL for an empty one. *out (may be NULL) is the
 * answer, an object of the caller's. The server's own refusal ("Err") gives INTERNAL, or NOTFOUND
 * for status 404, with "SUBJECT.METHOD: words"; what it does not answer in time TIMEOUT; a server
 * that cannot be reached, dies or answers rubbish IO. All name it.
 */
int dray_remote_call(struct dray_remote *r, const struct dray_call *call, const char *method,
                     struct json_object *body /* takes */, struct json_object **out,
                     struct dray_err *err);
/** Was it the server that refused, rather than the way to it? */
static inline bool dray_remote_refused(int rc)
{
    return rc == DRAY_E_INTERNAL || rc == DRAY_E_NOTFOUND;
}

/** What the text that a server answered a call of that path with means: the failure, or *out. */
int dray_remote_judge(const struct dray_remote *r, const char *path, long status, const char *text,
                      struct json_object **out, struct dray_err *err);
/** Does its answer to Plugin.Activate name what it must implement? NOTSUP. */
int dray_remote_implements(const struct dray_remote *r, struct json_object *answer,
                           struct dray_err *err);

/* Reading of answers; what is absent or of another type gives "" or NULL. */
const char *dray_remote_str(struct json_object *obj, const char *key);
struct json_object *dray_remote_obj(struct json_object *obj, const char *key);
bool dray_remote_bool(struct json_object *obj, const char *key);
/** Add members; a NULL text becomes "". */
void dray_remote_add(struct json_object *obj, const char *key, const char *text);
/** An object of the pairs. */
struct json_object *dray_remote_kvs(struct dray_kvs kvs);

/** A document of the instance's folder; an empty object when there is none. */
struct json_object *dray_remote_load(const struct dray_remote *r, const char *file);
/** Replace it; on disk when this returns. Two of one name must not be saved at the same time. */
int dray_remote_save(const struct dray_remote *r, const char *file, struct json_object *doc,
                     struct dray_err *err);
void dray_remote_forget(const struct dray_remote *r, const char *file);

static inline void dray_remote_put(struct json_object **o)
{
    json_object_put(*o);
}
/** Dropped at the end of the scope. */
#define dray_remote_auto __attribute__((cleanup(dray_remote_put))) struct json_object

#endif
