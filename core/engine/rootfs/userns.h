/* SPDX-License-Identifier: Apache-2.0 */
/*
 * userns.h - containers whose ids are not the host's ("userns-remap").
 *
 * Layers keep the ids that images say, whoever looks at them: a driver's folder is mounted once
 * more, idmapped, below EXEC_ROOT, and roots of remapped containers are made of that mount. So
 * layers are shared with containers that are not remapped, and what a container writes is stored as
 * its image would have it.
 */
#ifndef DRAY_ENGINE_USERNS_H
#define DRAY_ENGINE_USERNS_H

#include "engine/rootfs/remap.h"

#include <dray/fsids.h>

struct dray_driver;
struct dray_userns;

/** What the setting asks for; *out is NULL when containers shall have the host's ids. */
int dray_userns_open(const char *setting, const char *exec_root, struct dray_userns **out,
                     struct dray_err *err);
/** Unmounts what was mounted; roots made of it stay. NULL is nothing. */
void dray_userns_close(struct dray_userns *u);
const struct dray_remap *dray_userns_remap(const struct dray_userns *u);

/**
 * Make a user namespace with a network namespace that it owns, and bind them to existing files.
 * within: path of a user namespace that exists, to be used instead of a new one; or NULL.
 */
int dray_userns_pair(struct dray_userns *u, const char *within, const char *user_path,
                     const char *net_path, struct dray_err *err);

/** A storage driver's folder as remapped containers see it. Valid until dray_userns_close(). */
struct dray_userns_view {
    char *from, *to;
};
/** Mounted at its first use. NOTSUP in clear words when the kernel or file system cannot. */
int dray_userns_view(struct dray_userns *u, struct dray_driver *storage,
                     const struct dray_userns_view **out, struct dray_err *err);
/** Can roots be made of the driver's view? Tried with a mount. */
int dray_userns_check(struct dray_userns *u, struct dray_driver *storage, struct dray_err *err);
/** A mount's source or option with the view's paths in place of the driver's; new text or NULL. */
char *dray_userns_shift(const struct dray_userns_view *v, const char *text);

/** Make files, in this thread, as the containers' root does. */
int dray_userns_take_root(const struct dray_userns *u, struct dray_fsids *was,
                          struct dray_err *err);

#endif
