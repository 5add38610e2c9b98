/* SPDX-License-Identifier: Apache-2.0 */
/* copyup.c - fills a new tmpfs with what the folder below it holds. */
#include "files.h"
#include "init.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#define DEPTH_MAX 64

static int copy_folder(int from, int to, int depth, struct dray_err *err);

static int copy_file(int from, int to, const char *name, const struct stat *st,
                     struct dray_err *err)
{
    dray_autofd int in = rn_openat2(from, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0,
                                    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    dray_autofd int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (in < 0 || out < 0)
        return dray_fail_errno(err, "tmpcopyup %s", name);
    for (;;) {
        ssize_t n = sendfile(out, in, NULL, (size_t)1 << 24);
        if (n < 0)
            return dray_fail_errno(err, "tmpcopyup %s", name);
        if (n == 0)
            break;
    }
    if (fchown(out, st->st_uid, st->st_gid) != 0 || fchmod(out, st->st_mode & 07777) != 0)
        return dray_fail_errno(err, "tmpcopyup %s", name);
    return 0;
}

static int copy_link(int from, int to, const char *name, struct dray_err *err)
{
    char text[PATH_MAX];
    ssize_t n = readlinkat(from, name, text, sizeof text - 1);
    if (n < 0)
        return dray_fail_errno(err, "tmpcopyup %s", name);
    text[n] = '\0';
    return symlinkat(text, to, name) == 0 ? 0 : dray_fail_errno(err, "tmpcopyup %s", name);
}

static int copy_sub(int from, int to, const char *name, int depth, struct dray_err *err)
{
    if (depth == DEPTH_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "tmpcopyup: the folder is too deep");
    if (mkdirat(to, name, 0700) != 0)
        return dray_fail_errno(err, "tmpcopyup %s", name);
    dray_autofd int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    dray_autofd int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0 || out < 0)
        return dray_fail_errno(err, "tmpcopyup %s", name);
    return copy_folder(in, out, depth + 1, err);
}

static int copy_entry(int from, int to, const char *name, int depth, struct dray_err *err)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return dray_fail_errno(err, "tmpcopyup %s", name);
    if (S_ISREG(st.st_mode))
        return copy_file(from, to, name, &st, err);
    if (S_ISLNK(st.st_mode))
        return copy_link(from, to, name, err);
    return S_ISDIR(st.st_mode) ? copy_sub(from, to, name, depth, err) : 0;
}

/** As the kernel hands them out; readdir() would allocate. */
struct entry {
    uint64_t ino, off;
    uint16_t len;
    uint8_t type;
    char name[];
};

static int copy_folder(int from, int to, int depth, struct dray_err *err)
{
    _Alignas(struct entry) char buf[2048];
    struct stat st;
    for (;;) {
        long n = syscall(SYS_getdents64, from, buf, sizeof buf);
        if (n < 0)
            return dray_fail_errno(err, "tmpcopyup");
        if (n == 0)
            break;
        for (long at = 0; at < n;) {
            const struct entry *e = (const struct entry *)(const void *)(buf + at);
            at += e->len;
            if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
                continue;
            int rc = copy_entry(from, to, e->name, depth, err);
            if (rc != 0)
                return rc;
        }
    }
    if (fstat(from, &st) != 0 || fchown(to, st.st_uid, st.st_gid) != 0 ||
        fchmod(to, st.st_mode & 07777) != 0)
        return dray_fail_errno(err, "tmpcopyup");
    return 0;
}

int rn_copyup(int from, int to, struct dray_err *err)
{
    return copy_folder(from, to, 0, err);
}
