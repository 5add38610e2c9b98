/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.h - loaded plugins, their instances, and how to call them.
 *
 * A registry is filled once by dray_drivers_open() and read by any thread afterwards. A driver is
 * one kind of one opened instance; pointers to it stay valid until the registry is closed.
 *
 * Every call into a plugin goes through a scope:
 *
 *     struct dray_call_scope s = {0};
 *     int rc = dray_call_enter(&s, driver, DRAY_CLASS_MOUNT, cancel_fd, err);
 *     if (!rc)
 *         rc = ((const struct dray_volume_ops *)s.ops)->mount(s.self, &s.call, name, user, &p,
 * err);
 *     ... read p ...
 *     dray_call_leave(&s);
 *
 * or, without outputs, through dray_driver_call().
 */
#ifndef DRAY_PLUGIN_DRIVER_H
#define DRAY_PLUGIN_DRIVER_H

#include <dray/authz.h>
#include <dray/builder.h>
#include <dray/extension.h>
#include <dray/ipam.h>
#include <dray/log.h>
#include <dray/network.h>
#include <dray/plugin.h>
#include <dray/registry.h>
#include <dray/runtime.h>
#include <dray/storage.h>
#include <dray/volume.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;
struct dray_drivers; /* the registry */
struct dray_driver;  /* one kind of one opened instance */

/** One entry of the daemon's "plugins". */
struct dray_plugin_config {
    const char *name;            /**< of the instance; that of the plugin unless `plugin` is set */
    const char *plugin;          /**< name on the card when it differs from `name`, or NULL */
    const char *path;            /**< file, or NULL: the one of that name in the plugin folders */
    struct json_object *options; /**< object or NULL; borrowed during dray_drivers_open() */
    bool isolated;               /**< in a process of its own */
    bool required;               /**< a refusal makes dray_drivers_open() fail */
    bool disabled;
};

/** A service that plugins find by host->iface(). */
struct dray_host_iface {
    const char *name;
    uint32_t version;
    const void *table;
};

struct dray_drivers_config {
    const char *const *dirs; /**< plugin folders, searched in order, NULL-terminated; may be NULL */
    const char *data_root, *exec_root, *libexec_dir;
    const struct dray_plugin_config *plugins;
    size_t n_plugins;
    uint32_t only_kinds;                  /**< mask of 1u << kind; 0: all */
    const char *const *only_names;        /**< instances to open, NULL-terminated; NULL: all */
    const struct dray_host_iface *ifaces; /**< borrowed until close; name NULL ends it; or NULL */
    /** State changes: "enable", "disable", "refuse", "suspect", "recover". Called without locks,
     *  from any thread. */
    void (*on_event)(void *ctx, const char *plugin, const char *action);
    void *ctx;
    uint32_t open_timeout_ms; /**< for probe() and open() of each plugin; 0: 30 s */
    bool insecure_files;      /**< tests only: files and folders may belong to anybody */
    bool no_isolated;         /**< entries that are isolated are left for another registry */
    bool no_watchdog;         /**< no thread of its own: overruns are noticed by later calls only */
};

/**
 * Read the card of every plugin, check it, load it, open its instances. A plugin that does not fit
 * is logged (the file, what was found, what is needed, what to do), kept for the list, and left
 * out; the call fails only when it is marked as required. Strings of the config are copied.
 */
int dray_drivers_open(const struct dray_drivers_config *config, struct dray_drivers **out,
                      struct dray_err *err);
/** Finish what is under way (10 s), close every instance, free the registry. NULL is allowed. */
void dray_drivers_close(struct dray_drivers *r);
/** Hand new options to open instances. One of which others differ than reloadable ones keeps what
 * it has, and the log says so. The others' reload() is called in any case. Options that are not
 * valid: INVAL and no change at all. */
int dray_drivers_reload(struct dray_drivers *r, const struct dray_plugin_config *plugins,
                        size_t n_plugins, struct dray_err *err);

/** The open driver of that kind and instance name, or NULL. */
struct dray_driver *dray_drivers_find(struct dray_drivers *r, uint32_t kind, const char *name);
/** The same, or NOTFOUND in Docker's words. */
struct dray_driver *dray_drivers_get(struct dray_drivers *r, uint32_t kind, const char *name,
                                     struct dray_err *err);
/** Was such a driver left out for `no_isolated`? */
bool dray_drivers_left_isolated(struct dray_drivers *r, uint32_t kind, const char *name);
/** The i-th open driver of the kind, in the order of their names; NULL at the end. */
struct dray_driver *dray_drivers_at(struct dray_drivers *r, uint32_t kind, size_t i);
/** Array for `dray plugin ls`: Name, Plugin, Kinds, Version, ABI, Path, State, Error, License,
 *  Options (without secrets). State: ready, suspect, draining, refused, disabled. Refused and
 *  disabled ones are there too. */
struct json_object *dray_drivers_list(struct dray_drivers *r);

const char *dray_driver_name(const struct dray_driver *d);
/** Where the driver keeps its data: what it gets as DRAY_PATH_DATA. */
const char *dray_driver_folder(const struct dray_driver *d);
uint32_t dray_driver_kind(const struct dray_driver *d);
uint64_t dray_driver_features(const struct dray_driver *d);
/** Does it run in a process of its own? */
bool dray_driver_isolated(const struct dray_driver *d);
/** enum dray_threading, as its table declares it. */
uint32_t dray_driver_threading(const struct dray_driver *d);
/** Does the driver itself have this operation ("stats"), or does a stub answer NOTSUP? */
bool dray_driver_has(const struct dray_driver *d, const char *op);
/** Is a call overdue, so that new ones are refused? */
bool dray_driver_suspect(struct dray_driver *d);
/** What has been asked of the plugin's instance, whose other drivers count too. */
struct dray_driver_calls {
    uint64_t begun;
    uint32_t under_way, overdue;
};
void dray_driver_calls(struct dray_driver *d, struct dray_driver_calls *out);
/** "volume"; "unknown" for what is no kind. */
const char *dray_kind_name(uint32_t kind);
/** 0 for what is no kind. */
uint32_t dray_kind_parse(const char *name);

/** Gets what a plugin emits; nonzero makes the plugin stop. Runs in the call's thread. */
typedef int32_t (*dray_emit_fn)(void *ctx, const struct dray_record *rec);

/** One call under way. Zero it first; set options; enter; call; leave. Lives on the stack. */
struct dray_call_scope {
    struct dray_self *self;
    struct dray_call call;
    const void *ops;

    /* The rest is private. */
    struct dray_driver *driver;
    struct dray_call_scope *prev, *next; /* among those under way in the instance */
    struct dray_arena_chunk *arena;
    dray_emit_fn emit;
    void *emit_ctx;
    const char *object;
    uint64_t object_hash;
    uint64_t start_ns;
    uint32_t state;
    char request_id[20];
};

/* Options of a scope, before dray_call_enter(). */

/** The id of the object that the call is about: PER_OBJECT drivers run others at the same time.
 *  Borrowed until dray_call_leave(). */
void dray_call_object(struct dray_call_scope *s, const char *object_id);
void dray_call_emit_to(struct dray_call_scope *s, dray_emit_fn fn, void *ctx);
/** Re-creation of what existed before a restart: DRAY_CALL_REPLAY. */
void dray_call_replay(struct dray_call_scope *s);
/** End of the call in CLOCK_MONOTONIC nanoseconds instead of the default of its class. */
void dray_call_deadline(struct dray_call_scope *s, uint64_t deadline_ns);

/**
 * Begin a call: waits for its turn as the driver's threading demands, sets self, ops and call.
 * A driver with an overdue call, or one that is being closed, is refused at once: UNAVAIL,
 * transient. cancel_fd -1: none. After a failure dray_call_leave() may be called or not.
 */
int dray_call_enter(struct dray_call_scope *s, struct dray_driver *d, uint32_t klass, int cancel_fd,
                    struct dray_err *err);
/** End it: outputs of the call are gone after this. A scope that was never entered is fine. */
void dray_call_leave(struct dray_call_scope *s);

/**
 * Look at what the operation `op` gave: a result that is no DRAY_E_* becomes INTERNAL, a failure
 * without words gets some, err->op names driver and operation. Returns the result.
 */
int dray_call_result(const struct dray_call_scope *s, int rc, const char *op, struct dray_err *err);

/** Cleaner for DRAY_AUTO(dray_call_scope). */
static inline void dray_call_scope_cleanup(struct dray_call_scope *s)
{
    dray_call_leave(s);
}

/** A call without outputs of the call's own memory: gives the operation's result.
 *  dray_driver_call(d, volume, DRAY_CLASS_MOUNT, err, remove, name) */
#define dray_driver_call(d, kind, klass, err, op, ...)                                             \
    __extension__({                                                                                \
        struct dray_call_scope dray_s_ = {0};                                                      \
        int dray_rc_ = dray_call_enter(&dray_s_, (d), (klass), -1, (err));                         \
        if (!dray_rc_) {                                                                           \
            dray_rc_ = ((const struct dray_##kind##_ops *)dray_s_.ops)                             \
                           ->op(dray_s_.self, &dray_s_.call, ##__VA_ARGS__, (err));                \
            dray_rc_ = dray_call_result(&dray_s_, dray_rc_, #op, (err));                           \
        }                                                                                          \
        dray_call_leave(&dray_s_);                                                                 \
        dray_rc_;                                                                                  \
    })

#endif
