/* SPDX-License-Identifier: Apache-2.0 */
/* lint.c - what is told of a Dockerfile in place of building it, as the frontend answers requests.
 */
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

/* The answer, as clients show it. */
static void set_json(struct kit_lint *l, struct json_object *o)
{
    free(l->json);
    l->json = strdup(json_object_to_json_string_ext(
        o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static char *base64(const char *text)
{
    size_t n = strlen(text);
    DRAY_AUTO(dray_buf) coded = {0};
    char *room = dray_buf_room(&coded, 4 * (n / 3 + 1) + 4);
    if (!room)
        return NULL;
    coded.len = (size_t)EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)text, (int)n);
    return dray_buf_steal(&coded);
}

static void take_described(struct kit_lint *l, struct json_object *o)
{
    struct json_object *result = dray_json_obj(o, "result"), *sources = json_object_new_array();
    dray_autofree char *text = base64(dray_json_str(o, "text", ""));
    json_object_array_add(sources, json_object_new_string(text ? text : ""));
    dray_json_add(result, "sources", sources);
    set_json(l, result);
}

static void take_end(struct kit_lint *l, struct json_object *end)
{
    dray_autojson *all = json_object_new_object();
    struct json_object *sources = json_object_new_array(), *source = json_object_new_object();
    const char *text = dray_json_str(end, "text", ""), *error = dray_json_str(end, "error", NULL);
    dray_autofree char *coded = base64(text);
    dray_json_add_str(source, "filename", dray_json_str(end, "file", "Dockerfile"));
    dray_json_add_str(source, "language", "Dockerfile");
    dray_json_add_str(source, "data", coded ? coded : "");
    json_object_array_add(sources, source);
    dray_json_add(all, "warnings",
                  l->warnings ? json_object_get(l->warnings) : json_object_new_array());
    dray_json_add(all, "sources", sources);
    if (error) {
        struct json_object *failed = json_object_new_object();
        dray_json_add_str(failed, "message", error);
        dray_json_add(all, "buildError", failed);
    }
    set_json(l, all);
}

void kit_lint_take(struct kit_lint *l, const char *kind, struct json_object *o)
{
    if (strcmp(kind, "finding") == 0)
        take_finding(l, o);
    else if (strcmp(kind, "check") == 0)
        take_end(l, o);
    else if (strcmp(kind, "described") == 0)
        take_described(l, o);
}

static const struct {
    const char *id, *description, *own; /* own: what the builder calls it */
    bool target, listed;
} requests[] = {
    {"frontend.outline", "List all parameters current build target supports", "outline", true,
     true},
    {"frontend.targets", "List all targets current build supports", "targets", false, true},
    {"frontend.subrequests.describe", "List available subrequest types", NULL, false, true},
    {"frontend.lint", "Lint a Dockerfile", NULL, true, false},
};

bool kit_lint_request(const char *id, const char **out)
{
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        if (strcmp(requests[i].id, id) == 0) {
            *out = requests[i].own;
            return true;
        }
    return false;
}

static struct json_object *named(const char *name, const char *description)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "name", name);
    if (description)
        dray_json_add_str(o, "description", description);
    return o;
}

void kit_lint_list(struct kit_lint *l)
{
    dray_autojson *all = json_object_new_array();
    dray_buf_adds(&l->text, "NAME                 VERSION DESCRIPTION\n");
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        if (!requests[i].listed)
            continue;
        struct json_object *o = json_object_new_object(), *opts = json_object_new_array();
        struct json_object *metadata = json_object_new_array();
        if (requests[i].target)
            json_object_array_add(opts, named("target", "Target build stage"));
        json_object_array_add(metadata, named("result.json", NULL));
        json_object_array_add(metadata, named("result.txt", NULL));
        dray_json_add_str(o, "name", requests[i].id);
        dray_json_add_str(o, "version", "1.0.0");
        dray_json_add_str(o, "type", "rpc");
        dray_json_add_str(o, "description", requests[i].description);
        dray_json_add(o, "opts", opts);
        dray_json_add(o, "metadata", metadata);
        json_object_array_add(all, o);
        dray_buf_addf(&l->text, "%-20s %-7s %s\n", requests[i].id + strlen("frontend."), "1.0.0",
                      requests[i].description);
    }
    set_json(l, all);
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
