/* SPDX-License-Identifier: Apache-2.0 */
/* deflate.c - writes gzip streams fast, for layers that are made on this machine. */
#include "engine/layer/inflate.h"

#include <isa-l/igzip_lib.h>
#include <stdbool.h>

#define OUT_CHUNK (256u * 1024)

struct dray_deflate {
    dray_sink_fn sink;
    void *ctx;
    struct isal_zstream z;
    uint8_t *level_buf;
    uint8_t *out;
};

int dray_deflate_new(dray_sink_fn sink, void *ctx, struct dray_deflate **out, struct dray_err *err)
{
    struct dray_deflate *d = calloc(1, sizeof *d);
    if (d) {
        d->level_buf = malloc(ISAL_DEF_LVL1_DEFAULT);
        d->out = malloc(OUT_CHUNK);
    }
    if (!d || !d->level_buf || !d->out) {
        dray_deflate_free(d);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    d->sink = sink;
    d->ctx = ctx;
    isal_deflate_init(&d->z);
    d->z.level = 1;
    d->z.level_buf = d->level_buf;
    d->z.level_buf_size = ISAL_DEF_LVL1_DEFAULT;
    d->z.gzip_flag = IGZIP_GZIP;
    *out = d;
    return 0;
}

static int run(struct dray_deflate *d, const void *data, size_t len, bool last,
               struct dray_err *err)
{
    d->z.next_in = (uint8_t *)(uintptr_t)data;
    d->z.avail_in = (uint32_t)len;
    d->z.end_of_stream = last;
    do {
        d->z.next_out = d->out;
        d->z.avail_out = OUT_CHUNK;
        if (isal_deflate(&d->z) != COMP_OK)
            return dray_fail(err, DRAY_E_INTERNAL, "gzip: cannot compress");
        size_t n = OUT_CHUNK - d->z.avail_out;
        int rc = n ? d->sink(d->ctx, d->out, n, err) : 0;
        if (rc)
            return rc;
    } while (d->z.avail_out == 0 || d->z.avail_in > 0);
    return 0;
}

int dray_deflate_feed(struct dray_deflate *d, const void *data, size_t len, struct dray_err *err)
{
    return len ? run(d, data, len, false, err) : 0;
}

int dray_deflate_end(struct dray_deflate *d, struct dray_err *err)
{
    return run(d, NULL, 0, true, err);
}

void dray_deflate_free(struct dray_deflate *d)
{
    if (!d)
        return;
    free(d->level_buf);
    free(d->out);
    free(d);
}
