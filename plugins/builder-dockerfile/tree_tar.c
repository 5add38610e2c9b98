/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree_tar.c - a tar as a tree: names, attributes and digests in memory, contents one behind the
 * other in an unnamed file. A build's context is never unpacked: its files go from there into
 * layers. A tar that is not compressed is itself that file, written as it comes.
 */
#include "tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <json-c/linkhash.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#define BLOCK (256u * 1024)
/* What names, links and attributes of a context may take of the memory: 1,500,000 files or so. */
#define HELD_MAX (384u << 20)
#define HELD_NODE (sizeof(struct node) + 64) /* with its place in the table */

struct xattr {
    struct xattr *next;
    char *name;
    size_t n;
    unsigned char value[];
};

struct node {
    char *path;
    struct node *children, *next;
    struct bd_entry entry;
    char *link;
    off_t at;
    struct xattr *xattrs;
    bool raw;    /* its content is in the tar itself */
    bool summed; /* sum is known */
    unsigned char sum[BD_SUM_LEN];
};

struct tar_tree {
    struct bd_tree tree;
    int spool;
    off_t end; /* of the content so far */
    int raw;   /* the tar as it came, or -EBADF */
    off_t raw_end;
    struct lh_table *nodes;
    struct node *root;
    size_t held; /* bytes of memory, all that ever were */
};

/* --- nodes -------------------------------------------------------------------------------------*/

static struct node *find(const struct tar_tree *t, const char *path)
{
    void *found = NULL;
    return lh_table_lookup_ex(t->nodes, path, &found) ? found : NULL;
}

static void drop_content(struct node *n)
{
    free(n->link);
    n->link = NULL;
    while (n->xattrs) {
        struct xattr *next = n->xattrs->next;
        free(n->xattrs->name);
        free(n->xattrs);
        n->xattrs = next;
    }
}

static void free_node(struct lh_entry *e)
{
    struct node *n = lh_entry_v(e);
    drop_content(n);
    free(n->path);
    free(n);
}

static struct node *add_node(struct tar_tree *t, char *path /* takes */, struct node *parent)
{
    struct node *n = path ? calloc(1, sizeof *n) : NULL;
    if (!n || lh_table_insert(t->nodes, path, n) != 0) {
        free(n);
        free(path);
        return NULL;
    }
    n->path = path;
    t->held += HELD_NODE + strlen(path);
    if (parent) {
        n->next = parent->children;
        parent->children = n;
    }
    return n;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, (size_t)(slash - path)) : strdup("");
}

static void remove_node(struct tar_tree *t, struct node *n)
{
    while (n->children)
        remove_node(t, n->children);
    dray_autofree char *up = parent_of(n->path);
    struct node *parent = up ? find(t, up) : NULL;
    struct node **at = parent ? &parent->children : NULL;
    while (at && *at && *at != n)
        at = &(*at)->next;
    if (at && *at)
        *at = n->next;
    (void)lh_table_delete(t->nodes, n->path);
}

/* A folder that the tar does not tell of: as a client would make it. */
static struct node *make_folder(struct tar_tree *t, const char *path)
{
    struct node *n = find(t, path);
    if (n && S_ISDIR(n->entry.mode))
        return n;
    if (n)
        remove_node(t, n);
    dray_autofree char *up = parent_of(path);
    struct node *parent = up ? make_folder(t, up) : NULL;
    n = parent ? add_node(t, strdup(path), parent) : NULL;
    if (n)
        n->entry.mode = S_IFDIR | 0755;
    return n;
}

/* The node for a path, emptied of what it was. Folders keep what is in them. */
static struct node *place(struct tar_tree *t, const char *path, mode_t mode)
{
    struct node *n = find(t, path);
    if (n && n != t->root && !(S_ISDIR(mode) && S_ISDIR(n->entry.mode))) {
        remove_node(t, n);
        n = NULL;
    }
    if (!n) {
        dray_autofree char *up = parent_of(path);
        struct node *parent = up ? make_folder(t, up) : NULL;
        n = parent ? add_node(t, strdup(path), parent) : NULL;
    } else {
        drop_content(n);
    }
    if (n)
        n->entry.mode = mode;
    return n;
}

/* --- reading a tar -----------------------------------------------------------------------------*/

struct source {
    struct tar_tree *t;
    const struct bd_tar_input *in;
    bool headed; /* the head has been read */
    bool plain;  /* not compressed */
    bool padded; /* the missing end has been made up */
    struct bd_sum *sum;
    char *buf;
};

static int write_at(int fd, const char *data, size_t n, off_t at, struct dray_err *err)
{
    while (n > 0) {
        ssize_t k = pwrite(fd, data, n, at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return dray_fail_errno(err, "keep the build context");
        data += k;
        at += k;
        n -= (size_t)k;
    }
    return 0;
}

/* The docker CLI leaves the last file's padding and the end mark out when it adds a Dockerfile from
 * outside of the context. */
static la_ssize_t end_of_stream(struct source *s)
{
    if (!s->plain || s->padded)
        return 0;
    s->padded = true;
    memset(s->buf, 0, 1536);
    return 1536;
}

/* Wait for bytes, and take what is there behind them: large writes cost less. -1 with errno. */
static ssize_t fill(const struct source *s)
{
    size_t have = 0;
    while (s->in->fd >= 0 && have < BLOCK) {
        struct pollfd p[2] = {{.fd = s->in->fd, .events = POLLIN},
                              {.fd = s->in->cancel_fd, .events = POLLIN}};
        if (poll(p, 2, have ? 0 : -1) < 0 && errno != EINTR)
            return -1;
        if (p[1].revents) {
            errno = ECANCELED;
            return -1;
        }
        if (!p[0].revents && have)
            break;
        if (!p[0].revents)
            continue;
        ssize_t n = read(s->in->fd, s->buf + have, BLOCK - have);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

static la_ssize_t read_some(struct archive *a, void *arg, const void **out)
{
    struct source *s = arg;
    struct dray_err why = {0};
    *out = s->headed ? s->buf : s->in->head;
    ssize_t n = s->headed ? fill(s) : (ssize_t)s->in->n_head;
    s->headed = true;
    if (n < 0) {
        archive_set_error(a, errno, errno == ECANCELED ? "canceled" : "read the context");
        return -1;
    }
    if (n == 0)
        return end_of_stream(s);
    if (s->plain && !s->in->there &&
        write_at(s->t->raw, *out, (size_t)n, s->t->raw_end, &why) != 0) {
        archive_set_error(a, why.os_errno, "%s", why.text);
        return -1;
    }
    s->t->raw_end += n;
    return n;
}

/* libarchive has failed: of what we told it ourselves only our words count. */
static int read_failed(struct archive *a, int code, const char *what, struct dray_err *err)
{
    const char *why = archive_error_string(a);
    int sys = archive_errno(a);
    if (sys == ECANCELED)
        return dray_fail(err, DRAY_E_CANCELED, "canceled");
    if (sys == ENOSPC || sys == EDQUOT)
        return dray_fail(err, DRAY_E_NOSPACE, "%s", why);
    return dray_fail(err, code, "the build context %s: %s", what, why ? why : "unknown error");
}

/* Where an entry goes: never above the root, "../foo" is "foo" as Docker has it; links of the tar
 * in the way are followed within it. */
static int settle_path(struct tar_tree *t, const char *name, char **out, struct dray_err *err)
{
    dray_autofree char *clean = bd_path_clean(name);
    dray_autofree char *up = clean ? parent_of(clean) : NULL;
    dray_autofree char *real = NULL;
    if (!up)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = bd_tree_resolve(&t->tree, up, true, &real, NULL, err);
    if (rc)
        return dray_err_note(err, "the build context: %.200s", name);
    if (strlen(clean) + strlen(real) >= PATH_MAX)
        return dray_fail(err, DRAY_E_INVAL, "the build context: %.200s...: file name too long",
                         clean);
    *out = *clean ? bd_path_join(real, bd_path_base(clean)) : strdup("");
    return *out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* Where in the tar the block is that libarchive has just handed over. */
static off_t raw_offset(struct archive *a)
{
    return archive_filter_bytes(a, 0);
}

/* A piece of a file's content: kept, or found to be kept already. */
static int take_block(struct source *s, struct archive *a, struct node *n, const void *data,
                      size_t len, off_t offset, struct dray_err *err)
{
    if (n->summed)
        bd_sum_add(s->sum, data, len);
    if (!n->raw)
        return write_at(s->t->spool, data, len, n->at + offset, err);
    if (offset == 0)
        n->at = raw_offset(a);
    if (raw_offset(a) != n->at + offset)
        return dray_fail(err, DRAY_E_CORRUPT, "the build context is broken: %.200s lies in pieces",
                         n->path);
    return 0;
}

static int take_data(struct source *s, struct archive *a, struct archive_entry *e, struct node *n,
                     struct dray_err *err)
{
    bool sparse = archive_entry_sparse_count(e) > 0;
    n->raw = s->plain && !sparse;
    n->summed = !sparse;
    n->at = s->t->end;
    for (;;) {
        const void *data = NULL;
        size_t len = 0;
        la_int64_t offset = 0;
        int r = archive_read_data_block(a, &data, &len, &offset);
        if (r == ARCHIVE_EOF)
            break;
        if (r < ARCHIVE_WARN)
            return read_failed(a, DRAY_E_CORRUPT, "is broken", err);
        int rc = len > 0 ? take_block(s, a, n, data, len, offset, err) : 0;
        if (rc)
            return rc;
    }
    if (n->summed)
        bd_sum_end_raw(s->sum, n->sum);
    if (!n->raw)
        s->t->end += n->entry.size;
    /* A hole at the end of a sparse file is no data: there may be nothing behind it yet. */
    return 0;
}

static int take_xattrs(struct tar_tree *t, struct node *n, struct archive_entry *e,
                       struct dray_err *err)
{
    const char *name = NULL;
    const void *value = NULL;
    size_t len = 0;
    (void)archive_entry_xattr_reset(e);
    while (archive_entry_xattr_next(e, &name, &value, &len) == ARCHIVE_OK) {
        if (!bd_prefix(name, "user.") && strcmp(name, "security.capability") != 0)
            continue;
        struct xattr *x = malloc(sizeof *x + len);
        if (!x || !(x->name = strdup(name))) {
            free(x);
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        }
        memcpy(x->value, value, len);
        x->n = len;
        x->next = n->xattrs;
        n->xattrs = x;
        t->held += sizeof *x + strlen(name) + len;
    }
    return 0;
}

static int take_hardlink(struct tar_tree *t, const char *path, const char *target,
                         struct dray_err *err)
{
    dray_autofree char *real = NULL;
    int rc = settle_path(t, target, &real, err);
    if (rc)
        return rc;
    const struct node *to = find(t, real);
    if (!to || S_ISDIR(to->entry.mode))
        return dray_fail(err, DRAY_E_INVAL,
                         "the build context is broken: hard link %.200s to %.200s, which is not "
                         "there",
                         path, target);
    if (strcmp(path, real) == 0)
        return 0;
    const struct node same = *to;
    dray_autofree char *link = to->link ? strdup(to->link) : NULL;
    struct node *n = place(t, path, same.entry.mode);
    if (!n)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    n->entry = same.entry;
    n->at = same.at;
    n->raw = same.raw;
    n->summed = same.summed;
    memcpy(n->sum, same.sum, sizeof n->sum);
    n->link = dray_steal(link);
    return 0;
}

static int take_entry(struct source *s, struct archive *a, struct archive_entry *e,
                      struct dray_err *err)
{
    struct tar_tree *t = s->t;
    dray_autofree char *path = NULL;
    const char *name = archive_entry_pathname(e), *hard = archive_entry_hardlink(e);
    if (!name)
        return dray_fail(err, DRAY_E_CORRUPT,
                         "the build context is broken: a name in it cannot be "
                         "read");
    int rc = settle_path(t, name, &path, err);
    if (rc || hard)
        return rc ? rc : take_hardlink(t, path, hard, err);
    mode_t mode = archive_entry_mode(e);
    if (!*path && !S_ISDIR(mode))
        return dray_fail(err, DRAY_E_INVAL, "the build context is no folder");
    struct node *n = place(t, path, mode);
    if (!n)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    n->entry = (struct bd_entry){.mode = mode,
                                 .uid = (uid_t)archive_entry_uid(e),
                                 .gid = (gid_t)archive_entry_gid(e),
                                 .size = S_ISREG(mode) ? archive_entry_size(e) : 0,
                                 .mtime_s = archive_entry_mtime(e),
                                 .rdev = archive_entry_rdev(e)};
    const char *link = archive_entry_symlink(e);
    if (S_ISLNK(mode) && !(n->link = strdup(link ? link : "")))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    t->held += n->link ? strlen(n->link) : 0;
    rc = take_xattrs(t, n, e, err);
    if (!rc && S_ISREG(mode) && n->entry.size > 0)
        rc = take_data(s, a, e, n, err);
    return rc;
}

static struct archive *new_reader(void)
{
    struct archive *a = archive_read_new();
    if (!a)
        return NULL;
    (void)archive_read_support_filter_gzip(a);
    (void)archive_read_support_filter_bzip2(a);
    (void)archive_read_support_filter_xz(a);
    (void)archive_read_support_filter_lzma(a);
    (void)archive_read_support_filter_zstd(a);
    (void)archive_read_support_filter_compress(a);
    (void)archive_read_support_format_tar(a);
    (void)archive_read_support_format_empty(a);
    return a;
}

static int read_all(struct source *s, struct archive *a, struct dray_err *err)
{
    for (;;) {
        struct archive_entry *e = NULL;
        int r = archive_read_next_header(a, &e);
        if (r == ARCHIVE_EOF)
            return 0;
        if (r < ARCHIVE_WARN)
            return read_failed(a, DRAY_E_INVAL, "cannot be read", err);
        int rc = take_entry(s, a, e, err);
        if (!rc && s->t->held > HELD_MAX)
            rc = dray_fail(err, DRAY_E_LIMIT,
                           "the build context is too large: the names and attributes of its files "
                           "take more than %u bytes",
                           HELD_MAX);
        if (rc)
            return rc;
    }
}

int bd_tree_tar_read(struct bd_tree *tree, const struct bd_tar_input *in, struct dray_err *err)
{
    struct tar_tree *t = (struct tar_tree *)tree;
    dray_autofree char *buf = malloc(BLOCK);
    bd_autosum *sum = bd_sum_new();
    struct source s = {.t = t, .in = in, .sum = sum, .buf = buf};
    s.plain = in->n_head > 262 && memcmp((const char *)in->head + 257, "ustar", 5) == 0;
    t->raw = in->raw;
    struct archive *a = new_reader();
    if (!a || !buf || !sum) {
        (void)archive_read_free(a);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    int rc = archive_read_open(a, &s, NULL, read_some, NULL) == ARCHIVE_OK
                 ? read_all(&s, a, err)
                 : read_failed(a, DRAY_E_INVAL, "cannot be read", err);
    (void)archive_read_free(a);
    /* Holes at the end must be there to be read. */
    if (!rc && ftruncate(t->spool, t->end) != 0)
        rc = dray_fail_errno(err, "keep the build context");
    return rc;
}

int bd_tree_tar_put(struct bd_tree *tree, const char *path, const void *data, size_t n, mode_t mode,
                    struct dray_err *err)
{
    struct tar_tree *t = (struct tar_tree *)tree;
    struct node *node = place(t, path, S_IFREG | mode);
    if (!node)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    node->entry = (struct bd_entry){.mode = S_IFREG | mode, .size = (int64_t)n};
    node->at = t->end;
    t->end += (off_t)n;
    return write_at(t->spool, data, n, node->at, err);
}

int bd_tree_tar_note(struct bd_tree *tree, const char *path, off_t at, int64_t n, mode_t mode,
                     int64_t mtime_s, struct dray_err *err)
{
    struct tar_tree *t = (struct tar_tree *)tree;
    struct node *node = place(t, path, S_IFREG | mode);
    if (!node)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    node->entry = (struct bd_entry){.mode = S_IFREG | mode, .size = n, .mtime_s = mtime_s};
    node->at = at;
    if (t->end < at + n)
        t->end = at + n;
    return 0;
}

static int take_content(struct tar_tree *t, struct node *n, const struct bd_content *c,
                        struct dray_err *err)
{
    char buf[65536];
    n->at = t->end;
    for (int64_t done = 0; done < c->size;) {
        ssize_t k = pread(c->fd, buf, sizeof buf, c->at + done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return dray_fail(err, DRAY_E_IO, "%s became shorter while it was read", n->path);
        int rc = write_at(t->spool, buf, (size_t)k, n->at + done, err);
        if (rc)
            return rc;
        done += k;
    }
    t->end += c->size;
    return 0;
}

int bd_tree_tar_take(struct bd_tree *tree, const char *path, struct bd_tree *from,
                     const char *from_path, const struct bd_entry *e, struct dray_err *err)
{
    struct tar_tree *t = (struct tar_tree *)tree;
    struct bd_content c = {.fd = -EBADF};
    struct node *n = place(t, path, e->mode);
    if (!n)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    n->entry = *e;
    n->entry.uid = n->entry.gid = 0;
    if (S_ISLNK(e->mode))
        return from->ops->link(from, from_path, &n->link, err);
    if (!S_ISREG(e->mode))
        return 0;
    int rc = from->ops->open(from, from_path, &c, err);
    if (!rc)
        rc = take_content(t, n, &c, err);
    bd_content_close(&c);
    return rc;
}

void bd_tree_tar_remove(struct bd_tree *tree, const char *path)
{
    struct tar_tree *t = (struct tar_tree *)tree;
    struct node *n = find(t, path);
    if (n && n != t->root)
        remove_node(t, n);
}

/* --- the tree ----------------------------------------------------------------------------------*/

static int tar_stat(struct bd_tree *tree, const char *path, struct bd_entry *out,
                    struct dray_err *err)
{
    const struct node *n = find((const struct tar_tree *)tree, path);
    if (!n)
        return dray_fail(err, DRAY_E_NOTFOUND, "%s: no such file or directory", path);
    *out = n->entry;
    out->node = n;
    return 0;
}

static int tar_link(struct bd_tree *tree, const char *path, char **out, struct dray_err *err)
{
    const struct node *n = find((const struct tar_tree *)tree, path);
    if (!n || !n->link)
        return dray_fail(err, DRAY_E_NOTFOUND, "%s: no such link", path);
    *out = strdup(n->link);
    return *out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int tar_list(struct bd_tree *tree, const char *path, struct bd_list *out,
                    struct dray_err *err)
{
    const struct node *n = find((const struct tar_tree *)tree, path);
    if (!n)
        return dray_fail(err, DRAY_E_NOTFOUND, "%s: no such file or directory", path);
    for (n = n->children; n; n = n->next)
        if (!bd_list_add(out, bd_path_base(n->path)))
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bd_list_sort(out);
    return 0;
}

static int tar_open(struct bd_tree *tree, const char *path, struct bd_content *out,
                    struct dray_err *err)
{
    const struct tar_tree *t = (const struct tar_tree *)tree;
    const struct node *n = find(t, path);
    if (!n || !S_ISREG(n->entry.mode))
        return dray_fail(err, DRAY_E_NOTFOUND, "%s: no such file", path);
    *out = (struct bd_content){.fd = n->raw ? t->raw : t->spool,
                               .at = n->at,
                               .size = n->entry.size,
                               .sum = n->summed ? n->sum : NULL};
    return 0;
}

static int tar_xattrs(struct bd_tree *tree, const char *path,
                      int (*fn)(void *ctx, const char *name, const void *value, size_t n),
                      void *ctx)
{
    const struct node *n = find((const struct tar_tree *)tree, path);
    int rc = 0;
    for (const struct xattr *x = n ? n->xattrs : NULL; x && !rc; x = x->next)
        rc = fn(ctx, x->name, x->value, x->n);
    return rc;
}

static void tar_free(struct bd_tree *tree)
{
    struct tar_tree *t = (struct tar_tree *)tree;
    if (t->nodes)
        lh_table_free(t->nodes);
    dray_cleanup_fd(&t->spool);
    dray_cleanup_fd(&t->raw);
    free(t);
}

static const struct bd_tree_ops tar_ops = {
    .stat = tar_stat,
    .link = tar_link,
    .list = tar_list,
    .open = tar_open,
    .xattrs = tar_xattrs,
    .free = tar_free,
};

int bd_tree_tar(int spool /* takes */, struct bd_tree **out, struct dray_err *err)
{
    struct tar_tree *t = calloc(1, sizeof *t);
    if (!t) {
        (void)close(spool);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    t->tree.ops = &tar_ops;
    t->spool = spool;
    t->raw = -EBADF;
    t->nodes = lh_kchar_table_new(1024, free_node);
    t->root = t->nodes ? add_node(t, strdup(""), NULL) : NULL;
    if (!t->root) {
        tar_free(&t->tree);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    t->root->entry.mode = S_IFDIR | 0755;
    *out = &t->tree;
    return 0;
}
