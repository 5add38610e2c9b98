/* SPDX-License-Identifier: Apache-2.0 */
/* xattrs.c - reads and sets extended attributes relative to a folder. */
#include "xattrs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

static const struct {
    const char *prefix;
    bool travels;
} rules[] = {
    {"trusted.overlay.", false},
    {"user.overlay.", false},
    {"security.capability", true},
    {"security.ima", true},
    {"security.", false}, /* selinux, apparmor, evm ...: labels of this host */
    {"system.posix_acl_", true},
    {"system.", false},
    {"trusted.", true},
    {"user.", true},
};

bool dray_pl_xattr_travels(const char *key)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strncmp(key, rules[i].prefix, strlen(rules[i].prefix)) == 0)
            return rules[i].travels;
    return false;
}

bool dray_pl_xattr_excused(const char *key, int error)
{
    if (error == ENOTSUP)
        return true;
    /* user.* is for plain files and folders only; others need rights that a rootless host lacks */
    return error == EPERM && strcmp(key, "security.capability") != 0;
}

/* There is no lsetxattrat() before Linux 6.13; a path through /proc is as good. */
struct at_path {
    char text[NAME_MAX + 40];
};

/* Name "" leaves the text empty: the descriptor itself is meant. */
static int at_path(struct at_path *p, int dirfd, const char *name)
{
    if (*name == '\0')
        return 0;
    int n = snprintf(p->text, sizeof p->text, "/proc/self/fd/%d/%s", dirfd, name);
    if (n < 0 || (size_t)n >= sizeof p->text) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

static ssize_t list(const struct at_path *path, int fd, char *names, size_t cap)
{
    return path->text[0] ? llistxattr(path->text, names, cap) : flistxattr(fd, names, cap);
}

ssize_t dray_pl_xattr_list(int dirfd, const char *name, char **names_out)
{
    struct at_path path = {{0}};
    char first[1024];
    if (at_path(&path, dirfd, name) < 0)
        return -1;
    ssize_t n = list(&path, dirfd, first, sizeof first);
    *names_out = NULL;
    if (n == 0 || (n < 0 && errno == ENOTSUP))
        return 0;
    size_t cap = n > 0 ? (size_t)n : XATTR_LIST_MAX;
    if (n < 0 && errno != ERANGE)
        return -1;
    char *names = malloc(cap);
    if (!names)
        return -1;
    if (n > 0)
        memcpy(names, first, (size_t)n);
    else
        n = list(&path, dirfd, names, cap);
    if (n <= 0) {
        free(names);
        return n;
    }
    *names_out = names;
    return n;
}

ssize_t dray_pl_xattr_get(int dirfd, const char *name, const char *key, char **value_out)
{
    struct at_path path = {{0}};
    if (at_path(&path, dirfd, name) < 0)
        return -1;
    *value_out = NULL;
    for (size_t cap = 256; cap <= XATTR_SIZE_MAX; cap *= 16) {
        char *value = malloc(cap);
        if (!value)
            return -1;
        ssize_t n = path.text[0] ? lgetxattr(path.text, key, value, cap)
                                 : fgetxattr(dirfd, key, value, cap);
        if (n >= 0) {
            *value_out = value;
            return n;
        }
        free(value);
        if (errno != ERANGE)
            return -1;
    }
    return -1;
}

int dray_pl_xattr_set(int dirfd, const char *name, const char *key, const void *value, size_t len)
{
    struct at_path path = {{0}};
    if (at_path(&path, dirfd, name) < 0)
        return -1;
    return lsetxattr(path.text, key, value, len, 0);
}

bool dray_pl_is_opaque(int dirfd, const char *name)
{
    struct at_path path = {{0}};
    char value[4];
    return at_path(&path, dirfd, name) == 0 &&
           lgetxattr(path.text, DRAY_PL_OPAQUE_XATTR, value, sizeof value) == 1 && value[0] == 'y';
}
