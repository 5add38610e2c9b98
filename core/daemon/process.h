/* SPDX-License-Identifier: Apache-2.0 */
/* process.h - what a daemon owes to the machine: pid file, limits, systemd. */
#ifndef DRAY_DAEMON_PROCESS_H
#define DRAY_DAEMON_PROCESS_H

#include <dray/util.h>

/** Write and lock the pid file. *fd_out holds the lock; another daemon there: CONFLICT. */
int drayd_pidfile_open(const char *path, int *fd_out, struct dray_err *err);
/** Tell systemd, e.g. "READY=1"; nothing when it did not ask. */
void drayd_notify(const char *state);
/** Limits, umask, allocator, inherited descriptors: for a long life with many threads, little
 * memory and children that live on. */
void drayd_settle(void);
/** Log how many threads there are and what each waits for. */
void drayd_dump_threads(void);

#endif
