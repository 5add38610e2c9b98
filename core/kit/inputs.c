/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inputs.c - results of builds as inputs of others. A client is told of a result in the shape of a
 * pb.Definition, and gives it back in another build's request: it holds one source, whose name
 * leads to the result.
 */
#include "base/digest.h"
#include "kit/frontend.h"

#define SOURCE "build-result://"

/* An entry of map<string, OpMetadata> with nothing in it, and the operation itself. */
static void add_op(struct dray_buf *def, struct dray_buf *metadata, const struct dray_buf *op,
                   char digest[DRAY_DIGEST_LEN])
{
    DRAY_AUTO(dray_buf) entry = {0};
    DRAY_AUTO(dray_buf) none = {0};
    dray_digest_of(op->data, op->len, digest);
    pb_bytes(def, 1, op->data, op->len);
    pb_text(&entry, 1, digest);
    pb_message(&entry, 2, &none);
    pb_message(metadata, 2, &entry);
}

void kit_input_write(const char *token, struct dray_buf *def)
{
    DRAY_AUTO(dray_buf) source = {0};
    DRAY_AUTO(dray_buf) op = {0};
    DRAY_AUTO(dray_buf) input = {0};
    DRAY_AUTO(dray_buf) end = {0};
    DRAY_AUTO(dray_buf) metadata = {0};
    char digest[DRAY_DIGEST_LEN];
    dray_autofree char *name = dray_strf(SOURCE "%s", token);
    pb_text(&source, 1, name);
    pb_message(&op, 3, &source);
    add_op(def, &metadata, &op, digest);
    pb_text(&input, 1, digest);
    pb_message(&end, 1, &input);
    add_op(def, &metadata, &end, digest);
    dray_buf_add(def, metadata.data, metadata.len);
}

/* The name of a SourceOp that is a result of ours, or NULL. */
static char *source_token(const struct pb_field *source)
{
    struct pb m = pb_open(source->data, source->len);
    struct pb_field f;
    while (pb_next(&m, &f))
        if (f.number == 1 && f.len > strlen(SOURCE) && memcmp(f.data, SOURCE, strlen(SOURCE)) == 0)
            return strndup(f.data + strlen(SOURCE), f.len - strlen(SOURCE));
    return NULL;
}

static char *op_token(const struct pb_field *op)
{
    struct pb m = pb_open(op->data, op->len);
    struct pb_field f;
    char *token = NULL;
    while (!token && pb_next(&m, &f))
        if (f.number == 3 && f.data)
            token = source_token(&f);
    return token;
}

static char *definition_token(const struct pb_field *def)
{
    struct pb m = pb_open(def->data, def->len);
    struct pb_field f;
    char *token = NULL;
    while (!token && pb_next(&m, &f))
        if (f.number == 1 && f.data)
            token = op_token(&f);
    return token;
}

int kit_input_read(const struct pb_field *entry, struct dray_kvlist *out, struct dray_err *err)
{
    struct pb m = pb_open(entry->data, entry->len);
    struct pb_field f;
    dray_autofree char *name = NULL;
    dray_autofree char *token = NULL;
    while (pb_next(&m, &f)) {
        if (f.number == 1) {
            free(name);
            name = pb_dup(&f);
        } else if (f.number == 2 && f.data) {
            free(token);
            token = definition_token(&f);
        }
    }
    if (m.bad || !name)
        return dray_fail(err, DRAY_E_INVAL, "malformed SolveRequest");
    if (!token)
        return dray_fail(err, DRAY_E_NOTSUP,
                         "input %s: only results of builds are supported by this engine", name);
    return dray_kvlist_set(out, name, token) ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}
