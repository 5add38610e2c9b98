/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_layer_tar.c - unpacks hostile and odd tars in both modes; whatever they say, nothing outside
 * of the layer changes.
 *
 * A case lists members and what must be there afterwards, one check a line:
 *   f PATH=TEXT  a file with that content      d PATH  a folder        - PATH  nothing there
 *   l PATH=TEXT  a symbolic link               w PATH  a whiteout      o PATH  an opaque folder
 *   m PATH=OCT   permissions                   s PATH=N  a size        = A=B   one inode
 *   u PATH=UID:GID                             x PATH=KEY  has the attribute   n PATH=KEY  has not
 *   t PATH=SEC   time                          c PATH=MAJ:MIN a character device, b a block one
 *   p PATH       a fifo
 * '@' in names, links and texts stands for the path of the canary folder.
 */
#include "check.h"
#include "layer_tar.h"
#include "tarball.h"
#include "tree_print.h"
#include "xattrs.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MEMBERS 12

struct tar_case {
    const char *name;
    struct member members[MEMBERS];
    void (*build)(struct tarball *t); /* instead of members */
    int overlay, plain;               /* expected results */
    const char *checks;               /* in both modes */
    const char *overlay_checks, *plain_checks;
    uint64_t max_bytes, max_entries;
};

static char top[] = "/tmp/dray-layer-tar-XXXXXX";
static char canary[64], root_path[64];

/* --- places -----------------------------------------------------------------------------------*/

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

static void make_dir(const char *dir, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    CU_ASSERT_FATAL(mkdir(path, 0755) == 0);
}

static void make_canary(void)
{
    (void)snprintf(canary, sizeof canary, "%s/canary", top);
    (void)snprintf(root_path, sizeof root_path, "%s/root", top);
    make_dir(top, "canary");
    write_file(canary, "secret", "untouched");
    make_dir(canary, "folder");
    write_file(canary, "folder/inner", "untouched too");
}

/* What a plain layer has from its parent. */
static void make_parent(void)
{
    write_file(root_path, "old", "old");
    make_dir(root_path, "dir");
    write_file(root_path, "dir/a", "a");
    write_file(root_path, "dir/b", "b");
    make_dir(root_path, "dir/sub");
    write_file(root_path, "dir/sub/deep", "deep");
}

static int open_root(void)
{
    make_dir(top, "root");
    int fd = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    return fd;
}

static void drop_root(void)
{
    int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dray_err err = {0};
    int rc = dray_pl_remove_tree(fd, "root", &err);
    if (rc < 0)
        (void)printf("\n    %s\n", err.text);
    CU_ASSERT(rc == 0);
    (void)close(fd);
}

/* --- checks -----------------------------------------------------------------------------------*/

static const char *expand(const char *text, char out[512])
{
    size_t used = 0;
    for (; text && *text && used + 80 < 512; text++)
        if (*text == '@')
            used += (size_t)snprintf(out + used, 512 - used, "%s", canary);
        else
            out[used++] = *text;
    out[used] = '\0';
    return text ? out : NULL;
}

static bool file_is(int root, const char *path, const char *text)
{
    char buf[4096];
    ssize_t n = dray_pl_read_small(root, path, buf, sizeof buf);
    return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

static bool link_is(int root, const char *path, const char *text)
{
    char buf[512] = "", want[512];
    return readlinkat(root, path, buf, sizeof buf - 1) > 0 && strcmp(buf, expand(text, want)) == 0;
}

static bool same_file(int root, const char *a, const char *b)
{
    struct stat x, y;
    return fstatat(root, a, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(root, b, &y, AT_SYMLINK_NOFOLLOW) == 0 && x.st_ino == y.st_ino;
}

static bool has_xattr(int root, const char *path, const char *key)
{
    char full[512], value[256];
    (void)snprintf(full, sizeof full, "/proc/self/fd/%d/%s", root, path);
    return lgetxattr(full, key, value, sizeof value) >= 0;
}

static bool check_stat(char kind, const struct stat *st, const char *arg)
{
    unsigned a = 0, b = 0;
    (void)sscanf(arg, "%u:%u", &a, &b);
    switch (kind) {
    case 'd':
        return S_ISDIR(st->st_mode);
    case 'w':
        return S_ISCHR(st->st_mode) && st->st_rdev == 0;
    case 'm':
        return (st->st_mode & 07777) == strtoul(arg, NULL, 8);
    case 's':
        return st->st_size == strtoll(arg, NULL, 10);
    case 'u':
        return st->st_uid == a && st->st_gid == b;
    case 't':
        return st->st_mtim.tv_sec == strtoll(arg, NULL, 10);
    case 'c':
        return S_ISCHR(st->st_mode) && st->st_rdev == makedev(a, b);
    case 'b':
        return S_ISBLK(st->st_mode) && st->st_rdev == makedev(a, b);
    case 'p':
        return S_ISFIFO(st->st_mode);
    default:
        return false;
    }
}

static bool check_one(int root, char kind, const char *path, const char *arg)
{
    struct stat st;
    bool there = fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    switch (kind) {
    case '-':
        return !there;
    case 'f':
        return there && S_ISREG(st.st_mode) && file_is(root, path, arg);
    case 'l':
        return there && link_is(root, path, arg);
    case '=':
        return same_file(root, path, arg);
    case 'o':
        return there && dray_pl_is_opaque(root, path);
    case 'x':
        return has_xattr(root, path, arg);
    case 'n':
        return there && !has_xattr(root, path, arg);
    default:
        return there && check_stat(kind, &st, arg);
    }
}

static bool check_lines(const char *name, int root, const char *lines)
{
    bool good = true;
    dray_autofree char *copy = strdup(lines ? lines : "");
    for (char *rest = copy, *line; (line = strsep(&rest, "\n"));) {
        if (strlen(line) < 3)
            continue;
        char *arg = strchr(line + 2, '=');
        if (arg)
            *arg++ = '\0';
        if (check_one(root, line[0], line + 2, arg ? arg : ""))
            continue;
        (void)printf("\n    %s: failed check: %s %s\n", name, line, arg ? arg : "");
        good = false;
    }
    return good;
}

/* --- running ----------------------------------------------------------------------------------*/

struct feed {
    int fd;
    const struct tarball *t;
};

static void *feed(void *arg)
{
    const struct feed *f = arg;
    (void)dray_pl_write_all(f->fd, f->t->data, f->t->len);
    (void)close(f->fd);
    return NULL;
}

/* Unpack from a pipe, as the daemon does. */
static int unpack(const struct tarball *t, struct dray_layer_apply *job, struct dray_err *err)
{
    int ends[2];
    pthread_t thread;
    CU_ASSERT_FATAL(pipe2(ends, O_CLOEXEC) == 0);
    struct feed f = {ends[1], t};
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, feed, &f) == 0);
    int rc = dray_layer_apply(ends[0], job, err);
    (void)close(ends[0]);
    (void)pthread_join(thread, NULL);
    return rc;
}

static void build_members(struct tarball *t, const struct tar_case *c)
{
    for (size_t i = 0; i < MEMBERS && c->members[i].name; i++) {
        struct member m = c->members[i];
        char name[512], link[512];
        m.name = expand(m.name, name);
        m.link = expand(m.link, link);
        tar_member(t, &m);
    }
    tar_end(t);
}

static void run_case(const struct tar_case *c, enum dray_layer_mode mode)
{
    bool plain = mode == DRAY_LAYER_PLAIN;
    int root = open_root();
    if (plain)
        make_parent();
    struct tarball t = {0};
    if (c->build)
        c->build(&t);
    else
        build_members(&t, c);
    dray_autofree char *before = print_tree(canary);
    struct dray_layer_apply job = {.root = root,
                                   .mode = mode,
                                   .max_bytes = c->max_bytes,
                                   .max_entries = c->max_entries,
                                   .cancel_fd = -1};
    struct dray_err err = {0};
    int rc = unpack(&t, &job, &err);
    dray_autofree char *after = print_tree(canary);
    int want = plain ? c->plain : c->overlay;
    if (rc != want)
        (void)printf("\n    %s (%s): result %d instead of %d: %s\n", c->name,
                     plain ? "plain" : "overlay", rc, want, err.text);
    CU_ASSERT(rc == want);
    CU_ASSERT(rc == 0 || err.text[0] != '\0');
    if (strcmp(before, after) != 0)
        (void)printf("\n    %s: outside changed:\n%s---\n%s\n", c->name, before, after);
    CU_ASSERT(strcmp(before, after) == 0);
    CU_ASSERT(check_lines(c->name, root, c->checks));
    CU_ASSERT(check_lines(c->name, root, plain ? c->plain_checks : c->overlay_checks));
    free(t.data);
    (void)close(root);
    drop_root();
}

/* --- streams that are not lists of members ----------------------------------------------------*/

static void build_nothing(struct tarball *t)
{
    (void)t;
}

static void build_zeros(struct tarball *t)
{
    tar_end(t);
}

static void build_garbage(struct tarball *t)
{
    for (unsigned i = 0; i < 3000; i++) {
        uint8_t byte = (uint8_t)(i * 7919 >> 3);
        tar_bytes(t, &byte, 1);
    }
}

static void build_text(struct tarball *t)
{
    tar_bytes(t, "<html>404</html>\n", 17);
}

static void build_bad_sum(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .data = "x"};
    tar_member(t, &m);
    tar_member(t, &m);
    t->data[1024 + 150] ^= 7;
    tar_end(t);
}

static void build_cut_header(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .data = "text"};
    tar_member(t, &m);
    tar_member(t, &m);
    t->len = 1024 + 100;
}

static void build_cut_data(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .size = 5000};
    tar_member(t, &m);
    t->len = 512 + 1000;
}

static void build_no_end(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .data = "text"};
    tar_member(t, &m);
}

static void build_tail(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .data = "text"};
    tar_member(t, &m);
    tar_end(t);
    tar_bytes(t, NULL, 300000);
}

static void build_negative(struct tarball *t)
{
    const struct member m = {
        .type = '0', .name = "f", .raw_size = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"};
    tar_member(t, &m);
    tar_end(t);
}

static void build_huge(struct tarball *t)
{
    const struct member m = {
        .type = '0', .name = "f", .raw_size = "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\0"};
    tar_member(t, &m);
    tar_end(t);
}

static void build_octal_huge(struct tarball *t)
{
    const struct member m = {.type = '0', .name = "f", .raw_size = "77777777777"};
    struct member again = m;
    for (unsigned i = 0; i < 1; i++)
        tar_member(t, &again);
    tar_end(t);
}

static void long_path(char *out, size_t len, size_t part)
{
    for (size_t i = 0; i < len; i++)
        out[i] = i % part == part - 1 ? '/' : 'p';
    out[len] = '\0';
}

static void build_deep(struct tarball *t)
{
    char name[4001];
    long_path(name, 4000, 2);
    name[3999] = 'f';
    const struct member m = {.type = '0', .name = name, .data = "deep"};
    tar_member(t, &m);
    tar_end(t);
}

static void build_too_long(struct tarball *t)
{
    char name[6001];
    long_path(name, 6000, 100);
    const struct member m = {.type = '5', .name = name};
    tar_member(t, &m);
    tar_end(t);
}

static void build_long_part(struct tarball *t)
{
    char name[301];
    memset(name, 'n', 300);
    name[300] = '\0';
    const struct member m = {.type = '0', .name = name, .data = ""};
    tar_member(t, &m);
    tar_end(t);
}

static void build_long_link(struct tarball *t)
{
    char target[5001];
    memset(target, 'n', 5000);
    target[5000] = '\0';
    const struct member m = {.type = '2', .name = "l", .link = target};
    tar_member(t, &m);
    tar_end(t);
}

/* GNU sparse 1.0: the map in the data, and a name of its own. */
static void build_sparse(struct tarball *t)
{
    const struct member m = {.type = '0',
                             .name = "GNUSparseFile.0/s",
                             .pax = "GNU.sparse.major=1\nGNU.sparse.minor=0\n"
                                    "GNU.sparse.name=s\nGNU.sparse.realsize=1000000\n",
                             .size = 512 + 4};
    tar_member(t, &m);
    uint8_t *data = t->data + t->len - 1024;
    memset(data, 0, 512);
    memcpy(data, "1\n500000\n4\n", 11);
    memcpy(data + 512, "mid!", 4);
    tar_end(t);
}

static void build_sparse_huge(struct tarball *t)
{
    const struct member m = {.type = '0',
                             .name = "GNUSparseFile.0/s",
                             .pax = "GNU.sparse.major=1\nGNU.sparse.minor=0\n"
                                    "GNU.sparse.name=../../escape\n"
                                    "GNU.sparse.realsize=9223372036854775807\n",
                             .size = 512};
    tar_member(t, &m);
    uint8_t *data = t->data + t->len - 512;
    memset(data, 0, 512);
    memcpy(data, "1\n9223372036854775800\n0\n", 24);
    tar_end(t);
}

static void build_many_dots(struct tarball *t)
{
    char name[3100] = "";
    for (unsigned i = 0; i < 1000; i++)
        memcpy(name + i * 3, "../", 4);
    memcpy(name + 3000, "etc/x", 6);
    const struct member m = {.type = '0', .name = name, .data = "x"};
    tar_member(t, &m);
    tar_end(t);
}

static void build_nfd(struct tarball *t)
{
    /* e + combining acute, Latin-1, and bytes that are no text at all: kept as they are */
    const struct member a = {.type = '0', .name = "x", .pax = "path=cafe\xcc\x81\n", .data = "1"};
    const struct member b = {.type = '0', .name = "caf\xe9", .data = "2"};
    const struct member c = {.type = '0', .name = "x", .pax = "path=caf\xc3\xa9\n", .data = "3"};
    tar_member(t, &a);
    tar_member(t, &b);
    tar_member(t, &c);
    tar_end(t);
}

static void build_v7(struct tarball *t)
{
    struct member m = {.type = '\0', .name = "plain", .data = "v7"};
    size_t at = t->len;
    tar_member(t, &m);
    memset(t->data + at + 257, 0, 8);
    tar_sum((char *)t->data + at);
    tar_end(t);
}

/* A valid capability, cap_net_raw+ep; \x7f stands for a zero byte. */
#define CAP                                                                                        \
    "SCHILY.xattr.security.capability="                                                            \
    "\x01\x7f\x7f\x02\x7f\x20\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f"                             \
    "\x7f\x7f\x7f\x7f\n"

static const struct tar_case cases[] = {
    /* --- what honest layers have --- */
    {.name = "a file",
     .members = {{.type = '0', .name = "a", .data = "text"}},
     .checks = "f a=text\nm a=644\nt a=1000000000\nu a=0:0"},
    {.name = "a file in missing folders",
     .members = {{.type = '0', .name = "x/y/z", .data = "text"}},
     .checks = "f x/y/z=text\nd x\nm x=755\nm x/y=755"},
    {.name = "owner and mode",
     .members = {{.type = '0', .name = "a", .data = "t", .mode = 0751, .uid = 1234, .gid = 77}},
     .checks = "m a=751\nu a=1234:77"},
    {.name = "setuid survives chown and content",
     .members = {{.type = '0', .name = "su", .data = "x", .mode = 06755, .uid = 5, .gid = 6}},
     .checks = "m su=6755\nu su=5:6"},
    {.name = "time of a folder that is filled later",
     .members = {{.type = '5', .name = "d/", .mtime = 1111},
                 {.type = '0', .name = "d/f", .data = "x"}},
     .checks = "t d=1111\nf d/f=x"},
    {.name = "a sticky folder",
     .members = {{.type = '5', .name = "tmp", .mode = 01777}},
     .checks = "m tmp=1777"},
    {.name = "a setgid folder hands nothing down",
     .members = {{.type = '5', .name = "d", .mode = 02775, .gid = 50},
                 {.type = '0', .name = "d/f", .data = "x"},
                 {.type = '5', .name = "d/s"},
                 {.type = '2', .name = "d/l", .link = "f"}},
     .checks = "m d=2775\nu d=0:50\nu d/f=0:0\nu d/s=0:0\nm d/s=755\nu d/l=0:0"},
    {.name = "symbolic links of all kinds",
     .members = {{.type = '2', .name = "rel", .link = "a/b"},
                 {.type = '2', .name = "abs", .link = "/etc/x"},
                 {.type = '2', .name = "up", .link = "../../../x", .uid = 9, .gid = 9}},
     .checks = "l rel=a/b\nl abs=/etc/x\nl up=../../../x\nu up=9:9\nt up=1000000000"},
    {.name = "a hard link",
     .members = {{.type = '0', .name = "a", .data = "t"},
                 {.type = '1', .name = "d/b", .link = "a"}},
     .checks = "= a=d/b\nf d/b=t"},
    {.name = "a hard link with ./ and /",
     .members = {{.type = '0', .name = "./a", .data = "t"},
                 {.type = '1', .name = "/b", .link = "/a"},
                 {.type = '1', .name = "c", .link = "./a"}},
     .checks = "= a=b\n= a=c"},
    {.name = "a hard link to a symbolic link",
     .members = {{.type = '2', .name = "l", .link = "@/secret"},
                 {.type = '1', .name = "h", .link = "l"}},
     .checks = "l h=@/secret\n= l=h"},
    {.name = "devices and a fifo",
     .members = {{.type = '3', .name = "null", .major = 1, .minor = 3, .mode = 0666},
                 {.type = '4', .name = "disk", .major = 8, .minor = 1},
                 {.type = '6', .name = "pipe"}},
     .checks = "c null=1:3\nm null=666\nb disk=8:1\np pipe"},
    {.name = "a device in a folder of links",
     .members = {{.type = '5', .name = "dev"},
                 {.type = '3', .name = "dev/x", .major = 511, .minor = 1048575}},
     .checks = "c dev/x=511:1048575"},
    {.name = "a capability",
     .members = {{.type = '0', .name = "ping", .data = "elf", .pax = CAP}},
     .checks = "x ping=security.capability\nf ping=elf"},
    {.name = "user attributes",
     .members = {{.type = '0', .name = "f", .data = "", .pax = "SCHILY.xattr.user.note=hi\n"},
                 {.type = '5', .name = "d", .pax = "SCHILY.xattr.user.note=hi\n"}},
     .checks = "x f=user.note\nx d=user.note"},
    {.name = "a user attribute on a link is let go",
     .members = {{.type = '2', .name = "l", .link = "x", .pax = "SCHILY.xattr.user.note=hi\n"}},
     .checks = "l l=x"},
    {.name = "marks of overlayfs cannot be forged",
     .members =
         {{.type = '5', .name = "d", .pax = "SCHILY.xattr.trusted.overlay.opaque=y\n"},
          {.type = '0',
           .name = "f",
           .data = "x",
           .pax = "SCHILY.xattr.trusted.overlay.redirect=/etc\n"
                  "SCHILY.xattr.trusted.overlay.metacopy=\nSCHILY.xattr.user.overlay.opaque=y\n"}},
     .checks = "n d=trusted.overlay.opaque\nn f=trusted.overlay.redirect\n"
               "n f=trusted.overlay.metacopy\nn f=user.overlay.opaque"},
    {.name = "labels of the host are not ours to set",
     .members = {{.type = '0',
                  .name = "f",
                  .data = "x",
                  .pax = "SCHILY.xattr.security.selinux=system_u:object_r:etc_t:s0\n"
                         "SCHILY.xattr.security.apparmor=unconfined\n"}},
     .checks = "n f=security.selinux"},
    {.name = "an attribute without a name or namespace",
     .members = {{.type = '0',
                  .name = "f",
                  .data = "x",
                  .pax = "SCHILY.xattr.=x\nSCHILY.xattr.nonsense=x\nSCHILY.xattr.system.evil=x\n"}},
     .checks = "f f=x"},
    {.name = "pax sizes, owners and times",
     .members = {{.type = '0',
                  .name = "f",
                  .data = "text",
                  .pax = "uid=3000000\ngid=4000000\nmtime=1234567890.123456789\n"}},
     .checks = "u f=3000000:4000000\nt f=1234567890\nf f=text"},
    {.name = "pax path and linkpath",
     .members = {{.type = '0', .name = "short", .data = "x", .pax = "path=long/name\n"},
                 {.type = '2', .name = "l", .link = "no", .pax = "linkpath=yes\n"}},
     .checks = "f long/name=x\n- short\nl l=yes"},
    {.name = "names that are no ASCII",
     .build = build_nfd,
     .checks = "f cafe\xcc\x81=1\nf caf\xe9=2\nf caf\xc3\xa9=3"},
    {.name = "the old format", .build = build_v7, .checks = "f plain=v7"},
    {.name = "the root itself",
     .members = {{.type = '5', .name = "./", .mode = 0711, .uid = 3, .mtime = 777},
                 {.type = '0', .name = "./f", .data = "x"}},
     .checks = "m .=711\nu .=3:0\nt .=777\nf f=x"},
    {.name = "a sparse file", .build = build_sparse, .checks = "s s=1000000\n- GNUSparseFile.0"},
    {.name = "an empty layer", .build = build_zeros},
    {.name = "no bytes at all", .build = build_nothing},
    {.name = "no end mark", .build = build_no_end, .checks = "f f=text"},
    {.name = "junk after the end mark is read and ignored",
     .build = build_tail,
     .checks = "f f=text"},
    {.name = "many dots inside",
     .members = {{.type = '0', .name = "a/./b/../c//d", .data = "x"}},
     .checks = "f a/c/d=x\n- a/b"},
    {.name = "names that look like others",
     .members = {{.type = '0', .name = "...", .data = "1"},
                 {.type = '0', .name = "..a/b", .data = "2"},
                 {.type = '0', .name = " ", .data = "3"},
                 {.type = '0', .name = "-rf", .data = "4"},
                 {.type = '0', .name = "a\\..\\b", .data = "5"},
                 {.type = '0', .name = "a\nb", .data = "6"}},
     .checks = "f ...=1\nf ..a/b=2\nf  =3\nf -rf=4\nf a\\..\\b=5"},
    {.name = "a path of 4000 bytes", .build = build_deep},

    /* --- duplicates and replacements --- */
    {.name = "the last of two wins",
     .members = {{.type = '0', .name = "a", .data = "longer text"},
                 {.type = '0', .name = "a", .data = "2nd", .mode = 0600}},
     .checks = "f a=2nd\nm a=600"},
    {.name = "a file over a link to outside",
     .members = {{.type = '2', .name = "a", .link = "@/secret"},
                 {.type = '0', .name = "a", .data = "mine"}},
     .checks = "f a=mine"},
    {.name = "a file over a filled folder",
     .members = {{.type = '5', .name = "a"},
                 {.type = '0', .name = "a/b/c", .data = "x"},
                 {.type = '0', .name = "a", .data = "now a file"}},
     .checks = "f a=now a file"},
    {.name = "a folder over a link to a folder outside",
     .members = {{.type = '2', .name = "a", .link = "@/folder"},
                 {.type = '5', .name = "a", .mode = 0700},
                 {.type = '0', .name = "a/inner", .data = "mine"}},
     .checks = "d a\nf a/inner=mine\nm a=700"},
    {.name = "a folder twice keeps its content",
     .members = {{.type = '5', .name = "a"},
                 {.type = '0', .name = "a/b", .data = "x"},
                 {.type = '5', .name = "a", .mode = 0700}},
     .checks = "f a/b=x\nm a=700"},
    {.name = "a folder becomes a link while it is in use",
     .members = {{.type = '5', .name = "a"},
                 {.type = '0', .name = "a/1", .data = "x"},
                 {.type = '2', .name = "a", .link = "@/folder"},
                 {.type = '0', .name = "a/inner", .data = "evil"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL,
     .checks = "l a=@/folder"},
    {.name = "a fifo and a device over files",
     .members = {{.type = '0', .name = "a", .data = "x"},
                 {.type = '6', .name = "a"},
                 {.type = '0', .name = "b", .data = "x"},
                 {.type = '3', .name = "b", .major = 1, .minor = 5}},
     .checks = "p a\nc b=1:5"},
    {.name = "a hard link over itself",
     .members = {{.type = '0', .name = "a", .data = "x"},
                 {.type = '1', .name = "a", .link = "a"},
                 {.type = '1', .name = "b", .link = "a"},
                 {.type = '1', .name = "b", .link = "a"}},
     .checks = "f a=x\n= a=b"},
    {.name = "writing through a hard link made of a link",
     .members = {{.type = '2', .name = "l", .link = "@/secret"},
                 {.type = '1', .name = "h", .link = "l"},
                 {.type = '0', .name = "h", .data = "evil"}},
     .checks = "f h=evil\nl l=@/secret"},

    /* --- escapes by name --- */
    {.name = "..",
     .members = {{.type = '0', .name = "../escape", .data = "evil"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "../canary",
     .members = {{.type = '0', .name = "../canary/secret", .data = "evil"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a/../..",
     .members = {{.type = '5', .name = "a"},
                 {.type = '0', .name = "a/../../canary/secret", .data = "evil"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a thousand ..",
     .build = build_many_dots,
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "just ..",
     .members = {{.type = '5', .name = "..", .mode = 0777}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "an absolute name stays inside",
     .members = {{.type = '0', .name = "@/secret", .data = "inside"},
                 {.type = '0', .name = "/../../x", .data = "in"}},
     .checks = "f x=in"},
    {.name = "a pax path that climbs",
     .members = {{.type = '0', .name = "fine", .data = "evil", .pax = "path=../canary/secret\n"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "an empty name",
     .members = {{.type = '0', .name = "", .data = "x"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "the root as a file",
     .members = {{.type = '0', .name = ".", .data = "x"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "the root as a link",
     .members = {{.type = '2', .name = ".", .link = "@"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a path longer than PATH_MAX",
     .build = build_too_long,
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a name longer than NAME_MAX",
     .build = build_long_part,
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a link longer than PATH_MAX",
     .build = build_long_link,
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},

    /* --- escapes by symbolic link --- */
    {.name = "through an absolute link",
     .members = {{.type = '2', .name = "l", .link = "@"},
                 {.type = '0', .name = "l/secret", .data = "evil"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "through an absolute link that leads somewhere inside",
     .members = {{.type = '2', .name = "l", .link = "/real"},
                 {.type = '5', .name = "real"},
                 {.type = '0', .name = "l/f", .data = "x"}},
     .checks = "f real/f=x\nl l=/real"},
    {.name = "through a relative link",
     .members = {{.type = '2', .name = "l", .link = "../canary"},
                 {.type = '0', .name = "l/secret", .data = "evil"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "through many .. clamped at the root",
     .members = {{.type = '2', .name = "l", .link = "../../../../../../.."},
                 {.type = '0', .name = "l/f", .data = "x"}},
     .checks = "f f=x"},
    {.name = "through two links",
     .members = {{.type = '5', .name = "d"},
                 {.type = '2', .name = "d/up", .link = ".."},
                 {.type = '2', .name = "out", .link = "d/up/../../canary"},
                 {.type = '0', .name = "out/secret", .data = "evil"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "through a chain of links",
     .members = {{.type = '2', .name = "a", .link = "b"},
                 {.type = '2', .name = "b", .link = "c"},
                 {.type = '2', .name = "c", .link = "@"},
                 {.type = '0', .name = "a/folder/inner", .data = "evil"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a link to itself",
     .members = {{.type = '2', .name = "l", .link = "l"},
                 {.type = '0', .name = "l/f", .data = "x"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "folders through a link",
     .members = {{.type = '2', .name = "l", .link = "@"},
                 {.type = '5', .name = "l/folder", .mode = 0777},
                 {.type = '5', .name = "l/new"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "the time of a folder behind a link",
     .members = {{.type = '5', .name = "d", .mtime = 5},
                 {.type = '0', .name = "d", .data = ""},
                 {.type = '2', .name = "d", .link = "@/folder"}},
     .checks = "l d=@/folder"},
    {.name = "a device through a link",
     .members = {{.type = '2', .name = "l", .link = "@"},
                 {.type = '3', .name = "l/dev", .major = 1, .minor = 3}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "through /proc/self",
     .members = {{.type = '2', .name = "l", .link = "/proc/self/root@"},
                 {.type = '0', .name = "l/secret", .data = "evil"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a link without a target",
     .members = {{.type = '2', .name = "l", .link = ""}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a link with attributes does not reach its target",
     .members = {{.type = '2',
                  .name = "l",
                  .link = "@/secret",
                  .mode = 0777,
                  .uid = 7,
                  .gid = 7,
                  .mtime = 9,
                  .pax = CAP}},
     .checks = "u l=7:7\nt l=9"},

    /* --- escapes by hard link --- */
    {.name = "a hard link to outside",
     .members = {{.type = '1', .name = "h", .link = "../canary/secret"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL,
     .checks = "- h"},
    {.name = "an absolute hard link",
     .members = {{.type = '1', .name = "h", .link = "@/secret"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL,
     .checks = "- h"},
    {.name = "a hard link through a link",
     .members = {{.type = '2', .name = "l", .link = "@"},
                 {.type = '1', .name = "h", .link = "l/secret"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL,
     .checks = "- h"},
    {.name = "a hard link to a link, then content",
     .members = {{.type = '2', .name = "l", .link = "@/secret"},
                 {.type = '1', .name = "h", .link = "l"},
                 {.type = '0', .name = "l", .data = "evil"}},
     .checks = "f l=evil\nl h=@/secret"},
    {.name = "a hard link to a folder",
     .members = {{.type = '5', .name = "d"}, {.type = '1', .name = "h", .link = "d"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a hard link to nothing",
     .members = {{.type = '1', .name = "h", .link = "none"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a hard link to the root",
     .members = {{.type = '1', .name = "h", .link = "/"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a hard link that is the root",
     .members = {{.type = '0', .name = "a", .data = "x"}, {.type = '1', .name = "./", .link = "a"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a file below a file",
     .members = {{.type = '0', .name = "a", .data = "x"},
                 {.type = '0', .name = "a/b", .data = "y"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL,
     .checks = "f a=x"},

    /* --- whiteouts --- */
    {.name = "a whiteout",
     .members = {{.type = '0', .name = ".wh.old", .data = ""}},
     .checks = "- .wh.old",
     .overlay_checks = "w old",
     .plain_checks = "- old\nf dir/a=a"},
    {.name = "a whiteout of a folder",
     .members = {{.type = '0', .name = ".wh.dir", .data = ""}},
     .overlay_checks = "w dir",
     .plain_checks = "- dir\nf old=old"},
    {.name = "a whiteout in a folder",
     .members = {{.type = '0', .name = "dir/.wh.a", .data = ""}},
     .overlay_checks = "w dir/a",
     .plain_checks = "- dir/a\nf dir/b=b"},
    {.name = "a whiteout of nothing",
     .members = {{.type = '0', .name = "no/such/.wh.x", .data = ""}},
     .overlay_checks = "w no/such/x",
     .plain_checks = "- no"},
    {.name = "an opaque folder",
     .members = {{.type = '5', .name = "dir"},
                 {.type = '0', .name = "dir/.wh..wh..opq", .data = ""},
                 {.type = '0', .name = "dir/new", .data = "n"}},
     .checks = "f dir/new=n\n- dir/a\n- dir/sub",
     .overlay_checks = "o dir"},
    {.name = "an opaque mark that comes last",
     .members = {{.type = '5', .name = "dir"},
                 {.type = '0', .name = "dir/new", .data = "n"},
                 {.type = '0', .name = "dir/sub/mine", .data = "m"},
                 {.type = '0', .name = "dir/.wh..wh..opq", .data = ""}},
     .checks = "f dir/new=n\nf dir/sub/mine=m\n- dir/a\n- dir/sub/deep",
     .overlay_checks = "o dir"},
    {.name = "an opaque root",
     .members = {{.type = '0', .name = ".wh..wh..opq", .data = ""},
                 {.type = '0', .name = "new", .data = "n"}},
     .checks = "f new=n\n- old\n- dir"},
    {.name = "a whiteout does not hit its own layer",
     .members = {{.type = '0', .name = "old", .data = "mine"},
                 {.type = '0', .name = ".wh.old", .data = ""}},
     .checks = "f old=mine"},
    {.name = "a whiteout of a folder of its own layer",
     .members = {{.type = '5', .name = "dir"},
                 {.type = '0', .name = "dir/new", .data = "n"},
                 {.type = '0', .name = ".wh.dir", .data = ""}},
     .checks = "f dir/new=n\n- dir/a",
     .overlay_checks = "o dir"},
    {.name = "a folder over a whiteout",
     .members = {{.type = '0', .name = ".wh.dir", .data = ""},
                 {.type = '5', .name = "dir"},
                 {.type = '0', .name = "dir/new", .data = "n"}},
     .checks = "f dir/new=n\n- dir/a",
     .overlay_checks = "o dir"},
    {.name = "a file below a whiteout",
     .members = {{.type = '0', .name = ".wh.dir", .data = ""},
                 {.type = '0', .name = "dir/new", .data = "n"}},
     .checks = "f dir/new=n\n- dir/a",
     .overlay_checks = "o dir"},
    {.name = "a file over a whiteout",
     .members = {{.type = '0', .name = ".wh.old", .data = ""},
                 {.type = '0', .name = "old", .data = "new"}},
     .checks = "f old=new"},
    {.name = "a whiteout through a link",
     .members = {{.type = '2', .name = "l", .link = "@"},
                 {.type = '0', .name = "l/.wh.secret", .data = ""}},
     .overlay = DRAY_E_INVAL,
     .plain = 0},
    {.name = "an opaque mark through a link",
     .members = {{.type = '2', .name = "l", .link = "@"},
                 {.type = '0', .name = "l/.wh..wh..opq", .data = ""}},
     .overlay = DRAY_E_INVAL,
     .plain = 0},
    {.name = "a whiteout of a link outwards",
     .members = {{.type = '2', .name = "l", .link = "@/folder"},
                 {.type = '0', .name = ".wh.l", .data = ""}},
     .checks = "l l=@/folder"},
    {.name = "a whiteout of the parent",
     .members = {{.type = '0', .name = "dir/.wh...", .data = ""}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL,
     .plain_checks = "f old=old"},
    {.name = "a whiteout of the folder itself",
     .members = {{.type = '0', .name = "dir/.wh..", .data = ""}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL,
     .plain_checks = "f dir/a=a"},
    {.name = "a whiteout without a name",
     .members = {{.type = '0', .name = "dir/.wh.", .data = ""}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL,
     .plain_checks = "f dir/a=a"},
    {.name = "a whiteout outside",
     .members = {{.type = '0', .name = "../canary/.wh.secret", .data = ""}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "a whiteout with content and as a link",
     .members = {{.type = '0', .name = ".wh.old", .data = "ignored"},
                 {.type = '2', .name = ".wh.dir", .link = "@"}},
     .overlay_checks = "w old\nw dir",
     .plain_checks = "- old\n- dir"},
    {.name = "a file below a whiteout's name",
     .members = {{.type = '0', .name = ".wh.d/f", .data = "x"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "leftovers of aufs are skipped",
     .members = {{.type = '5', .name = ".wh..wh.plnk"},
                 {.type = '0', .name = ".wh..wh.plnk/1.2", .data = "x"},
                 {.type = '0', .name = ".wh..wh.aufs", .data = ""},
                 {.type = '0', .name = "f", .data = "x"}},
     .checks = "f f=x\n- .wh..wh.plnk\n- .wh..wh.aufs"},
    {.name = "a hard link to a whiteout's name",
     .members = {{.type = '0', .name = ".wh.gone", .data = ""},
                 {.type = '1', .name = "h", .link = ".wh.gone"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},

    /* --- broken and greedy --- */
    {.name = "not a tar",
     .build = build_garbage,
     .overlay = DRAY_E_CORRUPT,
     .plain = DRAY_E_CORRUPT},
    {.name = "a page of HTML",
     .build = build_text,
     .overlay = DRAY_E_CORRUPT,
     .plain = DRAY_E_CORRUPT},
    {.name = "a wrong checksum",
     .build = build_bad_sum,
     .overlay = DRAY_E_CORRUPT,
     .plain = DRAY_E_CORRUPT},
    {.name = "cut in a header",
     .build = build_cut_header,
     .overlay = DRAY_E_CORRUPT,
     .plain = DRAY_E_CORRUPT},
    {.name = "cut in content",
     .build = build_cut_data,
     .overlay = DRAY_E_CORRUPT,
     .plain = DRAY_E_CORRUPT},
    {.name = "a negative size",
     .build = build_negative,
     .overlay = DRAY_E_CORRUPT,
     .plain = DRAY_E_CORRUPT},
    {.name = "a size of exabytes",
     .build = build_huge,
     .overlay = DRAY_E_NOSPACE,
     .plain = DRAY_E_NOSPACE,
     .checks = "- f"},
    {.name = "a size of 8 GB that does not come",
     .build = build_octal_huge,
     .overlay = DRAY_E_CORRUPT,
     .plain = DRAY_E_CORRUPT},
    {.name = "a sparse file of exabytes that climbs",
     .build = build_sparse_huge,
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "more bytes than allowed",
     .members = {{.type = '0', .name = "a", .size = 600}, {.type = '0', .name = "b", .size = 600}},
     .max_bytes = 1000,
     .overlay = DRAY_E_LIMIT,
     .plain = DRAY_E_LIMIT,
     .checks = "s a=600\n- b"},
    {.name = "more entries than allowed",
     .members = {{.type = '0', .name = "a", .data = ""},
                 {.type = '0', .name = "b", .data = ""},
                 {.type = '0', .name = "c", .data = ""}},
     .max_entries = 2,
     .overlay = DRAY_E_LIMIT,
     .plain = DRAY_E_LIMIT,
     .checks = "f b=\n- c"},
    {.name = "exactly what is allowed",
     .members = {{.type = '0', .name = "a", .size = 500}, {.type = '0', .name = "b", .size = 500}},
     .max_bytes = 1000,
     .max_entries = 2,
     .checks = "s b=500"},
    {.name = "an owner that cannot be",
     .members = {{.type = '0', .name = "f", .data = "x", .pax = "uid=4294967295\n"}},
     .overlay = DRAY_E_INVAL,
     .plain = DRAY_E_INVAL},
    {.name = "times before and far after our time",
     .members = {{.type = '0', .name = "a", .data = "x", .pax = "mtime=-1000.5\n"},
                 {.type = '0', .name = "b", .data = "x", .pax = "mtime=99999999999999999\n"}},
     .checks = "f a=x\nf b=x"},
};

static void run_all(enum dray_layer_mode mode)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i], mode);
}

static void test_overlay(void)
{
    run_all(DRAY_LAYER_OVERLAY);
}

static void test_plain(void)
{
    run_all(DRAY_LAYER_PLAIN);
}

/* --- cancelling -------------------------------------------------------------------------------*/

static void test_cancel(void)
{
    int tar[2], cancel[2];
    CU_ASSERT_FATAL(pipe2(tar, O_CLOEXEC) == 0 && pipe2(cancel, O_CLOEXEC) == 0);
    int root = open_root();
    struct dray_layer_apply job = {.root = root, .cancel_fd = cancel[0]};
    struct dray_err err = {0};
    CU_ASSERT(write(cancel[1], "x", 1) == 1);
    CU_ASSERT(dray_layer_apply(tar[0], &job, &err) == DRAY_E_CANCELED);
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    job.cancel_fd = -1;
    job.deadline_ns =
        (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec + 20000000;
    CU_ASSERT(dray_layer_apply(tar[0], &job, &err) == DRAY_E_TIMEOUT);
    for (int i = 0; i < 2; i++) {
        (void)close(tar[i]);
        (void)close(cancel[i]);
    }
    (void)close(root);
    drop_root();
}

/* --- and back ---------------------------------------------------------------------------------*/

struct capture {
    int fd;
    struct tarball t;
};

static void *capture(void *arg)
{
    struct capture *c = arg;
    char buf[65536];
    for (ssize_t n; (n = read(c->fd, buf, sizeof buf)) > 0;)
        tar_bytes(&c->t, buf, (size_t)n);
    return NULL;
}

static struct tarball pack(const struct dray_layer_pair *pair)
{
    int ends[2];
    pthread_t thread;
    struct dray_err err = {0};
    CU_ASSERT_FATAL(pipe2(ends, O_CLOEXEC) == 0);
    struct capture c = {.fd = ends[0]};
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, capture, &c) == 0);
    int rc = dray_layer_diff(pair, ends[1], -1, &err);
    if (rc != 0)
        (void)printf("\n    diff: %s\n", err.text);
    CU_ASSERT(rc == 0);
    (void)close(ends[1]);
    (void)pthread_join(thread, NULL);
    (void)close(ends[0]);
    return c.t;
}

static void unpack_case(const struct tar_case *c, int root, enum dray_layer_mode mode)
{
    struct tarball t = {0};
    struct dray_err err = {0};
    build_members(&t, c);
    struct dray_layer_apply job = {.root = root, .mode = mode, .cancel_fd = -1};
    int rc = unpack(&t, &job, &err);
    if (rc != 0)
        (void)printf("\n    %s: %s\n", c->name, err.text);
    CU_ASSERT(rc == 0);
    free(t.data);
}

static const struct tar_case rich = {
    .name = "rich",
    .members = {{.type = '5', .name = "d", .mode = 01777, .uid = 7, .mtime = 1234},
                {.type = '0', .name = "d/cafe\xcc\x81", .data = "text", .pax = "uid=3000000\n"},
                {.type = '0', .name = "d/ping", .data = "elf", .mode = 04755, .pax = CAP},
                {.type = '1', .name = "a-link", .link = "d/ping"},
                {.type = '2', .name = "d/s", .link = "/somewhere/else"},
                {.type = '3', .name = "null", .major = 1, .minor = 3},
                {.type = '6', .name = "pipe", .mode = 0600},
                {.type = '0', .name = ".wh.gone", .data = ""},
                {.type = '5', .name = "o"},
                {.type = '0', .name = "o/.wh..wh..opq", .data = ""},
                {.type = '5', .name = "z"},
                {.type = '0',
                 .name = "z/0123456789012345678901234567890123456789012345678901234567890"
                         "0123456789012345678901234567890123456789012345678901234567890",
                 .data = "long"}}};

/* A whiteout has no time in a tar. */
static void calm(int root)
{
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    CU_ASSERT(utimensat(root, "gone", times, AT_SYMLINK_NOFOLLOW) == 0);
    CU_ASSERT(utimensat(root, ".", times, AT_SYMLINK_NOFOLLOW) == 0);
}

/* What diff packs, apply unpacks to the same, and packing that gives the same bytes. */
static void test_round_trip(void)
{
    int root = open_root();
    unpack_case(&rich, root, DRAY_LAYER_OVERLAY);
    const struct dray_layer_pair pair = {.upper = root, .lower = -EBADF, .native = true};
    struct tarball first = pack(&pair);
    calm(root);
    dray_autofree char *before = print_tree(root_path);
    CU_ASSERT(
        check_lines("rich", root, "x d/ping=security.capability\nw gone\no o\n= a-link=d/ping"));
    (void)close(root);
    drop_root();
    root = open_root();
    struct dray_err err = {0};
    struct dray_layer_apply job = {.root = root, .cancel_fd = -1};
    CU_ASSERT(unpack(&first, &job, &err) == 0);
    CU_ASSERT(
        check_lines("rich", root, "x d/ping=security.capability\nw gone\no o\n= a-link=d/ping"));
    const struct dray_layer_pair again = {.upper = root, .lower = -EBADF, .native = true};
    struct tarball second = pack(&again);
    calm(root);
    dray_autofree char *after = print_tree(root_path);
    CU_ASSERT(strcmp(before, after) == 0);
    if (strcmp(before, after) != 0)
        (void)printf("\n%s---\n%s\n", before, after);
    CU_ASSERT(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    free(first.data);
    free(second.data);
    (void)close(root);
    drop_root();
}

/* Holes stay holes on the way out and in, and cost nothing. */
static void test_sparse(void)
{
    int root = open_root();
    int fd = openat(root, "s", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    const off_t far = (off_t)3 << 30;
    CU_ASSERT(pwrite(fd, "mid", 3, 8 << 20) == 3 && pwrite(fd, "end", 3, far) == 3);
    CU_ASSERT(ftruncate(fd, far + (4 << 20)) == 0);
    (void)close(fd);
    fd = openat(root, "z", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    CU_ASSERT(ftruncate(fd, 5 << 20) == 0);
    (void)close(fd);
    const struct dray_layer_pair pair = {.upper = root, .lower = -EBADF, .native = true};
    struct tarball t = pack(&pair);
    CU_ASSERT(t.len < 100000);
    (void)close(root);
    drop_root();
    root = open_root();
    struct dray_err err = {0};
    struct dray_layer_apply job = {.root = root, .cancel_fd = -1};
    CU_ASSERT(unpack(&t, &job, &err) == 0);
    struct stat st;
    char text[4] = "";
    CU_ASSERT(fstatat(root, "s", &st, 0) == 0 && st.st_size == far + (4 << 20));
    CU_ASSERT(st.st_blocks * 512 < 100000);
    fd = openat(root, "s", O_RDONLY | O_CLOEXEC);
    CU_ASSERT(pread(fd, text, 3, 8 << 20) == 3 && strcmp(text, "mid") == 0);
    CU_ASSERT(pread(fd, text, 3, far) == 3 && strcmp(text, "end") == 0);
    (void)close(fd);
    CU_ASSERT(fstatat(root, "z", &st, 0) == 0 && st.st_size == 5 << 20 && st.st_blocks == 0);
    free(t.data);
    (void)close(root);
    drop_root();
}

static int print_change(void *arg, const struct dray_layer_change *c, struct dray_err *err)
{
    (void)err;
    (void)fprintf(arg, "%c /%s\n", "CAD"[c->kind], c -> path);
    return 0;
}

static char *compare(int upper, int lower, bool native)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    struct dray_err err = {0};
    const struct dray_layer_pair pair = {.upper = upper, .lower = lower, .native = native};
    CU_ASSERT(dray_layer_compare(&pair, print_change, out, &err) == 0);
    (void)fclose(out);
    return text;
}

static void expect_text(const char *got, const char *want)
{
    if (strcmp(got, want) != 0)
        (void)printf("\n    got:\n%s    instead of:\n%s", got, want);
    CU_ASSERT(strcmp(got, want) == 0);
}

/* Two whole trees: the second a copy of the first, then changed. */
static void test_compare(void)
{
    int top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int lower = open_root();
    make_parent();
    make_dir(root_path, "turns");
    write_file(root_path, "turns/x", "x");
    CU_ASSERT(mkdirat(top_fd, "copy", 0755) == 0);
    int upper = openat(top_fd, "copy", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dray_err err = {0};
    CU_ASSERT(dray_layer_copy(lower, upper, &err) == 0);
    dray_autofree char *none = compare(upper, lower, false);
    expect_text(none, "");
    char path[80];
    (void)snprintf(path, sizeof path, "%s/copy", top);
    dray_autofree char *a = print_tree(root_path);
    dray_autofree char *b = print_tree(path);
    expect_text(b, a);
    write_file(path, "dir/sub/deep", "longer than before");
    write_file(path, "dir/new", "new");
    CU_ASSERT(unlinkat(upper, "dir/a", 0) == 0);
    CU_ASSERT(unlinkat(upper, "old", 0) == 0);
    CU_ASSERT(dray_pl_remove_tree(upper, "turns", &err) == 0);
    write_file(path, "turns", "into a file");
    dray_autofree char *some = compare(upper, lower, false);
    expect_text(some,
                "C /dir\nD /dir/a\nA /dir/new\nC /dir/sub\nC /dir/sub/deep\nD /old\nC /turns\n");

    /* The tar of that, applied to the older tree, gives the newer one. */
    const struct dray_layer_pair pair = {.upper = upper, .lower = lower};
    struct tarball t = pack(&pair);
    struct dray_layer_apply job = {.root = lower, .mode = DRAY_LAYER_PLAIN, .cancel_fd = -1};
    CU_ASSERT(unpack(&t, &job, &err) == 0);
    dray_autofree char *left = compare(upper, lower, false);
    expect_text(left, "");
    free(t.data);
    (void)close(upper);
    (void)close(lower);
    CU_ASSERT(dray_pl_remove_tree(top_fd, "copy", &err) == 0);
    (void)close(top_fd);
    drop_root();
}

/* Deeper than descriptors or stacks reach. */
static void test_remove_deep(void)
{
    int root = open_root();
    int at = dup(root);
    for (unsigned i = 0; i < 5000; i++) {
        CU_ASSERT_FATAL(mkdirat(at, "d", 0755) == 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CU_ASSERT_FATAL(next >= 0);
        (void)close(at);
        at = next;
    }
    (void)close(at);
    uint64_t bytes, inodes;
    struct dray_err err = {0};
    CU_ASSERT(dray_pl_usage(root, &bytes, &inodes, &err) == DRAY_E_LIMIT);
    (void)close(root);
    drop_root();
    CU_ASSERT(access(root_path, F_OK) < 0);
}

static const struct check_case tests[] = {
    {"canary", make_canary},
    {"corpus, overlay", test_overlay},
    {"corpus, plain", test_plain},
    {"cancel and deadline", test_cancel},
    {"round trip", test_round_trip},
    {"sparse files", test_sparse},
    {"compare and copy", test_compare},
    {"remove a deep tree", test_remove_deep},
};

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (geteuid() != 0) {
        (void)printf("SKIP: unpacking devices and owners needs root\n");
        return 0;
    }
    if (!mkdtemp(top))
        return 2;
    (void)printf("%zu tars in two modes\n", sizeof cases / sizeof *cases);
    int rc = check_main("layer tar", tests, sizeof tests / sizeof *tests);
    (void)remove_path(top, NULL);
    return rc;
}
