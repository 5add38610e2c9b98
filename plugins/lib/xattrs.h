/* SPDX-License-Identifier: Apache-2.0 */
/* xattrs.h - extended attributes of directory entries, and which of them belong in a layer. */
#ifndef DRAY_PLUGIN_XATTRS_H
#define DRAY_PLUGIN_XATTRS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * May the attribute travel in a layer? Not the marks of overlayfs (a layer could forge whiteouts
 * and redirects) and not what the host's security modules own.
 */
bool dray_pl_xattr_travels(const char *key);

/** All names of dirfd/name (a link is not followed), each with its NUL; caller frees *names_out.
 *  Here and in dray_pl_xattr_get() name "" is the open file dirfd itself, which costs less. */
ssize_t dray_pl_xattr_list(int dirfd, const char *name, char **names_out);
/** The value; caller frees *value_out. -1 with errno, ENODATA when absent. */
ssize_t dray_pl_xattr_get(int dirfd, const char *name, const char *key, char **value_out);
int dray_pl_xattr_set(int dirfd, const char *name, const char *key, const void *value, size_t len);
/** Is a failure to set key one that an image may have on this file system? (errno in error) */
bool dray_pl_xattr_excused(const char *key, int error);

/** Does the folder hide what layers below have in it? */
bool dray_pl_is_opaque(int dirfd, const char *name);

#define DRAY_PL_OPAQUE_XATTR "trusted.overlay.opaque"

#endif
