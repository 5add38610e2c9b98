/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_tar_scan.c - libFuzzer target: any bytes as a tar that streams by; each byte is told once.
 */
#include "engine/layer/tar_scan.h"
#include "fuzz.h"
#include "tar_sums.h"

static int on_raw(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    (void)data, (void)err;
    *(uint64_t *)ctx += len;
    return 0;
}

static int on_file(void *ctx, const char *path, uint64_t size, struct dray_err *err)
{
    (void)err;
    *(uint64_t *)ctx += size;
    need(size > 0 && *path && *path != '/' && !strstr(path, "//") && !strstr(path, "/../") &&
         strncmp(path, "../", 3) != 0);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dray_tar_scan_ops ops = {on_raw, on_file};
    struct dray_tar_scan *s = NULL;
    uint64_t told = 0;
    bool whole = false;
    dray_autofree uint8_t *mended = (uint8_t *)fuzz_copy(data, size);
    need(dray_tar_scan_new(&ops, &told, &s, NULL) == 0);
    tar_mend_sums(mended, size);
    size_t piece = size > 3 ? 1 + data[3] * 7u : 1;
    for (size_t at = 0; at < size; at += piece)
        need(dray_tar_scan_feed(s, mended + at, size - at < piece ? size - at : piece, NULL) == 0);
    need(dray_tar_scan_end(s, &whole, NULL) == 0);
    need(!whole || told == size);
    dray_tar_scan_free(s);
    return 0;
}
