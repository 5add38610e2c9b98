/* SPDX-License-Identifier: Apache-2.0 */
/* layers_spare.c - empties the layers of removed containers and hands them to new ones. */
#include "layers_table.h"
#include "xattrs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>

static bool empty(int fd)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    bool good = dray_pl_dir_read(fd, false, &dir, NULL) == 0;
    for (size_t i = 0; good && i < dir.n; i++)
        good = dray_pl_remove_tree(fd, dir.v[i].text, NULL) == 0;
    return good;
}

/* What a container may have set on its root must not reach the next one. */
static bool plain(int fd)
{
    struct fsxattr attr;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &attr) == 0 &&
        (attr.fsx_projid != 0 ||
         (attr.fsx_xflags & (FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND | FS_XFLAG_PROJINHERIT)) != 0))
        return false;
    dray_autofree char *keys = NULL;
    ssize_t n = dray_pl_xattr_list(fd, ".", &keys);
    for (const char *key = keys; key && key < keys + n; key += strlen(key) + 1)
        if (strcmp(key, "security.selinux") != 0 && fremovexattr(fd, key) < 0)
            return false;
    return n >= 0 && fchown(fd, geteuid(), getegid()) == 0 && fchmod(fd, 0755) == 0;
}

static bool has_room(struct dray_pl_layers *set)
{
    (void)pthread_mutex_lock(&set->lock);
    bool room = set->n_spares < SPARE_MAX;
    (void)pthread_mutex_unlock(&set->lock);
    return room;
}

/* Only this thread adds spares, so the room that has_room() saw is still there. */
static bool keep(struct dray_pl_layers *set, int trash, const char *name)
{
    if (renameat(trash, name, set->spare_fd, name) < 0)
        return false;
    (void)pthread_mutex_lock(&set->lock);
    (void)snprintf(set->spares[set->n_spares++], sizeof *set->spares, "%s", name);
    (void)pthread_mutex_unlock(&set->lock);
    return true;
}

static bool reuse(void *arg, int trash, const char *name)
{
    struct dray_pl_layers *set = arg;
    struct dray_pl_layer was;
    if (strlen(name) >= sizeof *set->spares || !has_room(set) ||
        !dray_layers_read_meta(trash, name, &was) || !was.writable)
        return false;
    dray_autofd int dir = dray_pl_subdir(trash, name);
    dray_autofd int diff = dir >= 0 ? dray_pl_subdir(dir, "diff") : -EBADF;
    dray_autofd int work = dir >= 0 ? dray_pl_subdir(dir, "work") : -EBADF;
    return diff >= 0 && work >= 0 && empty(diff) && empty(work) && plain(diff) && plain(work) &&
           unlinkat(dir, "meta", 0) == 0 && keep(set, trash, name);
}

static bool make_spare(struct dray_pl_layers *set)
{
    char name[sizeof *set->spares];
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(name, sizeof name, "n%llx",
                   (unsigned long long)now.tv_sec * 1000000000u + (unsigned long long)now.tv_nsec);
    if (mkdirat(set->spare_fd, name, 0711) < 0)
        return false;
    dray_autofd int dir = dray_pl_subdir(set->spare_fd, name);
    if (dir < 0 || mkdirat(dir, "diff", 0755) < 0 || mkdirat(dir, "work", 0700) < 0)
        return false;
    return keep(set, set->spare_fd, name);
}

/* The background thread's chore: one that starts a few containers finds their folders ready. */
static void refill(void *arg)
{
    struct dray_pl_layers *set = arg;
    (void)pthread_mutex_lock(&set->lock);
    unsigned n = set->n_spares;
    (void)pthread_mutex_unlock(&set->lock);
    if (n > SPARE_LOW)
        return;
    while (n++ < SPARE_MAX / 2 && make_spare(set))
        ;
}

bool dray_layers_take_spare(struct dray_pl_layers *set, const char *id)
{
    char name[sizeof *set->spares] = "";
    (void)pthread_mutex_lock(&set->lock);
    if (set->n_spares > 0)
        memcpy(name, set->spares[--set->n_spares], sizeof name);
    bool low = set->spare_fd >= 0 && set->n_spares <= SPARE_LOW;
    (void)pthread_mutex_unlock(&set->lock);
    if (low)
        dray_pl_trash_wake(set->trash);
    return name[0] != '\0' &&
           renameat2(set->spare_fd, name, set->layers_fd, id, RENAME_NOREPLACE) == 0;
}

int dray_pl_layers_keep_spares(struct dray_pl_layers *set, struct dray_err *err)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    dray_autofd int root = open(set->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return dray_fail_errno(err, "open %s", set->root);
    int rc = dray_pl_open_dir(root, "spare", 0700, &set->spare_fd, err);
    if (rc == 0)
        dray_pl_spread(set->spare_fd);
    if (rc == 0)
        rc = dray_pl_dir_read(set->spare_fd, false, &dir, err);
    /* Those of an earlier run are as good: they came here when they were clean. */
    for (size_t i = 0; rc == 0 && i < dir.n; i++)
        if (!has_room(set) || strlen(dir.v[i].text) >= sizeof *set->spares ||
            !keep(set, set->spare_fd, dir.v[i].text))
            rc = dray_pl_trash_put(set->trash, set->spare_fd, dir.v[i].text, err);
    if (rc < 0)
        return rc;
    dray_pl_trash_set_reuse(set->trash, reuse, set);
    dray_pl_trash_set_chore(set->trash, refill, set);
    dray_pl_trash_wake(set->trash);
    return 0;
}
