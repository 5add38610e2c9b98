/* SPDX-License-Identifier: Apache-2.0 */
/* lint.c - what was found in a Dockerfile, as the frontend's request "lint" answers. */
#include "base/json.h"
#include "kit/frontend.h"

#include <openssl/evp.h>

void kit_lint_cleanup(struct kit_lint *l)
{
    json_object_put(l->warnings);
    dray_buf_free(&l->text);
    free(l->json);
}

static struct json_object *place_of(struct json_object *finding)
{
    struct json_object *o = json_object_new_object(), *ranges = json_object_new_array();
    int64_t line = dray_json_int(finding, "line", 0);
    if (line > 0)
        json_object_array_add(ranges, kit_place_range(line, line));
    dray_json_add(o, "ranges", ranges);
    return o;
}

static void take_finding(struct kit_lint *l, struct json_object *f)
{
    struct json_object *w = json_object_new_object();
    const char *rule = dray_json_str(f, "rule", ""), *url = dray_json_str(f, "url", "");
    const char *detail = dray_json_str(f, "detail", "");
    dray_json_add_str(w, "ruleName", rule);
    dray_json_add_str(w, "description", dray_json_str(f, "description", ""));
    dray_json_add_str(w, "url", url);
    dray_json_add_str(w, "detail", detail);
    dray_json_add(w, "location", place_of(f));
    l->warnings = l->warnings ? l->warnings : json_object_new_array();
    json_object_array_add(l->warnings, w);
    l->any = true;
    dray_buf_addf(&l->text, "\nWARNING: %s - %s\n%s\n\n%s", rule, url, detail,
                  dray_json_str(f, "excerpt", ""));
}

static void take_end(struct kit_lint *l, struct json_object *end)
{
    dray_autojson *all = json_object_new_object();
    struct json_object *sources = json_object_new_array(), *source = json_object_new_object();
    const char *text = dray_json_str(end, "text", ""), *error = dray_json_str(end, "error", NULL);
    size_t n = strlen(text);
    DRAY_AUTO(dray_buf) coded = {0};
    char *room = dray_buf_room(&coded, 4 * (n / 3 + 1) + 4);
    if (!room)
        return;
    (void)EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)text, (int)n);
    dray_json_add_str(source, "filename", dray_json_str(end, "file", "Dockerfile"));
    dray_json_add_str(source, "language", "Dockerfile");
    dray_json_add_str(source, "data", room);
    json_object_array_add(sources, source);
    dray_json_add(all, "warnings",
                  l->warnings ? json_object_get(l->warnings) : json_object_new_array());
    dray_json_add(all, "sources", sources);
    if (error) {
        struct json_object *failed = json_object_new_object();
        dray_json_add_str(failed, "message", error);
        dray_json_add(all, "buildError", failed);
    }
    free(l->json);
    l->json = strdup(dray_json_text(all));
}

void kit_lint_take(struct kit_lint *l, const char *kind, struct json_object *o)
{
    if (strcmp(kind, "finding") == 0)
        take_finding(l, o);
    else if (strcmp(kind, "check") == 0)
        take_end(l, o);
}

void kit_lint_answer(const struct kit_lint *l, struct dray_buf *result)
{
    const struct dray_kv entries[] = {{"result.json", l->json ? l->json : "{}"},
                                      {"result.txt", l->text.data ? l->text.data : ""},
                                      {"result.statuscode", l->any ? "1" : "0"},
                                      {"version", "1.0.0"}};
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        pb_entry(result, 10, entries[i].key, entries[i].value);
}
