/* SPDX-License-Identifier: Apache-2.0 */
/*
 * abi.h - the types that cross the line between a plugin and its host.
 *
 * Rules that hold for every table and call in <dray/...>:
 *
 *  - Inputs are borrowed for the duration of the call. Nothing allocated on one side is freed on
 *    the other: outputs come from dray_host.alloc() and die with the call.
 *  - Only fixed-width integers, `const char *` (UTF-8, NUL terminated), spans, key/value lists and
 *    descriptors with a stated owner cross. No libc or third-party type that may change its layout.
 *  - Persistent things (a layer, an endpoint, a volume) are named by string ids, never by pointers.
 *  - Structs that begin with `size` grow at their tail; a zero field means the old behaviour. The
 *    host sets the size of those that it hands out to be filled, and everything else in them to
 *    zero, but descriptors to -1.
 *  - Mutating operations are idempotent: creating what exists and is equal, and removing what is
 *    absent, succeed.
 */
#ifndef DRAY_ABI_H
#define DRAY_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** ABI of this header tree. While the major is 0, major and minor must match the host's exactly. */
#define DRAY_ABI_MAJOR 0
#define DRAY_ABI_MINOR 1

/** First word of every descriptor: "DRAYPLG1" in memory order on a little-endian machine. */
#define DRAY_PLUGIN_MAGIC UINT64_C(0x31474c5059415244)

/** Opens every table. `size` is sizeof the table as its author compiled it. */
struct dray_head {
    uint32_t size;
    uint16_t major;
    uint16_t minor;
    uint64_t features; /**< bits announced by DRAY_<KIND>_F_* */
};

/** The kinds of driver. Values are ABI; `dray_kind_name()` in the host spells them. */
enum dray_kind {
    DRAY_KIND_STORAGE = 1,
    DRAY_KIND_NETWORK = 2,
    DRAY_KIND_IPAM = 3,
    DRAY_KIND_VOLUME = 4,
    DRAY_KIND_REGISTRY = 5,
    DRAY_KIND_RUNTIME = 6,
    DRAY_KIND_LOG = 7,
    DRAY_KIND_BUILDER = 8,
    DRAY_KIND_AUTHZ = 9,
    DRAY_KIND_EXTENSION = 10,
};

/** What the host may do with one instance at the same time; the host enforces it. */
enum dray_threading {
    DRAY_THREAD_SERIAL = 0,     /**< one call at a time: no lock needed in the plugin */
    DRAY_THREAD_PER_OBJECT = 1, /**< calls on different ids may run together: what all objects
                                     share, such as a list of them, needs a lock */
    DRAY_THREAD_PARALLEL = 2,   /**< anything may run together */
};

/** Results. Every fallible function returns 0 or one of these. */
enum dray_code {
    DRAY_OK = 0,
    DRAY_E_INVAL = -1,       /**< the caller's argument is wrong (HTTP 400) */
    DRAY_E_NOTFOUND = -2,    /**< no such object (404) */
    DRAY_E_CONFLICT = -3,    /**< exists, in use, or in the wrong state (409) */
    DRAY_E_DENIED = -4,      /**< refused by policy (403) */
    DRAY_E_UNAUTH = -5,      /**< credentials missing or wrong (401) */
    DRAY_E_NOTSUP = -6,      /**< this driver or kernel cannot (501) */
    DRAY_E_IO = -7,          /**< an operating system call failed; see os_errno (500) */
    DRAY_E_NOMEM = -8,       /**< out of memory (500) */
    DRAY_E_TIMEOUT = -9,     /**< the deadline passed (500) */
    DRAY_E_CANCELED = -10,   /**< the caller went away */
    DRAY_E_BUSY = -11,       /**< try again later (409) */
    DRAY_E_UNAVAIL = -12,    /**< the service behind cannot be reached (503) */
    DRAY_E_NOTMODIFIED = -13,/**< already in the wanted state (304) */
    DRAY_E_CORRUPT = -14,    /**< data does not match its digest or its format (500) */
    DRAY_E_NOSPACE = -15,    /**< the disk or a quota is full (500) */
    DRAY_E_INTERNAL = -16,   /**< a bug, or a thing that cannot be (500) */
    DRAY_E_NOEXEC = -17,     /**< the command was found and cannot be executed (exit code 126) */
    DRAY_E_NOCMD = -18,      /**< the command was not found (exit code 127) */
    DRAY_E_LIMIT = -19,      /**< larger or more than is allowed (413) */
    DRAY_E_AGAIN = -20,      /**< rate limited by a peer (429) */
};

#define DRAY_ERR_TRANSIENT 1u /**< the same call may succeed later */

/**
 * An error, owned by the caller, nothing to free: 512 bytes. Untouched on success.
 * Fill it with dray_fail() of <dray/util.h>.
 */
struct dray_err {
    int32_t code;     /**< DRAY_E_* */
    int32_t os_errno; /**< errno at the failing call, or 0 */
    uint32_t flags;   /**< DRAY_ERR_* */
    uint32_t reserved;
    char op[48];      /**< the operation that failed, set by the host */
    char text[448];   /**< one sentence for a person */
};

/** Bytes, not NUL terminated. */
struct dray_span {
    const void *data;
    uint64_t len;
};

/** One key with its value; value is never NULL. */
struct dray_kv {
    const char *key;
    const char *value;
};

/** A list of keys and values, in order, keys unique unless a call says otherwise. */
struct dray_kvs {
    const struct dray_kv *v;
    uint64_t n;
};

/** A list of strings. */
struct dray_strs {
    const char *const *v;
    uint64_t n;
};

/** A descriptor that stays the caller's; valid during the call only. -1 is none. */
struct dray_fd_borrow {
    int32_t fd;
};

/** A descriptor whose ownership passes to the receiver, who closes it. -1 is none. */
struct dray_fd_take {
    int32_t fd;
};

/**
 * How long a call of a class may take when the caller names no deadline. It is the caller who
 * chooses: a driver looks at deadline_ns and cancel_fd.
 */
enum dray_class {
    DRAY_CLASS_QUICK = 0, /**< 10 s: list, inspect, state, stats, ipam, authz, options, events */
    DRAY_CLASS_MOUNT = 1, /**< 60 s: create, remove, mount, join, publish, resolve, handle */
    DRAY_CLASS_DATA = 2,  /**< no fixed end: layers, fetch and push, builds, reading logs */
};

/** Set in dray_call.flags when the host re-creates after a restart what it knows to exist. */
#define DRAY_CALL_REPLAY 1u

/** Comes with every call. `arena` belongs to the host and feeds dray_host.alloc(). */
struct dray_call {
    uint32_t size;
    uint32_t klass;         /**< enum dray_class */
    uint64_t deadline_ns;   /**< CLOCK_MONOTONIC; 0 is none */
    int32_t cancel_fd;      /**< readable once the caller gave up; -1 is none */
    uint32_t attempt;       /**< 0 on the first try */
    const char *request_id; /**< for logs; never NULL */
    uint32_t flags;         /**< DRAY_CALL_* */
    uint32_t reserved;
    void *arena;
};

/** A mount that the host or a runtime shall perform. */
struct dray_mount {
    uint32_t size;
    uint32_t reserved;
    const char *type;         /**< "overlay", "bind", "tmpfs", ... */
    const char *source;       /**< device, folder, or "none" */
    const char *target;       /**< relative to the root of the mounts; "" is the root itself */
    struct dray_strs options; /**< as for mount(8): flags and file system data */
};

/** A list of mounts, to be made in order. */
struct dray_mounts {
    const struct dray_mount *v;
    uint64_t n;
};

/** One answer of a listing, or one step of progress: `type` says which fields to expect. */
struct dray_record {
    uint32_t size;
    uint32_t type; /**< DRAY_REC_* */
    struct dray_kvs fields;
};

enum dray_record_type {
    DRAY_REC_ITEM = 1,     /**< one object of a list */
    DRAY_REC_PROGRESS = 2, /**< "id", "status", "current", "total" */
    DRAY_REC_STATUS = 3,   /**< one line of a driver's status: "key", "value" */
    DRAY_REC_STREAM = 4,   /**< "text": output for a person */
};

struct dray_self; /**< a plugin's own instance data; only the plugin looks inside */
struct dray_host;

#ifdef __cplusplus
}
#endif
#endif
