/* SPDX-License-Identifier: Apache-2.0 */
/* host.h - what the files of dray-plugin-host share: the plugin, its instance, calls under way. */
#ifndef DRAY_PLUGINHOST_HOST_H
#define DRAY_PLUGINHOST_HOST_H

#include "plugin/registry.h"
#include "plugin/wire.h"

#define HOST_SOCKET 3 /* the daemon's descriptor for this program */

/** A request that is being carried out in a thread of its own. */
struct host_job {
    struct plugin_host *host;
    struct host_job *next;
    struct dray_wire request;
    struct dray_wire_arena memory; /* of the request, of outputs, of what the plugin allocates */
    pthread_cond_t turn;           /* the daemon has taken a record */
    bool emitted;
    int32_t emit_rc;
};

struct plugin_host {
    struct dray_plugin_file file;
    struct dray_host table; /* what the plugin calls */
    void *ops[DRAY_KIND_MAX + 1];
    struct dray_self *self;
    char *paths[3]; /* by enum dray_path */
    struct dray_options *_Atomic options;

    pthread_mutex_t send_lock; /* one message at a time. order: last */
    pthread_mutex_t lock;      /* guards: jobs, and emitted in each. order: alone */
    struct host_job *jobs;
};

/* load.c */

/** Load the file of a LOAD request; the reply describes it. */
void host_load(struct plugin_host *h, struct host_job *job, struct dray_wire *reply);
/** Parse options, probe, open. */
void host_open(struct plugin_host *h, struct host_job *job, struct dray_wire *reply);
void host_reload(struct plugin_host *h, struct host_job *job, struct dray_wire *reply);

/* services.c */

/** The table of services that the plugin gets. */
void host_services(struct plugin_host *h);
void host_send(struct plugin_host *h, const struct dray_wire *w);

#endif
