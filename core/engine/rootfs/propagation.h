/* SPDX-License-Identifier: Apache-2.0 */
/* propagation.h - can a bind mount have the propagation that is asked for? */
#ifndef DRAY_ENGINE_PROPAGATION_H
#define DRAY_ENGINE_PROPAGATION_H

#include <dray/util.h>

/** INVAL, as Docker words it, when `mode` is shared or slave (r- too) and the mount that `source`
 *  lies on is not: nothing would be passed on. Other modes, and "", are fine. The path must be one
 *  that answers (bounded.h). */
int dray_propagation_check(const char *source, const char *mode, struct dray_err *err);

#endif
