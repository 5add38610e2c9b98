/* SPDX-License-Identifier: Apache-2.0 */
/* build_policy.h - "builder" of daemon.json: what builds may do, and how much cache they leave. */
#ifndef DRAY_ENGINE_BUILD_POLICY_H
#define DRAY_ENGINE_BUILD_POLICY_H

#include "engine/filters.h"

#include <dray/builder.h>

struct dray_builds;
struct dray_build_req;
struct build_policy;

/** Read it. A wrong setting: DRAY_E_INVAL, so that the daemon does not start. */
int build_policy_open(struct dray_builds *bs, struct build_policy **out, struct dray_err *err);
/** Waits for a collection that is under way. */
void build_policy_close(struct build_policy *p);

/** May the build run this command? Its Dockerfile alone cannot ask for more than its client. */
int build_policy_check(const struct build_policy *p, const struct dray_build_req *req,
                       const struct dray_build_run *run, struct dray_err *err);

/** A build has ended: drop what the rules do not keep, beside other work. */
void build_policy_collect(struct build_policy *p);

#endif
