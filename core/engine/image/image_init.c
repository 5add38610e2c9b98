/* SPDX-License-Identifier: Apache-2.0 */
/* image_init.c - the layer of mount points between an image and its containers. */
#include "engine/image/image_priv.h"

#include "base/fs.h"
#include "base/ident.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Docker's init layer. Folders before what is in them. */
static const struct {
    const char *path;
    mode_t mode;
    const char *link;
} points[] = {
    {"dev", S_IFDIR | 0755, NULL},
    {"dev/pts", S_IFDIR | 0755, NULL},
    {"dev/shm", S_IFDIR | 0755, NULL},
    {"dev/console", S_IFREG | 0755, NULL},
    {"proc", S_IFDIR | 0755, NULL},
    {"sys", S_IFDIR | 0755, NULL},
    {"etc", S_IFDIR | 0755, NULL},
    {"etc/hosts", S_IFREG | 0755, NULL},
    {"etc/hostname", S_IFREG | 0755, NULL},
    {"etc/resolv.conf", S_IFREG | 0755, NULL},
    {"etc/mtab", S_IFLNK | 0777, "/proc/mounts"},
    {".dockerenv", S_IFREG | 0755, NULL},
};

/* Is path there, as it is (a link counts as itself)? */
static bool there(int root, const char *path, struct stat *st)
{
    int fd = dray_fs_open_in_root(root, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool ok = fstat(fd, st) == 0;
    (void)close(fd);
    return ok;
}

/* Would a tar entry at path land in that very folder? Not through links of the image. */
static bool parent_plain(int root, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return true;
    char parent[32];
    (void)snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    struct stat st;
    return root < 0 || !there(root, parent, &st) || S_ISDIR(st.st_mode);
}

static int add_entry(struct archive *a, const char *path, const struct stat *st, const char *link)
{
    struct archive_entry *e = archive_entry_new();
    if (!e)
        return ARCHIVE_FATAL;
    archive_entry_copy_stat(e, st);
    archive_entry_set_nlink(e, 1);
    archive_entry_set_size(e, 0);
    archive_entry_set_pathname(e, path);
    if (link)
        archive_entry_set_symlink(e, link);
    int rc = archive_write_header(a, e);
    archive_entry_free(e);
    return rc;
}

/* Which folders of the image get a new entry: they must be in the tar with their own attributes. */
static bool needs_folder(int root, const char *folder)
{
    size_t n = strlen(folder);
    struct stat st;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        if (strncmp(points[i].path, folder, n) == 0 && points[i].path[n] == '/' &&
            !(root >= 0 && there(root, points[i].path, &st)))
            return true;
    return false;
}

static int write_points(int root, int out)
{
    struct archive *a = archive_write_new();
    int rc = a ? archive_write_set_format_pax_restricted(a) : ARCHIVE_FATAL;
    if (rc == ARCHIVE_OK)
        rc = archive_write_open_fd(a, out);
    for (size_t i = 0; rc >= ARCHIVE_WARN && i < sizeof points / sizeof *points; i++) {
        struct stat st = {0};
        bool exists = root >= 0 && there(root, points[i].path, &st);
        bool folder = exists && S_ISDIR(st.st_mode) && needs_folder(root, points[i].path);
        if ((exists && !folder) || !parent_plain(root, points[i].path))
            continue;
        if (!exists)
            st = (struct stat){.st_mode = points[i].mode, .st_nlink = 1};
        rc = add_entry(a, points[i].path, &st, points[i].link);
    }
    int end =
        a ? archive_write_close(a) : ARCHIVE_FATAL; /* frees its block, also after a failure */
    if (rc >= ARCHIVE_WARN)
        rc = end;
    if (a)
        (void)archive_write_free(a);
    return rc >= ARCHIVE_WARN ? 0 : -1;
}

static int fill(struct dray_driver *d, const char *parent, const char *id, struct dray_err *err)
{
    dray_autofd int root = -EBADF;
    int rc = *parent ? dray_layer_view(d, parent, &root, err) : 0;
    if (rc)
        return rc;
    dray_autofd int tar = memfd_create("init-layer", MFD_CLOEXEC);
    if (tar < 0 || write_points(root, tar) != 0 || lseek(tar, 0, SEEK_SET) != 0)
        return dray_fail(err, DRAY_E_IO, "write the mount points of an image");
    uint64_t size = 0;
    return dray_driver_call(d, storage, DRAY_CLASS_DATA, err, apply, id,
                            (struct dray_fd_borrow){tar}, (struct dray_kvs){0}, &size);
}

static int make_layer(struct dray_driver *d, const char *parent, const char *id,
                      struct dray_err *err)
{
    int rc = dray_driver_call(d, storage, DRAY_CLASS_MOUNT, err, create, id, parent, 0,
                              (struct dray_kvs){0});
    if (rc)
        return rc;
    rc = fill(d, parent, id, err);
    if (rc)
        (void)dray_driver_call(d, storage, DRAY_CLASS_DATA, NULL, remove, id);
    return rc;
}

/* The entry that stands for "no layers at all", so that its init layer is kept like others. */
static int empty_base(struct dray_images *im, struct img_layer **out, struct dray_err *err)
{
    dray_autofd int tar = memfd_create("empty-layer", MFD_CLOEXEC);
    char zeros[1024] = {0};
    struct img_layer *l = NULL;
    bool mine = false;
    int rc = img_layer_claim(im, NULL, IMG_EMPTY_DIFF, -1, &l, &mine, err);
    if (!rc && mine) {
        uint64_t size = 0;
        if (tar < 0 || pwrite(tar, zeros, sizeof zeros, 0) != (ssize_t)sizeof zeros)
            rc = dray_fail_errno(err, "write an empty layer");
        if (!rc)
            rc = dray_driver_call(l->driver, storage, DRAY_CLASS_DATA, err, apply, l->id,
                                  (struct dray_fd_borrow){tar}, (struct dray_kvs){0}, &size);
        int done = img_layer_done(im, l, rc == 0, 0, rc ? NULL : err);
        rc = rc ? rc : done;
        if (rc)
            img_layer_unref(im, l);
    }
    if (!rc)
        *out = l;
    return rc;
}

/* Wait until nobody else makes it; true when it is there. Lock held. */
static bool wait_made(struct dray_images *im, struct img_layer *l)
{
    while (l->init_busy)
        (void)img_wait(im, -1, NULL);
    if (l->init_id[0])
        return true;
    l->init_busy = true;
    return false;
}

int dray_images_init_layer(struct dray_images *im, const struct dray_image *image, char **id_out,
                           struct dray_err *err)
{
    struct img_layer *l = image->pin, *empty = NULL;
    if (!l) {
        int rc = empty_base(im, &empty, err);
        if (rc)
            return rc;
        l = empty; /* kept for good: its reference is never given back */
    }
    pthread_mutex_lock(&im->lock);
    bool made = wait_made(im, l);
    pthread_mutex_unlock(&im->lock);
    int rc = 0;
    if (!made) {
        char id[sizeof l->init_id] = "i";
        dray_id_hex(id + 1, 32);
        rc = make_layer(l->driver, l->id, id, err);
        pthread_mutex_lock(&im->lock);
        if (!rc)
            memcpy(l->init_id, id, sizeof id);
        l->init_busy = false;
        pthread_cond_broadcast(&im->changed);
        pthread_mutex_unlock(&im->lock);
        if (!rc)
            rc = img_layer_save(im, l, err);
    }
    if (rc)
        return dray_err_note(err, "make the init layer of image %.19s", image->id);
    *id_out = strdup(l->init_id);
    return *id_out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}
