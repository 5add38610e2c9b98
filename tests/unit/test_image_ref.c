/* SPDX-License-Identifier: Apache-2.0 */
/* test_image_ref.c - the grammar of references, as a table. */
#include "engine/image/image_ref.h"

#include "check.h"

#define HEX "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct {
    const char *text, *repo, *tag, *digest; /* repo NULL: refused */
} refs[] = {
    {"busybox", "docker.io/library/busybox", NULL, NULL},
    {"busybox:1.36", "docker.io/library/busybox", "1.36", NULL},
    {"user/x", "docker.io/user/x", NULL, NULL},
    {"docker.io/busybox", "docker.io/library/busybox", NULL, NULL},
    {"index.docker.io/user/x:t", "docker.io/user/x", "t", NULL},
    {"localhost/x", "localhost/x", NULL, NULL},
    {"localhost:5000", "docker.io/library/localhost", "5000", NULL},
    {"localhost:5000/a/b:c", "localhost:5000/a/b", "c", NULL},
    {"127.0.0.1:5000/x", "127.0.0.1:5000/x", NULL, NULL},
    {"[::1]:5000/x", "[::1]:5000/x", NULL, NULL},
    {"[fd00::1]/x:y", "[fd00::1]/x", "y", NULL},
    {"Host.example/x", "Host.example/x", NULL, NULL},
    {"UPPER/x", "UPPER/x", NULL, NULL},
    {"a.b/c__d/e-f--g.h_i", "a.b/c__d/e-f--g.h_i", NULL, NULL},
    {"x@sha256:" HEX, "docker.io/library/x", NULL, "sha256:" HEX},
    {"x:t@sha256:" HEX, "docker.io/library/x", "t", "sha256:" HEX},
    {"", NULL, NULL, NULL},
    {"Busybox", NULL, NULL, NULL},
    {"a/B", NULL, NULL, NULL},
    {"x:", NULL, NULL, NULL},
    {"x:-a", NULL, NULL, NULL},
    {":x", NULL, NULL, NULL},
    {"-x", NULL, NULL, NULL},
    {"x-", NULL, NULL, NULL},
    {"x..y", NULL, NULL, NULL},
    {"x___y", NULL, NULL, NULL},
    {"a//b", NULL, NULL, NULL},
    {"a/", NULL, NULL, NULL},
    {"/a", NULL, NULL, NULL},
    {"../a", NULL, NULL, NULL},
    {"x y", NULL, NULL, NULL},
    {"x@sha256:abc", NULL, NULL, NULL},
    {"x@md5:abc", NULL, NULL, NULL},
    {"x@", NULL, NULL, NULL},
    {"host.:5000/x", NULL, NULL, NULL},
    {"host:port/x", NULL, NULL, NULL},
    {HEX, NULL, NULL, NULL},
    {"oci:/srv/app", "localhost/srv/app", NULL, NULL},
    {"oci:/srv/My App_1.2..x-/:v1", "localhost/srv/my-app_1.2-x", "v1", NULL},
    {"oci:/srv/app.tar:2", "localhost/srv/app.tar", "2", NULL},
    {"oci:/srv/app@sha256:" HEX, "localhost/srv/app", NULL, "sha256:" HEX},
    {"oci:/srv/../etc", NULL, NULL, NULL},
    {"oci:/", NULL, NULL, NULL},
    {"oci:/...", NULL, NULL, NULL},
    {"oci:x/y", NULL, NULL, NULL},
};

static bool same(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static void test_grammar(void)
{
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
        DRAY_AUTO(dray_ref) r = {0};
        struct dray_err err = {0};
        int rc = dray_ref_parse(refs[i].text, &r, &err);
        bool ok = refs[i].repo ? rc == 0 && same(r.repo, refs[i].repo) &&
                                     same(r.tag, refs[i].tag) && same(r.digest, refs[i].digest)
                               : rc == DRAY_E_INVAL;
        if (!ok)
            printf("reference \"%s\": %d \"%s\" %s %s %s\n", refs[i].text, rc, err.text,
                   r.repo ? r.repo : "-", r.tag ? r.tag : "-", r.digest ? r.digest : "-");
        CU_ASSERT_TRUE(ok);
    }
}

static void test_source(void)
{
    DRAY_AUTO(dray_ref) r = {0};
    CU_ASSERT_EQUAL_FATAL(dray_ref_parse("oci:/srv/My App:1", &r, NULL), 0);
    CU_ASSERT_STRING_EQUAL(dray_ref_source(&r), "oci:/srv/My App");
    DRAY_AUTO(dray_ref) plain = {0};
    CU_ASSERT_EQUAL_FATAL(dray_ref_parse("x", &plain, NULL), 0);
    CU_ASSERT_STRING_EQUAL(dray_ref_source(&plain), "docker.io/library/x");
}

static void test_words(void)
{
    struct dray_err err = {0};
    DRAY_AUTO(dray_ref) r = {0};
    CU_ASSERT_EQUAL(dray_ref_parse("Busybox", &r, &err), DRAY_E_INVAL);
    CU_ASSERT_STRING_EQUAL(
        err.text, "invalid reference format: repository name (library/Busybox) must be lowercase");
    CU_ASSERT_EQUAL(dray_ref_parse("a:b:c", &r, &err), DRAY_E_INVAL);
    CU_ASSERT_STRING_EQUAL(err.text, "invalid reference format");
}

static void test_limits(void)
{
    char name[400];
    memset(name, 'a', sizeof name);
    name[255 - strlen("docker.io/library/")] = '\0';
    DRAY_AUTO(dray_ref) fits = {0};
    CU_ASSERT_EQUAL(dray_ref_parse(name, &fits, NULL), 0);
    DRAY_AUTO(dray_ref) longer = {0};
    name[255 - strlen("docker.io/library/")] = 'a';
    name[256 - strlen("docker.io/library/")] = '\0';
    CU_ASSERT_EQUAL(dray_ref_parse(name, &longer, NULL), DRAY_E_INVAL);
    char tag[140];
    memset(tag, 't', sizeof tag);
    tag[128] = '\0';
    CU_ASSERT_TRUE(dray_ref_tag_valid(tag));
    tag[128] = 't';
    tag[129] = '\0';
    CU_ASSERT_FALSE(dray_ref_tag_valid(tag));
}

static void test_keys(void)
{
    DRAY_AUTO(dray_ref) r = {0};
    CU_ASSERT_EQUAL(dray_ref_parse_tagged("localhost:5000/a/b", &r, NULL), 0);
    dray_autofree char *key = dray_ref_key(&r);
    CU_ASSERT_STRING_EQUAL(key, "localhost:5000/a/b:latest");
    dray_autofree char *repo = dray_ref_key_repo(key);
    CU_ASSERT_STRING_EQUAL(repo, "localhost:5000/a/b");
    CU_ASSERT_STRING_EQUAL(dray_ref_key_tag(key), "latest");
    CU_ASSERT_STRING_EQUAL(dray_ref_familiar("docker.io/library/x:1"), "x:1");
    CU_ASSERT_STRING_EQUAL(dray_ref_familiar("docker.io/library/a/b"), "library/a/b");
    CU_ASSERT_STRING_EQUAL(dray_ref_familiar("docker.io/u/x"), "u/x");
    CU_ASSERT_STRING_EQUAL(dray_ref_familiar("quay.io/u/x"), "quay.io/u/x");
    CU_ASSERT_TRUE(dray_ref_key_is_digest("docker.io/library/x@sha256:" HEX));
}

static const struct check_case cases[] = {
    {"grammar", test_grammar},
    {"a layout's source", test_source},
    {"words", test_words},
    {"limits", test_limits},
    {"keys", test_keys},
};
CHECK_MAIN("image_ref", cases)
