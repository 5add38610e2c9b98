/* SPDX-License-Identifier: Apache-2.0 */
/* tar_diff.c - writes the changes of a layer as a tar. */
#include "files.h"
#include "inoset.h"
#include "layer_tar.h"
#include "xattrs.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define BUFFER_SIZE (256u * 1024u)
/* Entries between two looks at the cancel descriptor. */
#define TICK_ENTRIES 64u
/* Bytes in holes from which on a file is packed as a sparse one. */
#define SPARSE_MIN (1024 * 1024)
#define EXTENTS_MAX 100000u
#define ZEROS_SIZE (1024 * 1024 * 1024)

struct packer {
    int fd;
    int cancel_fd;
    unsigned entries;
    int failed;     /* errno of the output */
    bool abandoned; /* nothing more goes out */
    struct archive *archive;
    struct archive_entry *entry;
    char *buffer;
    void *zeros; /* ZEROS_SIZE of them, or NULL */
    struct dray_err *err;
    struct dray_pl_inoset linked; /* inode to offset of its first name in names */
    char *names;
    size_t names_used, names_size;
};

static int pack_failed(struct packer *p, const char *path)
{
    if (p->failed != 0) {
        errno = p->failed;
        return dray_fail_errno(p->err, "write the layer's tar");
    }
    const char *why = archive_error_string(p->archive);
    return dray_fail(p->err, DRAY_E_IO, "pack /%.200s: %s", path, why ? why : "unknown error");
}

static la_ssize_t on_write(struct archive *a, void *arg, const void *data, size_t len)
{
    struct packer *p = arg;
    if (p->abandoned)
        return (la_ssize_t)len;
    if (dray_pl_write_all(p->fd, data, len) < 0) {
        p->failed = errno;
        archive_set_error(a, errno, "write: %s", strerror(errno));
        return -1;
    }
    return (la_ssize_t)len;
}

/* --- hard links -------------------------------------------------------------------------------*/

static int keep_name(struct packer *p, const struct stat *st, const char *path)
{
    size_t len = strlen(path) + 1;
    if (p->names_used + len > p->names_size) {
        size_t size = p->names_size * 2 + len + 4096;
        void *more = realloc(p->names, size);
        if (!more)
            return -1;
        p->names = more;
        p->names_size = size;
    }
    memcpy(p->names + p->names_used, path, len);
    if (!dray_pl_inoset_put(&p->linked, st->st_dev, st->st_ino, p->names_used))
        return -1;
    p->names_used += len;
    return 0;
}

/* Name of an earlier entry that is the same file; NULL: this is the first. */
static int find_link(struct packer *p, const struct dray_layer_change *c, const char **first_out)
{
    *first_out = NULL;
    if (c->st->st_nlink < 2 || S_ISDIR(c->st->st_mode))
        return 0;
    const struct dray_pl_inode *seen = dray_pl_inoset_get(&p->linked, c->st->st_dev, c->st->st_ino);
    if (seen)
        *first_out = p->names + seen->value;
    else if (keep_name(p, c->st, c->path) < 0)
        return dray_fail(p->err, DRAY_E_NOMEM, "out of memory");
    return 0;
}

/* --- one entry --------------------------------------------------------------------------------*/

/* fd: the file itself, or -EBADF. */
static int add_xattrs(struct packer *p, const struct dray_layer_change *c, int fd)
{
    dray_autofree char *keys = NULL;
    int at = fd >= 0 ? fd : c->dirfd;
    const char *name = fd >= 0 ? "" : c->name;
    ssize_t n = dray_pl_xattr_list(at, name, &keys);
    if (n < 0)
        return errno == ENOENT ? 0 : dray_fail_errno(p->err, "attributes of /%s", c->path);
    for (const char *key = keys; key && key < keys + n; key += strlen(key) + 1) {
        if (!dray_pl_xattr_travels(key))
            continue;
        dray_autofree char *value = NULL;
        ssize_t len = dray_pl_xattr_get(at, name, key, &value);
        if (len >= 0)
            archive_entry_xattr_add_entry(p->entry, key, value, (size_t)len);
    }
    return 0;
}

static int add_link_target(struct packer *p, const struct dray_layer_change *c)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(c->dirfd, c->name, target, sizeof target - 1);
    if (n < 0)
        return dray_fail_errno(p->err, "read link /%s", c->path);
    target[n] = '\0';
    archive_entry_copy_symlink(p->entry, target);
    return 0;
}

static void describe(struct packer *p, const struct dray_layer_change *c)
{
    const struct stat *st = c->st;
    struct archive_entry *e = archive_entry_clear(p->entry);
    archive_entry_copy_pathname(e, c->path);
    archive_entry_set_mode(e, st->st_mode);
    archive_entry_set_uid(e, st->st_uid);
    archive_entry_set_gid(e, st->st_gid);
    archive_entry_set_mtime(e, st->st_mtim.tv_sec, 0);
    archive_entry_set_size(e, S_ISREG(st->st_mode) ? st->st_size : 0);
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
        archive_entry_set_rdevmajor(e, major(st->st_rdev));
        archive_entry_set_rdevminor(e, minor(st->st_rdev));
    }
}

static int write_header(struct packer *p, const char *path)
{
    int code = archive_write_header(p->archive, p->entry);
    return code == ARCHIVE_OK || code == ARCHIVE_WARN ? 0 : pack_failed(p, path);
}

/* --- content ----------------------------------------------------------------------------------*/

/* Is so much of the file holes that the tar should know them? */
static bool is_sparse(const struct stat *st)
{
    return st->st_size - (int64_t)st->st_blocks * 512 >= SPARSE_MIN;
}

/* Tell libarchive where the data is. What is not known in the end counts as data. */
static int add_extents(struct packer *p, const struct dray_layer_change *c, int fd)
{
    int64_t size = c->st->st_size;
    unsigned n = 0;
    for (int64_t at = 0; at < size; n++) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
            break;
        off_t hole = data < 0 ? size : lseek(fd, data, SEEK_HOLE);
        if (n == EXTENTS_MAX || hole < 0 || data > size) {
            archive_entry_sparse_clear(p->entry);
            break;
        }
        if (data >= 0)
            archive_entry_sparse_add_entry(p->entry, data, (hole < size ? hole : size) - data);
        else if (n == 0)
            archive_entry_sparse_add_entry(p->entry, 0, 0);
        at = hole;
    }
    return lseek(fd, 0, SEEK_SET) < 0 ? dray_fail_errno(p->err, "read /%s", c->path) : 0;
}

/* libarchive takes the bytes of holes too, and drops them: show it pages that do not exist. */
static int skip_hole(struct packer *p, const struct dray_layer_change *c, int64_t len)
{
    if (!p->zeros) {
        void *zeros =
            mmap(NULL, ZEROS_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (zeros == MAP_FAILED)
            return dray_fail_errno(p->err, "map memory");
        p->zeros = zeros;
    }
    while (len > 0) {
        la_ssize_t n = archive_write_data(p->archive, p->zeros,
                                          len < ZEROS_SIZE ? (size_t)len : (size_t)ZEROS_SIZE);
        if (n <= 0)
            return pack_failed(p, c->path);
        len -= n;
    }
    return 0;
}

static int write_range(struct packer *p, const struct dray_layer_change *c, int fd, int64_t left);

static int write_sparse(struct packer *p, const struct dray_layer_change *c, int fd)
{
    int64_t at = 0, offset, len;
    (void)archive_entry_sparse_reset(p->entry);
    while (archive_entry_sparse_next(p->entry, &offset, &len) == ARCHIVE_OK) {
        int rc = skip_hole(p, c, offset - at);
        if (rc == 0 && lseek(fd, offset, SEEK_SET) < 0)
            rc = dray_fail_errno(p->err, "read /%s", c->path);
        if (rc == 0)
            rc = write_range(p, c, fd, len);
        if (rc < 0)
            return rc;
        at = offset + len;
    }
    return skip_hole(p, c, c->st->st_size - at);
}

/* A file that shrinks meanwhile is padded with zeros by libarchive, one that grows is cut. */
static int write_range(struct packer *p, const struct dray_layer_change *c, int fd, int64_t left)
{
    while (left > 0) {
        ssize_t n = read(fd, p->buffer, left < BUFFER_SIZE ? (size_t)left : BUFFER_SIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(p->err, "read /%s", c->path);
        if (n == 0)
            return 0;
        if (archive_write_data(p->archive, p->buffer, (size_t)n) < 0)
            return pack_failed(p, c->path);
        left -= n;
    }
    return 0;
}

static int pack_file(struct packer *p, const struct dray_layer_change *c)
{
    dray_autofd int fd = openat(c->dirfd, c->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : dray_fail_errno(p->err, "open /%s", c->path);
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_ino != c->st->st_ino || !S_ISREG(st.st_mode))
        return 0; /* replaced since it was listed */
    int rc = add_xattrs(p, c, fd);
    if (rc == 0 && is_sparse(c->st))
        rc = add_extents(p, c, fd);
    if (rc == 0)
        rc = write_header(p, c->path);
    if (rc < 0)
        return rc;
    return archive_entry_sparse_count(p->entry) > 0 ? write_sparse(p, c, fd)
                                                    : write_range(p, c, fd, c->st->st_size);
}

static int pack_link(struct packer *p, const char *first, const char *path)
{
    archive_entry_copy_hardlink(p->entry, first);
    archive_entry_unset_size(p->entry);
    return write_header(p, path);
}

/* An empty file of that name: a whiteout. */
static int pack_mark(struct packer *p, const char *path)
{
    struct archive_entry *e = archive_entry_clear(p->entry);
    archive_entry_copy_pathname(e, path);
    archive_entry_set_mode(e, S_IFREG);
    archive_entry_set_size(e, 0);
    archive_entry_set_mtime(e, 0, 0);
    return write_header(p, path);
}

static int pack_whiteout(struct packer *p, const struct dray_layer_change *c)
{
    dray_autofree char *path = NULL;
    const char *slash = strrchr(c->path, '/');
    int dir = slash ? (int)(slash - c->path) + 1 : 0;
    if (asprintf(&path, "%.*s.wh.%s", dir, c->path, c->path + dir) < 0)
        return dray_fail(p->err, DRAY_E_NOMEM, "out of memory");
    return pack_mark(p, path);
}

static int pack_folder(struct packer *p, const struct dray_layer_change *c)
{
    dray_autofree char *path = NULL;
    dray_autofree char *mark = NULL;
    if (asprintf(&path, "%s/", c->path) < 0 || asprintf(&mark, "%s/.wh..wh..opq", c->path) < 0)
        return dray_fail(p->err, DRAY_E_NOMEM, "out of memory");
    archive_entry_copy_pathname(p->entry, path);
    int rc = add_xattrs(p, c, -EBADF);
    if (rc == 0)
        rc = write_header(p, c->path);
    return rc == 0 && c->opaque ? pack_mark(p, mark) : rc;
}

static int pack_entry(struct packer *p, const struct dray_layer_change *c)
{
    const char *first;
    int rc = find_link(p, c, &first);
    if (rc < 0)
        return rc;
    describe(p, c);
    if (first)
        return pack_link(p, first, c->path);
    switch (c->st->st_mode & S_IFMT) {
    case S_IFREG:
        return pack_file(p, c);
    case S_IFDIR:
        return pack_folder(p, c);
    case S_IFSOCK:
        return 0; /* a tar has no sockets */
    case S_IFLNK:
        rc = add_link_target(p, c);
        break;
    default:
        break;
    }
    if (rc == 0)
        rc = add_xattrs(p, c, -EBADF);
    return rc < 0 ? rc : write_header(p, c->path);
}

static int on_change(void *arg, const struct dray_layer_change *c, struct dray_err *err)
{
    struct packer *p = arg;
    if (p->cancel_fd >= 0 && p->entries++ % TICK_ENTRIES == 0) {
        struct pollfd poller = {.fd = p->cancel_fd, .events = POLLIN};
        if (poll(&poller, 1, 0) > 0)
            return dray_fail(err, DRAY_E_CANCELED, "canceled");
    }
    const char *slash = strrchr(c->path, '/');
    if (strncmp(slash ? slash + 1 : c->path, ".wh.", 4) == 0)
        return 0; /* OCI cannot express such a name: it would delete another file */
    if (c->kind == DRAY_LAYER_DELETED)
        return pack_whiteout(p, c);
    return pack_entry(p, c);
}

/* --- the whole --------------------------------------------------------------------------------*/

static int open_archive(struct packer *p)
{
    p->archive = archive_write_new();
    p->entry = archive_entry_new();
    p->buffer = malloc(BUFFER_SIZE);
    if (!p->archive || !p->entry || !p->buffer)
        return dray_fail(p->err, DRAY_E_NOMEM, "out of memory");
    (void)archive_write_set_format_pax_restricted(p->archive);
    (void)archive_write_set_format_option(p->archive, "pax", "xattrheader", "SCHILY");
    (void)archive_write_set_bytes_per_block(p->archive, BUFFER_SIZE);
    (void)archive_write_set_bytes_in_last_block(p->archive, 1);
    if (archive_write_open(p->archive, p, NULL, on_write, NULL) != ARCHIVE_OK)
        return pack_failed(p, "");
    return 0;
}

/* libarchive frees the block that it fills in closing alone, also when it has failed; a tar that is
 * not whole gets no end. */
static void abandon(struct packer *p)
{
    if (archive_filter_count(p->archive) == 0)
        return; /* was never opened */
    p->abandoned = true;
    (void)archive_write_fail(p->archive);
    (void)archive_write_close(p->archive);
}

int dray_layer_diff(const struct dray_layer_pair *pair, int fd, int cancel_fd, struct dray_err *err)
{
    struct dray_err local = {0};
    struct packer p = {.fd = fd, .cancel_fd = cancel_fd, .err = err ? err : &local};
    /* Names are UTF-8 in pax records; libarchive asks the locale what they are here. */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 != (locale_t)0 ? uselocale(utf8) : (locale_t)0;
    int rc = open_archive(&p);
    if (rc == 0 && pair->opaque_root)
        rc = pack_mark(&p, ".wh..wh..opq");
    if (rc == 0)
        rc = dray_layer_compare(pair, on_change, &p, p.err);
    if (rc == 0 && archive_write_close(p.archive) != ARCHIVE_OK)
        rc = pack_failed(&p, "");
    if (p.archive && rc != 0)
        abandon(&p);
    if (p.archive)
        (void)archive_write_free(p.archive);
    archive_entry_free(p.entry);
    free(p.buffer);
    free(p.names);
    if (p.zeros)
        (void)munmap(p.zeros, ZEROS_SIZE);
    dray_pl_inoset_cleanup(&p.linked);
    if (utf8 != (locale_t)0) {
        (void)uselocale(before);
        freelocale(utf8);
    }
    return rc;
}
