/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci.h - runs containers through a program with the command line of runc: create, start, exec,
 * kill, delete, pause, resume, update.
 *
 * One instance is one program. What is remembered of a container lies in a folder of the instance,
 * so that the daemon's instance and the shim's know the same.
 */
#ifndef DRAY_OCI_H
#define DRAY_OCI_H

#include "cgroup.h"

#include <dray/plugin.h>
#include <dray/runtime.h>
#include <dray/util.h>

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct dray_self {
    const struct dray_host *host;
    char *program;         /* path */
    struct dray_strs args; /* before the command, the host's */
    char *root;            /* where the program keeps its state */
    int run;               /* our folder, O_PATH */
    struct rn_cg_layout cgroups;
};

/* state.c: what is remembered of a container */

struct oci_state {
    pid_t pid;
    uint64_t start; /* when pid began: tells it from a later one */
    char cgroup[PATH_MAX];
    bool started;
    int dir; /* the container's folder */
};

static inline void oci_state_cleanup(struct oci_state *s)
{
    dray_cleanup_fd(&s->dir);
}
#define OCI_AUTO_STATE __attribute__((cleanup(oci_state_cleanup))) struct oci_state

/** Make the container's folder, empty. */
int oci_state_new(struct dray_self *self, const char *id, struct oci_state *out,
                  struct dray_err *err);
int oci_state_write(const struct oci_state *s, struct dray_err *err);
int oci_state_mark_started(const struct oci_state *s, struct dray_err *err);
/** NOTFOUND if there is no such container. */
int oci_state_read(struct dray_self *self, const char *id, struct oci_state *out,
                   struct dray_err *err);
bool oci_state_alive(const struct oci_state *s);
/** Drop the folder. Absent: success. */
void oci_state_remove(struct dray_self *self, const char *id);
/** Start time of a process, 0 when it does not live (a zombie does not). */
uint64_t oci_start_time(pid_t pid);

/* call.c: one run of the program */

#define OCI_ARGS_MAX 32

struct oci_command {
    const char *argv[OCI_ARGS_MAX]; /* command and its arguments, NULL-terminated */
    struct dray_stdio io;           /* -1: /dev/null */
    const char *dir;                /* working directory, or NULL */
    const char *log;                /* file that the program writes its own messages to */
    int watch;                      /* a descriptor to be looked at meanwhile, or -1 */
    int (*ready)(void *ctx, struct dray_err *err); /* it is readable */
    /* In the child before the program runs; may be NULL. */
    int (*before)(void *ctx, struct dray_err *err);
    void *ctx;
};

/** Run it and wait, until the call's deadline at most. A failure has the program's own words. */
int oci_run(struct dray_self *self, const struct dray_call *call, const struct oci_command *c,
            struct dray_err *err);
/** A command without streams: oci_simple(self, call, id, err, "pause", id) */
#define oci_simple(self, call, id, err, ...)                                                       \
    oci_simple_((self), (call), (id), (const char *const[]){__VA_ARGS__, NULL}, (err))
int oci_simple_(struct dray_self *self, const struct dray_call *call, const char *id,
                const char *const *argv, struct dray_err *err);
/** The path of a file in a container's folder; owned by the caller. */
char *oci_path(struct dray_self *self, const char *id, const char *name);
/** Read a pid that the program wrote. */
int oci_read_pid(const char *path, pid_t *out, struct dray_err *err);

/* console.c: where the program sends the terminal that it made */

struct oci_console {
    int listener, dir;
    char *path;
    char address[108]; /* the same, short enough for an address: for the program */
    int master;        /* -EBADF until it has come */
};
int oci_console_open(struct oci_console *c, const char *path, struct dray_err *err);
int oci_console_receive(void *console, struct dray_err *err);
void oci_console_close(struct oci_console *c);
static inline void oci_console_cleanup(struct oci_console *c)
{
    oci_console_close(c);
}

/* rootfs.c: runs in the child */

/** Mount a container's root in a mount namespace of its own. */
int oci_rootfs_mount(const struct dray_mounts *mounts, const char *root, struct dray_err *err);

/* process.c */

/** Turn the user of an OCI "process" into numbers, by the files of a root (not trusted). */
int oci_process_user(int root, struct json_object *process, struct dray_err *err);
/** Rewrite a bundle's config.json for programs that know no newer form than OCI 1.0. */
int oci_config_adapt(const char *bundle, const char *root, struct dray_err *err);

/** Fill in what a caller gets of a process. */
int oci_proc_fill(struct dray_proc *out, pid_t pid, struct oci_console *console,
                  struct dray_err *err);

int32_t oci_create(struct dray_self *self, const struct dray_call *call, const char *id,
                   const struct dray_run_spec *spec, struct dray_proc *out, struct dray_err *err);
int32_t oci_start(struct dray_self *self, const struct dray_call *call, const char *id,
                  struct dray_err *err);
int32_t oci_exec(struct dray_self *self, const struct dray_call *call, const char *id,
                 const struct dray_exec_spec *spec, struct dray_proc *out, struct dray_err *err);
int32_t oci_kill(struct dray_self *self, const struct dray_call *call, const char *id,
                 int32_t signal, uint32_t flags, struct dray_err *err);
int32_t oci_state(struct dray_self *self, const struct dray_call *call, const char *id,
                  struct dray_runtime_state *out, struct dray_err *err);
int32_t oci_remove(struct dray_self *self, const struct dray_call *call, const char *id,
                   struct dray_err *err);
int32_t oci_freeze(struct dray_self *self, const struct dray_call *call, const char *id,
                   uint32_t on, struct dray_err *err);
int32_t oci_update(struct dray_self *self, const struct dray_call *call, const char *id,
                   const char *resources, struct dray_err *err);
int32_t oci_stats(struct dray_self *self, const struct dray_call *call, const char *id,
                  const char **json_out, struct dray_err *err);
int32_t oci_ps(struct dray_self *self, const struct dray_call *call, const char *id,
               struct dray_err *err);
int32_t oci_reattach(struct dray_self *self, const struct dray_call *call, const char *id,
                     struct dray_err *err);

#endif
