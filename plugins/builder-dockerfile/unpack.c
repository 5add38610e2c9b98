/* SPDX-License-Identifier: Apache-2.0 */
/* unpack.c - archives that ADD unpacks: their entries become entries of the layer. */
#include "copy.h"

#include <archive.h>
#include <archive_entry.h>

#define BLOCK (64u * 1024)

struct feed {
    const struct bd_content *content;
    int64_t done;
    char buf[BLOCK];
};

static la_ssize_t feed_read(struct archive *a, void *arg, const void **out)
{
    struct feed *f = arg;
    int64_t left = f->content->size - f->done;
    *out = f->buf;
    ssize_t n = left > 0 ? pread(f->content->fd, f->buf, left < BLOCK ? (size_t)left : BLOCK,
                                 f->content->at + f->done)
                         : 0;
    if (n < 0)
        archive_set_error(a, errno, "read");
    else
        f->done += n;
    return n;
}

static struct archive *open_archive(struct feed *f)
{
    struct archive *a = archive_read_new();
    if (!a)
        return NULL;
    (void)archive_read_support_filter_gzip(a);
    (void)archive_read_support_filter_bzip2(a);
    (void)archive_read_support_filter_xz(a);
    (void)archive_read_support_filter_zstd(a);
    (void)archive_read_support_format_tar(a);
    if (archive_read_open(a, f, NULL, feed_read, NULL) == ARCHIVE_OK)
        return a;
    (void)archive_read_free(a);
    return NULL;
}

/* As "x.tar.xz.gz" is: to Docker no archive but a file. The last filter is the reader itself. */
static bool twice_compressed(struct archive *a)
{
    return archive_filter_count(a) > 2;
}

bool bd_is_archive(const struct bd_content *content)
{
    dray_autofree struct feed *f = calloc(1, sizeof *f);
    if (!f || content->size == 0)
        return false;
    f->content = content;
    struct archive *a = open_archive(f);
    struct archive_entry *e = NULL;
    bool is = a && archive_read_next_header(a, &e) >= ARCHIVE_WARN && !twice_compressed(a);
    if (a)
        (void)archive_read_free(a);
    return is;
}

struct unpacking {
    struct bd_copying *c;
    struct archive *archive;
    const char *folder;
    struct bd_tarout *t;
    struct bd_tree *root;
    int64_t now_s;
};

static bool climbs(const char *path)
{
    int depth = 0;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            depth--;
        else if (n > 0 && !(n == 1 && p[0] == '.'))
            depth++;
        if (depth < 0)
            return true;
        p += n + (p[n] == '/');
    }
    return false;
}

/* A name of the archive, below the folder. */
static int place_of(const struct unpacking *u, const char *name, char **out, struct dray_err *err)
{
    if (!name || climbs(name))
        return dray_fail(err, DRAY_E_INVAL, "the archive is not safe: \"%.200s\" is outside of it",
                         name ? name : "");
    dray_autofree char *clean = bd_path_clean(name);
    *out = clean ? (*clean ? bd_path_join(u->folder, clean) : strdup(u->folder)) : NULL;
    return *out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* A hole is zeros in the layer. */
static int fill(struct unpacking *u, int64_t n, struct dray_err *err)
{
    static const char zeros[4096] = {0};
    int rc = 0;
    while (!rc && n > 0) {
        size_t k = n < (int64_t)sizeof zeros ? (size_t)n : sizeof zeros;
        rc = bd_tarout_data(u->t, zeros, k, err);
        n -= (int64_t)k;
    }
    return rc;
}

static int copy_data(struct unpacking *u, int64_t size, struct dray_err *err)
{
    int64_t done = 0;
    for (;;) {
        const void *data = NULL;
        size_t n = 0;
        la_int64_t at = 0;
        int r = archive_read_data_block(u->archive, &data, &n, &at);
        if (r < ARCHIVE_WARN)
            return dray_fail(err, DRAY_E_CORRUPT, "the archive is broken: %s",
                             archive_error_string(u->archive));
        int rc = fill(u, (r == ARCHIVE_EOF ? size : at) - done, err);
        if (rc || r == ARCHIVE_EOF)
            return rc ? rc : bd_tarout_pad(u->t, size, err);
        rc = bd_tarout_data(u->t, data, n, err);
        if (rc)
            return rc;
        done = at + (int64_t)n;
    }
}

static size_t take_xattrs(struct archive_entry *e, struct bd_tar_xattr *v, size_t max)
{
    size_t n = 0;
    const char *name = NULL;
    const void *value = NULL;
    size_t len = 0;
    (void)archive_entry_xattr_reset(e);
    while (n < max && archive_entry_xattr_next(e, &name, &value, &len) == ARCHIVE_OK)
        if (bd_prefix(name, "user.") || strcmp(name, "security.capability") == 0)
            v[n++] = (struct bd_tar_xattr){name, value, len};
    return n;
}

static int unpack_entry(struct unpacking *u, struct archive_entry *e, struct dray_err *err)
{
    const struct bd_copying *c = u->c;
    dray_autofree char *place = NULL;
    dray_autofree char *hard = NULL;
    struct bd_tar_xattr xattrs[16];
    int rc = place_of(u, archive_entry_pathname(e), &place, err);
    const char *target = archive_entry_hardlink(e);
    if (!rc && target)
        rc = place_of(u, target, &hard, err);
    if (rc || strcmp(place, u->folder) == 0)
        return rc;
    if (bd_prefix(bd_path_base(place), ".wh."))
        return dray_fail(err, DRAY_E_INVAL, "%s: names in an archive must not begin with .wh.",
                         place);
    mode_t mode = archive_entry_mode(e);
    struct bd_tar_entry out = {
        .path = place,
        .mode = hard ? S_IFREG | (mode & 07777) : mode,
        .uid = c->has_owner ? c->uid : (uid_t)archive_entry_uid(e),
        .gid = c->has_owner ? c->gid : (gid_t)archive_entry_gid(e),
        .size = S_ISREG(mode) && !hard ? archive_entry_size(e) : 0,
        .mtime_s = archive_entry_mtime(e),
        .rdev = archive_entry_rdev(e),
        .link = hard ? hard : archive_entry_symlink(e),
        .hard = hard != NULL,
        .xattrs = xattrs,
    };
    int64_t epoch = c->stage->build->epoch_s;
    if (epoch >= 0 && out.mtime_s > epoch)
        out.mtime_s = epoch;
    out.n_xattrs = take_xattrs(e, xattrs, sizeof xattrs / sizeof *xattrs);
    rc = bd_layer_parents(u->t, u->root, place, false, c->uid, c->gid, u->now_s, err);
    if (!rc && S_ISDIR(mode))
        (void)bd_tarout_once(u->t, place);
    if (!rc && c->in->chmod && !S_ISLNK(mode))
        rc = bd_chmod(c->in->chmod, out.mode, &out.mode, err);
    if (!rc)
        rc = bd_tarout_head(u->t, &out, err);
    return !rc && S_ISREG(out.mode) && !hard ? copy_data(u, out.size, err) : rc;
}

int bd_copy_unpack(struct bd_copying *c, const struct bd_content *archive, const char *folder,
                   struct bd_tarout *t, struct bd_tree *root, struct dray_err *err)
{
    dray_autofree struct feed *f = calloc(1, sizeof *f);
    if (!f)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    f->content = archive;
    struct unpacking u = {.c = c,
                          .archive = open_archive(f),
                          .folder = folder,
                          .t = t,
                          .root = root,
                          .now_s = bd_step_time(c->stage->build) / 1000000000};
    int rc = u.archive ? 0 : dray_fail(err, DRAY_E_CORRUPT, "the archive cannot be read");
    while (!rc) {
        struct archive_entry *e = NULL;
        int r = archive_read_next_header(u.archive, &e);
        if (r == ARCHIVE_EOF)
            break;
        rc = r < ARCHIVE_WARN ? dray_fail(err, DRAY_E_CORRUPT, "the archive is broken: %s",
                                          archive_error_string(u.archive))
                              : unpack_entry(&u, e, err);
    }
    if (u.archive)
        (void)archive_read_free(u.archive);
    return rc;
}
