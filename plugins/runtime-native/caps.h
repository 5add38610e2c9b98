/* SPDX-License-Identifier: Apache-2.0 */
/* caps.h - capability sets of a process. */
#ifndef RN_CAPS_H
#define RN_CAPS_H

#include "spec.h"

/** Number of "CAP_X", or -1. */
int rn_cap_number(const char *name);
/** Those that this process may hand out: its bounding set. */
uint64_t rn_caps_bounding(void);
/** Drop those in mask from the bounding set. */
int rn_caps_drop(uint64_t mask, struct dray_err *err);
/** Set effective, permitted and inheritable of the calling thread; 0 or -1 with errno. */
int rn_caps_set(uint64_t effective, uint64_t permitted, uint64_t inheritable);
/** Set the ambient set; those that are not permitted and inheritable are left out. */
int rn_caps_ambient(uint64_t mask, struct dray_err *err);

#endif
