/* SPDX-License-Identifier: Apache-2.0 */
/* authz.h - which authorization plugins are asked about requests to the API, in which order. */
#ifndef DRAY_ENGINE_AUTHZ_H
#define DRAY_ENGINE_AUTHZ_H

#include "base/strlist.h"

#include <dray/util.h>

struct dray_authz;

int dray_authz_open(const struct dray_strlist *names, struct dray_authz **out,
                    struct dray_err *err);
void dray_authz_close(struct dray_authz *a);
/** Others from now on; requests under way keep theirs. */
int dray_authz_set(struct dray_authz *a, const struct dray_strlist *names, struct dray_err *err);
/** Is nobody to be asked? Costs nothing. NULL: nobody. */
bool dray_authz_none(struct dray_authz *a);
/** A copy of the names. */
int dray_authz_names(struct dray_authz *a, struct dray_strlist *out, struct dray_err *err);

#endif
