/* SPDX-License-Identifier: Apache-2.0 */
/* helper_link.c - finds a helper program, starts it, and talks to it. */
#include "engine/helper_link.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/logging.h"
#include "base/sockmsg.h"
#include "base/spawn.h"
#include "engine/engine.h"

#include <sys/socket.h>
#include <sys/stat.h>

#define DRAY_LOG_AREA "helper"
#define ANSWER_MS 10000
#define OVERDUE_MS 1000 /* for one that has not answered the last time */
#define FIRST_MS 3000   /* at the daemon's start, and 2 s at its end: they must not be held up */
#define LAST_MS 2000
#define START_MS 10000

static int connect_to(struct dray_helper_link *l, int *sock, struct dray_err *err)
{
    return dray_sock_connect_at(l->engine->exec_fd, l->socket, SOCK_SEQPACKET, sock, err);
}

/* The program that is started leaves as soon as its child listens. */
static int start(struct dray_helper_link *l, struct dray_err *err)
{
    const struct dray_config *cfg = l->engine->config;
    dray_autofree char *path = dray_strf("%s/%s", cfg->libexec_dir, l->program);
    const char *argv[] = {path, cfg->exec_root, NULL};
    const int fds[] = {-1, STDERR_FILENO, STDERR_FILENO};
    struct dray_spawn spawn = {.argv = argv, .fds = fds, .n_fds = 3};
    pid_t pid = 0;
    int rc = path ? dray_spawn(&spawn, &pid, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc)
        return rc;
    return dray_spawn_wait(pid, START_MS)
               ? dray_fail(err, DRAY_E_UNAVAIL, "%s %s does not start", l->what, path)
               : 0;
}

static int connect_or_start(struct dray_helper_link *l, int *sock, struct dray_err *err)
{
    atomic_store(&l->used, true);
    if (connect_to(l, sock, NULL) == 0)
        return 0;
    pthread_mutex_lock(&l->starting);
    int rc = connect_to(l, sock, NULL); /* another thread may have been faster */
    if (rc) {
        rc = start(l, err);
        rc = rc ? rc : connect_to(l, sock, err);
    }
    pthread_mutex_unlock(&l->starting);
    return rc;
}

/* Wait at most `ms`, and less for one that is overdue: each of many requests would wait anew. */
static int ask_within(struct dray_helper_link *l, int ms, int sock, struct json_object *m, int fd,
                      struct json_object **answer_out, struct dray_err *err)
{
    DRAY_AUTO(dray_sockmsg) answer = {0};
    bool overdue = atomic_load(&l->overdue);
    int rc = dray_sockmsg_send(sock, m, &fd, fd >= 0, err);
    rc = rc ? rc
            : dray_sockmsg_recv(sock, overdue && ms > OVERDUE_MS ? OVERDUE_MS : ms, &answer, err);
    atomic_store(&l->overdue, rc == DRAY_E_TIMEOUT);
    if (rc) {
        (void)dray_err_note(err, "%s (%s) does not answer", l->what, l->program);
        return rc;
    }
    int code = (int)dray_json_int(answer.body, "code", 0);
    if (code)
        return dray_fail(err, code < 0 ? code : DRAY_E_CORRUPT, "%s",
                         dray_json_str(answer.body, "error", "failed"));
    if (answer_out)
        *answer_out = dray_steal(answer.body);
    return 0;
}

static int ask_at(struct dray_helper_link *l, int sock, struct json_object *m, int fd,
                  struct json_object **answer_out, struct dray_err *err)
{
    return ask_within(l, ANSWER_MS, sock, m, fd, answer_out, err);
}

int dray_helper_ask(struct dray_helper_link *l, struct json_object *request, int fd,
                    struct json_object **answer_out, struct dray_err *err)
{
    int rc = DRAY_E_UNAVAIL;
    /* One that ends just now, for want of containers, is started again. */
    for (int attempt = 0; attempt < 2 && rc == DRAY_E_UNAVAIL; attempt++) {
        dray_autofd int sock = -EBADF;
        rc = connect_or_start(l, &sock, err);
        rc = rc ? rc : ask_at(l, sock, request, fd, answer_out, err);
    }
    return rc;
}

int dray_helper_send(struct dray_helper_link *l, struct json_object *request, int fd,
                     struct dray_err *err)
{
    dray_autofd int sock = -EBADF;
    int rc = connect_or_start(l, &sock, err);
    return rc ? rc : dray_sockmsg_send(sock, request, &fd, fd >= 0, err);
}

static void tell_within(struct dray_helper_link *l, int ms, struct json_object *request)
{
    dray_autofd int sock = -EBADF;
    struct dray_err err = {0};
    if (!connect_to(l, &sock, NULL) && ask_within(l, ms, sock, request, -1, NULL, &err))
        dray_warn("%s: %s: %s", l->what, dray_json_str(request, "op", ""), err.text);
}

void dray_helper_tell(struct dray_helper_link *l, struct json_object *request)
{
    tell_within(l, ANSWER_MS, request);
}

struct json_object *dray_helper_request(const char *op, const char *id)
{
    struct json_object *m = json_object_new_object();
    dray_json_add_str(m, "op", op);
    if (id)
        dray_json_add_str(m, "id", id);
    return m;
}

void dray_helper_keep(struct dray_helper_link *l, struct dray_strs ids)
{
    dray_autojson *m = dray_helper_request("keep", NULL);
    struct json_object *list = json_object_new_array();
    for (uint64_t i = 0; i < ids.n; i++)
        json_object_array_add(list, json_object_new_string(ids.v[i]));
    dray_json_add(m, "ids", list);
    dray_helper_tell(l, m);
}

void dray_helper_check(struct dray_helper_link *l)
{
    dray_autofd int sock = -EBADF;
    struct dray_err err = {0};
    if (!atomic_load(&l->used) || connect_to(l, &sock, NULL) == 0)
        return;
    if (connect_or_start(l, &sock, &err))
        dray_error("%s: %s", l->what, err.text);
}

static struct json_object *which_program(struct dray_helper_link *l)
{
    dray_autofree char *path = dray_strf("%s/%s", l->engine->config->libexec_dir, l->program);
    struct stat st;
    if (!path || stat(path, &st))
        return NULL;
    struct json_object *m = dray_helper_request("same", NULL);
    dray_json_add_int(m, "dev", (int64_t)st.st_dev);
    dray_json_add_int(m, "ino", (int64_t)st.st_ino);
    return m;
}

/* The old one leaves its documents; its end closes the connection. */
static int replace(struct dray_helper_link *l, int sock, struct dray_err *err)
{
    dray_autojson *m = dray_helper_request("leave", NULL);
    dray_json_add_bool(m, "always", true);
    int rc = ask_at(l, sock, m, -1, NULL, err);
    DRAY_AUTO(dray_sockmsg) end = {0};
    if (!rc && dray_sockmsg_recv(sock, ANSWER_MS, &end, NULL) != DRAY_E_UNAVAIL)
        rc = dray_fail(err, DRAY_E_TIMEOUT, "the old one does not leave");
    return rc ? rc : start(l, err);
}

static void renew(struct dray_helper_link *l)
{
    dray_autojson *m = which_program(l);
    dray_autofd int sock = -EBADF;
    struct dray_err err = {0};
    if (!m || connect_to(l, &sock, NULL) ||
        ask_within(l, FIRST_MS, sock, m, -1, NULL, &err) != DRAY_E_CONFLICT)
        return;
    dray_info("%s is replaced by this version's", l->what);
    pthread_mutex_lock(&l->starting);
    if (replace(l, sock, &err))
        dray_error("%s: %s", l->what, err.text);
    pthread_mutex_unlock(&l->starting);
}

void dray_helper_link_init(struct dray_helper_link *l, struct dray_engine *e, const char *what,
                           const char *program, const char *socket)
{
    l->engine = e;
    l->what = what;
    l->program = program;
    l->socket = socket;
    atomic_init(&l->used, false);
    atomic_init(&l->overdue, false);
    pthread_mutex_init(&l->starting, NULL);
    renew(l);
}

void dray_helper_link_fini(struct dray_helper_link *l)
{
    dray_autojson *m = dray_helper_request("leave", NULL);
    tell_within(l, LAST_MS, m);
    pthread_mutex_destroy(&l->starting);
}
