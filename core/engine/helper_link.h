/* SPDX-License-Identifier: Apache-2.0 */
/* helper_link.h - the daemon's side of a helper program (base/helper.h): it is found, started when
 * it is needed, asked, and replaced by the program of a new version. */
#ifndef DRAY_ENGINE_HELPER_LINK_H
#define DRAY_ENGINE_HELPER_LINK_H

#include <dray/util.h>
#include <pthread.h>
#include <stdatomic.h>

struct dray_engine;
struct json_object;

struct dray_helper_link {
    struct dray_engine *engine;
    const char *what, *program, *socket; /* "the resolver", "dray-dns", "dns.sock" */
    pthread_mutex_t starting;            /* one thread starts it. order: leaf */
    atomic_bool used;                    /* some container needs it */
    atomic_bool overdue;                 /* it has not answered the last time */
};

/** Starts nothing. One that runs and is of another version is replaced; it says by itself which of
 *  its work it brings to an end. */
void dray_helper_link_init(struct dray_helper_link *l, struct dray_engine *e, const char *what,
                           const char *program, const char *socket);
/** One without work ends; else it goes on without the daemon. */
void dray_helper_link_fini(struct dray_helper_link *l);
/** A request: {"op":OP} and, if it is not NULL, {"id":ID}. */
struct json_object *dray_helper_request(const char *op, const char *id);
/** Ask, and start it if need be. fd: goes along, or -1. answer_out: owned by the caller, or NULL.
 */
int dray_helper_ask(struct dray_helper_link *l, struct json_object *request, int fd,
                    struct json_object **answer_out, struct dray_err *err);
/** The same without waiting for an answer. */
int dray_helper_send(struct dray_helper_link *l, struct json_object *request, int fd,
                     struct dray_err *err);
/** Ask only if it runs: there is nothing to tell to a new one. */
void dray_helper_tell(struct dray_helper_link *l, struct json_object *request);
/** {"op":"keep","ids":[...]}: it drops all others. */
void dray_helper_keep(struct dray_helper_link *l, struct dray_strs ids);
/** Start it again if it was needed and has died; it finds its work by itself. */
void dray_helper_check(struct dray_helper_link *l);

#endif
