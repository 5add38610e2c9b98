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

static void emit_finding(void *arg, const struct dray_df_finding *f)
{
    struct bd_build *b = arg;
    struct json_object *line = json_object_new_object(), *o = json_object_new_object();
    dray_autofree char *shown =
        dray_df_excerpt(b->file->text, b->file->len, b->spec->dockerfile, &f->where);
    bd_json_set(o, "rule", f->rule);
    bd_json_set(o, "description", f->description);
    bd_json_set(o, "url", f->url);
    bd_json_set(o, "detail", f->detail);
    bd_json_set(o, "file", b->spec->dockerfile);
    json_object_object_add(o, "line", json_object_new_int64(f->where.line));
    bd_json_set(o, "excerpt", shown ? shown : "");
    json_object_object_add(line, "finding", o);
    (void)bd_emit_json(b, line);
}

int bd_check(struct bd_build *b, struct dray_err *err)
{
    DRAY_AUTO(bd_buf) text = {0};
    dray_autofree char *name = NULL;
    struct dray_err why = {0};
    bool bad = false;
    int rc = read_ignore(b, &name, &text, err);
    if (rc)
        return rc;
    const struct dray_df_lint options = {.build_args = b->spec->args,
                                         .platform = bd_platform_arg(b, "TARGETPLATFORM"),
                                         .ignore_file = name ? bd_text(&text) : NULL};
    int n = dray_df_lint(b->file, &options, emit_finding, b, &bad, &why);
    if (n < 0) {
        if (err)
            *err = why;
        return n;
    }
    struct json_object *line = json_object_new_object(), *o = json_object_new_object();
    json_object_object_add(o, "warnings", json_object_new_int64(n));
    if (bad)
        bd_json_set(o, "error", why.text);
    json_object_object_add(line, "check", o);
    (void)bd_emit_json(b, line);
    return 0;
}
