/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - GET /metrics at the address that "metrics-addr" names, for Prometheus.
 *
 * A server of its own, with one thread: nothing else of the API can be reached there, and nothing
 * that it reads waits for a plugin.
 */
#include "api/metrics.h"

#include "api/http_priv.h"
#include "api/system.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/containers.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/metrics.h"

#include <sys/resource.h>

#define DRAY_LOG_AREA "api"
#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define TIMEOUT_S 10u

struct dray_metrics_server {
    struct dray_engine *engine;
    struct MHD_Daemon *mhd;
};

/* --- what the daemon is and has ----------------------------------------------------------------*/

/* A label's value: backslash, quote and newline are escaped. */
static void add_label(struct dray_buf *b, const char *key, const char *value, const char *end)
{
    dray_buf_addf(b, "%s=\"", key);
    for (const char *p = value ? value : ""; *p; p++) {
        if (*p == '\\' || *p == '"')
            dray_buf_addc(b, '\\');
        if (*p == '\n')
            dray_buf_adds(b, "\\n");
        else
            dray_buf_addc(b, *p);
    }
    dray_buf_addf(b, "\"%s", end);
}

static void add_gauge(struct dray_buf *b, const char *name, const char *help, double value)
{
    dray_metrics_head(b, name, "gauge", help);
    dray_buf_addf(b, "%s %.17g\n", name, value);
}

static void add_engine(struct dray_engine *e, struct dray_buf *b)
{
    dray_autojson *info = json_object_new_object();
    dray_machine_info(info);
    const char *storage = dray_driver_name(e->storage);
    add_gauge(b, "engine_daemon_engine_cpus_cpus",
              "The number of cpus that the host system of the engine has",
              (double)dray_json_int(info, "NCPU", 0));
    add_gauge(b, "engine_daemon_engine_memory_bytes",
              "The number of bytes of memory that the host system of the engine has",
              (double)dray_json_int(info, "MemTotal", 0));
    dray_metrics_head(b, "engine_daemon_engine_info", "gauge",
                      "The information related to the engine and the OS it is running on");
    dray_buf_adds(b, "engine_daemon_engine_info{");
    add_label(b, "architecture", dray_json_str(info, "Architecture", ""), ",");
    add_label(b, "commit", dray_api_commit(), ",");
    add_label(b, "daemon_id", e->id, ",");
    add_label(b, "graphdriver", dray_storage_shown(storage), ",");
    add_label(b, "kernel", dray_json_str(info, "KernelVersion", ""), ",");
    add_label(b, "os", dray_json_str(info, "OperatingSystem", ""), ",");
    add_label(b, "os_type", dray_json_str(info, "OSType", ""), ",");
    add_label(b, "os_version", dray_json_str(info, "OSVersion", ""), ",");
    add_label(b, "version", DRAY_VERSION, "} 1\n");
}

static void add_containers(struct dray_engine *e, struct dray_buf *b)
{
    static const char name[] = "engine_daemon_container_states_containers";
    struct dray_container_counts n = {0};
    dray_containers_counts(e->containers, &n);
    dray_metrics_head(b, name, "gauge", "The count of containers in various states");
    dray_buf_addf(b, "%s{state=\"paused\"} %llu\n", name, (unsigned long long)n.paused);
    dray_buf_addf(b, "%s{state=\"running\"} %llu\n", name, (unsigned long long)n.running);
    dray_buf_addf(b, "%s{state=\"stopped\"} %llu\n", name, (unsigned long long)n.stopped);
}

static void add_events(struct dray_engine *e, struct dray_buf *b)
{
    dray_metrics_head(b, "engine_daemon_events_total", "counter", "The number of events logged");
    dray_buf_addf(b, "engine_daemon_events_total %llu\n",
                  (unsigned long long)dray_events_total(e->events));
    add_gauge(b, "engine_daemon_events_subscribers_total",
              "The number of current subscribers to events",
              (double)dray_events_readers(e->events));
}

/* --- plugins -----------------------------------------------------------------------------------*/

enum plugin_value { PLUGIN_UP, PLUGIN_CALLS, PLUGIN_UNDER_WAY, PLUGIN_OVERDUE };

static void add_plugin(struct dray_driver *d, enum plugin_value which, const char *name,
                       struct dray_buf *b)
{
    struct dray_driver_calls c = {0};
    bool up = !dray_driver_suspect(d);
    dray_driver_calls(d, &c);
    uint64_t values[] = {up, c.begun, c.under_way, c.overdue};
    dray_buf_addf(b, "%s{", name);
    add_label(b, "kind", dray_kind_name(dray_driver_kind(d)), ",");
    add_label(b, "name", dray_driver_name(d), "} ");
    dray_buf_addf(b, "%llu\n", (unsigned long long)values[which]);
}

static void add_plugins(struct dray_engine *e, struct dray_buf *b)
{
    static const struct {
        const char *name, *type, *help;
    } values[] = {
        [PLUGIN_UP] = {"dray_plugin_up", "gauge",
                       "1 while the driver answers, 0 while it is suspect"},
        [PLUGIN_CALLS] = {"dray_plugin_calls_total", "counter",
                          "Calls made to the driver's plugin"},
        [PLUGIN_UNDER_WAY] = {"dray_plugin_calls_under_way", "gauge",
                              "Calls that have not returned"},
        [PLUGIN_OVERDUE] = {"dray_plugin_calls_overdue", "gauge",
                            "Calls that have passed their deadline and not returned"},
    };
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        dray_metrics_head(b, values[v].name, values[v].type, values[v].help);
        for (uint32_t kind = 1; strcmp(dray_kind_name(kind), "unknown") != 0; kind++) {
            struct dray_driver *d = NULL;
            for (size_t i = 0; (d = dray_drivers_at(e->drivers, kind, i)); i++)
                add_plugin(d, (enum plugin_value)v, values[v].name, b);
        }
    }
}

/* --- the process -------------------------------------------------------------------------------*/

static void add_memory(struct dray_buf *b)
{
    unsigned long virtual_pages = 0, resident_pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%lu %lu", &virtual_pages, &resident_pages) == 2) {
        double page = (double)sysconf(_SC_PAGESIZE);
        add_gauge(b, "process_resident_memory_bytes", "Resident memory size in bytes.",
                  (double)resident_pages * page);
        add_gauge(b, "process_virtual_memory_bytes", "Virtual memory size in bytes.",
                  (double)virtual_pages * page);
    }
    if (f)
        (void)fclose(f);
}

static void add_process(struct dray_engine *e, struct dray_buf *b)
{
    struct rusage u = {0};
    struct rlimit fds = {0};
    (void)getrusage(RUSAGE_SELF, &u);
    (void)getrlimit(RLIMIT_NOFILE, &fds);
    dray_metrics_head(b, "process_cpu_seconds_total", "counter",
                      "Total user and system CPU time spent in seconds.");
    dray_buf_addf(b, "process_cpu_seconds_total %.6f\n",
                  (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                      (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6);
    add_gauge(b, "process_open_fds", "Number of open file descriptors.",
              (double)dray_machine_count("fd"));
    add_gauge(b, "process_max_fds", "Maximum number of open file descriptors.",
              (double)fds.rlim_cur);
    add_gauge(b, "process_start_time_seconds",
              "Start time of the process since unix epoch in seconds.",
              (double)e->started_ns / (double)DRAY_NS_PER_S);
    add_memory(b);
}

/* --- the server --------------------------------------------------------------------------------*/

static enum MHD_Result answer(struct MHD_Connection *conn, unsigned status, const char *type,
                              char *text /* takes */, size_t len)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
    if (!r) {
        free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(r, "Content-Type", type);
    enum MHD_Result rc = MHD_queue_response(conn, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result serve(void *cls, struct MHD_Connection *conn, const char *url,
                             const char *method, const char *version, const char *data,
                             size_t *data_size, void **slot)
{
    struct dray_metrics_server *s = cls;
    DRAY_AUTO(dray_buf) b = {0};
    (void)version, (void)data, (void)slot;
    bool get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    *data_size = 0;
    if (!get || strcmp(url, "/metrics") != 0) {
        char *text = strdup(get ? "404 page not found\n" : "Method Not Allowed\n");
        return text ? answer(conn, get ? 404 : 405, "text/plain; charset=utf-8", text, strlen(text))
                    : MHD_NO;
    }
    dray_metrics_write(s->engine->metrics, &b);
    add_engine(s->engine, &b);
    add_containers(s->engine, &b);
    add_events(s->engine, &b);
    add_plugins(s->engine, &b);
    add_process(s->engine, &b);
    size_t len = b.len;
    return b.failed ? MHD_NO : answer(conn, 200, CONTENT_TYPE, dray_buf_steal(&b), len);
}

int dray_metrics_server_open(struct dray_engine *e, const char *addr,
                             struct dray_metrics_server **out, struct dray_err *err)
{
    int fd = -EBADF;
    int rc = dray_listen_tcp(addr, &fd, err);
    if (rc)
        return dray_err_note(err, "metrics-addr");
    struct dray_metrics_server *s = calloc(1, sizeof *s);
    if (s) {
        s->engine = e;
        s->mhd = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL,
                                  serve, s,                                 //
                                  MHD_OPTION_LISTEN_SOCKET, fd,             //
                                  MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, //
                                  MHD_OPTION_CONNECTION_LIMIT, 64u,         //
                                  MHD_OPTION_THREAD_STACK_SIZE, DRAY_THREAD_STACK, MHD_OPTION_END);
    }
    if (!s || !s->mhd) {
        free(s);
        (void)close(fd);
        return dray_fail(err, DRAY_E_IO, "metrics-addr: start the server at %s", addr);
    }
    dray_info("metrics are served at http://%s/metrics", addr);
    *out = s;
    return 0;
}

void dray_metrics_server_close(struct dray_metrics_server *s)
{
    if (!s)
        return;
    MHD_stop_daemon(s->mhd);
    free(s);
}
