/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_manifest.c - libFuzzer target: any bytes as a manifest, an index, an image config, a
 * reference. None breaks the program; what is accepted holds what its reader is promised.
 */
#include "engine/image/image_manifest.h"
#include "fuzz.h"

static void check_desc(struct json_object *o)
{
    struct img_desc d = {0};
    struct dray_err err = {0};
    if (img_desc_parse(o, &d, &err) == 0)
        need(dray_digest_valid(d.digest) && d.media_type);
    else
        need(err.text[0] != '\0');
    img_desc_free(&d);
}

static void try_manifest(const char *text, size_t len)
{
    struct img_desc config = {0};
    struct json_object *layers = NULL, *doc = NULL;
    struct dray_err err = {0};
    if (img_manifest_read(text, len, &config, &layers, &doc, &err) != 0) {
        need(err.text[0] != '\0');
        return;
    }
    need(dray_digest_valid(config.digest));
    for (size_t i = 0; i < dray_json_len(layers); i++)
        check_desc(json_object_array_get_idx(layers, i));
    img_desc_free(&config);
    json_object_put(doc);
}

static void try_documents(const char *text, size_t len)
{
    dray_autojson *doc = NULL;
    struct json_object *entry = NULL;
    struct img_platform pf = {0};
    if (dray_json_parse(text, len, &doc, NULL) != 0)
        return;
    need(img_platform_parse("linux/arm64/v8", &pf, NULL) == 0);
    if (img_index_choose(doc, &pf, &entry, NULL) == 0)
        check_desc(entry);
    struct img *g = calloc(1, sizeof *g);
    need(g != NULL);
    (void)img_from_config(g, doc, NULL);
    img_free(g);
}

/* What is accepted is canonical: read again it is the same. */
static void try_reference(const char *text)
{
    DRAY_AUTO(dray_ref) a = {0};
    DRAY_AUTO(dray_ref) b = {0};
    struct dray_err err = {0};
    if (dray_ref_parse(text, &a, &err) != 0) {
        need(err.text[0] != '\0');
        return;
    }
    dray_autofree char *key = dray_ref_key(&a);
    need(key && dray_ref_parse(key, &b, NULL) == 0 && strcmp(a.repo, b.repo) == 0);
    dray_autofree char *again = dray_ref_key(&b);
    dray_autofree char *repo = dray_ref_key_repo(key);
    need(again && strcmp(key, again) == 0 && repo && strcmp(repo, a.repo) == 0);
    /* What users see may name something else when it is read again, as Docker's does. */
    DRAY_AUTO(dray_ref) c = {0};
    (void)dray_ref_parse(dray_ref_key_familiar(key), &c, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dray_autofree char *text = fuzz_copy(data, size);
    try_manifest(text, size);
    try_documents(text, size);
    try_reference(text);
    return 0;
}
