/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h - the domain: everything the daemon knows, without any HTTP. */
#ifndef DRAY_ENGINE_ENGINE_H
#define DRAY_ENGINE_ENGINE_H

#include "base/ident.h"
#include "engine/config.h"
#include "plugin/driver.h"

#include <dray/util.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct dray_authz;
struct dray_events;
struct dray_extensions;
struct dray_metrics;
struct dray_images;
struct dray_networks;
struct dray_volumes;
struct dray_containers;
struct dray_builds;
struct dray_dns;
struct dray_proxy;
struct dray_userns;
struct json_object;

/** Parts find each other here. Set once by dray_engine_open(), constant until dray_engine_close().
 */
struct dray_engine {
    const struct dray_config *config;
    struct dray_drivers *drivers;
    struct dray_driver *storage; /* driver of new layers */
    struct dray_userns *userns;  /* NULL: ids of containers are the host's */
    struct dray_authz *authz;    /* who is asked about requests to the API */
    struct dray_events *events;
    struct dray_images *images;
    struct dray_networks *networks;
    struct dray_volumes *volumes;
    struct dray_dns *dns;
    struct dray_proxy *proxy;
    struct dray_containers *containers;
    struct dray_builds *builds;
    struct dray_extensions *extensions;
    struct dray_metrics *metrics; /* or NULL */
    int data_fd;                  /* folder data_root */
    int exec_fd;                  /* folder exec_root */
    int lock_fd;                  /* the data root is ours while this is open */
    char id[DRAY_ID_LEN];         /* of this installation, kept in data_root */
    int64_t started_ns;
    /* As it was last read, with those of before behind it; NULL: as at the start. */
    _Atomic(struct dray_config *) fresh;
    /* A document could not be read at the start. What belongs to it is not known, so nothing is
     * taken for left over. */
    atomic_bool damaged;
};

/**
 * Open the stores, load the plugins, take over what still runs, drop what was half made. Order:
 * events, drivers, images, volumes, networks, containers (which restore their endpoints and
 * mounts), then each part's collect.
 */
int dray_engine_open(const struct dray_config *config, struct dray_engine **out,
                     struct dray_err *err);
/** Take over what of a newly read configuration can change while running: options of plugins, the
 *  authorization plugins, and what dray_engine_live() is asked for. */
int dray_engine_reload(struct dray_engine *e, struct dray_config *config /* takes */,
                       struct dray_err *err);
/** The configuration as it was last read, until the engine is closed. For settings that a reload
 *  changes: debug, labels, limits of transfers, shutdown-timeout, registries, features, and the
 *  defaults of new containers. All others are e->config's. */
static inline const struct dray_config *dray_engine_live(struct dray_engine *e)
{
    const struct dray_config *fresh = atomic_load(&e->fresh);
    return fresh ? fresh : e->config;
}
/** End without stopping containers: they outlive the daemon. */
void dray_engine_close(struct dray_engine *e);

/** The name of a storage driver as clients know it: "overlay" is Docker's "overlay2". */
const char *dray_storage_shown(const char *driver);

#endif
