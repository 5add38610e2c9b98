/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - what a Dockerfile's own checks find, and the ignore file's word on the context. */
#include "bd.h"
#include "lint.h"

#include <dray/dockerignore.h>

/* The ignore file that counts: <Dockerfile>.dockerignore, else .dockerignore; *name is NULL when
 * there is none. */
static int read_ignore(struct bd_build *b, char **name, struct bd_buf *text, struct dray_err *err)
{
    dray_autofree char *own = bd_strf("%s.dockerignore", b->spec->dockerfile);
    const char *const names[] = {own, ".dockerignore"};
    *name = NULL;
    if (!own)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!b->context) {
        bd_adds(text, b->spec->ignore_text ? b->spec->ignore_text : "");
        *name = b->spec->ignore_text ? strdup(names[1]) : NULL;
        return text->failed ? dray_fail(err, DRAY_E_NOMEM, "out of memory") : 0;
    }
    for (size_t i = 0; i < 2; i++) {
        struct bd_entry e = {0};
        dray_autofree char *path = NULL;
        int rc = bd_tree_resolve(b->context, names[i], true, &path, &e, err);
        if (rc)
            return rc;
        if (!S_ISREG(e.mode))
            continue;
        rc = bd_tree_read(b->context, path, DRAY_IGNORE_MAX_FILE, text, err);
        *name = rc ? NULL : dray_steal(path);
        return rc;
    }
    return 0;
}

static void hide(struct bd_build *b, const struct dray_ignore *ig, const char *path)
{
    if (path && dray_ignore_match(ig, path))
        bd_tree_tar_remove(b->context, path);
}

int bd_context_hide(struct bd_build *b, struct dray_err *err)
{
    DRAY_AUTO(bd_buf) text = {0};
    DRAY_AUTO(dray_ignore) ig = {0};
    dray_autofree char *name = NULL;
    if (b->spec->dockerfile_text)
        return 0; /* the context is as it shall be */
    int rc = read_ignore(b, &name, &text, err);
    if (rc || !name)
        return rc;
    rc = dray_ignore_parse(&ig, bd_text(&text), text.len, err);
    if (rc)
        return dray_err_note(err, "error reading .dockerignore");
    dray_autofree char *dockerfile = bd_path_clean(b->spec->dockerfile);
    hide(b, &ig, dockerfile);
    hide(b, &ig, name);
    hide(b, &ig, ".dockerignore");
    return 0;
}

static void emit_object(struct bd_build *b, const char *key, const struct dray_df_finding *f)
{
    struct json_object *line = json_object_new_object(), *o = json_object_new_object();
    bd_json_set(o, "rule", f->rule);
    bd_json_set(o, "description", f->description);
    bd_json_set(o, "url", f->url);
    bd_json_set(o, "detail", f->detail);
    bd_json_set(o, "file", b->spec->dockerfile);
    json_object_object_add(o, "line", json_object_new_int64(f->where.line));
    dray_autofree char *shown =
        dray_df_excerpt(b->file->text, b->file->len, b->spec->dockerfile, &f->where, false);
    bd_json_set(o, "excerpt", shown ? shown : "");
    json_object_object_add(line, key, o);
    (void)bd_emit_json(b, line);
}

static void emit_finding(void *arg, const struct dray_df_finding *f)
{
    emit_object(arg, "finding", f);
}

static void emit_warning(void *arg, const struct dray_df_finding *f)
{
    emit_object(arg, "warning", f);
}

static void emit_nothing(void *arg, const struct dray_df_finding *f)
{
    (void)arg, (void)f;
}

/* How many findings there are; *why says what is violated when *bad. */
static int lint(struct bd_build *b, dray_df_finding_fn fn, bool *bad, struct dray_err *why)
{
    DRAY_AUTO(bd_buf) text = {0};
    dray_autofree char *name = NULL;
    int rc = read_ignore(b, &name, &text, why);
    if (rc)
        return rc;
    const struct dray_df_lint options = {.build_args = b->spec->args,
                                         .platform = bd_platform_arg(b, "TARGETPLATFORM"),
                                         .ignore_file = name ? bd_text(&text) : NULL};
    return dray_df_lint(b->file, &options, fn, b, bad, why);
}

int bd_check(struct bd_build *b, struct dray_err *err)
{
    struct dray_err why = {0};
    bool bad = false;
    int n = lint(b, emit_finding, &bad, &why);
    if (n < 0) {
        if (err)
            *err = why;
        return n;
    }
    struct json_object *line = json_object_new_object(), *o = json_object_new_object();
    json_object_object_add(o, "warnings", json_object_new_int64(n));
    if (bad)
        bd_json_set(o, "error", why.text);
    if (bd_tracing(b)) {
        bd_json_set(o, "file", b->spec->dockerfile);
        bd_json_set(o, "text", b->file->text);
    }
    json_object_object_add(line, "check", o);
    (void)bd_emit_json(b, line);
    return 0;
}

int bd_check_gate(struct bd_build *b, struct dray_err *err)
{
    bool bad = false;
    int n = lint(b, emit_nothing, &bad, err);
    return n < 0 ? n : bad ? DRAY_E_INVAL : 0;
}

/* Does "os/arch/variant" begin with these two? */
static bool is_platform(const char *wanted, const char *os, const char *arch)
{
    size_t n = strlen(os);
    return strncmp(wanted, os, n) == 0 && wanted[n] == '/' && bd_prefix(wanted + n + 1, arch) &&
           strchr("/", wanted[n + 1 + strlen(arch)]);
}

void bd_check_base(struct bd_stage *s, const char *image, const char *platform)
{
    struct bd_build *b = s->build;
    const char *wanted = strchr(platform, '/') ? platform : bd_platform_arg(b, "TARGETPLATFORM");
    if (!bd_tracing(b) || !*s->arch || is_platform(wanted, s->os, s->arch))
        return;
    dray_autofree char *has =
        bd_strf("%s/%s%s%s", s->os, s->arch, *s->variant ? "/" : "", s->variant);
    const struct dray_df_lint options = {.build_args = b->spec->args};
    const struct dray_df_base base = {
        .image = image, .has = has ? has : "", .wanted = wanted, .where = s->df->from->where};
    dray_df_lint_base(b->file, &options, &base, emit_warning, b);
}

void bd_check_warn(struct bd_build *b)
{
    struct dray_err ignored = {0};
    bool bad = false;
    if (bd_tracing(b))
        (void)lint(b, emit_warning, &bad, &ignored);
}
