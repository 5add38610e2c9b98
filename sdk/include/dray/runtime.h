/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runtime.h - runs containers from OCI bundles.
 *
 * create, start, exec and remove are called in the container's shim, whose children the container
 * and its execs become (the shim reaps them, so the driver must not; it is their subreaper, too).
 * Other programs may be run as well, each waited for by its pid before the call returns. state,
 * kill, ps, stats, freeze and update may also be called in the daemon, on another instance of the
 * same driver: all that a driver must remember lies in its DRAY_PATH_RUN folder under the
 * container's id.
 */
#ifndef DRAY_RUNTIME_H
#define DRAY_RUNTIME_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/** checkpoint() and resume() work. */
#define DRAY_RUNTIME_F_CHECKPOINT UINT64_C(1)

/** The three streams of a process. With a terminal they are -1 and the driver makes a pty. */
struct dray_stdio {
    struct dray_fd_borrow in, out, err;
};

struct dray_run_spec {
    uint32_t size;
    uint32_t terminal;   /**< nonzero: allocate a pty in the container */
    const char *bundle;  /**< folder with config.json (OCI runtime-spec 1.2); root.path is where the
                              root file system appears, empty until `rootfs` is mounted there */
    struct dray_mounts rootfs; /**< mounts that make up the root, to be made inside the container's
                                    own mount namespace; none: root.path is ready as it is. With
                                    linux.uidMappings their layers have mapped ids: they are mounted
                                    with the host's rights and the ids of the container's root
                                    (dray_fsids_take()) */
    struct dray_stdio io;
    uint16_t rows, cols; /**< first size of the terminal, 0 unknown */
    uint32_t reserved;
};

struct dray_exec_spec {
    uint32_t size;
    uint32_t terminal;
    const char *process; /**< JSON text of an OCI runtime-spec "process" object */
    struct dray_stdio io;
    uint16_t rows, cols;
    uint32_t privileged;
};

/** A process that has been made. Descriptors pass to the host. */
struct dray_proc {
    uint32_t size;
    int32_t pid;                   /**< in the host's pid namespace; a child of the caller */
    struct dray_fd_take pidfd;     /**< or -1 */
    struct dray_fd_take terminal;  /**< master side of the pty, or -1 */
};

enum dray_runtime_status {
    DRAY_RUNTIME_CREATED = 1,
    DRAY_RUNTIME_RUNNING = 2,
    DRAY_RUNTIME_PAUSED = 3,
    DRAY_RUNTIME_STOPPED = 4,
};

struct dray_runtime_state {
    uint32_t size;
    uint32_t status; /**< enum dray_runtime_status */
    int32_t pid;     /**< 0 when stopped */
    uint32_t oom_killed;
};

#define DRAY_KILL_ALL 1u /**< kill(): every process of the container, not its init alone */

struct dray_runtime_ops {
    struct dray_head head;

    /**
     * Make the container up to, not including, the exec of its command. Errors of the command's
     * path show here or in start(): NOCMD ("executable file not found"), NOEXEC ("permission
     * denied"). What create() made before it failed is dropped with remove().
     */
    int32_t (*create)(struct dray_self *, const struct dray_call *, const char *id,
                      const struct dray_run_spec *, struct dray_proc *out, struct dray_err *);
    int32_t (*start)(struct dray_self *, const struct dray_call *, const char *id,
                     struct dray_err *);
    /** Send a signal. A container that does not run: CONFLICT. */
    int32_t (*kill)(struct dray_self *, const struct dray_call *, const char *id, int32_t signal,
                    uint32_t flags, struct dray_err *);
    int32_t (*state)(struct dray_self *, const struct dray_call *, const char *id,
                     struct dray_runtime_state *out, struct dray_err *);
    /** Drop what is left of a container that has ended: processes, cgroups, state. Idempotent. */
    int32_t (*remove)(struct dray_self *, const struct dray_call *, const char *id,
                      struct dray_err *);
    /** Run one more process in a running container. */
    int32_t (*exec)(struct dray_self *, const struct dray_call *, const char *id,
                    const struct dray_exec_spec *, struct dray_proc *out, struct dray_err *);

    /* Optional. */

    /** Freeze (on != 0) or thaw all processes. */
    int32_t (*freeze)(struct dray_self *, const struct dray_call *, const char *id, uint32_t on,
                      struct dray_err *);
    /** Change limits; `resources` is the JSON text of an OCI "linux.resources" object.
     *  A container that does not run: CONFLICT. */
    int32_t (*update)(struct dray_self *, const struct dray_call *, const char *id,
                      const char *resources, struct dray_err *);
    /** *json_out: object with "cpu_stats", "memory_stats", "blkio_stats", "pids_stats" in the shape
     *  of the Docker Engine API (v1.51 ContainerStatsResponse). Lives in the call. */
    int32_t (*stats)(struct dray_self *, const struct dray_call *, const char *id,
                     const char **json_out, struct dray_err *);
    /** Emit DRAY_REC_ITEM {"pid"} for each process, pids of the host's namespace. */
    int32_t (*ps)(struct dray_self *, const struct dray_call *, const char *id, struct dray_err *);
    /** A container of this id was made by an earlier instance and still lives: take it over. */
    int32_t (*reattach)(struct dray_self *, const struct dray_call *, const char *id,
                        struct dray_err *);
    int32_t (*checkpoint)(struct dray_self *, const struct dray_call *, const char *id,
                          const char *dir, uint32_t flags, struct dray_err *);
    int32_t (*resume)(struct dray_self *, const struct dray_call *, const char *id,
                      const struct dray_run_spec *, const char *dir, struct dray_proc *out,
                      struct dray_err *);
};

#ifdef __cplusplus
}
#endif
#endif
