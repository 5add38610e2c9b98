/* SPDX-License-Identifier: Apache-2.0 */
/* context.c - the build context: a tar from the client or from afar, or a Dockerfile alone. */
#include "fetch.h"

#include <fcntl.h>
#include <sys/stat.h>

#define HEAD_SIZE 4096u

int bd_spool(struct bd_build *b, int *fd_out, struct dray_err *err)
{
    const char *dir = b->host->path(b->host, DRAY_PATH_DATA);
    *fd_out = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return *fd_out < 0 ? dray_fail_errno(err, "make a file in %s", dir) : 0;
}

/* --- what it is --------------------------------------------------------------------------------*/

static bool starts(const unsigned char *p, size_t n, const char *magic, size_t len)
{
    return n >= len && memcmp(p, magic, len) == 0;
}

static bool is_archive(const unsigned char *p, size_t n)
{
    return starts(p, n, "\x1f\x8b", 2) || starts(p, n, "BZh", 3) ||
           starts(p, n,
                  "\xfd"
                  "7zXZ",
                  5) ||
           starts(p, n, "\x28\xb5\x2f\xfd", 4) || starts(p, n, "\x5d\0\0", 3) ||
           starts(p, n, "\x1f\x9d", 2) || (n > 262 && memcmp(p + 257, "ustar", 5) == 0) ||
           (n >= 512 && memchr(p, '\0', 512)); /* an old tar, or an empty one */
}

static int read_head(int fd, unsigned char *buf, size_t *n_out, struct dray_err *err)
{
    size_t have = 0;
    while (have < HEAD_SIZE) {
        ssize_t n = read(fd, buf + have, HEAD_SIZE - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "read the build context");
        if (n == 0)
            break;
        have += (size_t)n;
    }
    *n_out = have;
    return 0;
}

/* A Dockerfile that came by itself. */
static int take_dockerfile(struct bd_build *b, const void *head, size_t n, int fd,
                           struct dray_err *err)
{
    DRAY_AUTO(bd_buf) text = {0};
    bd_add(&text, head, n);
    for (ssize_t k = 1; k > 0;) {
        char buf[4096];
        while ((k = read(fd, buf, sizeof buf)) < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return dray_fail_errno(err, "read the Dockerfile");
        bd_add(&text, buf, (size_t)k);
        if (text.len > DRAY_DF_MAX_FILE)
            return dray_fail(err, DRAY_E_LIMIT, "the Dockerfile is larger than %u bytes",
                             DRAY_DF_MAX_FILE);
    }
    if (text.failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return bd_tree_tar_put(b->context, b->spec->dockerfile, bd_text(&text), text.len, 0644, err);
}

/* Is it a plain file, which need not be copied? */
static bool is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int read_stream(struct bd_build *b, struct bd_tree *into, int fd, struct dray_err *err)
{
    unsigned char head[HEAD_SIZE];
    size_t n = 0;
    int rc = read_head(fd, head, &n, err);
    if (rc)
        return rc;
    if (n > 0 && !b->spec->dockerfile_text && !is_archive(head, n))
        return take_dockerfile(b, head, n, fd, err);
    struct bd_tar_input in = {.head = head, .n_head = n, .fd = fd, .cancel_fd = b->cancel_fd};
    in.there = is_file(fd);
    if (!in.there)
        rc = bd_spool(b, &in.raw, err);
    else if ((in.raw = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
        rc = dray_fail_errno(err, "keep the build context");
    return rc ? rc : bd_tree_tar_read(into, &in, err);
}

/* --- the Dockerfile ----------------------------------------------------------------------------*/

static int find_dockerfile(struct bd_build *b, char **out, struct dray_err *err)
{
    const char *name = b->spec->dockerfile;
    struct bd_entry e;
    int rc = bd_tree_resolve(b->context, name, true, out, &e, err);
    if (!rc && !S_ISREG(e.mode) && strcmp(name, "Dockerfile") == 0) {
        free(*out);
        *out = NULL;
        rc = bd_tree_resolve(b->context, "dockerfile", true, out, &e, err);
    }
    if (!rc && !S_ISREG(e.mode))
        rc = dray_fail(err, DRAY_E_INVAL, "Cannot locate specified Dockerfile: %s", name);
    return rc;
}

/* Fill the context from spec->remote. */
static int fetch_remote(struct bd_build *b, struct dray_err *err)
{
    const char *url = b->spec->remote;
    int64_t size = 0, when = 0;
    dray_autofd int fd = -EBADF;
    if (bd_is_git(url))
        return bd_fetch_git(b, url, false, b->context, err);
    if (!bd_prefix(url, "http://") && !bd_prefix(url, "https://"))
        return dray_fail(err, DRAY_E_INVAL, "remoteURL (%s) could not be recognized as URL", url);
    int rc = bd_spool(b, &fd, err);
    if (!rc)
        rc = bd_fetch_url(b, url, fd, &size, &when, err);
    if (!rc && lseek(fd, 0, SEEK_SET) != 0)
        rc = dray_fail_errno(err, "read back %s", url);
    return rc ? rc : read_stream(b, b->context, fd, err);
}

/* --- a context that comes when it is needed
 * -----------------------------------------------------*/

static bool is_late(const struct bd_build *b)
{
    return b->spec->dockerfile_text && b->spec->context.fd < 0 && !*b->spec->remote;
}

/* A path of a Dockerfile, as it is known before anything is built; false: it may be any. */
static bool add_path(struct bd_list *out, const char *source)
{
    dray_autofree char *clean = bd_path_clean(source);
    if (!clean || !*clean || strpbrk(source, "$\\\"'"))
        return false;
    return bd_list_add(out, clean);
}

static bool add_instr(struct bd_list *out, const struct dray_df_instr *in)
{
    bool ok = true;
    if (in->kind == DRAY_DF_COPY || in->kind == DRAY_DF_ADD)
        for (uint64_t i = 0; ok && !in->u.copy.from && i < in->u.copy.sources.n; i++) {
            const char *source = in->u.copy.sources.v[i];
            bool far =
                in->kind == DRAY_DF_ADD && (bd_is_git(source) || bd_prefix(source, "http://") ||
                                            bd_prefix(source, "https://"));
            ok = far || add_path(out, source);
        }
    for (size_t i = 0; ok && in->kind == DRAY_DF_RUN && i < in->u.run.mounts.n; i++) {
        const struct dray_df_mount *m = &in->u.run.mounts.v[i];
        if (m->type == DRAY_DF_MOUNT_BIND && !m->from)
            ok = add_path(out, m->source ? m->source : "");
    }
    return ok;
}

/* What the stages that are built name of the context: none when that may be all of it. */
static void find_paths(struct bd_build *b, struct bd_list *out)
{
    bool ok = true;
    for (uint32_t i = 0; i < b->n_stages; i++)
        for (const struct dray_df_instr *in = b->stages[i].df->first;
             ok && b->stages[i].needed && in; in = in->next)
            ok = add_instr(out, in);
    if (!ok)
        bd_list_free(out);
}

static int read_late(struct bd_build *b, bool all, struct bd_tree **out, struct dray_err *err)
{
    DRAY_AUTO(bd_list) paths = {0};
    struct dray_fd_take tar = {-1};
    int spool = -EBADF;
    if (!all)
        find_paths(b, &paths);
    int rc = b->engine->context_get(
        b->call, (struct dray_strs){(const char *const *)paths.v, paths.n}, &tar, err);
    dray_autofd int fd __attribute__((unused)) = rc ? -EBADF : tar.fd;
    if (!rc)
        rc = bd_spool(b, &spool, err);
    if (!rc)
        rc = bd_tree_tar(spool, out, err);
    return rc ? rc : read_stream(b, *out, tar.fd, err);
}

int bd_context(struct bd_stage *s, struct bd_tree **out, struct dray_err *err)
{
    struct bd_build *b = s->build;
    bool all = s->triggered || s->late;
    struct bd_late *l = &b->late[all];
    *out = b->context;
    if (*out)
        return 0;
    pthread_mutex_lock(&b->lock);
    bool mine = l->state == BD_WAITING;
    if (mine)
        l->state = BD_RUNNING;
    while (!mine && l->state == BD_RUNNING)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
    if (mine) {
        int rc = read_late(b, all, &l->tree, &l->err);
        pthread_mutex_lock(&b->lock);
        l->state = rc ? BD_FAILED : BD_DONE;
        pthread_cond_broadcast(&b->changed);
        pthread_mutex_unlock(&b->lock);
    }
    *out = l->tree;
    if (l->state == BD_FAILED && err)
        *err = l->err;
    return l->state == BD_FAILED ? l->err.code : 0;
}

void bd_context_free(struct bd_build *b)
{
    bd_tree_free(dray_steal(b->context));
    for (size_t i = 0; i < sizeof b->late / sizeof *b->late; i++)
        bd_tree_free(dray_steal(b->late[i].tree));
}

int bd_context_open(struct bd_build *b, struct bd_buf *dockerfile, struct dray_err *err)
{
    int spool = -EBADF;
    bool late = is_late(b);
    int rc = late ? 0 : bd_spool(b, &spool, err);
    if (!rc && !late)
        rc = bd_tree_tar(spool, &b->context, err);
    if (!rc && !late)
        rc = *b->spec->remote ? fetch_remote(b, err)
                              : read_stream(b, b->context, b->spec->context.fd, err);
    if (!rc && b->spec->dockerfile_text) {
        bd_adds(dockerfile, b->spec->dockerfile_text);
        return dockerfile->failed ? dray_fail(err, DRAY_E_NOMEM, "out of memory") : 0;
    }
    dray_autofree char *path = NULL;
    if (!rc)
        rc = find_dockerfile(b, &path, err);
    if (!rc)
        rc = bd_tree_read(b->context, path, DRAY_DF_MAX_FILE, dockerfile, err);
    if (!rc && dockerfile->len == 0)
        rc = dray_fail(err, DRAY_E_INVAL, "the Dockerfile (%s) cannot be empty",
                       b->spec->dockerfile);
    return rc;
}
