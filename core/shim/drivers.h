/* SPDX-License-Identifier: Apache-2.0 */
/* drivers.h - loads the runtime and log drivers that shims call. */
#ifndef DRAY_SHIM_DRIVERS_H
#define DRAY_SHIM_DRIVERS_H

#include "plugin/driver.h"

#include <dray/util.h>

struct json_object;
struct shim_drivers;

/** Open the drivers as the zygote's "init" message says; those that cannot be used are logged and
 *  left out. Shims have them from the zygote. */
int shim_drivers_open(struct json_object *init, struct shim_drivers **out, struct dray_err *err);
/** The driver of that name. A log driver with "isolation" gets its process here: in a shim, never
 *  in the zygote. NULL: err says why. */
struct dray_driver *shim_drivers_get(struct shim_drivers *d, uint32_t kind, const char *name,
                                     struct dray_err *err);
/** End those processes. */
void shim_drivers_close_own(struct shim_drivers *d);
void shim_drivers_close(struct shim_drivers *d);

#endif
