/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - what the daemon counts and times of its work. */
#include "engine/metrics.h"

#include "base/clock.h"

#include <stdatomic.h>

/* Upper ends in seconds, those of Prometheus' own client. */
static const struct {
    int64_t ns;
    const char *text;
} buckets[] = {
    {5000000, "0.005"},  {10000000, "0.01"},  {25000000, "0.025"}, {50000000, "0.05"},
    {100000000, "0.1"},  {250000000, "0.25"}, {500000000, "0.5"},  {1000000000, "1"},
    {2500000000, "2.5"}, {5000000000, "5"},   {10000000000, "10"},
};
enum { BUCKETS = sizeof buckets / sizeof buckets[0] };

struct timer {
    _Atomic uint64_t in[BUCKETS + 1]; /* not summed up; the last is beyond all ends */
    _Atomic int64_t sum_ns;
};

struct dray_metrics {
    _Atomic uint64_t counters[DRAY_COUNTERS];
    struct timer timers[DRAY_TIMERS];
};

static const struct series {
    const char *name, *help, *labels; /* labels: "" or "key=\"value\"" */
} counter_series[] = {
    [DRAY_COUNT_HEALTH_CHECKS] = {"engine_daemon_health_checks_total",
                                  "The total number of health checks", ""},
    [DRAY_COUNT_HEALTH_FAILED] = {"engine_daemon_health_checks_failed_total",
                                  "The total number of failed health checks", ""},
    [DRAY_COUNT_BUILDS] = {"builder_builds_triggered_total", "Number of triggered image builds",
                           ""},
    [DRAY_COUNT_BUILDS_CANCELED] = {"builder_builds_failed_total", "Number of failed image builds",
                                    "reason=\"build_canceled\""},
    [DRAY_COUNT_BUILDS_FAILED] = {"builder_builds_failed_total", "Number of failed image builds",
                                  "reason=\"error_processing_commands_error\""},
};

#define CONTAINER                                                                                  \
    "engine_daemon_container_actions_seconds",                                                     \
        "The number of seconds it takes to process each container action"

static const struct series timer_series[] = {
    [DRAY_TIME_CONTAINER_CHANGES] = {CONTAINER, "action=\"changes\""},
    [DRAY_TIME_CONTAINER_COMMIT] = {CONTAINER, "action=\"commit\""},
    [DRAY_TIME_CONTAINER_CREATE] = {CONTAINER, "action=\"create\""},
    [DRAY_TIME_CONTAINER_DELETE] = {CONTAINER, "action=\"delete\""},
    [DRAY_TIME_CONTAINER_START] = {CONTAINER, "action=\"start\""},
    [DRAY_TIME_NETWORK_CONNECT] = {"engine_daemon_network_actions_seconds",
                                   "The number of seconds it takes to process each network action",
                                   "action=\"connect\""},
    [DRAY_TIME_INFO] = {"engine_daemon_host_info_functions_seconds",
                        "The number of seconds it takes to call functions gathering info about the "
                        "host",
                        "function=\"system_info\""},
};

struct dray_metrics *dray_metrics_new(void)
{
    return calloc(1, sizeof(struct dray_metrics));
}

void dray_metrics_free(struct dray_metrics *m)
{
    free(m);
}

void dray_metrics_count(struct dray_metrics *m, enum dray_counter which)
{
    if (m)
        atomic_fetch_add(&m->counters[which], 1);
}

void dray_metrics_time(struct dray_metrics *m, enum dray_timer which, int64_t ns)
{
    size_t i = 0;
    if (!m)
        return;
    while (i < BUCKETS && ns > buckets[i].ns)
        i++;
    atomic_fetch_add(&m->timers[which].in[i], 1);
    atomic_fetch_add(&m->timers[which].sum_ns, ns);
}

void dray_metrics_head(struct dray_buf *out, const char *name, const char *type, const char *help)
{
    dray_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Series of one name stand together. */
static void head_of(struct dray_buf *out, const struct series *all, size_t i, const char *type)
{
    if (i == 0 || strcmp(all[i - 1].name, all[i].name) != 0)
        dray_metrics_head(out, all[i].name, type, all[i].help);
}

static void write_timer(const struct timer *t, const struct series *s, struct dray_buf *out)
{
    uint64_t n = 0;
    int64_t sum = atomic_load(&t->sum_ns);
    for (size_t i = 0; i <= BUCKETS; i++) {
        n += atomic_load(&t->in[i]);
        dray_buf_addf(out, "%s_bucket{%s,le=\"%s\"} %llu\n", s->name, s->labels,
                      i < BUCKETS ? buckets[i].text : "+Inf", (unsigned long long)n);
    }
    dray_buf_addf(out, "%s_sum{%s} %lld.%09lld\n", s->name, s->labels,
                  (long long)(sum / DRAY_NS_PER_S), (long long)(sum % DRAY_NS_PER_S));
    dray_buf_addf(out, "%s_count{%s} %llu\n", s->name, s->labels, (unsigned long long)n);
}

void dray_metrics_write(const struct dray_metrics *m, struct dray_buf *out)
{
    for (size_t i = 0; m && i < DRAY_COUNTERS; i++) {
        const struct series *s = &counter_series[i];
        const bool plain = !*s->labels;
        head_of(out, counter_series, i, "counter");
        dray_buf_addf(out, "%s%s%s%s %llu\n", s->name, plain ? "" : "{", s->labels,
                      plain ? "" : "}", (unsigned long long)atomic_load(&m->counters[i]));
    }
    for (size_t i = 0; m && i < DRAY_TIMERS; i++) {
        head_of(out, timer_series, i, "histogram");
        write_timer(&m->timers[i], &timer_series[i], out);
    }
}
