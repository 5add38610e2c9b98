/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - reads and writes the members of an OCI layout in a folder or a tar. */
#include "layout.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CHUNK (256u << 10)
#define VERSION "{\"imageLayoutVersion\":\"1.0.0\"}"
#define EMPTY_INDEX                                                                                \
    "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","              \
    "\"manifests\":[]}"

/** A member is found below the folder, whatever links say. */
static int open_member(const struct place *p, const char *member)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, p->dir_fd, member, &how, sizeof how);
}

static int make_layout(const struct place *p, struct dray_err *err)
{
    if (mkdirat(p->dir_fd, "blobs", 0755) != 0 && errno != EEXIST)
        return dray_fail_errno(err, "make %s/blobs", p->path);
    if (mkdirat(p->dir_fd, "blobs/sha256", 0755) != 0 && errno != EEXIST)
        return dray_fail_errno(err, "make %s/blobs/sha256", p->path);
    int rc = place_write(p, "oci-layout", -1, VERSION, sizeof VERSION - 1, err);
    if (rc == 0 && !place_has(p, "index.json"))
        rc = place_write(p, "index.json", -1, EMPTY_INDEX, sizeof EMPTY_INDEX - 1, err);
    return rc;
}

/** Only what is empty, or a layout already, becomes one. */
static int open_new(struct place *p, struct dray_err *err)
{
    bool made = mkdir(p->path, 0755) == 0;
    if (!made && errno != EEXIST)
        return dray_fail_errno(err, "make %s", p->path);
    p->dir_fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->dir_fd < 0)
        return errno == ENOTDIR
                   ? dray_fail(err, DRAY_E_NOTSUP,
                               "%s is an archive: images can be pushed to a folder only", p->path)
                   : dray_fail_errno(err, "open %s", p->path);
    if (place_has(p, "oci-layout"))
        return 0;
    if (!made && rmdir(p->path) != 0)
        return dray_fail(err, DRAY_E_CONFLICT, "%s holds something else than an OCI layout",
                         p->path);
    if (!made) { /* it was empty */
        (void)close(p->dir_fd);
        if (mkdir(p->path, 0755) != 0)
            return dray_fail_errno(err, "make %s", p->path);
        p->dir_fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (p->dir_fd < 0)
            return dray_fail_errno(err, "open %s", p->path);
    }
    return make_layout(p, err);
}

int place_open(const char *repo, bool create, struct place *out, struct dray_err *err)
{
    *out = (struct place){.path = repo + sizeof LAYOUT_PREFIX - 1, .dir_fd = -EBADF};
    if (out->path[0] != '/')
        return dray_fail(err, DRAY_E_INVAL, "\"%s\" is not an absolute path", out->path);
    if (create) {
        int rc = open_new(out, err);
        if (rc != 0)
            place_close(out);
        return rc;
    }
    out->dir_fd = open(out->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (out->dir_fd >= 0 || errno == ENOTDIR)
        return 0;
    return errno == ENOENT
               ? dray_fail(err, DRAY_E_NOTFOUND, "no OCI layout at %s: not found", out->path)
               : dray_fail_errno(err, "open %s", out->path);
}

void place_close(struct place *p)
{
    dray_cleanup_fd(&p->dir_fd);
    p->dir_fd = -EBADF;
}

/* --- archives ---------------------------------------------------------------------------------*/

static int archive_failed(struct archive *a, const struct place *p, struct dray_err *err)
{
    const char *why = archive_error_string(a);
    return dray_fail(err, DRAY_E_CORRUPT, "read %s: %s", p->path, why ? why : "broken archive");
}

static const char *plain_name(const char *name)
{
    while (name && (strncmp(name, "./", 2) == 0 || *name == '/'))
        name += *name == '/' ? 1 : 2;
    return name ? name : "";
}

/** Read on until the member. */
static int seek_member(struct archive *a, const struct place *p, const char *member,
                       struct dray_err *err)
{
    struct archive_entry *e = NULL;
    int got = ARCHIVE_OK;
    while ((got = archive_read_next_header(a, &e)) == ARCHIVE_OK || got == ARCHIVE_WARN)
        if (archive_entry_filetype(e) == AE_IFREG &&
            strcmp(plain_name(archive_entry_pathname(e)), member) == 0)
            return 0;
    return got == ARCHIVE_EOF
               ? dray_fail(err, DRAY_E_NOTFOUND, "%s is not in %s: not found", member, p->path)
               : archive_failed(a, p, err);
}

static int give_rest(struct archive *a, const struct place *p, uint64_t offset, place_sink_fn fn,
                     void *ctx, struct dray_err *err)
{
    dray_autofree char *buf = malloc(CHUNK);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (uint64_t at = 0;;) {
        la_ssize_t n = archive_read_data(a, buf, CHUNK);
        if (n < 0)
            return archive_failed(a, p, err);
        if (n == 0)
            return 0;
        uint64_t skip = offset > at ? offset - at : 0;
        at += (uint64_t)n;
        if (skip >= (uint64_t)n)
            continue;
        int rc = fn(ctx, buf + skip, (size_t)n - (size_t)skip, err);
        if (rc != 0)
            return rc;
    }
}

static int stream_archive(const struct place *p, const char *member, uint64_t offset,
                          place_sink_fn fn, void *ctx, struct dray_err *err)
{
    struct archive *a = archive_read_new();
    if (!a)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)archive_read_support_filter_all(a);
    (void)archive_read_support_format_tar(a);
    int rc =
        archive_read_open_filename(a, p->path, CHUNK) == ARCHIVE_OK ? 0 : archive_failed(a, p, err);
    if (rc == 0)
        rc = seek_member(a, p, member, err);
    if (rc == 0)
        rc = give_rest(a, p, offset, fn, ctx, err);
    (void)archive_read_free(a);
    return rc;
}

/* --- members ----------------------------------------------------------------------------------*/

static int stream_file(const struct place *p, const char *member, uint64_t offset, place_sink_fn fn,
                       void *ctx, struct dray_err *err)
{
    struct stat st;
    dray_autofd int fd = open_member(p, member);
    dray_autofree char *buf = malloc(CHUNK);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (fd < 0 && errno == ENOENT)
        return dray_fail(err, DRAY_E_NOTFOUND, "%s is not in %s: not found", member, p->path);
    if (fd < 0 || fstat(fd, &st) != 0)
        return dray_fail_errno(err, "open %s/%s", p->path, member);
    if (!S_ISREG(st.st_mode))
        return dray_fail(err, DRAY_E_CORRUPT, "%s/%s is not a file", p->path, member);
    for (;;) {
        ssize_t n = pread(fd, buf, CHUNK, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "read %s/%s", p->path, member);
        int rc = n > 0 ? fn(ctx, buf, (size_t)n, err) : 0;
        if (n == 0 || rc != 0)
            return rc;
        offset += (uint64_t)n;
    }
}

int place_stream(const struct place *p, const char *member, uint64_t offset, place_sink_fn fn,
                 void *ctx, struct dray_err *err)
{
    return p->dir_fd >= 0 ? stream_file(p, member, offset, fn, ctx, err)
                          : stream_archive(p, member, offset, fn, ctx, err);
}

struct text {
    char *data;
    size_t len;
};

static int add_text(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct text *t = ctx;
    if (t->len + len > LAYOUT_SMALL)
        return dray_fail(err, DRAY_E_LIMIT, "an index or manifest is larger than %u bytes",
                         LAYOUT_SMALL);
    char *more = realloc(t->data, t->len + len + 1);
    if (!more)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    t->data = more;
    memcpy(t->data + t->len, data, len);
    t->len += len;
    t->data[t->len] = '\0';
    return 0;
}

int place_read(const struct place *p, const char *member, char **out, size_t *len_out,
               struct dray_err *err)
{
    struct text t = {0};
    int rc = place_stream(p, member, 0, add_text, &t, err);
    if (rc == 0 && !t.data)
        rc = dray_fail(err, DRAY_E_CORRUPT, "%s in %s is empty", member, p->path);
    if (rc != 0) {
        free(t.data);
        return rc;
    }
    *out = t.data;
    if (len_out)
        *len_out = t.len;
    return 0;
}

static int stop_at_once(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    (void)ctx, (void)data, (void)len, (void)err;
    return DRAY_E_CANCELED;
}

bool place_has(const struct place *p, const char *member)
{
    int rc = place_stream(p, member, 0, stop_at_once, NULL, NULL);
    return rc == 0 || rc == DRAY_E_CANCELED;
}

static int write_all(int to, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(to, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int copy_all(int to, int from)
{
    dray_autofree char *buf = malloc(CHUNK);
    for (off_t at = 0; buf;) {
        ssize_t n = pread(from, buf, CHUNK, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || write_all(to, buf, (size_t)n) != 0)
            return n == 0 ? 0 : -1;
        at += n;
    }
    return -1;
}

int place_write(const struct place *p, const char *member, int fd, const void *data, size_t len,
                struct dray_err *err)
{
    char temp[64];
    (void)snprintf(temp, sizeof temp, ".dray-%d-%lx", getpid(), (unsigned long)pthread_self());
    dray_autofd int to =
        openat(p->dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    int got = to < 0 ? -1 : fd >= 0 ? copy_all(to, fd) : write_all(to, data, len);
    if (got == 0 && fdatasync(to) == 0 && renameat(p->dir_fd, temp, p->dir_fd, member) == 0)
        return 0;
    int rc = dray_fail_errno(err, "write %s/%s", p->path, member);
    (void)unlinkat(p->dir_fd, temp, 0);
    return rc;
}
