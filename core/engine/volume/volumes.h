/* SPDX-License-Identifier: Apache-2.0 */
/* volumes.h - named volumes, their drivers and their users. */
#ifndef DRAY_ENGINE_VOLUMES_H
#define DRAY_ENGINE_VOLUMES_H

#include "base/strlist.h"

#include <dray/util.h>
#include <stdbool.h>

struct dray_engine;
struct dray_filters;
struct dray_volumes;
struct json_object;

int dray_volumes_open(struct dray_engine *e, struct dray_volumes **out, struct dray_err *err);
void dray_volumes_close(struct dray_volumes *vs);

struct dray_volume_req {
    const char *name;   /* NULL or "": a random one, marked anonymous */
    const char *driver; /* NULL: "local" */
    struct dray_kvs options;
    struct dray_kvs labels;
};
/** Make a volume, or find the equal one. *out: object as in GET /volumes/{name}. Emits "create". */
int dray_volumes_create(struct dray_volumes *vs, const struct dray_volume_req *req,
                        struct json_object **out, struct dray_err *err);
/** NOTFOUND: "get X: no such volume". */
int dray_volumes_inspect(struct dray_volumes *vs, const char *name, struct json_object **out,
                         struct dray_err *err);
/** Array of volumes that pass the filters; "warnings" of drivers that did not answer. */
int dray_volumes_list(struct dray_volumes *vs, const struct dray_filters *f,
                      struct json_object **out, struct json_object **warnings_out,
                      struct dray_err *err);
int dray_volumes_remove(struct dray_volumes *vs, const char *name, bool force,
                        struct dray_err *err);
/** *out: {"VolumesDeleted":[], "SpaceReclaimed":n}. */
int dray_volumes_prune(struct dray_volumes *vs, const struct dray_filters *f,
                       struct json_object **out, struct dray_err *err);
/** Array of all volumes with "UsageData", for disk usage. */
int dray_volumes_usage(struct dray_volumes *vs, struct json_object **out, struct dray_err *err);

/** A container refers to the volume: it cannot be removed ("volume is in use - [id]"). Called again
 *  for each container when the daemon starts. */
int dray_volumes_hold(struct dray_volumes *vs, const char *name, const char *container_id,
                      struct dray_err *err);
void dray_volumes_unhold(struct dray_volumes *vs, const char *name, const char *container_id);
/** The container starts: *path_out (owned by the caller) is where the data is. Emits "mount",
 *  with where it is seen in the container. */
int dray_volumes_mount(struct dray_volumes *vs, const char *name, const char *container_id,
                       const char *destination, bool read_write, char **path_out,
                       struct dray_err *err);
int dray_volumes_unmount(struct dray_volumes *vs, const char *name, const char *container_id,
                         struct dray_err *err);
/** After a restart of the daemon: the container still runs and has it mounted. */
int dray_volumes_restore(struct dray_volumes *vs, const char *name, const char *container_id,
                         struct dray_err *err);

#endif
