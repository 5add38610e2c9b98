/* SPDX-License-Identifier: Apache-2.0 */
/* suite_storage.c - layers: filled by tars, mounted, changed, told as tars again, dropped. */
#include "check.h"

#include "base/fs.h"
#include "tar.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define BASE "dray-check-base"
#define CHILD "dray-check-child"
#define TOP "dray-check-top"
#define COPY "dray-check-copy"

static const struct dray_kvs none;

static int create(struct ck *c, const char *id, const char *parent, uint32_t flags)
{
    return CK(c, storage, create, id, id, parent, flags, none);
}

static int apply(struct ck *c, const char *id, const struct dray_buf *tar)
{
    uint64_t size = 0;
    dray_autofd int fd = memfd_create("layer", MFD_CLOEXEC);
    if (dray_fs_write_all(fd, tar->data, tar->len, NULL) || lseek(fd, 0, SEEK_SET) != 0)
        return c->rc = DRAY_E_IO;
    return CK(c, storage, apply, id, id, (struct dray_fd_borrow){fd}, none, &size);
}

/* --- what a container would see ----------------------------------------------------------------*/

static const struct {
    const char *name;
    unsigned long flag;
} flags[] = {
    {"bind", MS_BIND},         {"rbind", MS_BIND | MS_REC},
    {"ro", MS_RDONLY},         {"rw", 0},
    {"nosuid", MS_NOSUID},     {"nodev", MS_NODEV},
    {"noexec", MS_NOEXEC},     {"noatime", MS_NOATIME},
    {"relatime", MS_RELATIME},
};

static bool take_flag(const char *option, unsigned long *to)
{
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(flags[i].name, option) == 0) {
            *to |= flags[i].flag;
            return true;
        }
    return false;
}

static bool make_mount(struct ck *c, const struct dray_mount *m, const char *root)
{
    DRAY_AUTO(dray_buf) data = {0};
    unsigned long f = 0;
    for (uint64_t i = 0; i < m->options.n; i++)
        if (!take_flag(m->options.v[i], &f))
            dray_buf_addf(&data, "%s%s", data.len ? "," : "", m->options.v[i]);
    dray_autofree char *target = dray_strf("%s/%s", root, m->target);
    if (mount(m->source, target, m->type, f, data.data) != 0) {
        ck_fail(c, "mount %s of type %s with \"%s\": %s", m->source, m->type,
                data.data ? data.data : "", strerror(errno));
        return false;
    }
    /* A bind mount is made read-only afterwards. */
    return !(f & MS_BIND && f & MS_RDONLY) ||
           mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0;
}

/* Mounted at WORK/root, for all to see in `look`. */
static bool with_mounts(struct ck *c, const char *id, uint32_t how,
                        void (*look)(struct ck *c, int root))
{
    struct dray_mounts m = {0};
    dray_autofree char *root = dray_strf("%s/root", c->work);
    (void)mkdir(root, 0755);
    (void)CK(c, storage, mounts, id, id, how, &m);
    if (!ck_expect(c, 0, "mounts()"))
        return false;
    bool ok = m.n > 0;
    for (uint64_t i = 0; ok && i < m.n; i++)
        ok = make_mount(c, &m.v[i], root);
    if (ok) {
        dray_autofd int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        look(c, fd);
    }
    while (umount2(root, MNT_DETACH) == 0)
        ;
    (void)CK(c, storage, release, id, id);
    return ck_expect(c, 0, "release()") && ok;
}

static bool holds(int root, const char *path, const char *text)
{
    char got[64] = "";
    dray_autofd int fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? read(fd, got, sizeof got - 1) : -1;
    return n >= 0 && strcmp(got, text) == 0;
}

static bool absent(int root, const char *path)
{
    struct stat st;
    return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

static void look_at_own(struct ck *c, int root)
{
    (void)ck_true(c, holds(root, "d/changed", "by child") && holds(root, "o/new", "new"),
                  "a look at what a layer itself brings shows all of that");
}

static void look_at_child(struct ck *c, int root)
{
    struct stat st = {0};
    char link[32] = "";
    (void)ck_true(c, holds(root, "d/kept", "from base"), "a file of the parent shows");
    (void)ck_true(c, absent(root, "d/gone"), "a whiteout hides a file of the parent");
    (void)ck_true(c, holds(root, "d/changed", "by child"), "the child's file covers the parent's");
    (void)ck_true(c, absent(root, "o/old") && holds(root, "o/new", "new"),
                  "an opaque folder hides all that the parent had in it");
    (void)fstatat(root, "d/owned", &st, AT_SYMLINK_NOFOLLOW);
    (void)ck_true(c, st.st_uid == 1234 && st.st_gid == 2345 && (st.st_mode & 07777) == 04751,
                  "owner, group and mode are those of the tar");
    (void)ck_true(c, st.st_mtim.tv_sec == 1000000000, "and the time");
    (void)ck_true(
        c, readlinkat(root, "link", link, sizeof link - 1) > 0 && strcmp(link, "/d/kept") == 0,
        "a symbolic link is one");
    struct stat a = {0}, b = {0};
    (void)fstatat(root, "d/kept", &a, 0);
    (void)fstatat(root, "hard", &b, 0);
    (void)ck_true(c, a.st_ino == b.st_ino && a.st_nlink == 2, "a hard link is one");
}

static bool put(int root, const char *path, const char *text)
{
    dray_autofd int fd = openat(root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return fd >= 0 && dray_fs_write_all(fd, text, strlen(text), NULL) == 0;
}

static void change_top(struct ck *c, int root)
{
    bool ok = put(root, "d/changed", "by top") && put(root, "added", "added") &&
              unlinkat(root, "d/kept", 0) == 0 && mkdirat(root, "e", 0700) == 0 &&
              put(root, "e/f", "f") && fchownat(root, "e/f", 77, 88, 0) == 0;
    (void)ck_true(c, ok, "a writable layer can be written to");
}

static void look_at_top(struct ck *c, int root)
{
    struct stat st = {0};
    (void)fstatat(root, "e/f", &st, 0);
    (void)ck_true(c,
                  holds(root, "d/changed", "by top") && holds(root, "added", "added") &&
                      absent(root, "d/kept") && holds(root, "hard", "from base") &&
                      st.st_uid == 77 && st.st_gid == 88,
                  "the layer shows what was changed in it");
}

/* --- the layers --------------------------------------------------------------------------------*/

static bool fill(struct ck *c)
{
    DRAY_AUTO(dray_buf) tar = {0};
    ck_tar_folder(&tar, "d/");
    ck_tar_file(&tar, "d/kept", "from base");
    ck_tar_link(&tar, '1', "hard", "d/kept");
    ck_tar_file(&tar, "d/gone", "from base");
    ck_tar_file(&tar, "d/changed", "from base");
    ck_tar_folder(&tar, "o/");
    ck_tar_file(&tar, "o/old", "old");
    ck_tar_end(&tar);
    (void)apply(c, BASE, &tar);
    if (!ck_expect(c, 0, "apply() of a tar"))
        return false;
    (void)create(c, CHILD, BASE, 0);
    if (!ck_expect(c, 0, "create() on top of it"))
        return false;
    DRAY_AUTO(dray_buf) more = {0};
    ck_tar_file(&more, "d/.wh.gone", "");
    ck_tar_file(&more, "d/changed", "by child");
    ck_tar_owned(&more, "d/owned", 04751, 1234, 2345);
    ck_tar_folder(&more, "o/");
    ck_tar_file(&more, "o/.wh..wh..opq", "");
    ck_tar_file(&more, "o/new", "new");
    ck_tar_link(&more, '2', "link", "/d/kept");
    ck_tar_end(&more);
    (void)apply(c, CHILD, &more);
    return ck_expect(c, 0, "apply() with whiteouts, an opaque folder, owners, links");
}

static void check_tar_out(struct ck *c)
{
    DRAY_AUTO(dray_buf) tar = {0};
    DRAY_AUTO(dray_buf) again = {0};
    for (int i = 0; i < 2; i++) {
        dray_autofd int fd = memfd_create("diff", MFD_CLOEXEC);
        (void)CK(c, storage, diff, TOP, TOP, CHILD, (struct dray_fd_borrow){fd});
        (void)lseek(fd, 0, SEEK_SET);
        (void)dray_fs_read_fd(fd, 16u << 20, i ? &again : &tar, NULL);
    }
    if (!ck_expect(c, 0, "diff()"))
        return;
    (void)ck_true(c, tar.len == again.len && memcmp(tar.data, again.data, tar.len) == 0,
                  "it writes the same bytes each time");
    (void)ck_true(c,
                  ck_tar_names(&tar, "added") && ck_tar_names(&tar, "d/.wh.kept") &&
                      ck_tar_names(&tar, "e/f") && !ck_tar_names(&tar, "o/new"),
                  "it holds what was added and deleted, and no more");
    (void)create(c, COPY, CHILD, 0);
    (void)apply(c, COPY, &tar);
    if (ck_expect(c, 0, "apply() of what diff() wrote"))
        (void)with_mounts(c, COPY, DRAY_MOUNTS_RDONLY, look_at_top);
    (void)CK(c, storage, remove, COPY, COPY);
}

static void check_top(struct ck *c)
{
    uint64_t bytes = 0, inodes = 0;
    (void)create(c, TOP, CHILD, DRAY_LAYER_WRITABLE);
    if (!ck_expect(c, 0, "create() of a writable layer") || !with_mounts(c, TOP, 0, change_top))
        return;
    (void)with_mounts(c, TOP, 0, look_at_top);
    (void)CK(c, storage, changes, TOP, TOP);
    if (ck_expect(c, 0, "changes()"))
        (void)ck_true(c,
                      ck_emitted(c, "path=/added") && ck_emitted(c, "path=/d/kept") &&
                          ck_emitted(c, "path=/d/changed") && !ck_emitted(c, "path=/o/new"),
                      "it names what was added, deleted and modified");
    check_tar_out(c);
    (void)CK(c, storage, usage, TOP, TOP, &bytes, &inodes);
    if (ck_expect(c, 0, "usage()"))
        (void)ck_true(c, inodes > 0, "it counts the layer's files");
}

/* Nothing is written outside, whatever the tar says; whether it is refused is the driver's choice.
 */
static void check_escape(struct ck *c)
{
    dray_autofree char *outside = dray_strf("%s/outside", c->work);
    dray_autofree char *up = dray_strf("../../../../../../../../../../../..%s/up", outside);
    DRAY_AUTO(dray_buf) tar = {0};
    DRAY_AUTO(dray_buf) by_link = {0};
    struct stat st;
    (void)mkdir(outside, 0755);
    if (strlen(up) < 100) {
        ck_tar_file(&tar, up, "x");
        ck_tar_end(&tar);
        (void)create(c, COPY, "", 0);
        (void)apply(c, COPY, &tar);
        (void)CK(c, storage, remove, COPY, COPY);
    }
    ck_tar_link(&by_link, '2', "out", outside);
    ck_tar_file(&by_link, "out/link", "x");
    ck_tar_end(&by_link);
    (void)create(c, COPY, "", 0);
    (void)apply(c, COPY, &by_link);
    (void)CK(c, storage, remove, COPY, COPY);
    dray_autofree char *a = dray_strf("%s/up", outside);
    dray_autofree char *b = dray_strf("%s/link", outside);
    (void)ck_true(c, stat(a, &st) != 0 && stat(b, &st) != 0,
                  "a tar cannot write outside of its layer");
}

static void check_drop(struct ck *c)
{
    (void)CK(c, storage, remove, CHILD, CHILD);
    (void)ck_expect(c, DRAY_E_CONFLICT, "a layer with children is not removed");
    (void)CK(c, storage, remove, TOP, TOP);
    (void)ck_expect(c, 0, "remove()");
    (void)CK(c, storage, remove, TOP, TOP);
    (void)ck_expect(c, 0, "removing what is absent succeeds");
    (void)CK(c, storage, list, NULL);
    if (ck_expect(c, 0, "list()"))
        (void)ck_true(c,
                      ck_emitted(c, "id=" BASE) && ck_emitted(c, "parent=" BASE) &&
                          !ck_emitted(c, "id=" TOP),
                      "it names the layers that there are, with their parents");
    if (ck_has(c, "collect")) {
        const char *const alive[] = {BASE};
        (void)CK(c, storage, collect, NULL, (struct dray_strs){alive, 1});
        (void)ck_expect(c, 0, "collect()");
        (void)CK(c, storage, list, NULL);
        (void)ck_true(c, ck_emitted(c, "id=" BASE) && !ck_emitted(c, "id=" CHILD),
                      "what it was not told of is gone, the other is there");
    }
    (void)CK(c, storage, remove, CHILD, CHILD);
    (void)CK(c, storage, remove, BASE, BASE);
    (void)ck_expect(c, 0, "remove() of the last one");
}

void ck_storage(struct ck *c)
{
    if (!c->root) {
        ck_skip(c, "layers have owners and mounts: run this as root");
        return;
    }
    (void)create(c, BASE, "", 0);
    if (!ck_expect(c, 0, "create()"))
        return;
    (void)create(c, BASE, "", 0);
    (void)ck_expect(c, 0, "creating the same again succeeds");
    (void)create(c, BASE "-x", "dray-check-none", 0);
    (void)ck_true(c, c->rc != 0, "a parent that does not exist is refused");
    if (!fill(c))
        return;
    (void)create(c, CHILD, "", 0);
    (void)ck_expect(c, DRAY_E_CONFLICT, "creating it with another parent is refused");
    (void)with_mounts(c, CHILD, DRAY_MOUNTS_RDONLY, look_at_child);
    (void)with_mounts(c, CHILD, DRAY_MOUNTS_RDONLY | DRAY_MOUNTS_OWN, look_at_own);
    check_top(c);
    check_escape(c);
    check_drop(c);
}
