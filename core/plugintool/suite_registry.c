/* SPDX-License-Identifier: Apache-2.0 */
/* suite_registry.c - an image is found and fetched, from the middle too; unknown ones are told. */
#include "check.h"

#include "base/digest.h"
#include "base/fs.h"

#include <sys/mman.h>

#define MAX_MANIFEST ((size_t)4 << 20)

static const struct dray_auth nobody = {.size = sizeof nobody,
                                        .username = "",
                                        .password = "",
                                        .identity_token = "",
                                        .registry_token = "",
                                        .server = ""};

struct found {
    char type[128], digest[DRAY_DIGEST_LEN];
    uint64_t length;
};

static int resolve(struct ck *c, const char *what, struct found *out)
{
    struct dray_desc d = {.size = sizeof d};
    int rc = CK(c, registry, resolve, NULL, c->want->repository, what, &nobody, &d);
    (void)snprintf(out->type, sizeof out->type, "%s", !rc && d.media_type ? d.media_type : "");
    (void)snprintf(out->digest, sizeof out->digest, "%s", !rc && d.digest ? d.digest : "");
    out->length = d.length;
    return rc;
}

static struct dray_desc desc_of(const struct found *f)
{
    return (struct dray_desc){.size = sizeof(struct dray_desc),
                              .media_type = f->type,
                              .digest = f->digest,
                              .length = f->length};
}

static int fetch(struct ck *c, const struct found *f, uint64_t offset, struct dray_buf *out)
{
    const struct dray_desc d = desc_of(f);
    dray_autofd int fd = memfd_create("blob", MFD_CLOEXEC);
    (void)CK(c, registry, fetch, NULL, c->want->repository, &d, offset, &nobody,
             (struct dray_fd_borrow){fd});
    if (lseek(fd, 0, SEEK_SET) == 0)
        (void)dray_fs_read_fd(fd, MAX_MANIFEST, out, NULL);
    return c->rc;
}

static void check_fetch(struct ck *c, const struct found *f)
{
    DRAY_AUTO(dray_buf) whole = {0};
    DRAY_AUTO(dray_buf) rest = {0};
    char digest[DRAY_DIGEST_LEN];
    (void)fetch(c, f, 0, &whole);
    if (!ck_expect(c, 0, "fetch() of the manifest"))
        return;
    dray_digest_of(whole.data, whole.len, digest);
    (void)ck_true(c, strcmp(digest, f->digest) == 0, "its bytes have that digest");
    (void)ck_true(c, f->length == UINT64_MAX || f->length == whole.len, "and that length");
    size_t half = whole.len / 2;
    if (fetch(c, f, half, &rest) == DRAY_E_CONFLICT)
        (void)ck_true(c, rest.len == 0, "it cannot go on from the middle, and writes nothing then");
    else if (ck_expect(c, 0, "fetch() from the middle"))
        (void)ck_true(
            c, rest.len == whole.len - half && memcmp(rest.data, whole.data + half, rest.len) == 0,
            "it gives the second half");
}

static void check_unknown(struct ck *c)
{
    struct found f = {0};
    (void)resolve(c, "dray-check-no-such-tag", &f);
    (void)ck_expect(c, DRAY_E_NOTFOUND, "resolve() of an unknown tag");
    memset(f.digest, 'a', sizeof f.digest - 1);
    memcpy(f.digest, "sha256:", 7);
    f.digest[DRAY_DIGEST_LEN - 1] = '\0';
    (void)snprintf(f.type, sizeof f.type, "application/octet-stream");
    f.length = 1;
    const struct dray_desc d = desc_of(&f);
    if (!ck_has(c, "stat"))
        return;
    (void)CK(c, registry, stat, NULL, c->want->repository, &d, &nobody);
    (void)ck_expect(c, DRAY_E_NOTFOUND, "stat() of an unknown blob");
}

void ck_registry(struct ck *c)
{
    const struct ck_request *w = c->want;
    const char *repo = w->repository ? w->repository : "docker.io/library/busybox";
    struct found f = {0}, again = {0};
    c->err = (struct dray_err){0};
    int score = ck_enter(c, "match", NULL, false);
    if (!score)
        score = ((const struct dray_registry_ops *)c->scope.ops)
                    ->match(c->scope.self, &c->scope.call, repo);
    (void)ck_result(c, 0);
    (void)ck_true(c, score >= (w->repository ? 1 : 0) && score <= 100,
                  w->repository ? "match() knows the repository" : "match() gives 0 to 100");
    if (!w->repository) {
        ck_skip(c, "name an image that it can find with --image REPOSITORY:TAG");
        return;
    }
    (void)resolve(c, w->tag, &f);
    if (!ck_expect(c, 0, "resolve() of the tag"))
        return;
    (void)ck_true(c, dray_digest_valid(f.digest) && strchr(f.type, '/'),
                  "it gives a sha256 digest and a media type");
    (void)resolve(c, f.digest, &again);
    if (ck_expect(c, 0, "resolve() of the digest"))
        (void)ck_true(c, strcmp(f.digest, again.digest) == 0, "it is the same");
    check_fetch(c, &f);
    check_unknown(c);
    if (ck_has(c, "tags")) {
        dray_autofree char *field = dray_strf("tag=%s", w->tag);
        (void)CK(c, registry, tags, NULL, w->repository, &nobody);
        if (ck_expect(c, 0, "tags()"))
            (void)ck_true(c, ck_emitted(c, field), "it names the tag");
    }
}
