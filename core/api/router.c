/* SPDX-License-Identifier: Apache-2.0 */
/* router.c - version prefix and route table: which handler serves a request. */
#include "api/http_priv.h"

#include <ctype.h>
#include <strings.h>

static const struct dray_route *const tables[] = {
    dray_routes_system,   dray_routes_containers, dray_routes_execs,  dray_routes_images,
    dray_routes_networks, dray_routes_volumes,    dray_routes_builds, dray_routes_kit,
    dray_routes_absent,   dray_routes_extensions,
};

/* "v1.51" gives 151, "v2.0" 200; -1 when the segment is no version. */
static int parse_version(const char *text)
{
    if (text[0] != 'v' || !isdigit((unsigned char)text[1]))
        return -1;
    char *end = NULL;
    unsigned long major = strtoul(text + 1, &end, 10);
    unsigned long minor = 0;
    if (*end == '.' && isdigit((unsigned char)end[1]))
        minor = strtoul(end + 1, &end, 10);
    if (*end && strspn(end, "0123456789.") != strlen(end))
        return -1;
    if (major > 9)
        return 10000;
    return (int)(major * 100 + (minor > 99 ? 99 : minor));
}

static int check_version(const char *text, int version, struct dray_err *err)
{
    if (version < DRAY_API_MIN)
        return dray_fail(
            err, DRAY_E_INVAL,
            "client version %.20s is too old. Minimum supported API version is " DRAY_API_MIN_TEXT
            ", please upgrade your client to a newer version",
            text + 1);
    if (version > DRAY_API_MAX)
        return dray_fail(
            err, DRAY_E_INVAL,
            "client version %.20s is too new. Maximum supported API version is " DRAY_API_MAX_TEXT,
            text + 1);
    return 0;
}

/* Next segment of a pattern "/a/{b}/c"; *n_out its length. NULL at the end. */
static const char *pattern_segment(const char *at, size_t *n_out)
{
    if (*at != '/')
        return NULL;
    *n_out = strcspn(at + 1, "/");
    return at + 1;
}

static bool add_param(struct dray_http *h, const char *name, size_t n, char *const *segs,
                      size_t count)
{
    dray_autofree char *key = strndup(name, n);
    DRAY_AUTO(dray_buf) value = {0};
    for (size_t i = 0; i < count; i++) {
        if (i)
            dray_buf_addc(&value, '/');
        dray_buf_adds(&value, segs[i]);
    }
    return key && !value.failed && dray_kvlist_add(&h->params, key, value.data ? value.data : "");
}

/* What {**} stands for. */
static bool add_rest(struct dray_http *h, char *const *segs, size_t n)
{
    DRAY_AUTO(dray_buf) value = {0};
    for (size_t i = 0; i < n; i++)
        dray_buf_addf(&value, "/%s", segs[i]);
    return !value.failed && dray_kvlist_add(&h->params, "**", value.data ? value.data : "");
}

/* Match segs against the pattern; with h, record the parameters. {name:*} takes one segment or
 * more, and as few as the rest of the pattern lets it. */
static bool match(struct dray_http *h, const char *pattern, char *const *segs, size_t n)
{
    size_t len = 0;
    const char *p = pattern_segment(pattern, &len);
    if (!p)
        return n == 0;
    if (len == 4 && strncmp(p, "{**}", len) == 0)
        return !h || add_rest(h, segs, n);
    if (n == 0)
        return false;
    const char *rest = p + len;
    if (*p != '{')
        return strlen(segs[0]) == len && strncmp(segs[0], p, len) == 0 &&
               match(h, rest, segs + 1, n - 1);
    bool many = len > 4 && strncmp(p + len - 3, ":*}", 3) == 0;
    size_t name_len = len - (many ? 4 : 2);
    for (size_t take = 1; take <= (many ? n : 1); take++) {
        if (*segs[take - 1] == '\0' && take < n)
            return false; /* the last may be empty: its handler tells what is missing */
        if (!match(NULL, rest, segs + take, n - take))
            continue;
        return !h ||
               (add_param(h, p + 1, name_len, segs, take) && match(h, rest, segs + take, n - take));
    }
    return false;
}

static const struct dray_route *find(const struct dray_http *h, char *const *segs, size_t n)
{
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (const struct dray_route *r = tables[t]; r->path; r++)
            if ((r->methods & h->method) && (!r->since || h->version >= r->since) &&
                (!r->until || h->version <= r->until) && match(NULL, r->path, segs, n))
                return r;
    return NULL;
}

/* The path without empty segments, "." and "..", as Go's path.Clean has it; escaped again. */
static char *clean_path(const struct dray_strlist *segs)
{
    DRAY_AUTO(dray_strlist) kept = {0};
    DRAY_AUTO(dray_buf) out = {0};
    bool ok = true;
    for (size_t i = 0; i < segs->n; i++) {
        const char *s = segs->v[i];
        bool last = i + 1 == segs->n;
        if (strcmp(s, "..") == 0 && kept.n)
            free(kept.v[--kept.n]);
        else if (strcmp(s, "..") != 0 && strcmp(s, ".") != 0 && (*s || (last && kept.n)))
            ok = ok && dray_strlist_add(&kept, s);
    }
    for (size_t i = 0; i < kept.n; i++) {
        dray_buf_addc(&out, '/');
        dray_uri_escape(&out, kept.v[i]);
    }
    if (!kept.n)
        dray_buf_addc(&out, '/');
    return ok && !out.failed ? dray_buf_steal(&out) : NULL;
}

static bool is_clean(const struct dray_strlist *segs)
{
    for (size_t i = 0; i < segs->n; i++) {
        const char *s = segs->v[i];
        if (strcmp(s, ".") == 0 || strcmp(s, "..") == 0 || (!*s && i + 1 < segs->n))
            return false;
    }
    return true;
}

/* "//containers/json" is sent to "/containers/json", as by Docker's router. */
static int redirect(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    dray_autofree char *path = clean_path(&h->uri.segments);
    const char *query = strchr(h->target, '?');
    dray_autofree char *to = path ? dray_strf("%s%s", path, query ? query : "") : NULL;
    if (!to)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_http_header(h, "Location", to);
    return dray_http_reply_empty(h, 301);
}

static const struct dray_route redirect_route = {.fn = redirect};

int dray_route_find(struct dray_http *h, struct dray_err *err)
{
    int rc = dray_uri_parse(h->target, &h->uri, err);
    if (rc)
        return rc;
    char *const *segs = h->uri.segments.v;
    size_t n = h->uri.segments.n;
    h->version = DRAY_API_MAX;
    int version = n > 1 ? parse_version(segs[0]) : -1;
    if (version >= DRAY_API_MIN && version <= DRAY_API_MAX)
        h->version = version;
    if (version >= 0) {
        segs++;
        n--;
    }
    h->route = h->method ? find(h, segs, n) : NULL;
    if (!h->route && !is_clean(&h->uri.segments)) {
        h->route = &redirect_route;
        return 0;
    }
    if (!h->route)
        return dray_fail(err, DRAY_E_NOTFOUND, "page not found");
    if (version >= 0 && (rc = check_version(segs[-1], version, err)) != 0) {
        h->plain_errors = version < DRAY_API_MIN;
        return rc;
    }
    if (!match(h, h->route->path, segs, n))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return 0;
}

const char *dray_http_param(struct dray_http *h, const char *name)
{
    return dray_kvlist_get(&h->params, name, "");
}

const char *dray_http_query_at(struct dray_http *h, const char *key, size_t i)
{
    for (size_t k = 0; k < h->uri.query.n; k++)
        if (strcmp(h->uri.query.v[k].key, key) == 0 && i-- == 0)
            return h->uri.query.v[k].value;
    return NULL;
}

struct dray_kvs dray_http_query_all(struct dray_http *h)
{
    return dray_kvlist_view(&h->uri.query);
}

const char *dray_http_query(struct dray_http *h, const char *key)
{
    return dray_http_query_at(h, key, 0);
}

bool dray_http_query_bool(struct dray_http *h, const char *key, bool def)
{
    const char *text = dray_http_query(h, key);
    if (!text)
        return def;
    return *text && strcmp(text, "0") != 0 && strcasecmp(text, "no") != 0 &&
           strcasecmp(text, "false") != 0 && strcasecmp(text, "none") != 0;
}

int dray_http_query_int(struct dray_http *h, const char *key, int64_t def, int64_t *out,
                        struct dray_err *err)
{
    const char *text = dray_http_query(h, key);
    *out = def;
    if (!text || !*text)
        return 0;
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || *end || isspace((unsigned char)*text))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid value for parameter %s: \"%.100s\" is not a number", key, text);
    *out = value;
    return 0;
}

int dray_http_version(struct dray_http *h)
{
    return h->version;
}
