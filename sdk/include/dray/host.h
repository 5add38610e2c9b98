/* SPDX-License-Identifier: Apache-2.0 */
/* host.h - the services that the program which loads a plugin offers to it. */
#ifndef DRAY_HOST_H
#define DRAY_HOST_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

enum dray_log_level {
    DRAY_LOG_ERROR = 0,
    DRAY_LOG_WARN = 1,
    DRAY_LOG_INFO = 2,
    DRAY_LOG_DEBUG = 3,
};

enum dray_path {
    DRAY_PATH_DATA = 0, /**< kept across reboots: DATA_ROOT/<kind>/<instance> */
    DRAY_PATH_RUN = 1,  /**< gone after a reboot: EXEC_ROOT/<kind>/<instance> */
    DRAY_PATH_LIBEXEC = 2, /**< folder of the installation's helper programs */
};

/**
 * The host table. It outlives the instance; every function may be called from any thread, `alloc`
 * and `emit` from the thread of their call only.
 */
struct dray_host {
    struct dray_head head;
    void *ctx; /**< the host's own */

    /** Write one line to the host's log, prefixed with kind and instance. */
    void (*log)(const struct dray_host *, uint32_t level, const char *message);

    /** n zeroed bytes, aligned for anything, that live until the call returns; NULL if there are
     *  none. The host reads outputs before it lets them go. */
    void *(*alloc)(const struct dray_call *, uint64_t n);

    /** Hand one record to the caller. Nonzero: stop, the caller has gone (return that value). */
    int32_t (*emit)(const struct dray_call *, const struct dray_record *);

    /** Value of a declared option, after defaults and validation. Unknown names, and options with
     *  neither value nor default, give NULL, 0, an empty list. Strings and lists live as long as
     *  the instance, also when a reload brings others. */
    const char *(*opt_str)(const struct dray_host *, const char *name);
    int64_t (*opt_int)(const struct dray_host *, const char *name);
    struct dray_strs (*opt_list)(const struct dray_host *, const char *name);

    /** A private folder of this instance, made on first use, mode 0700; never NULL. */
    const char *(*path)(const struct dray_host *, uint32_t which);

    /** An optional service by name and version ("dray.trace", 1); NULL if the host has none. */
    const void *(*iface)(const struct dray_host *, const char *name, uint32_t version);
};

#ifdef __cplusplus
}
#endif
#endif
