/* SPDX-License-Identifier: Apache-2.0 */
/* opts.c - the options of a local volume: checked, compared, kept in opts.json. */
#include "local.h"

#include <json-c/json.h>

void local_opts_cleanup(struct local_opts *opts)
{
    free(opts->type);
    free(opts->device);
    free(opts->o);
    *opts = (struct local_opts){0};
}

static const char *text_of(const char *text)
{
    return text ? text : "";
}

static bool same(const char *a, const char *b)
{
    return strcmp(text_of(a), text_of(b)) == 0;
}

bool dray_local_opts_equal(const struct local_opts *a, const struct local_opts *b)
{
    return same(a->type, b->type) && same(a->device, b->device) && same(a->o, b->o) &&
           a->size == b->size;
}

bool dray_local_opts_empty(const struct local_opts *opts)
{
    const struct local_opts none = {0};
    return dray_local_opts_equal(opts, &none);
}

bool dray_local_opts_mounts(const struct local_opts *opts)
{
    return text_of(opts->type)[0] != '\0' || text_of(opts->device)[0] != '\0';
}

/* --- from the client --------------------------------------------------------------------------*/

static int check_names(struct dray_kvs kvs, struct dray_err *err)
{
    static const char *const known[] = {"type", "o", "device", "size"};
    static const struct {
        const char *given, *needed;
    } needs[] = {{"device", "type"}, {"type", "device"}, {"o", "device"}, {"o", "type"}};
    for (uint64_t i = 0; i < kvs.n; i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            found = found || strcmp(kvs.v[i].key, known[k]) == 0;
        if (!found)
            return dray_fail(err, DRAY_E_INVAL, "invalid option: \"%s\"", kvs.v[i].key);
    }
    for (size_t k = 0; k < sizeof needs / sizeof *needs; k++)
        if (dray_kvs_get(kvs, needs[k].given, NULL) && !dray_kvs_get(kvs, needs[k].needed, NULL))
            return dray_fail(err, DRAY_E_INVAL, "missing required option: \"%s\"",
                             needs[k].needed);
    return 0;
}

static int keep(char **to, const char *text, struct dray_err *err)
{
    *to = strdup(text);
    return *to ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int dray_local_opts_parse(const struct dray_self *self, struct dray_kvs kvs, struct local_opts *out,
                          struct dray_err *err)
{
    int rc = check_names(kvs, err);
    if (rc == 0)
        rc = dray_pl_quota_parse(dray_kvs_get(kvs, "size", ""), &out->size, err);
    if (rc == 0 && out->size > 0 && !self->quota)
        rc = dray_fail(err, DRAY_E_INVAL, "quota size requested but no quota support");
    if (rc == 0)
        rc = keep(&out->type, dray_kvs_get(kvs, "type", ""), err);
    if (rc == 0)
        rc = keep(&out->device, dray_kvs_get(kvs, "device", ""), err);
    return rc < 0 ? rc : keep(&out->o, dray_kvs_get(kvs, "o", ""), err);
}

/* --- on disk ----------------------------------------------------------------------------------*/

static int member(struct json_object *doc, const char *key, char **out, struct dray_err *err)
{
    struct json_object *value;
    if (!json_object_object_get_ex(doc, key, &value))
        return keep(out, "", err);
    return keep(out, text_of(json_object_get_string(value)), err);
}

static int read_doc(struct json_object *doc, struct local_opts *out, struct dray_err *err)
{
    struct json_object *quota, *size;
    if (!json_object_is_type(doc, json_type_object))
        return dray_fail(err, DRAY_E_CORRUPT, "opts.json is not an object");
    if (json_object_object_get_ex(doc, "Quota", &quota) &&
        json_object_object_get_ex(quota, "Size", &size))
        out->size = json_object_get_uint64(size);
    int rc = member(doc, "MountType", &out->type, err);
    if (rc == 0)
        rc = member(doc, "MountDevice", &out->device, err);
    return rc < 0 ? rc : member(doc, "MountOpts", &out->o, err);
}

int dray_local_opts_load(int dir, struct local_opts *out, struct dray_err *err)
{
    char text[65536];
    ssize_t n = dray_pl_read_small(dir, "opts.json", text, sizeof text);
    if (n < 0 && errno == ENOENT)
        return 0;
    if (n < 0)
        return dray_fail_errno(err, "read opts.json");
    struct json_object *doc = json_tokener_parse(text);
    int rc = read_doc(doc, out, err);
    json_object_put(doc);
    return rc;
}

int dray_local_opts_save(int dir, const struct local_opts *opts, struct dray_err *err)
{
    struct json_object *doc = json_object_new_object();
    struct json_object *quota = json_object_new_object();
    (void)json_object_object_add(doc, "MountType", json_object_new_string(text_of(opts->type)));
    (void)json_object_object_add(doc, "MountOpts", json_object_new_string(text_of(opts->o)));
    (void)json_object_object_add(doc, "MountDevice", json_object_new_string(text_of(opts->device)));
    (void)json_object_object_add(quota, "Size", json_object_new_uint64(opts->size));
    (void)json_object_object_add(doc, "Quota", quota);
    const char *text = json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PLAIN);
    int rc = text ? dray_pl_replace(dir, "opts.json", text, strlen(text), 0600, err)
                  : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    json_object_put(doc);
    return rc;
}
