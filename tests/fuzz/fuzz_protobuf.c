/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_protobuf.c - libFuzzer target: messages of BuildKit's clients: what a build is asked to be,
 * entries of trees. */
#include "fuzz.h"
#include "kit/frontend.h"
#include "kit/fs.h"
#include "kit/pb.h"

static void as_fields(const uint8_t *data, size_t size)
{
    struct pb m = pb_open(data, size);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        need(f.number > 0);
        DRAY_AUTO(dray_kvlist) map = {0};
        need(!f.data || ((const uint8_t *)f.data >= data && f.len <= size));
        (void)pb_read_entry(&f, &map);
        free(pb_dup(&f));
    }
}

/* What is accepted and written is read again as the same. */
static void as_entry(const uint8_t *data, size_t size)
{
    const struct pb_field f = {.number = 2, .data = (const char *)data, .len = size};
    struct kit_fs_entry e = {0}, again = {0};
    struct dray_err err = {0};
    int rc = kit_fs_entry_read(&f, &e, &err);
    need_words(rc, &err);
    if (rc)
        return;
    need(e.path[0] != '/' && strcmp(e.path, "..") != 0 && strncmp(e.path, "../", 3) != 0);
    DRAY_AUTO(dray_buf) b = {0};
    kit_fs_entry_write(&e, &b);
    const struct pb_field g = {.number = 2, .data = b.data, .len = b.len};
    need(kit_fs_entry_read(&g, &again, &err) == 0);
    need(strcmp(again.path, e.path) == 0 && again.mode == e.mode && again.size == e.size);
    kit_fs_entry_fini(&e);
    kit_fs_entry_fini(&again);
}

static void as_request(const uint8_t *data, size_t size)
{
    struct kit_target t = {0};
    struct kit_frontend f = {0};
    struct dray_err err = {0};
    dray_autofree char *ref = NULL;
    struct pb m = pb_open(data, size);
    int rc = kit_target_read(&m, &ref, &t, &err);
    need_words(rc, &err);
    need(rc != 0 || ref);
    m = pb_open(data, size);
    rc = kit_frontend_read(&m, &f, &err);
    rc = rc ? rc : kit_frontend_prepare(&f, &t, &err);
    need_words(rc, &err);
    kit_frontend_cleanup(&f);
    kit_target_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    as_fields(data, size);
    as_entry(data, size);
    as_request(data, size);
    return 0;
}
