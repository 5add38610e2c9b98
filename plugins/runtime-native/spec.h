/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.h - an OCI runtime-spec 1.2 document, parsed.
 *
 * Strings are borrowed from the JSON tree, arrays lie in the arena; both live as long as the
 * rn_spec, and the container's first process reads them after the clone.
 */
#ifndef RN_SPEC_H
#define RN_SPEC_H

#include "userdb.h"
#include "jsonx.h"

#include <dray/runtime.h>

#include <sys/types.h>

/** Bit masks by capability number. */
struct rn_caps {
    uint64_t bounding, effective, permitted, inheritable, ambient;
};

struct rn_rlimit {
    const char *name;
    int resource;
    uint64_t soft, hard;
};

struct rn_process {
    struct rn_strv args, env; /* env has two free slots */
    const char *cwd;
    struct rn_user user;
    struct rn_caps caps;
    struct rn_rlimit *rlimits;
    size_t n_rlimits;
    const char *apparmor, *selinux; /* or NULL */
    bool no_new_privs;
    bool terminal;
    bool has_oom_score;
    int oom_score;
    uint16_t rows, cols;
};

struct rn_spec_mount {
    const char *dest, *type, *source;
    struct rn_strv options;
    int fd; /* a bind's detached mount, or -EBADF */
};

struct rn_device {
    const char *path;
    char type; /* c, b, p */
    uint32_t major, minor, uid, gid;
    mode_t mode;
};

/** One line of uid_map or gid_map. */
struct rn_idmap {
    uint32_t inside, outside, count;
};

struct rn_hook {
    const char *path;
    struct rn_strv args, env;
    int timeout; /* seconds, 0 none */
};

struct rn_hooks {
    struct rn_hook *v;
    size_t n;
};

/** A namespace that exists, to be joined. */
struct rn_join {
    uint64_t flag; /* CLONE_NEW* */
    const char *path;
    int fd;
};

struct rn_spec {
    struct rn_arena arena;
    struct json_object *doc;
    char *text;
    const char *bundle;
    const char *root; /* absolute */
    bool root_ro;
    unsigned long root_propagation; /* MS_*, 0 default */
    const char *hostname, *domainname;
    struct rn_process process;
    struct rn_spec_mount *mounts;
    size_t n_mounts;
    uint64_t ns_new; /* CLONE_NEW* to make */
    struct rn_join join[8];
    size_t n_join;
    struct rn_idmap *uid_map, *gid_map;
    size_t n_uid_map, n_gid_map;
    struct rn_device *devices;
    size_t n_devices;
    struct rn_strv masked, readonly;
    struct json_object *sysctl;    /* or NULL */
    struct json_object *resources; /* or NULL */
    const char *cgroups_path;      /* or NULL */
    struct rn_hooks prestart, create_runtime, create_container, start_container, poststart,
        poststop;
    const char *seccomp; /* text of linux.seccomp, not NUL terminated; NULL: none */
    size_t seccomp_len;
};

/** Read and check bundle/config.json. On failure nothing is held. */
int rn_spec_load(const char *bundle, struct rn_spec *out, struct dray_err *err);
void rn_spec_cleanup(struct rn_spec *spec);

/** Parse an OCI "process" object. */
int rn_process_parse(struct json_object *o, struct rn_arena *a, struct rn_process *out,
                     struct dray_err *err);
/** Parse one kind of hooks. */
int rn_hooks_parse(struct json_object *hooks, const char *kind, struct rn_arena *a,
                   struct rn_hooks *out, struct dray_err *err);
/** Name of the namespace below /proc/PID/ns. */
const char *rn_ns_name(uint64_t flag);

#endif
