/* SPDX-License-Identifier: Apache-2.0 */
/* remap.c - which ids of the host containers get: "userns-remap", /etc/subuid, /etc/subgid. */
#include "engine/rootfs/remap.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/logging.h"
#include "base/spawn.h"

#include <ctype.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/wait.h>

#define DRAY_LOG_AREA "userns"
#define DEFAULT_USER "dockremap"
#define FILE_MOST (4u << 20)
/* Images own files by any 16-bit id. */
#define LEAST_IDS 65536u
#define FIRST_ID 100000u
#define PROGRAM_MS 30000

/* Users and groups. */

/** A line of passwd or group: by name, or by id when it is a number. */
struct account {
    char name[64];
    bool found;
};

static bool number(const char *text, uint32_t *out)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (*end || errno || v > INT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static FILE *open_file(const char *etc, const char *name)
{
    dray_autofree char *path = dray_strf("%s/%s", etc, name);
    return path ? fopen(path, "re") : NULL;
}

static struct account find_user(const char *etc, const char *name)
{
    struct account a = {.found = false};
    uint32_t id = 0;
    bool by_id = number(name, &id);
    FILE *f = open_file(etc, "passwd");
    for (struct passwd *p; f && !a.found && (p = fgetpwent(f)) != NULL;)
        if (by_id ? p->pw_uid == id : strcmp(p->pw_name, name) == 0) {
            a.found = true;
            (void)snprintf(a.name, sizeof a.name, "%s", p->pw_name);
        }
    if (f)
        (void)fclose(f);
    return a;
}

static struct account find_group(const char *etc, const char *name)
{
    struct account a = {.found = false};
    uint32_t id = 0;
    bool by_id = number(name, &id);
    FILE *f = open_file(etc, "group");
    for (struct group *g; f && !a.found && (g = fgetgrent(f)) != NULL;)
        if (by_id ? g->gr_gid == id : strcmp(g->gr_name, name) == 0) {
            a.found = true;
            (void)snprintf(a.name, sizeof a.name, "%s", g->gr_name);
        }
    if (f)
        (void)fclose(f);
    return a;
}

/* Subordinate ids: "name:first:count", subuid(5). */

struct subids {
    struct dray_idrange own; /* the first of the user, count 0 for none */
    uint64_t free_from;      /* above all that anybody has */
};

static int read_line(char *line, const char *file, const char *name, struct subids *s,
                     struct dray_err *err)
{
    unsigned long long first = 0, count = 0;
    char owner[64] = "", tail = '\0';
    if (sscanf(line, "%63[^:]:%llu:%llu %c", owner, &first, &count, &tail) != 3 ||
        first + count > UINT32_MAX)
        return dray_fail(err, DRAY_E_INVAL,
                         "Cannot parse subuid/gid information: Format not correct for %s file",
                         file);
    if (first + count > s->free_from)
        s->free_from = first + count;
    if (s->own.count == 0 && strcmp(owner, name) == 0)
        s->own = (struct dray_idrange){(uint32_t)first, (uint32_t)count};
    return 0;
}

static int read_subids(const char *etc, const char *file, const char *name, struct subids *out,
                       struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    dray_autofree char *path = dray_strf("%s/%s", etc, file);
    *out = (struct subids){.free_from = FIRST_ID};
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = dray_fs_read(AT_FDCWD, path, FILE_MOST, &b, err);
    if (rc == DRAY_E_NOTFOUND)
        return 0;
    char *save = NULL;
    for (char *l = rc == 0 && b.data ? strtok_r(b.data, "\n", &save) : NULL; l && rc == 0;
         l = strtok_r(NULL, "\n", &save)) {
        l += strspn(l, " \t");
        rc = *l && *l != '#' ? read_line(l, path, name, out, err) : 0;
    }
    return rc;
}

static int check_range(struct dray_idrange r, const char *what, const char *etc, const char *name,
                       struct dray_err *err)
{
    if (r.count == 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "Can't create ID mappings: no %s ranges found for user \"%s\" in %s/%s: "
                         "add a line like \"%s:%u:%u\"",
                         what, name, etc, what, name, FIRST_ID, LEAST_IDS);
    if (r.count < LEAST_IDS)
        return dray_fail(err, DRAY_E_INVAL,
                         "Can't create ID mappings: the %s range of user \"%s\" in %s/%s has %u "
                         "ids, %u are needed",
                         what, name, etc, what, r.count, LEAST_IDS);
    if (r.first == 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "Can't create ID mappings: the %s range of user \"%s\" in %s/%s contains "
                         "the host's root",
                         what, name, etc, what);
    return 0;
}

/* The user of "default", made as Docker makes it: once, by the programs of the system. */

static int run(const char *const *argv, struct dray_err *err)
{
    pid_t pid = -1;
    const int fds[] = {-1, -1, -1};
    int rc = dray_spawn(&(struct dray_spawn){.argv = argv, .fds = fds, .n_fds = 3}, &pid, err);
    if (rc != 0)
        return rc;
    int status = dray_spawn_wait(pid, PROGRAM_MS);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return dray_fail(err, DRAY_E_IO, "%s has failed", argv[0]);
}

static int program(const char *name, char out[64], struct dray_err *err)
{
    static const char *const folders[] = {"/usr/sbin", "/sbin", "/usr/bin"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        (void)snprintf(out, 64, "%s/%s", folders[i], name);
        if (access(out, X_OK) == 0)
            return 0;
    }
    return dray_fail(err, DRAY_E_NOTFOUND,
                     "%s is not installed: make the user " DEFAULT_USER
                     " and its lines in /etc/subuid and /etc/subgid by hand",
                     name);
}

static int make_user(struct dray_err *err)
{
    char path[64];
    int rc = program("useradd", path, err);
    const char *const argv[] = {path,         "--system", "--user-group", "--shell", "/bin/false",
                                DEFAULT_USER, NULL};
    if (rc == 0)
        rc = run(argv, err);
    return rc == 0 ? 0 : dray_err_note(err, "Error during \"" DEFAULT_USER "\" user creation");
}

static int make_range(const char *option, uint64_t first, struct dray_err *err)
{
    char path[64], range[48];
    (void)snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)first,
                   (unsigned long long)first + LEAST_IDS - 1);
    int rc = program("usermod", path, err);
    const char *const argv[] = {path, option, range, DEFAULT_USER, NULL};
    if (rc == 0)
        rc = run(argv, err);
    return rc == 0 ? 0 : dray_err_note(err, "Error during \"" DEFAULT_USER "\" user creation");
}

static int make_default(const char *etc, struct dray_err *err)
{
    struct subids uids, gids;
    if (strcmp(etc, "/etc") != 0) /* the programs know no other place */
        return 0;
    int rc = find_user(etc, DEFAULT_USER).found ? 0 : make_user(err);
    if (rc == 0)
        rc = read_subids(etc, "subuid", DEFAULT_USER, &uids, err);
    if (rc == 0 && uids.own.count == 0)
        rc = make_range("--add-subuids", uids.free_from, err);
    if (rc == 0)
        rc = read_subids(etc, "subgid", DEFAULT_USER, &gids, err);
    if (rc == 0 && gids.own.count == 0)
        rc = make_range("--add-subgids", gids.free_from, err);
    return rc;
}

/* The setting. */

static int resolve_names(const char *setting, const char *etc, struct account *user,
                         struct account *group, struct dray_err *err)
{
    uint32_t id = 0;
    dray_autofree char *text = strdup(setting);
    if (!text)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char *second = strchr(text, ':');
    if (second)
        *second++ = '\0';
    if (!*text || (second && (!*second || strchr(second, ':'))))
        return dray_fail(err, DRAY_E_INVAL,
                         "Invalid user/group specification in --userns-remap: \"%s\"", setting);
    const char *name = strcmp(text, "default") == 0 ? DEFAULT_USER : text;
    *user = find_user(etc, name);
    if (!user->found && number(name, &id))
        return dray_fail(err, DRAY_E_INVAL, "Uid %u has no entry in %s/passwd", id, etc);
    if (!user->found)
        return dray_fail(err, DRAY_E_INVAL, "Error during uid lookup for \"%s\": no such user",
                         name);
    *group = find_group(etc, second ? second : name);
    if (!group->found && number(second ? second : name, &id))
        return dray_fail(err, DRAY_E_INVAL, "Gid %u has no entry in %s/group", id, etc);
    if (!group->found)
        return dray_fail(err, DRAY_E_INVAL, "Error during gid lookup for \"%s\": no such group",
                         second ? second : name);
    return 0;
}

int dray_remap_resolve(const char *setting, const char *etc, struct dray_remap *out, bool *on_out,
                       struct dray_err *err)
{
    struct account user, group;
    struct subids uids, gids;
    *on_out = false;
    if (!*setting || strcmp(setting, "host") == 0)
        return 0;
    int rc = strcmp(setting, "default") == 0 ? make_default(etc, err) : 0;
    if (rc == 0)
        rc = resolve_names(setting, etc, &user, &group, err);
    if (rc != 0)
        return rc;
    if (strcmp(user.name, "root") == 0) {
        dray_warn("User namespaces: root cannot be remapped with itself; user namespaces are OFF");
        return 0;
    }
    rc = read_subids(etc, "subuid", user.name, &uids, err);
    if (rc == 0)
        rc = read_subids(etc, "subgid", user.name, &gids, err);
    if (rc == 0 && gids.own.count == 0) /* lines of old stand under the group's name */
        rc = read_subids(etc, "subgid", group.name, &gids, err);
    if (rc == 0)
        rc = check_range(uids.own, "subuid", etc, user.name, err);
    if (rc == 0)
        rc = check_range(gids.own, "subgid", etc, user.name, err);
    if (rc != 0)
        return rc;
    (void)snprintf(out->user, sizeof out->user, "%s", user.name);
    out->uid = uids.own;
    out->gid = gids.own;
    *on_out = true;
    return 0;
}
