/* SPDX-License-Identifier: Apache-2.0 */
/* container.h - the container object, shared by the files container_*.c and exec.c only. */
#ifndef DRAY_ENGINE_CONTAINER_H
#define DRAY_ENGINE_CONTAINER_H

#include "base/clock.h"
#include "base/digest.h"
#include "base/ident.h"
#include "base/strlist.h"
#include "engine/container/containers.h"
#include "engine/engine.h"
#include "engine/rootfs/remap.h"

#include <pthread.h>
#include <stdatomic.h>

struct dray_resolv;
struct json_object;

enum dray_container_status {
    DRAY_CS_CREATED,
    DRAY_CS_RUNNING,
    DRAY_CS_PAUSED,
    DRAY_CS_RESTARTING,
    DRAY_CS_REMOVING,
    DRAY_CS_EXITED,
    DRAY_CS_DEAD,
};

/** What changes while a container lives; kept in state.json. */
struct dray_container_state {
    enum dray_container_status status;
    int pid;
    int exit_code;
    bool oom_killed;
    bool manually_stopped; /* a user stopped it: "unless-stopped" stays down */
    bool has_been_started;
    int restart_count;
    int64_t started_ns, finished_ns;
    char error[256];
};

/** An attach that came before the container runs. Lives on the attaching thread's stack. */
struct dray_pending_attach {
    struct dray_pending_attach *next;
    const struct dray_attach_req *req;
    int sock;
    int done; /* write end; closed by who takes the entry off the list */
    bool tty;
};

struct dray_waiter {
    struct dray_waiter *next;
    struct dray_container *c; /* a reference; NULL: it was removed before, and the answer is here */
    enum { DRAY_WAIT_STOP, DRAY_WAIT_NEXT, DRAY_WAIT_REMOVED } until;
    int fd; /* eventfd */
    bool answered;
    int code;
    char error[256];
};

struct dray_health; /* container_health.c */

struct dray_container {
    atomic_int refs;
    struct dray_containers *set;
    char id[DRAY_ID_LEN];

    /* Immutable after create. */
    int64_t created_ns;
    char image_id[DRAY_DIGEST_LEN];
    char *image;        /* as the user named it */
    char *manifest;     /* digest or NULL */
    char *driver;       /* storage driver */
    char *layer;        /* writable layer's storage id */
    char *layer_parent; /* the init layer */
    char *platform;
    struct json_object *labels; /* never NULL */
    bool tty, open_stdin, stdin_once;
    bool step;          /* of a build: it has no image, and its layer is not its own */
    bool auto_remove;   /* constant */
    atomic_int resting; /* restarts under way: a stop on the way to a start is no end */

    /* One long operation at a time: start, removal, the handling of an exit, network changes.
     * order: before lock. */
    pthread_mutex_t op;

    pthread_mutex_t lock; /* guards all below. order: after set->lock */
    pthread_cond_t changed;
    char *name;
    struct dray_container_state st;
    /* JSON texts, immutable strings that are replaced as a whole. */
    char *config;          /* Docker's Config */
    char *host;            /* Docker's HostConfig */
    char *mounts;          /* array of mount points, container_mounts.c */
    bool restarts;         /* it has a restart policy */
    atomic_bool start_due; /* the daemon's start has yet to start it by its policy */
    bool unsaved;          /* the state could not be written, and will be tried again */
    char *endpoints;       /* NetworkSettings.Networks, with what is noted for us alone */
    char *networks;        /* the same as clients see it */
    char *ports;           /* NetworkSettings.Ports, "{}" while stopped */
    char *summary; /* the fixed part of its row in the list; open, with HostConfig as its last */
    char *notes;   /* HostConfig.Annotations of that row, or NULL */
    char *netns;   /* path of the sandbox, or NULL */
    char *runtime; /* driver name */
    struct dray_waiter *waiters;
    struct dray_pending_attach *pending;
    unsigned announced;  /* attaches whose clients may know already, not yet in pending */
    bool accepts_attach; /* the shim takes attaches itself */
    bool removed;        /* off the table; only references keep it */
    bool restart_canceled;
    unsigned backoff_steps; /* how often the pause before a restart has doubled */
    bool start_canceled;
    int starting;          /* connection to the shim while it starts the container, else -EBADF */
    uint64_t start_serial; /* counts starts, so that late timers know they are late */
    struct dray_health *health; /* NULL without a health check */
    unsigned execs_running;
    unsigned log_readers; /* who read its folder; the last of them drops it if folder_left */
    bool folder_left;

    bool has_dns; /* the embedded resolver knows of it; guarded by op */
};

/* container_table.c */

/** How a container ended that removed itself. */
struct dray_departed {
    char id[DRAY_ID_LEN];
    char name[64]; /* "": too long a one, it is known by its id alone */
    int code;
    int64_t until_mono; /* when it is forgotten, in ns */
};
#define DRAY_DEPARTED_MAX 32 /* the newest of them are known */

struct dray_containers {
    struct dray_engine *engine;
    pthread_rwlock_t lock;     /* guards: the table and the names. order: first */
    struct dray_container **v; /* sorted by creation, oldest first */
    size_t n, cap;
    struct json_object *by_name; /* name -> id, reserved names included */
    struct json_object *by_id;   /* id -> pointer */
    int dir;                     /* data_root/containers */
    int run_dir;                 /* exec_root/containers */
    struct dray_shims *shims;
    struct dray_exec_table *execs;
    struct dray_workq *work;
    struct dray_netns_pool *netns;
    atomic_bool closing;
    atomic_bool opening;           /* what is left over is yet to be told from what is used */
    atomic_bool has_links;         /* some container has links of the default bridge */
    struct dray_strlist broken;    /* ids of those whose document cannot be read */
    pthread_mutex_t departed_lock; /* guards: departed, n_departed. order: last */
    struct dray_departed departed[DRAY_DEPARTED_MAX];
    size_t n_departed; /* in all: the next takes the place of the oldest */
};

struct dray_container *dray_container_ref(struct dray_container *c);
void dray_container_unref(struct dray_container *c);
static inline void dray_container_cleanup(struct dray_container **c)
{
    if (*c)
        dray_container_unref(*c);
}
#define dray_autocontainer __attribute__((cleanup(dray_container_cleanup))) struct dray_container
/** A new object with one reference, not in the table. NULL without memory. */
struct dray_container *dray_container_new(struct dray_containers *cs);

/** Find by id, name or unique prefix; a reference. NOTFOUND: "No such container: X". */
int dray_container_find(struct dray_containers *cs, const char *name, struct dray_container **out,
                        struct dray_err *err);
/** Lock c->op for an operation on a container that was found; NOTFOUND, without the lock, when it
 *  was removed meanwhile. */
int dray_container_op_begin(struct dray_container *c, struct dray_err *err);
/** All containers, oldest first, each with a reference: free with dray_container_list_free(). */
size_t dray_container_snapshot(struct dray_containers *cs, struct dray_container ***out);
void dray_container_list_free(struct dray_container **v, size_t n);
/** Reserve a name for an id; CONFLICT in Docker's words. name NULL or "": choose one into out. */
int dray_container_name_reserve(struct dray_containers *cs, const char *name, const char *id,
                                char **out, struct dray_err *err);
void dray_container_name_release(struct dray_containers *cs, const char *name);
int dray_container_insert(struct dray_containers *cs, struct dray_container *c,
                          struct dray_err *err);
void dray_container_erase(struct dray_containers *cs, struct dray_container *c);

/* container_broken.c: those whose document cannot be read. They are in no list. */

/** Has the folder of id no document at all? Then its creation or its removal was cut off. */
bool dray_container_half_made(struct dray_containers *cs, const char *id);
/** Log why, remember id, and have nothing swept at this start. */
void dray_container_broken_note(struct dray_containers *cs, const char *id, const char *why);
/** What runs keeps its addresses and ports, as far as its state tells them. */
void dray_container_broken_hold(struct dray_containers *cs);
/** The id of the one that begins with prefix; false if none or several do. */
bool dray_container_broken_find(struct dray_containers *cs, const char *prefix,
                                char id_out[DRAY_ID_LEN]);
/** End what runs of it and remove all of it that its id tells. CONFLICT without force. */
int dray_container_broken_remove(struct dray_containers *cs, const char *id, bool force,
                                 struct dray_err *err);

/* container_doc.c: container.json and state.json */

int dray_container_save(struct dray_container *c, struct dray_err *err);
int dray_container_save_state(struct dray_container *c, struct dray_err *err);
/** The moment at key of a document, ns since 1970; def also for an earlier one: two can be
 *  subtracted, whatever happened to the document. */
int64_t dray_container_time(struct json_object *doc, const char *key, int64_t def);
int dray_container_load(struct dray_containers *cs, const char *id, struct dray_container **out,
                        struct dray_err *err);
/** Replace one of the JSON texts; call with lock held. */
void dray_container_set_text(char **slot, struct json_object *value);
/** The HostConfig, and what is often asked of it. With lock held. */
void dray_container_set_host(struct dray_container *c, struct json_object *host);
/** Replace the endpoints, and what the list shows of them. Call with lock held. */
void dray_container_set_endpoints(struct dray_container *c, struct json_object *endpoints);
/** What one of the texts holds: a new object, NULL for none. Call with lock held. */
struct json_object *dray_container_text(const char *text);
/** The same, never NULL ("{}" for none). Takes lock itself. */
struct json_object *dray_container_json(struct dray_container *c, char *const *slot);
const char *dray_container_status_name(enum dray_container_status s);

/* container_events.c */

/** Emit a container event with the attributes Docker puts there, plus pairs of extra (NULL-ended).
 */
void dray_container_event(struct dray_container *c, const char *action, ...)
    __attribute__((sentinel));

/* container_wait.c */

/** Kill what a shim that died or was killed left behind. */
void dray_container_end_orphans(struct dray_container *c);
/** Wait, some seconds at most, until no attach is merely announced. */
void dray_container_await_announced(struct dray_container *c);
/** Give up a start that waits for its shim; it fails soon after. */
void dray_container_start_cancel(struct dray_container *c);
/** The container stopped, was removed: answer those who wait. Call with lock held. */
void dray_waiters_stopped(struct dray_container *c);
void dray_waiters_removed(struct dray_container *c);
/** Its logs are being read: its folder outlives its removal until release. */
void dray_container_folder_hold(struct dray_container *c);
void dray_container_folder_release(struct dray_container *c);
/** It is about to be removed because it has ended: a client that starts it and then waits may come
 *  too late for it, and is answered for a while all the same. */
void dray_waiters_depart(struct dray_container *c);
/** Wait until it does not run, at most timeout_ms (-1: no end). false: still runs. */
bool dray_container_wait_stopped(struct dray_container *c, int64_t timeout_ms);

/* container_mounts.c */

/** Resolve Binds, Mounts, Volumes, VolumesFrom and Tmpfs into mount points; makes and holds
 * volumes. */
int dray_container_mounts_create(struct dray_container *c, struct json_object *config,
                                 struct json_object *host, struct json_object *image_config,
                                 struct json_object **out, struct dray_err *err);
/** Drop the holds of create; with volumes: remove the anonymous ones. */
void dray_container_mounts_drop(struct dray_container *c, bool volumes);
/** Mount volumes, make missing bind sources, and add OCI mounts to `mounts`. */
int dray_container_mounts_start(struct dray_container *c, struct json_object *points,
                                struct json_object *mounts, struct dray_err *err);
void dray_container_mounts_stop(struct dray_container *c);
/** Open what lies at `sub` below `whole`, the folder of volume or image `name`: links and ".."
 * cannot leave it. DRAY_E_NOTFOUND: nothing is there. */
int dray_container_subpath(const char *name, const char *whole, const char *sub, int flags,
                           int *fd_out, struct dray_err *err);

/* container_files.c: hostname, hosts, resolv.conf */

int dray_container_files_write(struct dray_container *c, struct json_object *config,
                               struct json_object *host, struct json_object *endpoints,
                               struct dray_err *err);
/** A container came up: those that link to it on the default bridge learn its address, soon. */
void dray_container_links_refresh(struct dray_container *c);
/** Rewrite hosts, and resolv.conf if need be, after endpoints changed. */
void dray_container_files_refresh(struct dray_container *c);

/* container_userns.c */

/** Whose ids does it have by its HostConfig? NULL: the host's. */
struct dray_userns *dray_container_userns(const struct dray_container *c, struct json_object *host);
/** The same, of its own HostConfig. */
struct dray_userns *dray_container_userns_of(struct dray_container *c);
/** May a HostConfig be had in a user namespace? INVAL in Docker's words. */
int dray_container_userns_check(const struct dray_container *c, struct json_object *host,
                                struct dray_err *err);
/** The user namespace of the container whose pid, ipc or network namespace it will share, which
 *  must then be its own too (caller's path; NULL: none). */
int dray_container_userns_shared(struct dray_container *c, struct json_object *host,
                                 char **path_out, struct dray_err *err);
/** How ids seen from here are shown inside: of the running process, or as the next start will have
 *  it. false: they are the same. */
bool dray_container_remap(struct dray_container *c, struct dray_remap *out);
/** Give a file of the daemon's to the container's root, if it has another id than the host's. */
int dray_container_userns_give(struct dray_userns *u, int fd, struct dray_err *err);

/* container_spec.c */

struct dray_spec_in {
    struct dray_container *c;
    struct json_object *config, *host, *points; /* parsed */
    const char *netns;                          /* path or NULL for the host's */
    const char *userns;                         /* path or NULL for the host's */
    const char *rootfs;                         /* bundle's root folder */
};
/** The OCI config.json. *out is the caller's. */
int dray_container_spec(const struct dray_spec_in *in, struct json_object **out,
                        struct dray_err *err);
/** An OCI "process" object for an exec. */
int dray_container_spec_exec(struct dray_container *c, struct json_object *exec_config,
                             struct json_object **out, struct dray_err *err);
/** "linux.resources" of a HostConfig. */
int dray_spec_resources(struct json_object *host, bool privileged, struct json_object **out,
                        struct dray_err *err);

/* container_net.c */

/** Does its HostConfig take IPv6 off every interface (the sysctl of "all")? Then it has no address
 *  of it either, on a network that has them. */
bool dray_container_without_ipv6(struct json_object *host);
int dray_container_net_start(struct dray_container *c, struct json_object *config,
                             struct json_object *host, struct dray_err *err);
void dray_container_net_stop(struct dray_container *c);
int dray_container_net_restore(struct dray_container *c, struct dray_err *err);

/* container_dns.c: call with op held */

/** Is it on a network where names are resolved? */
bool dray_container_has_dns(struct dray_container *c, struct json_object *endpoints);
/** What its resolv.conf will say. */
void dray_container_resolv(struct dray_container *c, struct json_object *host,
                           struct json_object *endpoints, struct dray_resolv *out);
/** Sockets may be opened in its namespace while it goes on joining networks. */
void dray_container_dns_prepare(struct dray_container *c, int netns);
/** Tell the resolver what is true now: endpoints, servers. */
int dray_container_dns_update(struct dray_container *c, struct dray_err *err);
void dray_container_dns_drop(struct dray_container *c);
void dray_container_dns_renamed(struct dray_container *c, const char *old, const char *name);

/* container_start.c, container_exit.c, container_remove.c, container_attach.c */

/** "<id>/exit.json", relative to set->dir. */
struct dray_short_path {
    char text[DRAY_ID_LEN + 16];
};
struct dray_short_path dray_exit_file(const struct dray_container *c);
/** Remove EXEC_ROOT/containers/ID with what is mounted in it. */
void dray_container_run_dir_drop(struct dray_containers *cs, const char *id);
/** container_links.c: variables that tell of the containers it is linked to on the default bridge,
 *  as an array of "KEY=VALUE"; and whether they all run, INVAL in Docker's words (with op held). */
struct json_object *dray_container_links_env(struct dray_container *c, struct json_object *host);
int dray_container_links_check(struct dray_container *c, struct dray_err *err);
/** Are these keys that can detach (NULL or "": the default ones)? */
int dray_attach_check_keys(const char *keys, struct dray_err *err);
/** The shim's "attach" message; exec_id NULL for the container itself. */
struct json_object *dray_attach_message(const struct dray_attach_req *req, bool tty,
                                        const char *exec_id);
/** Start with op held. */
int dray_container_start_locked(struct dray_container *c, struct dray_err *err);
/** The same for a user: counts restarts anew, forgets that it was stopped by hand. */
int dray_container_start_by_hand(struct dray_container *c, struct dray_err *err);
/** The shim said that the container ended, or died itself (code -1: read exit.json). */
void dray_container_ended(struct dray_container *c, uint64_t serial);
void dray_container_exec_ended(struct dray_container *c, const char *exec_id, int code);
int dray_container_remove_locked(struct dray_container *c, bool volumes, struct dray_err *err);
/** Ensure it is running; else CONFLICT "container X is not running". */
int dray_container_need_running(struct dray_container *c, struct dray_err *err);
bool dray_container_alive(const struct dray_container *c); /* lock held: running, paused */
/** The driver that runs it, in this process. */
struct dray_driver *dray_container_runtime(struct dray_container *c, struct dray_err *err);

/* container_views.c */

/** A mount point as the API shows it; a new object. */
struct json_object *dray_container_mount_view(struct json_object *point);
/** An endpoint with every field that EndpointSettings has, filled or empty; a new object. */
struct json_object *dray_endpoint_view(struct json_object *ep);
/** Rebuild `summary`; call with lock held after config, host, mounts or name changed. */
void dray_container_resummarize(struct dray_container *c);
/** The same from the documents that c->config, c->host and c->mounts are the texts of. */
void dray_container_summarize(struct dray_container *c, struct json_object *config,
                              struct json_object *host, struct json_object *points);

/* container_observe.c */

/** Bytes of the writable layer, and with its image. */
void dray_container_sizes(struct dray_container *c, int64_t *rw_out, int64_t *root_out);

/* container_health.c */

void dray_health_start(struct dray_container *c);
void dray_health_stop(struct dray_container *c);
/** With the container itself. */
void dray_health_free(struct dray_container *c);
/** State.Health for inspect (new object) or NULL; status name for the list ("" none). */
struct json_object *dray_health_json(struct dray_container *c);
const char *dray_health_status(const struct dray_container *c);

#endif
