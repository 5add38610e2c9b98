/* SPDX-License-Identifier: Apache-2.0 */
/* shims.h - the daemon's side of shim/protocol.h. */
#ifndef DRAY_ENGINE_SHIMS_H
#define DRAY_ENGINE_SHIMS_H

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

struct dray_container;
struct dray_engine;
struct dray_shims;
struct json_object;

/** Start the zygote and the thread that listens to all shims. */
int dray_shims_open(struct dray_engine *e, int run_dir, struct dray_shims **out,
                    struct dray_err *err);
/** Shims and containers go on. */
void dray_shims_close(struct dray_shims *s);

/** Have a shim forked for the container; *sock_out is a connection to it, owned by the caller. */
int dray_shims_spawn(struct dray_shims *s, const char *id, int *sock_out, struct dray_err *err);
/** Wait until the shim of dray_shims_spawn() is on its way. A zygote that takes no orders any more
 * is replaced, and *sock is another one then. On failure it is closed (-EBADF). */
int dray_shims_await(struct dray_shims *s, const char *id, int *sock, struct dray_err *err);
/** Connect to a shim that lives. None: DRAY_E_UNAVAIL. */
int dray_shims_connect(struct dray_shims *s, const char *id, int *sock_out, struct dray_err *err);
/** SIGKILL to a shim that does not answer, and wait until it has gone (5 s at most). */
void dray_shims_kill(struct dray_shims *s, const char *id);
/** Listen to events on sock from now on (takes it, and a reference to c): calls
 *  dray_container_ended() and dray_container_exec_ended() from a worker. */
int dray_shims_watch(struct dray_shims *s, struct dray_container *c, uint64_t serial,
                     int sock /* takes */, struct dray_err *err);

/** One request and its answer on a connection; events that come in between are dropped. *reply may
 *  be NULL. An error of the shim is returned with its code and text. */
int dray_shim_call(int sock, struct json_object *body /* takes */, const int *fds, size_t n_fds,
                   int timeout_ms, struct json_object **reply, struct dray_err *err);
/** dray_shims_connect, dray_shim_call, close. */
int dray_shims_ask(struct dray_shims *s, const char *id, struct json_object *body /* takes */,
                   int timeout_ms, struct json_object **reply, struct dray_err *err);

#endif
