/* SPDX-License-Identifier: Apache-2.0 */
/* build_mounts.c - what a build's command mounts: made ready before, taken away after. */
#include "engine/build/build_priv.h"

#include "base/fs.h"
#include "base/ident.h"
#include "base/logging.h"
#include "engine/rootfs/rootfs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DRAY_LOG_AREA "build"

/** One mount of the command. */
struct ready {
    const struct dray_build_mount *m;
    char *source;   /**< on the host; NULL: nothing is mounted */
    char *attached; /**< mount point below run_dir that is ours, or NULL */
    char layer[40]; /**< scratch layer that takes what is written, or "" */
    struct build_cache_dir *cache;
    struct build_agent *agent;
    char *missing;            /**< first part of the target that is not in the image, or NULL */
    struct timespec times[2]; /**< of the folder that it will be made in */
};

struct build_mounts {
    struct build *b;
    const struct dray_build_run *run;
    struct ready *v;
    size_t n;
    char *dir; /**< EXEC_ROOT/builds/ID-N; NULL until it is needed */
    struct json_object *env;
};

/* --- folders -----------------------------------------------------------------------------------*/

static int need_dir(struct build_mounts *m, struct dray_err *err)
{
    static atomic_uint serial;
    if (m->dir)
        return 0;
    m->dir = dray_strf("%s/builds/%s-%u", m->b->e->config->exec_root, m->b->id,
                       atomic_fetch_add(&serial, 1));
    return m->dir ? dray_fs_mkdirs(AT_FDCWD, m->dir, 0700, err)
                  : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static char *path_of(int fd)
{
    char link[64], path[PATH_MAX];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    return n > 0 ? strndup(path, (size_t)n) : NULL;
}

/* The host's path of what a path means below a folder. */
static int resolve(int dir, const char *path, char **out, struct dray_err *err)
{
    dray_autofd int fd = dray_fs_open_in_root(dir, *path ? path : "/", O_PATH | O_CLOEXEC, 0);
    if (fd < 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "failed to calculate checksum of ref: \"%s\": not found", path);
    *out = path_of(fd);
    return *out ? 0 : dray_fail_errno(err, "find the path of %s", path);
}

/* --- each type ---------------------------------------------------------------------------------*/

static int scratch_layer(struct build_mounts *m, struct ready *r, struct img_layer *l,
                         struct dray_err *err)
{
    r->layer[0] = 'l';
    dray_id_hex(r->layer + 1, 32);
    int rc = dray_driver_call(m->b->e->storage, storage, DRAY_CLASS_QUICK, err, create, r->layer,
                              l->id, DRAY_LAYER_WRITABLE, (struct dray_kvs){0});
    if (rc)
        r->layer[0] = '\0';
    return rc;
}

/* A layer's tree appears in a folder of ours, and from there in the container. */
static int attach_layer(struct build_mounts *m, struct ready *r, struct dray_err *err)
{
    struct img_layer *l = NULL;
    dray_autofd int fd = -EBADF;
    bool rdonly = r->m->flags & DRAY_BUILD_MOUNT_RDONLY;
    int rc = build_layer_find(m->b, r->m->layer, &l, err);
    if (!rc && !l)
        rc = dray_fail(err, DRAY_E_INVAL, "%s: nothing can be mounted from scratch", r->m->target);
    if (!rc && !rdonly)
        rc = scratch_layer(m, r, l, err);
    if (!rc)
        rc = dray_layer_mount(m->b->e->storage, r->layer[0] ? r->layer : l->id, rdonly,
                              m->b->e->userns, &fd, err);
    if (!rc)
        rc = need_dir(m, err);
    if (rc)
        return rc;
    char *at = dray_strf("%s/%zu", m->dir, (size_t)(r - m->v));
    if (!at || mkdir(at, 0700) != 0) {
        free(at);
        return dray_fail_errno(err, "make a mount point for %s", r->m->target);
    }
    if (syscall(SYS_move_mount, fd, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) == 0) {
        r->attached = at;
        dray_autofd int dir = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return resolve(dir, r->m->path, &r->source, err);
    }
    free(at); /* a single layer is a folder, no mount */
    return resolve(fd, r->m->path, &r->source, err);
}

static int attach_cache(struct build_mounts *m, struct ready *r, struct dray_err *err)
{
    return build_cache_dir_take(m->b, r->m, m->run->cancel.fd, &r->cache, &r->source, err);
}

static int attach_secret(struct build_mounts *m, struct ready *r, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) value = {0};
    int found = build_client_secret(m->b, r->m->id, &value, err);
    if (found < 0)
        return found;
    if (!found && !(r->m->flags & DRAY_BUILD_MOUNT_REQUIRED))
        return 0;
    if (!found)
        return dray_fail(err, DRAY_E_NOTFOUND, "secret %s: not found", r->m->id);
    if (*r->m->env) {
        dray_autofree char *pair = dray_strf("%s=%s", r->m->env, value.data ? value.data : "");
        json_object_array_add(m->env, json_object_new_string(pair ? pair : ""));
    }
    if (!*r->m->target)
        return 0;
    int rc = need_dir(m, err);
    if (rc)
        return rc;
    char *path = dray_strf("%s/%zu", m->dir, (size_t)(r - m->v));
    dray_autofd int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || build_mount_own(m->b, r->m, fd) != 0 || fchmod(fd, r->m->mode) != 0)
        rc = dray_fail_errno(err, "write secret %s", r->m->id);
    if (!rc)
        rc = dray_fs_write_all(fd, value.data ? value.data : "", value.len, err);
    r->source = path;
    return rc;
}

static int attach_ssh(struct build_mounts *m, struct ready *r, struct dray_err *err)
{
    bool found = build_client_has_agent(m->b, r->m->id);
    if (!found && !(r->m->flags & DRAY_BUILD_MOUNT_REQUIRED))
        return 0;
    if (!found)
        return dray_fail(err, DRAY_E_NOTFOUND, "unset ssh forward key %s", r->m->id);
    int rc = need_dir(m, err);
    char *path = rc ? NULL : dray_strf("%s/%zu", m->dir, (size_t)(r - m->v));
    if (!rc)
        rc = path ? build_agent_open(m->b, r->m, path, &r->agent, err)
                  : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    r->source = path;
    if (!rc && *r->m->env) {
        dray_autofree char *pair = dray_strf("%s=%s", r->m->env, r->m->target);
        json_object_array_add(m->env, json_object_new_string(pair ? pair : ""));
    }
    return rc;
}

static int make_ready(struct build_mounts *m, struct ready *r, struct dray_err *err)
{
    switch (r->m->type) {
    case DRAY_BUILD_MOUNT_LAYER:
        return attach_layer(m, r, err);
    case DRAY_BUILD_MOUNT_CACHE:
        return attach_cache(m, r, err);
    case DRAY_BUILD_MOUNT_SECRET:
        return attach_secret(m, r, err);
    case DRAY_BUILD_MOUNT_SSH:
        return attach_ssh(m, r, err);
    case DRAY_BUILD_MOUNT_TMPFS:
        return 0;
    default:
        return dray_fail(err, DRAY_E_NOTSUP, "mounts of type %u", r->m->type);
    }
}

/* --- traces in the image -----------------------------------------------------------------------*/

/* What of the target is not there yet, so that the runtime will make it. */
static void note_missing(struct ready *r, int root)
{
    dray_autofree char *path = strdup(r->m->target);
    struct stat above = {0};
    if (!path || root < 0)
        return;
    for (char *p = path + 1; *p;) {
        char *end = p + strcspn(p, "/");
        char kept = *end;
        *end = '\0';
        dray_autofd int fd = dray_fs_open_in_root(root, path, O_PATH | O_CLOEXEC, 0);
        if (fd < 0) {
            r->missing = strdup(path);
            r->times[0] = above.st_atim;
            r->times[1] = above.st_mtim;
            return;
        }
        (void)fstat(fd, &above);
        *end = kept;
        p = end + (kept == '/');
    }
}

/* Remove an empty file or folder that stood for a mount, and what was made for it above. */
static void remove_stub(const struct ready *r, int root)
{
    dray_autofree char *path = strdup(r->m->target);
    size_t stop = strlen(r->missing);
    while (path && strlen(path) >= stop) {
        char *slash = strrchr(path, '/');
        if (!slash)
            return;
        *slash = '\0';
        dray_autofd int dir =
            dray_fs_open_in_root(root, *path ? path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
        struct stat st;
        if (dir < 0 || fstatat(dir, slash + 1, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        bool folder = S_ISDIR(st.st_mode);
        if (!folder && (!S_ISREG(st.st_mode) || st.st_size > 0))
            return;
        if (unlinkat(dir, slash + 1, folder ? AT_REMOVEDIR : 0) != 0)
            return; /* the command has put something there */
        if (strlen(path) < stop)
            (void)futimens(dir, r->times);
    }
}

struct clamping {
    int root;
    int64_t most_s;
};

static int32_t clamp_one(void *ctx, const struct dray_record *rec)
{
    const struct clamping *c = ctx;
    const char *path = dray_kvs_get(rec->fields, "path", "");
    if (strcmp(dray_kvs_get(rec->fields, "kind", "2"), "2") == 0)
        return 0;
    dray_autofd int fd = dray_fs_open_in_root(c->root, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_mtim.tv_sec <= c->most_s)
        return 0;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = c->most_s}};
    (void)utimensat(fd, "", times, AT_EMPTY_PATH);
    return 0;
}

static int clamp_times(struct build_mounts *m, const char *layer, int root, int64_t most_s,
                       struct dray_err *err)
{
    struct clamping c = {root, most_s};
    DRAY_AUTO(dray_call_scope) s = {0};
    dray_call_object(&s, layer);
    dray_call_emit_to(&s, clamp_one, &c);
    int rc = dray_call_enter(&s, m->b->e->storage, DRAY_CLASS_DATA, build_cancel_fd(m->b), err);
    if (!rc)
        rc = ((const struct dray_storage_ops *)s.ops)->changes(s.self, &s.call, layer, err);
    return rc;
}

int build_mounts_clean(struct build_mounts *m, const char *layer, int64_t clamp_s,
                       struct dray_err *err)
{
    bool stubs = false;
    for (size_t i = 0; i < m->n; i++)
        stubs = stubs || m->v[i].missing;
    if (!stubs && clamp_s < 0)
        return 0;
    dray_autofd int root = -EBADF;
    int rc = dray_layer_mount(m->b->e->storage, layer, false, NULL, &root, err);
    for (size_t i = m->n; !rc && i > 0; i--)
        if (m->v[i - 1].missing)
            remove_stub(&m->v[i - 1], root);
    return !rc && clamp_s >= 0 ? clamp_times(m, layer, root, clamp_s, err) : rc;
}

/* --- open, add, close --------------------------------------------------------------------------*/

static int look_below(struct build_mounts *m, struct dray_err *err)
{
    struct img_layer *l = NULL;
    dray_autofd int root = -EBADF;
    int rc = build_layer_find(m->b, m->run->parent, &l, err);
    if (!rc && l)
        rc = dray_layer_view(m->b->e->storage, l->id, &root, err);
    for (size_t i = 0; !rc && i < m->n; i++)
        if (m->v[i].source || m->v[i].m->type == DRAY_BUILD_MOUNT_TMPFS)
            note_missing(&m->v[i], root);
    return rc;
}

int build_mounts_open(struct build *b, const struct dray_build_run *run, struct build_mounts **out,
                      struct dray_err *err)
{
    struct build_mounts *m = calloc(1, sizeof *m);
    int rc = 0;
    *out = m;
    if (m)
        m->v = calloc(run->n_mounts + 1, sizeof *m->v);
    if (!m || !m->v || !(m->env = json_object_new_array()))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    m->b = b;
    m->run = run;
    for (uint64_t i = 0; !rc && i < run->n_mounts; i++) {
        m->v[m->n].m = &run->mounts[i];
        rc = make_ready(m, &m->v[m->n++], err);
    }
    return !rc && m->n ? look_below(m, err) : rc;
}

static struct json_object *bind_json(const struct ready *r)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "Type", "bind");
    dray_json_add_str(o, "Source", r->source);
    dray_json_add_str(o, "Target", r->m->target);
    dray_json_add_bool(o, "ReadOnly",
                       (r->m->flags & DRAY_BUILD_MOUNT_RDONLY) ||
                           r->m->type == DRAY_BUILD_MOUNT_SECRET);
    return o;
}

static void add_tmpfs(struct json_object *host, const struct dray_build_mount *m)
{
    struct json_object *tmpfs = dray_json_obj(host, "Tmpfs");
    if (!tmpfs) {
        tmpfs = json_object_new_object();
        dray_json_add(host, "Tmpfs", tmpfs);
    }
    if (m->bytes)
        dray_json_addf(tmpfs, m->target, "exec,size=%llu", (unsigned long long)m->bytes);
    else
        dray_json_add_str(tmpfs, m->target, "exec");
}

int build_mounts_add(struct build_mounts *m, struct json_object *body, struct json_object *host,
                     struct dray_err *err)
{
    (void)err;
    struct json_object *mounts = json_object_new_array();
    for (size_t i = 0; i < m->n; i++) {
        const struct ready *r = &m->v[i];
        if (r->m->type == DRAY_BUILD_MOUNT_TMPFS)
            add_tmpfs(host, r->m);
        else if (r->source)
            json_object_array_add(mounts, bind_json(r));
    }
    dray_json_add(host, "Mounts", mounts);
    struct json_object *env = dray_json_arr(body, "Env");
    for (size_t i = 0; env && i < dray_json_len(m->env); i++)
        json_object_array_add(env, json_object_get(json_object_array_get_idx(m->env, i)));
    return 0;
}

static void take_away(struct build_mounts *m, struct ready *r)
{
    if (r->agent)
        build_agent_close(r->agent);
    if (r->attached)
        (void)umount2(r->attached, MNT_DETACH | UMOUNT_NOFOLLOW);
    if (r->cache)
        build_cache_dir_give(m->b->set, r->cache);
    struct dray_err why = {0};
    if (r->layer[0] &&
        dray_driver_call(m->b->e->storage, storage, DRAY_CLASS_MOUNT, &why, remove, r->layer) != 0)
        dray_warn("layer %.12s of a build stays until the next start: %s", r->layer, why.text);
    free(r->source);
    free(r->attached);
    free(r->missing);
}

void build_mounts_close(struct build_mounts *m)
{
    if (!m)
        return;
    for (size_t i = 0; m->v && i < m->n; i++)
        take_away(m, &m->v[i]);
    struct dray_err why = {0};
    if (m->dir && dray_fs_remove_tree(AT_FDCWD, m->dir, &why) != 0)
        dray_warn("%s", why.text);
    json_object_put(m->env);
    free(m->dir);
    free(m->v);
    free(m);
}

void build_mounts_sweep(struct dray_builds *bs)
{
    dray_autofree char *dir = dray_strf("%s/builds", bs->engine->config->exec_root);
    DRAY_AUTO(dray_buf) info = {0};
    if (!dir || access(dir, F_OK) != 0)
        return;
    /* Views of layers that a killed daemon had attached. */
    (void)dray_fs_read(AT_FDCWD, "/proc/self/mountinfo", 64u << 20, &info, NULL);
    for (char *line = info.data, *next = NULL; line && *line; line = next) {
        next = line + strcspn(line, "\n");
        next += *next == '\n';
        char at[PATH_MAX] = "";
        if (sscanf(line, "%*s %*s %*s %*s %4095s", at) == 1 && dray_str_prefix(at, dir) &&
            at[strlen(dir)] == '/')
            (void)umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW);
    }
    (void)dray_fs_remove_tree(AT_FDCWD, dir, NULL);
}
