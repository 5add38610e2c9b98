/* SPDX-License-Identifier: Apache-2.0 */
/* deflate.c - gzip for dray build --compress; zlib is loaded only when it is wanted. */
#include "client/build/build.h"

#include <dlfcn.h>
#include <zlib.h>

struct deflater {
    void *library;
    __typeof__(&deflateInit2_) init;
    __typeof__(&deflate) deflate;
    __typeof__(&deflateEnd) end;
    z_stream z;
    tar_write_fn write;
    void *arg;
    unsigned char out[65536];
};

int deflater_new(struct deflater **out, tar_write_fn write, void *arg, struct dray_err *err)
{
    struct deflater *d = calloc(1, sizeof *d);
    if (!d)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    d->library = dlopen("libz.so.1", RTLD_NOW | RTLD_LOCAL);
    if (d->library) {
        *(void **)&d->init = dlsym(d->library, "deflateInit2_");
        *(void **)&d->deflate = dlsym(d->library, "deflate");
        *(void **)&d->end = dlsym(d->library, "deflateEnd");
    }
    if (!d->init || !d->deflate || !d->end ||
        d->init(&d->z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
                (int)sizeof d->z) != Z_OK) {
        free(d);
        return dray_fail(err, DRAY_E_NOTSUP, "--compress needs zlib's libz.so.1");
    }
    d->write = write;
    d->arg = arg;
    *out = d;
    return 0;
}

static int run(struct deflater *d, int mode)
{
    int rc = 0;
    do {
        d->z.next_out = d->out;
        d->z.avail_out = sizeof d->out;
        (void)d->deflate(&d->z, mode);
        size_t n = sizeof d->out - d->z.avail_out;
        rc = n ? d->write(d->arg, d->out, n) : 0;
    } while (rc == 0 && d->z.avail_out == 0);
    return rc;
}

int deflater_write(void *deflater, const void *data, size_t n)
{
    struct deflater *d = deflater;
    d->z.next_in = (unsigned char *)data;
    d->z.avail_in = (unsigned)n;
    return run(d, Z_NO_FLUSH);
}

int deflater_end(struct deflater *d)
{
    d->z.avail_in = 0;
    int rc = run(d, Z_FINISH);
    (void)d->end(&d->z);
    free(d);
    return rc;
}
