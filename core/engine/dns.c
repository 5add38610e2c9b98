/* SPDX-License-Identifier: Apache-2.0 */
/* dns.c - the daemon's side of dns/protocol.h: finds the resolver, starts it, tells it of names. */
#include "engine/dns.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/sockmsg.h"
#include "base/spawn.h"
#include "dns/protocol.h"
#include "engine/engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DRAY_LOG_AREA "dns"
#define ANSWER_MS 10000

struct dray_dns {
    struct dray_engine *engine;
    pthread_mutex_t starting; /* one thread starts the resolver. order: leaf */
    atomic_bool used;         /* some container needs it */
};

static int connect_to(struct dray_dns *d, int *sock, struct dray_err *err)
{
    return dray_sock_connect_at(d->engine->exec_fd, DRAY_DNS_SOCKET, SOCK_SEQPACKET, sock, err);
}

/* The program that is started leaves as soon as its child listens. */
static int start(struct dray_dns *d, struct dray_err *err)
{
    const struct dray_config *cfg = d->engine->config;
    dray_autofree char *path = dray_strf("%s/dray-dns", cfg->libexec_dir);
    const char *argv[] = {path, cfg->exec_root, NULL};
    const int fds[] = {-1, STDERR_FILENO, STDERR_FILENO};
    struct dray_spawn spawn = {.argv = argv, .fds = fds, .n_fds = 3};
    pid_t pid = 0;
    int status = 0;
    int rc = path ? dray_spawn(&spawn, &pid, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc)
        return rc;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status ? dray_fail(err, DRAY_E_UNAVAIL, "the resolver %s does not start", path) : 0;
}

static int connect_or_start(struct dray_dns *d, int *sock, struct dray_err *err)
{
    atomic_store(&d->used, true);
    if (connect_to(d, sock, NULL) == 0)
        return 0;
    pthread_mutex_lock(&d->starting);
    int rc = connect_to(d, sock, NULL); /* another thread may have been faster */
    if (rc) {
        rc = start(d, err);
        rc = rc ? rc : connect_to(d, sock, err);
    }
    pthread_mutex_unlock(&d->starting);
    return rc;
}

static int ask_at(int sock, struct json_object *m, int fd, struct dray_err *err)
{
    DRAY_AUTO(dray_sockmsg) answer = {0};
    int rc = dray_sockmsg_send(sock, m, &fd, fd >= 0, err);
    rc = rc ? rc : dray_sockmsg_recv(sock, ANSWER_MS, &answer, err);
    if (rc)
        return rc;
    int code = (int)dray_json_int(answer.body, "code", 0);
    return code ? dray_fail(err, code, "%s", dray_json_str(answer.body, "error", "failed")) : 0;
}

/* One that ends just now, for want of containers, is started again. */
static int ask(struct dray_dns *d, struct json_object *m, int fd, struct dray_err *err)
{
    int rc = DRAY_E_UNAVAIL;
    for (int attempt = 0; attempt < 2 && rc == DRAY_E_UNAVAIL; attempt++) {
        dray_autofd int sock = -EBADF;
        rc = connect_or_start(d, &sock, err);
        rc = rc ? rc : ask_at(sock, m, fd, err);
    }
    return rc;
}

/* Only if it runs: there is nothing to tell to a new one. */
static void tell(struct dray_dns *d, struct json_object *m)
{
    dray_autofd int sock = -EBADF;
    struct dray_err err = {0};
    if (!connect_to(d, &sock, NULL) && ask_at(sock, m, -1, &err))
        dray_warn("%s: %s", dray_json_str(m, "op", ""), err.text);
}

static struct json_object *message(const char *op, const char *id)
{
    struct json_object *m = json_object_new_object();
    dray_json_add_str(m, "op", op);
    if (id)
        dray_json_add_str(m, "id", id);
    return m;
}

void dray_dns_prepare(struct dray_dns *d, const char *id, int netns)
{
    dray_autojson *m = message("open", id);
    dray_autofd int sock = -EBADF;
    struct dray_err err = {0};
    int rc = connect_or_start(d, &sock, &err);
    rc = rc ? rc : dray_sockmsg_send(sock, m, &netns, 1, &err);
    if (rc)
        dray_debug("open: %s", err.text); /* set, which follows, tries again and reports */
}

int dray_dns_set(struct dray_dns *d, struct json_object *doc, int netns, struct dray_err *err)
{
    dray_autojson *m = message("set", NULL);
    dray_json_add(m, "doc", json_object_get(doc));
    int rc = ask(d, m, netns, err);
    return rc ? dray_err_note(err, "embedded DNS") : 0;
}

void dray_dns_drop(struct dray_dns *d, const char *id)
{
    dray_autojson *m = message("drop", id);
    tell(d, m);
}

void dray_dns_keep(struct dray_dns *d, struct dray_strs ids)
{
    dray_autojson *m = message("keep", NULL);
    struct json_object *list = json_object_new_array();
    for (uint64_t i = 0; i < ids.n; i++)
        json_object_array_add(list, json_object_new_string(ids.v[i]));
    dray_json_add(m, "ids", list);
    tell(d, m);
}

void dray_dns_check(struct dray_dns *d)
{
    dray_autofd int sock = -EBADF;
    struct dray_err err = {0};
    if (!d || !atomic_load(&d->used) || connect_to(d, &sock, NULL) == 0)
        return;
    if (connect_or_start(d, &sock, &err))
        dray_error("embedded DNS: %s", err.text);
}

static struct json_object *which_program(struct dray_dns *d)
{
    dray_autofree char *path = dray_strf("%s/dray-dns", d->engine->config->libexec_dir);
    struct stat st;
    if (!path || stat(path, &st))
        return NULL;
    struct json_object *m = message("same", NULL);
    dray_json_add_int(m, "dev", (int64_t)st.st_dev);
    dray_json_add_int(m, "ino", (int64_t)st.st_ino);
    return m;
}

/* The old one leaves its documents; its end closes the connection. */
static int replace(struct dray_dns *d, int sock, struct dray_err *err)
{
    dray_autojson *m = message("leave", NULL);
    dray_json_add_bool(m, "always", true);
    int rc = ask_at(sock, m, -1, err);
    DRAY_AUTO(dray_sockmsg) end = {0};
    if (!rc && dray_sockmsg_recv(sock, ANSWER_MS, &end, NULL) != DRAY_E_UNAVAIL)
        rc = dray_fail(err, DRAY_E_TIMEOUT, "the old resolver does not leave");
    return rc ? rc : start(d, err);
}

static void renew(struct dray_dns *d)
{
    dray_autojson *m = which_program(d);
    dray_autofd int sock = -EBADF;
    struct dray_err err = {0};
    if (!m || connect_to(d, &sock, NULL) || ask_at(sock, m, -1, &err) != DRAY_E_CONFLICT)
        return;
    dray_info("the resolver is replaced by this version's");
    pthread_mutex_lock(&d->starting);
    if (replace(d, sock, &err))
        dray_error("embedded DNS: %s", err.text);
    pthread_mutex_unlock(&d->starting);
}

int dray_dns_open(struct dray_engine *e, struct dray_dns **out, struct dray_err *err)
{
    struct dray_dns *d = calloc(1, sizeof *d);
    if (!d)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    d->engine = e;
    pthread_mutex_init(&d->starting, NULL);
    renew(d);
    *out = d;
    return 0;
}

void dray_dns_close(struct dray_dns *d)
{
    if (!d)
        return;
    dray_autojson *m = message("leave", NULL);
    tell(d, m);
    pthread_mutex_destroy(&d->starting);
    free(d);
}
