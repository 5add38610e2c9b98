/* SPDX-License-Identifier: Apache-2.0 */
/* container_broken.c - containers whose document cannot be read: kept as they are, and removed by
 * force. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/container/shims.h"
#include "engine/network/netns.h"
#include "engine/network/networks.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define DRAY_LOG_AREA "containers"

bool dray_container_half_made(struct dray_containers *cs, const char *id)
{
    struct stat st;
    dray_autofree char *doc = dray_strf("%s/container.json", id);
    return doc && fstatat(cs->dir, doc, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

void dray_container_broken_note(struct dray_containers *cs, const char *id, const char *why)
{
    dray_error(
        "container %s is broken, and kept as it is until it is mended or removed by force: %s", id,
        why);
    atomic_store(&cs->engine->damaged, true);
    pthread_rwlock_wrlock(&cs->lock);
    (void)dray_strlist_add(&cs->broken, id);
    pthread_rwlock_unlock(&cs->lock);
}

bool dray_container_broken_find(struct dray_containers *cs, const char *prefix,
                                char id_out[DRAY_ID_LEN])
{
    size_t found = 0, len = strlen(prefix);
    pthread_rwlock_rdlock(&cs->lock);
    for (size_t i = 0; len > 0 && i < cs->broken.n; i++)
        if (strncmp(cs->broken.v[i], prefix, len) == 0 && found++ == 0)
            (void)snprintf(id_out, DRAY_ID_LEN, "%s", cs->broken.v[i]);
    pthread_rwlock_unlock(&cs->lock);
    return found == 1;
}

/** Its state, where that can be read. */
static struct json_object *state_of(struct dray_containers *cs, const char *id)
{
    struct json_object *state = NULL;
    dray_autofree char *path = dray_strf("%s/state.json", id);
    return path && dray_json_load(cs->dir, path, &state, NULL) == 0 ? state : NULL;
}

static void hold_endpoint(struct dray_containers *cs, const char *id, const char *network,
                          struct json_object *ep, struct json_object *ports, int netns)
{
    char name[13];
    (void)snprintf(name, sizeof name, "%s", id);
    struct dray_err err = {0};
    struct dray_join_req req = {.container_id = id,
                                .container_name = name,
                                .hostname = "",
                                .network = network,
                                .config = ep,
                                .ports = ports,
                                .netns = netns,
                                .ifname = "",
                                .replay = true};
    dray_autojson *endpoint = NULL, *published = NULL;
    if (dray_networks_join(cs->engine->networks, &req, &endpoint, &published, &err) != 0)
        dray_warn("the broken container %.12s is not held on network %s: %s", id, network,
                  err.text);
}

static void hold(struct dray_containers *cs, const char *id)
{
    dray_autojson *state = state_of(cs, id);
    struct json_object *networks = dray_json_obj(state, "Networks");
    struct json_object *ports = dray_json_obj(state, "Ports");
    const char *netns = dray_json_str(state, "Netns", "");
    dray_autofd int fd = *netns ? open(netns, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || !networks)
        return;
    json_object_object_foreach(networks, name, ep)
    {
        if (!*dray_json_str(ep, "EndpointID", ""))
            continue;
        bool leads_out = *dray_json_str(ep, "Gateway", "") != '\0';
        hold_endpoint(cs, id, name, ep, leads_out ? ports : NULL, fd);
        if (leads_out)
            ports = NULL; /* they are published once */
    }
}

void dray_container_broken_hold(struct dray_containers *cs)
{
    for (size_t i = 0; i < cs->broken.n; i++)
        hold(cs, cs->broken.v[i]);
}

static void leave_networks(struct dray_containers *cs, const char *id)
{
    dray_autojson *state = state_of(cs, id);
    struct json_object *networks = dray_json_obj(state, "Networks");
    if (!networks)
        return;
    json_object_object_foreach(networks, name, ep)
    {
        struct dray_err err = {0};
        if (*dray_json_str(ep, "EndpointID", "") &&
            dray_networks_leave(cs->engine->networks, id, ep, -1, &err) != 0)
            dray_info("the broken container %.12s leaves network %s: %s", id, name, err.text);
    }
}

/** Which drivers it had is not known: each is asked, and those that do not know it have nothing to
 * do. */
static int drop_parts(struct dray_containers *cs, const char *id, struct dray_err *err)
{
    struct dray_drivers *all = cs->engine->drivers;
    struct dray_driver *d;
    dray_shims_kill(cs->shims, id);
    for (size_t i = 0; (d = dray_drivers_at(all, DRAY_KIND_RUNTIME, i)); i++) {
        (void)dray_driver_call(d, runtime, DRAY_CLASS_QUICK, NULL, kill, id, SIGKILL,
                               DRAY_KILL_ALL);
        (void)dray_driver_call(d, runtime, DRAY_CLASS_MOUNT, NULL, remove, id);
    }
    int rc = 0;
    for (size_t i = 0; rc == 0 && (d = dray_drivers_at(all, DRAY_KIND_STORAGE, i)); i++)
        rc = dray_driver_call(d, storage, DRAY_CLASS_MOUNT, err, remove, id);
    return rc;
}

/** Where its state still tells which sandbox it had; else the next start finds that. */
static void drop_sandbox(struct dray_containers *cs, const char *id)
{
    dray_autojson *state = state_of(cs, id);
    dray_autofree char *dir = dray_strf("%s/netns/", cs->engine->config->exec_root);
    if (!dir)
        return;
    const char *netns = dray_json_str(state, "Netns", "");
    if (strncmp(netns, dir, strlen(dir)) == 0 && !strchr(netns + strlen(dir), '/'))
        dray_netns_drop(cs->netns, netns);
}

static void forget(struct dray_containers *cs, const char *id)
{
    struct dray_strlist left = {0};
    pthread_rwlock_wrlock(&cs->lock);
    for (size_t i = 0; i < cs->broken.n; i++)
        if (strcmp(cs->broken.v[i], id) != 0)
            (void)dray_strlist_add(&left, cs->broken.v[i]);
    dray_strlist_free(&cs->broken);
    cs->broken = left;
    pthread_rwlock_unlock(&cs->lock);
}

int dray_container_broken_remove(struct dray_containers *cs, const char *id, bool force,
                                 struct dray_err *err)
{
    if (!force)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "cannot remove container \"%s\": its document cannot be read: mend it and "
                         "restart the daemon, or force remove",
                         id);
    int rc = drop_parts(cs, id, err);
    leave_networks(cs, id);
    drop_sandbox(cs, id);
    if (rc == 0)
        rc = dray_fs_remove_tree(cs->dir, id, err);
    if (rc != 0)
        return dray_err_note(err, "remove the broken container %s", id);
    dray_container_run_dir_drop(cs, id);
    forget(cs, id);
    dray_info("the broken container %s was removed by force", id);
    return 0;
}
