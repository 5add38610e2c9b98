/* SPDX-License-Identifier: Apache-2.0 */
/* suite_volume.c - volumes: made and removed twice, kept between users, listed, unknown ones. */
#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>

#define NAME "dray-check"
#define DATA "what was written"

static struct dray_kvs opts_of(const struct ck *c)
{
    return (struct dray_kvs){c->want->opts, c->want->n_opts};
}

/* The path is kept: outputs end with the next call. */
static bool mount_for(struct ck *c, const char *user, char path[4096], const char *what)
{
    const char *got = NULL;
    struct stat st;
    (void)CK(c, volume, mount, NAME, NAME, user, &got);
    if (!ck_expect(c, 0, what))
        return false;
    (void)snprintf(path, 4096, "%s", got ? got : "");
    return path[0] == '/' && stat(path, &st) == 0
               ? true
               : ck_true(c, false, "mount() names an absolute path that exists");
}

static bool write_mark(const char *dir)
{
    char file[4200];
    (void)snprintf(file, sizeof file, "%s/.dray-check", dir);
    dray_autofd int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 && write(fd, DATA, sizeof DATA) == sizeof DATA;
}

static bool read_mark(const char *dir)
{
    char file[4200], got[sizeof DATA] = "";
    (void)snprintf(file, sizeof file, "%s/.dray-check", dir);
    dray_autofd int fd = open(file, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, got, sizeof got) == sizeof got && memcmp(got, DATA, sizeof got) == 0;
}

static void check_unknown(struct ck *c)
{
    struct dray_volume_info info = {.size = sizeof info};
    (void)CK(c, volume, inspect, "dray-check-none", "dray-check-none", &info);
    (void)ck_expect(c, DRAY_E_NOTFOUND, "inspect() of an unknown volume");
    (void)CK(c, volume, remove, "dray-check-none", "dray-check-none");
    (void)ck_expect(c, 0, "removing what is absent succeeds");
    const struct dray_kv odd = {"dray-check-no-such-option", "1"};
    if (CK(c, volume, create, NAME "-odd", NAME "-odd", (struct dray_kvs){&odd, 1})) {
        (void)ck_expect(c, DRAY_E_INVAL, "an unknown option is refused");
    } else {
        ck_warn(c, "create() takes options that it does not know; refuse them with DRAY_E_INVAL");
        (void)CK(c, volume, remove, NAME "-odd", NAME "-odd");
    }
}

static void check_use(struct ck *c)
{
    char path[4096] = "", again[4096] = "";
    if (!mount_for(c, "user-1", path, "mount() for a user"))
        return;
    bool writable = write_mark(path);
    if (!writable)
        ck_skip(c, "%s cannot be written to: %s", path, strerror(errno));
    if (mount_for(c, "user-1", again, "mount() for the same user again"))
        (void)ck_true(c, strcmp(path, again) == 0, "it gives the same path");
    if (mount_for(c, "user-2", again, "mount() for a second user") && writable)
        (void)ck_true(c, read_mark(again), "both users see the same data");
    (void)CK(c, volume, unmount, NAME, NAME, "user-1");
    (void)ck_expect(c, 0, "unmount()");
    if (writable)
        (void)ck_true(c, read_mark(again), "the other user still has the data");
    (void)CK(c, volume, unmount, NAME, NAME, "user-2");
    (void)CK(c, volume, unmount, NAME, NAME, "nobody");
    (void)ck_expect(c, 0, "unmount() of an unknown user is no error");
    if (ck_has(c, "restore")) {
        const char *const users[] = {"user-3"};
        (void)CK(c, volume, restore, NAME, NAME, (struct dray_strs){users, 1});
        (void)ck_expect(c, 0, "restore() with a user");
        (void)CK(c, volume, unmount, NAME, NAME, "user-3");
        (void)ck_expect(c, 0, "that user can go");
    }
}

static void check_facts(struct ck *c)
{
    struct dray_volume_info info = {.size = sizeof info};
    (void)CK(c, volume, inspect, NAME, NAME, &info);
    if (ck_expect(c, 0, "inspect()"))
        (void)ck_true(c, info.mountpoint && (!*info.mountpoint || *info.mountpoint == '/'),
                      "its mountpoint is absolute, or \"\"");
    (void)CK(c, volume, list, NULL);
    if (ck_expect(c, 0, "list()"))
        (void)ck_true(c, ck_emitted(c, "name=" NAME), "it names the volume");
    uint64_t bytes = 0;
    if (ck_has(c, "usage")) {
        (void)CK(c, volume, usage, NAME, NAME, &bytes);
        (void)ck_expect(c, 0, "usage()");
    }
    if (ck_has(c, "capabilities")) {
        (void)CK(c, volume, capabilities, NULL, &bytes);
        (void)ck_expect(c, 0, "capabilities()");
    }
}

void ck_volume(struct ck *c)
{
    struct dray_volume_info info = {.size = sizeof info};
    check_unknown(c);
    (void)CK(c, volume, create, NAME, NAME, opts_of(c));
    if (!ck_expect(c, 0, "create()"))
        return;
    (void)CK(c, volume, create, NAME, NAME, opts_of(c));
    (void)ck_expect(c, 0, "creating the same again succeeds");
    check_facts(c);
    check_use(c);
    (void)CK(c, volume, remove, NAME, NAME);
    if (!ck_expect(c, 0, "remove()"))
        return;
    (void)CK(c, volume, inspect, NAME, NAME, &info);
    (void)ck_expect(c, DRAY_E_NOTFOUND, "it is gone");
    (void)CK(c, volume, list, NULL);
    (void)ck_true(c, !ck_emitted(c, "name=" NAME), "list() does not name it any more");
}
