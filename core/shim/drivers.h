/* SPDX-License-Identifier: Apache-2.0 */
/* drivers.h - loads the runtime and log drivers that shims call. */
#ifndef DRAY_SHIM_DRIVERS_H
#define DRAY_SHIM_DRIVERS_H

#include "plugin/driver.h"

#include <dray/util.h>

struct json_object;

/** Open the drivers as the zygote's "init" message says; those that cannot be used are logged and
 *  left out. The registry is the caller's. */
int shim_drivers_open(struct json_object *init, struct dray_drivers **out, struct dray_err *err);

#endif
