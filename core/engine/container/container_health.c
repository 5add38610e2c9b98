/* SPDX-License-Identifier: Apache-2.0 */
/* container_health.c - health checks: a command run now and then, and what its answers mean. */
#include "base/buf.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/container/exec.h"
#include "engine/metrics.h"
#include "engine/workq.h"

#define DRAY_LOG_AREA "health"
#define KEPT 5
#define OUTPUT_MOST 4096
#define DEFAULT_INTERVAL (30 * DRAY_NS_PER_S)
#define DEFAULT_TIMEOUT (30 * DRAY_NS_PER_S)
#define DEFAULT_START_INTERVAL (5 * DRAY_NS_PER_S)
#define DEFAULT_RETRIES 3

struct probe {
    int64_t start_ns, end_ns, start_mono;
    int code;
    char *output;
};

struct dray_health {
    struct json_object *exec; /* body for the exec */
    int64_t interval, timeout, start_period, start_interval;
    int retries;
    /* guarded by the container's lock */
    uint64_t serial;    /* the start that it belongs to */
    int64_t start_mono; /* when that was, whatever the wall's clock has been set to since */
    const char *status;
    int failing;
    struct probe log[KEPT];
    size_t n;
};

struct probe_job {
    struct dray_container *c;
    uint64_t serial;
};

static struct json_object *exec_body(struct json_object *test, struct json_object *config)
{
    const char *kind = json_object_get_string(json_object_array_get_idx(test, 0));
    struct json_object *body = json_object_new_object(), *cmd = json_object_new_array();
    bool shell = strcmp(kind, "CMD-SHELL") == 0;
    if (shell) {
        struct json_object *sh = dray_json_arr(config, "Shell");
        if (dray_json_len(sh) == 0) {
            json_object_array_add(cmd, json_object_new_string("/bin/sh"));
            json_object_array_add(cmd, json_object_new_string("-c"));
        }
        for (size_t i = 0; i < dray_json_len(sh); i++)
            json_object_array_add(cmd, dray_json_copy(json_object_array_get_idx(sh, i)));
    }
    for (size_t i = 1; i < dray_json_len(test); i++)
        json_object_array_add(cmd, dray_json_copy(json_object_array_get_idx(test, i)));
    dray_json_add(body, "Cmd", cmd);
    dray_json_add_bool(body, "AttachStdout", true);
    dray_json_add_bool(body, "AttachStderr", true);
    return body;
}

static void health_free(struct dray_health *h)
{
    if (!h)
        return;
    json_object_put(h->exec);
    for (size_t i = 0; i < h->n; i++)
        free(h->log[i].output);
    free(h);
}

static int64_t or_default(int64_t value, int64_t def)
{
    return value > 0 ? value : def;
}

static struct dray_health *health_new(struct json_object *config)
{
    struct json_object *check = dray_json_obj(config, "Healthcheck");
    struct json_object *test = dray_json_arr(check, "Test");
    if (dray_json_len(test) < 2) /* none, or ["NONE"] */
        return NULL;
    struct dray_health *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->exec = exec_body(test, config);
    h->interval = or_default(dray_json_int(check, "Interval", 0), DEFAULT_INTERVAL);
    h->timeout = or_default(dray_json_int(check, "Timeout", 0), DEFAULT_TIMEOUT);
    h->start_period = dray_json_int(check, "StartPeriod", 0);
    h->start_interval =
        or_default(dray_json_int(check, "StartInterval", 0), DEFAULT_START_INTERVAL);
    h->retries = (int)or_default(dray_json_int(check, "Retries", 0), DEFAULT_RETRIES);
    h->status = "starting";
    return h;
}

/* Results. */

static void keep_probe(struct dray_health *h, struct probe p)
{
    if (h->n == KEPT) {
        free(h->log[0].output);
        memmove(h->log, h->log + 1, (KEPT - 1) * sizeof h->log[0]);
        h->n--;
    }
    h->log[h->n++] = p;
}

/** Call with lock held; true when the status changed. */
static bool judge(struct dray_health *h, const struct probe *p)
{
    const char *before = h->status;
    if (p->code == 0) {
        h->failing = 0;
        h->status = "healthy";
        return strcmp(before, h->status) != 0;
    }
    bool grace =
        strcmp(h->status, "starting") == 0 && p->start_mono - h->start_mono < h->start_period;
    if (!grace) {
        h->failing++;
        if (h->failing >= h->retries)
            h->status = "unhealthy";
    }
    return strcmp(before, h->status) != 0;
}

static struct probe run_probe(struct dray_container *c, struct dray_health *h)
{
    struct probe p = {.start_ns = dray_clock_now(), .start_mono = dray_clock_mono()};
    struct dray_err err = {0};
    char *output = NULL;
    int rc =
        dray_exec_run(c, h->exec, (int)(h->timeout / 1000000), OUTPUT_MOST, &p.code, &output, &err);
    p.end_ns = dray_clock_now();
    if (rc == DRAY_E_TIMEOUT) {
        p.code = -1;
        dray_autofree char *before = dray_steal(output);
        char limit[40];
        dray_duration_text(h->timeout, limit);
        output = dray_strf("Health check exceeded timeout (%s)%s%s", limit,
                           before && *before ? ": " : "", before ? before : "");
    } else if (rc != 0) {
        p.code = rc == DRAY_E_NOCMD ? 127 : rc == DRAY_E_NOEXEC ? 126 : -1;
        free(output);
        output = strdup(err.text);
    }
    p.output = output;
    return p;
}

static void schedule(struct dray_container *c, uint64_t serial, int64_t wait);

static void drop_probe(void *arg)
{
    struct probe_job *job = arg;
    dray_container_unref(job->c);
    free(job);
}

static void probe_now(void *arg)
{
    struct probe_job *job = arg;
    struct dray_container *c = job->c;
    pthread_mutex_lock(&c->lock);
    struct dray_health *h = c->health;
    bool due = h && h->serial == job->serial && c->st.status == DRAY_CS_RUNNING;
    bool later = h && h->serial == job->serial && c->st.status == DRAY_CS_PAUSED;
    pthread_mutex_unlock(&c->lock);
    int64_t wait = h ? h->interval : 0; /* lives as long as the container */
    if (due) {
        struct probe p = run_probe(c, h);
        struct dray_metrics *counts = c->set->engine->metrics;
        dray_metrics_count(counts, DRAY_COUNT_HEALTH_CHECKS);
        if (p.code != 0)
            dray_metrics_count(counts, DRAY_COUNT_HEALTH_FAILED);
        pthread_mutex_lock(&c->lock);
        due = h->serial == job->serial && dray_container_alive(c);
        bool news = due && judge(h, &p);
        const char *status = h->status;
        bool early =
            strcmp(status, "starting") == 0 && dray_clock_mono() - h->start_mono < h->start_period;
        if (due)
            keep_probe(h, p);
        else
            free(p.output);
        pthread_mutex_unlock(&c->lock);
        if (early)
            wait = h->start_interval;
        dray_autofree char *action = dray_strf("health_status: %s", status);
        if (news && action)
            dray_container_event(c, action, NULL);
    }
    if (due || later)
        schedule(c, job->serial, wait);
    drop_probe(job);
}

static void schedule(struct dray_container *c, uint64_t serial, int64_t wait)
{
    struct probe_job *job = malloc(sizeof *job);
    if (!job)
        return;
    *job = (struct probe_job){.c = dray_container_ref(c), .serial = serial};
    dray_workq_at(c->set->work, dray_clock_mono() + wait, probe_now, drop_probe, job);
}

void dray_health_start(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    if (!c->health) {
        struct json_object *config = NULL;
        if (dray_json_parse(c->config, strlen(c->config), &config, NULL) == 0) {
            c->health = health_new(config);
            json_object_put(config);
        }
    }
    struct dray_health *h = c->health;
    uint64_t serial = c->start_serial;
    if (h) {
        int64_t up = dray_clock_now() - c->st.started_ns; /* of one that is taken over */
        h->serial = serial;
        h->start_mono = dray_clock_mono() - (up > 0 ? up : 0);
        h->status = "starting";
        h->failing = 0;
    }
    pthread_mutex_unlock(&c->lock);
    if (h)
        schedule(c, serial, h->start_period > 0 ? h->start_interval : h->interval);
}

void dray_health_stop(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    if (c->health) {
        c->health->serial = 0; /* probes under way know that they are late */
        if (strcmp(c->health->status, "starting") != 0)
            c->health->status = "unhealthy";
    }
    pthread_mutex_unlock(&c->lock);
}

void dray_health_free(struct dray_container *c)
{
    health_free(c->health);
}

const char *dray_health_status(const struct dray_container *c)
{
    return c->health ? c->health->status : "";
}

struct json_object *dray_health_json(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    struct dray_health *h = c->health;
    if (!h) {
        pthread_mutex_unlock(&c->lock);
        return NULL;
    }
    struct json_object *o = json_object_new_object(), *log = json_object_new_array();
    dray_json_add_str(o, "Status", h->status);
    dray_json_add_int(o, "FailingStreak", h->failing);
    for (size_t i = 0; i < h->n; i++) {
        char text[DRAY_TIME_LEN];
        struct json_object *p = json_object_new_object();
        dray_time_format(h->log[i].start_ns, text);
        dray_json_add_str(p, "Start", text);
        dray_time_format(h->log[i].end_ns, text);
        dray_json_add_str(p, "End", text);
        dray_json_add_int(p, "ExitCode", h->log[i].code);
        dray_json_add_str(p, "Output", h->log[i].output ? h->log[i].output : "");
        json_object_array_add(log, p);
    }
    dray_json_add(o, "Log", log);
    pthread_mutex_unlock(&c->lock);
    return o;
}
