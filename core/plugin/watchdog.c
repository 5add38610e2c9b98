/* SPDX-License-Identifier: Apache-2.0 */
/* watchdog.c - notices calls that do not return, and asks suspect instances how they are. */
#define DRAY_LOG_AREA "plugin"
#include "plugin/registry.h"

#include "base/clock.h"
#include "base/logging.h"

#include <signal.h>
#include <stdatomic.h>

#define NS ((uint64_t)DRAY_NS_PER_S)
#define TICK_NS (NS / 4)
#define IDLE_TICKS 8 /* without a call before it goes to sleep */
#define HEALTH_EVERY_NS (5 * NS)
#define STACK_SIZE ((size_t)256 << 10)

int dray_watchdog_thread(pthread_t *out, void *(*run)(void *), void *arg, size_t stack)
{
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_attr_init(&attr);
    if (stack)
        (void)pthread_attr_setstacksize(&attr, stack);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(out, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

/* In a thread of its own: whatever hangs the instance may hang this too. */
static void *ask_health(void *arg)
{
    struct dray_instance *in = arg;
    struct dray_err err = {0};
    int rc = in->desc->health(in->self, &err);
    bool recovered = false;
    pthread_mutex_lock(&in->lock);
    if (rc == 0 && in->state == DRAY_INSTANCE_SUSPECT) {
        dray_calls_forgive(in);
        in->state = DRAY_INSTANCE_READY;
        recovered = true;
    }
    pthread_mutex_unlock(&in->lock);
    if (recovered) {
        dray_info("%s: says that it is well; serves again", in->drivers[0].label);
        dray_instance_event(in, "recover");
    } else if (rc) {
        dray_warn("%s: health: %s", in->drivers[0].label, err.text);
    }
    pthread_mutex_lock(&in->lock);
    in->n_health--; /* the last touch: whoever closes the instance waits for it */
    pthread_cond_broadcast(&in->turn);
    pthread_mutex_unlock(&in->lock);
    return NULL;
}

/* lock is held. */
static bool health_due(struct dray_instance *in, uint64_t now)
{
    if (in->state != DRAY_INSTANCE_SUSPECT || !in->desc->health || in->n_health ||
        now < in->next_health_ns || !dray_calls_may_ask(in))
        return false;
    in->next_health_ns = now + HEALTH_EVERY_NS;
    in->n_health++;
    return true;
}

/* True when a call is under way. */
static bool look_at(struct dray_instance *in, uint64_t now)
{
    pthread_mutex_lock(&in->lock);
    bool busy = in->calls != NULL;
    bool suspect = dray_calls_check(in, now);
    bool ask = health_due(in, now);
    pthread_mutex_unlock(&in->lock);
    if (suspect)
        dray_instance_tell_suspect(in);
    pthread_t asker;
    if (ask && dray_watchdog_thread(&asker, ask_health, in, 0) == 0) {
        pthread_detach(asker);
    } else if (ask) {
        pthread_mutex_lock(&in->lock);
        in->n_health--;
        pthread_mutex_unlock(&in->lock);
    }
    return busy;
}

static bool look_at_all(struct dray_drivers *r)
{
    uint64_t now = dray_mono_ns();
    bool busy = false;
    for (struct dray_instance *in = r->instances; in; in = in->next)
        busy |= look_at(in, now);
    return busy;
}

static void *watch(void *arg)
{
    struct dray_drivers *r = arg;
    int idle = 0;
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        if (idle >= IDLE_TICKS) {
            atomic_store(&r->asleep, 1);
            pthread_mutex_unlock(&r->lock);
            /* A call that began before it saw the flag is found here. */
            bool busy = look_at_all(r);
            pthread_mutex_lock(&r->lock);
            while (!busy && !r->stop && atomic_load(&r->asleep))
                pthread_cond_wait(&r->wake, &r->lock);
            atomic_store(&r->asleep, 0);
            idle = 0;
            continue;
        }
        uint64_t until = dray_mono_ns() + TICK_NS;
        struct timespec ts = {.tv_sec = (time_t)(until / NS), .tv_nsec = (long)(until % NS)};
        (void)pthread_cond_clockwait(&r->wake, &r->lock, CLOCK_MONOTONIC, &ts);
        if (r->stop)
            break;
        pthread_mutex_unlock(&r->lock);
        idle = look_at_all(r) ? 0 : idle + 1;
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

void dray_watchdog_poke(struct dray_drivers *r)
{
    if (!atomic_load(&r->asleep))
        return;
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->asleep, 0);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

int dray_watchdog_start(struct dray_drivers *r)
{
    if (r->config.no_watchdog)
        return 0;
    int rc = dray_watchdog_thread(&r->watchdog, watch, r, STACK_SIZE);
    r->has_watchdog = rc == 0;
    return rc;
}

void dray_watchdog_stop(struct dray_drivers *r)
{
    if (!r->has_watchdog)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->watchdog, NULL);
    r->has_watchdog = false;
}
