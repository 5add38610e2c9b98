/* SPDX-License-Identifier: Apache-2.0 */
/* image_manifest.c - chooses from an index, and reads what a manifest says. */
#include "engine/image/image_manifest.h"

#include <stdio.h>

#define LAYERS_MAX 1024u

bool img_is_index(const char *media_type)
{
    return strcmp(media_type, MT_OCI_INDEX) == 0 || strcmp(media_type, MT_DOCKER_LIST) == 0;
}

/* How well a platform of an index fits: 0 not at all. */
static int fit(const struct img_platform *want, struct json_object *platform)
{
    struct img_platform have;
    img_platform_read(platform, &have);
    img_platform_normal(&have);
    const char *arch = have.arch, *variant = have.variant;
    if (strcmp(have.os, want->os) != 0)
        return 0;
    bool arm = strcmp(want->arch, "arm") == 0;
    if (strcmp(arch, want->arch) == 0) {
        if (strcmp(variant, want->variant) == 0)
            return 100;
        if (arm) /* an older one runs as well: the newest of them */
            return strcmp(variant, want->variant) < 0 && *variant == 'v' ? 50 + variant[1] - '0'
                                                                         : 0;
        if (strcmp(want->arch, "amd64") == 0)
            return *variant ? (want->variant[0] && strcmp(variant, want->variant) < 0 ? 50 : 0)
                            : 90;
        return !*variant || !want->variant[0] ? 80 : 0;
    }
    if (strcmp(want->arch, "amd64") == 0 && strcmp(arch, "386") == 0)
        return 10;
    return strcmp(want->arch, "arm64") == 0 && strcmp(arch, "arm") == 0 ? 10 : 0;
}

bool img_is_attestation(struct json_object *entry, char about[DRAY_DIGEST_LEN])
{
    struct json_object *notes = dray_json_obj(entry, "annotations"), *v = NULL;
    *about = '\0';
    if (notes && json_object_object_get_ex(notes, "vnd.docker.reference.digest", &v) &&
        dray_digest_valid(json_object_get_string(v)))
        (void)snprintf(about, DRAY_DIGEST_LEN, "%s", json_object_get_string(v));
    if (notes && json_object_object_get_ex(notes, "vnd.docker.reference.type", &v))
        return true;
    return strcmp(dray_json_str(entry, "platform.os", ""), "unknown") == 0;
}

int img_index_choose(struct json_object *index, const struct img_platform *want,
                     struct json_object **entry_out, struct dray_err *err)
{
    struct json_object *list = dray_json_arr(index, "manifests");
    int best = 0;
    *entry_out = NULL;
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *e = json_object_array_get_idx(list, i);
        struct json_object *platform = dray_json_obj(e, "platform");
        char about[DRAY_DIGEST_LEN];
        int score = img_is_attestation(e, about) ? 0 : platform ? fit(want, platform) : 1;
        if (score > best) {
            best = score;
            *entry_out = e;
        }
    }
    if (*entry_out)
        return 0;
    return dray_fail(err, DRAY_E_NOTFOUND,
                     "no matching manifest for %s/%s%s%s in the manifest list entries", want->os,
                     want->arch, want->variant[0] ? "/" : "", want->variant);
}

static bool known_config(const char *type)
{
    return strcmp(type, MT_DOCKER_CONFIG) == 0 || strcmp(type, MT_OCI_CONFIG) == 0 ||
           strcmp(type, "application/octet-stream") == 0 || !*type;
}

int img_manifest_read(const char *text, size_t len, struct img_desc *config,
                      struct json_object **layers_out, struct json_object **doc_out,
                      struct dray_err *err)
{
    dray_autojson *doc = NULL;
    int rc = dray_json_parse(text, len, &doc, err);
    if (rc)
        return dray_fail(err, DRAY_E_CORRUPT, "the manifest is not valid JSON");
    if (dray_json_int(doc, "schemaVersion", 0) == 1)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "Docker Image Format v1 and Docker Image manifest version 2, schema 1 "
                         "are not supported; suggest the author of the image to upgrade it");
    struct json_object *layers = dray_json_arr(doc, "layers");
    if (!dray_json_obj(doc, "config") || !layers)
        return dray_fail(err, DRAY_E_CORRUPT, "the manifest has no config or no layers");
    if (dray_json_len(layers) > LAYERS_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "the manifest has more than %u layers", LAYERS_MAX);
    rc = img_desc_parse(dray_json_obj(doc, "config"), config, err);
    if (rc)
        return rc;
    if (!known_config(config->media_type)) {
        rc = dray_fail(err, DRAY_E_NOTSUP,
                       "unsupported config media type \"%.120s\": this is not a container image",
                       config->media_type);
        img_desc_free(config);
        return rc;
    }
    *layers_out = layers;
    *doc_out = dray_steal(doc);
    return 0;
}
