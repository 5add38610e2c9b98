/* SPDX-License-Identifier: Apache-2.0 */
/* owner.c - --chown and --chmod. */
#include "bd.h"

#define FILE_MAX (4u << 20)

/* --- names -------------------------------------------------------------------------------------*/

static bool number(const char *text, uint32_t *out)
{
    char *end = NULL;
    unsigned long n = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || n > UINT32_MAX)
        return false;
    *out = (uint32_t)n;
    return true;
}

static int read_file(struct bd_tree *root, const char *path, struct bd_buf *out)
{
    dray_autofree char *real = NULL;
    struct bd_entry e;
    if (bd_tree_resolve(root, path, true, &real, &e, NULL) != 0 || !S_ISREG(e.mode))
        return DRAY_E_NOTFOUND;
    return bd_tree_read(root, real, FILE_MAX, out, NULL);
}

/* Field i of a line "a:b:c". */
static const char *field(const char *line, int i, size_t *n)
{
    for (; i > 0; i--) {
        line += strcspn(line, ":\n");
        if (*line != ':')
            return NULL;
        line++;
    }
    *n = strcspn(line, ":\n");
    return line;
}

/* The number in field `want` of the line whose first field is name. */
static bool look_up(struct bd_tree *root, const char *file, const char *name, int want,
                    uint32_t *out)
{
    DRAY_AUTO(bd_buf) b = {0};
    if (read_file(root, file, &b) != 0)
        return false;
    for (const char *line = bd_text(&b); *line;) {
        size_t n = strcspn(line, ":\n"), len = 0;
        const char *f = field(line, want, &len);
        if (f && n == strlen(name) && strncmp(line, name, n) == 0) {
            char text[16];
            (void)snprintf(text, sizeof text, "%.*s", (int)len, f);
            return number(text, out);
        }
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    return false;
}

int bd_owner(struct bd_tree *root, const char *text, uid_t *uid, gid_t *gid, struct dray_err *err)
{
    const char *colon = strchr(text, ':');
    dray_autofree char *user = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
    if (!user)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    const char *group = colon && colon[1] ? colon + 1 : user;
    uint32_t u = 0, g = 0;
    if (*user && !number(user, &u) && !look_up(root, "etc/passwd", user, 2, &u))
        return dray_fail(err, DRAY_E_INVAL,
                         "unable to convert uid/gid chown string to host mapping: can't find uid "
                         "for user %s: no such user: %s",
                         user, user);
    bool found = !*group || number(group, &g) || look_up(root, "etc/group", group, 2, &g);
    if (!found && group == user)
        found = look_up(root, "etc/passwd", user, 3, &g);
    if (!found)
        return dray_fail(err, DRAY_E_INVAL,
                         "unable to convert uid/gid chown string to host mapping: can't find gid "
                         "for group %s: no such group: %s",
                         group, group);
    *uid = u;
    *gid = g;
    return 0;
}

/* --- modes -------------------------------------------------------------------------------------*/

static mode_t who_mask(char c)
{
    return c == 'u' ? 04700 : c == 'g' ? 02070 : c == 'o' ? 01007 : 07777;
}

/* Bits of one letter of "rwxXst", for everybody. */
static mode_t permission(char c, mode_t old)
{
    bool runs = S_ISDIR(old) || (old & 0111);
    switch (c) {
    case 'r':
        return 0444;
    case 'w':
        return 0222;
    case 'x':
        return 0111;
    case 'X':
        return runs ? 0111 : 0;
    case 's':
        return 06000;
    case 't':
        return 01000;
    default:
        return 0;
    }
}

/* One clause "go+rX" at *p. */
static bool clause(const char **p, mode_t *mode)
{
    mode_t who = 0;
    for (; strchr("ugoa", **p) && **p; (*p)++)
        who |= who_mask(**p);
    if (!who)
        who = 07777;
    if (!**p || !strchr("+-=", **p))
        return false;
    while (**p && strchr("+-=", **p)) {
        char op = *(*p)++;
        mode_t bits = 0;
        for (; **p && strchr("rwxXst", **p); (*p)++)
            bits |= permission(**p, *mode);
        bits &= who;
        if (op == '=')
            *mode = (*mode & ~(who & 0777)) | bits;
        else
            *mode = op == '+' ? *mode | bits : *mode & ~bits;
    }
    return true;
}

int bd_chmod(const char *text, mode_t old, mode_t *out, struct dray_err *err)
{
    char *end = NULL;
    unsigned long n = strtoul(text, &end, 8);
    if (*text >= '0' && *text <= '7' && !*end && n <= 07777) {
        *out = (old & S_IFMT) | (mode_t)n;
        return 0;
    }
    mode_t mode = old;
    const char *p = text;
    bool ok = *p != '\0';
    while (ok && *p) {
        ok = clause(&p, &mode);
        if (ok && *p == ',')
            ok = *++p != '\0';
        else if (ok && *p)
            ok = false;
    }
    if (!ok)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid chmod parameter: '%s'. it should be octal string and between 0 "
                         "and 07777",
                         text);
    *out = mode;
    return 0;
}
