/* SPDX-License-Identifier: Apache-2.0 */
/* fs_send.c - sends results to a client: a tree, or one file. */
#include "kit/fs.h"
#include "kit/pb.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define PIECE ((size_t)32 << 10)
#define DEPTH_MAX 1000u
#define CAPS_MAX 64
#define METHOD "/moby.filesync.v1.FileSend/DiffCopy"

struct sender {
    struct grpc_call *call;
    int root, cancel_fd;
    struct dray_strlist paths; /* by number */
    char *buf;
    unsigned depth;
};

static int send_packet(struct sender *s, enum kit_fs_packet type, uint32_t id,
                       const struct dray_buf *stat, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    pb_uint(&b, 1, type);
    if (stat)
        pb_message(&b, 2, stat);
    pb_uint(&b, 3, id);
    if (b.failed)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return grpc_send(s->call, b.data ? b.data : "", b.len, s->cancel_fd, err);
}

/* ---- Telling of the entries ---- */

static int send_entry(struct sender *s, int dir, const char *base, char *path,
                      const struct stat *sb, struct dray_err *err)
{
    char link[PATH_MAX] = "", caps[CAPS_MAX];
    struct kit_fs_entry e = {.path = path,
                             .link = link,
                             .mode = sb->st_mode,
                             .uid = sb->st_uid,
                             .gid = sb->st_gid,
                             .size = S_ISREG(sb->st_mode) ? sb->st_size : 0,
                             .mtime_ns =
                                 sb->st_mtim.tv_sec * INT64_C(1000000000) + sb->st_mtim.tv_nsec,
                             .major = major(sb->st_rdev),
                             .minor = minor(sb->st_rdev)};
    if (S_ISLNK(sb->st_mode) && readlinkat(dir, base, link, sizeof link - 1) < 0)
        return dray_fail_errno(err, "read link %s", path);
    if (S_ISREG(sb->st_mode)) {
        dray_autofd int fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        ssize_t n = fd >= 0 ? fgetxattr(fd, "security.capability", caps, sizeof caps) : -1;
        e.caps = n > 0 ? caps : NULL;
        e.n_caps = n > 0 ? (size_t)n : 0;
    }
    DRAY_AUTO(dray_buf) stat = {0};
    kit_fs_entry_write(&e, &stat);
    if (!dray_strlist_add(&s->paths, path))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return send_packet(s, FS_STAT, 0, &stat, err);
}

static int list(int dir, struct dray_strlist *out, struct dray_err *err)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    bool ok = true;
    if (!d) {
        dray_cleanup_fd(&copy);
        return dray_fail_errno(err, "list a folder");
    }
    for (struct dirent *e = NULL; ok && (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            ok = dray_strlist_add(out, e->d_name);
    (void)closedir(d);
    dray_strlist_sort(out);
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int walk(struct sender *s, int dir, const char *prefix, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) names = {0};
    int rc = ++s->depth > DEPTH_MAX ? dray_fail(err, DRAY_E_LIMIT, "%s lies too deep", prefix)
                                    : list(dir, &names, err);
    for (size_t i = 0; !rc && i < names.n; i++) {
        struct stat sb;
        const char *base = names.v[i];
        dray_autofree char *path = *prefix ? dray_strf("%s/%s", prefix, base) : strdup(base);
        if (!path || fstatat(dir, base, &sb, AT_SYMLINK_NOFOLLOW) != 0)
            return dray_fail_errno(err, "look at %s", base);
        rc = send_entry(s, dir, base, path, &sb, err);
        if (rc || !S_ISDIR(sb.st_mode))
            continue;
        dray_autofd int sub = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        rc = sub < 0 ? dray_fail_errno(err, "open %s", path) : walk(s, sub, path, err);
    }
    s->depth--;
    return rc;
}

/* ---- Answering ---- */

/* Open a path of ours without following a link in it. */
static int open_path(int root, const char *path)
{
    int at = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0) {
        size_t n = strcspn(path, "/");
        char part[NAME_MAX + 1];
        if (n > NAME_MAX)
            break;
        memcpy(part, path, n);
        part[n] = '\0';
        int flags = path[n] ? O_PATH | O_DIRECTORY : O_RDONLY | O_NONBLOCK;
        int next = openat(at, part, flags | O_NOFOLLOW | O_CLOEXEC);
        dray_cleanup_fd(&at);
        if (next < 0 || !path[n])
            return next;
        at = next;
        path += n + 1;
    }
    dray_cleanup_fd(&at);
    return -EBADF;
}

static int send_content(struct sender *s, uint32_t id, struct dray_err *err)
{
    if (id >= s->paths.n)
        return dray_fail(err, DRAY_E_INVAL, "invalid file request %u", id);
    dray_autofd int fd = open_path(s->root, s->paths.v[id]);
    if (fd < 0)
        return dray_fail_errno(err, "open %s", s->paths.v[id]);
    int rc = 0;
    for (ssize_t n = 1; !rc && n > 0;) {
        n = read(fd, s->buf, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "read %s", s->paths.v[id]);
        DRAY_AUTO(dray_buf) b = {0};
        pb_uint(&b, 1, FS_DATA);
        pb_uint(&b, 3, id);
        pb_bytes(&b, 4, s->buf, (size_t)n);
        rc = b.failed ? dray_fail(err, DRAY_E_NOMEM, "out of memory")
                      : grpc_send(s->call, b.data, b.len, s->cancel_fd, err);
    }
    return rc;
}

static int take_packet(struct sender *s, const struct dray_buf *msg, bool *fin,
                       struct dray_err *err)
{
    struct pb m = pb_open(msg->data, msg->len);
    struct pb_field f, data = {0};
    uint64_t type = 0, id = 0;
    while (pb_next(&m, &f)) {
        if (f.number == 1)
            type = f.value;
        else if (f.number == 3)
            id = f.value;
        else if (f.number == 4)
            data = f;
    }
    if (m.bad)
        return dray_fail(err, DRAY_E_CORRUPT, "the client sends a malformed packet");
    if (type == FS_ERR)
        return dray_fail(err, DRAY_E_IO, "%.*s", (int)data.len, data.data ? data.data : "");
    *fin = type == FS_FIN;
    return type == FS_REQ ? send_content(s, (uint32_t)id, err) : 0;
}

static int send_tree(struct sender *s, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) msg = {0};
    bool fin = false;
    int rc = walk(s, s->root, "", err);
    if (!rc)
        rc = send_packet(s, FS_STAT, 0, NULL, err);
    while (!rc && !fin) {
        rc = grpc_recv(s->call, &msg, s->cancel_fd, err);
        if (rc == 0)
            return dray_fail(err, DRAY_E_CORRUPT, "the client has ended a transfer amid it");
        rc = rc < 0 ? rc : take_packet(s, &msg, &fin, err);
    }
    if (!rc)
        rc = send_packet(s, FS_FIN, 0, NULL, err);
    grpc_send_end(s->call);
    /* How the client has fared. */
    while (!rc && (rc = grpc_recv(s->call, &msg, s->cancel_fd, err)) == 1)
        rc = 0;
    return rc;
}

static int start(struct grpc_conn *c, const char *exporter, struct grpc_call **out,
                 struct dray_err *err)
{
    DRAY_AUTO(dray_kvlist) md = {0};
    if (exporter && !dray_kvlist_add(&md, "buildkit-attachable-exporter-id", exporter))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return grpc_call_start(c, METHOD, &md, out, err);
}

int kit_fs_send_tree(struct grpc_conn *c, const char *exporter, int dir, int cancel_fd,
                     struct dray_err *err)
{
    struct sender s = {.root = dir, .cancel_fd = cancel_fd, .buf = malloc(PIECE)};
    int rc =
        s.buf ? start(c, exporter, &s.call, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = send_tree(&s, err);
    grpc_call_free(s.call);
    dray_strlist_free(&s.paths);
    free(s.buf);
    return rc;
}

int kit_fs_send_file(struct grpc_conn *c, const char *exporter, int fd, int cancel_fd,
                     struct dray_err *err)
{
    struct grpc_call *call = NULL;
    DRAY_AUTO(dray_buf) rest = {0};
    dray_autofree char *buf = malloc(PIECE);
    int rc = buf ? start(c, exporter, &call, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (ssize_t n = 1; !rc && n > 0;) {
        n = read(fd, buf, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = dray_fail_errno(err, "read the result");
        if (n <= 0)
            break;
        DRAY_AUTO(dray_buf) msg = {0};
        pb_bytes(&msg, 1, buf, (size_t)n);
        rc = grpc_send(call, msg.data, msg.len, cancel_fd, err);
    }
    if (!rc) {
        grpc_send_end(call);
        while ((rc = grpc_recv(call, &rest, cancel_fd, err)) == 1)
            continue;
    }
    grpc_call_free(call);
    return rc;
}
