/* SPDX-License-Identifier: Apache-2.0 */
/* caps.h - Linux capabilities by name, and the set a container gets. */
#ifndef DRAY_ENGINE_CAPS_H
#define DRAY_ENGINE_CAPS_H

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

struct json_object;

/** The mask after adding and dropping (arrays of names as users write them, "ALL" allowed; may be
 *  NULL). Never more than this process may give. Unknown: DRAY_E_INVAL. */
int dray_caps_resolve(struct json_object *add, struct json_object *drop, bool privileged,
                      uint64_t *mask_out, struct dray_err *err);
/** Array of "CAP_X" names. */
struct json_object *dray_caps_names(uint64_t mask);
bool dray_caps_has(uint64_t mask, const char *name);

#endif
