/* SPDX-License-Identifier: Apache-2.0 */
/* test_storage.c - what every storage driver must do, tried with each of them. */
#include "storage_suite.h"

/* --- the set of layers ------------------------------------------------------------------------*/

static void do_set(struct st_host *s)
{
    create(s, "base", "", 0, 0);
    create(s, "base", "", 0, 0);
    create(s, "mid", "base", 0, 0);
    create(s, "box", "mid", DRAY_LAYER_WRITABLE, 0);
    create(s, "box", "mid", DRAY_LAYER_WRITABLE, 0);
    create(s, "box", "mid", 0, DRAY_E_CONFLICT);
    create(s, "box", "base", DRAY_LAYER_WRITABLE, DRAY_E_CONFLICT);
    create(s, "orphan", "nobody", 0, DRAY_E_NOTFOUND);
    const char *const bad[] = {"", "..", ".", "a/b", "a b", "a.b", "../x", "a\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        create(s, bad[i], "", 0, DRAY_E_INVAL);
    char longest[131];
    memset(longest, 'i', 130);
    longest[129] = '\0';
    create(s, longest, "", 0, DRAY_E_INVAL);
    longest[128] = '\0';
    create(s, longest, "", 0, 0);
    drop(s, longest, 0);
    const char *all = "id=base parent= writable=0\nid=mid parent=base writable=0\n"
                      "id=box parent=mid writable=1\n";
    list_is(s, all);
    st_close(s);
    st_open(s);
    list_is(s, all);
    drop(s, "base", DRAY_E_CONFLICT);
    drop(s, "mid", DRAY_E_CONFLICT);
    drop(s, "box", 0);
    drop(s, "box", 0);
    drop(s, "never", 0);
    drop(s, "mid", 0);
    drop(s, "base", 0);
    list_is(s, "");
}

static void test_set(void)
{
    each(do_set);
}

static void do_collect(struct st_host *s)
{
    struct st_call c;
    struct dray_err err = {0};
    const char *const ids[] = {"a", "b", "c", "d", "e"};
    const char *parent = "";
    for (size_t i = 0; i < 5; i++) {
        create(s, ids[i], parent, i == 4 ? DRAY_LAYER_WRITABLE : 0, 0);
        parent = ids[i];
    }
    create(s, "x", "b", 0, 0);
    create(s, "y", "x", DRAY_LAYER_WRITABLE, 0);
    /* c is named, so its parents stay too */
    const char *const alive[] = {"c", "gone-already"};
    CU_ASSERT(OPS(s)->collect(s->self, &st_call(&c)->call, (struct dray_strs){alive, 2}, &err) ==
              0);
    st_call_end(&c);
    list_is(s, "id=a parent= writable=0\nid=b parent=a writable=0\nid=c parent=b writable=0\n");
    CU_ASSERT(OPS(s)->collect(s->self, &st_call(&c)->call, (struct dray_strs){NULL, 0}, &err) == 0);
    st_call_end(&c);
    list_is(s, "");
}

static void test_collect(void)
{
    each(do_collect);
}

/* What a crash leaves behind goes at the next open. */
static void do_crash(struct st_host *s)
{
    char path[160];
    create(s, "whole", "", 0, 0);
    st_close(s);
    (void)snprintf(path, sizeof path, "%s/layers/half", s->data);
    CU_ASSERT(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof path, "%s/layers/half/diff", s->data);
    CU_ASSERT(mkdir(path, 0700) == 0);
    put(path, "file", "content");
    (void)snprintf(path, sizeof path, "%s/trash/123", s->data);
    CU_ASSERT(mkdir(path, 0700) == 0);
    put(path, "file", "content");
    (void)snprintf(path, sizeof path, "%s/l/zzz", s->data);
    CU_ASSERT(symlink("../layers/half/diff", path) == 0);
    st_open(s);
    list_is(s, "id=whole parent= writable=0\n");
    st_close(s);
    CU_ASSERT(access(path, F_OK) < 0);
    (void)snprintf(path, sizeof path, "%s/trash", s->data);
    CU_ASSERT(rmdir(path) == 0); /* empty, that is */
    st_open(s);
    create(s, "half", "whole", 0, 0);
}

static void test_crash(void)
{
    each(do_crash);
}

/* Make and drop layers for ever, in a chain of three. */
static void churn(struct st_host *s)
{
    char ids[3][24];
    st_open(s);
    for (unsigned i = 0;; i++) {
        for (unsigned k = 0; k < 3; k++) {
            (void)snprintf(ids[k], sizeof ids[k], "%d-%u-%u", (int)getpid(), i, k);
            create(s, ids[k], k > 0 ? ids[k - 1] : "", k == 2 ? DRAY_LAYER_WRITABLE : 0, 0);
            APPLY(s, ids[k], {.type = '0', .name = "d/f", .data = ids[k]});
        }
        if (i % 3)
            for (unsigned k = 3; k-- > 0;)
                drop(s, ids[k], 0);
    }
}

/* Every layer that is listed can be mounted. */
static void check_listed(struct st_host *s)
{
    struct st_call c;
    struct dray_err err = {0};
    CU_ASSERT(OPS(s)->list(s->self, &st_call(&c)->call, &err) == 0);
    dray_autofree char *copy = strdup(st_records(&c));
    st_call_end(&c);
    for (char *rest = copy, *line; (line = strsep(&rest, "\n"));) {
        char id[64] = "", at[96];
        if (sscanf(line, "id=%63s", id) != 1)
            continue;
        mount_layer(s, id, 0, at);
        unmount(s, id, at);
    }
}

/* The daemon may be killed at any instant. */
static void do_kill(struct st_host *s)
{
    st_close(s);
    for (unsigned i = 0; i < 15; i++) {
        pid_t child = fork();
        if (child == 0)
            churn(s);
        const struct timespec pause = {.tv_nsec = (3 + (long)i * 7 % 31) * 1000000};
        (void)nanosleep(&pause, NULL);
        CU_ASSERT(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
        st_open(s);
        check_listed(s);
        st_close(s);
    }
    struct st_call c;
    struct dray_err err = {0};
    st_open(s);
    CU_ASSERT(OPS(s)->collect(s->self, &st_call(&c)->call, (struct dray_strs){NULL, 0}, &err) == 0);
    st_call_end(&c);
    list_is(s, "");
    st_close(s);
    char command[400]; /* nothing is left of all that but the spares */
    (void)snprintf(command, sizeof command,
                   "test -z \"$(ls -A %s/layers %s/l %s/trash | grep -v -e : -e '^$')\"", s->data,
                   s->data, s->data);
    CU_ASSERT(system(command) == 0);
    st_open(s);
}

static void test_kill(void)
{
    each(do_kill);
}

/* --- content ----------------------------------------------------------------------------------*/

static void do_container(struct st_host *s)
{
    char at[96];
    make_image(s);
    create(s, "box", "two", DRAY_LAYER_WRITABLE, 0);
    expect_changes(s, "box", "");
    mount_layer(s, "box", 0, at);
    CU_ASSERT(holds(at, "etc/passwd", "root and others"));
    CU_ASSERT(holds(at, "etc/group", NULL));
    CU_ASSERT(holds(at, "bin/new", "v2"));
    CU_ASSERT(holds(at, "opt/tool", NULL));
    put(at, "etc/passwd", "changed by the container");
    put(at, "var/cache/more", "m");
    put(at, "fresh", "f");
    char path[256];
    (void)snprintf(path, sizeof path, "%s/var/cache/big", at);
    CU_ASSERT(unlink(path) == 0);
    (void)snprintf(path, sizeof path, "%s/opt/new", at);
    CU_ASSERT(unlink(path) == 0);
    (void)snprintf(path, sizeof path, "%s/opt", at);
    CU_ASSERT(rmdir(path) == 0 && mkdir(path, 0755) == 0);
    put(at, "opt/mine", "m");
    const char *changes = "kind=0 path=/etc\nkind=0 path=/etc/passwd\nkind=1 path=/fresh\n"
                          "kind=0 path=/opt\nkind=1 path=/opt/mine\nkind=2 path=/opt/new\n"
                          "kind=0 path=/var\nkind=0 path=/var/cache\n"
                          "kind=2 path=/var/cache/big\nkind=1 path=/var/cache/more\n";
    expect_changes(s, "box", changes); /* while it runs */
    unmount(s, "box", at);
    expect_changes(s, "box", changes);
    mount_layer(s, "box", 0, at);
    CU_ASSERT(holds(at, "etc/passwd", "changed by the container"));
    unmount(s, "box", at);
}

static void test_container(void)
{
    each(do_container);
}

static void do_rdonly(struct st_host *s)
{
    char at[96], path[128];
    make_image(s);
    create(s, "box", "two", DRAY_LAYER_WRITABLE, 0);
    const char *const ids[] = {"one", "two", "box"};
    for (size_t i = 0; i < 3; i++) {
        mount_layer(s, ids[i], DRAY_MOUNTS_RDONLY, at);
        (void)snprintf(path, sizeof path, "%s/etc/new", at);
        CU_ASSERT(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EROFS);
        CU_ASSERT(holds(at, "etc/passwd", i == 0 ? "root" : "root and others"));
        unmount(s, ids[i], at);
    }
    mount_layer(s, "two", DRAY_MOUNTS_RDONLY | DRAY_MOUNTS_OWN, at);
    CU_ASSERT(holds(at, "etc/passwd", "root and others"));
    (void)snprintf(path, sizeof path, "%s/var/cache/big", at);
    bool apart = strcmp(s->plugin->name, "overlay") == 0;
    CU_ASSERT((access(path, F_OK) == 0) == !apart);
    (void)snprintf(path, sizeof path, "%s/etc/new", at);
    CU_ASSERT(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EROFS);
    unmount(s, "two", at);
    mount_layer(s, "two", 0, at); /* image layers are never writable */
    CU_ASSERT(mkdirat(AT_FDCWD, path, 0700) < 0 && errno == EROFS);
    unmount(s, "two", at);
}

static void test_rdonly(void)
{
    each(do_rdonly);
}

static char *print_layer(struct st_host *s, const char *id)
{
    char at[96];
    mount_layer(s, id, DRAY_MOUNTS_RDONLY, at);
    char *all = print_tree(at);
    unmount(s, id, at);
    char *text = strdup(strchr(all, '\n') + 1); /* without the root's own line */
    free(all);
    return text;
}

/* Times within a second do not travel. */
static void settle_times(const char *at)
{
    static const char *const names[] = {"etc", "etc/passwd", "var/cache", "var/cache/more",
                                        "opt", "opt/mine",   "fresh",     "l"};
    const struct timespec times[2] = {{.tv_sec = 5000}, {.tv_sec = 5000}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", at, names[i]);
        (void)utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
    }
}

/* A container's changes, packed and unpacked onto the same image, give the same tree. */
static void do_commit(struct st_host *s)
{
    char at[96], path[128];
    make_image(s);
    create(s, "box", "two", DRAY_LAYER_WRITABLE, 0);
    mount_layer(s, "box", 0, at);
    put(at, "etc/passwd", "changed");
    put(at, "var/cache/more", "m");
    put(at, "fresh", "f");
    (void)snprintf(path, sizeof path, "%s/var/cache/big", at);
    CU_ASSERT(unlink(path) == 0);
    (void)snprintf(path, sizeof path, "%s/opt/new", at);
    CU_ASSERT(unlink(path) == 0);
    (void)snprintf(path, sizeof path, "%s/l", at);
    CU_ASSERT(symlink("/etc/passwd", path) == 0);
    settle_times(at);
    unmount(s, "box", at);

    int tar = diff(s, "box", "two");
    create(s, "three", "two", 0, 0);
    (void)apply_fd(s, "three", tar, 0);
    (void)close(tar);
    dray_autofree char *box = print_layer(s, "box");
    dray_autofree char *three = print_layer(s, "three");
    expect(three, box);

    /* The whole tree in one layer. */
    tar = diff(s, "box", "");
    create(s, "flat", "", 0, 0);
    (void)apply_fd(s, "flat", tar, 0);
    (void)close(tar);
    dray_autofree char *flat = print_layer(s, "flat");
    expect(flat, box);

    /* Against a layer that is not the parent. */
    tar = diff(s, "box", "one");
    create(s, "four", "one", 0, 0);
    (void)apply_fd(s, "four", tar, 0);
    (void)close(tar);
    dray_autofree char *four = print_layer(s, "four");
    expect(four, box);
}

static void test_commit(void)
{
    each(do_commit);
}

/* Twice the same bytes, and the same from both drivers. */
static char *flat_tars[2];
static size_t flat_sizes[2];
static unsigned flat_n;

static void do_stable(struct st_host *s)
{
    make_image(s);
    for (unsigned i = 0; i < 2; i++) {
        int fd = diff(s, "two", "");
        struct stat st;
        CU_ASSERT(fstat(fd, &st) == 0);
        char *text = calloc(1, (size_t)st.st_size + 1);
        CU_ASSERT(read(fd, text, (size_t)st.st_size) == st.st_size);
        (void)close(fd);
        if (flat_n == 0) {
            flat_tars[0] = text;
            flat_sizes[flat_n++] = (size_t)st.st_size;
            continue;
        }
        CU_ASSERT((size_t)st.st_size == flat_sizes[0] &&
                  memcmp(text, flat_tars[0], flat_sizes[0]) == 0);
        free(text);
    }
}

static void test_stable(void)
{
    each(do_stable);
    free(flat_tars[0]);
}

static void do_failed_apply(struct st_host *s)
{
    struct tarball t = {0};
    const struct member good = {.type = '0', .name = "early", .data = "x"};
    const struct member evil = {.type = '0', .name = "../../evil", .data = "x"};
    tar_member(&t, &good);
    tar_member(&t, &evil);
    tar_end(&t);
    int fd = tar_file(&t);
    create(s, "one", "", 0, 0);
    (void)apply_fd(s, "one", fd, DRAY_E_INVAL);
    (void)apply_fd(s, "none", fd, DRAY_E_NOTFOUND);
    (void)close(fd);
    free(t.data);
    APPLY(s, "one", {.type = '0', .name = "late", .data = "y"});
    char at[96];
    mount_layer(s, "one", DRAY_MOUNTS_RDONLY, at);
    CU_ASSERT(holds(at, "late", "y"));
    CU_ASSERT(holds(at, "early", NULL));
    unmount(s, "one", at);
}

static void test_failed_apply(void)
{
    each(do_failed_apply);
}

static void do_opaque_root(struct st_host *s)
{
    make_image(s);
    create(s, "cut", "two", 0, 0);
    APPLY(s, "cut", {.type = '0', .name = ".wh..wh..opq", .data = ""},
          {.type = '0', .name = "only", .data = "o"});
    create(s, "box", "cut", DRAY_LAYER_WRITABLE, 0);
    st_close(s);
    st_open(s);
    char at[96];
    mount_layer(s, "box", 0, at);
    CU_ASSERT(holds(at, "only", "o"));
    CU_ASSERT(holds(at, "etc/passwd", NULL));
    unmount(s, "box", at);
    int tar = diff(s, "cut", "two");
    create(s, "again", "two", 0, 0);
    (void)apply_fd(s, "again", tar, 0);
    (void)close(tar);
    mount_layer(s, "again", DRAY_MOUNTS_RDONLY, at);
    CU_ASSERT(holds(at, "only", "o"));
    CU_ASSERT(holds(at, "etc/passwd", NULL));
    unmount(s, "again", at);
}

static void test_opaque_root(void)
{
    each(do_opaque_root);
}

/* --- the rest ---------------------------------------------------------------------------------*/

static void do_usage(struct st_host *s)
{
    struct st_call c;
    struct dray_err err = {0};
    uint64_t bytes = 0, inodes = 0;
    create(s, "one", "", 0, 0);
    APPLY(s, "one", {.type = '0', .name = "a", .size = 100000},
          {.type = '1', .name = "b", .link = "a"}, {.type = '5', .name = "d"});
    CU_ASSERT(OPS(s)->usage(s->self, &st_call(&c)->call, "one", &bytes, &inodes, &err) == 0);
    CU_ASSERT(bytes >= 100000 && bytes < 130000);
    CU_ASSERT(inodes == 3);
    st_call_end(&c);
    CU_ASSERT(OPS(s)->usage(s->self, &st_call(&c)->call, "two", &bytes, &inodes, &err) ==
              DRAY_E_NOTFOUND);
    st_call_end(&c);
}

static void test_usage(void)
{
    each(do_usage);
}

static void do_told(struct st_host *s)
{
    struct st_call c;
    struct dray_err err = {0};
    make_image(s);
    create(s, "box", "two", DRAY_LAYER_WRITABLE, 0);
    CU_ASSERT(OPS(s)->inspect(s->self, &st_call(&c)->call, "box", &err) == 0);
    CU_ASSERT(OPS(s)->status(s->self, &c.call, &err) == 0);
    const char *text = st_records(&c);
    if (strcmp(s->plugin->name, "overlay") == 0) {
        char lower[300];
        (void)snprintf(lower, sizeof lower,
                       "key=LowerDir value=%s/layers/two/diff:%s/layers/one/diff\n", s->data,
                       s->data);
        CU_ASSERT(strstr(text, lower) != NULL);
        const char *const keys[] = {"MergedDir",           "UpperDir",        "WorkDir",
                                    "Backing Filesystem",  "Supports d_type", "Using metacopy",
                                    "Native Overlay Diff", "userxattr"};
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            CU_ASSERT(strstr(text, keys[i]) != NULL);
    } else {
        CU_ASSERT(strstr(text, "key=Dir value=") != NULL);
    }
    st_call_end(&c);
}

static void test_told(void)
{
    each(do_told);
}

struct worker {
    struct st_host *s;
    unsigned number;
};

static void *work(void *arg)
{
    const struct worker *w = arg;
    char id[32];
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(id, sizeof id, "w%u-%u", w->number, i);
        create(w->s, id, "one", DRAY_LAYER_WRITABLE, 0);
        APPLY(w->s, id, {.type = '0', .name = "d/f", .data = id});
        if (i % 2)
            drop(w->s, id, 0);
    }
    return NULL;
}

static void do_parallel(struct st_host *s)
{
    pthread_t threads[8];
    struct worker workers[8];
    make_image(s);
    for (unsigned i = 0; i < 8; i++) {
        workers[i] = (struct worker){s, i};
        CU_ASSERT_FATAL(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < 8; i++)
        (void)pthread_join(threads[i], NULL);
    struct st_call c;
    struct dray_err err = {0};
    CU_ASSERT(OPS(s)->list(s->self, &st_call(&c)->call, &err) == 0);
    unsigned lines = 0;
    for (const char *at = st_records(&c); (at = strchr(at, '\n')); at++)
        lines++;
    CU_ASSERT(lines == 2 + 80);
    st_call_end(&c);
    char at[96];
    mount_layer(s, "w3-4", 0, at);
    CU_ASSERT(holds(at, "d/f", "w3-4"));
    CU_ASSERT(holds(at, "etc/passwd", "root"));
    unmount(s, "w3-4", at);
}

static void test_parallel(void)
{
    each(do_parallel);
}

/* Nothing of a removed container reaches the next one that gets its folders. */
static void do_reuse(struct st_host *s)
{
    char at[96], path[160];
    make_image(s);
    create(s, "first", "two", DRAY_LAYER_WRITABLE, 0);
    mount_layer(s, "first", 0, at);
    put(at, "leftover", "secret");
    CU_ASSERT(chmod(at, 0777) == 0 && chown(at, 12, 34) == 0);
    CU_ASSERT(setxattr(at, "user.note", "x", 1, 0) == 0);
    (void)snprintf(path, sizeof path, "%s/opt", at);
    CU_ASSERT(rename(path, at) < 0);
    unmount(s, "first", at);
    drop(s, "first", 0);
    st_close(s);
    st_open(s);
    for (unsigned i = 0; i < 40; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "next-%u", i);
        create(s, id, "two", DRAY_LAYER_WRITABLE, 0);
        expect_changes(s, id, "");
        mount_layer(s, id, 0, at);
        struct stat st;
        CU_ASSERT(holds(at, "leftover", NULL) && holds(at, "etc/passwd", "root and others"));
        CU_ASSERT(stat(at, &st) == 0 && (st.st_mode & 07777) == 0755 && st.st_uid == 0);
        CU_ASSERT(getxattr(at, "user.note", NULL, 0) < 0);
        put(at, "leftover", "secret");
        CU_ASSERT(chmod(at, 0777) == 0 && setxattr(at, "user.note", "x", 1, 0) == 0);
        unmount(s, id, at);
        drop(s, id, 0);
        const struct timespec pause = {.tv_nsec = 2000000};
        (void)nanosleep(&pause, NULL);
    }
}

static void test_reuse(void)
{
    each(do_reuse);
}

static const struct check_case tests[] = {
    {"the set of layers", test_set},
    {"collect", test_collect},
    {"after a crash", test_crash},
    {"killed at any instant", test_kill},
    {"a container's layer", test_container},
    {"read-only views", test_rdonly},
    {"diff and apply", test_commit},
    {"diff is stable", test_stable},
    {"a failed apply", test_failed_apply},
    {"an opaque root", test_opaque_root},
    {"usage", test_usage},
    {"inspect and status", test_told},
    {"in parallel", test_parallel},
    {"folders used again", test_reuse},
};

int main(void)
{
    return storage_main("storage", tests, sizeof tests / sizeof *tests);
}
