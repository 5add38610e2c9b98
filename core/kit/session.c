/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - the table of sessions: each is a connection that its client has turned round. */
#include "kit/session.h"

#include "base/clock.h"

#include <poll.h>
#include <stdatomic.h>
#include <strings.h>

#define WAIT_NS (5 * DRAY_NS_PER_S)
#define STEP_NS (50 * 1000 * 1000)
#define ID_MAX 256u
#define METHODS_MAX 256u
#define SESSIONS_MAX 1024u

struct kit_session {
    struct kit_session *next; /* kit's lock */
    atomic_uint refs;
    char *id, *shared_key;
    struct dray_strlist methods;
    struct grpc_conn *conn;
};

int dray_kit_open(struct dray_engine *e, struct dray_kit **out, struct dray_err *err)
{
    struct dray_kit *k = calloc(1, sizeof *k);
    if (!k)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    k->engine = e;
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->changed, NULL);
    *out = k;
    return 0;
}

void dray_kit_close(struct dray_kit *k)
{
    if (!k)
        return;
    pthread_cond_destroy(&k->changed);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* Lock held. */
static struct kit_session *find(struct dray_kit *k, const char *id, size_t *n)
{
    struct kit_session *found = NULL;
    *n = 0;
    for (struct kit_session *s = k->sessions; s; s = s->next, (*n)++)
        if (strcmp(s->id, id) == 0)
            found = s;
    return found;
}

static int check(struct dray_kit *k, const struct dray_kit_hello *hello, struct dray_err *err)
{
    size_t n = 0;
    if (!*hello->id || strlen(hello->id) > ID_MAX)
        return dray_fail(err, DRAY_E_INVAL, "X-Docker-Expose-Session-Uuid: a session needs an id");
    if (hello->methods.n > METHODS_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "a session may serve %u methods", METHODS_MAX);
    if (find(k, hello->id, &n))
        return dray_fail(err, DRAY_E_CONFLICT, "session %s already exists", hello->id);
    if (n >= SESSIONS_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "there are %u sessions already", SESSIONS_MAX);
    return 0;
}

int dray_kit_session_check(struct dray_kit *k, const struct dray_kit_hello *hello,
                           struct dray_err *err)
{
    pthread_mutex_lock(&k->lock);
    int rc = check(k, hello, err);
    pthread_mutex_unlock(&k->lock);
    return rc;
}

void kit_session_put(struct kit_session *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    grpc_conn_unref(s->conn);
    dray_strlist_free(&s->methods);
    free(s->id);
    free(s->shared_key);
    free(s);
}

static struct kit_session *session_new(const struct dray_kit_hello *hello)
{
    struct kit_session *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    s->id = strdup(hello->id);
    s->shared_key = strdup(hello->shared_key ? hello->shared_key : "");
    bool ok = s->id && s->shared_key;
    for (uint64_t i = 0; ok && i < hello->methods.n; i++)
        ok = dray_strlist_add(&s->methods, hello->methods.v[i]);
    if (!ok) {
        kit_session_put(s);
        return NULL;
    }
    return s;
}

static int enter(struct dray_kit *k, const struct dray_kit_hello *hello, struct kit_session *s,
                 struct dray_err *err)
{
    pthread_mutex_lock(&k->lock);
    int rc = check(k, hello, err);
    if (!rc) {
        s->next = k->sessions;
        k->sessions = s;
        pthread_cond_broadcast(&k->changed);
    }
    pthread_mutex_unlock(&k->lock);
    return rc;
}

static void leave(struct dray_kit *k, struct kit_session *s)
{
    pthread_mutex_lock(&k->lock);
    struct kit_session **at = &k->sessions;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    pthread_mutex_unlock(&k->lock);
}

int dray_kit_session_run(struct dray_kit *k, const struct dray_kit_hello *hello, int sock,
                         int stop_fd, struct dray_err *err)
{
    struct kit_session *s = session_new(hello);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = grpc_conn_new(sock, NULL, NULL, &s->conn, err);
    if (!rc)
        rc = enter(k, hello, s, err);
    if (!rc) {
        grpc_conn_run(s->conn, stop_fd);
        leave(k, s);
    }
    kit_session_put(s);
    return rc;
}

int kit_session_get(struct dray_kit *k, const char *id, int cancel_fd, struct kit_session **out,
                    struct dray_err *err)
{
    int64_t end = dray_clock_mono() + WAIT_NS, now = 0;
    struct pollfd p = {.fd = cancel_fd, .events = POLLIN};
    size_t n = 0;
    pthread_mutex_lock(&k->lock);
    while (!(*out = find(k, id, &n)) && (now = dray_clock_mono()) < end && poll(&p, 1, 0) <= 0) {
        int64_t until = now + STEP_NS;
        struct timespec ts = {.tv_sec = until / DRAY_NS_PER_S, .tv_nsec = until % DRAY_NS_PER_S};
        (void)pthread_cond_clockwait(&k->changed, &k->lock, CLOCK_MONOTONIC, &ts);
    }
    if (*out)
        atomic_fetch_add(&(*out)->refs, 1);
    pthread_mutex_unlock(&k->lock);
    return *out ? 0 : dray_fail(err, DRAY_E_NOTFOUND, "no active session for %s", id);
}

struct grpc_conn *kit_session_conn(struct kit_session *s)
{
    return s->conn;
}

const char *kit_session_shared_key(const struct kit_session *s)
{
    return s->shared_key;
}

bool kit_session_serves(const struct kit_session *s, const char *method)
{
    for (size_t i = 0; i < s->methods.n; i++)
        if (strcasecmp(s->methods.v[i], method) == 0)
            return true;
    return false;
}
