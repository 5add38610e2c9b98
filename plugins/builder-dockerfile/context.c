/* SPDX-License-Identifier: Apache-2.0 */
/* context.c - the build context: a tar from the client or from afar, or a Dockerfile alone. */
#include "fetch.h"

#include <fcntl.h>

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
        k = read(fd, buf, sizeof buf);
        if (k < 0 && errno != EINTR)
            return dray_fail_errno(err, "read the Dockerfile");
        if (k > 0)
            bd_add(&text, buf, (size_t)k);
        if (text.len > DRAY_DF_MAX_FILE)
            return dray_fail(err, DRAY_E_LIMIT, "the Dockerfile is larger than %u bytes",
                             DRAY_DF_MAX_FILE);
    }
    if (text.failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return bd_tree_tar_put(b->context, b->spec->dockerfile, bd_text(&text), text.len, 0644, err);
}

static int read_stream(struct bd_build *b, int fd, struct dray_err *err)
{
    unsigned char head[HEAD_SIZE];
    size_t n = 0;
    int rc = read_head(fd, head, &n, err);
    if (rc)
        return rc;
    if (n > 0 && !b->spec->dockerfile_text && !is_archive(head, n))
        return take_dockerfile(b, head, n, fd, err);
    struct bd_tar_input in = {.head = head, .n_head = n, .fd = fd, .cancel_fd = b->cancel_fd};
    rc = bd_spool(b, &in.raw, err);
    return rc ? rc : bd_tree_tar_read(b->context, &in, err);
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
    return rc ? rc : read_stream(b, fd, err);
}

int bd_context_open(struct bd_build *b, struct bd_buf *dockerfile, struct dray_err *err)
{
    int spool = -EBADF;
    int rc = bd_spool(b, &spool, err);
    if (!rc)
        rc = bd_tree_tar(spool, &b->context, err);
    if (!rc)
        rc = *b->spec->remote ? fetch_remote(b, err) : read_stream(b, b->spec->context.fd, err);
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
