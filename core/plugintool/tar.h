/* SPDX-License-Identifier: Apache-2.0 */
/* tar.h - small tars for the storage suite. */
#ifndef DRAY_PLUGINTOOL_TAR_H
#define DRAY_PLUGINTOOL_TAR_H

#include "base/buf.h"

void ck_tar_folder(struct dray_buf *tar, const char *name);
void ck_tar_file(struct dray_buf *tar, const char *name, const char *text);
/** An empty file. */
void ck_tar_owned(struct dray_buf *tar, const char *name, unsigned mode, unsigned uid,
                  unsigned gid);
/** type '1': a hard link, '2': a symbolic one. */
void ck_tar_link(struct dray_buf *tar, char type, const char *name, const char *target);
void ck_tar_end(struct dray_buf *tar);
/** Is there a member of that name, with or without a slash at its end? */
bool ck_tar_names(const struct dray_buf *tar, const char *name);

#endif
