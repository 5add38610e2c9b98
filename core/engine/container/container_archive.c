/* SPDX-License-Identifier: Apache-2.0 */
/* container_archive.c - files in and out of a container as tar streams (docker cp). */
#include "engine/container/container_archive.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "engine/container/container.h"
#include "engine/rootfs/rootfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define BLOCK_BYTES (256 * 1024)

/* Paths. The folder part of a path is followed through links, its last element is not, unless it
 * ends in "/" or "/.", as in Docker. */

/** Absolute and lexically clean, but with a trailing "/" or "/." kept. */
static char *absolute(const char *path)
{
    size_t len = strlen(path), n_slashes = 0;
    while (n_slashes < len && path[len - 1 - n_slashes] == '/')
        n_slashes++;
    const char *end = path + len - n_slashes; /* "a/./" names what is in a, as "a/." */
    const char *tail = n_slashes ? "/" : "";
    if (end > path && end[-1] == '.' && (end - 1 == path || end[-2] == '/'))
        tail = "/.";
    DRAY_AUTO(dray_buf) out = {0};
    for (const char *p = path; *p;) {
        while (*p == '/')
            p++;
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            while (out.len > 0 && out.data[--out.len] != '/')
                ;
        } else if (n > 0 && !(n == 1 && *p == '.')) {
            dray_buf_addc(&out, '/');
            dray_buf_add(&out, p, n);
        }
        p += n;
    }
    if (out.len > 0)
        out.data[out.len] = '\0';
    if (out.len == 0)
        dray_buf_adds(&out, strcmp(tail, "/.") == 0 ? tail : "/");
    else
        dray_buf_adds(&out, tail);
    return dray_buf_steal(&out);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : slash && slash != path ? "." : "/";
}

/** The name that a client sees: without a trailing slash, but with a trailing dot. */
static char *shown_name(const char *path)
{
    size_t n = strlen(path);
    if (n > 1 && path[n - 1] == '/')
        n--;
    dray_autofree char *plain = strndup(path, n);
    return plain ? strdup(base_name(plain)) : NULL;
}

/* Stat. */

/** Go's os.FileMode: permission bits, and type bits from the top. */
static uint32_t go_mode(mode_t m)
{
    uint32_t out = m & 0777;
    static const struct {
        mode_t type;
        uint32_t bits;
    } types[] = {{S_IFDIR, 1u << 31},  {S_IFLNK, 1u << 27}, {S_IFIFO, 1u << 25},
                 {S_IFSOCK, 1u << 24}, {S_IFBLK, 1u << 26}, {S_IFCHR, 1u << 26 | 1u << 21}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if ((m & S_IFMT) == types[i].type)
            out |= types[i].bits;
    out |= m & S_ISUID ? 1u << 23 : 0;
    out |= m & S_ISGID ? 1u << 22 : 0;
    out |= m & S_ISVTX ? 1u << 20 : 0;
    return out;
}

struct stat_job {
    const char *path;  /* absolute() */
    const char *given; /* as the user wrote it */
    const char *container;
    struct json_object *out;
};

static int missing(const char *path, const char *container, struct dray_err *err)
{
    if (errno == ENOTDIR)
        return dray_fail(err, DRAY_E_IO, "lstat %s: not a directory", path);
    if (errno == ENOENT)
        return dray_fail(err, DRAY_E_NOTFOUND, "Could not find the file %s in container %s", path,
                         container);
    if (errno == ENAMETOOLONG)
        return dray_fail(err, DRAY_E_INVAL, "lstat %.200s: file name too long", path);
    return dray_fail_errno(err, "stat %s", path);
}

static void link_target(const char *path, struct json_object *out)
{
    char target[4097] = "", real[4097] = "";
    if (realpath(path, real)) { /* through all links, as Docker */
        dray_json_add_str(out, "linkTarget", real);
        return;
    }
    real[0] = '\0';
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n > 0 && target[0] != '/') { /* shown as an absolute path of the container */
        dray_autofree char *dir = strdup(path);
        char *slash = dir ? strrchr(dir, '/') : NULL;
        if (slash)
            *slash = '\0';
        dray_autofree char *joined = dray_strf("%s/%s", dir ? dir : "", target);
        dray_autofree char *clean = joined ? absolute(joined) : NULL;
        (void)snprintf(real, sizeof real, "%s", clean ? clean : "");
    } else {
        (void)snprintf(real, sizeof real, "%s", target);
    }
    dray_json_add_str(out, "linkTarget", real);
}

static int stat_inside(void *arg, struct dray_err *err)
{
    struct stat_job *job = arg;
    struct stat st;
    if (lstat(job->path, &st) != 0)
        return missing(job->given, job->container, err);
    char mtime[DRAY_TIME_LEN];
    dray_time_format((int64_t)st.st_mtim.tv_sec * DRAY_NS_PER_S + st.st_mtim.tv_nsec, mtime);
    struct json_object *o = json_object_new_object();
    dray_autofree char *shown = shown_name(job->path);
    dray_json_add_str(o, "name", shown);
    dray_json_add_int(o, "size", (int64_t)st.st_size);
    dray_json_add_int(o, "mode", go_mode(st.st_mode));
    dray_json_add_str(o, "mtime", mtime);
    dray_json_add_str(o, "linkTarget", "");
    if (S_ISLNK(st.st_mode))
        link_target(job->path, o);
    job->out = o;
    return 0;
}

int dray_containers_stat_path(struct dray_containers *cs, const char *name, const char *path,
                              struct json_object **stat_out, struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    dray_autofree char *clean = absolute(path);
    struct stat_job job = {.path = clean, .given = path, .container = name};
    if (!clean)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    rc = dray_rootfs_inside(c, clean, stat_inside, &job, err);
    if (rc == 0)
        *stat_out = job.out;
    return rc;
}

/* Out. */

struct get_job {
    const char *path, *given, *container;
    int fd;
    struct archive *in, *out;
    struct archive_entry_linkresolver *links;
    char *buffer;
    char *first;                    /* the name that entries begin with */
    size_t cut;                     /* bytes of their source that it takes the place of */
    const struct dray_remap *remap; /* of the container's ids, or NULL */
    bool abandoned;                 /* nothing more goes out */
};

static int write_entry(struct get_job *job, struct archive_entry *e, struct dray_err *err)
{
    if (archive_entry_filetype(e) == AE_IFSOCK)
        return 0;
    int rc = archive_write_header(job->out, e);
    if (rc == ARCHIVE_FATAL)
        return dray_archive_fail(job->out, "write the archive", err);
    bool data = archive_entry_filetype(e) == AE_IFREG && archive_entry_size(e) > 0 &&
                !archive_entry_hardlink(e);
    if (rc < ARCHIVE_WARN || !data)
        return 0;
    return dray_archive_data(job->out, e, job->buffer, BLOCK_BYTES, err);
}

/** Names in the archive begin with the last element of the path that was asked for. */
static void rename_entry(struct get_job *job, struct archive_entry *e)
{
    const char *source = archive_entry_sourcepath(e);
    const char *rest = source + (strlen(source) >= job->cut ? job->cut : 0);
    bool whole = strcmp(job->first, "/") == 0; /* then names stay absolute, as Docker's */
    dray_autofree char *name = dray_strf("%s%s", whole ? "" : job->first, rest);
    size_t n = name ? strlen(name) : 0;
    dray_autofree char *dir = NULL;
    if (n > 0 && archive_entry_filetype(e) == AE_IFDIR && name[n - 1] != '/')
        dir = dray_strf("%s/", name);
    archive_entry_set_pathname(e, dir ? dir : name);
}

static int next_entry(struct get_job *job, struct archive_entry *e, bool *end, struct dray_err *err)
{
    int rc = archive_read_next_header2(job->in, e);
    *end = rc == ARCHIVE_EOF;
    if (rc == ARCHIVE_FATAL)
        return dray_archive_fail(job->in, "read the container's files", err);
    return 0;
}

/* A folder that the kernel fills, or /dev, as a running container has them over its own files: its
 * contents are nobody's to copy. */
static bool is_kernels(struct archive_entry *e)
{
    static const uint64_t kinds[] = {
        PROC_SUPER_MAGIC,        SYSFS_MAGIC,   CGROUP_SUPER_MAGIC,
        CGROUP2_SUPER_MAGIC,     DEBUGFS_MAGIC, SECURITYFS_MAGIC,
        TRACEFS_MAGIC,           BPF_FS_MAGIC,  DEVPTS_SUPER_MAGIC,
        0x19800202 /* mqueue */,
    };
    const char *path = archive_entry_pathname(e);
    struct statfs fs;
    if (archive_entry_filetype(e) != AE_IFDIR || statfs(path, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((uint64_t)fs.f_type == kinds[i])
            return true;
    return fs.f_type == TMPFS_MAGIC && strcmp(path, "/dev") == 0;
}

static void show_inner_ids(const struct dray_remap *r, struct archive_entry *e)
{
    if (!r)
        return;
    archive_entry_set_uid(e, dray_idrange_in(r->uid, archive_entry_uid(e)));
    archive_entry_set_gid(e, dray_idrange_in(r->gid, archive_entry_gid(e)));
}

static int walk(struct get_job *job, struct dray_err *err)
{
    for (;;) {
        struct archive_entry *e = archive_entry_new(), *spare = NULL;
        bool end = false;
        int rc = next_entry(job, e, &end, err);
        if (rc == 0 && !end) {
            if (!is_kernels(e))
                (void)archive_read_disk_descend(job->in);
            archive_entry_copy_sourcepath(e, archive_entry_pathname(e));
            rename_entry(job, e);
            show_inner_ids(job->remap, e);
            archive_entry_linkify(job->links, &e, &spare);
            if (e)
                rc = write_entry(job, e, err);
        }
        archive_entry_free(e);
        archive_entry_free(spare);
        if (rc != 0 || end)
            return rc;
    }
}

static ssize_t write_out(struct archive *a, void *ctx, const void *data, size_t len)
{
    struct get_job *job = ctx;
    struct dray_err err = {0};
    if (job->abandoned || dray_fs_write_all(job->fd, data, len, &err) == 0)
        return (ssize_t)len;
    archive_set_error(a, err.os_errno, "%s", err.text);
    return -1;
}

static int get_inside(void *arg, struct dray_err *err)
{
    struct get_job *job = arg;
    struct stat st;
    if (lstat(job->path, &st) != 0)
        return missing(job->given, job->container, err);
    /* "/a/b/" and "/a/b/." name a folder also where b is a link to it: walk from the folder. */
    size_t len = strlen(job->path);
    bool folder = job->path[len - 1] == '/' || (len > 1 && strcmp(job->path + len - 2, "/.") == 0);
    dray_autofree char *from = folder ? realpath(job->path, NULL) : strdup(job->path);
    if (!from)
        return missing(job->given, job->container, err);
    job->cut = strcmp(from, "/") == 0 ? 0 : strlen(from);
    int rc = 0;
    if (archive_read_disk_open(job->in, from) != ARCHIVE_OK)
        rc = dray_archive_fail(job->in, "read the container's files", err);
    if (rc == 0)
        rc = walk(job, err);
    if (rc == 0 && archive_write_close(job->out) != ARCHIVE_OK)
        rc = dray_archive_fail(job->out, "write the archive", err);
    return rc;
}

static int prepare_get(struct get_job *job, struct dray_err *err)
{
    job->in = archive_read_disk_new();
    job->out = archive_write_new();
    job->links = archive_entry_linkresolver_new();
    job->buffer = malloc(BLOCK_BYTES);
    if (!job->in || !job->out || !job->links || !job->buffer)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)archive_read_disk_set_symlink_physical(job->in);
    (void)archive_read_disk_set_behavior(job->in, ARCHIVE_READDISK_NO_FFLAGS);
    (void)archive_write_set_format_pax_restricted(job->out);
    (void)archive_write_set_bytes_per_block(job->out, BLOCK_BYTES);
    (void)archive_write_set_bytes_in_last_block(job->out, 1);
    archive_entry_linkresolver_set_strategy(job->links, ARCHIVE_FORMAT_TAR);
    if (archive_write_open(job->out, job, NULL, write_out, NULL) != ARCHIVE_OK)
        return dray_archive_fail(job->out, "open the archive", err);
    return 0;
}

/* libarchive frees the block that it fills in closing alone, also when it has failed; a tar that is
 * not whole gets no end. */
static void abandon(struct get_job *job)
{
    if (archive_filter_count(job->out) == 0)
        return; /* was never opened */
    job->abandoned = true;
    (void)archive_write_fail(job->out);
    (void)archive_write_close(job->out);
}

int dray_containers_archive_get(struct dray_containers *cs, const char *name, const char *path,
                                int out_fd, struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    dray_autofree char *clean = absolute(path);
    struct get_job job = {.path = clean, .given = path, .container = name, .fd = out_fd};
    dray_autofree char *first = clean ? shown_name(clean) : NULL;
    struct dray_remap remap;
    job.first = first;
    job.remap = dray_container_remap(c, &remap) ? &remap : NULL;
    rc = first ? prepare_get(&job, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc == 0)
        rc = dray_rootfs_inside(c, clean, get_inside, &job, err);
    if (rc != 0 && job.out)
        abandon(&job);
    archive_read_free(job.in);
    archive_write_free(job.out);
    archive_entry_linkresolver_free(job.links);
    free(job.buffer);
    if (rc == 0)
        dray_container_event(c, "archive-path", NULL);
    return rc;
}

/* In. */

struct put_job {
    const char *path, *given, *container;
    bool keep_kinds; /* noOverwriteDirNonDir */
    bool chown;
    const char *user; /* as Config.User has it */
    int64_t uid, gid;
    const struct dray_remap *remap; /* of the container's ids, or NULL */
    struct json_object *points;     /* its mounts */
    bool read_only;                 /* its root */
    struct archive *in, *out;
};

/** A folder never takes the place of a file, nor the other way round. */
static int check_kind(struct archive_entry *e, struct dray_err *err)
{
    struct stat st;
    const char *given = archive_entry_pathname(e);
    dray_autofree char *name = given ? strdup(given) : NULL;
    if (!name)
        return 0;
    for (size_t n = strlen(name); n > 1 && name[n - 1] == '/'; n--)
        name[n - 1] = '\0'; /* or else a link would be followed */
    if (lstat(name, &st) != 0)
        return 0;
    bool dir = archive_entry_filetype(e) == AE_IFDIR;
    if (S_ISDIR(st.st_mode) && !dir)
        return dray_fail(err, DRAY_E_INVAL, "cannot overwrite directory \"%s\" with non-directory",
                         name);
    if (!S_ISDIR(st.st_mode) && dir)
        return dray_fail(err, DRAY_E_INVAL, "cannot overwrite non-directory \"%s\" with directory",
                         name);
    return 0;
}

/* A folder gives way to what is none: the archive's writer only replaces empty ones. */
static int make_room(struct archive_entry *e, struct dray_err *err)
{
    struct stat st;
    const char *name = archive_entry_pathname(e);
    if (!name || archive_entry_filetype(e) == AE_IFDIR || lstat(name, &st) != 0 ||
        !S_ISDIR(st.st_mode))
        return 0;
    return dray_fs_remove_tree(AT_FDCWD, name, err);
}

static int put_data(struct put_job *job, struct dray_err *err)
{
    for (;;) {
        const void *block;
        size_t size;
        int64_t offset;
        int rc = archive_read_data_block(job->in, &block, &size, &offset);
        if (rc == ARCHIVE_EOF)
            return 0;
        if (rc < ARCHIVE_WARN)
            return dray_fail(err, DRAY_E_INVAL, "read the archive: %s",
                             archive_error_string(job->in));
        if (archive_write_data_block(job->out, block, size, offset) < ARCHIVE_WARN)
            return dray_archive_fail(job->out, "write into the container", err);
    }
}

static int set_outer_ids(const struct dray_remap *r, struct archive_entry *e, struct dray_err *err)
{
    if (!r)
        return 0;
    int64_t uid = dray_idrange_out(r->uid, archive_entry_uid(e));
    int64_t gid = dray_idrange_out(r->gid, archive_entry_gid(e));
    if (uid < 0 || gid < 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "%s: the container's user namespace has no user %lld, group %lld",
                         archive_entry_pathname(e), (long long)archive_entry_uid(e),
                         (long long)archive_entry_gid(e));
    archive_entry_set_uid(e, uid);
    archive_entry_set_gid(e, gid);
    return 0;
}

static int put_entry(struct put_job *job, struct archive_entry *e, struct dray_err *err)
{
    int rc = job->keep_kinds ? check_kind(e, err) : make_room(e, err);
    if (rc != 0)
        return rc;
    if (job->chown) {
        archive_entry_set_uid(e, job->uid);
        archive_entry_set_gid(e, job->gid);
    }
    rc = set_outer_ids(job->remap, e, err);
    if (rc != 0)
        return rc;
    if (archive_write_header(job->out, e) < ARCHIVE_WARN)
        return dray_archive_fail(job->out, "write into the container", err);
    if (archive_entry_size(e) > 0)
        rc = put_data(job, err);
    if (rc == 0 && archive_write_finish_entry(job->out) < ARCHIVE_WARN)
        rc = dray_archive_fail(job->out, "write into the container", err);
    return rc;
}

/** What is read-only takes nothing: the mount that the path lies in, or else the root. Links are
 *  followed first, as one in a writable volume may lead out of it. */
static int check_writable(const struct put_job *job, struct dray_err *err)
{
    dray_autofree char *path = realpath(job->path, NULL);
    if (!path)
        return dray_fail_errno(err, "find %s", job->given);
    struct json_object *nearest = NULL;
    size_t most = 0;
    for (size_t i = 0; i < dray_json_len(job->points); i++) {
        struct json_object *p = json_object_array_get_idx(job->points, i);
        const char *given = dray_json_str(p, "Destination", "");
        dray_autofree char *real = realpath(given, NULL);
        const char *dest = real ? real : given;
        size_t n = strlen(dest);
        if (n > most && strncmp(path, dest, n) == 0 && (path[n] == '/' || !path[n])) {
            nearest = p;
            most = n;
        }
    }
    if (nearest && !dray_json_bool(nearest, "RW", true))
        return dray_fail(err, DRAY_E_INVAL, "mounted volume is marked read-only");
    if (!nearest && job->read_only)
        return dray_fail(err, DRAY_E_INVAL, "container rootfs is marked read-only");
    return 0;
}

static int put_inside(void *arg, struct dray_err *err)
{
    struct put_job *job = arg;
    struct stat st;
    if (stat(job->path, &st) != 0)
        return missing(job->given, job->container, err);
    if (!S_ISDIR(st.st_mode))
        return dray_fail(err, DRAY_E_INVAL, "extraction point is not a directory");
    int rc = check_writable(job, err);
    if (rc == 0 && job->chown)
        rc = dray_inside_user(job->user, &job->uid, &job->gid, err);
    if (rc != 0)
        return rc;
    if (chdir(job->path) != 0)
        return dray_fail_errno(err, "enter %s", job->given);
    for (;;) {
        struct archive_entry *e;
        rc = archive_read_next_header(job->in, &e);
        if (rc == ARCHIVE_EOF)
            break;
        if (rc < ARCHIVE_WARN)
            return dray_fail(err, DRAY_E_INVAL, "read the archive: %s",
                             archive_error_string(job->in));
        rc = put_entry(job, e, err);
        if (rc != 0)
            return rc;
    }
    if (archive_write_close(job->out) < ARCHIVE_WARN)
        return dray_archive_fail(job->out, "write into the container", err);
    return 0;
}

static int prepare_put(struct put_job *job, int in_fd, struct dray_err *err)
{
    job->in = archive_read_new();
    job->out = archive_write_disk_new();
    if (!job->in || !job->out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    (void)archive_read_support_filter_all(job->in);
    (void)archive_read_support_format_tar(job->in);
    (void)archive_read_support_format_empty(job->in);
    (void)archive_write_disk_set_options(job->out, ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM |
                                                       ARCHIVE_EXTRACT_TIME |
                                                       ARCHIVE_EXTRACT_XATTR);
    if (archive_read_open_fd(job->in, in_fd, BLOCK_BYTES) != ARCHIVE_OK)
        return dray_fail(err, DRAY_E_INVAL, "read the archive: %s", archive_error_string(job->in));
    return 0;
}

int dray_containers_archive_put(struct dray_containers *cs, const char *name, const char *path,
                                bool no_overwrite_dir_non_dir, bool copy_uid_gid, int in_fd,
                                struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    dray_autofree char *clean = absolute(path);
    if (!clean)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_autojson *host = dray_container_json(c, &c->host);
    dray_autojson *points = dray_container_json(c, &c->mounts);
    struct put_job job = {
        .path = clean, .given = path, .container = name, .keep_kinds = no_overwrite_dir_non_dir};
    dray_autojson *config = dray_container_json(c, &c->config);
    const char *user = dray_json_str(config, "User", "");
    job.chown = copy_uid_gid && *user;
    struct dray_remap remap;
    job.user = user;
    job.points = points;
    job.read_only = dray_json_bool(host, "ReadonlyRootfs", false);
    job.remap = dray_container_remap(c, &remap) ? &remap : NULL;
    rc = prepare_put(&job, in_fd, err);
    if (rc == 0)
        rc = dray_rootfs_inside(c, clean, put_inside, &job, err);
    archive_read_free(job.in);
    archive_write_free(job.out);
    if (rc == 0)
        dray_container_event(c, "extract-to-dir", NULL);
    return rc;
}
