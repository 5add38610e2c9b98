/* SPDX-License-Identifier: Apache-2.0 */
/* build_cachedir.c - folders that RUN --mount=type=cache keeps between builds. */
#include "engine/build/build_priv.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/ident.h"
#include "engine/rootfs/rootfs.h"
#include "engine/rootfs/userns.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>

#define WAIT_NS (100 * 1000 * 1000)
#define COPIES_MAX 1000

/* --- the table ---------------------------------------------------------------------------------*/

/* Lock held. */
static struct build_cache_dir *find_dir(struct dray_builds *bs, const char *name)
{
    struct build_cache_dir *d = bs->mounts;
    while (d && strcmp(d->name, name) != 0)
        d = d->next;
    return d;
}

static void dir_free(struct build_cache_dir *d)
{
    if (!d)
        return;
    free(d->id);
    free(d);
}

static int write_doc(struct dray_builds *bs, const struct build_cache_dir *d, struct dray_err *err)
{
    dray_autojson *o = json_object_new_object();
    dray_json_add_str(o, "id", d->id);
    dray_json_add_int(o, "created", d->created_ns);
    dray_json_add_int(o, "used", d->used_ns);
    dray_json_add_int(o, "times", d->times);
    char name[80];
    (void)snprintf(name, sizeof name, "%s.json", d->name);
    const char *text = dray_json_text(o);
    return dray_fs_replace(bs->mounts_dir, name, text, strlen(text), 0600, DRAY_FS_PLAIN, err);
}

void build_cache_dirs_load(struct dray_builds *bs)
{
    int fd = openat(bs->mounts_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        dray_autojson *o = NULL;
        size_t n = strlen(e->d_name);
        struct build_cache_dir *d = NULL;
        if (n <= 5 || n > sizeof d->name + 4 || strcmp(e->d_name + n - 5, ".json") != 0 ||
            dray_json_load(bs->mounts_dir, e->d_name, &o, NULL) != 0 || !(d = calloc(1, sizeof *d)))
            continue;
        (void)snprintf(d->name, sizeof d->name, "%.*s", (int)(n - 5), e->d_name);
        d->id = strdup(dray_json_str(o, "id", ""));
        d->created_ns = dray_json_int(o, "created", 0);
        d->used_ns = dray_json_int(o, "used", 0);
        d->times = dray_json_int(o, "times", 0);
        d->next = bs->mounts;
        bs->mounts = d;
    }
    if (dir)
        (void)closedir(dir);
}

void build_cache_dirs_free(struct dray_builds *bs)
{
    while (bs->mounts) {
        struct build_cache_dir *next = bs->mounts->next;
        dir_free(bs->mounts);
        bs->mounts = next;
    }
}

/* --- taking ------------------------------------------------------------------------------------*/

static void name_dir(const struct dray_build_mount *m, unsigned copy, char out[72])
{
    char digest[DRAY_DIGEST_LEN];
    dray_digest_of(m->id, strlen(m->id), digest);
    if (copy)
        (void)snprintf(out, 72, "%.40s-%u", dray_digest_hex(digest), copy);
    else
        (void)snprintf(out, 72, "%.40s", dray_digest_hex(digest));
}

static struct build_cache_dir *enter_dir(struct dray_builds *bs, const char *name, const char *id)
{
    struct build_cache_dir *d = calloc(1, sizeof *d);
    if (!d || !(d->id = strdup(id))) {
        free(d);
        return NULL;
    }
    (void)snprintf(d->name, sizeof d->name, "%s", name);
    d->created_ns = dray_clock_now();
    d->fresh = true;
    d->next = bs->mounts;
    bs->mounts = d;
    return d;
}

static bool gone(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* Lock held. */
static int wait_free(struct build *b, int cancel_fd, struct dray_err *err)
{
    int64_t until = dray_clock_mono() + WAIT_NS;
    struct timespec ts = {.tv_sec = until / DRAY_NS_PER_S, .tv_nsec = until % DRAY_NS_PER_S};
    (void)pthread_cond_clockwait(&b->set->mount_free, &b->set->lock, CLOCK_MONOTONIC, &ts);
    if (gone(cancel_fd) || gone(build_cancel_fd(b)))
        return dray_fail(err, DRAY_E_CANCELED, "the build was canceled");
    return 0;
}

/* May this one be used as the mount wants it? Lock held. */
static bool usable(const struct build_cache_dir *d, const struct dray_build_mount *m)
{
    if (d->filling || d->going)
        return false;
    if (d->users == 0)
        return true;
    return m->sharing == DRAY_BUILD_SHARED && !d->exclusive;
}

/* Lock held. */
static int choose(struct build *b, const struct dray_build_mount *m, int cancel_fd,
                  struct build_cache_dir **out, struct dray_err *err)
{
    struct dray_builds *bs = b->set;
    for (unsigned copy = 0;;) {
        char name[72];
        name_dir(m, copy, name);
        struct build_cache_dir *d = find_dir(bs, name);
        if (!d && !(d = enter_dir(bs, name, m->id)))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        if (usable(d, m)) {
            *out = d;
            return 0;
        }
        if (m->sharing == DRAY_BUILD_PRIVATE && copy < COPIES_MAX) {
            copy++;
            continue;
        }
        int rc = wait_free(b, cancel_fd, err);
        if (rc)
            return rc;
    }
}

int build_mount_own(struct build *b, const struct dray_build_mount *m, int fd)
{
    if (!b->e->userns)
        return fchown(fd, m->uid, m->gid);
    const struct dray_remap *r = dray_userns_remap(b->e->userns);
    int64_t uid = dray_idrange_out(r->uid, m->uid), gid = dray_idrange_out(r->gid, m->gid);
    if (uid >= 0 && gid >= 0)
        return fchown(fd, (uid_t)uid, (gid_t)gid);
    errno = EINVAL;
    return -1;
}

/* The first content of a new folder. */
static int fill(struct build *b, const struct dray_build_mount *m, int to, struct dray_err *err)
{
    struct img_layer *l = NULL;
    dray_autofd int root = -EBADF;
    int rc = build_layer_find(b, m->layer, &l, err);
    if (rc || !l)
        return rc;
    rc = dray_layer_mount(b->e->storage, l->id, true, b->e->userns, &root, err);
    if (rc)
        return rc;
    dray_autofd int from =
        dray_fs_open_in_root(root, *m->path ? m->path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (from < 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "cache mount %s: %s is no folder in what it starts from", m->target,
                         m->path);
    return dray_tree_copy(from, to, err);
}

static int make_folder(struct build *b, const struct dray_build_mount *m,
                       const struct build_cache_dir *d, struct dray_err *err)
{
    int top = b->set->mounts_dir;
    (void)dray_fs_remove_tree(top, d->name, NULL);
    if (mkdirat(top, d->name, 0700) != 0)
        return dray_fail_errno(err, "make the folder of cache %s", m->id);
    dray_autofd int fd = openat(top, d->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || build_mount_own(b, m, fd) != 0 || fchmod(fd, m->mode) != 0)
        return dray_fail_errno(err, "make the folder of cache %s", m->id);
    int rc = *m->layer ? fill(b, m, fd, err) : 0;
    return rc ? rc : write_doc(b->set, d, err);
}

int build_cache_dir_take(struct build *b, const struct dray_build_mount *m, int cancel_fd,
                         struct build_cache_dir **out, char **path_out, struct dray_err *err)
{
    struct dray_builds *bs = b->set;
    struct build_cache_dir *d = NULL;
    pthread_mutex_lock(&bs->lock);
    int rc = choose(b, m, cancel_fd, &d, err);
    bool fresh = false;
    if (!rc) {
        d->users++;
        d->times++;
        d->used_ns = dray_clock_now();
        d->exclusive = m->sharing != DRAY_BUILD_SHARED;
        fresh = d->filling = d->fresh;
    }
    pthread_mutex_unlock(&bs->lock);
    if (rc)
        return rc;
    if (fresh) {
        rc = make_folder(b, m, d, err);
        pthread_mutex_lock(&bs->lock);
        d->filling = false;
        d->fresh = rc != 0;
        pthread_cond_broadcast(&bs->mount_free);
        pthread_mutex_unlock(&bs->lock);
    }
    if (!rc &&
        !(*path_out = dray_strf("%s/build/mounts/%s", bs->engine->config->data_root, d->name)))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc)
        build_cache_dir_give(bs, d);
    else
        *out = d;
    return rc;
}

void build_cache_dir_give(struct dray_builds *bs, struct build_cache_dir *d)
{
    pthread_mutex_lock(&bs->lock);
    if (--d->users == 0)
        d->exclusive = false;
    if (!d->fresh)
        (void)write_doc(bs, d, NULL);
    pthread_cond_broadcast(&bs->mount_free);
    pthread_mutex_unlock(&bs->lock);
}

bool build_cache_dir_remove(struct dray_builds *bs, struct build_cache_dir *d)
{
    char doc[80];
    pthread_mutex_lock(&bs->lock);
    bool idle = d->users == 0 && !d->going;
    if (idle)
        d->going = true;
    pthread_mutex_unlock(&bs->lock);
    if (!idle)
        return false;
    (void)snprintf(doc, sizeof doc, "%s.json", d->name);
    (void)unlinkat(bs->mounts_dir, doc, 0);
    (void)dray_fs_remove_tree(bs->mounts_dir, d->name, NULL);
    pthread_mutex_lock(&bs->lock);
    struct build_cache_dir **at = &bs->mounts;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    pthread_cond_broadcast(&bs->mount_free);
    pthread_mutex_unlock(&bs->lock);
    dir_free(d);
    return true;
}
