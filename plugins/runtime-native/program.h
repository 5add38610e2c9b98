/* SPDX-License-Identifier: Apache-2.0 */
/* program.h - finds the file of a command in a container. */
#ifndef RN_PROGRAM_H
#define RN_PROGRAM_H

#include <dray/util.h>

#include <limits.h>

/**
 * Find what execve shall be given for a command, as the calling process sees the file system and
 * with its rights. NOCMD and NOEXEC are worded as Docker's clients know them.
 */
int rn_program_find(const char *name, const char *const *env, char out[PATH_MAX],
                    struct dray_err *err);
/** The failure of execve, in the same words. */
int rn_program_fail(const char *path, int why, struct dray_err *err);
/** Refuse to run the host's own program through /proc (its device and inode are given). */
int rn_program_guard(const char *path, uint64_t dev, uint64_t ino, struct dray_err *err);

#endif
