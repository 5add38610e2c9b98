/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes_cut.c - creations and removals of volumes that were cut off when the daemon was killed.
 *
 * Beside the document NAME.json there is NAME.json.coming, with the driver's name in it, while a
 * driver makes what it had not before; and NAME.json is called NAME.json.going while a driver
 * removes. So what was under way is known at the next start, and drivers are asked for that alone.
 */
#define DRAY_LOG_AREA "volumes"
#include "base/buf.h"
#include "base/fs.h"
#include "base/ident.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/strlist.h"
#include "engine/engine.h"
#include "engine/volume/volumes_priv.h"

#include <dirent.h>
#include <fcntl.h>

#define COMING ".json.coming"
#define GOING ".json.going"
#define FILE_MAX 300

static void file_of(const char *name, const char *end, char out[FILE_MAX])
{
    (void)snprintf(out, FILE_MAX, "%.255s%s", name, end);
}

/* Drivers of servers keep their volumes whatever we do. */
static bool is_ours(const struct dray_driver *d)
{
    return !(dray_driver_features(d) & DRAY_VOLUME_F_FOREIGN);
}

/* Ask its driver. NOTFOUND is the driver's word that it has none of that name: a driver that is
 * missing says nothing. */
static int ask(struct dray_volumes *vs, struct dray_volume *v, char **place_out)
{
    struct dray_err err = {0};
    dray_autojson *status = NULL;
    struct dray_driver *d = dray_volume_driver(vs, v->driver, &err);
    return d ? dray_volume_ask(vs, v, place_out, &status, &err) : DRAY_E_UNAVAIL;
}

bool dray_volume_coming(struct dray_volumes *vs, struct dray_volume *v, struct dray_driver *d)
{
    char file[FILE_MAX];
    dray_autofree char *place = NULL;
    if (!is_ours(d) || ask(vs, v, &place) != DRAY_E_NOTFOUND)
        return false; /* what is there already is not taken back */
    file_of(v->name, COMING, file);
    return dray_fs_replace(vs->dir, file, v->driver, strlen(v->driver), 0600, DRAY_FS_PLAIN,
                           NULL) == 0;
}

void dray_volume_came(struct dray_volumes *vs, const struct dray_volume *v)
{
    char file[FILE_MAX];
    file_of(v->name, COMING, file);
    (void)unlinkat(vs->dir, file, 0);
}

int dray_volume_going(struct dray_volumes *vs, const struct dray_volume *v, struct dray_err *err)
{
    char doc[FILE_MAX], file[FILE_MAX];
    file_of(v->name, ".json", doc);
    file_of(v->name, GOING, file);
    if (renameat(vs->dir, doc, vs->dir, file) == 0 || errno == ENOENT)
        return 0;
    return dray_fail_errno(err, "remove %s", v->name);
}

int dray_volume_went(struct dray_volumes *vs, const struct dray_volume *v, bool gone,
                     struct dray_err *err)
{
    char doc[FILE_MAX], file[FILE_MAX];
    file_of(v->name, ".json", doc);
    file_of(v->name, GOING, file);
    int rc = gone ? unlinkat(vs->dir, file, 0) : renameat(vs->dir, file, vs->dir, doc);
    return rc == 0 || errno == ENOENT ? 0 : dray_fail_errno(err, "remove %s", v->name);
}

/* --- at the start -----------------------------------------------------------------------------*/

static bool is_empty(const char *path)
{
    DIR *d = opendir(path);
    bool empty = d != NULL;
    for (struct dirent *e = d ? readdir(d) : NULL; e && empty; e = readdir(d))
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (d)
        (void)closedir(d);
    return empty;
}

/* Nobody was told of it, and nothing is in it. */
static void undo_creation(struct dray_volumes *vs, const char *name, const char *driver)
{
    struct dray_err err = {0};
    dray_autofree char *place = NULL;
    struct dray_volume *v = dray_volume_new(name, driver);
    if (v && ask(vs, v, &place) == 0 && is_empty(place)) {
        dray_info("volume %s: its creation was cut off; it is removed", name);
        (void)dray_volume_drop(vs, v, &err);
    }
    dray_volume_unref(v);
}

static void settle_creation(struct dray_volumes *vs, const char *name)
{
    char doc[FILE_MAX], file[FILE_MAX];
    DRAY_AUTO(dray_buf) driver = {0};
    file_of(name, ".json", doc);
    file_of(name, COMING, file);
    if (faccessat(vs->dir, doc, F_OK, 0) != 0 &&
        dray_fs_read(vs->dir, file, 256, &driver, NULL) == 0 && driver.len > 0)
        undo_creation(vs, name, driver.data);
    (void)unlinkat(vs->dir, file, 0);
}

static void settle_removal(struct dray_volumes *vs, const char *name)
{
    char doc[FILE_MAX], file[FILE_MAX];
    dray_autofree char *place = NULL;
    file_of(name, ".json", doc);
    file_of(name, GOING, file);
    struct dray_volume *v = dray_volume_read(vs, file, name);
    if (v && ask(vs, v, &place) == DRAY_E_NOTFOUND) {
        dray_info("volume %s: its removal was cut off; it has gone", name);
        (void)unlinkat(vs->dir, file, 0);
    } else if (faccessat(vs->dir, doc, F_OK, 0) == 0 ||
               renameat(vs->dir, file, vs->dir, doc) != 0) {
        (void)unlinkat(vs->dir, file, 0); /* it has been made again since */
    }
    dray_volume_unref(v);
}

/* The name in front of the end, or NULL. */
static char *name_of(const char *file, const char *end)
{
    size_t len = strlen(file), n = strlen(end);
    return len > n && strcmp(file + len - n, end) == 0 ? strndup(file, len - n) : NULL;
}

static void find(struct dray_volumes *vs, struct dray_strlist *coming, struct dray_strlist *going)
{
    int fd = openat(vs->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        dray_autofree char *came = name_of(e->d_name, COMING);
        dray_autofree char *goes = name_of(e->d_name, GOING);
        if (came && dray_name_valid(came))
            (void)dray_strlist_add(coming, came);
        if (goes && dray_name_valid(goes))
            (void)dray_strlist_add(going, goes);
    }
    if (d)
        (void)closedir(d);
    else
        dray_cleanup_fd(&fd);
}

void dray_volumes_settle(struct dray_volumes *vs)
{
    DRAY_AUTO(dray_strlist) coming = {0};
    DRAY_AUTO(dray_strlist) going = {0};
    dray_fs_sweep(vs->dir);
    find(vs, &coming, &going);
    for (size_t i = 0; i < going.n; i++)
        settle_removal(vs, going.v[i]);
    for (size_t i = 0; i < coming.n; i++)
        settle_creation(vs, coming.v[i]);
}
