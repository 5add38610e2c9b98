/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isolate.h - a plugin in a process of its own, dray-plugin-host, behind the same tables.
 *
 * The daemon never maps the file: the process loads it and describes it, and the daemon's tables
 * are of proxies. A process that ends is started again, with more and more time between, opened,
 * and told again what its drivers had in use; the instance is suspect meanwhile. A call that passes
 * its deadline ends the process.
 */
#ifndef DRAY_PLUGIN_ISOLATE_H
#define DRAY_PLUGIN_ISOLATE_H

#include "plugin/registry.h"
#include "plugin/wire.h"

#include <sys/types.h>

struct dray_isolate;

/** Start the process for an instance and have it load the file. The descriptor is then that of
 *  dray_isolate_desc(). Fills in->refusal. */
int dray_isolate_start(struct dray_instance *in, const char *options_json);
const struct dray_plugin *dray_isolate_desc(const struct dray_isolate *iso);
/** For the reload that follows. */
int dray_isolate_set_options(struct dray_isolate *iso, const char *options_json);
/** If its process has ended: is the next one about to be there, so that calls may wait for it? */
bool dray_isolate_soon(struct dray_isolate *iso);
/** End the process, if close() has not, and free all. */
void dray_isolate_free(struct dray_isolate *iso);
/** What the proxies do. */
int32_t dray_isolate_call(struct dray_self *self, const struct dray_call *call, uint32_t op,
                          void **args, struct dray_err *err);

/* --- between the files isolate*.c --- */

/** A call that waits for its answer; lives on the caller's stack. */
struct dray_isolate_wait {
    struct dray_isolate_wait *next;
    uint64_t id;
    pthread_cond_t turn;
    struct dray_wire message; /* type 0: none as yet */
    bool dead;                /* the process has ended */
};

/** What the process is told again when it has been started anew. */
struct dray_isolate_note {
    struct dray_isolate_note *next;
    char *key;            /* "OPERATION:OBJECT" */
    uint32_t op;          /* to be called again; for mounts of volumes that of restore */
    struct dray_buf args; /* as they go over the wire */
    char *object, *user;  /* of mounts of volumes */
};

struct dray_isolate {
    struct dray_instance *in;
    char label[96]; /* "KIND/NAME", the first of its kinds once they are known */
    struct dray_plugin desc;
    struct dray_iface ifaces[DRAY_KIND_MAX];
    struct dray_wire_arena keep; /* of the description */
    int so_fd;

    pthread_t supervisor;
    bool supervised;
    pthread_mutex_t send_lock; /* one message at a time. order: alone; a send that takes 5 s ends
                                  the process */
    pthread_mutex_t lock;      /* guards what follows. order: after an instance's lock */
    pthread_cond_t wake;
    char *options; /* JSON */
    int sock;      /* changed by the supervisor only */
    pid_t pid;     /* 0: reaped */
    int pidfd;     /* of it: whoever else waits for children may take its number from it */
    bool up;       /* takes calls */
    bool opened;   /* has been open once: it is opened again after a restart */
    bool closing;
    bool soon; /* once it has ended, the next process is started at once */
    uint64_t next_id;
    struct dray_isolate_wait *waits;
    struct dray_isolate_note *notes; /* oldest first */
};

/** Have it end, if there is one. Call with lock held. */
void dray_isolate_kill(struct dray_isolate *iso);
/** Spawn it and connect. */
int dray_isolate_spawn(struct dray_isolate *iso, struct dray_err *err);
/** Wait for its end, and say how it was unless that was wanted. */
void dray_isolate_reap(struct dray_isolate *iso);
/** Send a request and read its answer in the supervisor's place. */
int dray_isolate_exchange(struct dray_isolate *iso, struct dray_wire *request,
                          struct dray_wire *reply, struct dray_err *err);
/** Ask for the description and make tables of proxies of it. */
int dray_isolate_load(struct dray_isolate *iso, struct dray_err *err);
void dray_isolate_put_open(struct dray_isolate *iso, struct dray_wire *w);
int dray_isolate_supervise(struct dray_isolate *iso);
/** open() and the others, in the descriptor. */
void dray_isolate_set_functions(struct dray_plugin *desc, bool has_health, bool has_reload,
                                bool has_quiesce);

/** Keep or drop a note of a call that has succeeded. */
void dray_isolate_note_call(struct dray_isolate *iso, uint32_t op, void **args);
/** Tell the process all of it. */
int dray_isolate_replay(struct dray_isolate *iso, struct dray_err *err);
void dray_isolate_notes_free(struct dray_isolate *iso);
/** The head of a CALL message. */
void dray_isolate_put_call(struct dray_wire *w, uint32_t op, const struct dray_call *call);

#endif
