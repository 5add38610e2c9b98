/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_query.c - libFuzzer target: a request target, and what its parameters hold: filters, times,
 * references. */
#include "api/uri.h"
#include "base/clock.h"
#include "base/json.h"
#include "engine/filters.h"
#include "engine/image/image_ref.h"
#include "fuzz.h"

static void filters(const char *text)
{
    static const char *const allowed[] = {"label",    "label!", "name", "until",
                                          "dangling", "x",      NULL};
    struct dray_err err = {0};
    DRAY_AUTO(dray_filters) f = {0};
    bool flag = false;
    int rc = dray_filters_parse(text, allowed, &f, &err);
    need_words(rc, &err);
    if (rc)
        return;
    dray_autojson *labels = json_object_new_object();
    dray_json_add_str(labels, "a", "b");
    (void)dray_filters_labels(&f, labels);
    (void)dray_filters_match(&f, "name", "a_name");
    (void)dray_filters_prefix(&f, "x", "abc");
    (void)dray_filters_exact(&f, "x", "abc");
    need_words(dray_filters_bool(&f, "dangling", false, &flag, &err), &err);
}

static void value(const char *text)
{
    struct dray_err err = {0};
    DRAY_AUTO(dray_ref) ref = {0};
    int64_t ns = 0;
    filters(text);
    (void)dray_time_parse_when(text, INT64_C(1700000000000000000), &ns);
    need_words(dray_ref_parse(text, &ref, &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dray_autofree char *target = fuzz_copy(data, size);
    struct dray_err err = {0};
    struct dray_uri uri = {0};
    int rc = dray_uri_parse(target, &uri, &err);
    need_words(rc, &err);
    if (rc == 0) {
        need(uri.segments.n > 0);
        for (size_t i = 0; i < uri.query.n; i++)
            value(uri.query.v[i].value);
    }
    dray_uri_free(&uri);
    value(target);
    return 0;
}
