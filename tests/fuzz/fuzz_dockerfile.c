/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_dockerfile.c - libFuzzer target: any bytes as a Dockerfile are parsed, expanded and linted
 * without harm; errors name a line of the file, and triggers of ONBUILD parse again.
 */
#include "fuzz.h"
#include "lint.h"

static const char *get(void *arg, const char *name)
{
    (void)arg;
    return name[0] == 'u' ? NULL : name[0] == 'e' ? "" : "v a/l.ue*?";
}

static void found(void *arg, const struct dray_df_finding *f)
{
    (void)arg;
    need(f->where.line > 0 && f->rule && f->detail);
}

static void expand(const struct dray_df_file *f, const struct dray_df_instr *in)
{
    static const struct dray_df_env env = {.get = get};
    for (; in; in = in->next) {
        DRAY_AUTO(dray_df_arena) a = {0};
        const struct dray_df_instr *out = NULL;
        struct dray_err err = {0};
        need(in->where.line > 0 && in->where.end_line >= in->where.line);
        (void)dray_df_expand(&a, in, f->escape, &env, &out, &err);
        if (in->kind == DRAY_DF_ONBUILD)
            need(dray_df_parse_one(&a, in->u.value, true, &out, &err) == 0);
    }
}

static void use(const struct dray_df_file *f)
{
    const struct dray_kv args[] = {{"A", "1"}};
    const struct dray_df_lint options = {.build_args = {args, 1}, .ignore_file = "a\n*/b\n"};
    struct dray_err err = {0};
    bool bad = false;
    expand(f, f->args);
    for (uint32_t i = 0; i < f->n_stages; i++) {
        expand(f, f->stages[i].first);
        need(dray_df_stage_find(f, f->stages[i].from->u.from.image, i) < (int)i);
    }
    (void)dray_df_lint(f, &options, found, NULL, &bad, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dray_df_file *f = NULL;
    struct dray_df_where where = {0};
    struct dray_err err = {0};
    const char *text = size ? (const char *)data : "";
    if (dray_df_parse(text, size, "Dockerfile", &f, &where, &err) == 0) {
        use(f);
        dray_df_free(f);
    } else {
        need(err.code < 0 && err.text[0]);
        free(dray_df_excerpt(text, size, "Dockerfile", &where, false));
    }
    return 0;
}
