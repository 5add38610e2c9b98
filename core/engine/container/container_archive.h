/* SPDX-License-Identifier: Apache-2.0 */
/* container_archive.h - what the parts of docker cp share. */
#ifndef DRAY_ENGINE_CONTAINER_ARCHIVE_H
#define DRAY_ENGINE_CONTAINER_ARCHIVE_H

#include <dray/util.h>

struct archive;
struct archive_entry;

/** Say what libarchive could not do. DRAY_E_CANCELED: the client has gone. */
int dray_archive_fail(struct archive *a, const char *what, struct dray_err *err);
/** Write what the file at the entry's source path holds, after its header; buffer has room bytes. A
 *  file that has shrunk is filled up with zeros, one that has grown is cut. Holes that the entry
 *  tells of are not read. */
int dray_archive_data(struct archive *out, struct archive_entry *e, char *buffer, size_t room,
                      struct dray_err *err);

#endif
