/* SPDX-License-Identifier: Apache-2.0 */
/* bounded.h - system calls on paths of others, which may never return (a dead NFS or FUSE server).
 */
#ifndef DRAY_BASE_BOUNDED_H
#define DRAY_BASE_BOUNDED_H

#include <dray/util.h>
#include <sys/stat.h>

/** Below this nobody notices; above it the file server is as good as dead. */
#define DRAY_BOUNDED_MS 10000

/** stat() that waits at most timeout_ms: DRAY_E_TIMEOUT then, naming the path; a thread stays
 * behind until the call returns. Other failures are in errno: DRAY_E_IO, err untouched. */
int dray_bounded_stat(const char *path, int timeout_ms, struct stat *out, struct dray_err *err);

#endif
