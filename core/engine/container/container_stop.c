/* SPDX-License-Identifier: Apache-2.0 */
/* container_stop.c - stop, kill, restart, pause, rename and update. */
#include "base/buf.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/container/container_link_names.h"
#include "engine/container/shims.h"
#include "engine/image/images.h"
#include "engine/network/networks.h"
#include "engine/signals.h"
#include "engine/spec/container_config.h"

#include <signal.h>

#define DRAY_LOG_AREA "stop"
#define KILL_WAIT_MS 10000
#define ASK_TIMEOUT_MS 5000
#define STOP_DEFAULT_S 10

static int send_signal(struct dray_container *c, int signal, struct dray_err *err)
{
    struct dray_driver *d = dray_container_runtime(c, err);
    if (!d)
        return DRAY_E_NOTFOUND;
    struct dray_err why = {0};
    int rc = dray_driver_call(d, runtime, DRAY_CLASS_QUICK, &why, kill, c->id, signal, 0);
    if (rc == DRAY_E_NOTFOUND || rc == DRAY_E_CONFLICT || rc == DRAY_E_CORRUPT || rc == DRAY_E_IO) {
        /* The driver has lost its notes of it. The shim is its parent, and knows. */
        struct json_object *m = json_object_new_object();
        dray_json_add_str(m, "op", "signal");
        dray_json_add_int(m, "signal", signal);
        if (dray_shims_ask(c->set->shims, c->id, m, ASK_TIMEOUT_MS, NULL, NULL) == 0) {
            dray_warn("container %.12s: signal %d was sent past its runtime: %s", c->id, signal,
                      why.text);
            return 0;
        }
    }
    if (rc != 0 && err)
        *err = why;
    return rc;
}

static void emit_kill(struct dray_container *c, int signal)
{
    char text[12];
    (void)snprintf(text, sizeof text, "%d", signal);
    dray_container_event(c, "kill", "signal", text, NULL);
}

static int stop_signal(struct dray_container *c, const char *given, int *out, struct dray_err *err)
{
    dray_autojson *config = dray_container_json(c, &c->config);
    if (!given || !*given)
        given = dray_json_str(config, "StopSignal", "SIGTERM");
    return dray_signal_parse(given, SIGTERM, out, err);
}

static int64_t stop_timeout_ms(struct dray_container *c, int timeout_s)
{
    if (timeout_s == INT32_MIN) {
        dray_autojson *config = dray_container_json(c, &c->config);
        timeout_s = (int)dray_json_int(config, "StopTimeout", STOP_DEFAULT_S);
    }
    return timeout_s < 0 ? -1 : (int64_t)timeout_s * 1000;
}

/** Wait for what follows an exit (ports, mounts) to be done too. */
static void settle(struct dray_container *c)
{
    pthread_mutex_lock(&c->op);
    pthread_mutex_unlock(&c->op);
}

static bool is_up(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    bool up = dray_container_alive(c);
    pthread_mutex_unlock(&c->lock);
    return up;
}

/** A user wants it down: no restart policy brings it back, a restart that is due is called off.
 *  False when it was down anyway. */
static bool mark_stopped(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    bool alive = dray_container_alive(c);
    c->st.manually_stopped = true;
    bool called_off = c->st.status == DRAY_CS_RESTARTING;
    if (called_off) {
        c->restart_canceled = true;
        c->st.status = DRAY_CS_EXITED;
        dray_waiters_stopped(c);
    }
    pthread_mutex_unlock(&c->lock);
    if (called_off) {
        pthread_mutex_lock(&c->op); /* a restart that had begun has brought it up now */
        (void)dray_container_save_state(c, NULL);
        pthread_mutex_unlock(&c->op);
    }
    return alive || called_off;
}

static int thaw_if_paused(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    bool paused = c->st.status == DRAY_CS_PAUSED;
    pthread_mutex_unlock(&c->lock);
    return paused ? dray_containers_pause(c->set, c->id, false, NULL) : 0;
}

static int stop(struct dray_container *c, const char *signal, int timeout_s, struct dray_err *err)
{
    int sig = SIGTERM;
    struct dray_err why = {0};
    int bad = stop_signal(c, signal, &sig, &why); /* of no matter when nothing runs */
    if (bad != 0 && is_up(c)) {
        if (err)
            *err = why;
        return bad;
    }
    if (!mark_stopped(c))
        return dray_fail(err, DRAY_E_NOTMODIFIED, "container %.12s is not running", c->id);
    int rc = send_signal(c, sig, &why);
    if (rc == 0)
        emit_kill(c, sig);
    else if (rc != DRAY_E_CONFLICT && rc != DRAY_E_NOTFOUND)
        dray_warn("stop container %.12s: %s", c->id, why.text);
    (void)thaw_if_paused(c);
    if (!dray_container_wait_stopped(c, stop_timeout_ms(c, timeout_s))) {
        if (send_signal(c, SIGKILL, &why) == 0)
            emit_kill(c, SIGKILL);
        if (!dray_container_wait_stopped(c, KILL_WAIT_MS))
            return dray_fail(err, DRAY_E_TIMEOUT,
                             "tried to kill container, but did not receive an exit event");
    }
    settle(c);
    dray_container_event(c, "stop", NULL);
    return 0;
}

int dray_containers_stop(struct dray_containers *cs, const char *name, const char *signal,
                         int timeout_s, struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc == 0)
        rc = stop(c, signal, timeout_s, err);
    if (rc != 0 && rc != DRAY_E_NOTFOUND && rc != DRAY_E_NOTMODIFIED)
        return dray_err_note(err, "cannot stop container: %s", name);
    return rc;
}

/** Bring up what a restart has stopped, unless somebody else has done so meanwhile. Call with op
 *  held. */
static int start_again(struct dray_container *c, struct dray_err *err)
{
    int rc = is_up(c) ? 0 : dray_container_start_by_hand(c, err);
    /* What has not come up, or has ended already, is removed now if it removes itself. */
    if (atomic_load(&c->resting) == 1 && c->auto_remove && !is_up(c) &&
        dray_container_remove_locked(c, true, NULL) != 0)
        dray_warn("container %.12s has ended and cannot be removed", c->id);
    return rc;
}

int dray_containers_restart(struct dray_containers *cs, const char *name, const char *signal,
                            int timeout_s, struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    atomic_fetch_add(&c->resting, 1);
    rc = stop(c, signal, timeout_s, err);
    if (rc == 0 || rc == DRAY_E_NOTMODIFIED)
        rc = dray_container_op_begin(c, err);
    bool begun = rc == 0;
    if (begun)
        rc = start_again(c, err);
    atomic_fetch_sub(&c->resting, 1);
    if (begun)
        pthread_mutex_unlock(&c->op);
    if (rc == 0)
        dray_container_event(c, "restart", NULL);
    return rc == 0 ? 0 : dray_err_note(err, "Cannot restart container %s", name);
}

int dray_containers_kill(struct dray_containers *cs, const char *name, const char *signal,
                         struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int sig = SIGKILL, own = SIGTERM;
    int rc = dray_signal_parse(signal, SIGKILL, &sig, err);
    if (rc == 0)
        rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return dray_err_note(err, "cannot kill container: %s", name);
    pthread_mutex_lock(&c->lock);
    bool restarting = c->st.status == DRAY_CS_RESTARTING;
    bool alive = dray_container_alive(c);
    pthread_mutex_unlock(&c->lock);
    if (!alive && !restarting)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "cannot kill container: %s: container %s is not running", name, c->id);
    (void)stop_signal(c, NULL, &own, NULL);
    if (sig == SIGKILL || sig == own)
        (void)mark_stopped(c);
    if (restarting && !is_up(c))
        return 0;
    rc = send_signal(c, sig, err);
    if (rc == DRAY_E_CONFLICT || rc == DRAY_E_NOTFOUND)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "cannot kill container: %s: container %s is not running", name, c->id);
    if (rc != 0)
        return dray_err_note(err, "cannot kill container: %s", name);
    emit_kill(c, sig);
    if (sig == SIGKILL) {
        (void)thaw_if_paused(c);
        if (dray_container_wait_stopped(c, KILL_WAIT_MS))
            settle(c);
    }
    return 0;
}

static int check_pause(struct dray_container *c, bool pause, struct dray_err *err)
{
    pthread_mutex_lock(&c->lock);
    bool paused = c->st.status == DRAY_CS_PAUSED;
    pthread_mutex_unlock(&c->lock);
    if (pause && paused)
        return dray_fail(err, DRAY_E_CONFLICT, "Container %s is already paused", c->id);
    if (!pause && !paused) /* 500 with Docker, and scripts know it so */
        return dray_fail(err, DRAY_E_INTERNAL, "Container %s is not paused", c->id);
    return dray_container_need_running(c, err);
}

int dray_containers_pause(struct dray_containers *cs, const char *name, bool pause,
                          struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc == 0)
        rc = dray_container_op_begin(c, err);
    if (rc != 0)
        return rc;
    rc = check_pause(c, pause, err);
    struct dray_driver *d = rc == 0 ? dray_container_runtime(c, err) : NULL;
    if (rc == 0)
        rc = d ? dray_driver_call(d, runtime, DRAY_CLASS_MOUNT, err, freeze, c->id, pause)
               : DRAY_E_NOTFOUND;
    if (rc == 0) {
        pthread_mutex_lock(&c->lock);
        if (dray_container_alive(c))
            c->st.status = pause ? DRAY_CS_PAUSED : DRAY_CS_RUNNING;
        pthread_mutex_unlock(&c->lock);
        (void)dray_container_save_state(c, NULL);
        dray_container_event(c, pause ? "pause" : "unpause", NULL);
    }
    pthread_mutex_unlock(&c->op);
    return rc;
}

/* From one name, which is the container's, to another, which is reserved: for all who know it. */
static int take_name(struct dray_container *c, const char *old, const char *name,
                     struct dray_err *err)
{
    char *copy = strdup(name);
    if (!copy)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_mutex_lock(&c->lock);
    free(c->name);
    c->name = copy;
    dray_container_resummarize(c);
    pthread_mutex_unlock(&c->lock);
    dray_networks_renamed(c->set->engine->networks, c->id, name);
    dray_container_dns_renamed(c, old, name);
    return dray_container_save(c, err);
}

int dray_containers_rename(struct dray_containers *cs, const char *name, const char *new_name,
                           struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    if (!new_name || !*new_name || strcmp(new_name, "/") == 0)
        return dray_fail(err, DRAY_E_INVAL, "Neither old nor new names may be empty");
    int rc = dray_container_find(cs, name, &c, err);
    if (rc == 0)
        rc = dray_container_op_begin(c, err);
    if (rc != 0)
        return rc;
    dray_autofree char *reserved = NULL;
    const char *plain = new_name[0] == '/' ? new_name + 1 : new_name;
    pthread_mutex_lock(&c->lock);
    dray_autofree char *old = strdup(c->name);
    pthread_mutex_unlock(&c->lock);
    if (strcmp(old, plain) == 0)
        rc = dray_fail(err, DRAY_E_INVAL,
                       "Renaming a container with the same name as its current name");
    else
        rc = dray_container_name_reserve(cs, plain, c->id, &reserved, err);
    if (rc != 0 && strcmp(old, plain) != 0)
        (void)dray_err_note(err, "Error when allocating new name");
    if (rc == 0 && (rc = take_name(c, old, plain, err)) != 0) {
        (void)take_name(c, plain, old, NULL);
        dray_container_name_release(cs, plain);
    } else if (rc == 0) {
        dray_container_name_release(cs, old);
        dray_autofree char *was = dray_strf("/%s", old);
        dray_container_event(c, "rename", "oldName", was, NULL);
    }
    pthread_mutex_unlock(&c->op);
    if (rc == 0)
        dray_links_renamed(cs, old, plain);
    return rc;
}

/* A new limit must not pass the swap limit that the container has, unless that moves too. As with
 * Docker that includes one that was never set, and -1. One too low is refused elsewhere. */
static int check_swap_kept(struct json_object *host, struct json_object *body, struct dray_err *err)
{
    int64_t memory = dray_json_int(body, "Memory", 0);
    int64_t swap = dray_json_int(host, "MemorySwap", 0);
    if (memory < DRAY_MEMORY_MIN || memory <= swap || dray_json_int(body, "MemorySwap", 0) != 0)
        return 0;
    return dray_fail(err, DRAY_E_CONFLICT,
                     "Memory limit should be smaller than already set memoryswap limit, update the "
                     "memoryswap at the same time");
}

/* NanoCpus is another word for a quota and its period: once set, each keeps the other out. */
static int check_cpus_kept(struct json_object *host, struct json_object *body, struct dray_err *err)
{
    static const struct {
        const char *wanted, *had, *text;
    } pairs[] = {{"NanoCpus", "CpuPeriod", "Nano CPUs cannot be updated as CPU Period"},
                 {"NanoCpus", "CpuQuota", "Nano CPUs cannot be updated as CPU Quota"},
                 {"CpuQuota", "NanoCpus", "CPU Quota cannot be updated as NanoCPUs"},
                 {"CpuPeriod", "NanoCpus", "CPU Period cannot be updated as NanoCPUs"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (dray_json_int(body, pairs[i].wanted, 0) > 0 && dray_json_int(host, pairs[i].had, 0) > 0)
            return dray_fail(err, DRAY_E_CONFLICT, "Conflicting options: %s has already been set",
                             pairs[i].text);
    return 0;
}

static int check_policy_kept(struct json_object *host, struct json_object *body,
                             struct dray_err *err)
{
    const char *name = dray_json_str(body, "RestartPolicy.Name", "");
    if (!*name || strcmp(name, "no") == 0 || !dray_json_bool(host, "AutoRemove", false))
        return 0;
    return dray_fail(err, DRAY_E_CONFLICT,
                     "Restart policy cannot be updated because AutoRemove is enabled for the "
                     "container");
}

static int apply_update(struct dray_container *c, struct json_object *host, struct dray_err *err)
{
    pthread_mutex_lock(&c->lock);
    bool alive = dray_container_alive(c);
    pthread_mutex_unlock(&c->lock);
    if (!alive)
        return 0;
    dray_autojson *resources = NULL;
    int rc = dray_spec_resources(host, false, &resources, err);
    struct dray_driver *d = rc == 0 ? dray_container_runtime(c, err) : NULL;
    if (rc != 0)
        return rc;
    if (!d)
        return DRAY_E_NOTFOUND;
    rc = dray_driver_call(d, runtime, DRAY_CLASS_QUICK, err, update, c->id,
                          dray_json_text(resources));
    return rc == DRAY_E_CONFLICT ? 0 : rc; /* it has just ended: there is nothing to change */
}

/** What the update makes of host: refused as it stands, or because of what the container has. */
static int merge_update(struct dray_container *c, struct json_object *host,
                        struct json_object *body, struct json_object *warnings,
                        struct dray_err *err)
{
    dray_autojson *config = dray_container_json(c, &c->config);
    int rc = check_swap_kept(host, body, err);
    if (rc == 0)
        rc = check_policy_kept(host, body, err);
    if (rc == 0)
        rc = check_cpus_kept(host, body, err);
    if (rc != 0)
        return dray_err_note(err, "Cannot update container %s", c->id);
    rc = dray_host_config_update(host, body, warnings, err);
    return rc ? rc : dray_host_config_check(host, config, c->set->engine->config, warnings, err);
}

static int keep_host(struct dray_container *c, struct json_object *host, struct dray_err *err)
{
    pthread_mutex_lock(&c->lock);
    dray_container_set_host(c, host);
    dray_container_resummarize(c);
    pthread_mutex_unlock(&c->lock);
    return dray_container_save(c, err);
}

int dray_containers_update(struct dray_containers *cs, const char *name, struct json_object *body,
                           struct json_object **out, struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc == 0)
        rc = dray_container_op_begin(c, err);
    if (rc != 0)
        return rc;
    struct json_object *warnings = json_object_new_array();
    dray_autojson *host = dray_container_json(c, &c->host);
    dray_autojson *before = dray_container_json(c, &c->host);
    rc = merge_update(c, host, body, warnings, err);
    if (rc == 0 && (rc = apply_update(c, host, err)) != 0)
        (void)dray_err_note(err, "Cannot update container %s", c->id);
    if (rc == 0 && (rc = keep_host(c, host, err)) != 0) { /* as it was, as far as the kernel can */
        (void)apply_update(c, before, NULL);
        (void)keep_host(c, before, NULL);
    }
    pthread_mutex_unlock(&c->op);
    if (rc != 0) {
        json_object_put(warnings);
        return rc;
    }
    dray_container_event(c, "update", NULL);
    *out = json_object_new_object();
    if (json_object_array_length(warnings) == 0) {
        json_object_put(warnings);
        warnings = NULL; /* as Docker shows it */
    }
    dray_json_add(*out, "Warnings", warnings);
    return 0;
}
