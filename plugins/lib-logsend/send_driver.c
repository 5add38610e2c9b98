/* SPDX-License-Identifier: Apache-2.0 */
/* send_driver.c - the operations of a log driver that sends records away. */
#include "send_driver.h"

#include <pthread.h>
#include <sys/queue.h>
#include <sys/random.h>

/* Records handed to a driver at once. */
#define BATCH 64

/* A line of which only pieces have come so far. */
struct parts {
    bool going;
    unsigned ordinal;
    char id[DRAY_SEND_PART_ID];
};

/* One container's output. */
struct stream {
    LIST_ENTRY(stream) link;
    char *id;
    void *own; /* the driver's */
    struct parts parts[2];
};

struct dray_self {
    const struct dray_send_driver *driver;
    const struct dray_host *host;
    pthread_mutex_t lock; /* guards: streams. order: leaf */
    LIST_HEAD(streams, stream) streams;
};

static struct stream *find(struct dray_self *self, const char *id)
{
    struct stream *s = NULL;
    pthread_mutex_lock(&self->lock);
    LIST_FOREACH(s, &self->streams, link)
    if (strcmp(s->id, id) == 0)
        break;
    pthread_mutex_unlock(&self->lock);
    return s;
}

static int add(struct dray_self *self, const char *id, void *own, struct dray_err *err)
{
    struct stream *s = calloc(1, sizeof *s);
    char *copy = strdup(id);
    if (!s || !copy) {
        free(s);
        free(copy);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    s->id = copy;
    s->own = own;
    pthread_mutex_lock(&self->lock);
    LIST_INSERT_HEAD(&self->streams, s, link);
    pthread_mutex_unlock(&self->lock);
    return 0;
}

static void stream_free(struct dray_self *self, struct stream *s)
{
    self->driver->close(s->own);
    free(s->id);
    free(s);
}

/* Options. */

static bool known(const struct dray_send_driver *d, const char *key)
{
    for (const char *const *k = d->keys; *k; k++)
        if (strcmp(*k, key) == 0)
            return true;
    return dray_log_attrs_key(key);
}

/* A driver's own checks come first where Docker's do. */
int32_t dray_send_driver_validate(struct dray_self *self, const struct dray_call *call,
                                  struct dray_kvs options, struct dray_err *err)
{
    (void)call;
    const struct dray_send_driver *d = self->driver;
    for (uint64_t i = 0; i < options.n; i++) {
        const char *key = options.v[i].key;
        if (!known(d, key))
            return dray_fail(err, DRAY_E_INVAL, "unknown log opt %c%s%c for %s log driver",
                             d->quote, key, d->quote, d->name);
    }
    int rc = dray_log_attrs_check(options, err);
    return rc || !d->check ? rc : d->check(options, err);
}

/* Operations. */

static void opening_cleanup(struct dray_send_opening *o)
{
    dray_log_attrs_free(&o->attrs);
    free(o->tag);
}

int32_t dray_send_driver_open(struct dray_self *self, const struct dray_call *call,
                              const struct dray_log_info *info, struct dray_err *err)
{
    if (find(self, info->container_id))
        return 0;
    __attribute__((cleanup(opening_cleanup))) struct dray_send_opening o = {
        .host = self->host,
        .info = info,
        .wait = {.deadline_ns = call->deadline_ns, .cancel_fd = call->cancel_fd},
    };
    int rc = dray_send_driver_validate(self, call, info->options, err);
    if (!rc)
        rc = dray_log_attrs_read(info, &o.attrs, err);
    if (rc)
        return rc;
    const char *tag = dray_kvs_get(info->options, "tag", "");
    o.tag = dray_log_tag(*tag ? tag : "{{.ID}}", info, err);
    void *own = NULL;
    rc = o.tag ? self->driver->open(&o, &own, err) : DRAY_E_INVAL;
    if (!rc && (rc = add(self, info->container_id, own, err)) != 0)
        self->driver->close(own);
    return rc;
}

static void new_part_id(char id[DRAY_SEND_PART_ID])
{
    uint8_t bytes[(DRAY_SEND_PART_ID - 1) / 2] = {0};
    if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) < 0) {
        /* zeros are as good as an id that nobody needs to guess */
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

static struct dray_send_item item_of(struct stream *s, const struct dray_log_record *r)
{
    struct parts *p = &s->parts[r->stream == DRAY_LOG_STDERR];
    bool goes_on = (r->flags & DRAY_LOG_PARTIAL) != 0;
    struct dray_send_item it = {.r = r, .part = p->going || goes_on, .last = !goes_on};
    if (!it.part)
        return it;
    if (!p->going) {
        p->ordinal = 0;
        new_part_id(p->id);
    }
    p->going = goes_on;
    it.ordinal = ++p->ordinal;
    it.part_id = p->id;
    return it;
}

int32_t dray_send_driver_write(struct dray_self *self, const struct dray_call *call, const char *id,
                               const struct dray_log_record *records, uint64_t n,
                               struct dray_err *err)
{
    struct stream *s = find(self, id);
    if (!s)
        return dray_fail(err, DRAY_E_NOTFOUND, "log of container %.12s is not open", id);
    const struct dray_send_wait wait = {.deadline_ns = call->deadline_ns,
                                        .cancel_fd = call->cancel_fd};
    struct dray_send_item items[BATCH];
    int failed = 0;
    size_t held = 0;
    for (uint64_t i = 0; i < n; i++) {
        items[held++] = item_of(s, &records[i]);
        /* A part's id is that of its stream: it must not change before it is sent. */
        bool ends = i + 1 == n || held == BATCH || (items[held - 1].part && items[held - 1].last);
        if (!ends)
            continue;
        int rc = self->driver->send(s->own, items, held, &wait, failed ? NULL : err);
        failed = failed ? failed : rc;
        held = 0;
    }
    return failed;
}

int32_t dray_send_driver_close(struct dray_self *self, const struct dray_call *call, const char *id,
                               struct dray_err *err)
{
    (void)call;
    (void)err;
    struct stream *s = find(self, id);
    if (!s)
        return 0;
    pthread_mutex_lock(&self->lock);
    LIST_REMOVE(s, link);
    pthread_mutex_unlock(&self->lock);
    stream_free(self, s);
    return 0;
}

int32_t dray_send_driver_new(const struct dray_send_driver *driver, const struct dray_host *host,
                             struct dray_self **out, struct dray_err *err)
{
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->driver = driver;
    self->host = host;
    pthread_mutex_init(&self->lock, NULL);
    LIST_INIT(&self->streams);
    *out = self;
    return 0;
}

void dray_send_driver_free(struct dray_self *self)
{
    while (!LIST_EMPTY(&self->streams)) {
        struct stream *s = LIST_FIRST(&self->streams);
        LIST_REMOVE(s, link);
        stream_free(self, s);
    }
    pthread_mutex_destroy(&self->lock);
    free(self);
}
