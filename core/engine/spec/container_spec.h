/* SPDX-License-Identifier: Apache-2.0 */
/* container_spec.h - the parts of the OCI document, shared by container_spec*.c only. */
#ifndef DRAY_ENGINE_CONTAINER_SPEC_H
#define DRAY_ENGINE_CONTAINER_SPEC_H

#include "engine/container/container.h"
#include "engine/spec/security.h"

/** Add spec["linux"]: namespaces, resources, devices, seccomp, paths, sysctls. */
int dray_spec_linux(const struct dray_spec_in *in, uint64_t caps, const struct dray_security *sec,
                    struct json_object *spec, struct dray_err *err);

#endif
