/* SPDX-License-Identifier: Apache-2.0 */
/* tree_print.h - a tree as text, to be compared before and after. */
#ifndef DRAY_TESTS_TREE_PRINT_H
#define DRAY_TESTS_TREE_PRINT_H

#include "files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static inline void print_entry(FILE *out, int dir, const char *name, const char *path)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    char text[256] = "";
    if (S_ISREG(st.st_mode))
        (void)dray_pl_read_small(dir, name, text, sizeof text);
    else if (S_ISLNK(st.st_mode))
        (void)!readlinkat(dir, name, text, sizeof text - 1);
    (void)fprintf(out, "%s mode %o owner %u:%u links %u dev %lx size %lld mtime %lld.%09ld [%s]\n",
                  path, st.st_mode, st.st_uid, st.st_gid,
                  S_ISDIR(st.st_mode) ? 0 : (unsigned)st.st_nlink, (unsigned long)st.st_rdev,
                  S_ISDIR(st.st_mode) ? 0LL : (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                  st.st_mtim.tv_nsec, text);
}

static inline void print_folder(FILE *out, int fd, const char *path)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    if (dray_pl_dir_read(fd, true, &dir, NULL) < 0)
        return;
    for (size_t i = 0; i < dir.n; i++) {
        dray_autofree char *full = NULL;
        if (asprintf(&full, "%s/%s", path, dir.v[i].text) < 0)
            abort();
        print_entry(out, fd, dir.v[i].text, full);
        dray_autofd int child = dray_pl_subdir(fd, dir.v[i].text);
        if (child >= 0)
            print_folder(out, child, full);
    }
}

/** All of a tree, one line an entry; freed by the caller. */
__attribute__((noinline, unused)) static char *print_tree(const char *path)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        abort();
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    print_entry(out, AT_FDCWD, path, "");
    print_folder(out, fd, "");
    (void)close(fd);
    (void)fclose(out);
    return text;
}

/** Remove a tree by its absolute path. */
static inline int remove_path(const char *path, struct dray_err *err)
{
    const char *slash = strrchr(path, '/');
    dray_autofree char *parent = strndup(path, (size_t)(slash - path) + 1);
    dray_autofd int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dray_pl_remove_tree(fd, slash + 1, err);
}

#endif
