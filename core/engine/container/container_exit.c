/* SPDX-License-Identifier: Apache-2.0 */
/* container_exit.c - what follows when a container ends: state, clean-up, restart, removal. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/container/exec.h"
#include "engine/container/shims.h"
#include "engine/workq.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mount.h>

#define DRAY_LOG_AREA "exit"
#define BACKOFF_FIRST (INT64_C(100) * 1000000)
#define BACKOFF_MOST (INT64_C(60) * DRAY_NS_PER_S)
#define RAN_WELL (INT64_C(10) * DRAY_NS_PER_S)

struct dray_short_path dray_exit_file(const struct dray_container *c)
{
    struct dray_short_path p;
    (void)snprintf(p.text, sizeof p.text, "%s/exit.json", c->id);
    return p;
}

void dray_container_run_dir_drop(struct dray_containers *cs, const char *id)
{
    dray_autofree char *shm = dray_strf("%s/containers/%s/shm", cs->engine->config->exec_root, id);
    if (shm)
        (void)umount2(shm, MNT_DETACH | UMOUNT_NOFOLLOW);
    (void)dray_fs_remove_tree(cs->run_dir, id, NULL);
}

bool dray_container_alive(const struct dray_container *c)
{
    return c->st.status == DRAY_CS_RUNNING || c->st.status == DRAY_CS_PAUSED;
}

int dray_container_need_running(struct dray_container *c, struct dray_err *err)
{
    pthread_mutex_lock(&c->lock);
    bool alive = dray_container_alive(c);
    bool restarting = c->st.status == DRAY_CS_RESTARTING;
    pthread_mutex_unlock(&c->lock);
    if (restarting)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "Container %s is restarting, wait until the container is running", c->id);
    if (!alive)
        return dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", c->id);
    return 0;
}

struct dray_driver *dray_container_runtime(struct dray_container *c, struct dray_err *err)
{
    return dray_drivers_get(c->set->engine->drivers, DRAY_KIND_RUNTIME, c->runtime, err);
}

/* How it ended. */

struct ending {
    int code;
    bool oom;
    int64_t at_ns;
};

void dray_container_end_orphans(struct dray_container *c)
{
    struct dray_err err = {0};
    struct dray_driver *d = dray_container_runtime(c, &err);
    if (!d)
        return;
    (void)dray_driver_call(d, runtime, DRAY_CLASS_QUICK, NULL, kill, c->id, SIGKILL, DRAY_KILL_ALL);
    if (dray_driver_call(d, runtime, DRAY_CLASS_MOUNT, &err, remove, c->id) != 0)
        dray_warn("container %.12s: %s", c->id, err.text);
}

static struct ending read_ending(struct dray_container *c)
{
    dray_autojson *doc = NULL;
    /* In the run folder when the disk was full. */
    if (dray_json_load(c->set->dir, dray_exit_file(c).text, &doc, NULL) == 0 ||
        dray_json_load(c->set->run_dir, dray_exit_file(c).text, &doc, NULL) == 0)
        return (struct ending){.code = (int)dray_json_int(doc, "code", 0),
                               .oom = dray_json_bool(doc, "oom", false),
                               .at_ns = dray_container_time(doc, "at_ns", dray_clock_now())};
    dray_warn("container %.12s: its shim has died", c->id);
    dray_container_end_orphans(c);
    /* As dockerd shows what ended with the machine, or else what became of a killed process. */
    return (struct ending){.code = atomic_load(&c->set->opening) ? 255 : 137,
                           .at_ns = dray_clock_now()};
}

/* Restart policy. */

/** Call with lock held. */
static bool wants_restart(struct dray_container *c, struct json_object *host, int code)
{
    const char *policy = dray_json_str(host, "RestartPolicy.Name", "no");
    int64_t most = dray_json_int(host, "RestartPolicy.MaximumRetryCount", 0);
    if (c->st.manually_stopped || atomic_load(&c->set->closing))
        return false;
    if (atomic_load(&c->set->opening)) /* it is started, not restarted, once all are known */
        return false;
    if (strcmp(policy, "always") == 0 || strcmp(policy, "unless-stopped") == 0)
        return true;
    return strcmp(policy, "on-failure") == 0 && code != 0 &&
           (most == 0 || c->st.restart_count < most);
}

struct restart_job {
    struct dray_container *c;
    uint64_t serial;
};

static void drop_restart(void *arg)
{
    struct restart_job *job = arg;
    dray_container_unref(job->c);
    free(job);
}

static void run_restart(void *arg)
{
    struct restart_job *job = arg;
    struct dray_container *c = job->c;
    pthread_mutex_lock(&c->op);
    pthread_mutex_lock(&c->lock);
    bool due = c->st.status == DRAY_CS_RESTARTING && c->start_serial == job->serial &&
               !c->restart_canceled && !c->st.manually_stopped && !c->removed;
    if (due)
        c->st.restart_count++;
    pthread_mutex_unlock(&c->lock);
    struct dray_err err = {0};
    if (due && dray_container_start_locked(c, &err) != 0) {
        dray_warn("restart container %.12s: %s", c->id, err.text);
        pthread_mutex_lock(&c->lock);
        dray_waiters_stopped(c); /* what they wait for is the run that was to go on */
        pthread_mutex_unlock(&c->lock);
        dray_container_event(c, "die", "exitCode", "128", NULL);
    }
    pthread_mutex_unlock(&c->op);
    drop_restart(job);
}

static void schedule_restart(struct dray_container *c)
{
    struct restart_job *job = malloc(sizeof *job);
    if (!job)
        return;
    pthread_mutex_lock(&c->lock);
    int64_t ran = c->st.finished_ns - c->st.started_ns;
    /* The pause doubles, and begins anew after a run that went well; the count goes on. */
    c->backoff_steps = ran >= RAN_WELL || c->st.restart_count == 0 ? 0 : c->backoff_steps + 1;
    int64_t wait = BACKOFF_FIRST;
    for (unsigned i = 0; i < c->backoff_steps && wait < BACKOFF_MOST; i++)
        wait *= 2;
    *job = (struct restart_job){.c = dray_container_ref(c), .serial = c->start_serial};
    pthread_mutex_unlock(&c->lock);
    if (wait > BACKOFF_MOST)
        wait = BACKOFF_MOST;
    dray_workq_at(c->set->work, dray_clock_mono() + wait, run_restart, drop_restart, job);
}

/* The end. */

static void release_layer(struct dray_container *c)
{
    struct dray_driver *d =
        dray_drivers_find(c->set->engine->drivers, DRAY_KIND_STORAGE, c->driver);
    if (d)
        (void)dray_driver_call(d, storage, DRAY_CLASS_MOUNT, NULL, release, c->layer);
}

/** Returns whether the restart policy wants it up again: decided with the state, so that a stop
 *  comes either before or after both. */
static bool record_ending(struct dray_container *c, struct json_object *host,
                          const struct ending *end)
{
    pthread_mutex_lock(&c->lock);
    bool restart = wants_restart(c, host, end->code);
    c->st.status = restart ? DRAY_CS_RESTARTING : DRAY_CS_EXITED;
    c->st.pid = 0;
    c->st.exit_code = end->code;
    c->st.oom_killed = end->oom;
    c->st.finished_ns = end->at_ns;
    c->accepts_attach = false;
    c->execs_running = 0;
    pthread_mutex_unlock(&c->lock);
    return restart;
}

static void emit_die(struct dray_container *c, const struct ending *end)
{
    char code[16], lasted[24];
    (void)snprintf(code, sizeof code, "%d", end->code);
    pthread_mutex_lock(&c->lock);
    int64_t ns = c->st.finished_ns - c->st.started_ns;
    pthread_mutex_unlock(&c->lock);
    (void)snprintf(lasted, sizeof lasted, "%" PRId64, ns > 0 ? ns / DRAY_NS_PER_S : 0);
    if (end->oom)
        dray_container_event(c, "oom", NULL);
    dray_container_event(c, "die", "execDuration", lasted, "exitCode", code, NULL);
}

static void tear_down(struct dray_container *c)
{
    dray_health_stop(c);
    dray_container_net_stop(c);
    dray_container_mounts_stop(c);
    release_layer(c);
    dray_container_run_dir_drop(c->set, c->id);
}

void dray_container_ended(struct dray_container *c, uint64_t serial)
{
    pthread_mutex_lock(&c->op);
    pthread_mutex_lock(&c->lock);
    bool current = dray_container_alive(c) && c->start_serial == serial;
    pthread_mutex_unlock(&c->lock);
    if (!current) {
        pthread_mutex_unlock(&c->op);
        return;
    }
    struct ending end = read_ending(c);
    dray_autojson *host = dray_container_json(c, &c->host);
    bool restart = record_ending(c, host, &end);
    struct dray_err err = {0};
    if (!c->auto_remove && dray_container_save_state(c, &err) != 0)
        dray_error("%s", err.text);
    emit_die(c, &end);
    pthread_mutex_lock(&c->lock);
    dray_waiters_stopped(c);
    pthread_mutex_unlock(&c->lock);
    dray_execs_forget(c->set, c, false);
    tear_down(c);
    if (restart)
        schedule_restart(c);
    else if (c->auto_remove && atomic_load(&c->resting) == 0 &&
             dray_container_remove_locked(c, true, &err) != 0)
        dray_error("remove container %.12s: %s", c->id, err.text);
    pthread_mutex_unlock(&c->op);
}
