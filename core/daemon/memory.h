/* SPDX-License-Identifier: Apache-2.0 */
/* memory.h - how much memory the daemon holds while it has nothing to do. */
#ifndef DRAY_DAEMON_MEMORY_H
#define DRAY_DAEMON_MEMORY_H

/** Give back the free heap, and the mapped pages of code and constants: the kernel has these in its
 * page cache and maps them again, some microseconds each, when they are next used. */
void drayd_memory_release(void);
/** To be called at each tick: releases memory when the process has done next to nothing since the
 * last call but something since the last release. */
void drayd_memory_tick(void);

#endif
