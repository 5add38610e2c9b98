/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin.h - the descriptor, the one symbol that a plugin exports.
 *
 * A plugin is a shared object with one exported data symbol, `dray_plugin_v1`, and an ELF note
 * `.note.dray.plugin` that says in JSON what it is before any of its code runs:
 *
 *     DRAY_PLUGIN_CARD("{\"name\":\"myvol\",\"version\":\"1.0\",\"abi\":\"0.1\","
 *                      "\"kinds\":[\"volume\"],\"license\":\"MIT\"}");
 *     DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = { ... };
 *
 * Link with `-shared -fvisibility=hidden -Wl,-z,defs,-z,now,-z,relro,-z,nodelete,-z,noexecstack`.
 */
#ifndef DRAY_PLUGIN_H
#define DRAY_PLUGIN_H

#include <dray/abi.h>
#include <dray/host.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Name of the exported symbol. */
#define DRAY_PLUGIN_SYMBOL "dray_plugin_v1"

#define DRAY_PLUGIN_EXPORT __attribute__((visibility("default")))

enum dray_option_type {
    DRAY_OPT_STRING = 1,
    DRAY_OPT_INT = 2,      /**< min <= value <= max when min < max */
    DRAY_OPT_BOOL = 3,     /**< read with opt_int: 0 or 1 */
    DRAY_OPT_SIZE = 4,     /**< "10m", "1g": read with opt_int, in bytes */
    DRAY_OPT_LIST = 5,     /**< JSON array of strings: read with opt_list */
    DRAY_OPT_PATH = 6,     /**< an absolute path */
    DRAY_OPT_DURATION = 7, /**< "5s", "1m30s": read with opt_int, in nanoseconds */
};

#define DRAY_OPT_F_RELOADABLE 1u /**< read anew by reload() */
#define DRAY_OPT_F_SECRET 2u     /**< never shown */
#define DRAY_OPT_F_REQUIRED 4u   /**< no default: the config must set it */

/** One key of the plugin's configuration. The host checks values and refuses unknown keys. */
struct dray_option {
    const char *name;
    uint32_t type;   /**< enum dray_option_type */
    uint32_t flags;  /**< DRAY_OPT_F_* */
    const char *def; /**< default as text (a list: "a,b,c", "" is none), or NULL */
    int64_t min, max;
    const char *choices; /**< "a|b|c", or NULL for any */
    const char *help;    /**< one line */
};

/** One driver that the plugin offers. `ops` points to the kind's table, e.g. dray_volume_ops. */
struct dray_iface {
    uint32_t kind;      /**< enum dray_kind */
    uint32_t threading; /**< enum dray_threading */
    const struct dray_head *ops;
};

/** The descriptor. All pointers live as long as the plugin is mapped (it is never unmapped). */
struct dray_plugin {
    uint64_t magic; /**< DRAY_PLUGIN_MAGIC */
    struct dray_head head;
    const char *name; /**< what the config calls it: [a-z0-9][a-z0-9-]{0,62} */
    const char *version;
    const char *license;
    const struct dray_option *options;
    uint64_t n_options;
    const struct dray_iface *ifaces;
    uint64_t n_ifaces;

    /** Can this work on this machine? No side effects. NULL: yes. */
    int32_t (*probe)(const struct dray_host *, struct dray_err *);
    /** Make an instance. Mandatory. The host table stays valid until close(). One of a log or
     *  runtime driver may be opened in a process that forks for each container: threads would not
     *  come along, and descriptors be shared, so those are made by the first operation. */
    int32_t (*open)(const struct dray_host *, const char *instance, struct dray_self **,
                    struct dray_err *);
    /** Is the instance able to serve? NULL: always. May be asked beside calls that are late, but
     *  not of an interface that is SERIAL. */
    int32_t (*health)(struct dray_self *, struct dray_err *);
    /** The configuration has been read again (SIGHUP): options marked reloadable may have other
     *  values, and files that options name other content. When it fails, what was stays in use.
     *  Takes its turn as a call that names no object; within 5 s. NULL: nothing to do. */
    int32_t (*reload)(struct dray_self *, struct dray_err *);
    /** Finish what is under way by the deadline (CLOCK_MONOTONIC); no new calls come. */
    int32_t (*quiesce)(struct dray_self *, uint64_t deadline_ns, struct dray_err *);
    /** End the instance. Mandatory. */
    void (*close)(struct dray_self *);
    /**
     * Of a family (the card says "family":true): a plugin that serves drivers by names which it
     * finds out only when they are asked for. It is never opened under its own name: for a name
     * that no other plugin has, claim() is asked with the options of the plugin's own entry in
     * the config, and after a yes open() is called with that name as the instance. So each name
     * has its own instance, with its own turn, deadlines and health. 0: there is such a driver;
     * NOTFOUND: not one of this family; another code: there is one, but it cannot be used. It may
     * read files but must not wait for the driver itself.
     */
    int32_t (*claim)(const struct dray_host *, uint32_t kind, const char *name, struct dray_err *);
};

/** What a plugin defines. Declared here so that C++ gives it the right name. */
DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;

#define DRAY_NOTE_OWNER "dray"
#define DRAY_NOTE_TYPE 1
/** Longest card, in bytes with its NUL. */
#define DRAY_CARD_MAX 1024

/**
 * Put the card (a string literal of at most DRAY_CARD_MAX bytes, JSON) into the ELF note.
 * Fields: name, version, abi ("major.minor"), kinds (array), license; optional: needs (array),
 * family (true for a plugin with claim()).
 */
#define DRAY_PLUGIN_CARD(json)                                                                     \
    __attribute__((used, aligned(4), section(".note.dray.plugin"))) static const struct {          \
        uint32_t namesz, descsz, type;                                                             \
        char owner[8];                                                                             \
        char desc[(sizeof(json) + 3u) & ~(size_t)3u];                                              \
    } dray_plugin_card_ = {5, (uint32_t)sizeof(json), DRAY_NOTE_TYPE, DRAY_NOTE_OWNER, json}

#ifdef __cplusplus
}
#endif
#endif
