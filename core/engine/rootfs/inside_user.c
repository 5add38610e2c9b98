/* SPDX-License-Identifier: Apache-2.0 */
/* inside_user.c - users and groups as a container's own files name them. */
#include "engine/rootfs/rootfs.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#define ID_MAX INT64_C(0x7fffffff)

static int in_range(int64_t id, struct dray_err *err)
{
    if (id < 0 || id > ID_MAX)
        return dray_fail(err, DRAY_E_INVAL, "uids and gids must be in range 0-2147483647");
    return 0;
}

/* Numbers that no file names are fine. */
static bool number(const char *text, int64_t *out)
{
    char *end;
    *out = strtoll(text, &end, 10);
    return *text && !*end;
}

static int find_uid(const char *name, int64_t *uid_out, int64_t *gid_out, struct dray_err *err)
{
    bool is_id = number(name, uid_out), found = false;
    FILE *f = fopen("/etc/passwd", "re");
    struct passwd *p;
    *gid_out = 0;
    while (f && !found && (p = fgetpwent(f)) != NULL) {
        found = is_id ? (int64_t)p->pw_uid == *uid_out : strcmp(p->pw_name, name) == 0;
        if (found) {
            *uid_out = p->pw_uid;
            *gid_out = p->pw_gid;
        }
    }
    if (f)
        (void)fclose(f);
    if (!found && !is_id)
        return dray_fail(err, DRAY_E_INVAL,
                         "unable to find user %s: no matching entries in passwd file", name);
    return in_range(*uid_out, err);
}

static int find_gid(const char *name, int64_t *gid_out, struct dray_err *err)
{
    if (number(name, gid_out))
        return in_range(*gid_out, err);
    bool found = false;
    FILE *f = fopen("/etc/group", "re");
    struct group *g;
    while (f && !found && (g = fgetgrent(f)) != NULL) {
        found = strcmp(g->gr_name, name) == 0;
        *gid_out = g->gr_gid;
    }
    if (f)
        (void)fclose(f);
    if (!found)
        return dray_fail(err, DRAY_E_INVAL,
                         "unable to find group %s: no matching entries in group file", name);
    return 0;
}

int dray_inside_user(const char *user, int64_t *uid_out, int64_t *gid_out, struct dray_err *err)
{
    dray_autofree char *name = strdup(user);
    char *group = name ? strchr(name, ':') : NULL;
    if (!name)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (group)
        *group++ = '\0';
    int rc = find_uid(*name ? name : "0", uid_out, gid_out, err);
    return rc == 0 && group && *group ? find_gid(group, gid_out, err) : rc;
}
