/* SPDX-License-Identifier: Apache-2.0 */
/* log_driver.c - the operations of a log driver that keeps files. */
#include "log_driver.h"

#include <pthread.h>
#include <sys/queue.h>

/* Records are gathered up to this many bytes and written at once. */
#define GATHER ((size_t)128 << 10)

/* One container's log, open for writing. */
struct stream {
    LIST_ENTRY(stream) link;
    char *id;
    struct dray_log_prefix prefix;
    struct dray_log_writer writer;
};

struct dray_self {
    const struct dray_log_driver *driver;
    const struct dray_host *host;
    pthread_mutex_t lock; /* guards: streams. order: leaf */
    LIST_HEAD(streams, stream) streams;
};

/* What the options of a container say, on top of the driver's own. */
static int read_keep(struct dray_self *self, struct dray_kvs opts, struct dray_log_keep *keep,
                     struct dray_err *err)
{
    const char *size = self->host->opt_str(self->host, "max-size");
    *keep = (struct dray_log_keep){
        .max_files = self->host->opt_int(self->host, "max-file"),
        .compress = self->host->opt_int(self->host, "compress") != 0,
    };
    if (!size || !dray_log_size_parse(size, DRAY_LOG_DECIMAL, &keep->max_size) ||
        keep->max_size == 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid max-size '%s'", size ? size : "");
    return dray_log_options_read(self->driver->title, self->driver->attrs, opts, keep, err);
}

static void stream_free(struct stream *s)
{
    dray_log_writer_close(&s->writer);
    free(s->prefix.data);
    free(s->id);
    free(s);
}

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

static int read_prefix(struct dray_self *self, const struct dray_log_info *info,
                       struct dray_log_prefix *out, struct dray_err *err)
{
    struct dray_log_attrs attrs;
    int rc = dray_log_attrs_read(info, &attrs, err);
    if (rc)
        return rc;
    const char *template = dray_kvs_get(info->options, "tag", "");
    if (*template) {
        dray_autofree char *tag = dray_log_tag(template, info, err);
        rc = tag ? dray_log_attrs_add(&attrs, "tag", tag, err) : DRAY_E_INVAL;
    }
    if (!rc && self->driver->prefix(&attrs, out) != 0)
        rc = dray_fail(err, DRAY_E_LIMIT, "the attributes of the log cannot be kept");
    dray_log_attrs_free(&attrs);
    return rc;
}

static int stream_open(struct dray_self *self, const struct dray_log_info *info, struct stream *s,
                       struct dray_err *err)
{
    struct dray_log_keep keep;
    dray_autofree char *dir = NULL;
    dray_autofree char *file = NULL;
    int rc = read_keep(self, info->options, &keep, err);
    if (!rc)
        rc = read_prefix(self, info, &s->prefix, err);
    if (!rc && (!(s->id = strdup(info->container_id)) || self->driver->place(info, &dir, &file)))
        rc = dray_fail_errno(err, "log of container %.12s", info->container_id);
    if (!rc)
        rc = dray_log_writer_open(&s->writer, dir, file, &keep, err);
    return rc ? rc : self->driver->mend(&s->writer, err);
}

int32_t dray_log_driver_open(struct dray_self *self, const struct dray_call *call,
                             const struct dray_log_info *info, struct dray_err *err)
{
    (void)call;
    if (find(self, info->container_id))
        return 0;
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->writer.fd = s->writer.dirfd = -EBADF;
    int rc = stream_open(self, info, s, err);
    if (rc) {
        stream_free(s);
        return rc;
    }
    pthread_mutex_lock(&self->lock);
    LIST_INSERT_HEAD(&self->streams, s, link);
    pthread_mutex_unlock(&self->lock);
    return 0;
}

int32_t dray_log_driver_write(struct dray_self *self, const struct dray_call *call, const char *id,
                              const struct dray_log_record *records, uint64_t n,
                              struct dray_err *err)
{
    (void)call;
    const struct dray_log_driver *d = self->driver;
    struct stream *s = find(self, id);
    if (!s)
        return dray_fail(err, DRAY_E_NOTFOUND, "log of container %.12s is not open", id);
    size_t longest = 0;
    for (uint64_t i = 0; i < n; i++)
        longest = records[i].len > longest ? records[i].len : longest;
    dray_autofree char *buf = malloc(GATHER + d->room(&s->prefix, longest));
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    _Alignas(16) char batch[DRAY_LOG_BATCH_STATE] = {0};
    char *p = buf;
    int rc = 0;
    for (uint64_t i = 0; i < n && !rc; i++) {
        p = d->encode(p, &records[i], &s->prefix, batch);
        size_t held = (size_t)(p - buf);
        if (i + 1 < n && held < GATHER && !dray_log_writer_full(&s->writer, held))
            continue;
        rc = dray_log_writer_add(&s->writer, buf, held, err);
        p = buf;
    }
    return rc;
}

int32_t dray_log_driver_close(struct dray_self *self, const struct dray_call *call, const char *id,
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
    stream_free(s);
    return 0;
}

int32_t dray_log_driver_read(struct dray_self *self, const struct dray_call *call,
                             const struct dray_log_info *info, const struct dray_log_query *query,
                             struct dray_fd_borrow out, struct dray_err *err)
{
    dray_autofree char *dir = NULL;
    dray_autofree char *file = NULL;
    if (self->driver->place(info, &dir, &file))
        return dray_fail_errno(err, "log of container %.12s", info->container_id);
    void *state = calloc(1, self->driver->state_size + 1);
    if (!state)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct dray_log_source source = {
        .format = self->driver->format, .state = state, .dir = dir, .name = file};
    int rc = dray_log_read(&source, query, call, out.fd, err);
    if (self->driver->state_fini)
        self->driver->state_fini(state);
    free(state);
    return rc;
}

int32_t dray_log_driver_validate(struct dray_self *self, const struct dray_call *call,
                                 struct dray_kvs opts, struct dray_err *err)
{
    (void)call;
    struct dray_log_keep keep;
    return read_keep(self, opts, &keep, err);
}

int32_t dray_log_driver_new(const struct dray_log_driver *driver, const struct dray_host *host,
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

void dray_log_driver_free(struct dray_self *self)
{
    while (!LIST_EMPTY(&self->streams)) {
        struct stream *s = LIST_FIRST(&self->streams);
        LIST_REMOVE(s, link);
        stream_free(s);
    }
    pthread_mutex_destroy(&self->lock);
    free(self);
}
