/* SPDX-License-Identifier: Apache-2.0 */
/* tar_place.c - finds the folder that a tar entry belongs in, inside the layer whatever links say.
 */
#include "tar_apply.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY)
#define CONFINED (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)

/* --- names ------------------------------------------------------------------------------------*/

/* Drop the last component of the len bytes in out; the new length. */
static size_t cut_last(const char *out, size_t len)
{
    while (len > 0 && out[len - 1] != '/')
        len--;
    return len > 0 ? len - 1 : 0;
}

int dray_tar_clean(const char *name, bool clamp, char out[PATH_MAX])
{
    size_t len = 0;
    for (const char *at = name; *at != '\0';) {
        size_t n = (size_t)(strchrnul(at, '/') - at);
        if (n == 2 && at[0] == '.' && at[1] == '.') {
            if (len == 0 && !clamp)
                return DRAY_E_INVAL;
            len = cut_last(out, len);
        } else if (n > 0 && !(n == 1 && at[0] == '.')) {
            if (len + 1 + n >= PATH_MAX)
                return DRAY_E_INVAL;
            if (len > 0)
                out[len++] = '/';
            memcpy(out + len, at, n);
            len += n;
        }
        at += n;
        at += *at == '/';
    }
    out[len] = '\0';
    return 0;
}

void dray_tar_spot(struct spot *spot)
{
    const char *slash = strrchr(spot->path, '/');
    size_t len = slash ? (size_t)(slash - spot->path) : 0;
    memcpy(spot->parent_buf, spot->path, len);
    spot->parent_buf[len] = '\0';
    spot->parent = spot->parent_buf;
    spot->name = slash ? slash + 1 : spot->path;
    spot->dir = NULL;
}

/* --- folders already opened -------------------------------------------------------------------*/

static void forget(struct place *p)
{
    free(p->path);
    if (p->fd >= 0)
        (void)close(p->fd);
    *p = (struct place){.fd = -EBADF};
}

void dray_tar_place_drop(struct unpacker *u)
{
    for (size_t i = 0; i < PLACE_CACHE; i++)
        if (u->cache[i].path)
            forget(&u->cache[i]);
}

static struct place *find_kept(struct unpacker *u, const char *path)
{
    for (size_t i = 0; i < PLACE_CACHE; i++) {
        struct place *p = &u->cache[i];
        if (p->path && strcmp(p->path, path) == 0) {
            p->used = ++u->clock;
            return p;
        }
    }
    return NULL;
}

struct place *dray_tar_place_keep(struct unpacker *u, const char *path, int fd)
{
    struct place *slot = &u->cache[0];
    for (size_t i = 0; i < PLACE_CACHE; i++) {
        struct place *p = &u->cache[i];
        if (p->path && strcmp(p->path, path) == 0) {
            slot = p;
            break;
        }
        if (p->used < slot->used)
            slot = p;
    }
    struct stat st;
    char *copy = strdup(path);
    if (!copy || fstat(fd, &st) < 0) {
        free(copy);
        (void)close(fd);
        return NULL;
    }
    forget(slot);
    *slot = (struct place){
        .path = copy, .fd = fd, .setgid = (st.st_mode & S_ISGID) != 0, .used = ++u->clock};
    return slot;
}

/* --- resolving --------------------------------------------------------------------------------*/

static int make_folder(struct unpacker *u, int parent, const char *name)
{
    if (mkdirat(parent, name, 0755) < 0)
        return -1;
    int fd = dray_pl_subdir(parent, name);
    if (fd < 0)
        return -1;
    if ((u->umask & 0755) != 0 && fchmod(fd, 0755) < 0) {
        (void)close(fd);
        return -1;
    }
    if (dray_tar_made(u, parent, name) < 0) {
        (void)close(fd);
        errno = ENOMEM;
        return -1;
    }
    return fd;
}

/* A whiteout that this layer made itself gives way to a folder that hides what is below. */
static int make_over_whiteout(struct unpacker *u, int parent, const char *name)
{
    if (unlinkat(parent, name, 0) < 0)
        return -1;
    int fd = make_folder(u, parent, name);
    if (fd >= 0 && dray_tar_opaque(u, parent, name) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Enter `name`, the last component of `prefix`, making it if absent; -1 with errno. */
static int step(struct unpacker *u, int parent, const char *name, const char *prefix)
{
    int fd = dray_pl_subdir(parent, name);
    if (fd >= 0)
        return fd;
    if (errno == ENOENT)
        return make_folder(u, parent, name);
    struct stat st;
    if ((errno != ELOOP && errno != ENOTDIR) || fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    if (S_ISLNK(st.st_mode))
        return dray_pl_openat2(u->job->root, prefix, DIR_FLAGS, 0, CONFINED);
    if (u->job->mode == DRAY_LAYER_OVERLAY && dray_tar_is_whiteout(&st))
        return make_over_whiteout(u, parent, name);
    errno = ENOTDIR;
    return -1;
}

/* Open path, a component at a time, with what is missing made; -1 with errno. */
static int make_path(struct unpacker *u, const char *path)
{
    char prefix[PATH_MAX];
    size_t len = 0;
    int cur = dray_pl_openat2(u->job->root, ".", DIR_FLAGS, 0, CONFINED);
    while (cur >= 0 && path[len] != '\0') {
        size_t from = len + (len > 0);
        len = (size_t)(strchrnul(path + from, '/') - path);
        memcpy(prefix, path, len);
        prefix[len] = '\0';
        int next = step(u, cur, prefix + from, prefix);
        int saved = errno;
        (void)close(cur);
        errno = saved;
        cur = next;
    }
    return cur;
}

static int place_failed(struct unpacker *u, const char *path)
{
    switch (errno) {
    case ENOTDIR:
    case EEXIST:
    case ENOENT:
    case ELOOP:
    case ENAMETOOLONG:
        return dray_fail(u->err, DRAY_E_INVAL, "\"%.200s\" is not a folder of the layer: %s", path,
                         strerror(errno));
    default:
        return dray_fail_errno(u->err, "open \"%.200s\"", path);
    }
}

int dray_tar_place(struct unpacker *u, const char *path, bool make, struct place **out)
{
    *out = find_kept(u, path);
    if (*out)
        return 0;
    int fd = dray_pl_openat2(u->job->root, *path ? path : ".", DIR_FLAGS, 0, CONFINED);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        if (!make)
            return 0;
        fd = make_path(u, path);
    }
    if (fd < 0)
        return place_failed(u, path);
    *out = dray_tar_place_keep(u, path, fd);
    return *out ? 0 : dray_fail(u->err, DRAY_E_NOMEM, "out of memory");
}

/* --- times ------------------------------------------------------------------------------------*/

int dray_tar_times_keep(struct unpacker *u, const char *path, const struct timespec times[2])
{
    if (u->n_times == u->cap_times) {
        size_t cap = u->cap_times ? u->cap_times * 2 : 256;
        void *more = realloc(u->times, cap * sizeof *u->times);
        if (!more)
            return dray_fail(u->err, DRAY_E_NOMEM, "out of memory");
        u->times = more;
        u->cap_times = cap;
    }
    char *copy = strdup(path);
    if (!copy)
        return dray_fail(u->err, DRAY_E_NOMEM, "out of memory");
    u->times[u->n_times++] = (struct dir_time){.path = copy, .times = {times[0], times[1]}};
    return 0;
}

int dray_tar_times_set(struct unpacker *u)
{
    for (size_t i = 0; i < u->n_times; i++) {
        const struct dir_time *t = &u->times[i];
        dray_autofd int fd = dray_pl_openat2(u->job->root, *t->path ? t->path : ".",
                                             DIR_FLAGS | O_NOFOLLOW, 0, CONFINED);
        if (fd < 0)
            continue; /* the layer itself removed or replaced it later on */
        if (futimens(fd, t->times) < 0 && errno != EINVAL)
            return dray_fail_errno(u->err, "set the time of \"%.200s\"", t->path);
    }
    return 0;
}
