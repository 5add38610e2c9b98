/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol.h - what the daemon and dray-shim say to each other.
 *
 * One zygote, `dray-shim zygote`, is started by the daemon with a SOCK_SEQPACKET socket as
 * descriptor 3. It loads the runtime and log plugins once and forks a shim per container, so that a
 * shim costs a fork and shares its memory with its siblings. Shims are in a session of their own
 * and outlive both. Messages are base/sockmsg.h packets of JSON with descriptors.
 *
 * To the zygote (no answer):
 *   {"op":"init", "plugin_dirs":[..], "data_root", "exec_root", "libexec_dir", "plugins":{..},
 *    "log_level":2}                                        first message, once
 *   {"op":"spawn", "id":ID, "dir":DIR}  fds: [connection]  DIR: EXEC_ROOT/containers/ID, exists
 *
 * The shim listens at DIR/shim.sock (any number of connections) and writes its pid to DIR/shim.pid;
 * the descriptor that came with "spawn" is its first connection. Requests carry "seq"; the answer
 * is {"re":seq, ...} or {"re":seq, "code":DRAY_E_*, "error":TEXT}. Requests on one connection are
 * answered in order; a slow one (run, exec) may hold up those behind it. A request whose sender has
 * closed the connection by then is dropped, and an exec that was being started meanwhile is killed.
 *
 *   {"op":"run", "bundle":DIR, "runtime":NAME, "rootfs":[{"type","source","target","options":[]}],
 *    "terminal":bool, "stdin":bool, "stdin_once":bool, "rows","cols", "exit_file":PATH,
 *    "log":null | {"driver":NAME, "mode":"blocking|non-blocking", "max_buffer":BYTES,
 *                  "cache_driver":NAME|null, "cache_options":{},
 *                  "info":{"name","image_id","image_name","command","daemon_name","dir",
 *                          "created_ns","labels":{},"env":{},"options":{}}}}
 *       -> {"pid", "started_ns"}. Creates and starts; on failure the shim answers and ends.
 *   {"op":"attach", "exec":ID|absent, "stdin":bool,"stdout":bool,"stderr":bool, "framed":bool,
 *    "detach_keys":[byte,..]}  fds: [stream, done]
 *       -> {}. May come before "run". The shim copies between the client's stream socket and the
 *       process, frames output as Docker does when asked, and closes `done` when the session ends
 *       (process ended and output drained, detached, or client gone). A session that ends by the
 *       detach keys writes one byte 'd' to `done` first.
 *   {"op":"exec", "exec":ID, "process":{OCI process}, "terminal","stdin","rows","cols",
 *    "privileged", and the fields of "attach" when fds are given}  fds: [] or [stream, done]
 *       -> {"pid"}; later {"event":"exec-exit","exec":ID,"code":N,"at_ns"}
 *   {"op":"resize", "exec":ID|absent, "rows", "cols"}          -> {} (no terminal yet: remembered)
 *   {"op":"signal", "exec":ID, "signal":N}                     -> {} signal an exec's process
 *   {"op":"kill", "signal":N, "all":bool}                      -> {} signal the container
 *   {"op":"close_stdin"}                                       -> {}
 *   {"op":"state"} -> {"pid", "started_ns", "running":bool, "execs":[{"id","pid"}]}
 *   {"op":"quit"}  -> {} and the shim ends if nothing runs
 *
 * Events go to every connection: "exec-exit" and
 *   {"event":"exit", "code":N, "oom":bool, "at_ns":NS}
 * Before it is sent, the same object (without "event") is in exit_file, or under the same name in
 * the shim's folder when the disk of exit_file takes no more, and all output of the container is in
 * its log, if that is kept in files; after it the shim finishes attach sessions, drops the
 * container (runtime remove, log close), sends what a log driver's peer has not taken yet (10 s at
 * most) and ends. Codes are as Docker shows them: 128+n after signal n.
 *
 * The folder of exit_file is locked (flock) from "run" until the container has been dropped: the
 * shim of the container's next run waits for it.
 */
#ifndef DRAY_SHIM_PROTOCOL_H
#define DRAY_SHIM_PROTOCOL_H

#define DRAY_SHIM_SOCKET "shim.sock"
#define DRAY_SHIM_PIDFILE "shim.pid"
#define DRAY_SHIM_FD 3

/** Docker's framing of attach, exec and log streams. */
#define DRAY_FRAME_STDIN 0
#define DRAY_FRAME_STDOUT 1
#define DRAY_FRAME_STDERR 2
#define DRAY_FRAME_HEADER 8

#endif
