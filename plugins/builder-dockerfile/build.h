/* SPDX-License-Identifier: Apache-2.0 */
/* build.h - one whole build. */
#ifndef BUILDER_BUILD_H
#define BUILDER_BUILD_H

#include "bd.h"

/** The builder's operation `build`. */
int bd_build_run(struct dray_self *self, const struct dray_call *call,
                 const struct dray_build_spec *spec, const char **image_out, struct dray_err *err);

#endif
