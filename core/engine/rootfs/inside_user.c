/* SPDX-License-Identifier: Apache-2.0 */
/* inside_user.c - users and groups as a container's own files name them. */
#include "engine/rootfs/rootfs.h"

#include "base/buf.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define ID_MAX INT64_C(0x7fffffff)
#define FILE_MOST ((size_t)16 << 20)

/* The container may have put there what never ends, or never begins: such a file names nobody. */
static void read_names(const char *path, struct dray_buf *out)
{
    dray_autofd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        dray_fs_read_fd(fd, FILE_MOST, out, NULL) != 0)
        dray_buf_free(out);
}

/* The next line's first fields: name, password, uid or gid, gid. Lines without the first three are
 * passed over. */
static bool next_line(struct dray_buf *b, size_t *at, const char *field[4])
{
    while (*at < b->len) {
        char *p = b->data + *at, *end = memchr(p, '\n', b->len - *at);
        end = end ? end : b->data + b->len;
        *end = '\0';
        *at = (size_t)(end - b->data) + 1;
        size_t n = 0;
        for (field[3] = ""; p && n < 4; n++)
            field[n] = strsep(&p, ":");
        if (n >= 3 && *field[0])
            return true;
    }
    return false;
}

static int in_range(int64_t id, struct dray_err *err)
{
    if (id < 0 || id > ID_MAX)
        return dray_fail(err, DRAY_E_INVAL, "uids and gids must be in range 0-2147483647");
    return 0;
}

/* Numbers that no file names are fine. */
static bool number(const char *text, int64_t *out)
{
    char *end;
    *out = strtoll(text, &end, 10);
    return *text && !*end;
}

static int find_uid(const char *name, int64_t *uid_out, int64_t *gid_out, struct dray_err *err)
{
    bool is_id = number(name, uid_out), found = false;
    DRAY_AUTO(dray_buf) text = {0};
    const char *field[4];
    int64_t uid, gid;
    *gid_out = 0;
    read_names("/etc/passwd", &text);
    for (size_t at = 0; !found && next_line(&text, &at, field);) {
        found = number(field[2], &uid) && number(field[3], &gid) &&
                (is_id ? uid == *uid_out : strcmp(field[0], name) == 0);
        if (found) {
            *uid_out = uid;
            *gid_out = gid;
        }
    }
    if (!found && !is_id)
        return dray_fail(err, DRAY_E_INVAL,
                         "unable to find user %s: no matching entries in passwd file", name);
    return in_range(*uid_out, err);
}

static int find_gid(const char *name, int64_t *gid_out, struct dray_err *err)
{
    if (number(name, gid_out))
        return in_range(*gid_out, err);
    DRAY_AUTO(dray_buf) text = {0};
    const char *field[4];
    read_names("/etc/group", &text);
    for (size_t at = 0; next_line(&text, &at, field);)
        if (strcmp(field[0], name) == 0 && number(field[2], gid_out))
            return in_range(*gid_out, err);
    return dray_fail(err, DRAY_E_INVAL,
                     "unable to find group %s: no matching entries in group file", name);
}

int dray_inside_user(const char *user, int64_t *uid_out, int64_t *gid_out, struct dray_err *err)
{
    dray_autofree char *name = strdup(user);
    char *group = name ? strchr(name, ':') : NULL;
    if (!name)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (group)
        *group++ = '\0';
    int rc = find_uid(*name ? name : "0", uid_out, gid_out, err);
    return rc == 0 && group && *group ? find_gid(group, gid_out, err) : rc;
}
