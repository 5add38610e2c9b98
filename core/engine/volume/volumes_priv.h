/* SPDX-License-Identifier: Apache-2.0 */
/* volumes_priv.h - the volume object, shared by the files volumes*.c only. */
#ifndef DRAY_ENGINE_VOLUMES_PRIV_H
#define DRAY_ENGINE_VOLUMES_PRIV_H

#include "engine/volume/volumes.h"

#include <pthread.h>
#include <stdatomic.h>

struct dray_driver;

#define DRAY_VOLUME_DEFAULT_DRIVER "local"
#define DRAY_VOLUME_ANONYMOUS "com.docker.volume.anonymous"

struct dray_volume {
    atomic_int refs;
    /* Set while it is made, constant then. */
    char *name, *driver;
    int64_t created_ns;
    struct dray_kvlist options, labels;
    bool global;      /* the driver has it on every machine */
    char *mountpoint; /* what the driver said when it was made: lists do not ask again */

    pthread_mutex_t op; /* one creation or removal at a time. order: before volumes.lock */

    /* volumes.lock: */
    atomic_bool hidden;          /* half made or half removed: not for others */
    bool gone;                   /* off the table */
    struct dray_strlist users;   /* containers that refer to it */
    struct dray_strlist mounted; /* those that have it mounted */
};

struct dray_volume_shun; /* volumes_outside.c */

struct dray_volumes {
    struct dray_engine *engine;
    pthread_mutex_t lock;   /* guards: the table, and in each volume what says so. order: last */
    struct dray_volume **v; /* sorted by name */
    size_t n, cap;
    struct dray_volume_shun *shunned;
    int dir; /* data_root/volumes-meta */
};

/** A volume that is in no table yet. NULL without memory. */
struct dray_volume *dray_volume_new(const char *name, const char *driver);
void dray_volume_unref(struct dray_volume *v);
/** The one of the table, hidden or not, or NULL. vs->lock held; no reference. */
struct dray_volume *dray_volume_lookup(const struct dray_volumes *vs, const char *name);
/** A reference; NULL: DRAY_E_NOTFOUND. */
struct dray_volume *dray_volume_find(struct dray_volumes *vs, const char *name,
                                     struct dray_err *err);
/** Put what the driver has under that name into the table. created_ns: Unix time, or 0. */
int dray_volume_take(struct dray_volumes *vs, const char *name, const char *driver,
                     int64_t created_ns, struct dray_err *err);
/** All volumes, each with a reference. */
size_t dray_volume_snapshot(struct dray_volumes *vs, struct dray_volume ***out);
void dray_volume_snapshot_free(struct dray_volume **v, size_t n);
/** The driver of that name, opened for this if need be; NOTFOUND in Docker's words. */
struct dray_driver *dray_volume_driver(struct dray_volumes *vs, const char *name,
                                       struct dray_err *err);
int dray_volume_remove(struct dray_volumes *vs, struct dray_volume *v, bool force,
                       struct dray_err *err);
/** Event with the driver and one more attribute (key may be NULL). */
void dray_volume_event(struct dray_volumes *vs, const struct dray_volume *v, const char *action,
                       const char *key, const char *value);

/** The volume that a document of volumes-meta tells of, in no table; NULL if it is none of that
 *  name. */
struct dray_volume *dray_volume_read(struct dray_volumes *vs, const char *file, const char *name);
/** Have its driver remove it. */
int dray_volume_drop(struct dray_volumes *vs, struct dray_volume *v, struct dray_err *err);

/* volumes_cut.c */

/** Its driver is about to make it. True: it is new there, and dray_volume_came() is to follow. */
bool dray_volume_coming(struct dray_volumes *vs, struct dray_volume *v, struct dray_driver *d);
void dray_volume_came(struct dray_volumes *vs, const struct dray_volume *v);
/** Its driver is about to remove it; dray_volume_went() says whether it did. */
int dray_volume_going(struct dray_volumes *vs, const struct dray_volume *v, struct dray_err *err);
int dray_volume_went(struct dray_volumes *vs, const struct dray_volume *v, bool gone,
                     struct dray_err *err);
/** Before the volumes are read: finish or undo what was cut off. */
void dray_volumes_settle(struct dray_volumes *vs);

/* volumes_list.c */

/** Ask the driver where the data is, and for its status (NULL when it has none). */
int dray_volume_ask(struct dray_volumes *vs, struct dray_volume *v, char **mountpoint_out,
                    struct json_object **status_out, struct dray_err *err);

/** The object of GET /volumes/{name}; asks the driver for its mount point and status. */
int dray_volume_describe(struct dray_volumes *vs, struct dray_volume *v, bool with_status,
                         struct json_object **out, struct dray_err *err);

/* volumes_outside.c */

/** As dray_volume_find(), after asking the drivers for one that was not made here. */
struct dray_volume *dray_volume_get(struct dray_volumes *vs, const char *name,
                                    struct dray_err *err);
/** What drivers have beside the table, each with a reference, for dray_volume_snapshot_free().
 *  A line is added to the array `warnings` for each driver that does not say. */
size_t dray_volume_outside(struct dray_volumes *vs, struct dray_volume ***out,
                           struct json_object *warnings);
void dray_volume_shunned_free(struct dray_volumes *vs);

#endif
