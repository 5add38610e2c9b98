/* SPDX-License-Identifier: Apache-2.0 */
/* exec.h - the table of execs, shared by the container files. */
#ifndef DRAY_ENGINE_EXEC_H
#define DRAY_ENGINE_EXEC_H

#include <dray/util.h>

#include <stdbool.h>

struct dray_container;
struct dray_containers;
struct dray_exec_table;
struct json_object;

int dray_execs_open(struct dray_exec_table **out, struct dray_err *err);
void dray_execs_close(struct dray_exec_table *t);
/** Forget a container's execs. Without `all`, those that were not started: they were of the run
 * that ended, and the exit codes of the others may still be asked for. */
void dray_execs_forget(struct dray_containers *cs, struct dray_container *c, bool all);
/** Array of the ids of a container's execs that run, or null when there are none. */
struct json_object *dray_execs_ids(struct dray_containers *cs, struct dray_container *c);

/** Run a command in the container without a client and collect at most `most` bytes of its output:
 *  health checks. TIMEOUT: it was killed after timeout_ms. */
int dray_exec_run(struct dray_container *c, struct json_object *config, int timeout_ms, size_t most,
                  int *code_out, char **output_out, struct dray_err *err);

#endif
