/* SPDX-License-Identifier: Apache-2.0 */
/* netstat.h - what the kernel tells about processes: network counters and the ps table. */
#ifndef DRAY_ENGINE_NETSTAT_H
#define DRAY_ENGINE_NETSTAT_H

#include <dray/util.h>

struct json_object;

/** The "networks" object of stats from /proc/PID/net/dev; NULL when there are none. */
struct json_object *dray_netstat(int pid);
/** Titles and Processes of GET /containers/{id}/top: the lines of ps(1) with ps_args ("-ef" when
 *  NULL) that are about these pids. */
int dray_ps_table(const int *pids, size_t n, const char *ps_args, struct json_object **out,
                  struct dray_err *err);

#endif
