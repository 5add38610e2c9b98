/* SPDX-License-Identifier: Apache-2.0 */
/* mount_detached.c - mounts that storage drivers describe, for nobody else to see. */
#include "engine/rootfs/mount_detached.h"

#include "base/buf.h"
#include "engine/rootfs/userns.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>

/* glibc 2.36 has these; the numbers are the same everywhere. */
static int sys_fsconfig(int fs, unsigned cmd, const char *key, const void *value)
{
    return (int)syscall(SYS_fsconfig, fs, cmd, key, value, 0);
}

static char *shifted(const struct dray_userns_view *view, const char *text)
{
    return view ? dray_userns_shift(view, text) : strdup(text);
}

/** Folder by folder, since one value may not be longer than 255 bytes here. */
static int add_lower(int fs, char *dirs, struct dray_err *err)
{
    char *save = NULL;
    for (char *dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save))
        if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", dir) != 0)
            return dray_fail_errno(err, "add the lower folder %s", dir);
    return 0;
}

/** Set one "key=value" or flag. */
static int set_option(int fs, const char *option, const struct dray_userns_view *view,
                      struct dray_err *err)
{
    dray_autofree char *key = shifted(view, option);
    if (!key)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char *value = strchr(key, '=');
    if (!value) {
        (void)sys_fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL);
        return 0;
    }
    *value++ = '\0';
    if (strcmp(key, "lowerdir") == 0)
        return add_lower(fs, value, err);
    if (sys_fsconfig(fs, FSCONFIG_SET_STRING, key, value) != 0)
        return dray_fail_errno(err, "set the mount option %s", key);
    return 0;
}

static int configure(int fs, const struct dray_mount *m, const struct dray_userns_view *view,
                     struct dray_err *err)
{
    (void)sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", m->source);
    for (uint64_t i = 0; i < m->options.n; i++) {
        int rc = set_option(fs, m->options.v[i], view, err);
        if (rc != 0)
            return rc;
    }
    return sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL) == 0
               ? 0
               : dray_fail_errno(err, "mount %s", m->type);
}

/* Before Linux 6.8 lower folders can be given to mount(2) only: one page of options, in which
 * folders have short names, and a place, which is in a mount namespace that ends with its thread.
 */

#define ANY_FOLDER "/dev"
#define PAGE_MOST 4095

struct apart {
    const struct dray_mount *m;
    const struct dray_userns_view *view;
    bool rdonly;
    struct dray_buf page;
    int fds[256];
    size_t n_fds;
    int fd, rc;
    struct dray_err err;
};

static int page_lower(struct apart *a, char *dirs)
{
    char *save = NULL;
    dray_buf_adds(&a->page, "lowerdir=");
    for (char *dir = strtok_r(dirs, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
        int fd = a->n_fds < sizeof a->fds / sizeof *a->fds
                     ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC)
                     : -1;
        if (fd < 0)
            return dray_fail_errno(&a->err, "add the lower folder %s", dir);
        a->fds[a->n_fds++] = fd;
        dray_buf_addf(&a->page, "%s/proc/self/fd/%d", a->n_fds > 1 ? ":" : "", fd);
    }
    return 0;
}

static int page_option(struct apart *a, const char *option)
{
    dray_autofree char *text = shifted(a->view, option);
    if (!text)
        return dray_fail(&a->err, DRAY_E_NOMEM, "out of memory");
    if (strcmp(text, "ro") == 0)
        return 0;
    if (a->page.len > 0)
        dray_buf_addc(&a->page, ',');
    if (dray_str_prefix(text, "lowerdir="))
        return page_lower(a, text + strlen("lowerdir="));
    dray_buf_adds(&a->page, text);
    return 0;
}

static int mount_page(struct apart *a)
{
    for (uint64_t i = 0; i < a->m->options.n; i++) {
        int rc = page_option(a, a->m->options.v[i]);
        if (rc != 0)
            return rc;
    }
    if (a->page.failed || a->page.len > PAGE_MOST)
        return dray_fail(&a->err, DRAY_E_LIMIT, "mount %s: too many layers for this kernel",
                         a->m->type);
    if (mount(a->m->source, ANY_FOLDER, a->m->type, a->rdonly ? MS_RDONLY : 0, a->page.data) != 0)
        return dray_fail_errno(&a->err, "mount %s", a->m->type);
    a->fd = (int)syscall(SYS_open_tree, AT_FDCWD, ANY_FOLDER, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return a->fd < 0 ? dray_fail_errno(&a->err, "detach the mount of %s", a->m->type) : 0;
}

static void *apart_thread(void *arg)
{
    struct apart *a = arg;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        a->rc = dray_fail_errno(&a->err, "make a mount namespace");
    else
        a->rc = mount_page(a);
    return NULL;
}

static int mount_apart(const struct dray_mount *m, bool rdonly, const struct dray_userns_view *view,
                       int *fd_out, struct dray_err *err)
{
    struct apart a = {.m = m, .view = view, .rdonly = rdonly, .fd = -EBADF};
    pthread_t thread; /* it makes files with the ids of its maker */
    if (pthread_create(&thread, NULL, apart_thread, &a) != 0)
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    (void)pthread_join(thread, NULL);
    for (size_t i = 0; i < a.n_fds; i++)
        (void)close(a.fds[i]);
    dray_buf_free(&a.page);
    if (a.rc == 0)
        *fd_out = a.fd;
    else if (err)
        *err = a.err;
    return a.rc;
}

static int mount_new(const struct dray_mount *m, bool rdonly, const struct dray_userns_view *view,
                     int *fd_out, struct dray_err *err)
{
    struct dray_err why = {.code = 0};
    dray_autofd int fs = (int)syscall(SYS_fsopen, m->type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return dray_fail_errno(err, "open the file system %s", m->type);
    int rc = configure(fs, m, view, &why);
    if (rc != 0 && why.os_errno == EINVAL)
        return mount_apart(m, rdonly, view, fd_out, err);
    if (rc != 0) {
        if (err)
            *err = why;
        return rc;
    }
    int fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, rdonly ? MOUNT_ATTR_RDONLY : 0);
    if (fd < 0)
        return dray_fail_errno(err, "mount %s", m->type);
    *fd_out = fd;
    return 0;
}

static int mount_bound(const struct dray_mount *m, const struct dray_userns_view *view, int *fd_out,
                       struct dray_err *err)
{
    dray_autofree char *source = shifted(view, m->source);
    if (!source)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "bind %s", source);
    *fd_out = fd;
    return 0;
}

int dray_mount_detached(const struct dray_mount *m, bool rdonly,
                        const struct dray_userns_view *view, int *fd_out, struct dray_err *err)
{
    return strcmp(m->type, "bind") == 0 ? mount_bound(m, view, fd_out, err)
                                        : mount_new(m, rdonly, view, fd_out, err);
}
