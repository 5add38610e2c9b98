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
    dray_autojson *state = NULL;
    dray_autofree char *path = dray_strf("%s/state.json", id);
    dray_autofree char *dir = dray_strf("%s/netns/", cs->engine->config->exec_root);
    if (!path || !dir || dray_json_load(cs->dir, path, &state, NULL) != 0)
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
