/* SPDX-License-Identifier: Apache-2.0 */
/* copy.c - COPY and ADD: the instruction, its key in the cache, its words in the history. */
#include "copy.h"

void bd_copying_cleanup(struct bd_copying *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->v[i].path);
        free(c->v[i].name);
        free(c->v[i].above);
    }
    for (uint64_t i = 0; c->excludes && i < c->in->excludes.n; i++)
        dray_glob_free(&c->excludes[i]);
    free(c->excludes);
    free(c->v);
    free(c->dest);
    bd_tree_free(c->from);
    for (size_t i = 0; i < c->n_fetched; i++)
        bd_tree_free(c->fetched[i]);
    free(c->fetched);
}

/* --- the destination ---------------------------------------------------------------------------*/

static bool ends_as_folder(const char *dest)
{
    size_t n = strlen(dest);
    return strcmp(dest, ".") == 0 || (n > 0 && dest[n - 1] == '/') ||
           (n > 1 && strcmp(dest + n - 2, "/.") == 0);
}

int bd_copy_start(struct bd_copying *c, struct dray_err *err)
{
    const char *dest = c->in->dest;
    const char *dir = bd_json_str(c->stage->config, "WorkingDir", "");
    c->into = ends_as_folder(dest);
    c->dest = dest[0] == '/' ? strdup(dest) : bd_strf("%s/%s", dir, dest);
    if (!c->dest)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (c->in->sources.n + c->in->contents.n > 1 && !c->into)
        return dray_fail(err, DRAY_E_INVAL,
                         "When using %s with more than one source file, the destination must be a "
                         "directory and end with a /",
                         c->add ? "ADD" : "COPY");
    return 0;
}

static int compile_excludes(struct bd_copying *c, struct dray_err *err)
{
    uint64_t n = c->in->excludes.n;
    c->excludes = n ? calloc(n, sizeof *c->excludes) : NULL;
    int rc = n && !c->excludes ? dray_fail(err, DRAY_E_NOMEM, "out of memory") : 0;
    for (uint64_t i = 0; !rc && i < n; i++) {
        const char *p = c->in->excludes.v[i];
        p += *p == '!';
        p += *p == '/';
        rc = dray_glob_compile(&c->excludes[i], p, 1, err);
    }
    return rc;
}

/* --- gathering ---------------------------------------------------------------------------------*/

static int open_from(struct bd_copying *c, struct bd_tree **tree, struct dray_err *err)
{
    const char *layer = NULL;
    if (!c->in->from)
        return bd_context(c->stage, tree, err);
    c->keep_owner = !c->in->chown;
    int rc = bd_from(c->stage, c->in->from, &layer, NULL, err);
    if (!rc)
        rc = bd_layer_tree(c->stage->build, layer, &c->from, err);
    *tree = c->from;
    return rc;
}

static int gather_documents(struct bd_copying *c, struct dray_err *err)
{
    for (size_t i = 0; i < c->in->contents.n; i++) {
        const struct dray_df_heredoc *d = &c->in->contents.v[i];
        struct bd_source *src = bd_copy_add(c, NULL, "", d->name);
        if (!src)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        src->entry = (struct bd_entry){.mode = S_IFREG | 0644, .size = (int64_t)d->len};
        src->data = d->content;
        src->n_data = d->len;
        src->entry.mtime_s = bd_step_time(c->stage->build) / 1000000000;
    }
    return 0;
}

static int gather(struct bd_copying *c, struct dray_err *err)
{
    struct bd_tree *tree = NULL;
    int rc = open_from(c, &tree, err);
    if (!rc && (rc = bd_copy_gather(c, tree, err)) != 0)
        (void)dray_err_note(err, "%s failed", c->add ? "ADD" : "COPY");
    if (!rc)
        rc = gather_documents(c, err);
    if (!rc && c->n == 0 && !bd_kit(c->stage->build))
        rc = dray_fail(err, DRAY_E_INVAL, "%s failed: no source files were specified",
                       c->add ? "ADD" : "COPY");
    if (!rc && c->n > 1 && !c->into)
        rc = dray_fail(err, DRAY_E_INVAL,
                       "When using %s with more than one source file, the destination must be a "
                       "directory and end with a /",
                       c->add ? "ADD" : "COPY");
    return rc;
}

/* --- key and words -----------------------------------------------------------------------------*/

static int copy_key(struct bd_copying *c, const char *hash, char key[BD_DIGEST_LEN],
                    struct dray_err *err)
{
    struct bd_stage *s = c->stage;
    bd_autosum *sum = bd_sum_new();
    if (!sum)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bd_sum_text(sum, c->add ? "add 1" : "copy 1");
    bd_sum_text(sum, s->layer);
    bd_sum_text(sum, hash);
    bd_sum_text(sum, c->dest);
    bd_sum_num(sum, c->into);
    bd_sum_text(sum, c->in->chown);
    bd_sum_text(sum, c->in->chmod);
    bd_sum_num(sum, c->in->parents);
    bd_sum_num(sum, c->in->unpack);
    bd_sum_num(sum, c->keep_owner);
    bd_sum_num(sum, s->build->epoch_s);
    bd_sum_end(sum, key);
    return 0;
}

static char *created_by(struct bd_copying *c, const char *hash)
{
    return bd_nop(c->stage, "%s %s%s%s%s in %s ", c->add ? "ADD" : "COPY",
                  c->in->chown ? "--chown=" : "", c->in->chown ? c->in->chown : "",
                  c->in->chown ? " " : "", hash, c->in->dest);
}

static char *created_by_kit(const struct bd_copying *c)
{
    DRAY_AUTO(bd_buf) b = {0};
    bd_adds(&b, c->add ? "ADD" : "COPY");
    if (c->in->chown)
        bd_addf(&b, " --chown=%s", c->in->chown);
    if (c->in->chmod)
        bd_addf(&b, " --chmod=%s", c->in->chmod);
    for (uint64_t i = 0; i < c->in->sources.n; i++)
        bd_addf(&b, " %s", c->in->sources.v[i]);
    for (size_t i = 0; i < c->in->contents.n; i++)
        bd_addf(&b, " <<%s", c->in->contents.v[i].name);
    bd_addf(&b, " %s # buildkit", c->in->dest);
    return b.failed ? NULL : dray_steal(b.text);
}

static int make(struct bd_copying *c, struct bd_hit *hit, struct dray_err *err)
{
    struct bd_stage *s = c->stage;
    int rc = 0;
    if (c->in->chown) {
        struct bd_tree *root = NULL;
        rc = bd_stage_root(s, &root, err);
        if (!rc)
            rc = bd_owner(root, c->in->chown, &c->uid, &c->gid, err);
        c->has_owner = rc == 0;
    }
    if (!rc)
        rc = bd_layer_write(s, bd_copy_write, c, &hit->layer, err);
    if (rc && !c->in->chown)
        (void)dray_err_note(err, "failed to copy files");
    hit->created_ns = bd_step_time(s->build);
    return rc;
}

/* Wildcards that nothing matches: an error to the classic builder, nothing at all to BuildKit. */
static int copied_nothing(struct bd_copying *c, struct dray_err *err)
{
    dray_autofree char *kit = created_by_kit(c);
    dray_autofree char *by = created_by(c, "nothing");
    if (!kit || !by)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return bd_commit(c->stage, (struct bd_said){by, kit}, NULL, bd_step_time(c->stage->build), err);
}

/* Only what is loaded has a checksum. */
static int check_checksum(const struct bd_copying *c, struct dray_err *err)
{
    const char *sum = c->in->checksum;
    if (!sum)
        return 0;
    const char *hex = bd_prefix(sum, "sha256:") ? sum + strlen("sha256:") : NULL;
    for (uint64_t i = 0; i < c->in->sources.n; i++)
        if (!bd_add_is_remote(c->in->sources.v[i]))
            return dray_fail(err, DRAY_E_INVAL, "checksum requires HTTP(S) or Git sources");
    if (!hex)
        return dray_fail(err, DRAY_E_INVAL, "unsupported digest algorithm: %.80s", sum);
    if (strlen(hex) != 64)
        return dray_fail(err, DRAY_E_INVAL, "invalid checksum digest length");
    if (hex[strspn(hex, "0123456789abcdef")])
        return dray_fail(err, DRAY_E_INVAL, "invalid checksum digest format: %.80s", sum);
    return 0;
}

int bd_copy(struct bd_stage *s, const struct dray_df_instr *in, struct dray_err *err)
{
    struct bd_copying c __attribute__((cleanup(bd_copying_cleanup))) = {
        .stage = s, .in = &in->u.copy, .add = in->kind == DRAY_DF_ADD};
    char hash[BD_DIGEST_LEN + 8] = "", key[BD_DIGEST_LEN];
    struct bd_hit hit = {0};
    int rc = check_checksum(&c, err);
    if (!rc)
        rc = bd_copy_start(&c, err);
    if (!rc)
        rc = compile_excludes(&c, err);
    if (!rc)
        rc = gather(&c, err);
    if (!rc && c.n == 0)
        return copied_nothing(&c, err);
    if (!rc)
        rc = bd_copy_hash(&c, hash, err);
    if (!rc)
        rc = copy_key(&c, hash, key, err);
    dray_autofree char *by = rc ? NULL : created_by(&c, hash);
    dray_autofree char *kit = rc ? NULL : created_by_kit(&c);
    if (!rc && (!by || !kit))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc && bd_cache_find(s, key, by, &hit)) {
        bd_say_cached(s);
    } else if (!rc) {
        rc = make(&c, &hit, err);
        if (!rc)
            rc = bd_cache_keep(s, key, &hit, in->text, err);
    }
    if (rc)
        return rc;
    return bd_commit(s, (struct bd_said){by, kit}, &hit.layer, hit.created_ns, err);
}

/* --- a path of the context as a layer ----------------------------------------------------------*/

static int context_layer(struct bd_copying *c, const char **layer, char **path,
                         struct dray_err *err)
{
    struct bd_build *b = c->stage->build;
    struct bd_tree *nothing = NULL;
    struct dray_build_layer made = {.size = sizeof made};
    int rc = bd_layer_tree(b, "", &nothing, err);
    if (!rc)
        rc = bd_layer_write_on(b, "", nothing, bd_copy_write, c, &made, err);
    bd_tree_free(nothing);
    if (rc)
        return rc;
    *layer = made.layer;
    *path = S_ISDIR(c->v[0].entry.mode) ? strdup("/m") : bd_strf("/m/%s", c->v[0].name);
    return *path ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int bd_copy_script(struct bd_stage *s, const struct dray_df_heredoc *script, const char **layer,
                   char **path, struct dray_err *err)
{
    const struct dray_df_copy in = {.contents = {script, 1}, .dest = "/m/", .chmod = "0755"};
    struct bd_copying c __attribute__((cleanup(bd_copying_cleanup))) = {.stage = s, .in = &in};
    int rc = bd_copy_start(&c, err);
    if (!rc)
        rc = gather(&c, err);
    return rc ? rc : context_layer(&c, layer, path, err);
}

int bd_copy_sum(struct bd_stage *s, const char *from, const char *source,
                char hash[BD_DIGEST_LEN + 8], struct dray_err *err)
{
    const char *const sources[] = {source};
    const struct dray_df_copy in = {.from = from, .sources = {sources, 1}, .dest = "/m/"};
    struct bd_copying c __attribute__((cleanup(bd_copying_cleanup))) = {.stage = s, .in = &in};
    int rc = bd_copy_start(&c, err);
    if (!rc)
        rc = gather(&c, err);
    return rc ? rc : bd_copy_hash(&c, hash, err);
}

int bd_copy_context(struct bd_stage *s, const char *source, const char **layer, char **path,
                    struct dray_err *err)
{
    const char *const sources[] = {source};
    const struct dray_df_copy in = {.sources = {sources, 1}, .dest = "/m/"};
    struct bd_copying c __attribute__((cleanup(bd_copying_cleanup))) = {.stage = s, .in = &in};
    int rc = bd_copy_start(&c, err);
    if (!rc)
        rc = gather(&c, err);
    return rc ? rc : context_layer(&c, layer, path, err);
}
