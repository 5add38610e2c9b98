/* SPDX-License-Identifier: Apache-2.0 */
/* session_ask.c - what a build asks of its session: credentials, secrets, agents. */
#include "kit/pb.h"
#include "kit/session.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#define PIECE 32768u

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

static void *upwards(void *arg)
{
    struct link *k = arg;
    char buf[PIECE];
    for (;;) {
        ssize_t n = recv(k->fd, buf, sizeof buf, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        DRAY_AUTO(dray_buf) msg = {0};
        pb_bytes(&msg, 1, buf, (size_t)n);
        if (msg.failed || grpc_send(k->call, msg.data, msg.len, k->set->stop, NULL) != 0)
            break;
    }
    grpc_send_end(k->call);
    return NULL;
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static void downwards(struct link *k)
{
    DRAY_AUTO(dray_buf) msg = {0};
    bool ok = true;
    while (ok && grpc_recv(k->call, &msg, k->set->stop, NULL) == 1) {
        struct pb m = pb_open(msg.data, msg.len);
        struct pb_field f;
        while (ok && pb_next(&m, &f))
            ok = f.number != 1 || !f.data || send_all(k->fd, f.data, f.len);
    }
}

static void *link_main(void *arg)
{
    struct link *k = arg;
    struct kit_links *l = k->set;
    pthread_t up;
    if (pthread_create(&up, NULL, upwards, k) == 0) {
        downwards(k);
        (void)shutdown(k->fd, SHUT_RDWR); /* wakes the other direction */
        (void)pthread_join(up, NULL);
    }
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
