/* SPDX-License-Identifier: Apache-2.0 */
/* layer_map.c - keeps what a layer's files do not tell of its tar, and writes the tar again. */
#include "engine/layer/layer_map.h"

#include "base/fs.h"
#include "base/ident.h"
#include "engine/layer/tar_scan.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define TEMP_PREFIX "map-"
#define SUFFIX ".map"
#define RAW_PIECE (64u * 1024)
#define READ_CHUNK (256u * 1024)
#define FILES_MAX (1u << 20)
#define VERSION 1u

/* What a record begins with, in little endian. */
struct head {
    uint8_t type; /* 'V': size is the version. 'R': len raw bytes. 'F': len bytes of a path whose
                     file gives size bytes. */
    uint32_t len;
    uint64_t size;
} __attribute__((packed));

struct dray_layer_map {
    struct dray_images *im;
    char name[40]; /* of the file as long as it is not kept, in layers/; "": there is none */
    int fd;
    struct dray_deflate *deflate;
    struct dray_tar_scan *scan;
    struct dray_buf raw; /* not written yet */
    size_t files;
};

static void map_name(const struct img_layer *l, char name[256])
{
    (void)snprintf(name, 256, "%s" SUFFIX, l->key);
}

/* --- writing it -------------------------------------------------------------------------------*/

static int to_file(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    const struct dray_layer_map *m = ctx;
    return dray_fs_write_all(m->fd, data, len, err);
}

static int put(struct dray_layer_map *m, char type, const void *data, size_t len, uint64_t size,
               struct dray_err *err)
{
    const struct head h = {(uint8_t)type, htole32((uint32_t)len), htole64(size)};
    int rc = dray_deflate_feed(m->deflate, &h, sizeof h, err);
    return rc ? rc : dray_deflate_feed(m->deflate, data, len, err);
}

static int flush_raw(struct dray_layer_map *m, struct dray_err *err)
{
    if (m->raw.failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = m->raw.len ? put(m, 'R', m->raw.data, m->raw.len, 0, err) : 0;
    dray_buf_reset(&m->raw);
    return rc;
}

static int on_raw(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct dray_layer_map *m = ctx;
    dray_buf_add(&m->raw, data, len);
    return m->raw.len >= RAW_PIECE || m->raw.failed ? flush_raw(m, err) : 0;
}

static int on_file(void *ctx, const char *path, uint64_t size, struct dray_err *err)
{
    struct dray_layer_map *m = ctx;
    m->files++;
    int rc = flush_raw(m, err);
    return rc ? rc : put(m, 'F', path, strlen(path), size, err);
}

int dray_layer_map_new(struct dray_images *im, struct dray_layer_map **out, struct dray_err *err)
{
    static const struct dray_tar_scan_ops ops = {on_raw, on_file};
    struct dray_layer_map *m = calloc(1, sizeof *m);
    if (!m)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    m->im = im;
    (void)snprintf(m->name, sizeof m->name, TEMP_PREFIX);
    dray_id_hex(m->name + sizeof TEMP_PREFIX - 1, 32);
    m->fd = openat(im->layers_fd, m->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = m->fd < 0 ? dray_fail_errno(err, "make a layer's map") : 0;
    if (m->fd < 0)
        m->name[0] = '\0';
    if (!rc)
        rc = dray_deflate_new(to_file, m, &m->deflate, err);
    if (!rc)
        rc = dray_tar_scan_new(&ops, m, &m->scan, err);
    if (!rc)
        rc = put(m, 'V', "", 0, VERSION, err);
    if (rc)
        dray_layer_map_free(m);
    else
        *out = m;
    return rc;
}

int dray_layer_map_feed(struct dray_layer_map *m, const void *data, size_t len,
                        struct dray_err *err)
{
    return dray_tar_scan_feed(m->scan, data, len, err);
}

void dray_layer_map_free(struct dray_layer_map *m)
{
    if (!m)
        return;
    dray_tar_scan_free(m->scan);
    dray_deflate_free(m->deflate);
    dray_buf_free(&m->raw);
    dray_cleanup_fd(&m->fd);
    if (m->name[0])
        (void)unlinkat(m->im->layers_fd, m->name, 0);
    free(m);
}

/* --- reading it -------------------------------------------------------------------------------*/

/* A map that is read, and the layer's files. */
struct walk {
    int root; /* of the layer, -EBADF when nothing is looked up */
    int dir;  /* the folder that was needed last */
    char dir_path[PATH_MAX];
    struct dray_buf bytes; /* of a record that is not complete */
    struct head head;
    bool in_raw, begun;
    uint64_t raw_left;
    int (*raw)(void *ctx, const void *data, size_t len, struct dray_err *err);
    int (*file)(void *ctx, struct walk *w, const char *path, uint64_t size, struct dray_err *err);
    void *ctx;
};

static int walk_file(struct walk *w, const char *path, uint64_t size, struct dray_err *err)
{
    return w->file(w->ctx, w, path, size, err);
}

static int bad_map(struct dray_err *err)
{
    return dray_fail(err, DRAY_E_CORRUPT, "the map of a layer is damaged");
}

/* A complete record of another kind than raw is in w->bytes. */
static int walk_record(struct walk *w, struct dray_err *err)
{
    const char *text = w->bytes.data + sizeof w->head;
    uint64_t size = le64toh(w->head.size);
    int rc = 0;
    if (!w->begun)
        rc = w->head.type == 'V' && size == VERSION ? 0 : bad_map(err);
    else
        rc = w->head.type == 'F' ? walk_file(w, text, size, err) : bad_map(err);
    w->begun = true;
    dray_buf_reset(&w->bytes);
    return rc;
}

/* Take as much as belongs to the record; *taken bytes. */
static int walk_step(struct walk *w, const char *data, size_t len, size_t *taken,
                     struct dray_err *err)
{
    if (w->in_raw) {
        *taken = len < w->raw_left ? len : (size_t)w->raw_left;
        w->raw_left -= *taken;
        w->in_raw = w->raw_left > 0;
        return w->raw ? w->raw(w->ctx, data, *taken, err) : 0;
    }
    size_t want = sizeof w->head;
    if (w->bytes.len >= sizeof w->head)
        want += le32toh(w->head.len);
    size_t n = want - w->bytes.len;
    *taken = n = len < n ? len : n;
    dray_buf_add(&w->bytes, data, n);
    if (w->bytes.failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (w->bytes.len < want)
        return 0;
    if (want > sizeof w->head)
        return walk_record(w, err);
    memcpy(&w->head, w->bytes.data, sizeof w->head);
    w->raw_left = le32toh(w->head.len);
    if (w->head.type == 'R' && w->begun) {
        w->in_raw = w->raw_left > 0;
        dray_buf_reset(&w->bytes);
        return 0;
    }
    if (w->raw_left >= PATH_MAX)
        return bad_map(err);
    return w->raw_left == 0 ? walk_record(w, err) : 0;
}

static int walk_bytes(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct walk *w = ctx;
    const char *at = data;
    int rc = 0;
    while (len > 0 && !rc) {
        size_t taken = 0;
        rc = walk_step(w, at, len, &taken, err);
        at += taken;
        len -= taken;
    }
    return rc;
}

static int walk_map(struct walk *w, int fd, struct dray_err *err)
{
    struct dray_inflate *inflate = NULL;
    dray_autofree char *buf = malloc(RAW_PIECE);
    int rc = buf ? dray_inflate_new(walk_bytes, w, UINT64_MAX, &inflate, err)
                 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    w->dir = -EBADF;
    for (off_t at = 0; !rc;) {
        ssize_t n = pread(fd, buf, RAW_PIECE, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = dray_fail_errno(err, "read a layer's map");
        if (n <= 0)
            break;
        at += n;
        rc = dray_inflate_feed(inflate, buf, (size_t)n, err);
    }
    if (!rc)
        rc = dray_inflate_end(inflate, err);
    if (!rc && (w->in_raw || w->bytes.len > 0 || !w->begun))
        rc = bad_map(err);
    dray_inflate_free(inflate);
    dray_buf_free(&w->bytes);
    dray_cleanup_fd(&w->dir);
    return rc;
}

/* The folder of a path, no symbolic link on the way; *name_out: what it is called there. */
static int folder_of(struct walk *w, const char *path, const char **name_out)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    *name_out = slash ? slash + 1 : path;
    if (!slash)
        return w->root;
    if (w->dir >= 0 && strlen(w->dir_path) == len && memcmp(w->dir_path, path, len) == 0)
        return w->dir;
    dray_cleanup_fd(&w->dir);
    memcpy(w->dir_path, path, len);
    w->dir_path[len] = '\0';
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    w->dir = (int)syscall(SYS_openat2, w->root, w->dir_path, &how, sizeof how);
    return w->dir;
}

/* --- is it right? -----------------------------------------------------------------------------*/

struct check {
    uint64_t *inodes;
    size_t n, room;
    bool whole;
};

/* Each file has an inode of its own and the size that the tar says: then its content is the tar's,
 * for no two entries of the tar were written to the same place. */
static int check_file(void *ctx, struct walk *w, const char *path, uint64_t size,
                      struct dray_err *err)
{
    (void)err;
    struct check *c = ctx;
    struct stat st;
    const char *name;
    int dir = c->whole ? folder_of(w, path, &name) : -1;
    c->whole = dir >= 0 && c->n < c->room && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
               S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
    if (c->whole)
        c->inodes[c->n++] = (uint64_t)st.st_ino ^ (uint64_t)st.st_dev << 44;
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int check(struct dray_layer_map *m, int root, bool *whole_out, struct dray_err *err)
{
    struct check c = {.room = m->files, .whole = true};
    dray_autofree uint64_t *inodes = calloc(m->files + 1, sizeof *inodes);
    struct walk w = {.root = root, .file = check_file, .ctx = &c};
    if (!inodes)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    c.inodes = inodes;
    int rc = walk_map(&w, m->fd, err);
    qsort(inodes, c.n, sizeof *inodes, by_number);
    for (size_t i = 1; i < c.n; i++)
        c.whole = c.whole && inodes[i] != inodes[i - 1];
    *whole_out = !rc && c.whole;
    return rc;
}

int dray_layer_map_end(struct dray_layer_map *m, const struct img_layer *layer, bool *whole_out,
                       struct dray_err *err)
{
    dray_autofd int root = -EBADF;
    int rc = dray_tar_scan_end(m->scan, whole_out, err);
    if (!rc)
        rc = flush_raw(m, err);
    if (!rc)
        rc = dray_deflate_end(m->deflate, err);
    *whole_out = *whole_out && !rc && m->files <= FILES_MAX &&
                 dray_layer_view_own(layer->driver, layer->id, &root, NULL) == 0;
    return *whole_out ? check(m, root, whole_out, err) : rc;
}

/* --- keeping it -------------------------------------------------------------------------------*/

int dray_layer_map_keep(struct dray_layer_map *m, const struct img_layer *layer,
                        struct dray_err *err)
{
    char name[256];
    map_name(layer, name);
    if (renameat(m->im->layers_fd, m->name, m->im->layers_fd, name) != 0)
        return dray_fail_errno(err, "keep the map of a layer");
    m->name[0] = '\0';
    return 0;
}

bool dray_layer_map_has(struct dray_images *im, const struct img_layer *layer)
{
    char name[256];
    map_name(layer, name);
    return faccessat(im->layers_fd, name, F_OK, 0) == 0;
}

void dray_layer_map_remove(struct dray_images *im, const struct img_layer *layer)
{
    char name[256];
    map_name(layer, name);
    (void)unlinkat(im->layers_fd, name, 0);
}

void dray_layer_map_tidy(struct dray_images *im)
{
    dray_fs_sweep(im->layers_fd);
    int fd = openat(im->layers_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        bool map = dray_str_suffix(e->d_name, SUFFIX);
        char doc[300];
        (void)snprintf(doc, sizeof doc, "%.*s.json",
                       map ? (int)(strlen(e->d_name) - sizeof SUFFIX + 1) : 0, e->d_name);
        if (dray_str_prefix(e->d_name, TEMP_PREFIX) ||
            (map && faccessat(im->layers_fd, doc, F_OK, 0) != 0))
            (void)unlinkat(im->layers_fd, e->d_name, 0);
    }
    if (d)
        (void)closedir(d);
    else
        dray_cleanup_fd(&fd);
}

/* --- the tar ----------------------------------------------------------------------------------*/

struct writing {
    dray_sink_fn sink;
    void *ctx;
    int abort_fd;
    char *buf;
};

static int write_raw(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    const struct writing *t = ctx;
    return t->sink(t->ctx, data, len, err);
}

static int write_file(void *ctx, struct walk *w, const char *path, uint64_t size,
                      struct dray_err *err)
{
    const struct writing *t = ctx;
    const char *name;
    if (img_fd_ready(t->abort_fd))
        return dray_fail(err, DRAY_E_CANCELED, "canceled");
    int dir = folder_of(w, path, &name);
    dray_autofd int fd =
        dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "open /%s of a layer", path);
    while (size > 0) {
        ssize_t n = read(fd, t->buf, size < READ_CHUNK ? (size_t)size : READ_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "read /%s of a layer", path);
        if (n == 0)
            return dray_fail(err, DRAY_E_CORRUPT, "/%s of a layer has lost its end", path);
        int rc = t->sink(t->ctx, t->buf, (size_t)n, err);
        if (rc)
            return rc;
        size -= (uint64_t)n;
    }
    return 0;
}

int dray_layer_map_write(struct dray_images *im, const struct img_layer *layer, int abort_fd,
                         dray_sink_fn sink, void *ctx, struct dray_err *err)
{
    char name[256];
    dray_autofd int root = -EBADF;
    dray_autofree char *buf = malloc(READ_CHUNK);
    struct writing t = {sink, ctx, abort_fd, buf};
    struct walk w = {.raw = write_raw, .file = write_file, .ctx = &t};
    map_name(layer, name);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_autofd int fd = openat(im->layers_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "open the map of layer %.19s", layer->diff);
    int rc = dray_layer_view_own(layer->driver, layer->id, &root, err);
    w.root = root;
    return rc ? rc : walk_map(&w, fd, err);
}
