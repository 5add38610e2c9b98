/* SPDX-License-Identifier: Apache-2.0 */
/* build_kept.c - the contexts that clients have sent, each in a file of its own until it is pruned:
 * what has not changed need not come again. */
#include "engine/build/build_priv.h"

#include "base/clock.h"
#include "base/ident.h"
#include "base/logging.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define DRAY_LOG_AREA "build"
#define FRESH '.' /* begins names of files that have not got theirs yet */

static void name_of(const char *key, char out[33])
{
    char digest[DRAY_DIGEST_LEN];
    dray_digest_of(key, strlen(key), digest);
    (void)snprintf(out, 33, "%.32s", dray_digest_hex(digest));
}

int dray_builds_kept_new(struct dray_builds *bs, int *fd_out, struct dray_err *err)
{
    *fd_out = openat(bs->kept_dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return *fd_out < 0 ? dray_fail_errno(err, "make a file for a build context") : 0;
}

int dray_builds_kept_open(struct dray_builds *bs, const char *key)
{
    char name[33];
    name_of(key, name);
    return openat(bs->kept_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

void dray_builds_kept_put(struct dray_builds *bs, const char *key, int fd)
{
    char name[33], fresh[] = ".0123456789abcdef", path[40];
    name_of(key, name);
    dray_id_hex(fresh + 1, 16);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, path, bs->kept_dir, fresh, AT_SYMLINK_FOLLOW) != 0) {
        dray_warn("keep a build context: %s", strerror(errno));
        return;
    }
    if (renameat(bs->kept_dir, fresh, bs->kept_dir, name) != 0)
        (void)unlinkat(bs->kept_dir, fresh, 0);
}

void dray_builds_kept_touch(struct dray_builds *bs, const char *key)
{
    char name[33];
    name_of(key, name);
    (void)utimensat(bs->kept_dir, name, NULL, AT_SYMLINK_NOFOLLOW);
}

int build_kept_each(struct dray_builds *bs, void (*fn)(void *ctx, const struct build_kept *k),
                    void *ctx)
{
    int fd = openat(bs->kept_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        (void)close(fd);
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        struct stat st;
        if (e->d_name[0] == FRESH || fstatat(bs->kept_dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        struct build_kept k = {.bytes = st.st_blocks * 512,
                               .used_ns = st.st_mtim.tv_sec * DRAY_NS_PER_S + st.st_mtim.tv_nsec};
        (void)snprintf(k.name, sizeof k.name, "%.32s", e->d_name);
        if (fn)
            fn(ctx, &k);
        n++;
    }
    if (dir)
        (void)closedir(dir);
    return n;
}

bool build_kept_remove(struct dray_builds *bs, const char *name)
{
    return unlinkat(bs->kept_dir, name, 0) == 0;
}

void build_kept_sweep(struct dray_builds *bs)
{
    int fd = openat(bs->kept_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        (void)close(fd);
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        if (e->d_name[0] == FRESH && e->d_name[1] && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(bs->kept_dir, e->d_name, 0);
    if (dir)
        (void)closedir(dir);
}
