/* SPDX-License-Identifier: Apache-2.0 */
/* image_tag.c - gives images names. */
#include "engine/image/image_priv.h"

int img_tag_check(const struct dray_ref *ref, struct dray_err *err)
{
    if (ref->digest)
        return dray_fail(err, DRAY_E_INVAL, "refusing to create a tag with a digest reference");
    /* "sha256:x" would be taken for a digest where it is asked for */
    if (strcmp(ref->repo, "docker.io/library/sha256") == 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "refusing to create an ambiguous tag using digest algorithm as name");
    return 0;
}

int dray_images_tag(struct dray_images *im, const char *image, const char *name,
                    struct dray_err *err)
{
    DRAY_AUTO(dray_ref) ref = {0};
    int rc = dray_ref_parse_tagged(name, &ref, err);
    if (!rc)
        rc = img_tag_check(&ref, err);
    if (rc)
        return rc;
    char id[DRAY_DIGEST_LEN] = "";
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_lookup(im, image, NULL, err);
    if (g)
        memcpy(id, g->id, sizeof id);
    pthread_mutex_unlock(&im->lock);
    if (!g)
        return err ? err->code : DRAY_E_NOTFOUND;
    dray_autofree char *key = dray_ref_key(&ref);
    rc = key ? img_ref_set(im, key, id, true, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        img_event(im, id, dray_ref_key_familiar(key), "tag");
    return rc;
}

bool dray_images_is(struct dray_images *im, const char *ref, const char *image_id)
{
    pthread_mutex_lock(&im->lock);
    const struct img *g = img_lookup(im, ref, NULL, NULL);
    bool same = g && strcmp(g->id, image_id) == 0;
    pthread_mutex_unlock(&im->lock);
    return same;
}
