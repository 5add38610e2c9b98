/* SPDX-License-Identifier: Apache-2.0 */
/* system.h - handlers of system.c's routes that have files of their own, and facts of the machine.
 */
#ifndef DRAY_API_SYSTEM_H
#define DRAY_API_SYSTEM_H

#include "api/http.h"

/* info.c */
int dray_api_info(struct dray_http *h, struct dray_engine *e, struct dray_err *err);

/* events.c */
int dray_api_events(struct dray_http *h, struct dray_engine *e, struct dray_err *err);

/* system.c */

/** Of the source that this was built of, or "". */
const char *dray_api_commit(void);

/* machine.c */

/** "amd64" and the like, as Go names architectures. */
const char *dray_machine_goarch(void);
/** Add KernelVersion, OperatingSystem, OSVersion, OSType, Architecture, NCPU, MemTotal, Name. */
void dray_machine_info(struct json_object *info);
/** Add MemoryLimit, SwapLimit, Cpu..., PidsLimit, Cgroup..., and warnings to `warnings`. */
void dray_machine_cgroup_info(struct json_object *info, bool systemd, struct json_object *warnings);
/** Array of SecurityOptions. seccomp: the configured profile, NULL or "" for the built-in one;
 *  remapped: containers have ids of their own. */
struct json_object *dray_machine_security(const char *seccomp, bool remapped);
/** Entries of a folder of /proc/self: "fd", "task". */
int64_t dray_machine_count(const char *dir);

#endif
