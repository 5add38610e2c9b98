/* SPDX-License-Identifier: Apache-2.0 */
/* image_ref.c - parses image references (distribution's reference grammar) into canonical form. */
#include "engine/image/image_ref.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/ident.h"

#include <ctype.h>
#include <string.h>

#define DEFAULT_DOMAIN "docker.io"
#define LEGACY_DOMAIN "index.docker.io"
#define OFFICIAL "library/"
#define LAYOUT "oci:"
#define REPO_MAX 255
#define TAG_MAX 128

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

static bool has_upper(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            return true;
    return false;
}

bool dray_ref_tag_valid(const char *tag)
{
    size_t n = strlen(tag);
    if (n == 0 || n > TAG_MAX || !(is_alnum(tag[0]) || tag[0] == '_'))
        return false;
    for (size_t i = 1; i < n; i++)
        if (!is_alnum(tag[i]) && !strchr("_.-", tag[i]))
            return false;
    return true;
}

/* Length of a separator inside a path component: "_", "__", "." or any number of "-". */
static size_t separator(const char *p, const char *end)
{
    if (*p == '.')
        return 1;
    if (*p == '_')
        return p + 1 < end && p[1] == '_' ? 2 : 1;
    size_t n = 0;
    while (p + n < end && p[n] == '-')
        n++;
    return n;
}

static bool component_valid(const char *p, const char *end)
{
    if (p == end || !is_lower_alnum(*p))
        return false;
    while (p < end) {
        if (is_lower_alnum(*p)) {
            p++;
            continue;
        }
        size_t n = separator(p, end);
        p += n;
        if (n == 0 || p >= end || !is_lower_alnum(*p))
            return false;
    }
    return true;
}

static bool path_valid(const char *path)
{
    for (;;) {
        const char *end = strchrnul(path, '/');
        if (!component_valid(path, end))
            return false;
        if (!*end)
            return true;
        path = end + 1;
    }
}

static bool label_valid(const char *p, const char *end)
{
    if (p == end || !is_alnum(*p) || !is_alnum(end[-1]))
        return false;
    for (; p < end; p++)
        if (!is_alnum(*p) && *p != '-')
            return false;
    return true;
}

/* End of "[..]" of an IPv6 address, or NULL. */
static const char *bracketed(const char *p, const char *end)
{
    const char *close = memchr(p, ']', (size_t)(end - p));
    if (!close || close == p + 1)
        return NULL;
    for (const char *c = p + 1; c < close; c++)
        if (!isxdigit((unsigned char)*c) && *c != ':')
            return NULL;
    return close + 1;
}

static const char *host_end(const char *p, const char *end)
{
    if (*p == '[')
        return bracketed(p, end);
    const char *colon = memchr(p, ':', (size_t)(end - p));
    const char *stop = colon ? colon : end;
    while (p < stop) {
        const char *dot = memchr(p, '.', (size_t)(stop - p));
        const char *label_end = dot ? dot : stop;
        if (!label_valid(p, label_end))
            return NULL;
        if (dot && dot + 1 == stop)
            return NULL;
        p = dot ? dot + 1 : stop;
    }
    return stop;
}

static bool domain_valid(const char *p, size_t n)
{
    const char *end = p + n;
    const char *at = n ? host_end(p, end) : NULL;
    if (!at || at == p)
        return false;
    if (at == end)
        return true;
    if (*at++ != ':' || at == end)
        return false;
    for (; at < end; at++)
        if (!isdigit((unsigned char)*at))
            return false;
    return true;
}

/* Does the text before the first slash name a registry? */
static bool is_domain(const char *text, size_t n)
{
    if (memchr(text, '.', n) || memchr(text, ':', n) || has_upper(text, n))
        return true;
    return n == 9 && memcmp(text, "localhost", 9) == 0;
}

static int check_digest(const char *digest, struct dray_err *err)
{
    if (dray_digest_valid(digest))
        return 0;
    if (dray_str_prefix(digest, "sha256:"))
        return dray_fail(err, DRAY_E_INVAL,
                         strlen(digest) == 71 ? "invalid reference format"
                                              : "invalid checksum digest length");
    return dray_fail(err, DRAY_E_INVAL,
                     strchr(digest, ':') ? "unsupported digest algorithm"
                                         : "invalid reference format");
}

/* Cut "@digest" and ":tag" off rest. */
static int cut_ends(char *rest, char **tag_out, char **digest_out, struct dray_err *err)
{
    char *at = strchr(rest, '@');
    if (at) {
        *at = '\0';
        *digest_out = at + 1;
        int rc = check_digest(at + 1, err);
        if (rc)
            return rc;
    }
    char *slash = strrchr(rest, '/');
    char *colon = strchr(slash ? slash : rest, ':');
    if (!colon)
        return 0;
    *colon = '\0';
    *tag_out = colon + 1;
    return dray_ref_tag_valid(colon + 1) ? 0
                                         : dray_fail(err, DRAY_E_INVAL, "invalid reference format");
}

static int check_repo(const char *domain, size_t n_domain, const char *path, struct dray_err *err)
{
    size_t n = strlen(path);
    if (n == 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid reference format");
    if (has_upper(path, n))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid reference format: repository name (%.200s) must be lowercase",
                         path);
    if (!path_valid(path) || !domain_valid(domain, n_domain))
        return dray_fail(err, DRAY_E_INVAL, "invalid reference format");
    if (n + n_domain + 1 > REPO_MAX)
        return dray_fail(err, DRAY_E_INVAL, "repository name must not be more than %d characters",
                         REPO_MAX);
    return 0;
}

static int fill(struct dray_ref *out, char *repo /* takes */, const char *tag, const char *digest,
                struct dray_err *err)
{
    *out = (struct dray_ref){
        .repo = repo, .tag = tag ? strdup(tag) : NULL, .digest = digest ? strdup(digest) : NULL};
    if (out->repo && (!tag || out->tag) && (!digest || out->digest))
        return 0;
    dray_ref_free(out);
    return dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* --- oci:/path --------------------------------------------------------------------------------*/

/* One folder of a path as a component of a repository's name: what it may not hold becomes "-". */
static void add_component(struct dray_buf *out, const char *p, size_t n)
{
    bool begun = false;
    char gap = 0; /* separator before the next letter */
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (!is_lower_alnum(c)) {
            gap = !gap && (c == '.' || c == '_') ? c : '-';
            continue;
        }
        if (!begun)
            dray_buf_addc(out, '/');
        else if (gap)
            dray_buf_addc(out, gap);
        dray_buf_addc(out, c);
        begun = true;
        gap = 0;
    }
}

static int parse_layout(const char *text, struct dray_ref *out, struct dray_err *err)
{
    dray_autofree char *path = strdup(text + strlen(LAYOUT));
    DRAY_AUTO(dray_buf) repo = {0};
    char *tag = NULL, *digest = NULL;
    int rc =
        path ? cut_ends(path, &tag, &digest, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc)
        return rc;
    dray_buf_adds(&repo, "localhost");
    size_t before = repo.len;
    for (const char *p = path, *end; *p; p = *end ? end + 1 : end) {
        end = strchrnul(p, '/');
        if (end - p == 2 && memcmp(p, "..", 2) == 0)
            return dray_fail(err, DRAY_E_INVAL, "invalid reference format: %s has \"..\"", text);
        add_component(&repo, p, (size_t)(end - p));
    }
    if (*path != '/' || repo.failed || repo.len == before || repo.len > REPO_MAX)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid reference format: oci: wants the absolute path of an OCI layout");
    rc = fill(out, dray_buf_steal(&repo), tag, digest, err);
    if (!rc && !(out->source = dray_strf("%s%s", LAYOUT, path))) {
        dray_ref_free(out);
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return rc;
}

int dray_ref_parse(const char *text, struct dray_ref *out, struct dray_err *err)
{
    *out = (struct dray_ref){0};
    size_t len = strlen(text);
    if (len == 0 || len > 1024)
        return dray_fail(err, DRAY_E_INVAL, "invalid reference format");
    if (len == 64 && dray_id_is_hex(text, 64, 64))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid repository name (%s), cannot specify 64-byte hexadecimal strings",
                         text);
    if (dray_str_prefix(text, LAYOUT "/"))
        return parse_layout(text, out, err);
    const char *slash = strchr(text, '/');
    bool named = slash && is_domain(text, (size_t)(slash - text));
    const char *domain = named ? text : DEFAULT_DOMAIN;
    size_t n_domain = named ? (size_t)(slash - text) : strlen(DEFAULT_DOMAIN);
    if (n_domain == strlen(LEGACY_DOMAIN) && memcmp(domain, LEGACY_DOMAIN, n_domain) == 0) {
        domain = DEFAULT_DOMAIN;
        n_domain = strlen(DEFAULT_DOMAIN);
    }
    const char *rest = named ? slash + 1 : text;
    bool hub = n_domain == strlen(DEFAULT_DOMAIN) && memcmp(domain, DEFAULT_DOMAIN, n_domain) == 0;
    dray_autofree char *path =
        dray_strf("%s%s", hub && *rest && !strchr(rest, '/') ? OFFICIAL : "", rest);
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    char *tag = NULL, *digest = NULL;
    int rc = cut_ends(path, &tag, &digest, err);
    if (!rc)
        rc = check_repo(domain, n_domain, path, err);
    if (rc)
        return rc;
    return fill(out, dray_strf("%.*s/%s", (int)n_domain, domain, path), tag, digest, err);
}

int dray_ref_parse_tagged(const char *text, struct dray_ref *out, struct dray_err *err)
{
    int rc = dray_ref_parse(text, out, err);
    if (rc || out->tag || out->digest)
        return rc;
    out->tag = strdup("latest");
    if (out->tag)
        return 0;
    dray_ref_free(out);
    return dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

void dray_ref_free(struct dray_ref *r)
{
    free(r->repo);
    free(r->tag);
    free(r->digest);
    free(r->source);
    *r = (struct dray_ref){0};
}

const char *dray_ref_path(const char *repo)
{
    const char *slash = strchr(repo, '/');
    return slash ? slash + 1 : repo;
}

const char *dray_ref_familiar(const char *repo)
{
    if (!dray_str_prefix(repo, DEFAULT_DOMAIN "/"))
        return repo;
    const char *path = dray_ref_path(repo);
    if (dray_str_prefix(path, OFFICIAL) && !strchr(path + strlen(OFFICIAL), '/'))
        return path + strlen(OFFICIAL);
    return path;
}

char *dray_ref_key(const struct dray_ref *r)
{
    if (r->digest)
        return dray_strf("%s@%s", r->repo, r->digest);
    return dray_strf("%s:%s", r->repo, r->tag ? r->tag : "latest");
}

bool dray_ref_key_is_digest(const char *key)
{
    return strchr(key, '@') != NULL;
}

/* Where the repository of a key ends. */
static size_t repo_len(const char *key)
{
    const char *at = strchr(key, '@');
    if (at)
        return (size_t)(at - key);
    const char *colon = strrchr(key, ':');
    return colon ? (size_t)(colon - key) : strlen(key);
}

char *dray_ref_key_repo(const char *key)
{
    return strndup(key, repo_len(key));
}

const char *dray_ref_key_tag(const char *key)
{
    size_t n = repo_len(key);
    return key[n] ? key + n + 1 : key + n;
}
