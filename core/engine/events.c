/* SPDX-License-Identifier: Apache-2.0 */
/* events.c - the event bus: a ring of event texts, and readers that follow it at their own pace. */
#include "engine/events.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"

#include <pthread.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/eventfd.h>

#define RING_EVENTS 2048u
#define RING_BYTES ((size_t)1 << 20)

/* Kept as text: a tree of json-c is ten times as large and cannot be shared among threads. */
struct entry {
    int64_t at_ns;
    size_t len;
    char *text;
};

struct dray_event_reader {
    struct dray_events *bus;
    struct dray_event_reader *next;
    uint64_t pos; /* serial of the next event to hand out; bus->lock */
    int fd;       /* eventfd, readable while there is something to hand out */
    bool signaled;
};

struct dray_events {
    pthread_mutex_t lock; /* guards all below. order: last */
    pthread_cond_t changed;
    struct entry ring[RING_EVENTS];
    uint64_t first, next; /* serials: ring holds [first, next) */
    size_t bytes;
    struct dray_event_reader *readers;
    bool closing;
};

int dray_events_open(struct dray_events **out, struct dray_err *err)
{
    struct dray_events *ev = calloc(1, sizeof *ev);
    if (!ev)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_mutex_init(&ev->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&ev->changed, &attr);
    pthread_condattr_destroy(&attr);
    *out = ev;
    return 0;
}

/* lock held */
static void wake(struct dray_event_reader *r)
{
    if (!r->signaled && eventfd_write(r->fd, 1) == 0)
        r->signaled = true;
}

/* lock held */
static void wake_all(struct dray_events *ev)
{
    for (struct dray_event_reader *r = ev->readers; r; r = r->next)
        wake(r);
    pthread_cond_broadcast(&ev->changed);
}

void dray_events_close(struct dray_events *ev)
{
    if (!ev)
        return;
    pthread_mutex_lock(&ev->lock);
    ev->closing = true;
    wake_all(ev);
    while (ev->readers)
        pthread_cond_wait(&ev->changed, &ev->lock);
    pthread_mutex_unlock(&ev->lock);
    for (; ev->first < ev->next; ev->first++)
        free(ev->ring[ev->first % RING_EVENTS].text);
    pthread_cond_destroy(&ev->changed);
    pthread_mutex_destroy(&ev->lock);
    free(ev);
}

/* Containers and images had events before objects of other types, in a flat shape that is still
 * sent beside the new one. */
static void add_legacy(struct json_object *obj, const char *type, const char *action,
                       const char *actor_id, struct json_object *attrs)
{
    bool container = strcmp(type, "container") == 0;
    if (!container && strcmp(type, "image") != 0)
        return;
    dray_json_add_str(obj, "status", action);
    if (*actor_id)
        dray_json_add_str(obj, "id", actor_id);
    const char *from = container ? dray_json_str(attrs, "image", "") : "";
    if (*from)
        dray_json_add_str(obj, "from", from);
}

static char *event_text(const char *type, const char *action, const char *actor_id,
                        struct json_object *attrs /* takes */, int64_t now)
{
    dray_autojson *obj = json_object_new_object();
    struct json_object *actor = json_object_new_object();
    if (!attrs)
        attrs = json_object_new_object();
    if (!obj || !actor) {
        json_object_put(actor);
        json_object_put(attrs);
        return NULL;
    }
    add_legacy(obj, type, action, actor_id, attrs);
    dray_json_add_str(obj, "Type", type);
    dray_json_add_str(obj, "Action", action);
    dray_json_add_str(actor, "ID", actor_id);
    dray_json_add(actor, "Attributes", attrs);
    dray_json_add(obj, "Actor", actor);
    dray_json_add_str(obj, "scope", "local");
    dray_json_add_int(obj, "time", now / DRAY_NS_PER_S);
    dray_json_add_int(obj, "timeNano", now);
    const char *text = dray_json_text(obj);
    return text ? strdup(text) : NULL;
}

/* lock held */
static void drop_oldest(struct dray_events *ev)
{
    struct entry *e = &ev->ring[ev->first++ % RING_EVENTS];
    ev->bytes -= e->len;
    free(e->text);
    *e = (struct entry){0};
}

/* lock held; takes text */
static void append(struct dray_events *ev, char *text, int64_t at_ns)
{
    size_t len = strlen(text);
    while (ev->first < ev->next &&
           (ev->next - ev->first == RING_EVENTS || ev->bytes + len > RING_BYTES))
        drop_oldest(ev);
    ev->ring[ev->next++ % RING_EVENTS] = (struct entry){.at_ns = at_ns, .len = len, .text = text};
    ev->bytes += len;
}

void dray_events_emit(struct dray_events *ev, const char *type, const char *action,
                      const char *actor_id, struct json_object *attrs)
{
    if (!ev) {
        json_object_put(attrs);
        return;
    }
    int64_t now = dray_clock_now();
    char *text = event_text(type, action, actor_id ? actor_id : "", attrs, now);
    if (!text)
        return;
    pthread_mutex_lock(&ev->lock);
    append(ev, text, now);
    wake_all(ev);
    pthread_mutex_unlock(&ev->lock);
}

int dray_events_subscribe(struct dray_events *ev, int64_t since_ns, struct dray_event_reader **out,
                          struct dray_err *err)
{
    struct dray_event_reader *r = calloc(1, sizeof *r);
    if (!r)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    r->bus = ev;
    r->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->fd < 0) {
        free(r);
        return dray_fail_errno(err, "subscribe to events");
    }
    pthread_mutex_lock(&ev->lock);
    r->pos = ev->next;
    if (since_ns)
        for (r->pos = ev->first; r->pos < ev->next; r->pos++)
            if (ev->ring[r->pos % RING_EVENTS].at_ns >= since_ns)
                break;
    r->next = ev->readers;
    ev->readers = r;
    if (ev->closing || r->pos < ev->next)
        wake(r);
    pthread_mutex_unlock(&ev->lock);
    *out = r;
    return 0;
}

/* Wait, lock held, until there is something for r. */
static int wait_more(struct dray_event_reader *r, int64_t deadline_ns)
{
    struct dray_events *ev = r->bus;
    struct timespec until = {.tv_sec = deadline_ns / DRAY_NS_PER_S,
                             .tv_nsec = deadline_ns % DRAY_NS_PER_S};
    while (r->pos >= ev->next && !ev->closing) {
        if (!deadline_ns)
            pthread_cond_wait(&ev->changed, &ev->lock);
        else if (pthread_cond_timedwait(&ev->changed, &ev->lock, &until) == ETIMEDOUT &&
                 r->pos >= ev->next)
            return DRAY_E_TIMEOUT;
    }
    return 0;
}

/* lock held: the eventfd says whether another call would wait */
static void settle(struct dray_event_reader *r)
{
    eventfd_t drop = 0;
    if (r->signaled && r->pos >= r->bus->next && !r->bus->closing) {
        (void)eventfd_read(r->fd, &drop);
        r->signaled = false;
    }
}

int dray_events_next(struct dray_event_reader *r, int64_t deadline_ns, struct json_object **out)
{
    struct dray_events *ev = r->bus;
    dray_autofree char *text = NULL;
    pthread_mutex_lock(&ev->lock);
    if (r->pos < ev->first)
        r->pos = ev->first;
    int rc = wait_more(r, deadline_ns);
    if (r->pos < ev->first)
        r->pos = ev->first;
    if (!rc && r->pos < ev->next)
        text = strdup(ev->ring[r->pos++ % RING_EVENTS].text);
    else if (!rc)
        rc = DRAY_E_CANCELED;
    settle(r);
    pthread_mutex_unlock(&ev->lock);
    if (rc)
        return rc;
    return text ? dray_json_parse(text, strlen(text), out, NULL) : DRAY_E_NOMEM;
}

int dray_events_fd(const struct dray_event_reader *r)
{
    return r->fd;
}

uint64_t dray_events_total(struct dray_events *ev)
{
    pthread_mutex_lock(&ev->lock);
    uint64_t n = ev->next;
    pthread_mutex_unlock(&ev->lock);
    return n;
}

size_t dray_events_readers(struct dray_events *ev)
{
    size_t n = 0;
    pthread_mutex_lock(&ev->lock);
    for (const struct dray_event_reader *r = ev->readers; r; r = r->next)
        n++;
    pthread_mutex_unlock(&ev->lock);
    return n;
}

void dray_events_unsubscribe(struct dray_event_reader *r)
{
    if (!r)
        return;
    struct dray_events *ev = r->bus;
    pthread_mutex_lock(&ev->lock);
    for (struct dray_event_reader **p = &ev->readers; *p; p = &(*p)->next) {
        if (*p == r) {
            *p = r->next;
            break;
        }
    }
    pthread_cond_broadcast(&ev->changed);
    (void)close(r->fd);
    pthread_mutex_unlock(&ev->lock);
    free(r);
}
