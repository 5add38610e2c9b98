/* SPDX-License-Identifier: Apache-2.0 */
/* cache.c - the build cache as BuildKit tells of it: what is in it, and what has been dropped. */
#include "base/clock.h"
#include "base/json.h"
#include "engine/build/builds.h"
#include "engine/engine.h"
#include "engine/filters.h"
#include "kit/server.h"
#include "kit/session.h"

#include <stdio.h>

/* UsageRecord */
static void add_record(struct dray_buf *b, struct json_object *o)
{
    struct json_object *parents = dray_json_arr(o, "Parents");
    int64_t created = 0, used = 0;
    (void)dray_time_parse(dray_json_str(o, "CreatedAt", ""), &created);
    (void)dray_time_parse(dray_json_str(o, "LastUsedAt", ""), &used);
    pb_text(b, 1, dray_json_str(o, "ID", ""));
    pb_bool(b, 2, !dray_json_bool(o, "InUse", false));
    pb_bool(b, 3, dray_json_bool(o, "InUse", false));
    pb_uint(b, 4, (uint64_t)dray_json_int(o, "Size", 0));
    pb_time(b, 6, created);
    pb_time(b, 7, used);
    pb_uint(b, 8, (uint64_t)dray_json_int(o, "UsageCount", 0));
    pb_text(b, 9, dray_json_str(o, "Description", ""));
    pb_text(b, 10, dray_json_str(o, "Type", ""));
    pb_bool(b, 11, dray_json_bool(o, "Shared", false));
    for (size_t i = 0; i < dray_json_len(parents); i++)
        pb_text(b, 12, json_object_get_string(json_object_array_get_idx(parents, i)));
}

int kit_control_usage(struct kit_server *s, struct grpc_call *call, struct pb req,
                      struct dray_err *err)
{
    DRAY_AUTO(dray_buf) msg = {0};
    struct json_object *list = NULL;
    (void)req;
    int rc = dray_builds_usage(s->kit->engine->builds, &list, err);
    dray_autojson *held __attribute__((unused)) = list;
    for (size_t i = 0; !rc && i < dray_json_len(list); i++) {
        DRAY_AUTO(dray_buf) record = {0};
        add_record(&record, json_object_array_get_idx(list, i));
        pb_message(&msg, 1, &record);
    }
    return rc ? rc : kit_answer(call, &msg, err);
}

struct prune {
    struct dray_filters filters;
    bool all;
    int64_t keep;
};

/* "type==regular,id=x": BuildKit compares with "==". */
static bool read_filters(struct prune *p, const struct pb_field *f)
{
    DRAY_AUTO(dray_strlist) parts = {0};
    dray_autofree char *text = pb_dup(f);
    bool ok = text && dray_strlist_split(&parts, text, ',');
    for (size_t i = 0; ok && i < parts.n; i++) {
        char *part = parts.v[i], *op = strpbrk(part, "=~!");
        if (!*part)
            continue;
        const char *value = op ? op + strspn(op, "=~!") : NULL;
        if (op)
            *op = '\0';
        ok = value && dray_kvlist_add(&p->filters.pairs, part, value);
    }
    return ok;
}

static int read_prune(struct pb *req, struct prune *out, struct dray_err *err)
{
    struct pb_field f;
    bool ok = true;
    while (ok && pb_next(req, &f)) {
        char age[40];
        if (f.number == 1) {
            ok = read_filters(out, &f);
        } else if (f.number == 2) {
            out->all = f.value != 0;
        } else if (f.number == 3 && (int64_t)f.value > 0) {
            dray_duration_text((int64_t)f.value, age);
            ok = dray_kvlist_add(&out->filters.pairs, "unused-for", age);
        } else if (f.number == 4) {
            out->keep = (int64_t)f.value;
        }
    }
    return ok && !req->bad ? 0 : dray_fail(err, DRAY_E_INVAL, "malformed PruneRequest");
}

static struct json_object *record_of(struct json_object *list, const char *id)
{
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (strcmp(dray_json_str(o, "ID", ""), id) == 0)
            return o;
    }
    return NULL;
}

int kit_control_prune(struct kit_server *s, struct grpc_call *call, struct pb req,
                      struct dray_err *err)
{
    struct dray_builds *bs = s->kit->engine->builds;
    struct prune p = {0};
    struct json_object *before = NULL, *out = NULL;
    int rc = read_prune(&req, &p, err);
    if (!rc)
        rc = dray_builds_usage(bs, &before, err);
    if (!rc)
        rc = dray_builds_prune(bs, &p.filters, p.all, p.keep, &out, err);
    dray_filters_free(&p.filters);
    dray_autojson *held __attribute__((unused)) = before;
    dray_autojson *held2 __attribute__((unused)) = out;
    struct json_object *deleted = dray_json_arr(out, "CachesDeleted");
    for (size_t i = 0; !rc && i < dray_json_len(deleted); i++) {
        DRAY_AUTO(dray_buf) record = {0};
        const char *id = json_object_get_string(json_object_array_get_idx(deleted, i));
        struct json_object *o = record_of(before, id ? id : "");
        if (!o)
            continue;
        add_record(&record, o);
        rc = grpc_send(call, record.data ? record.data : "", record.len, grpc_gone_fd(call), err);
    }
    if (!rc)
        grpc_finish(call, GRPC_OK, NULL);
    return rc;
}
