/* SPDX-License-Identifier: Apache-2.0 */
/* userdb.c - finds users and groups in the files of a container's root. Allocates nothing. */
#include "userdb.h"
#include "files.h"

#include <fcntl.h>

#define FILE_MAX ((off_t)16 << 20)
#define LINE_MAX_ 8192
#define ID_MAX INT64_C(2147483647)

/** Reads a file line by line; longer lines are cut. */
struct lines {
    int fd;
    size_t at, have, total;
    char buf[4096];
    char line[LINE_MAX_];
};

static void lines_open(struct lines *l, int root, const char *path)
{
    struct stat st;
    l->at = l->have = l->total = 0;
    l->fd = rn_open_in(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (l->fd >= 0 && (fstat(l->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)) {
        (void)close(l->fd);
        l->fd = -EBADF;
    }
}

static int next_byte(struct lines *l)
{
    if (l->at == l->have) {
        ssize_t n =
            l->fd >= 0 && l->total < (size_t)FILE_MAX ? read(l->fd, l->buf, sizeof l->buf) : 0;
        if (n <= 0)
            return -1;
        l->at = 0;
        l->have = (size_t)n;
        l->total += (size_t)n;
    }
    return (unsigned char)l->buf[l->at++];
}

static bool lines_next(struct lines *l)
{
    size_t n = 0;
    int c = next_byte(l);
    if (c < 0)
        return false;
    for (; c >= 0 && c != '\n'; c = next_byte(l))
        if (n + 1 < sizeof l->line)
            l->line[n++] = (char)c;
    l->line[n] = '\0';
    return true;
}

static void lines_close(struct lines *l)
{
    if (l->fd >= 0)
        (void)close(l->fd);
}

/** Cut a line at its colons, in place; the number of fields. */
static size_t fields(char *line, char *out[], size_t max)
{
    size_t n = 0;
    while (*line == ' ' || *line == '\t')
        line++;
    for (char *p = line; n < max;) {
        out[n++] = p;
        p = strchr(p, ':');
        if (!p || n == max)
            break;
        *p++ = '\0';
    }
    return n;
}

static bool number(const char *text, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || !strchr("0123456789-", *text))
        return false;
    *out = v;
    return true;
}

static int range(int64_t id, struct dray_err *err)
{
    return id >= 0 && id <= ID_MAX
               ? 0
               : dray_fail(err, DRAY_E_INVAL, "uids and gids must be in range 0-2147483647");
}

static void add_group(struct rn_ids *ids, uint32_t gid)
{
    for (size_t i = 0; i < ids->n_groups; i++)
        if (ids->groups[i] == gid)
            return;
    if (ids->n_groups + 1 < sizeof ids->groups / sizeof ids->groups[0])
        ids->groups[ids->n_groups++] = gid;
}

/** What is looked for in the files. */
struct query {
    char user[256], group[256];
    bool user_is_id, group_is_id;
    int64_t uid, gid;
    char name[256]; /* login name of the user that was found, or "" */
};

static bool find_passwd(struct lines *l, int root, struct query *q, struct rn_ids *ids)
{
    bool found = false;
    lines_open(l, root, "etc/passwd");
    while (!found && lines_next(l)) {
        char *f[7];
        int64_t uid = 0, gid = 0;
        if (fields(l->line, f, 7) < 4 || !*f[0] || !number(f[2], &uid) || !number(f[3], &gid))
            continue;
        found = q->user_is_id ? uid == q->uid : strcmp(f[0], q->user) == 0;
        if (!found)
            continue;
        ids->uid = (uint32_t)uid;
        ids->gid = (uint32_t)gid;
        (void)snprintf(q->name, sizeof q->name, "%s", f[0]);
    }
    lines_close(l);
    return found;
}

static void find_home(struct lines *l, int root, struct rn_ids *ids)
{
    (void)snprintf(ids->home, sizeof ids->home, "/");
    lines_open(l, root, "etc/passwd");
    while (lines_next(l)) {
        char *f[7];
        int64_t uid = 0;
        if (fields(l->line, f, 7) < 6 || !number(f[2], &uid) || uid != (int64_t)ids->uid)
            continue;
        char *end = strchr(f[5], ':');
        if (end)
            *end = '\0';
        if (*f[5])
            (void)snprintf(ids->home, sizeof ids->home, "%s", f[5]);
        break;
    }
    lines_close(l);
}

static bool is_member(char *list, const char *name)
{
    char *save = NULL;
    for (char *m = strtok_r(list, ",", &save); m; m = strtok_r(NULL, ",", &save))
        if (strcmp(m, name) == 0)
            return true;
    return false;
}

/** The groups that a user is a member of. */
static void find_member_groups(struct lines *l, int root, const char *name, struct rn_ids *ids)
{
    lines_open(l, root, "etc/group");
    while (lines_next(l)) {
        char *f[4];
        int64_t gid = 0;
        if (fields(l->line, f, 4) == 4 && number(f[2], &gid) && is_member(f[3], name) && gid >= 0 &&
            gid <= ID_MAX)
            add_group(ids, (uint32_t)gid);
    }
    lines_close(l);
}

static int find_group(struct lines *l, int root, const char *name, uint32_t *gid_out,
                      struct dray_err *err)
{
    int64_t id = -1, gid = 0;
    bool is_id = number(name, &id), found = false;
    lines_open(l, root, "etc/group");
    while (!found && lines_next(l)) {
        char *f[4];
        if (fields(l->line, f, 4) < 3 || !number(f[2], &gid))
            continue;
        found = is_id ? gid == id : strcmp(f[0], name) == 0;
    }
    lines_close(l);
    if (!found && !is_id)
        return dray_fail(err, DRAY_E_INVAL,
                         "unable to find group %s: no matching entries in group file", name);
    int rc = range(found ? gid : id, err);
    *gid_out = (uint32_t)(found ? gid : id);
    return rc;
}

static int parse(const char *text, struct query *q, struct dray_err *err)
{
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    if (n >= sizeof q->user || (colon && strlen(colon + 1) >= sizeof q->group))
        return dray_fail(err, DRAY_E_INVAL, "the user name is too long");
    memcpy(q->user, text, n);
    q->user[n] = '\0';
    (void)snprintf(q->group, sizeof q->group, "%s", colon ? colon + 1 : "");
    if (!q->user[0])
        (void)snprintf(q->user, sizeof q->user, "0");
    q->user_is_id = number(q->user, &q->uid);
    return 0;
}

static int find_user(struct lines *l, int root, const char *text, struct rn_ids *ids,
                     struct dray_err *err)
{
    struct query q = {.uid = 0};
    int rc = parse(text, &q, err);
    if (rc != 0)
        return rc;
    if (!find_passwd(l, root, &q, ids)) {
        if (!q.user_is_id)
            return dray_fail(err, DRAY_E_INVAL,
                             "unable to find user %s: no matching entries in passwd file", q.user);
        ids->uid = (uint32_t)q.uid;
        ids->gid = 0;
        rc = range(q.uid, err);
    }
    if (rc == 0 && q.group[0])
        rc = find_group(l, root, q.group, &ids->gid, err);
    else if (rc == 0 && q.name[0])
        find_member_groups(l, root, q.name, ids);
    return rc;
}

int rn_userdb_find(int root, const struct rn_user *u, struct rn_ids *out, struct dray_err *err)
{
    struct lines l;
    out->uid = u->uid;
    out->gid = u->gid;
    out->n_groups = 0;
    int rc = u->name ? find_user(&l, root, u->name, out, err) : 0;
    if (rc == 0 && (u->name || u->groups.n > 0)) {
        /* As Docker: the first group is listed too, or a file it may not read would be readable
         * after a program has changed its group. It comes first. */
        memmove(out->groups + 1, out->groups, out->n_groups * sizeof out->groups[0]);
        out->groups[0] = out->gid;
        out->n_groups++;
    }
    for (size_t i = 0; i < u->n_gids; i++)
        add_group(out, u->gids[i]);
    for (size_t i = 0; i < u->groups.n && rc == 0; i++) {
        uint32_t gid = 0;
        rc = find_group(&l, root, u->groups.v[i], &gid, err);
        if (rc == 0)
            add_group(out, gid);
    }
    if (rc == 0)
        find_home(&l, root, out);
    return rc;
}

int rn_user_parse(struct json_object *o, struct rn_arena *a, struct rn_user *u,
                  struct dray_err *err)
{
    const char *name = rn_json_str(o, "username", "");
    u->name = *name ? name : NULL;
    u->uid = (uint32_t)rn_json_int(o, "uid", 0);
    u->gid = (uint32_t)rn_json_int(o, "gid", 0);
    u->umask = (mode_t)(rn_json_int(o, "umask", 0022) & 0777);
    struct json_object *gids = rn_json_arr(o, "additionalGids");
    size_t n = rn_json_len(gids);
    if (n + rn_json_len(rn_json_arr(o, "additionalGroups")) > RN_MAX_GROUPS)
        return dray_fail(err, DRAY_E_INVAL, "too many additional groups");
    u->gids = rn_arena_alloc(a, (n + 1) * sizeof *u->gids);
    if (!u->gids)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        u->gids[i] = (uint32_t)json_object_get_int64(json_object_array_get_idx(gids, i));
    u->n_gids = n;
    return rn_json_strv(rn_json_arr(o, "additionalGroups"), a, 0, &u->groups, err);
}
