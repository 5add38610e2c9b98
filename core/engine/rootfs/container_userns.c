/* SPDX-License-Identifier: Apache-2.0 */
/* container_userns.c - whose ids a container has, and what cannot be had with it. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "engine/container/container.h"
#include "engine/rootfs/userns.h"

#include <fcntl.h>
#include <sys/stat.h>

struct dray_userns *dray_container_userns(const struct dray_container *c, struct json_object *host)
{
    struct dray_userns *u = c->set->engine->userns;
    return u && strcmp(dray_json_str(host, "UsernsMode", ""), "host") != 0 ? u : NULL;
}

struct dray_userns *dray_container_userns_of(struct dray_container *c)
{
    if (!c->set->engine->userns)
        return NULL;
    dray_autojson *host = dray_container_json(c, &c->host);
    return dray_container_userns(c, host);
}

int dray_container_userns_check(const struct dray_container *c, struct json_object *host,
                                struct dray_err *err)
{
    if (!dray_container_userns(c, host))
        return 0;
    if (dray_json_bool(host, "Privileged", false))
        return dray_fail(err, DRAY_E_INVAL,
                         "privileged mode is incompatible with user namespaces.  You must run the "
                         "container in the host namespace when running privileged mode");
    if (strcmp(dray_json_str(host, "NetworkMode", ""), "host") == 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "cannot share the host's network namespace when user namespaces are "
                         "enabled");
    if (strcmp(dray_json_str(host, "PidMode", ""), "host") == 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "cannot share the host PID namespace when user namespaces are enabled");
    return 0;
}

/* --- sharing -----------------------------------------------------------------------------------*/

/** Namespaces are told apart by the inodes that name them. */
static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/** The user namespace of a process. *ours: it is the daemon's. */
static int look_at(int pid, char path[48], struct stat *out, bool *ours, struct dray_err *err)
{
    struct stat own;
    (void)snprintf(path, 48, "/proc/%d/ns/user", pid);
    if (stat(path, out) != 0 || stat("/proc/self/ns/user", &own) != 0)
        return dray_fail_errno(err, "look at the user namespace of process %d", pid);
    *ours = same(out, &own);
    return 0;
}

static int find_shared(struct dray_container *c, const char *other_name, char path[48],
                       struct stat *id, struct dray_err *err)
{
    struct stat found;
    char found_path[48];
    bool ours = false;
    dray_autocontainer *other = NULL;
    int rc = dray_container_find(c->set, other_name, &other, err);
    if (rc == 0)
        rc = dray_container_need_running(other, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&other->lock);
    int pid = other->st.pid;
    pthread_mutex_unlock(&other->lock);
    rc = look_at(pid, found_path, &found, &ours, err);
    if (rc != 0)
        return rc;
    if (ours)
        return dray_fail(err, DRAY_E_INVAL,
                         "cannot share a namespace of container %s, which is in the host's user "
                         "namespace: run this one with --userns=host too",
                         other->id);
    if (*path && !same(&found, id))
        return dray_fail(err, DRAY_E_INVAL,
                         "cannot share namespaces of containers that are in different user "
                         "namespaces");
    memcpy(path, found_path, sizeof found_path);
    *id = found;
    return 0;
}

int dray_container_userns_shared(struct dray_container *c, struct json_object *host,
                                 char **path_out, struct dray_err *err)
{
    static const char *const fields[] = {"NetworkMode", "PidMode", "IpcMode"};
    struct stat id = {0};
    char path[48] = "";
    int rc = 0;
    for (size_t i = 0; i < sizeof fields / sizeof *fields && rc == 0; i++) {
        const char *mode = dray_json_str(host, fields[i], "");
        if (dray_str_prefix(mode, "container:"))
            rc = find_shared(c, mode + strlen("container:"), path, &id, err);
    }
    *path_out = rc == 0 && *path ? strdup(path) : NULL;
    return rc;
}

/* --- ids ---------------------------------------------------------------------------------------*/

/** The first line of uid_map or gid_map. */
static bool read_map(int pid, const char *file, struct dray_idrange *out)
{
    char path[48];
    unsigned inside = 0, first = 0, count = 0;
    DRAY_AUTO(dray_buf) b = {0};
    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    if (dray_fs_read(AT_FDCWD, path, 65536, &b, NULL) != 0 || !b.data ||
        sscanf(b.data, "%u %u %u", &inside, &first, &count) != 3)
        return false;
    *out = (struct dray_idrange){first, count};
    return true;
}

bool dray_container_remap(struct dray_container *c, struct dray_remap *out)
{
    pthread_mutex_lock(&c->lock);
    int pid = dray_container_alive(c) ? c->st.pid : 0;
    pthread_mutex_unlock(&c->lock);
    char path[48];
    struct stat st;
    bool ours = false;
    if (pid > 0 && look_at(pid, path, &st, &ours, NULL) == 0)
        return !ours && read_map(pid, "uid_map", &out->uid) && read_map(pid, "gid_map", &out->gid);
    const struct dray_userns *u = dray_container_userns_of(c);
    if (u)
        *out = *dray_userns_remap(u);
    return u != NULL;
}

int dray_container_userns_give(struct dray_userns *u, int fd, struct dray_err *err)
{
    if (!u)
        return 0;
    const struct dray_remap *r = dray_userns_remap(u);
    return fchown(fd, r->uid.first, r->gid.first) == 0
               ? 0
               : dray_fail_errno(err, "give a file to the container's root");
}
