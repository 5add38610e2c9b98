/* SPDX-License-Identifier: Apache-2.0 */
/* rootfs.c - the mounts that make up a container's root, as a storage driver describes them. */
#include "files.h"
#include "mount.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>

#define LAYERS_MAX 512u

/** Is there a lower folder, and which options has it besides? */
static const char *value_of(const char *word, const char *key)
{
    size_t n = strlen(key);
    return strncmp(word, key, n) == 0 && word[n] == '=' ? word + n + 1 : NULL;
}

/** Give "a:b:c" (with "\:" for a colon in a name) to the new interface, one by one. */
static int lower_each(int fs, const char *list)
{
    char one[PATH_MAX];
    size_t n = 0;
    for (const char *p = list;; p++) {
        if (*p == '\\' && p[1] == ':') {
            p++;
        } else if (*p == ':' || *p == '\0') {
            one[n] = '\0';
            if (n == 0) {
                errno = EINVAL;
                return -1;
            }
            if (fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", one, 0) != 0)
                return -1;
            n = 0;
            if (*p == '\0')
                return 0;
            continue;
        }
        if (n + 1 >= sizeof one) {
            errno = ENAMETOOLONG;
            return -1;
        }
        one[n++] = *p;
    }
}

static int overlay_word(int fs, const char *word)
{
    const char *lower = value_of(word, "lowerdir");
    if (lower && lower_each(fs, lower) == 0)
        return 0;
    if (lower)
        return -1;
    const char *eq = strchr(word, '=');
    char key[32];
    size_t n = eq ? (size_t)(eq - word) : 0;
    if (!eq)
        return fsconfig(fs, FSCONFIG_SET_FLAG, word, NULL, 0);
    if (n >= sizeof key) {
        errno = EINVAL;
        return -1;
    }
    memcpy(key, word, n);
    key[n] = '\0';
    return fsconfig(fs, FSCONFIG_SET_STRING, key, eq + 1, 0);
}

static int new_overlay(const struct dray_mount *m, const struct rn_mount_opts *o, int *fd_out,
                       struct dray_err *err)
{
    dray_autofd int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    if (fs < 0)
        return errno == ENODEV
                   ? dray_fail(err, DRAY_E_NOTSUP, "this kernel has no overlay file system")
                   : dray_fail_errno(err, "open file system overlay");
    if (*m->source)
        (void)fsconfig(fs, FSCONFIG_SET_STRING, "source", m->source, 0);
    for (size_t i = 0; i < o->n_data; i++) {
        if (overlay_word(fs, o->data[i]) == 0)
            continue;
        /* Linux before 6.8 knows no "lowerdir+"; its whole list goes through mount(2). */
        if (errno == EINVAL && strncmp(o->data[i], "lowerdir", 8) == 0)
            return 0;
        return dray_fail_errno(err, "overlay option %.200s", o->data[i]);
    }
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) {
        char why[200] = "";
        int saved = errno;
        if (saved == EINVAL) /* before 6.5 all words are taken, and looked at only now */
            return 0;
        ssize_t n = read(fs, why, sizeof why - 1);
        errno = saved;
        why[n > 0 ? n : 0] = '\0';
        return dray_fail_errno(err, "mount overlay%s%s", n > 0 ? ": " : "", why);
    }
    int fd = fsmount(fs, 0x1 /* FSMOUNT_CLOEXEC */, (unsigned)o->attr_set);
    if (fd < 0)
        return dray_fail_errno(err, "mount overlay");
    *fd_out = fd;
    return 0;
}

int rn_rootfs_new(const struct dray_mount *m, int *fd_out, struct dray_err *err)
{
    dray_autofree struct rn_mount_opts *o = malloc(sizeof *o);
    if (!o)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = rn_mount_options(m->options.v, (size_t)m->options.n, o, err);
    if (rc != 0)
        return rc;
    if (o->bind || strcmp(m->type, "bind") == 0)
        return rn_mount_clone(AT_FDCWD, m->source, o, fd_out, err);
    if (strcmp(m->type, "overlay") == 0)
        return new_overlay(m, o, fd_out, err);
    return rn_mount_new(m->type, m->source, o, fd_out, err);
}

/* mount(2) takes one page of options. Folders are named by short paths of open descriptors, so that
 * every permitted number of layers fits. */

struct page {
    char text[4096];
    size_t len;
    int fds[LAYERS_MAX];
    size_t n_fds;
};

static int page_add(struct page *p, const char *text, size_t n)
{
    if (p->len + n >= sizeof p->text) {
        errno = E2BIG;
        return -1;
    }
    memcpy(p->text + p->len, text, n);
    p->len += n;
    p->text[p->len] = '\0';
    return 0;
}

static int page_dir(struct page *p, const char *path, size_t n)
{
    char one[PATH_MAX];
    if (n >= sizeof one || p->n_fds == LAYERS_MAX) {
        errno = E2BIG;
        return -1;
    }
    memcpy(one, path, n);
    one[n] = '\0';
    int fd = open(one, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    p->fds[p->n_fds++] = fd;
    struct rn_fdpath name = rn_fdpath(fd);
    return page_add(p, name.s, strlen(name.s));
}

static int page_lower(struct page *p, const char *list, bool first)
{
    if (page_add(p, first ? "lowerdir=" : ":", first ? 9 : 1) != 0)
        return -1;
    for (const char *s = list;;) {
        size_t n = strcspn(s, ":");
        if (page_dir(p, s, n) != 0)
            return -1;
        if (s[n] == '\0')
            return 0;
        s += n + 1;
        if (page_add(p, ":", 1) != 0)
            return -1;
    }
}

static int page_word(struct page *p, const char *word, bool *lower_seen)
{
    const char *v = value_of(word, "lowerdir");
    if (!v)
        v = value_of(word, "lowerdir+");
    if (v) {
        int rc = 0;
        if (p->len > 0 && !*lower_seen)
            rc = page_add(p, ",", 1);
        if (rc == 0)
            rc = page_lower(p, v, !*lower_seen);
        *lower_seen = true;
        return rc;
    }
    if (p->len > 0 && page_add(p, ",", 1) != 0)
        return -1;
    return page_add(p, word, strlen(word));
}

static int mount_page(const struct dray_mount *m, const struct rn_mount_opts *o, struct page *p,
                      const char *path)
{
    bool lower_seen = false;
    /* The lower folders first, in one list, whatever their place among the options. */
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < o->n_data; i++)
            if ((strncmp(o->data[i], "lowerdir", 8) == 0) == (pass == 0) &&
                page_word(p, o->data[i], &lower_seen) != 0)
                return -1;
    unsigned long flags = (o->attr_set & MOUNT_ATTR_RDONLY ? MS_RDONLY : 0) |
                          (o->attr_set & MOUNT_ATTR_NODEV ? MS_NODEV : 0) |
                          (o->attr_set & MOUNT_ATTR_NOSUID ? MS_NOSUID : 0) |
                          (o->attr_set & MOUNT_ATTR_NOEXEC ? MS_NOEXEC : 0);
    return mount(*m->source ? m->source : "none", path, m->type, flags, p->text);
}

int rn_rootfs_mount_at(const struct dray_mount *m, const char *path, struct dray_err *err)
{
    struct rn_mount_opts o;
    struct page p = {.len = 0};
    int rc = rn_mount_options(m->options.v, (size_t)m->options.n, &o, err);
    if (rc != 0)
        return rc;
    if (mount_page(m, &o, &p, path) != 0)
        rc = dray_fail_errno(err, "mount %s on %s", m->type, path);
    for (size_t i = 0; i < p.n_fds; i++)
        (void)close(p.fds[i]);
    return rc;
}

/* A mount of mount(2) is always somewhere: here in a mount namespace that ends with its thread. */

struct apart {
    const struct dray_mount *m;
    const char *path;
    int fd, rc;
    struct dray_err err;
};

static void *mount_apart(void *arg)
{
    struct apart *a = arg;
    const struct rn_mount_opts o = {.bind = true};
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        a->rc = dray_fail_errno(&a->err, "make a mount namespace");
        return NULL;
    }
    a->rc = rn_rootfs_mount_at(a->m, a->path, &a->err);
    if (a->rc == 0)
        a->rc = rn_mount_clone(AT_FDCWD, a->path, &o, &a->fd, &a->err);
    return NULL;
}

int rn_rootfs_apart(const struct dray_mount *m, const char *path, int *fd_out, struct dray_err *err)
{
    struct apart a = {.m = m, .path = path, .fd = -EBADF};
    pthread_t thread; /* it has the ids of its maker */
    int rc = pthread_create(&thread, NULL, mount_apart, &a);
    if (rc != 0)
        return dray_fail(err, DRAY_E_NOMEM, "start a thread");
    (void)pthread_join(thread, NULL);
    if (a.rc != 0) {
        if (err)
            *err = a.err;
        return a.rc;
    }
    *fd_out = a.fd;
    return 0;
}
