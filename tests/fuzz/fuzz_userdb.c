/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_userdb.c - libFuzzer target: a user as an exec names it, a container's passwd file and its
 * group file, with lines "--" between them.
 */
#include "fuzz.h"
#include "userdb.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/dev/shm/dray-fuzz-userdb-XXXXXX";
static int root = -1;

static void drop_folder(void)
{
    (void)unlinkat(root, "etc/passwd", 0);
    (void)unlinkat(root, "etc/group", 0);
    (void)unlinkat(root, "etc", AT_REMOVEDIR);
    (void)rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    need(mkdtemp(folder) != NULL);
    root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    need(root >= 0 && mkdirat(root, "etc", 0755) == 0);
    return atexit(drop_folder);
}

static void put(const char *name, const void *data, size_t n)
{
    dray_autofd int fd = openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    need(fd >= 0 && write(fd, data, n) == (ssize_t)n);
}

static void check(const struct rn_user *u, int rc, const struct rn_ids *ids,
                  const struct dray_err *err)
{
    need_words(rc, err);
    if (rc != 0)
        return;
    need(ids->n_groups <= sizeof ids->groups / sizeof ids->groups[0]);
    need(memchr(ids->home, '\0', sizeof ids->home) && ids->home[0]);
    need(!u->name || (ids->n_groups > 0 && ids->groups[0] == ids->gid));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dray_autofree char *name = fuzz_part(&data, &size);
    dray_autofree char *passwd = fuzz_part(&data, &size);
    put("etc/passwd", passwd, strlen(passwd));
    put("etc/group", data, size);
    uint32_t gids[] = {7};
    const char *groups[] = {name, "staff"};
    const struct rn_user users[] = {
        {.name = name},
        {.uid = 1000, .gid = 50, .gids = gids, .n_gids = 1},
        {.groups = {.v = groups, .n = 2}},
    };
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
        struct rn_ids ids;
        struct dray_err err = {0};
        int rc = rn_userdb_find(root, &users[i], &ids, &err);
        check(&users[i], rc, &ids, &err);
    }
    return 0;
}
