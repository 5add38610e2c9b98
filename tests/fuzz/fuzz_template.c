/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_template.c - libFuzzer target: a template of --format, then, behind a line "--", the value
 * that it is run over. */
#include "base/json.h"
#include "client/tmpl/table.h"
#include "client/tmpl/tmpl.h"
#include "fuzz.h"

static const char doc_text[] =
    "{\"Name\":\"/web\",\"Id\":\"0123\",\"Count\":3,\"On\":true,\"Null\":null,\"Ratio\":0.5,"
    "\"State\":{\"Pid\":42},\"Args\":[\"-c\",\"echo\"],\"None\":[],\"Labels\":{\"b\":\"2\"},"
    "\"Mounts\":[{\"Source\":\"/a\",\"RW\":true},{\"Source\":\"/b\"}]}";

static void run(const struct tmpl *t, struct json_object *doc, const struct tmpl_env *env)
{
    struct dray_err err = {0};
    DRAY_AUTO(dray_buf) out = {0};
    need_words(tmpl_exec(t, doc, env, &out, &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tmpl_env envs[] = {
        {.inspect = true}, {.type = "*formatter.ContainerContext"}, {.header = true}};
    dray_autofree char *text = fuzz_part(&data, &size);
    dray_autojson *doc = NULL;
    struct tmpl *t = NULL;
    struct dray_err err = {0};
    int rc = tmpl_parse(text, &t, &err);
    need_words(rc, &err);
    if (rc)
        return 0;
    if (size == 0 || dray_json_parse((const char *)data, size, &doc, NULL))
        need(dray_json_parse(doc_text, sizeof doc_text - 1, &doc, NULL) == 0);
    for (size_t i = 0; i < sizeof envs / sizeof *envs; i++)
        run(t, doc, &envs[i]);
    run(t, NULL, &envs[0]);
    tmpl_free(t);
    DRAY_AUTO(dray_buf) laid_out = {0};
    table_indent(&laid_out, dray_json_text(doc), 4);
    return 0;
}
