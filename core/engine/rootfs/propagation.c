/* SPDX-License-Identifier: Apache-2.0 */
/* propagation.c - the propagation of the mount that a path lies on, from /proc/self/mountinfo. */
#include "engine/rootfs/propagation.h"

#include "base/buf.h"
#include "base/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define INFO_MAX ((size_t)64 << 20)

struct mount_line {
    char at[PATH_MAX];
    bool shared, slave;
};

/* "36 35 98:0 /root /mount/point options shared:1 master:2 - type ..." */
static bool parse_line(const char *line, unsigned long long id, struct mount_line *out)
{
    int used = 0;
    unsigned long long own = 0;
    if (sscanf(line, "%llu %*s %*s %*s %4095s %*s%n", &own, out->at, &used) != 2 || own != id)
        return false;
    size_t len = strcspn(line + used, "\n");
    dray_autofree char *tags = strndup(line + used, len);
    char *end = tags ? strstr(tags, " - ") : NULL;
    if (end)
        *end = '\0';
    out->shared = tags && strstr(tags, " shared:");
    out->slave = tags && strstr(tags, " master:");
    return true;
}

static bool find_mount(const char *path, struct mount_line *out)
{
    struct statx st;
    DRAY_AUTO(dray_buf) info = {0};
    if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &st) != 0 || !(st.stx_mask & STATX_MNT_ID) ||
        dray_fs_read(AT_FDCWD, "/proc/self/mountinfo", INFO_MAX, &info, NULL) != 0)
        return false;
    for (const char *line = info.data; line && *line;) {
        if (parse_line(line, st.stx_mnt_id, out))
            return true;
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return false;
}

int dray_propagation_check(const char *source, const char *mode, struct dray_err *err)
{
    const char *plain = mode[0] == 'r' ? mode + 1 : mode;
    bool shared = strcmp(plain, "shared") == 0, slave = strcmp(plain, "slave") == 0;
    struct mount_line m = {0};
    if ((!shared && !slave) || !find_mount(source, &m)) /* what is not known is not refused */
        return 0;
    if (m.shared || (slave && m.slave))
        return 0;
    return dray_fail(err, DRAY_E_INVAL, "path %s is mounted on %s but it is not a shared%s mount",
                     source, m.at, slave ? " or slave" : "");
}
