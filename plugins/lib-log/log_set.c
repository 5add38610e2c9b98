/* SPDX-License-Identifier: Apache-2.0 */
/* log_set.c - the files of a log as a reader holds them open, through rotations. */
#include "log_set.h"

#include "log_files.h"

#include <fcntl.h>
#include <sys/stat.h>

/* More rotated files than anybody configures. */
#define PARTS_MAX 10000

static bool open_as(const struct dray_log_set *s, int64_t index, bool packed,
                    struct dray_log_part *out)
{
    dray_autofree char *name = dray_log_file_name(s->name, index, packed);
    if (!name)
        return false;
    int fd = openat(s->dirfd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        dray_cleanup_fd(&fd);
        return false;
    }
    *out = (struct dray_log_part){.fd = fd, .mtime_s = st.st_mtime, .packed = packed};
    out->ino = packed ? dray_log_packed_ino(fd) : st.st_ino;
    return true;
}

static bool open_part(const struct dray_log_set *s, int64_t index, struct dray_log_part *out)
{
    return open_as(s, index, false, out) || (index > 0 && open_as(s, index, true, out)) ||
           /* it may have been packed between the two looks */
           (index > 0 && open_as(s, index, false, out));
}

static bool known(const struct dray_log_set *s, const struct dray_log_part *p)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].ino == p->ino && p->ino)
            return true;
    return false;
}

static bool append(struct dray_log_set *s, struct dray_log_part *p)
{
    struct dray_log_part *grown = realloc(s->v, (s->n + 1) * sizeof *grown);
    if (!grown)
        return false;
    s->v = grown;
    s->v[s->n++] = *p;
    return true;
}

static void reverse(struct dray_log_set *s)
{
    for (size_t i = 0; i < s->n / 2; i++) {
        struct dray_log_part held = s->v[i];
        s->v[i] = s->v[s->n - 1 - i];
        s->v[s->n - 1 - i] = held;
    }
}

/* Newest first: a rotation in between makes a file appear twice, never not at all. */
int dray_log_set_open(struct dray_log_set *s, const char *dir, const char *name,
                      struct dray_err *err)
{
    *s = (struct dray_log_set){.dirfd = -EBADF, .name = name};
    s->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dirfd < 0)
        return errno == ENOENT ? 0 : dray_fail_errno(err, "open %s", dir);
    for (int64_t i = 0; i < PARTS_MAX; i++) {
        struct dray_log_part p;
        if (!open_part(s, i, &p)) {
            if (i == 0)
                continue; /* it is just being begun anew */
            break;
        }
        if (known(s, &p)) {
            (void)close(p.fd);
            continue;
        }
        if (!append(s, &p)) {
            (void)close(p.fd);
            dray_log_set_close(s);
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        }
    }
    reverse(s);
    return 0;
}

void dray_log_set_close(struct dray_log_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        dray_log_set_drop(s, i);
    free(dray_steal(s->v));
    s->n = 0;
    dray_cleanup_fd(&s->dirfd);
    s->dirfd = -EBADF;
}

int dray_log_set_fd(struct dray_log_set *s, size_t i)
{
    struct dray_log_part *p = &s->v[i];
    if (p->fd >= 0 && p->packed) {
        int plain = dray_log_unpack(p->fd);
        (void)close(p->fd);
        p->fd = plain < 0 ? -EBADF : plain;
        p->packed = false;
    }
    return p->fd;
}

void dray_log_set_drop(struct dray_log_set *s, size_t i)
{
    dray_cleanup_fd(&s->v[i].fd);
    s->v[i].fd = -EBADF;
}

bool dray_log_set_successor(struct dray_log_set *s, uint64_t ino, struct dray_log_part *out)
{
    struct dray_log_part next = {.fd = -EBADF};
    for (int64_t i = 0; i < PARTS_MAX; i++) {
        struct dray_log_part p;
        if (!open_part(s, i, &p)) {
            if (i == 0)
                return false;
            break;
        }
        if (p.ino == ino) {
            (void)close(p.fd);
            *out = next;
            return next.fd >= 0;
        }
        dray_cleanup_fd(&next.fd);
        next = p;
    }
    *out = next; /* it has been dropped already: go on with the oldest that is left */
    return next.fd >= 0;
}
