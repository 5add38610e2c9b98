/* SPDX-License-Identifier: Apache-2.0 */
/* build_send.c - packs a folder into a tar, without what .dockerignore names, while it is sent. */
#include "client/build/build.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define PIECE (256u << 10)
#define MAX_DEPTH 1000u

/** Where the tar goes: pieces of a chunked body. */
struct sink {
    struct http_conn *conn;
    char *buf;
    size_t len;
    int64_t total;
    bool cut; /* the daemon takes no more: it has answered */
};

/** A file with several names that was sent before. */
struct seen {
    dev_t dev;
    ino_t ino;
    char *name;
};

struct packer {
    struct cli *cli;
    struct build_context *c;
    tar_write_fn write;
    void *arg;
    struct sink *sink;
    struct seen *seen; /* hash table, a power of two */
    size_t n_seen, cap_seen;
    unsigned depth;
};

static int flush(struct sink *s)
{
    if (s->len && !s->cut && http_send_chunk(s->conn, s->buf, s->len, NULL) != 0)
        s->cut = true;
    s->len = 0;
    return s->cut ? DRAY_E_CANCELED : 0;
}

static int sink_write(void *arg, const void *data, size_t n)
{
    struct sink *s = arg;
    const char *p = data;
    while (n) {
        size_t k = n < PIECE - s->len ? n : PIECE - s->len;
        memcpy(s->buf + s->len, p, k);
        s->len += k;
        s->total += (int64_t)k;
        p += k;
        n -= k;
        if (s->len == PIECE && flush(s) != 0)
            return DRAY_E_CANCELED;
    }
    return 0;
}

static int unreadable(struct packer *p, const char *name)
{
    if (errno == EACCES || errno == EPERM)
        return cli_fail(p->cli, "error checking context: no permission to read from '%s/%s'",
                        p->c->dir, name);
    return cli_fail(p->cli, "error checking context: can't stat '%s/%s': %s", p->c->dir, name,
                    cli_strerror(errno));
}

static size_t slot_of(const struct packer *p, dev_t dev, ino_t ino)
{
    size_t i = (size_t)((ino * 0x9e3779b97f4a7c15u) ^ dev) & (p->cap_seen - 1);
    while (p->seen[i].name && (p->seen[i].ino != ino || p->seen[i].dev != dev))
        i = (i + 1) & (p->cap_seen - 1);
    return i;
}

/* The name that the file was sent under before; else it is noted, and NULL. */
static const char *sent_before(struct packer *p, const struct stat *sb, const char *name)
{
    if (p->n_seen * 2 >= p->cap_seen) {
        struct packer old = *p;
        p->cap_seen = old.cap_seen ? 2 * old.cap_seen : 64;
        p->seen = cli_need(calloc(p->cap_seen, sizeof *p->seen));
        for (size_t i = 0; i < old.cap_seen; i++)
            if (old.seen[i].name)
                p->seen[slot_of(p, old.seen[i].dev, old.seen[i].ino)] = old.seen[i];
        free(old.seen);
    }
    struct seen *s = &p->seen[slot_of(p, sb->st_dev, sb->st_ino)];
    if (s->name)
        return s->name;
    *s = (struct seen){sb->st_dev, sb->st_ino, cli_strdup(name)};
    p->n_seen++;
    return NULL;
}

static int put_data(struct packer *p, int fd, int64_t size)
{
    dray_autofree char *buf = cli_need(malloc(65536));
    for (int64_t left = size; left > 0;) {
        size_t want = left < 65536 ? (size_t)left : 65536;
        ssize_t n = read(fd, buf, want);
        if (n <= 0) { /* it shrank: what was promised is filled up */
            memset(buf, 0, want);
            n = (ssize_t)want;
        }
        if (p->write(p->arg, buf, (size_t)n) != 0)
            return DRAY_E_CANCELED;
        left -= n;
    }
    return tar_pad(p->write, p->arg, size);
}

static char type_of(mode_t m)
{
    return S_ISDIR(m)    ? '5'
           : S_ISLNK(m)  ? '2'
           : S_ISCHR(m)  ? '3'
           : S_ISBLK(m)  ? '4'
           : S_ISFIFO(m) ? '6'
                         : '0';
}

static int put_text(struct packer *p, const char *name, const char *text, size_t len)
{
    dray_autofree char *copy = cli_strdup(name);
    struct tar_entry e = {.name = copy, .type = '0', .mode = 0644, .size = (int64_t)len};
    int rc = tar_put(p->write, p->arg, &e);
    if (rc == 0 && len)
        rc = p->write(p->arg, text, len);
    return rc == 0 ? tar_pad(p->write, p->arg, (int64_t)len) : rc;
}

/* One entry, owned by root as in every context that Docker's client sends. */
static int put_entry(struct packer *p, int dir, const char *base, const char *name,
                     const struct stat *sb)
{
    char link[4096] = "", caps[64];
    dray_autofd int fd = -EBADF;
    bool regular = S_ISREG(sb->st_mode);
    if (S_ISLNK(sb->st_mode) && readlinkat(dir, base, link, sizeof link - 1) < 0)
        return unreadable(p, name);
    const char *before = regular && sb->st_nlink > 1 ? sent_before(p, sb, name) : NULL;
    if (before)
        (void)snprintf(link, sizeof link, "%s", before);
    else if (regular && (fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return unreadable(p, name);
    dray_autofree char *shown = S_ISDIR(sb->st_mode) ? cli_strf("%s/", name) : cli_strdup(name);
    ssize_t n_caps = fd >= 0 ? fgetxattr(fd, "security.capability", caps, sizeof caps) : -1;
    struct tar_entry e = {.name = shown,
                          .link = link,
                          .type = before ? '1' : type_of(sb->st_mode),
                          .mode = sb->st_mode & 07777,
                          .size = sb->st_size,
                          .mtime = sb->st_mtime,
                          .major = major(sb->st_rdev),
                          .minor = minor(sb->st_rdev),
                          .caps = n_caps > 0 ? caps : NULL,
                          .n_caps = n_caps > 0 ? (size_t)n_caps : 0};
    int rc = tar_put(p->write, p->arg, &e);
    return rc == 0 && fd >= 0 ? put_data(p, fd, sb->st_size) : rc;
}

static int by_name(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

/* The names in a folder, sorted: a context's tar does not depend on the file system. */
static int list(struct packer *p, int fd, const char *name, struct dray_strlist *out)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d) {
        if (copy >= 0)
            (void)close(copy);
        return unreadable(p, name);
    }
    for (struct dirent *e = NULL; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            cli_need(dray_strlist_add(out, e->d_name) ? out : NULL);
    (void)closedir(d);
    if (out->n)
        qsort(out->v, out->n, sizeof *out->v, by_name);
    return 0;
}

static int pack_folder(struct packer *p, int fd, const char *prefix, const unsigned char *above);

static int pack_one(struct packer *p, int dir, const char *base, const char *name,
                    const unsigned char *above)
{
    struct stat sb;
    const struct dray_ignore *ig = &p->c->ignore;
    dray_autofree unsigned char *mine = cli_need(malloc(ig->n + 1));
    bool ignored = dray_ignore_walk(ig, name, above, mine);
    if (fstatat(dir, base, &sb, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || ignored ? 0 : unreadable(p, name);
    if (ignored && (!S_ISDIR(sb.st_mode) || !dray_ignore_may_hold(ig, name)))
        return 0;
    if (S_ISSOCK(sb.st_mode) || (p->c->has_text && strcmp(name, p->c->dockerfile) == 0))
        return 0;
    /* The folder's ignore file also hides the Dockerfile that is sent along. */
    if (p->c->has_text && strcmp(name, ".dockerignore") == 0)
        return 0;
    int rc = ignored ? 0 : put_entry(p, dir, base, name, &sb);
    if (rc != 0 || !S_ISDIR(sb.st_mode))
        return rc;
    dray_autofd int fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return unreadable(p, name);
    return pack_folder(p, fd, name, mine);
}

static int pack_folder(struct packer *p, int fd, const char *prefix, const unsigned char *above)
{
    DRAY_AUTO(dray_strlist) names = {0};
    int rc = p->depth++ < MAX_DEPTH
                 ? list(p, fd, prefix, &names)
                 : cli_fail(p->cli, "error checking context: '%s' lies too deep", prefix);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        dray_autofree char *name =
            *prefix ? cli_strf("%s/%s", prefix, names.v[i]) : cli_strdup(names.v[i]);
        rc = pack_one(p, fd, names.v[i], name, above);
    }
    p->depth--;
    return rc;
}

/* A Dockerfile from elsewhere, and an ignore file that hides it from COPY. */
static int put_dockerfile(struct packer *p)
{
    struct build_context *c = p->c;
    DRAY_AUTO(dray_buf) ignore = {0};
    dray_autofree char *path = c->dir ? cli_strf("%s/.dockerignore", c->dir) : NULL;
    dray_autofd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -EBADF;
    int rc = put_text(p, c->dockerfile, c->text.data ? c->text.data : "", c->text.len);
    if (rc != 0 || c->source != BUILD_FOLDER)
        return rc;
    if (c->has_text_ignore) {
        dray_buf_add(&ignore, c->text_ignore.data ? c->text_ignore.data : "", c->text_ignore.len);
    } else {
        char *room = fd >= 0 ? dray_buf_room(&ignore, DRAY_IGNORE_MAX_FILE) : NULL;
        ssize_t n = room ? read(fd, room, DRAY_IGNORE_MAX_FILE) : 0;
        ignore.len += n > 0 ? (size_t)n : 0;
    }
    dray_buf_addf(&ignore, "\n%s\n%s", c->dockerfile, fd >= 0 ? "" : ".dockerignore\n");
    return put_text(p, ".dockerignore", ignore.data, ignore.len);
}

static int pack(struct packer *p)
{
    int rc = 0;
    if (p->c->source == BUILD_FOLDER) {
        dray_autofd int fd = open(p->c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = fd < 0 ? unreadable(p, "") : pack_folder(p, fd, "", NULL);
    }
    if (rc == 0 && p->c->has_text)
        rc = put_dockerfile(p);
    return rc == 0 ? tar_finish(p->write, p->arg) : rc;
}

/* stdin as it is. */
static int copy_stdin(struct cli *cli, const struct build_context *c, struct sink *s)
{
    dray_autofree char *buf = cli_need(malloc(65536));
    int rc = sink_write(s, c->head, c->n_head);
    while (rc == 0) {
        ssize_t n = read(STDIN_FILENO, buf, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cli_fail(cli, "read: %s", cli_strerror(errno));
        if (n == 0)
            break;
        rc = sink_write(s, buf, (size_t)n);
    }
    return rc;
}

static int send_packed(struct cli *cli, struct build_context *c, struct sink *s, bool compress)
{
    struct packer p = {.cli = cli, .c = c, .write = sink_write, .arg = s, .sink = s};
    struct deflater *d = NULL;
    struct dray_err err = {0};
    if (compress) {
        if (deflater_new(&d, sink_write, s, &err) != 0)
            return cli_fail_err(cli, &err);
        p.write = deflater_write;
        p.arg = d;
    }
    int rc = pack(&p);
    int end = d ? deflater_end(d) : 0;
    for (size_t i = 0; i < p.cap_seen; i++)
        free(p.seen[i].name);
    free(p.seen);
    return rc == 0 ? end : rc;
}

int build_context_send(struct cli *cli, struct build_context *c, struct http_conn *conn,
                       bool compress, int64_t *sent)
{
    struct sink s = {.conn = conn, .buf = cli_need(malloc(PIECE))};
    int rc = 0;
    if (c->source == BUILD_ARCHIVE)
        rc = copy_stdin(cli, c, &s);
    else if (c->source != BUILD_REMOTE)
        rc = send_packed(cli, c, &s, compress);
    if (rc == 0)
        rc = flush(&s);
    if (rc == 0)
        (void)http_send_chunk(conn, NULL, 0, NULL);
    *sent = s.total;
    free(s.buf);
    return s.cut ? 0 : rc;
}
