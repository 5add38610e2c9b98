/* SPDX-License-Identifier: Apache-2.0 */
/* copy.c - the local end of cp. */
#include "client/copy.h"

#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

static char *base_of(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    const char *slash = memrchr(path, '/', len);
    const char *from = slash && len > 1 ? slash + 1 : path;
    return dray_strf("%.*s", (int)(path + len - from), from);
}

static char *dir_of(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    const char *slash = memrchr(path, '/', len);
    if (!slash)
        return dray_strf(".");
    return slash == path ? dray_strf("/") : dray_strf("%.*s", (int)(slash - path), path);
}

/* Where the entries go: a folder, and another name for the top or NULL. */
struct place {
    char *dir;
    char *name;
};

static void place_cleanup(struct place *p)
{
    free(p->dir);
    free(p->name);
}

static int find_place(const struct copy_in *in, const char *to, struct place *p,
                      struct dray_err *err)
{
    struct stat sb;
    bool exists = stat(to, &sb) == 0;
    if (exists && S_ISDIR(sb.st_mode)) {
        p->dir = dray_strf("%s", to);
        p->name = in->rename ? dray_strf("%s", in->rename) : NULL;
        return 0;
    }
    if (exists && in->is_dir)
        return dray_fail(err, DRAY_E_INVAL, "cannot copy directory");
    if (!exists && !in->is_dir && dray_str_suffix(to, "/"))
        return dray_fail(err, DRAY_E_NOTFOUND, "no such directory");
    p->dir = dir_of(to);
    p->name = base_of(to);
    dray_autofree char *cwd = *to == '/' ? NULL : getcwd(NULL, 0);
    if (stat(p->dir, &sb) != 0 || !S_ISDIR(sb.st_mode))
        return dray_fail(err, DRAY_E_NOTFOUND,
                         "invalid output path: directory \"%s%s%s\" does not exist", cwd ? cwd : "",
                         cwd ? "/" : "", p->dir);
    return 0;
}

/* The entry's path below the folder: its first part gets the new name. */
static char *renamed(const char *name, const struct copy_in *in, const char *top)
{
    while (dray_str_prefix(name, "./") || *name == '/')
        name += *name == '/' ? 1 : 2;
    if (!top)
        return dray_strf("%s", name);
    size_t len = strlen(in->name);
    if (len == 0 || strcmp(in->name, "/") == 0 || strcmp(in->name, ".") == 0)
        return *name && strcmp(name, ".") != 0 ? dray_strf("%s/%s", top, name)
                                               : dray_strf("%s", top);
    if (strncmp(name, in->name, len) == 0 && (name[len] == '/' || !name[len]))
        return dray_strf("%s%s", top, name + len);
    return dray_strf("%s", name);
}

static bool dotty(const char *path)
{
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return true;
        p += n + (p[n] == '/');
    }
    return false;
}

static int write_file(struct tar_reader *r, int fd, struct copy_in *in, struct dray_err *err)
{
    char buf[65536];
    ssize_t n = 0;
    while ((n = tar_data(r, buf, sizeof buf)) > 0) {
        in->bytes += n;
        if (dray_fs_write_all(fd, buf, (size_t)n, err) != 0)
            return -1;
    }
    return n == 0 ? 0 : dray_fail(err, DRAY_E_CORRUPT, "unexpected EOF");
}

static int make_link(int root, int parent, const char *base, const struct tar_entry *e,
                     const struct copy_in *in, const char *top, struct dray_err *err)
{
    (void)unlinkat(parent, base, 0);
    if (e->type == '2')
        return symlinkat(e->link, parent, base) == 0 ? 0 : dray_fail_errno(err, "symlink %s", base);
    dray_autofree char *target = renamed(e->link, in, top);
    dray_autofd int fd =
        dotty(target) ? -1 : dray_fs_open_in_root(root, target, O_PATH | O_NOFOLLOW, 0);
    char self[40];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    if (fd < 0 || linkat(AT_FDCWD, self, parent, base, AT_SYMLINK_FOLLOW) != 0)
        return dray_fail_errno(err, "link %s", base);
    return 0;
}

static void set_times(int parent, const char *base, const struct tar_entry *e)
{
    struct timespec t[2] = {{.tv_sec = e->mtime}, {.tv_sec = e->mtime}};
    (void)utimensat(parent, base, t, AT_SYMLINK_NOFOLLOW);
}

static int make_dir(int parent, const char *base, const struct tar_entry *e, struct dray_err *err)
{
    struct stat sb;
    if (mkdirat(parent, base, 0700) != 0) {
        if (errno != EEXIST || fstatat(parent, base, &sb, AT_SYMLINK_NOFOLLOW) != 0)
            return dray_fail_errno(err, "mkdir %s", base);
        if (!S_ISDIR(sb.st_mode))
            return dray_fail(err, DRAY_E_CONFLICT,
                             "cannot overwrite non-directory \"%s\" with directory", base);
    }
    return fchmodat(parent, base, e->mode, 0) == 0 ? 0 : dray_fail_errno(err, "chmod %s", base);
}

static int make_file(struct tar_reader *r, int parent, const char *base, const struct tar_entry *e,
                     struct copy_in *in, struct dray_err *err)
{
    struct stat sb;
    if (fstatat(parent, base, &sb, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR(sb.st_mode))
            return dray_fail(err, DRAY_E_CONFLICT,
                             "cannot overwrite directory \"%s\" with non-directory", base);
        (void)unlinkat(parent, base, 0);
    }
    dray_autofd int fd =
        openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return dray_fail_errno(err, "open %s", base);
    int rc = write_file(r, fd, in, err);
    (void)fchmod(fd, e->mode);
    return rc;
}

/* The folder that holds the entry, resolved below root only, made if it is not there. */
static int open_parent(int root, const char *path, int *fd, struct dray_err *err)
{
    dray_autofree char *dir = strchr(path, '/') ? dir_of(path) : dray_strf(".");
    *fd = dray_fs_open_in_root(root, dir, O_PATH | O_DIRECTORY, 0);
    if (*fd >= 0)
        return 0;
    if (errno != ENOENT || strcmp(dir, ".") == 0)
        return dray_fail_errno(err, "open %s", dir);
    dray_autofd int above = -EBADF;
    dray_autofree char *base = base_of(dir);
    int rc = open_parent(root, dir, &above, err);
    if (rc != 0)
        return rc;
    if (mkdirat(above, base, 0755) != 0 && errno != EEXIST)
        return dray_fail_errno(err, "mkdir %s", dir);
    *fd = openat(above, base, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *fd >= 0 ? 0 : dray_fail_errno(err, "open %s", dir);
}

static int extract_one(struct tar_reader *r, int root, const struct tar_entry *e,
                       struct copy_in *in, const char *top, struct dray_err *err)
{
    dray_autofree char *path = renamed(e->name, in, top);
    size_t len = path ? strlen(path) : 0;
    while (len && path[len - 1] == '/')
        path[--len] = '\0';
    if (!len || strcmp(path, ".") == 0)
        return 0;
    if (dotty(path))
        return dray_fail(err, DRAY_E_DENIED, "\"%s\" is outside of the destination", e->name);
    dray_autofd int parent = -EBADF;
    dray_autofree char *base = base_of(path);
    int rc = open_parent(root, path, &parent, err);
    if (rc != 0)
        return rc;
    if (e->type == '5')
        rc = make_dir(parent, base, e, err);
    else if (e->type == '1' || e->type == '2')
        rc = make_link(root, parent, base, e, in, top, err);
    else if (e->type == '6')
        rc = mkfifoat(parent, base, e->mode) == 0 ? 0 : dray_fail_errno(err, "mkfifo %s", base);
    else if (e->type == '3' || e->type == '4')
        rc = mknodat(parent, base, e->mode | (e->type == '3' ? S_IFCHR : S_IFBLK),
                     makedev(e->major, e->minor)) == 0
                 ? 0
                 : dray_fail_errno(err, "mknod %s", base);
    else
        rc = make_file(r, parent, base, e, in, err);
    if (rc == 0 && in->keep_owner &&
        fchownat(parent, base, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) != 0)
        rc = dray_fail_errno(err, "chown %s", base);
    if (rc == 0 && e->type != '5' && e->type != '1')
        set_times(parent, base, e);
    return rc;
}

int copy_extract(struct copy_in *in, const char *to, struct dray_err *err)
{
    DRAY_AUTO(place) p = {0};
    int rc = find_place(in, to, &p, err);
    if (rc != 0)
        return rc;
    dray_autofd int root = open(p.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return dray_fail_errno(err, "open %s", p.dir);
    struct tar_reader r = {.read = in->read, .arg = in->arg};
    for (;;) {
        struct tar_entry e;
        rc = tar_next(&r, &e, err);
        if (rc <= 0)
            return rc;
        rc = extract_one(&r, root, &e, in, p.name, err);
        tar_entry_free(&e);
        if (rc != 0)
            return rc;
    }
}

struct packer {
    tar_write_fn write;
    void *arg;
    struct dray_err *err;
};

static int pack_data(struct packer *p, int fd, int64_t size)
{
    char buf[65536];
    for (int64_t left = size; left > 0;) {
        ssize_t n = read(fd, buf, left < (int64_t)sizeof buf ? (size_t)left : sizeof buf);
        if (n <= 0) { /* it shrank: what was promised is filled up */
            memset(buf, 0, sizeof buf);
            n = (ssize_t)(left < (int64_t)sizeof buf ? left : (int64_t)sizeof buf);
        }
        if (p->write(p->arg, buf, (size_t)n) != 0)
            return DRAY_E_IO;
        left -= n;
    }
    return tar_pad(p->write, p->arg, size) == 0 ? 0 : DRAY_E_IO;
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

static int pack_tree(struct packer *p, int dir, const char *base, const char *name, bool follow);

static int pack_dir(struct packer *p, int dir, const char *base, const char *name)
{
    int fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    int rc = d ? 0 : dray_fail(p->err, DRAY_E_NOTFOUND, "open %s: %s", name, strerror(errno));
    for (struct dirent *e = NULL; rc == 0 && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        dray_autofree char *child = dray_strf("%s/%s", name, e->d_name);
        rc = pack_tree(p, dirfd(d), e->d_name, child, false);
    }
    if (d)
        (void)closedir(d);
    return rc;
}

static int pack_tree(struct packer *p, int dir, const char *base, const char *name, bool follow)
{
    struct stat sb;
    char link[4096] = "";
    if (fstatat(dir, base, &sb, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0)
        return dray_fail(p->err, DRAY_E_NOTFOUND, "lstat %s: %s", base, strerror(errno));
    if (S_ISSOCK(sb.st_mode))
        return 0;
    if (S_ISLNK(sb.st_mode) && readlinkat(dir, base, link, sizeof link - 1) < 0)
        return dray_fail(p->err, DRAY_E_NOTFOUND, "readlink %s: %s", base, strerror(errno));
    dray_autofd int fd = -EBADF;
    if (S_ISREG(sb.st_mode)) {
        fd = openat(dir, base, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return dray_fail(p->err, DRAY_E_DENIED, "open %s: %s", name,
                             errno == EACCES ? "permission denied" : strerror(errno));
    }
    dray_autofree char *shown =
        S_ISDIR(sb.st_mode) ? dray_strf("%s/", name) : dray_strf("%s", name);
    struct tar_entry e = {.name = shown,
                          .link = link,
                          .type = type_of(sb.st_mode),
                          .mode = sb.st_mode & 07777,
                          .uid = sb.st_uid,
                          .gid = sb.st_gid,
                          .size = sb.st_size,
                          .mtime = sb.st_mtime,
                          .major = major(sb.st_rdev),
                          .minor = minor(sb.st_rdev)};
    if (tar_put(p->write, p->arg, &e) != 0)
        return DRAY_E_IO;
    if (fd >= 0)
        return pack_data(p, fd, sb.st_size);
    return S_ISDIR(sb.st_mode) ? pack_dir(p, dir, base, name) : 0;
}

int copy_pack(const char *from, const char *name, bool follow, tar_write_fn write, void *arg,
              struct dray_err *err)
{
    struct packer p = {.write = write, .arg = arg, .err = err};
    bool content = dray_str_suffix(from, "/.") || strcmp(from, ".") == 0;
    size_t len = strlen(from);
    dray_autofree char *real = len > 1 && from[len - 1] == '/' ? realpath(from, NULL) : NULL;
    dray_autofree char *own = base_of(real ? real : from);
    const char *top = name ? name : content || strcmp(own, "/") == 0 ? "." : own;
    dray_autofree char *above = strcmp(own, "..") == 0 ? realpath(from, NULL) : NULL;
    dray_autofree char *above_name = above ? base_of(above) : NULL;
    if (above_name && !name)
        top = above_name;
    int rc = pack_tree(&p, AT_FDCWD, from, top, follow || content || real);
    if (rc == 0 && tar_finish(write, arg) != 0)
        rc = DRAY_E_IO;
    return rc;
}
