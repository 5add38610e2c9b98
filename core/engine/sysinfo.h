/* SPDX-License-Identifier: Apache-2.0 */
/* sysinfo.h - which limits this machine's control groups can keep. */
#ifndef DRAY_ENGINE_SYSINFO_H
#define DRAY_ENGINE_SYSINFO_H

#include <stdbool.h>

struct dray_sysinfo {
    bool v2; /* the unified hierarchy alone */
    bool memory, reservation, swap, swappiness, oom_kill_disable;
    bool shares, cfs, realtime, cpuset, pids;
    bool blkio, blkio_weight, blkio_weight_device;
    char cpus[256], mems[256]; /* what a cpuset may name; "" when not known */
};

/** Look at the mounted hierarchies; what was seen within the last second is not looked at again. */
void dray_sysinfo_probe(struct dray_sysinfo *out);

#endif
