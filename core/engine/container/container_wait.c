/* SPDX-License-Identifier: Apache-2.0 */
/* container_wait.c - waiting for a container's end or removal. */
#include "engine/container/container.h"

#include <sys/eventfd.h>

#define DEPARTED_NS (2 * DRAY_NS_PER_S)

/** Call with the lock of its container held; takes the waiter off the list's ownership, not its
 * memory. */
static void answer(struct dray_waiter *w, int code, const char *error)
{
    w->answered = true;
    w->code = code;
    (void)snprintf(w->error, sizeof w->error, "%s", error);
    (void)eventfd_write(w->fd, 1);
}

void dray_waiters_stopped(struct dray_container *c)
{
    for (struct dray_waiter **at = &c->waiters; *at;) {
        struct dray_waiter *w = *at;
        if (w->until == DRAY_WAIT_REMOVED) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        answer(w, c->st.exit_code, c->st.error);
    }
    pthread_cond_broadcast(&c->changed);
}

void dray_waiters_removed(struct dray_container *c)
{
    while (c->waiters) {
        struct dray_waiter *w = c->waiters;
        c->waiters = w->next;
        /* The removal went well: why the start had failed is told by the start. */
        answer(w, c->st.exit_code, "");
    }
    pthread_cond_broadcast(&c->changed);
}

void dray_waiters_depart(struct dray_container *c)
{
    struct dray_containers *cs = c->set;
    struct dray_departed d = {.until_mono = dray_clock_mono() + DEPARTED_NS};
    memcpy(d.id, c->id, sizeof d.id);
    pthread_mutex_lock(&c->lock);
    d.code = c->st.exit_code;
    if ((size_t)snprintf(d.name, sizeof d.name, "%s", c->name) >= sizeof d.name)
        d.name[0] = '\0';
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_lock(&cs->departed_lock);
    cs->departed[cs->n_departed++ % DRAY_DEPARTED_MAX] = d;
    pthread_mutex_unlock(&cs->departed_lock);
}

/** By id or by name; of several of one name the last counts. */
static bool has_departed(struct dray_containers *cs, const char *name, int *code_out)
{
    bool found = false;
    int64_t now = dray_clock_mono();
    const char *plain = name[0] == '/' ? name + 1 : name;
    pthread_mutex_lock(&cs->departed_lock);
    for (size_t i = 1; i <= DRAY_DEPARTED_MAX && i <= cs->n_departed && !found; i++) {
        const struct dray_departed *d = &cs->departed[(cs->n_departed - i) % DRAY_DEPARTED_MAX];
        found = d->until_mono > now &&
                (strcmp(d->id, name) == 0 || (*plain && strcmp(d->name, plain) == 0));
        if (found)
            *code_out = d->code;
    }
    pthread_mutex_unlock(&cs->departed_lock);
    return found;
}

static int parse_condition(const char *text, struct dray_waiter *w, struct dray_err *err)
{
    if (!text || !*text || strcmp(text, "not-running") == 0)
        w->until = DRAY_WAIT_STOP;
    else if (strcmp(text, "next-exit") == 0)
        w->until = DRAY_WAIT_NEXT;
    else if (strcmp(text, "removed") == 0)
        w->until = DRAY_WAIT_REMOVED;
    else
        return dray_fail(err, DRAY_E_INVAL, "invalid condition: \"%s\"", text);
    return 0;
}

int dray_containers_wait_begin(struct dray_containers *cs, const char *name, const char *condition,
                               struct dray_waiter **out, struct dray_err *err)
{
    struct dray_waiter *w = calloc(1, sizeof *w);
    if (!w)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    w->fd = -EBADF;
    int code = 0, rc = parse_condition(condition, w, err);
    if (rc == 0)
        rc = dray_container_find(cs, name, &w->c, err);
    if (rc == DRAY_E_NOTFOUND && has_departed(cs, name, &code))
        rc = 0;
    if (rc == 0 && (w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        rc = dray_fail_errno(err, "eventfd");
    if (rc != 0) {
        dray_waiter_free(w);
        return rc;
    }
    *out = w;
    struct dray_container *c = w->c;
    if (!c) {
        answer(w, code, "");
        return 0;
    }
    pthread_mutex_lock(&c->lock);
    bool runs = dray_container_alive(c) || c->st.status == DRAY_CS_RESTARTING;
    if (c->removed || (w->until == DRAY_WAIT_STOP && !runs)) {
        answer(w, c->st.exit_code, c->st.error);
    } else {
        w->next = c->waiters;
        c->waiters = w;
    }
    pthread_mutex_unlock(&c->lock);
    return 0;
}

int dray_waiter_fd(const struct dray_waiter *w)
{
    return w->fd;
}

int dray_waiter_result(struct dray_waiter *w, int *code_out, char text_out[256])
{
    if (w->c)
        pthread_mutex_lock(&w->c->lock);
    bool answered = w->answered;
    *code_out = w->code;
    memcpy(text_out, w->error, sizeof w->error);
    if (w->c)
        pthread_mutex_unlock(&w->c->lock);
    return answered ? 0 : DRAY_E_BUSY;
}

void dray_waiter_free(struct dray_waiter *w)
{
    if (!w)
        return;
    if (w->c) {
        pthread_mutex_lock(&w->c->lock);
        struct dray_waiter **at = &w->c->waiters;
        while (*at && *at != w)
            at = &(*at)->next;
        if (*at)
            *at = w->next;
        pthread_mutex_unlock(&w->c->lock);
        dray_container_unref(w->c);
    }
    if (w->fd >= 0)
        (void)close(w->fd);
    free(w);
}

bool dray_container_wait_stopped(struct dray_container *c, int64_t timeout_ms)
{
    int64_t end = dray_clock_mono() + timeout_ms * 1000000;
    struct timespec ts = {.tv_sec = end / DRAY_NS_PER_S, .tv_nsec = end % DRAY_NS_PER_S};
    pthread_mutex_lock(&c->lock);
    int rc = 0;
    while (dray_container_alive(c) && !c->removed && rc == 0) {
        if (timeout_ms < 0)
            rc = pthread_cond_wait(&c->changed, &c->lock);
        else
            rc = pthread_cond_timedwait(&c->changed, &c->lock, &ts);
    }
    bool stopped = !dray_container_alive(c) || c->removed;
    pthread_mutex_unlock(&c->lock);
    return stopped;
}
