/* SPDX-License-Identifier: Apache-2.0 */
/* mounts.c - mount(2) and the newer mount calls behind one description. */
#include "mounts.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* mount(2) copies one page of data. */
#define DATA_MAX 4095u

static const struct {
    const char *name;
    unsigned long set, clear;
} flag_names[] = {
    {"defaults", 0, 0},
    {"ro", MS_RDONLY, 0},
    {"rw", 0, MS_RDONLY},
    {"nosuid", MS_NOSUID, 0},
    {"suid", 0, MS_NOSUID},
    {"nodev", MS_NODEV, 0},
    {"dev", 0, MS_NODEV},
    {"noexec", MS_NOEXEC, 0},
    {"exec", 0, MS_NOEXEC},
    {"sync", MS_SYNCHRONOUS, 0},
    {"async", 0, MS_SYNCHRONOUS},
    {"dirsync", MS_DIRSYNC, 0},
    {"mand", MS_MANDLOCK, 0},
    {"nomand", 0, MS_MANDLOCK},
    {"atime", 0, MS_NOATIME},
    {"noatime", MS_NOATIME, 0},
    {"diratime", 0, MS_NODIRATIME},
    {"nodiratime", MS_NODIRATIME, 0},
    {"relatime", MS_RELATIME, 0},
    {"norelatime", 0, MS_RELATIME},
    {"strictatime", MS_STRICTATIME, 0},
    {"nostrictatime", 0, MS_STRICTATIME},
    {"bind", MS_BIND, 0},
    {"rbind", MS_BIND | MS_REC, 0},
    {"remount", MS_REMOUNT, 0},
};

static const struct {
    const char *name;
    unsigned long value;
} propagations[] = {
    {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
};

/* --- options ----------------------------------------------------------------------------------*/

static bool parse_one(struct dray_pl_mount_opts *o, const char *text)
{
    for (size_t i = 0; i < sizeof flag_names / sizeof *flag_names; i++)
        if (strcmp(text, flag_names[i].name) == 0) {
            o->flags = (o->flags & ~flag_names[i].clear) | flag_names[i].set;
            return true;
        }
    for (size_t i = 0; i < sizeof propagations / sizeof *propagations; i++)
        if (strcmp(text, propagations[i].name) == 0) {
            o->propagation = propagations[i].value;
            return true;
        }
    return false;
}

int dray_pl_mount_parse(struct dray_strs options, struct dray_pl_mount_opts *out,
                        struct dray_err *err)
{
    size_t size = 1;
    for (uint64_t i = 0; i < options.n; i++)
        size += strlen(options.v[i]) + 1;
    *out = (struct dray_pl_mount_opts){.data = calloc(1, size)};
    if (!out->data)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    size_t used = 0;
    for (uint64_t i = 0; i < options.n; i++) {
        const char *text = options.v[i];
        size_t len = strlen(text);
        if (len == 0 || parse_one(out, text))
            continue;
        if (used > 0)
            out->data[used++] = ',';
        memcpy(out->data + used, text, len + 1);
        used += len;
    }
    return 0;
}

void dray_pl_mount_opts_cleanup(struct dray_pl_mount_opts *opts)
{
    free(opts->data);
    opts->data = NULL;
}

/* --- overlay options longer than a page -------------------------------------------------------*/

/* Length of the folder (with its slash) that all paths of the list share; 0: none. */
static size_t shared_folder(const char *list, size_t len)
{
    size_t n = (size_t)(strchrnul(list, ':') - list);
    n = n < len ? n : len;
    for (size_t at = 0; at < len;) {
        size_t same = 0;
        while (same < n && at + same < len && list[at + same] == list[same])
            same++;
        n = same;
        const char *colon = memchr(list + at, ':', len - at);
        if (!colon)
            break;
        at = (size_t)(colon - list) + 1;
    }
    while (n > 0 && list[n - 1] != '/')
        n--;
    return n > 1 ? n : 0;
}

struct relative {
    const struct dray_mount *m;
    const char *target;
    unsigned long flags;
    char *data;
    char folder[PATH_MAX];
    int result; /* errno of what failed, or 0 */
};

/* Rewrite "lowerdir=/a/b/x:/a/b/y" to "lowerdir=x:y" with folder "/a/b/". */
static bool make_relative(struct relative *r)
{
    char *list = strstr(r->data, "lowerdir=");
    if (!list)
        return false;
    list += strlen("lowerdir=");
    size_t len = (size_t)(strchrnul(list, ',') - list);
    size_t shared = shared_folder(list, len);
    if (shared == 0 || shared >= sizeof r->folder)
        return false;
    memcpy(r->folder, list, shared);
    r->folder[shared] = '\0';
    char *to = list;
    for (size_t at = 0; at < len;) {
        const char *colon = memchr(list + at, ':', len - at);
        size_t end = colon ? (size_t)(colon - list) + 1 : len;
        memmove(to, list + at + shared, end - at - shared);
        to += end - at - shared;
        at = end;
    }
    memmove(to, list + len, strlen(list + len) + 1);
    return true;
}

static void *mount_from_folder(void *arg)
{
    struct relative *r = arg;
    r->result = unshare(CLONE_FS) < 0 || chdir(r->folder) < 0 ||
                        mount(r->m->source, r->target, r->m->type, r->flags, r->data) < 0
                    ? errno
                    : 0;
    return NULL;
}

static int mount_long(const struct dray_mount *m, const char *target,
                      struct dray_pl_mount_opts *opts)
{
    struct relative r = {.m = m, .target = target, .flags = opts->flags, .data = opts->data};
    if (!make_relative(&r) || strlen(r.data) > DATA_MAX) {
        errno = E2BIG;
        return -1;
    }
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, mount_from_folder, &r);
    if (rc == 0)
        (void)pthread_join(thread, NULL);
    errno = rc != 0 ? rc : r.result;
    return errno != 0 ? -1 : 0;
}

/* --- mount(2) ---------------------------------------------------------------------------------*/

static int mount_failed(const struct dray_mount *m, const char *target, struct dray_err *err)
{
    return dray_fail_errno(err, "mount %s:%s", m->source, target);
}

/* Flags of a bind mount take a second call. */
static int mount_bind(const struct dray_mount *m, const char *target, unsigned long flags)
{
    if (mount(m->source, target, NULL, flags & (MS_BIND | MS_REC), NULL) < 0)
        return -1;
    unsigned long more = flags & ~(unsigned long)(MS_BIND | MS_REC);
    if (more == 0 || mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | more, NULL) == 0)
        return 0;
    int saved = errno;
    (void)umount2(target, MNT_DETACH);
    errno = saved;
    return -1;
}

int dray_pl_mount_at(const struct dray_mount *m, const char *target, struct dray_err *err)
{
    DRAY_AUTO(dray_pl_mount_opts) opts = {0};
    int rc = dray_pl_mount_parse(m->options, &opts, err);
    if (rc < 0)
        return rc;
    if (opts.flags & MS_BIND)
        rc = mount_bind(m, target, opts.flags);
    else if (strlen(opts.data) > DATA_MAX)
        rc = mount_long(m, target, &opts);
    else
        rc = mount(m->source, target, m->type, opts.flags, opts.data);
    if (rc < 0)
        return mount_failed(m, target, err);
    if (opts.propagation == 0 || mount(NULL, target, NULL, opts.propagation, NULL) == 0)
        return 0;
    rc = mount_failed(m, target, err);
    (void)umount2(target, MNT_DETACH);
    return rc;
}

int dray_pl_mount_detached_old(const struct dray_mount *m, const char *scratch, int *fd_out,
                               struct dray_err *err)
{
    int rc = dray_pl_mount_at(m, scratch, err);
    if (rc < 0)
        return rc;
    int fd = open_tree(AT_FDCWD, scratch, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0)
        rc = dray_fail_errno(err, "detach the mount of %s", m->source);
    (void)umount2(scratch, MNT_DETACH);
    if (rc == 0)
        *fd_out = fd;
    return rc;
}

/* --- the newer calls --------------------------------------------------------------------------*/

/* What the kernel logged about a mount being made, without its "e overlay: ". */
static void read_reason(int fs, char *text, size_t cap)
{
    int saved = errno;
    ssize_t n = read(fs, text, cap - 1);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    errno = saved;
}

static int set_lower(int fs, char *list)
{
    for (char *rest = list, *one; (one = strsep(&rest, ":"));)
        if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", one, 0) < 0)
            return -1;
    return 0;
}

static int set_option(int fs, char *option)
{
    char *value = strchr(option, '=');
    if (!value)
        return fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL, 0);
    *value++ = '\0';
    if (strcmp(option, "lowerdir") == 0)
        return set_lower(fs, value);
    return fsconfig(fs, FSCONFIG_SET_STRING, option, value, 0);
}

static unsigned attr_flags(unsigned long flags)
{
    return (flags & MS_RDONLY ? MOUNT_ATTR_RDONLY : 0u) |
           (flags & MS_NOSUID ? MOUNT_ATTR_NOSUID : 0u) |
           (flags & MS_NODEV ? MOUNT_ATTR_NODEV : 0u) |
           (flags & MS_NOEXEC ? MOUNT_ATTR_NOEXEC : 0u) |
           (flags & MS_NOATIME ? MOUNT_ATTR_NOATIME : 0u);
}

static int configure(int fs, const struct dray_mount *m, struct dray_pl_mount_opts *opts)
{
    if (fsconfig(fs, FSCONFIG_SET_STRING, "source", m->source, 0) < 0)
        return -1;
    if ((opts->flags & MS_RDONLY) && fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0)
        return -1;
    for (char *rest = opts->data, *one; (one = strsep(&rest, ","));)
        if (*one != '\0' && set_option(fs, one) < 0)
            return -1;
    return fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

static int bind_detached(const struct dray_mount *m, const struct dray_pl_mount_opts *opts,
                         int *fd_out, struct dray_err *err)
{
    unsigned rec = opts->flags & MS_REC ? AT_RECURSIVE : 0u;
    dray_autofd int fd = open_tree(AT_FDCWD, m->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | rec);
    if (fd < 0)
        return dray_fail_errno(err, "bind %s", m->source);
    struct mount_attr attr = {.attr_set = attr_flags(opts->flags)};
    if (attr.attr_set != 0 && mount_setattr(fd, "", AT_EMPTY_PATH | rec, &attr, sizeof attr) < 0)
        return dray_fail_errno(err, "bind %s", m->source);
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

int dray_pl_mount_detached(const struct dray_mount *m, const char *scratch, int *fd_out,
                           struct dray_err *err)
{
    DRAY_AUTO(dray_pl_mount_opts) opts = {0};
    int rc = dray_pl_mount_parse(m->options, &opts, err);
    if (rc < 0)
        return rc;
    if (opts.flags & MS_BIND)
        return bind_detached(m, &opts, fd_out, err);
    dray_autofd int fs = fsopen(m->type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return dray_fail_errno(err, "mount a file system of type %s", m->type);
    if (configure(fs, m, &opts) < 0) {
        char why[200];
        read_reason(fs, why, sizeof why);
        /* Before 6.8 there is no "lowerdir+", and no value is longer than 255 bytes. */
        if (strcmp(m->type, "overlay") == 0 && scratch && errno == EINVAL)
            return dray_pl_mount_detached_old(m, scratch, fd_out, err);
        return dray_fail_errno(err, "mount %s (%s)", m->source, why);
    }
    int fd = fsmount(fs, FSMOUNT_CLOEXEC, attr_flags(opts.flags));
    if (fd < 0)
        return dray_fail_errno(err, "mount %s", m->source);
    *fd_out = fd;
    return 0;
}
