/* SPDX-License-Identifier: Apache-2.0 */
/* containers.h - containers and their execs: the interface to the API and to other parts. */
#ifndef DRAY_ENGINE_CONTAINERS_H
#define DRAY_ENGINE_CONTAINERS_H

#include "base/ident.h"
#include "base/strlist.h"

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

struct dray_containers;
struct dray_engine;
struct dray_filters;
struct json_object;

int dray_containers_open(struct dray_engine *e, struct dray_containers **out, struct dray_err *err);
void dray_containers_close(struct dray_containers *cs);

/** Facts for other parts. */
struct dray_container_counts {
    uint64_t total, running, paused, stopped;
};
void dray_containers_counts(struct dray_containers *cs, struct dray_container_counts *out);
/** Does any container (running only, or all) use the image? id_out gets one that does. */
bool dray_containers_use_image(struct dray_containers *cs, const char *image_id, bool running_only,
                               char id_out[DRAY_ID_LEN]);
/** Wait, some seconds at most, until a container that has ended has let go of its networks: it is
 * seen to have ended a little before. False: it runs, or is none. */
bool dray_containers_let_go(struct dray_containers *cs, const char *id);
/** Attach a container to a network, or take it off, running or not (POST /networks/{id}/connect).
 */
int dray_containers_connect(struct dray_containers *cs, const char *container, const char *network,
                            struct json_object *endpoint_config, struct dray_err *err);
int dray_containers_disconnect(struct dray_containers *cs, const char *container,
                               const char *network, bool force, struct dray_err *err);

/* The API's side: `name` is an id, a unique prefix or a name. */

/** What a step of a build runs on instead of an image. */
struct dray_step_root {
    const char *storage;      /* driver */
    const char *layer;        /* writable layer */
    bool own;                 /* the container keeps the layer and removes it with itself */
    const char *layer_parent; /* below it */
    const char *image_id;     /* shown */
};

struct dray_create_req {
    const char *name;                  /* or NULL */
    const char *platform;              /* or NULL */
    struct json_object *body;          /* Config with HostConfig and NetworkingConfig inside */
    int api_version;                   /* 151 */
    const struct dray_step_root *step; /* or NULL; then the body's Image counts */
};
/** *out: {"Id","Warnings":[]}. */
int dray_containers_create(struct dray_containers *cs, const struct dray_create_req *req,
                           struct json_object **out, struct dray_err *err);
int dray_containers_start(struct dray_containers *cs, const char *name, struct dray_err *err);
/** timeout_s -1: wait for ever; INT32_MIN: the container's own. signal NULL: the container's. */
int dray_containers_stop(struct dray_containers *cs, const char *name, const char *signal,
                         int timeout_s, struct dray_err *err);
int dray_containers_restart(struct dray_containers *cs, const char *name, const char *signal,
                            int timeout_s, struct dray_err *err);
int dray_containers_kill(struct dray_containers *cs, const char *name, const char *signal,
                         struct dray_err *err);
int dray_containers_pause(struct dray_containers *cs, const char *name, bool pause,
                          struct dray_err *err);
int dray_containers_rename(struct dray_containers *cs, const char *name, const char *new_name,
                           struct dray_err *err);
int dray_containers_update(struct dray_containers *cs, const char *name, struct json_object *body,
                           struct json_object **out, struct dray_err *err);
int dray_containers_remove(struct dray_containers *cs, const char *name, bool force, bool volumes,
                           bool link, struct dray_err *err);
int dray_containers_prune(struct dray_containers *cs, const struct dray_filters *f,
                          struct json_object **out, struct dray_err *err);

struct dray_list_req {
    bool all, size;
    int64_t limit; /* 0: no limit */
    const struct dray_filters *filters;
    int api_version;
};
/** *text_out: the JSON array as text, owned by the caller (built without a tree, for speed). */
int dray_containers_list(struct dray_containers *cs, const struct dray_list_req *req,
                         char **text_out, struct dray_err *err);
int dray_containers_inspect(struct dray_containers *cs, const char *name, bool size,
                            int api_version, struct json_object **out, struct dray_err *err);
int dray_containers_top(struct dray_containers *cs, const char *name, const char *ps_args,
                        struct json_object **out, struct dray_err *err);
int dray_containers_changes(struct dray_containers *cs, const char *name, struct json_object **out,
                            struct dray_err *err);
/** Write the root file system as a tar. */
int dray_containers_export(struct dray_containers *cs, const char *name, int out_fd,
                           struct dray_err *err);
int dray_containers_resize(struct dray_containers *cs, const char *name, int rows, int cols,
                           struct dray_err *err);
/** One sample in the shape of GET /containers/{id}/stats without precpu_stats. */
int dray_containers_stats(struct dray_containers *cs, const char *name, struct json_object **out,
                          struct dray_err *err);

/** `condition`: "not-running", "next-exit" or "removed". */
struct dray_waiter;
int dray_containers_wait_begin(struct dray_containers *cs, const char *name, const char *condition,
                               struct dray_waiter **out, struct dray_err *err);
/** Readable once the answer is there. */
int dray_waiter_fd(const struct dray_waiter *w);
/** The answer; call after the descriptor became readable. text_out: State.Error, "" when none. */
int dray_waiter_result(struct dray_waiter *w, int *code_out, char text_out[256]);
void dray_waiter_free(struct dray_waiter *w);

struct dray_attach_req {
    bool stream, stdin_, stdout_, stderr_, logs;
    bool plain;              /* both outputs as they come, without frames */
    const char *detach_keys; /* NULL: ctrl-p,ctrl-q */
    int api_version;
};
/** An attach that is about to be: a start waits for it, so that it misses nothing. */
struct dray_attach_ticket;
/** Before the client is answered. *tty_out: does the container have a terminal? The ticket goes to
 *  dray_containers_attach(), or to dray_attach_ticket_drop() (NULL is allowed). */
int dray_containers_attach_prepare(struct dray_containers *cs, const char *name,
                                   const struct dray_attach_req *req, bool *tty_out,
                                   struct dray_attach_ticket **ticket_out, struct dray_err *err);
void dray_attach_ticket_drop(struct dray_attach_ticket *t);
/** Run the session over a client's socket, whose HTTP answer has been written; returns at its end.
 *  The descriptor stays the caller's. */
int dray_containers_attach(struct dray_attach_ticket *ticket /* takes */,
                           const struct dray_attach_req *req, int sock, struct dray_err *err);

struct dray_logs_req {
    bool follow, stdout_, stderr_, timestamps, details;
    bool raw; /* no frames, with or without a terminal */
    int64_t since_ns, until_ns;
    int64_t tail; /* -1: all */
    int client;   /* socket that is watched for the client's end; -1 */
};
/** Sends bytes to the client as they are to be seen (framed unless tty); nonzero stops. */
typedef int (*dray_write_fn)(void *ctx, const void *data, size_t len);
int dray_containers_logs_prepare(struct dray_containers *cs, const char *name, bool *tty_out,
                                 struct dray_err *err);
int dray_containers_logs(struct dray_containers *cs, const char *name,
                         const struct dray_logs_req *req, dray_write_fn fn, void *ctx,
                         struct dray_err *err);

/* Execs. */

int dray_execs_create(struct dray_containers *cs, const char *name, struct json_object *body,
                      int api_version, struct json_object **out, struct dray_err *err);
int dray_execs_inspect(struct dray_containers *cs, const char *exec_id, struct json_object **out,
                       struct dray_err *err);
struct dray_exec_start {
    bool detach;
    bool tty; /* the stream is raw; else in frames, even if the exec has a terminal */
    int rows, cols;
};
/** Whether it may be started: to be asked before the connection becomes a stream. */
int dray_execs_start_prepare(struct dray_containers *cs, const char *exec_id, struct dray_err *err);
/** sock -1 when detached; else the session runs over it until its end. */
int dray_execs_start(struct dray_containers *cs, const char *exec_id,
                     const struct dray_exec_start *req, int sock, struct dray_err *err);
int dray_execs_resize(struct dray_containers *cs, const char *exec_id, int rows, int cols,
                      struct dray_err *err);

/* Files in a container, running or stopped (GET, PUT, HEAD /containers/{id}/archive). */

/** *stat_out: object of X-Docker-Container-Path-Stat. */
int dray_containers_stat_path(struct dray_containers *cs, const char *name, const char *path,
                              struct json_object **stat_out, struct dray_err *err);
int dray_containers_archive_get(struct dray_containers *cs, const char *name, const char *path,
                                int out_fd, struct dray_err *err);
int dray_containers_archive_put(struct dray_containers *cs, const char *name, const char *path,
                                bool no_overwrite_dir_non_dir, bool copy_uid_gid, int in_fd,
                                struct dray_err *err);
/** Body as in POST /commit. */
int dray_containers_commit(struct dray_containers *cs, const char *name, struct json_object *config,
                           struct json_object *params, struct json_object **out,
                           struct dray_err *err);

#endif
