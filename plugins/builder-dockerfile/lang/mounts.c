/* SPDX-License-Identifier: Apache-2.0 */
/* mounts.c - reads RUN --mount=type=...: its keys, their defaults, what goes together. */
#include "lang_priv.h"

struct reading {
    struct dray_df_ctx *c;
    const char *text;              /* the whole value */
    const struct dray_df_env *env; /* NULL: values with "$" wait */
    struct dray_df_mount *m;
    bool deferred, has_ro, has_sharing, has_size;
};

static const char *const type_names[] = {"bind", "cache", "tmpfs", "secret", "ssh", NULL};
static const char *const sharing_names[] = {"shared", "private", "locked", NULL};

static int index_of(const char *const *names, const char *word)
{
    for (int i = 0; names[i]; i++)
        if (strcasecmp(names[i], word) == 0)
            return i;
    return -1;
}

static int bad_value(struct reading *r, const char *key, const char *value)
{
    return dray_df_bad(r->c, value, "invalid value for %s: %s", key, value);
}

static int unexpected(struct reading *r, const char *key)
{
    return dray_df_bad(r->c, key, "unexpected key '%s' for mount type '%s'", key,
                       type_names[r->m->type]);
}

/* Go's strconv.ParseBool. */
static int read_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True", NULL};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False", NULL};
    for (size_t i = 0; yes[i]; i++) {
        *out = strcmp(text, yes[i]) == 0;
        if (*out || strcmp(text, no[i]) == 0)
            return 0;
    }
    return -1;
}

static int read_number(struct reading *r, const char *key, const char *value, int base,
                       uint32_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long n = strtoull(value, &end, base);
    if (*value < '0' || *value > '9' || *end || errno || n > UINT32_MAX)
        return dray_df_bad(r->c, value, "invalid value %s for %s", value, key);
    *out = (uint32_t)n;
    return 0;
}

/* "10", "1.5g", "512MiB" in bytes. */
static int read_size(struct reading *r, const char *value, uint64_t *out)
{
    static const char units[] = "kmgtp";
    char *end = NULL;
    double n = strtod(value, &end);
    bool plain = *value >= '0' && *value <= '9' && end[strspn(end, " ")] != '-';
    end += strspn(end, " ");
    const char *unit = *end ? strchr(units, *end >= 'A' && *end <= 'Z' ? *end + 32 : *end) : NULL;
    for (long i = unit ? unit - units + 1 : 0; i > 0; i--)
        n *= 1024;
    end += unit != NULL;
    bool tail = !*end || strcasecmp(end, "b") == 0 || (unit && strcasecmp(end, "ib") == 0);
    if (!plain || !tail || !(n >= 0 && n < 9e18))
        return bad_value(r, "size", value);
    *out = (uint64_t)n;
    r->has_size = true;
    return 0;
}

static int set_type(struct reading *r, const char *value)
{
    int i = index_of(type_names, value);
    if (i < 0)
        return dray_df_bad(r->c, value, "unsupported mount type %s%s",
                           dray_df_quote(r->c->a, value),
                           dray_df_suggest(r->c->a, value, type_names, false));
    r->m->type = (enum dray_df_mount_type)i;
    return 0;
}

static int set_sharing(struct reading *r, const char *value)
{
    int i = index_of(sharing_names, value);
    if (i < 0)
        return dray_df_bad(r->c, value, "unsupported sharing value %s%s",
                           dray_df_quote(r->c->a, value),
                           dray_df_suggest(r->c->a, value, sharing_names, false));
    r->m->sharing = (enum dray_df_sharing)i;
    r->has_sharing = true;
    return 0;
}

static int set_readonly(struct reading *r, const char *key, const char *value, bool means)
{
    bool on = false;
    if (read_bool(value, &on) != 0)
        return bad_value(r, key, value);
    r->m->readonly = on == means;
    r->has_ro = true;
    return 0;
}

static int set_required(struct reading *r, const char *value)
{
    bool on = false;
    if (r->m->type != DRAY_DF_MOUNT_SECRET && r->m->type != DRAY_DF_MOUNT_SSH)
        return unexpected(r, "required");
    if (read_bool(value, &on) != 0)
        return bad_value(r, "required", value);
    r->m->required = on;
    return 0;
}

enum key {
    KEY_TYPE,
    KEY_FROM,
    KEY_SOURCE,
    KEY_TARGET,
    KEY_RO,
    KEY_RW,
    KEY_REQUIRED,
    KEY_SIZE,
    KEY_ID,
    KEY_SHARING,
    KEY_MODE,
    KEY_UID,
    KEY_GID,
    KEY_ENV,
};

static const char *const key_names[] = {"type", "from",        "source",   "src", "target",
                                        "dst",  "destination", "readonly", "ro",  "readwrite",
                                        "rw",   "required",    "size",     "id",  "sharing",
                                        "mode", "uid",         "gid",      "env", NULL};
static const enum key key_ids[] = {KEY_TYPE,   KEY_FROM,     KEY_SOURCE, KEY_SOURCE, KEY_TARGET,
                                   KEY_TARGET, KEY_TARGET,   KEY_RO,     KEY_RO,     KEY_RW,
                                   KEY_RW,     KEY_REQUIRED, KEY_SIZE,   KEY_ID,     KEY_SHARING,
                                   KEY_MODE,   KEY_UID,      KEY_GID,    KEY_ENV};

static int set_value(struct reading *r, enum key id, const char *key, const char *value)
{
    struct dray_df_mount *m = r->m;
    switch (id) {
    case KEY_TYPE:
        return set_type(r, value);
    case KEY_FROM:
        m->from = *value ? value : NULL;
        return 0;
    case KEY_SOURCE:
        m->source = *value ? value : NULL;
        return 0;
    case KEY_TARGET:
        m->target = *value ? value : NULL;
        return 0;
    case KEY_RO:
    case KEY_RW:
        return set_readonly(r, key, value, id == KEY_RO);
    case KEY_REQUIRED:
        return set_required(r, value);
    case KEY_SIZE:
        return m->type == DRAY_DF_MOUNT_TMPFS ? read_size(r, value, &m->size) : unexpected(r, key);
    case KEY_ID:
        m->id = *value ? value : NULL;
        return 0;
    case KEY_SHARING:
        return set_sharing(r, value);
    case KEY_MODE:
        m->has_mode = true;
        return read_number(r, key, value, 8, &m->mode);
    case KEY_UID:
        m->has_uid = true;
        return read_number(r, key, value, 10, &m->uid);
    case KEY_GID:
        m->has_gid = true;
        return read_number(r, key, value, 10, &m->gid);
    case KEY_ENV:
        if (m->type != DRAY_DF_MOUNT_SECRET)
            return unexpected(r, key);
        m->env = *value ? value : NULL;
        return 0;
    }
    return 0;
}

/* A value that holds "$": replaced, or kept for later as far as it is a text. */
static int settle(struct reading *r, enum key id, const char *key, const char **value, bool *skip)
{
    if (!strchr(*value, '$'))
        return 0;
    if (id == KEY_FROM && (*value)[strlen(*value) - 1] != '$')
        return dray_df_bad(r->c, *value,
                           "'%s' doesn't support variable expansion, define alias stage instead",
                           key);
    if (r->env)
        return dray_df_word(r->c->a, *value, r->c->escape, 0, r->env, value, r->c->err);
    r->deferred = true;
    *skip = id != KEY_FROM && id != KEY_SOURCE && id != KEY_TARGET && id != KEY_ID;
    return 0;
}

static int read_field(struct reading *r, const char *field)
{
    const char *eq = strchr(field, '='), *value = eq ? eq + 1 : "true";
    char *key = dray_df_strndup(r->c->a, field, eq ? (size_t)(eq - field) : strlen(field));
    key = key ? dray_df_lower(r->c->a, key) : NULL;
    if (!key)
        return dray_df_nomem(r->c);
    int i = index_of(key_names, key);
    bool flag =
        i >= 0 && (key_ids[i] == KEY_RO || key_ids[i] == KEY_RW || key_ids[i] == KEY_REQUIRED);
    bool skip = false;
    if (!eq && !flag)
        return dray_df_bad(r->c, field, "invalid field '%s' must be a key=value pair", field);
    if (i < 0)
        return dray_df_bad(r->c, field, "unexpected key '%s' in '%s'%s", key, field,
                           dray_df_suggest(r->c->a, key, key_names, false));
    int rc = settle(r, key_ids[i], key, &value, &skip);
    return rc == 0 && !skip ? set_value(r, key_ids[i], key, value) : rc;
}

/* One field of a line of CSV (RFC 4180) at p; where the next begins, or NULL behind the last. */
static const char *csv_field(struct reading *r, const char *p, struct dray_df_buf *out, int *rc)
{
    dray_df_buf_add(out, "", 0);
    if (*p != '"') {
        size_t n = strcspn(p, ",");
        dray_df_buf_add(out, p, n);
        if (memchr(p, '"', n))
            *rc = dray_df_bad(r->c, p, "failed to parse csv mounts: bare \" in non-quoted-field");
        return p[n] ? p + n + 1 : NULL;
    }
    for (p++; *p && (*p != '"' || p[1] == '"'); p++) {
        p += *p == '"';
        dray_df_buf_add(out, p, 1);
    }
    if (*p != '"' || (p[1] && p[1] != ',')) {
        *rc = dray_df_bad(r->c, r->text,
                          "failed to parse csv mounts: extraneous or missing \" in "
                          "quoted-field");
        return NULL;
    }
    return p[1] ? p + 2 : NULL;
}

static int check_secret(struct reading *r)
{
    struct dray_df_mount *m = r->m;
    if (m->from)
        return dray_df_bad(r->c, r->text, "secret mount should not have a from");
    if (r->has_sharing)
        return dray_df_bad(r->c, r->text, "secret mount should not define sharing");
    if (!m->source && !m->target && !m->id && !m->env)
        return dray_df_bad(r->c, r->text, "invalid secret mount. one of source, target required");
    if (m->source && m->id)
        return dray_df_bad(r->c, r->text, "both source and id can't be set");
    return 0;
}

static int check_mount(struct reading *r)
{
    struct dray_df_mount *m = r->m;
    const char *type = type_names[m->type];
    bool plain = m->type == DRAY_DF_MOUNT_BIND || m->type == DRAY_DF_MOUNT_TMPFS;
    if (plain && (m->has_mode || m->has_uid || m->has_gid))
        return dray_df_bad(r->c, r->text, "%s not allowed for \"%s\" type mounts",
                           m->has_mode  ? "mode"
                           : m->has_uid ? "uid"
                                        : "gid",
                           type);
    if (m->type == DRAY_DF_MOUNT_SECRET)
        return check_secret(r);
    if (r->has_sharing && m->type != DRAY_DF_MOUNT_CACHE)
        return dray_df_bad(r->c, r->text, "invalid cache sharing set for %s mount", type);
    if (!m->target && m->type != DRAY_DF_MOUNT_SSH)
        return dray_df_bad(r->c, r->text, "target required for \"%s\" type mounts", type);
    return 0;
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

/* What is not said. */
static int fill(struct reading *r)
{
    struct dray_df_mount *m = r->m;
    if (!r->has_ro)
        m->readonly = m->type != DRAY_DF_MOUNT_CACHE && m->type != DRAY_DF_MOUNT_TMPFS;
    if (!m->has_mode)
        m->mode = m->type == DRAY_DF_MOUNT_SECRET ? 0400
                  : m->type == DRAY_DF_MOUNT_SSH  ? 0600
                                                  : 0755;
    if (m->type == DRAY_DF_MOUNT_CACHE && !m->id)
        m->id = m->target;
    if (m->type == DRAY_DF_MOUNT_SSH && !m->id)
        m->id = "default";
    if (m->type == DRAY_DF_MOUNT_SECRET) {
        if (!m->id)
            m->id = m->source ? m->source : m->target ? base_name(m->target) : m->env;
        if (!m->target && !m->env)
            m->target = dray_df_printf(r->c->a, "/run/secrets/%s", base_name(m->id));
        if (!m->target && !m->env)
            return dray_df_nomem(r->c);
    } else if (!m->source && m->type <= DRAY_DF_MOUNT_CACHE) {
        m->source = "/";
    }
    return 0;
}

int dray_df_mount_parse(struct dray_df_ctx *c, const char *value, const struct dray_df_env *env,
                        struct dray_df_mount *out)
{
    struct reading r = {.c = c, .text = value, .env = env, .m = out};
    int rc = 0;
    *out = (struct dray_df_mount){.type = DRAY_DF_MOUNT_BIND};
    for (const char *p = value; p && rc == 0;) {
        DRAY_AUTO(dray_df_buf) b = {0};
        p = csv_field(&r, p, &b, &rc);
        const char *field = b.failed ? NULL : dray_df_strndup(c->a, b.data, b.len);
        if (rc == 0)
            rc = field ? read_field(&r, field) : dray_df_nomem(c);
    }
    if (rc == 0 && !r.deferred)
        rc = check_mount(&r);
    return rc == 0 ? fill(&r) : rc;
}
