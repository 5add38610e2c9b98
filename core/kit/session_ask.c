/* SPDX-License-Identifier: Apache-2.0 */
/* session_ask.c - what a build asks of its session: credentials, secrets, agents. */
#include "kit/pb.h"
#include "kit/session.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

int kit_ask_ready(struct kit_session *s, int cancel_fd, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) req = {0};
    DRAY_AUTO(dray_buf) res = {0};
    int rc =
        grpc_unary(kit_session_conn(s), "/grpc.health.v1.Health/Check", &req, &res, cancel_fd, err);
    return rc == DRAY_E_UNAVAIL || rc == DRAY_E_CANCELED ? rc : 0;
}

bool kit_ask_credentials(struct kit_session *s, const char *host, char **user_out,
                         char **password_out, int cancel_fd)
{
    static const char method[] = "/moby.filesync.v1.Auth/Credentials";
    DRAY_AUTO(dray_buf) req = {0};
    DRAY_AUTO(dray_buf) res = {0};
    *user_out = *password_out = NULL;
    if (!kit_session_serves(s, method))
        return false;
    /* As clients keep Docker Hub's. */
    pb_text(&req, 1, strcmp(host, "docker.io") == 0 ? "registry-1.docker.io" : host);
    if (grpc_unary(kit_session_conn(s), method, &req, &res, cancel_fd, NULL) != 0)
        return false;
    struct pb m = pb_open(res.data, res.len);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        char **into = f.number == 1 ? user_out : f.number == 2 ? password_out : NULL;
        if (into) {
            free(*into);
            *into = pb_dup(&f);
        }
    }
    if (res.data)
        explicit_bzero(res.data, res.len);
    return *password_out != NULL;
}

int kit_ask_secret(struct kit_session *s, const char *id, struct dray_buf *out, int cancel_fd,
                   struct dray_err *err)
{
    static const char method[] = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
    DRAY_AUTO(dray_buf) req = {0};
    DRAY_AUTO(dray_buf) res = {0};
    struct dray_err own = {0};
    if (!kit_session_serves(s, method))
        return 0;
    pb_text(&req, 1, id);
    int rc = grpc_unary(kit_session_conn(s), method, &req, &res, cancel_fd, &own);
    if (rc == DRAY_E_NOTFOUND)
        return 0;
    if (rc)
        return dray_fail(err, rc, "secret %s: %s", id, own.text);
    struct pb m = pb_open(res.data, res.len);
    struct pb_field f;
    while (pb_next(&m, &f))
        if (f.number == 1 && f.data)
            dray_buf_add(out, f.data, f.len);
    if (res.data)
        explicit_bzero(res.data, res.len);
    return out->failed ? dray_fail(err, DRAY_E_NOMEM, "out of memory") : 1;
}

bool kit_ask_agent(struct kit_session *s, const char *id, int cancel_fd)
{
    static const char method[] = "/moby.sshforward.v1.SSH/CheckAgent";
    DRAY_AUTO(dray_buf) req = {0};
    DRAY_AUTO(dray_buf) res = {0};
    if (!kit_session_serves(s, method))
        return false;
    pb_text(&req, 1, id);
    return grpc_unary(kit_session_conn(s), method, &req, &res, cancel_fd, NULL) == 0;
}

/* ---- Agents ---- */

struct link {
    struct link *next; /* links' lock */
    struct kit_links *set;
    struct grpc_call *call;
    int fd;
};

struct kit_links {
    pthread_mutex_t lock; /* guards: first, n. order: leaf */
    pthread_cond_t gone;
    struct link *first;
    unsigned n;
    int stop; /* eventfd: readable once all shall end */
};

struct kit_links *kit_links_new(void)
{
    struct kit_links *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->stop < 0) {
        free(l);
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->gone, NULL);
    return l;
}

static void *link_main(void *arg)
{
    struct link *k = arg;
    struct kit_links *l = k->set;
    kit_pump(k->call, k->fd, l->stop);
    pthread_mutex_lock(&l->lock);
    struct link **at = &l->first;
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    pthread_mutex_unlock(&l->lock);
    grpc_call_free(k->call);
    (void)close(k->fd);
    free(k);
    pthread_mutex_lock(&l->lock);
    l->n--;
    pthread_cond_broadcast(&l->gone);
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static bool start(struct kit_links *l, struct link *k)
{
    pthread_t thread;
    pthread_attr_t attr;
    pthread_mutex_lock(&l->lock);
    k->next = l->first;
    l->first = k;
    l->n++;
    pthread_mutex_unlock(&l->lock);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    bool ok = pthread_create(&thread, &attr, link_main, k) == 0;
    pthread_attr_destroy(&attr);
    if (!ok) {
        pthread_mutex_lock(&l->lock);
        struct link **at = &l->first;
        while (*at != k)
            at = &(*at)->next;
        *at = k->next;
        l->n--;
        pthread_mutex_unlock(&l->lock);
    }
    return ok;
}

bool kit_links_add(struct kit_links *l, struct kit_session *s, const char *id, int fd /* takes */)
{
    DRAY_AUTO(dray_kvlist) md = {0};
    struct link *k = calloc(1, sizeof *k);
    bool ok = k && dray_kvlist_add(&md, "buildkit.ssh.id", id) &&
              grpc_call_start(kit_session_conn(s), "/moby.sshforward.v1.SSH/ForwardAgent", &md,
                              &k->call, NULL) == 0;
    if (ok) {
        k->set = l;
        k->fd = fd;
        ok = start(l, k);
    }
    if (!ok) {
        if (k)
            grpc_call_free(k->call);
        free(k);
        (void)close(fd);
    }
    return ok;
}

void kit_links_free(struct kit_links *l)
{
    if (!l)
        return;
    (void)eventfd_write(l->stop, 1);
    pthread_mutex_lock(&l->lock);
    for (struct link *k = l->first; k; k = k->next)
        (void)shutdown(k->fd, SHUT_RDWR);
    while (l->n > 0)
        pthread_cond_wait(&l->gone, &l->lock);
    pthread_mutex_unlock(&l->lock);
    (void)close(l->stop);
    pthread_cond_destroy(&l->gone);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
