/* SPDX-License-Identifier: Apache-2.0 */
/* native_rig.h - loads the runtime driver and runs containers of a busybox root in a temporary
 * folder. */
#ifndef NATIVE_RIG_H
#define NATIVE_RIG_H

#include <dray/plugin.h>
#include <dray/runtime.h>
#include <dray/util.h>

#include <stdbool.h>
#include <sys/types.h>

/** Load the driver and make the root. False with a printed reason when this machine cannot. */
bool rig_open(void);
void rig_close(void);

extern struct dray_runtime_ops *rig_ops;
extern struct dray_self *rig_self;
/** The temporary folder; the image's root is in <dir>/image. */
extern char rig_dir[];

/** Parts of a config.json; NULL or 0 is the default. */
struct rig_spec {
    const char *args;       /* JSON array; default ["true"] */
    const char *process;    /* more members of "process", with a leading comma */
    const char *caps;       /* JSON array for the bounding, effective and permitted sets */
    const char *linux_;     /* more members of "linux", with a leading comma */
    const char *resources;  /* members of "resources", with a leading comma */
    const char *mounts;     /* more mounts, with a leading comma */
    const char *root;       /* more members of "root", with a leading comma */
    const char *top;        /* more top level members, with a leading comma */
    const char *namespaces; /* JSON array; default: all but network */
    bool terminal, no_dev;
};

/** One run. */
struct rig_run {
    char id[64];
    struct dray_err err;
    struct dray_proc proc;
    int in, out, errfd; /* our ends */
    char output[65536]; /* of both streams, see rig_finish */
    int code;           /* as a shell shows it, -1 unknown */
};

/** create() only; the result code. */
int rig_create(struct rig_run *r, const struct rig_spec *spec);
int rig_start(struct rig_run *r);
/** Read the output until its end and wait for the process. */
void rig_finish(struct rig_run *r);
int rig_remove(struct rig_run *r);
/** All of it; the exit code, or a negative result code. */
int rig_do(struct rig_run *r, const struct rig_spec *spec);
/** Run a shell line with the default specification. */
int rig_sh(struct rig_run *r, const struct rig_spec *spec, const char *line);
/** exec() of a process object, until its end. */
int rig_exec(const struct rig_run *in, struct rig_run *out, const char *process, bool terminal);
/** Write a file below the image, its folders are made. */
void rig_file(const char *path, const char *text, mode_t mode);
/** Does any cgroup named after the id exist? */
bool rig_cgroup_left(const char *id);
/** A call table with an arena that is freed by rig_call_end. */
struct dray_call *rig_call(void);
/** How many records the last call emitted. */
extern unsigned rig_emitted;
void rig_call_end(void);

#endif
