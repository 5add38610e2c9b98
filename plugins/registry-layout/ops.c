/* SPDX-License-Identifier: Apache-2.0 */
/* ops.c - what the engine asks of a registry, done on an OCI layout. */
#include "layout.h"

#include <openssl/evp.h>
#include <poll.h>
#include <sys/stat.h>

static void place_cleanup(struct place *p)
{
    place_close(p);
}

static int check_call(const struct dray_call *call, struct dray_err *err)
{
    struct pollfd p = {.fd = call->cancel_fd, .events = POLLIN};
    if (call->cancel_fd >= 0 && poll(&p, 1, 0) > 0)
        return dray_fail(err, DRAY_E_CANCELED, "canceled");
    return 0;
}

static int32_t match(struct dray_self *s, const struct dray_call *call, const char *repo)
{
    (void)s, (void)call;
    return strncmp(repo, LAYOUT_PREFIX, sizeof LAYOUT_PREFIX - 1) == 0 ? 100 : 0;
}

/* --- resolve ----------------------------------------------------------------------------------*/

/** A manifest that no entry of the index names: below another index. Its type is in itself. */
static int describe_blob(const struct place *p, const char *digest, char **type_out,
                         size_t *len_out, struct dray_err *err)
{
    char member[96];
    dray_autofree char *text = NULL;
    if (!layout_member(digest, member))
        return dray_fail(err, DRAY_E_INVAL, "invalid digest \"%.100s\"", digest);
    int rc = place_read(p, member, &text, len_out, err);
    if (rc != 0)
        return rc;
    struct json_object *doc = json_tokener_parse(text);
    const char *type = layout_text(doc, "mediaType");
    if (!*type && json_object_is_type(doc, json_type_object))
        type = json_object_object_get_ex(doc, "manifests", NULL)
                   ? "application/vnd.oci.image.index.v1+json"
                   : "application/vnd.oci.image.manifest.v1+json";
    *type_out = *type ? strdup(type) : NULL;
    json_object_put(doc);
    return *type_out ? 0 : dray_fail(err, DRAY_E_CORRUPT, "%s is not a manifest", digest);
}

static int fill(struct dray_self *s, const struct dray_call *call, const char *type,
                const char *digest, uint64_t length, struct dray_desc *out, struct dray_err *err)
{
    out->media_type = dray_call_strdup(s->host, call, type);
    out->digest = dray_call_strdup(s->host, call, digest);
    out->length = length;
    out->urls = (struct dray_strs){0};
    return out->media_type && out->digest ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int32_t resolve(struct dray_self *s, const struct dray_call *call, const char *repo,
                       const char *tag_or_digest, const struct dray_auth *auth,
                       struct dray_desc *out, struct dray_err *err)
{
    (void)auth;
    __attribute__((cleanup(place_cleanup))) struct place p;
    struct json_object *index = NULL;
    bool by_digest = strchr(tag_or_digest, ':') != NULL;
    int rc = place_open(repo, false, &p, err);
    if (rc == 0)
        rc = layout_index(&p, &index, err);
    if (rc != 0)
        return rc;
    struct json_object *e =
        by_digest ? layout_find_digest(index, tag_or_digest) : layout_find(index, tag_or_digest);
    const char *digest = e ? layout_text(e, "digest") : by_digest ? tag_or_digest : NULL;
    dray_autofree char *type = NULL;
    size_t len = 0;
    if (!digest)
        rc = dray_fail(err, DRAY_E_NOTFOUND, "manifest for %s:%s not found", repo, tag_or_digest);
    else
        rc = describe_blob(&p, digest, &type, &len, err);
    const char *said = e ? layout_text(e, "mediaType") : "";
    if (rc == 0)
        rc = fill(s, call, *said ? said : type, digest, len, out, err);
    json_object_put(index);
    return rc;
}

/* --- fetch ------------------------------------------------------------------------------------*/

struct sink {
    const struct dray_call *call;
    int fd;
};

static int write_out(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    const struct sink *k = ctx;
    const char *p = data;
    int rc = check_call(k->call, err);
    while (rc == 0 && len > 0) {
        ssize_t n = write(k->fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EPIPE ? dray_fail(err, DRAY_E_CANCELED, "canceled")
                                  : dray_fail_errno(err, "write");
        p += n;
        len -= (size_t)n;
    }
    return rc;
}

static int32_t fetch(struct dray_self *s, const struct dray_call *call, const char *repo,
                     const struct dray_desc *d, uint64_t offset, const struct dray_auth *auth,
                     struct dray_fd_borrow out, struct dray_err *err)
{
    (void)s, (void)auth;
    char member[96];
    __attribute__((cleanup(place_cleanup))) struct place p;
    struct sink k = {call, out.fd};
    if (!layout_member(d->digest, member))
        return dray_fail(err, DRAY_E_INVAL, "invalid digest \"%.100s\"", d->digest);
    int rc = place_open(repo, false, &p, err);
    return rc ? rc : place_stream(&p, member, offset, write_out, &k, err);
}

static int32_t stat_(struct dray_self *s, const struct dray_call *call, const char *repo,
                     const struct dray_desc *d, const struct dray_auth *auth, struct dray_err *err)
{
    (void)s, (void)call, (void)auth;
    char member[96];
    __attribute__((cleanup(place_cleanup))) struct place p;
    int rc = place_open(repo, false, &p, err);
    if (rc != 0)
        return rc;
    return layout_member(d->digest, member) && place_has(&p, member)
               ? 0
               : dray_fail(err, DRAY_E_NOTFOUND, "%s is not in %s", d->digest, p.path);
}

/* --- push -------------------------------------------------------------------------------------*/

static bool is_manifest(const char *type)
{
    return strstr(type, "manifest.v1") || strstr(type, "index.v1") || strstr(type, "manifest.v2") ||
           strstr(type, "manifest.list");
}

static int check_digest(int fd, const char *want, struct dray_err *err)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char got[80] = "sha256:", *buf = malloc(256u << 10);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = buf && md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    ssize_t len = 1;
    for (off_t at = 0; ok && len > 0; at += len) {
        len = pread(fd, buf, 256u << 10, at);
        ok = len >= 0 && EVP_DigestUpdate(md, buf, (size_t)len) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(md, sum, &n) == 1;
    for (unsigned i = 0; ok && i < n; i++)
        (void)snprintf(got + 7 + (size_t)2 * i, 3, "%02x", sum[i]);
    EVP_MD_CTX_free(md);
    free(buf);
    return ok && strcmp(got, want) == 0
               ? 0
               : dray_fail(err, DRAY_E_CORRUPT, "what is pushed does not have the digest %s", want);
}

static int32_t push(struct dray_self *s, const struct dray_call *call, const char *repo,
                    const char *tag, const struct dray_desc *d, const struct dray_auth *auth,
                    struct dray_fd_borrow in, struct dray_err *err)
{
    (void)auth;
    char member[96];
    struct stat st;
    __attribute__((cleanup(place_cleanup))) struct place p;
    if (!layout_member(d->digest, member))
        return dray_fail(err, DRAY_E_INVAL, "invalid digest \"%.100s\"", d->digest);
    pthread_mutex_lock(&s->lock); /* one of several uploads makes the layout */
    int rc = place_open(repo, true, &p, err);
    pthread_mutex_unlock(&s->lock);
    if (rc == 0)
        rc = check_digest(in.fd, d->digest, err);
    if (rc == 0)
        rc = check_call(call, err);
    if (rc == 0 && fstat(in.fd, &st) != 0)
        rc = dray_fail_errno(err, "stat the content of %s", d->digest);
    if (rc == 0 && !place_has(&p, member))
        rc = place_write(&p, member, in.fd, NULL, 0, err);
    if (rc == 0 && is_manifest(d->media_type))
        rc = layout_set(s, &p, tag, d, (uint64_t)st.st_size, err);
    return rc;
}

/* --- tags -------------------------------------------------------------------------------------*/

static int32_t tags(struct dray_self *s, const struct dray_call *call, const char *repo,
                    const struct dray_auth *auth, struct dray_err *err)
{
    (void)auth;
    __attribute__((cleanup(place_cleanup))) struct place p;
    struct json_object *index = NULL, *list = NULL;
    int rc = place_open(repo, false, &p, err);
    if (rc == 0)
        rc = layout_index(&p, &index, err);
    if (rc != 0)
        return rc;
    size_t n =
        json_object_object_get_ex(index, "manifests", &list) ? json_object_array_length(list) : 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const char *tag = layout_tag(json_object_array_get_idx(list, i));
        if (!tag && n == 1)
            tag = "latest";
        if (!tag)
            continue;
        struct dray_kv kv = {"tag", tag};
        struct dray_record rec = {sizeof rec, DRAY_REC_ITEM, {&kv, 1}};
        rc = s->host->emit(call, &rec);
    }
    json_object_put(index);
    return rc;
}

const struct dray_registry_ops layout_ops = {
    .head = DRAY_TABLE(struct dray_registry_ops, 0),
    .match = match,
    .resolve = resolve,
    .fetch = fetch,
    .stat = stat_,
    .push = push,
    .tags = tags,
};
