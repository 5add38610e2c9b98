/* SPDX-License-Identifier: Apache-2.0 */
/* registry.h - the insides of the registry, for the files of this folder. */
#ifndef DRAY_PLUGIN_REGISTRY_H
#define DRAY_PLUGIN_REGISTRY_H

#include "plugin/card.h"
#include "plugin/driver.h"
#include "plugin/kinds.h"
#include "plugin/options.h"

#include <pthread.h>

/** A plugin file, loaded or not. */
struct dray_plugin_file {
    char *path;
    int fd;      /**< the very file that was checked; -EBADF once it is loaded or refused */
    bool listed; /**< found in a plugin folder, not named by the config */
    bool read;   /**< its card could be read */
    struct dray_card card;
    struct dray_plugin desc; /**< copy of the descriptor, zero beyond what the plugin has */
    bool loaded;
    struct dray_err refusal; /**< code 0: fits so far */
    struct dray_plugin_file *next;
};

enum dray_instance_state {
    DRAY_INSTANCE_REFUSED,
    DRAY_INSTANCE_DISABLED,
    DRAY_INSTANCE_READY,
    DRAY_INSTANCE_SUSPECT,
    DRAY_INSTANCE_DRAINING,
    DRAY_INSTANCE_CLOSED,
};

struct dray_driver {
    struct dray_instance *instance;
    uint32_t kind, threading;
    void *ops;        /**< the host's copy of the table, stubs filled in */
    char label[96];   /**< "volume/local" */
    uint64_t offered; /**< bit i: operation i of the kind is the plugin's own */
};

struct dray_instance {
    struct dray_drivers *registry;
    struct dray_plugin_file *file; /**< NULL when no file was found */
    char *name;
    char *path; /**< of the file, for the list */
    const struct dray_plugin *desc; /**< of the file, or of the process that runs it */
    struct dray_isolate *isolate;   /**< NULL: in this process */
    bool isolated;                  /**< shall be */
    struct dray_self *self;
    struct dray_host host;
    struct dray_options *_Atomic options;
    struct dray_driver *drivers;
    size_t n_drivers;
    char *folders[2]; /**< DRAY_PATH_DATA, DRAY_PATH_RUN once made; guarded by lock */
    struct dray_err refusal;
    bool named; /**< by the config */
    bool required;
    bool unfit; /**< probe() said that it cannot work on this machine */

    pthread_mutex_t
        lock;            /**< guards what follows. order: before none, nothing is called under it */
    pthread_cond_t turn; /**< a call has ended or the state has changed */
    enum dray_instance_state state;
    bool stuck;                    /**< its open() has not returned: it must stay in memory */
    struct dray_call_scope *calls; /**< under way, newest first */
    uint32_t n_calls, n_waiting, n_overdue, n_health;
    uint64_t first_deadline_ns; /**< no call is overdue before; 0 none */
    uint64_t next_health_ns;
    uint64_t serial_no, n_begun;
    struct dray_instance *parent; /**< the family that claimed the name: has the options */
    uint32_t claim_kind;          /**< the only kind that it serves then */
    struct dray_instance *_Atomic next;
};

struct dray_drivers {
    struct dray_drivers_config config; /**< strings owned, plugins and dirs dropped */
    struct dray_plugin_file *files;
    /** In the order of their names. Read without a lock: instances are added when they are open
     *  (guarded by claim_lock) and never taken off. */
    struct dray_instance *_Atomic instances;
    struct dray_driver **by_kind[DRAY_KIND_MAX + 1]; /**< open ones, NULL-terminated */

    pthread_mutex_t claim_lock; /**< guards: claims, additions to instances. order: alone */
    pthread_cond_t claimed;     /**< a claim has ended */
    struct dray_claim *claims;  /**< under way, or stuck */
    pthread_mutex_t load_lock;  /**< guards: the loading of a family's file. order: alone */

    pthread_t watchdog;
    bool has_watchdog;
    pthread_mutex_t lock; /**< guards stop. order: before every instance's lock */
    pthread_cond_t wake;
    bool stop;
    _Atomic uint32_t asleep; /**< the watchdog waits to be told of a call */
};

/** Open a file, read and check its card. Fills f->refusal; NULL only without memory. */
struct dray_plugin_file *dray_files_add(struct dray_drivers *r, const char *path);
/** Every *.so of the plugin folders, in order. */
void dray_files_scan(struct dray_drivers *r, const char *const *dirs);
/** The file that the config means by "NAME", "KIND/NAME" or the file's name without ".so". */
struct dray_plugin_file *dray_files_find(struct dray_drivers *r, const char *name,
                                         struct dray_err *err);
void dray_files_free(struct dray_drivers *r);
/** dlopen the file through its descriptor, check and copy the descriptor. Fills f->refusal. */
int dray_plugin_load(struct dray_plugin_file *f);
/** The options that count for the instance: its own, or those of its family. */
struct dray_options *dray_instance_options(const struct dray_instance *in);
/** An instance that is in no list yet. NULL without memory. */
struct dray_instance *dray_instance_new(struct dray_drivers *r, const char *name,
                                        struct dray_plugin_file *f);
/** Put it into the list, in its place. */
void dray_instance_list(struct dray_drivers *r, struct dray_instance *in);
/** Is it the entry of a family, which is never open itself? */
bool dray_instance_is_family(const struct dray_instance *in);
/** Take over the options of a family's entry. Without any, the file is left unloaded as yet. */
int dray_family_open(struct dray_instance *in, struct json_object *options);
/** Open an instance that a family has claimed. Fills in->refusal, with the plugin's own words. */
int dray_instance_open_child(struct dray_instance *in);
/** What it is now; another thread may change it at any time. */
enum dray_instance_state dray_instance_state(struct dray_instance *in);
/** Does it answer calls, or will it again (DRAY_INSTANCE_READY, _SUSPECT)? */
bool dray_instance_is_open(struct dray_instance *in);
/** May it be freed? Not while its open() has not returned. */
bool dray_instance_is_stuck(struct dray_instance *in);
/** The driver that a family opens for a name, once open for ever. NULL with code 0 in err: no
 *  family knows the name. Waits for open() of the plugin, at most as long as every opening may. */
struct dray_driver *dray_family_claim(struct dray_drivers *r, uint32_t kind, const char *name,
                                      struct dray_err *err);
/** Free what is left of claims; false when one has not returned. */
bool dray_family_close(struct dray_drivers *r);
/** The host's table of an instance. */
void dray_host_init(struct dray_instance *in);
/** Check the tables, parse options, probe, open. Fills in->refusal. */
int dray_instance_open(struct dray_instance *in, struct json_object *options);
/** Let calls end until deadline_ns, then close. False when some did not: leave it in memory. */
bool dray_instance_close(struct dray_instance *in, uint64_t deadline_ns);
void dray_instance_free(struct dray_instance *in);
/** Tell of a change of state. No lock may be held. */
void dray_instance_event(struct dray_instance *in, const char *action);

/** Mark overdue calls. True when the instance has just become suspect: then call
 *  dray_instance_tell_suspect() without the lock. in->lock is held. */
bool dray_calls_check(struct dray_instance *in, uint64_t now);
void dray_instance_tell_suspect(struct dray_instance *in);
/** health() has answered: overdue calls no longer stand for the whole instance. lock is held. */
void dray_calls_forgive(struct dray_instance *in);
/** May health() be asked? Not amid the overdue call of a serial interface, which may hold what
 *  health() needs. lock is held. */
bool dray_calls_may_ask(const struct dray_instance *in);
void dray_arena_free(struct dray_arena_chunk *c);
/** A thread without signals; stack 0: the default size. */
int dray_watchdog_thread(pthread_t *out, void *(*run)(void *), void *arg, size_t stack);
int dray_watchdog_start(struct dray_drivers *r);
void dray_watchdog_stop(struct dray_drivers *r);
/** A call has begun. Cheap unless the watchdog sleeps. */
void dray_watchdog_poke(struct dray_drivers *r);

uint64_t dray_mono_ns(void);

#endif
