/* SPDX-License-Identifier: Apache-2.0 */
/* tree.c - paths and links of trees, whatever is behind them. */
#include "tree.h"

#include <unistd.h>

#define LINKS_MAX 255
#define READ_CHUNK (64u * 1024)

/* --- paths -------------------------------------------------------------------------------------*/

/* Drop the last component. */
static void go_up(struct bd_buf *b)
{
    while (b->len > 0 && b->text[b->len - 1] != '/')
        b->len--;
    if (b->len > 0)
        b->len--;
    if (b->text)
        b->text[b->len] = '\0';
}

static void go_down(struct bd_buf *b, const char *name, size_t n)
{
    if (b->len > 0)
        bd_adds(b, "/");
    bd_add(b, name, n);
}

static bool is_dot(const char *p, size_t n)
{
    return n == 0 || (n == 1 && p[0] == '.');
}

static bool is_dots(const char *p, size_t n)
{
    return n == 2 && p[0] == '.' && p[1] == '.';
}

char *bd_path_clean(const char *path)
{
    struct bd_buf b = {0};
    bd_adds(&b, "");
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (is_dots(p, n))
            go_up(&b);
        else if (!is_dot(p, n))
            go_down(&b, p, n);
        p += n + (p[n] == '/');
    }
    if (!b.failed)
        return b.text;
    free(b.text);
    return NULL;
}

char *bd_path_join(const char *dir, const char *name)
{
    return *dir ? bd_strf("%s/%s", dir, name) : strdup(name);
}

const char *bd_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* --- links -------------------------------------------------------------------------------------*/

struct walk {
    struct bd_tree *tree;
    struct bd_buf at; /* resolved so far */
    char *rest;       /* owned: words to come */
    unsigned links;
    bool missing; /* nothing is at `at` */
    struct bd_entry entry;
};

/* Put a link's target in front of what is to come. */
static int follow(struct walk *w, const char *rest, struct dray_err *err)
{
    dray_autofree char *target = NULL;
    if (++w->links > LINKS_MAX)
        return dray_fail(err, DRAY_E_INVAL, "too many links");
    int rc = w->tree->ops->link(w->tree, bd_text(&w->at), &target, err);
    if (rc)
        return rc;
    if (target[0] == '/')
        w->at.len = 0;
    else
        go_up(&w->at);
    if (w->at.text)
        w->at.text[w->at.len] = '\0';
    char *joined = bd_strf("%s/%s", target, rest);
    free(w->rest);
    w->rest = joined;
    return joined ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int look(struct walk *w, struct dray_err *err)
{
    w->entry = (struct bd_entry){0};
    w->missing = false;
    struct dray_err why = {0};
    int rc = w->tree->ops->stat(w->tree, bd_text(&w->at), &w->entry, &why);
    if (rc == DRAY_E_NOTFOUND) {
        w->missing = true;
        return 0;
    }
    if (rc && err)
        *err = why;
    return rc;
}

/* One component. *at_out: where to go on in w->rest. */
static int step(struct walk *w, const char *p, size_t n, bool last, const char **at_out,
                struct dray_err *err)
{
    const char *next = p + n + strspn(p + n, "/");
    *at_out = next;
    if (is_dot(p, n))
        return 0;
    if (is_dots(p, n)) {
        go_up(&w->at);
        return look(w, err);
    }
    bool below_missing = w->missing;
    go_down(&w->at, p, n);
    if (w->at.failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (below_missing)
        return 0;
    int rc = look(w, err);
    if (rc || w->missing || !S_ISLNK(w->entry.mode) || (!*next && !last))
        return rc;
    rc = follow(w, next, err);
    *at_out = w->rest;
    return rc ? rc : look(w, err);
}

int bd_tree_resolve(struct bd_tree *t, const char *path, bool last, char **out,
                    struct bd_entry *entry, struct dray_err *err)
{
    struct walk w = {.tree = t, .rest = strdup(path)};
    bd_adds(&w.at, "");
    int rc = w.rest ? look(&w, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (const char *p = w.rest; !rc && *p;)
        rc = step(&w, p, strcspn(p, "/"), last, &p, err);
    free(w.rest);
    if (!rc && w.at.failed)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc) {
        free(w.at.text);
        return rc;
    }
    if (entry)
        *entry = w.missing ? (struct bd_entry){0} : w.entry;
    *out = w.at.text;
    return 0;
}

/* --- content -----------------------------------------------------------------------------------*/

void bd_content_close(struct bd_content *c)
{
    if (c->own && c->fd >= 0)
        (void)close(c->fd);
    *c = (struct bd_content){.fd = -EBADF};
}

int bd_content_digest(const struct bd_content *c, char out[BD_DIGEST_LEN], struct dray_err *err)
{
    if (c->sum) {
        bd_sum_name(c->sum, out);
        return 0;
    }
    char buf[READ_CHUNK];
    bd_autosum *sum = bd_sum_new();
    if (!sum)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (int64_t done = 0; done < c->size;) {
        size_t want = (size_t)(c->size - done) < READ_CHUNK ? (size_t)(c->size - done) : READ_CHUNK;
        ssize_t n = pread(c->fd, buf, want, c->at + done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? dray_fail_errno(err, "read a file")
                         : dray_fail(err, DRAY_E_IO, "a file became shorter while it was read");
        bd_sum_add(sum, buf, (size_t)n);
        done += n;
    }
    bd_sum_end(sum, out);
    return 0;
}

int bd_tree_read(struct bd_tree *t, const char *path, size_t max, struct bd_buf *out,
                 struct dray_err *err)
{
    struct bd_content c = {.fd = -EBADF};
    int rc = t->ops->open(t, path, &c, err);
    if (!rc && c.size > (int64_t)max)
        rc = dray_fail(err, DRAY_E_LIMIT, "%s is larger than %zu bytes", path, max);
    while (!rc && (int64_t)out->len < c.size) {
        char buf[8192];
        ssize_t n = pread(c.fd, buf, sizeof buf, c.at + (off_t)out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = dray_fail_errno(err, "read %s", path);
        if (n <= 0)
            break;
        size_t left = (size_t)c.size - out->len;
        bd_add(out, buf, (size_t)n < left ? (size_t)n : left);
        if (out->failed)
            rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    bd_content_close(&c);
    return rc;
}
