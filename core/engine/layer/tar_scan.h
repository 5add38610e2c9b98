/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar_scan.h - tells, while a tar streams by, what of it is content of regular files and what is
 * not.
 *
 * Understands ustar, pax and GNU headers as far as name and size go. Content that cannot be told by
 * a path (names with "..", whiteouts) counts as raw. Sparse files and other entries whose content
 * is not plainly a file's end the scan: the tar is "lost".
 */
#ifndef DRAY_ENGINE_TAR_SCAN_H
#define DRAY_ENGINE_TAR_SCAN_H

#include <dray/util.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dray_tar_scan;

struct dray_tar_scan_ops {
    /** The next bytes of the tar. */
    int (*raw)(void *ctx, const void *data, size_t len, struct dray_err *err);
    /** The next size bytes, more than 0, are the content of a file. path: without "." and "/" at
     *  its begin. */
    int (*file)(void *ctx, const char *path, uint64_t size, struct dray_err *err);
};

/** ops and ctx are borrowed until the scan is freed. */
int dray_tar_scan_new(const struct dray_tar_scan_ops *ops, void *ctx, struct dray_tar_scan **out,
                      struct dray_err *err);
int dray_tar_scan_feed(struct dray_tar_scan *s, const void *data, size_t len, struct dray_err *err);
/** The stream has ended. *whole_out: every byte was told. */
int dray_tar_scan_end(struct dray_tar_scan *s, bool *whole_out, struct dray_err *err);
void dray_tar_scan_free(struct dray_tar_scan *s);

#endif
