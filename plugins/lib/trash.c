/* SPDX-License-Identifier: Apache-2.0 */
/* trash.c - the background deletion of trees. */
#include "trash.h"
#include "files.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#define MOMENT_NS 300000000u
#define THREAD_NICE 5 /* whoever has removed something goes on first */

struct dray_pl_trash {
    const struct dray_host *host;
    int fd;
    pthread_mutex_t lock; /* guards all below; last in the order */
    pthread_cond_t changed;
    pthread_t thread;
    uint64_t serial;
    dray_pl_trash_reuse_fn reuse;
    void *reuse_arg;
    void (*chore)(void *arg);
    void *chore_arg;
    bool started; /* there is a thread to join */
    bool pending; /* something came since the thread last looked */
    bool busy;    /* it is deleting */
    bool stop;
};

static bool stopping(void *arg)
{
    struct dray_pl_trash *t = arg;
    (void)pthread_mutex_lock(&t->lock);
    bool stop = t->stop;
    (void)pthread_mutex_unlock(&t->lock);
    return stop;
}

static void delete_one(struct dray_pl_trash *t, const char *name)
{
    (void)pthread_mutex_lock(&t->lock);
    dray_pl_trash_reuse_fn reuse = t->reuse;
    (void)pthread_mutex_unlock(&t->lock);
    if (reuse && reuse(t->reuse_arg, t->fd, name))
        return;
    struct dray_err err = {0};
    int rc = dray_pl_remove_tree_until(t->fd, name, stopping, t, &err);
    if (rc < 0 && rc != DRAY_E_CANCELED)
        dray_host_logf(t->host, DRAY_LOG_WARN, "a removed layer keeps its space: %s", err.text);
}

static void delete_all(struct dray_pl_trash *t)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    if (dray_pl_dir_read(t->fd, false, &dir, NULL) < 0)
        return;
    for (size_t i = 0; i < dir.n && !stopping(t); i++)
        delete_one(t, dir.v[i].text);
}

static void do_chore(struct dray_pl_trash *t)
{
    (void)pthread_mutex_lock(&t->lock);
    void (*chore)(void *) = t->stop ? NULL : t->chore;
    (void)pthread_mutex_unlock(&t->lock);
    if (chore)
        chore(t->chore_arg);
}

static void *work(void *arg)
{
    struct dray_pl_trash *t = arg;
    (void)setpriority(PRIO_PROCESS, 0, THREAD_NICE); /* of this thread alone */
    (void)pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        if (!t->pending) {
            (void)pthread_cond_wait(&t->changed, &t->lock);
            continue;
        }
        t->pending = false;
        t->busy = true;
        (void)pthread_mutex_unlock(&t->lock);
        delete_all(t);
        do_chore(t);
        (void)pthread_mutex_lock(&t->lock);
        t->busy = false;
        (void)pthread_cond_broadcast(&t->changed);
    }
    (void)pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* Called with the lock held. The thread is started by the first removal and then stays. */
static void wake_thread(struct dray_pl_trash *t)
{
    t->pending = true;
    if (t->started) {
        (void)pthread_cond_broadcast(&t->changed);
        return;
    }
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attr;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, 256 * 1024);
    t->started = pthread_create(&t->thread, &attr, work, t) == 0;
    (void)pthread_attr_destroy(&attr);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int dray_pl_trash_open(const struct dray_host *host, int dirfd, const char *name,
                       struct dray_pl_trash **out, struct dray_err *err)
{
    struct dray_pl_trash *t = calloc(1, sizeof *t);
    if (!t)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = dray_pl_open_dir(dirfd, name, 0700, &t->fd, err);
    if (rc < 0) {
        free(t);
        return rc;
    }
    t->host = host;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* names must differ from leftover ones */
    t->serial = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    (void)pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&t->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    DRAY_AUTO(dray_pl_dir) dir = {0};
    if (dray_pl_dir_read(t->fd, false, &dir, NULL) == 0 && dir.n > 0) {
        (void)pthread_mutex_lock(&t->lock);
        wake_thread(t);
        (void)pthread_mutex_unlock(&t->lock);
    }
    *out = t;
    return 0;
}

int dray_pl_trash_put(struct dray_pl_trash *t, int dirfd, const char *name, struct dray_err *err)
{
    char to[32];
    (void)pthread_mutex_lock(&t->lock);
    (void)snprintf(to, sizeof to, "%llx", (unsigned long long)t->serial++);
    (void)pthread_mutex_unlock(&t->lock);
    if (renameat(dirfd, name, t->fd, to) < 0)
        return errno == ENOENT ? 0 : dray_fail_errno(err, "remove %s", name);
    (void)pthread_mutex_lock(&t->lock);
    wake_thread(t);
    (void)pthread_mutex_unlock(&t->lock);
    return 0;
}

void dray_pl_trash_set_reuse(struct dray_pl_trash *t, dray_pl_trash_reuse_fn reuse, void *arg)
{
    (void)pthread_mutex_lock(&t->lock);
    t->reuse = reuse;
    t->reuse_arg = arg;
    (void)pthread_mutex_unlock(&t->lock);
}

void dray_pl_trash_set_chore(struct dray_pl_trash *t, void (*chore)(void *arg), void *arg)
{
    (void)pthread_mutex_lock(&t->lock);
    t->chore = chore;
    t->chore_arg = arg;
    (void)pthread_mutex_unlock(&t->lock);
}

void dray_pl_trash_wake(struct dray_pl_trash *t)
{
    (void)pthread_mutex_lock(&t->lock);
    wake_thread(t);
    (void)pthread_mutex_unlock(&t->lock);
}

/* Wait until all is deleted, until deadline_ns (CLOCK_MONOTONIC, 0: for ever); false: not yet. */
static bool wait_deleted(struct dray_pl_trash *t, uint64_t deadline_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                                   .tv_nsec = (long)(deadline_ns % 1000000000u)};
    int rc = 0;
    (void)pthread_mutex_lock(&t->lock);
    while (t->started && (t->pending || t->busy) && rc == 0)
        rc = deadline_ns == 0 ? pthread_cond_wait(&t->changed, &t->lock)
                              : pthread_cond_timedwait(&t->changed, &t->lock, &until);
    bool done = !t->pending && !t->busy;
    (void)pthread_mutex_unlock(&t->lock);
    return done;
}

void dray_pl_trash_settle(struct dray_pl_trash *t, uint64_t deadline_ns)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t moment = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + MOMENT_NS;
    if (!wait_deleted(t, deadline_ns && deadline_ns > moment ? moment : deadline_ns))
        dray_host_logf(t->host, DRAY_LOG_INFO,
                       "the deletion of what was removed goes on at the next start");
}

void dray_pl_trash_close(struct dray_pl_trash *t)
{
    if (!t)
        return;
    (void)pthread_mutex_lock(&t->lock);
    t->stop = true;
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
    if (t->started)
        (void)pthread_join(t->thread, NULL);
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->lock);
    (void)close(t->fd);
    free(t);
}
