/* SPDX-License-Identifier: Apache-2.0 */
/* fs_entry.c - entries of trees as fsutil writes them, with Go's bits of modes. */
#include "kit/fs.h"
#include "kit/pb.h"

#include <limits.h>

#define CAPS_MAX 64u

/** Go's os.FileMode beside the permissions, and what it is here. */
static const struct {
    uint32_t go;
    mode_t mode;
} bits[] = {
    {1u << 31, S_IFDIR}, {1u << 27, S_IFLNK}, {1u << 25, S_IFIFO}, {1u << 24, S_IFSOCK},
    {1u << 23, S_ISUID}, {1u << 22, S_ISGID}, {1u << 20, S_ISVTX},
};
#define GO_DEVICE (1u << 26)
#define GO_CHAR_DEVICE (1u << 21)

/* 0 for one that says to be two things: their bits make up a third. */
static mode_t mode_from_go(uint32_t go)
{
    mode_t mode = go & 0777, type = 0;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        if (!(go & bits[i].go))
            continue;
        if (bits[i].mode & S_IFMT && type)
            return 0;
        type |= bits[i].mode & S_IFMT;
        mode |= bits[i].mode;
    }
    if (go & GO_DEVICE && type)
        return 0;
    if (go & GO_DEVICE)
        mode |= go & GO_CHAR_DEVICE ? S_IFCHR : S_IFBLK;
    return mode & S_IFMT ? mode : mode | S_IFREG;
}

static uint32_t mode_to_go(mode_t mode)
{
    uint32_t go = mode & 0777;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        mode_t b = bits[i].mode;
        if (b & S_IFMT ? (mode & S_IFMT) == b : (mode & b) != 0)
            go |= bits[i].go;
    }
    if (S_ISBLK(mode))
        go |= GO_DEVICE;
    return S_ISCHR(mode) ? go | GO_DEVICE | GO_CHAR_DEVICE : go;
}

void kit_fs_entry_fini(struct kit_fs_entry *e)
{
    free(e->path);
    free(e->link);
    free(e->caps);
    *e = (struct kit_fs_entry){0};
}

/* Relative, without "", "." and ".." among its parts. */
static bool confined(const char *path)
{
    if (!*path || strlen(path) >= PATH_MAX)
        return false;
    for (;;) {
        size_t n = strcspn(path, "/");
        if (n == 0 || (n <= 2 && path[0] == '.' && path[n - 1] == '.'))
            return false;
        if (!path[n])
            return true;
        path += n + 1;
    }
}

/* An entry of map<string, bytes>: only file capabilities count for an image. */
static void read_xattr(const struct pb_field *f, struct kit_fs_entry *e)
{
    static const char caps[] = "security.capability";
    struct pb m = pb_open(f->data, f->len);
    struct pb_field part, value = {0};
    bool ours = false;
    while (pb_next(&m, &part)) {
        if (part.number == 1)
            ours =
                part.len == strlen(caps) && memcmp(part.data ? part.data : "", caps, part.len) == 0;
        else if (part.number == 2)
            value = part;
    }
    if (!ours || !value.data || value.len == 0 || value.len > CAPS_MAX)
        return;
    free(e->caps);
    e->caps = malloc(value.len);
    e->n_caps = e->caps ? value.len : 0;
    if (e->caps)
        memcpy(e->caps, value.data, value.len);
}

static void read_field(const struct pb_field *f, struct kit_fs_entry *e, uint32_t *go)
{
    switch (f->number) {
    case 1:
        free(e->path);
        e->path = pb_dup(f);
        break;
    case 2:
        *go = (uint32_t)f->value;
        break;
    case 3:
        e->uid = (uint32_t)f->value;
        break;
    case 4:
        e->gid = (uint32_t)f->value;
        break;
    case 5:
        e->size = (int64_t)f->value;
        break;
    case 6:
        e->mtime_ns = (int64_t)f->value;
        break;
    case 7:
        free(e->link);
        e->link = pb_dup(f);
        break;
    case 8:
        e->major = (uint32_t)f->value;
        break;
    case 9:
        e->minor = (uint32_t)f->value;
        break;
    case 10:
        read_xattr(f, e);
        break;
    default:
        break;
    }
}

int kit_fs_entry_read(const struct pb_field *f, struct kit_fs_entry *out, struct dray_err *err)
{
    struct kit_fs_entry e = {0};
    struct pb m = pb_open(f->data, f->len);
    struct pb_field part;
    uint32_t go = 0;
    while (pb_next(&m, &part))
        read_field(&part, &e, &go);
    e.mode = mode_from_go(go);
    bool hard = S_ISREG(e.mode) && e.link && *e.link;
    bool ok = !m.bad && e.mode && e.path && confined(e.path) && e.size >= 0;
    if (ok && hard)
        ok = confined(e.link);
    if (ok && S_ISLNK(e.mode))
        ok = e.link && *e.link && strlen(e.link) < PATH_MAX;
    if (!ok) {
        int rc = dray_fail(err, DRAY_E_INVAL, "the client sends an invalid entry: \"%.200s\"",
                           e.path ? e.path : "");
        kit_fs_entry_fini(&e);
        return rc;
    }
    if (!S_ISREG(e.mode) || hard)
        e.size = 0;
    *out = e;
    return 0;
}

void kit_fs_entry_write(const struct kit_fs_entry *e, struct dray_buf *out)
{
    pb_text(out, 1, e->path);
    pb_uint(out, 2, mode_to_go(e->mode));
    pb_uint(out, 3, e->uid);
    pb_uint(out, 4, e->gid);
    pb_uint(out, 5, (uint64_t)e->size);
    pb_uint(out, 6, (uint64_t)e->mtime_ns);
    pb_text(out, 7, e->link);
    pb_uint(out, 8, e->major);
    pb_uint(out, 9, e->minor);
    if (e->caps) {
        DRAY_AUTO(dray_buf) pair = {0};
        pb_text(&pair, 1, "security.capability");
        pb_bytes(&pair, 2, e->caps, e->n_caps);
        pb_message(out, 10, &pair);
    }
}
