/* SPDX-License-Identifier: Apache-2.0 */
/* add.c - what ADD does beyond COPY: archives are unpacked, URLs and repositories are fetched. */
#include "copy.h"
#include "fetch.h"

bool bd_add_is_remote(const char *source)
{
    return bd_prefix(source, "http://") || bd_prefix(source, "https://") || bd_is_git(source);
}

/* The last part of a URL's path; "" when it has none. */
static char *url_name(const char *url)
{
    const char *host = strstr(url, "://");
    const char *path = host ? strchr(host + 3, '/') : NULL;
    dray_autofree char *plain = path ? strndup(path, strcspn(path, "?#")) : NULL;
    return plain ? strdup(bd_path_base(plain)) : strdup("");
}

static int check_sum(const struct bd_copying *c, struct bd_tree *tree, const char *name,
                     struct dray_err *err)
{
    struct bd_content content = {.fd = -EBADF};
    char digest[BD_DIGEST_LEN];
    if (!c->in->checksum)
        return 0;
    int rc = tree->ops->open(tree, name, &content, err);
    if (!rc)
        rc = bd_content_digest(&content, digest, err);
    bd_content_close(&content);
    if (!rc && strcmp(digest, c->in->checksum) != 0)
        rc = dray_fail(err, DRAY_E_INVAL, "digest mismatch %s: %s", digest, c->in->checksum);
    return rc;
}

static int fetch_file(struct bd_copying *c, struct bd_tree *tree, int spool, const char *url,
                      char **name, struct dray_err *err)
{
    int64_t size = 0, when = 0;
    struct stat st;
    *name = url_name(url);
    if (!*name || fstat(spool, &st) != 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!**name && c->into)
        return dray_fail(err, DRAY_E_INVAL, "cannot determine filename for source %s", url);
    const char *node = **name ? *name : "file";
    if (lseek(spool, st.st_size, SEEK_SET) < 0)
        return dray_fail_errno(err, "load %s", url);
    int rc = bd_fetch_url(c->stage->build, url, spool, &size, &when, err);
    if (!rc)
        rc = bd_tree_tar_note(tree, node, st.st_size, size, 0600, when, err);
    return rc ? rc : check_sum(c, tree, node, err);
}

/* Each in a tree of its own, whose descriptor the tree has. */
int bd_add_fetch(struct bd_copying *c, const char *url, struct dray_err *err)
{
    struct bd_tree *tree = NULL;
    dray_autofree char *name = NULL;
    int spool = -EBADF;
    bool repository = bd_is_git(url);
    int rc = bd_spool(c->stage->build, &spool, err);
    if (!rc)
        rc = bd_tree_tar(spool, &tree, err);
    if (rc)
        return rc;
    struct bd_tree **kept = reallocarray(c->fetched, c->n_fetched + 1, sizeof *kept);
    if (!kept) {
        bd_tree_free(tree);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    c->fetched = kept;
    c->fetched[c->n_fetched++] = tree;
    if (repository)
        rc = bd_fetch_git(c->stage->build, url, c->in->keep_git_dir, tree, err);
    else
        rc = fetch_file(c, tree, spool, url, &name, err);
    if (rc)
        return rc;
    const char *path = repository ? "" : *name ? name : "file";
    struct bd_source *src = bd_copy_add(c, tree, path, path);
    if (!src)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    src->fetched = true;
    return tree->ops->stat(tree, path, &src->entry, err);
}

int bd_add_detect(struct bd_copying *c, struct bd_source *src, struct dray_err *err)
{
    struct bd_content content = {.fd = -EBADF};
    if (src->fetched && c->in->unpack != 1)
        return 0; /* what was loaded stays as it is unless the instruction says otherwise */
    if (!c->add || c->in->unpack == 0 || !src->tree || !S_ISREG(src->entry.mode))
        return 0;
    int rc = src->tree->ops->open(src->tree, src->path, &content, err);
    if (!rc)
        src->unpack = bd_is_archive(&content);
    bd_content_close(&content);
    return rc;
}
