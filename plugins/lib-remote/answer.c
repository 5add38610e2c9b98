/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - the JSON of questions and answers, and what an answer means. */
#include "remote.h"

struct json_object *dray_remote_obj(struct json_object *obj, const char *key)
{
    struct json_object *v = NULL;
    if (json_object_is_type(obj, json_type_object))
        (void)json_object_object_get_ex(obj, key, &v);
    return v;
}

const char *dray_remote_str(struct json_object *obj, const char *key)
{
    struct json_object *v = dray_remote_obj(obj, key);
    return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

bool dray_remote_bool(struct json_object *obj, const char *key)
{
    struct json_object *v = dray_remote_obj(obj, key);
    return json_object_is_type(v, json_type_boolean) && json_object_get_boolean(v);
}

void dray_remote_add(struct json_object *obj, const char *key, const char *text)
{
    (void)json_object_object_add(obj, key, json_object_new_string(text ? text : ""));
}

struct json_object *dray_remote_kvs(struct dray_kvs kvs)
{
    struct json_object *o = json_object_new_object();
    for (uint64_t i = 0; i < kvs.n; i++)
        dray_remote_add(o, kvs.v[i].key, kvs.v[i].value);
    return o;
}

/* --- answers -----------------------------------------------------------------------------------*/

static int refusal(const char *path, long status, const char *words, struct dray_err *err)
{
    int n = (int)strlen(words);
    while (n > 0 && strchr(" \t\r\n", words[n - 1]))
        n--;
    return dray_fail(err, status == 404 ? DRAY_E_NOTFOUND : DRAY_E_INTERNAL, "%s: %.*s", path,
                     n > 300 ? 300 : n, words);
}

static bool is_null(const char *text)
{
    text += strspn(text, " \t\r\n");
    return strncmp(text, "null", 4) == 0 && text[4 + strspn(text + 4, " \t\r\n")] == '\0';
}

int dray_remote_judge(const struct dray_remote *r, const char *path, long status, const char *text,
                      struct json_object **out, struct dray_err *err)
{
    dray_remote_auto *doc = text ? json_tokener_parse(text) : NULL;
    const char *words = dray_remote_str(doc, "Err");
    if (status != 200)
        return refusal(path, status, *words ? words : text ? text : "no words", err);
    if (text && is_null(text)) /* Go's way to answer nothing */
        doc = json_object_new_object();
    if (!json_object_is_type(doc, json_type_object))
        return dray_fail(err, DRAY_E_IO,
                         "the plugin \"%s\" answered %s with what is no JSON object", r->name,
                         path);
    if (*words)
        return refusal(path, status, words, err);
    *out = dray_steal(doc);
    return 0;
}

/* What Plugin.Activate calls it. */
static const char *implements(const struct dray_remote *r)
{
    return strcmp(r->subject, "AuthZPlugin") == 0 ? "authz" : r->subject;
}

int dray_remote_implements(const struct dray_remote *r, struct json_object *answer,
                           struct dray_err *err)
{
    struct json_object *all = dray_remote_obj(answer, "Implements");
    size_t n = json_object_is_type(all, json_type_array) ? json_object_array_length(all) : 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(all, i);
        if (json_object_is_type(v, json_type_string) &&
            strcmp(json_object_get_string(v), implements(r)) == 0)
            return 0;
    }
    return dray_fail(err, DRAY_E_NOTSUP, "the plugin \"%s\" does not implement %s", r->name,
                     implements(r));
}
