/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - drayd: options, the engine, the API, and signals until the end. */
#include "api/metrics.h"
#include "api/server.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/config_load.h"
#include "engine/engine.h"
#include "memory.h"
#include "options.h"
#include "process.h"

#include <pthread.h>
#include <signal.h>
#include <strings.h>

#define DRAY_LOG_AREA "daemon"
#define TICK_S 3
#define CLOSE_S 3 /* to close all, once no request is waited for any more */

#ifndef DRAY_VERSION
#define DRAY_VERSION "0.0.0"
#endif

/* The one daemon of this process. */
struct drayd {
    struct drayd_options options;
    struct dray_config *config;
    struct dray_engine *engine;
    struct dray_server *server;
    struct dray_metrics_server *metrics; /* or NULL */
    char *pid_path;
    int pid_fd;
    sigset_t signals; /* that it waits for */
    int stop_s;       /* what requests are given to end, once it stops */
};

static bool set_log_level(const struct dray_config *c, struct dray_err *err)
{
    const char *text = dray_json_str(c->raw, "log-level", "info");
    int level = dray_log_level_parse(text);
    if (level < 0) {
        (void)dray_fail(err, DRAY_E_INVAL, "invalid logging level: %s", text);
        return false;
    }
    dray_log_setup(c->debug ? DRAY_LOG_DEBUG : (uint32_t)level, getenv("JOURNAL_STREAM") == NULL);
    return true;
}

static bool is_loopback(const char *host)
{
    static const char *const names[] = {"tcp://127.", "tcp://localhost", "tcp://[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(host, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* Without TLS the API gives root to whoever reaches the port: off this machine only by its name. */
static int check_plain(struct json_object *raw, const struct dray_listen *l, struct dray_err *err)
{
    bool said_no = dray_json_get(raw, "tls") || dray_json_get(raw, "tlsverify");
    if (l->tls || strncmp(l->host, "tcp://", 6) != 0 || is_loopback(l->host) || said_no)
        return 0;
    return dray_fail(err, DRAY_E_INVAL,
                     "%s without TLS gives root on this machine to everybody who can reach it: use "
                     "--tlsverify with --tlscacert, --tlscert and --tlskey, or say --tls=false to "
                     "do it all the same",
                     l->host);
}

/* "HOST:PORT" alone is of TCP, as for dockerd. */
static int name_scheme(char **host, struct dray_err *err)
{
    if (**host == '/' || strstr(*host, "://"))
        return 0;
    char *full = dray_strf("tcp://%s", *host);
    if (!full)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    free(*host);
    *host = full;
    return 0;
}

/* What -H and the TLS settings ask for. *out borrows from hosts and the configuration. */
static int plan_listens(struct drayd *d, struct dray_strlist *hosts, struct dray_listen **out,
                        struct dray_err *err)
{
    struct json_object *raw = d->config->raw;
    int rc = dray_json_to_strlist(dray_json_arr(raw, "hosts"), hosts, err);
    if (!rc && !hosts->n && !dray_strlist_add(hosts, DRAYD_HOST))
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct dray_listen *listens = rc ? NULL : calloc(hosts->n + 1, sizeof *listens);
    if (!listens)
        return rc ? rc : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    bool verify = dray_json_bool(raw, "tlsverify", false);
    for (size_t i = 0; i < hosts->n && !rc; i++) {
        if ((rc = name_scheme(&hosts->v[i], err)) != 0)
            break;
        bool tcp = strncmp(hosts->v[i], "tcp://", 6) == 0;
        listens[i] = (struct dray_listen){
            .host = hosts->v[i],
            .tls = tcp && (verify || dray_json_bool(raw, "tls", false)),
            .tls_verify = verify,
            .ca = dray_json_str(raw, "tlscacert", NULL),
            .cert = dray_json_str(raw, "tlscert", NULL),
            .key = dray_json_str(raw, "tlskey", NULL),
            .group = dray_json_str(raw, "group", NULL),
        };
        rc = check_plain(raw, &listens[i], err);
    }
    *out = listens;
    return rc;
}

static int open_pidfile(struct drayd *d, struct dray_err *err)
{
    const char *path = dray_json_str(d->config->raw, "pidfile", NULL);
    bool first = strcmp(d->config->exec_root, "/run/dray") == 0;
    d->pid_path = path    ? strdup(path)
                  : first ? strdup("/run/dray.pid")
                          : dray_strf("%s/drayd.pid", d->config->exec_root);
    if (!d->pid_path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return drayd_pidfile_open(d->pid_path, &d->pid_fd, err);
}

static void warn_of_ignored(struct json_object *raw)
{
    if (!dray_json_bool(raw, "iptables", true)) {
        if (!dray_json_bool(raw, "userland-proxy", true))
            dray_warn("iptables=false and userland-proxy=false: published ports reach nobody");
        return;
    }
    if (!dray_json_bool(raw, "ip6tables", true))
        dray_warn(
            "the setting ip6tables=false has no effect: the rules of one nftables table are for "
            "both families; iptables=false does without it");
}

static int start(struct drayd *d, struct dray_err *err)
{
    int64_t begin = dray_clock_mono();
    DRAY_AUTO(dray_strlist) hosts = {0};
    dray_autofree struct dray_listen *listens = NULL;
    warn_of_ignored(d->config->raw);
    int rc = plan_listens(d, &hosts, &listens, err);
    if (!rc)
        rc = open_pidfile(d, err);
    if (!rc)
        rc = dray_engine_open(d->config, &d->engine, err);
    if (!rc)
        rc = dray_server_open(d->engine, listens, hosts.n, &d->server, err);
    const char *metrics = dray_json_str(d->config->raw, "metrics-addr", "");
    if (!rc && *metrics)
        rc = dray_metrics_server_open(d->engine, metrics, &d->metrics, err);
    if (rc)
        return rc;
    dray_info("drayd %s is ready after %lld ms", DRAY_VERSION,
              (long long)((dray_clock_mono() - begin) / 1000000));
    drayd_notify("READY=1");
    drayd_memory_release();
    return 0;
}

static void reload(struct drayd *d)
{
    struct dray_err err = {0};
    struct dray_config *fresh = NULL;
    drayd_notify("RELOADING=1");
    int rc = drayd_config_load(&d->options, &fresh, &err);
    if (!rc)
        rc = dray_engine_reload(d->engine, fresh, &err);
    if (!rc && !set_log_level(dray_engine_live(d->engine), &err))
        rc = err.code;
    if (rc)
        dray_error("the configuration was not reloaded: %s", err.text);
    else
        dray_info("the configuration was reloaded");
    drayd_notify("READY=1");
}

static void wait_for_end(struct drayd *d)
{
    struct timespec tick = {.tv_sec = TICK_S};
    for (;;) {
        int sig = sigtimedwait(&d->signals, NULL, &tick);
        if (sig == SIGTERM || sig == SIGINT)
            return;
        if (sig == SIGHUP)
            reload(d);
        else if (sig == SIGUSR1)
            drayd_dump_threads();
        else if (sig < 0 && errno == EAGAIN)
            drayd_memory_tick();
    }
}

/* What hangs keeps nobody from ending: what is lost then is no more than after a kill. */
static void *watch_ending(void *arg)
{
    const struct drayd *d = arg;
    struct timespec left = {.tv_sec = d->stop_s + CLOSE_S};
    int64_t end = dray_clock_mono() + left.tv_sec * DRAY_NS_PER_S;
    int sig = -1;
    while (left.tv_sec >= 0 && (sig = sigtimedwait(&d->signals, NULL, &left)) < 0 && errno == EINTR)
        left.tv_sec = (end - dray_clock_mono()) / DRAY_NS_PER_S;
    if (sig > 0) {
        dray_warn("second signal: exit at once");
        _exit(1);
    }
    dray_warn("not all that was under way has ended in time; containers go on");
    _exit(0);
}

static void stop(struct drayd *d)
{
    pthread_t watcher;
    drayd_notify("STOPPING=1");
    (void)sigdelset(&d->signals, SIGHUP);
    (void)sigdelset(&d->signals, SIGUSR1);
    int seconds = dray_engine_live(d->engine)->shutdown_timeout_s;
    d->stop_s = seconds < 0 ? 15 : seconds;
    if (pthread_create(&watcher, NULL, watch_ending, d) == 0)
        (void)pthread_detach(watcher);
    dray_metrics_server_close(d->metrics);
    bool idle = dray_server_close(d->server, d->stop_s * 1000);
    if (d->pid_path)
        (void)unlink(d->pid_path);
    if (!idle) {
        /* Sessions of clients go on between them and the shims; their threads end with us. */
        dray_info("stopped; containers go on");
        _exit(0);
    }
    dray_engine_close(d->engine);
    dray_info("stopped; containers go on");
}

static int run(struct drayd *d)
{
    struct dray_err err = {0};
    (void)sigemptyset(&d->signals);
    const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        (void)sigaddset(&d->signals, taken[i]);
    (void)pthread_sigmask(SIG_BLOCK, &d->signals, NULL);
    if (start(d, &err)) {
        dray_error("%s", err.text);
        (void)dray_server_close(d->server, 0);
        dray_engine_close(d->engine);
        if (d->pid_fd >= 0)
            (void)unlink(d->pid_path);
        return 1;
    }
    wait_for_end(d);
    stop(d);
    return 0;
}

static int configure_and_run(struct drayd *d)
{
    struct dray_err err = {0};
    if (drayd_config_load(&d->options, &d->config, &err) || !set_log_level(d->config, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    if (d->options.validate) {
        (void)printf("configuration OK\n");
        return 0;
    }
    if (geteuid() != 0) {
        (void)fprintf(stderr, "drayd needs to be started with root privileges\n");
        return 1;
    }
    return run(d);
}

int main(int argc, char **argv)
{
    struct drayd d = {.pid_fd = -EBADF};
    struct dray_err err = {0};
    drayd_settle();
    int rc = 0;
    if (drayd_options_parse(argc, argv, &d.options, &err)) {
        (void)fprintf(stderr, "%s\nSee 'drayd --help'.\n", err.text);
        rc = 125;
    } else if (d.options.help) {
        drayd_options_help();
    } else if (d.options.version) {
        (void)printf("Dray version %s\n", DRAY_VERSION);
    } else {
        rc = configure_and_run(&d);
    }
    dray_config_free(d.config);
    drayd_options_free(&d.options);
    free(d.pid_path);
    dray_cleanup_fd(&d.pid_fd);
    return rc;
}
