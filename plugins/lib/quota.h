/* SPDX-License-Identifier: Apache-2.0 */
/* quota.h - limits the size of a folder by a project quota of its file system (xfs, ext4). */
#ifndef DRAY_PLUGIN_QUOTA_H
#define DRAY_PLUGIN_QUOTA_H

#include <dray/util.h>

struct dray_pl_quota;

/** Quotas of the file system of dirfd; *out NULL without error: it has none, or not switched on. */
int dray_pl_quota_open(int dirfd, struct dray_pl_quota **out, struct dray_err *err);
void dray_pl_quota_close(struct dray_pl_quota *quota);

/** Give the folder dir a project of its own, with all that will be in it, of at most bytes. */
int dray_pl_quota_limit(struct dray_pl_quota *quota, int dir, uint64_t bytes, struct dray_err *err);

/** "10g", "512MB", "1048576" as go-units' RAMInBytes; "" is 0. DRAY_E_INVAL. */
int dray_pl_quota_parse(const char *text, uint64_t *bytes_out, struct dray_err *err);

#endif
