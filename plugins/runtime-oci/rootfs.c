/* SPDX-License-Identifier: Apache-2.0 */
/* rootfs.c - mounts a container's root where only the container will see it. */
#include "oci.h"

#include "mounts.h"

#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>

/* The mount point that path lies on: the longest one that leads to it. */
static void holder_of(const char *path, char *out, size_t size)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t cap = 0, best = 0;
    (void)snprintf(out, size, "/");
    while (f && getline(&line, &cap, f) > 0) {
        char point[PATH_MAX];
        if (sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1)
            continue;
        size_t n = strlen(point);
        bool leads = strncmp(path, point, n) == 0 && (path[n] == '/' || path[n] == '\0');
        if (leads && n > best) {
            best = n;
            (void)snprintf(out, size, "%s", point);
        }
    }
    free(line);
    if (f)
        (void)fclose(f);
}

/*
 * The container's own mount namespace will be a copy of this one. What is mounted here must not
 * show on the host: the mount that holds the folder stops telling its peers. All others keep their
 * propagation, which the container's volumes may ask for.
 */
int oci_rootfs_mount(const struct dray_mounts *mounts, const char *root, struct dray_err *err)
{
    char holder[PATH_MAX];
    if (mounts->n == 0)
        return 0;
    if (unshare(CLONE_NEWNS) != 0)
        return dray_fail_errno(err, "make a mount namespace");
    holder_of(root, holder, sizeof holder);
    if (mount(NULL, holder, NULL, MS_PRIVATE, NULL) != 0)
        return dray_fail_errno(err, "make %s private", holder);
    for (uint64_t i = 0; i < mounts->n; i++) {
        char target[PATH_MAX];
        const char *t = mounts->v[i].target;
        int n = snprintf(target, sizeof target, "%s%s%s", root, *t && *t != '/' ? "/" : "", t);
        if (n < 0 || (size_t)n >= sizeof target)
            return dray_fail(err, DRAY_E_LIMIT, "a path of the root is too long");
        int rc = dray_pl_mount_at(&mounts->v[i], target, err);
        if (rc)
            return dray_err_note(err, "mount the container's root");
    }
    return 0;
}
