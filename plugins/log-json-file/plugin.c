/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the log driver "json-file": Docker's format and options, rotated by default. */
#include <dray/log.h>
#include <dray/plugin.h>
#include <dray/util.h>

#include "json_line.h"
#include "log_files.h"
#include "log_options.h"
#include "log_read.h"

#include <pthread.h>
#include <sys/queue.h>

DRAY_PLUGIN_CARD("{\"name\":\"json-file\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"log\"],\"license\":\"Apache-2.0\"}");

/* Lines are gathered up to this many bytes and written at once. */
#define GATHER ((size_t)128 << 10)

/* One container's log, open for writing. */
struct stream {
    LIST_ENTRY(stream) link;
    char *id;
    char *attrs; /* `"attrs":{...},` or "" */
    size_t attrs_len;
    struct dray_log_writer writer;
};

struct dray_self {
    const struct dray_host *host;
    pthread_mutex_t lock; /* guards: streams. order: leaf */
    LIST_HEAD(, stream) streams;
};

static const struct dray_option options[] = {
    {.name = "max-size",
     .type = DRAY_OPT_STRING,
     .def = "10m",
     .help = "size at which a log is rotated, -1 for no limit; --log-opt max-size goes first"},
    {.name = "max-file",
     .type = DRAY_OPT_INT,
     .def = "3",
     .min = 1,
     .max = 1000,
     .help = "files kept of a log, the current one included"},
    {.name = "compress", .type = DRAY_OPT_BOOL, .def = "false", .help = "compress rotated files"},
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
    if (!size || !dray_log_size_parse(size, &keep->max_size) || keep->max_size == 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid max-size '%s'", size ? size : "");
    return dray_log_options_read("json-file", opts, keep, err);
}

static void stream_free(struct stream *s)
{
    dray_log_writer_close(&s->writer);
    free(s->attrs);
    free(s->id);
    free(s);
}

static struct stream *find(struct dray_self *self, const char *id)
{
    struct stream *s;
    pthread_mutex_lock(&self->lock);
    LIST_FOREACH(s, &self->streams, link)
    if (strcmp(s->id, id) == 0)
        break;
    pthread_mutex_unlock(&self->lock);
    return s;
}

static char *put_string(char *p, const char *text)
{
    *p++ = '"';
    p = json_escape(p, (const unsigned char *)text, strlen(text));
    *p++ = '"';
    return p;
}

static int make_attrs(struct stream *s, const struct dray_log_info *info, struct dray_err *err)
{
    struct dray_log_attrs a;
    int rc = dray_log_attrs_read(info, &a, err);
    if (rc)
        return rc;
    size_t room = 16;
    for (size_t i = 0; i < a.n; i++)
        room += JSON_ESCAPED_MAX(strlen(a.v[i].key) + strlen(a.v[i].value)) + 8;
    char *p = s->attrs = malloc(room);
    if (p && a.n) {
        p = stpcpy(p, "\"attrs\":{");
        for (size_t i = 0; i < a.n; i++) {
            if (i)
                *p++ = ',';
            p = put_string(p, a.v[i].key);
            *p++ = ':';
            p = put_string(p, a.v[i].value);
        }
        p = stpcpy(p, "},");
    }
    dray_log_attrs_free(&a);
    if (!p)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->attrs_len = (size_t)(p - s->attrs);
    return 0;
}

static char *file_name(const char *id)
{
    char *name = NULL;
    return asprintf(&name, "%s-json.log", id) < 0 ? NULL : name;
}

/* A crash may have cut the last line: what follows must not be glued to it. */
static int mend(struct dray_log_writer *w, struct dray_err *err)
{
    char last = '\n';
    if (w->size > 0 && pread(w->fd, &last, 1, w->size - 1) == 1 && last != '\n')
        return dray_log_writer_add(w, "\n", 1, err);
    return 0;
}

static int32_t log_open(struct dray_self *self, const struct dray_call *call,
                        const struct dray_log_info *info, struct dray_err *err)
{
    (void)call;
    if (find(self, info->container_id))
        return 0;
    struct dray_log_keep keep;
    int rc = read_keep(self, info->options, &keep, err);
    if (rc)
        return rc;
    struct stream *s = calloc(1, sizeof *s);
    dray_autofree char *name = file_name(info->container_id);
    if (!s || !name) {
        free(s);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    s->writer.fd = s->writer.dirfd = -EBADF;
    s->id = strdup(info->container_id);
    rc = make_attrs(s, info, err);
    if (!rc)
        rc = dray_log_writer_open(&s->writer, info->dir, name, &keep, err);
    if (!rc)
        rc = mend(&s->writer, err);
    if (rc) {
        stream_free(s);
        return rc;
    }
    pthread_mutex_lock(&self->lock);
    LIST_INSERT_HEAD(&self->streams, s, link);
    pthread_mutex_unlock(&self->lock);
    return 0;
}

static int32_t log_write(struct dray_self *self, const struct dray_call *call, const char *id,
                         const struct dray_log_record *records, uint64_t n, struct dray_err *err)
{
    (void)call;
    struct stream *s = find(self, id);
    if (!s)
        return dray_fail(err, DRAY_E_NOTFOUND, "log of container %.12s is not open", id);
    size_t longest = 0;
    for (uint64_t i = 0; i < n; i++)
        longest = records[i].len > longest ? records[i].len : longest;
    longest = JSON_ESCAPED_MAX(longest) + s->attrs_len + JSON_LINE_ROOM;
    dray_autofree char *buf = malloc(GATHER + longest);
    if (!buf)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct json_tail tail = {.time_len = 0};
    char *p = buf;
    int rc = 0;
    for (uint64_t i = 0; i < n && !rc; i++) {
        p = json_line_write(p, &records[i], s->attrs, s->attrs_len, &tail);
        size_t held = (size_t)(p - buf);
        if (i + 1 < n && held < GATHER && !dray_log_writer_full(&s->writer, held))
            continue;
        rc = dray_log_writer_add(&s->writer, buf, held, err);
        p = buf;
    }
    return rc;
}

static int32_t log_close(struct dray_self *self, const struct dray_call *call, const char *id,
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

static int32_t log_read(struct dray_self *self, const struct dray_call *call,
                        const struct dray_log_info *info, const struct dray_log_query *query,
                        struct dray_fd_borrow out, struct dray_err *err)
{
    (void)self;
    dray_autofree char *name = file_name(info->container_id);
    if (!name)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct json_scanner scanner = {0};
    struct dray_log_source source = {
        .format = &json_line_format, .state = &scanner, .dir = info->dir, .name = name};
    int rc = dray_log_read(&source, query, call, out.fd, err);
    json_scanner_fini(&scanner);
    return rc;
}

static int32_t log_validate(struct dray_self *self, const struct dray_call *call,
                            struct dray_kvs opts, struct dray_err *err)
{
    (void)call;
    struct dray_log_keep keep;
    int rc = read_keep(self, opts, &keep, err);
    const char *tag = dray_kvs_get(opts, "tag", "");
    if (rc || !*tag)
        return rc;
    struct dray_log_info nobody = {.container_id = "", .image_id = ""};
    dray_autofree char *text = dray_log_tag(tag, &nobody, err);
    return text ? 0 : DRAY_E_INVAL;
}

static int32_t plugin_open(const struct dray_host *host, const char *instance,
                           struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    pthread_mutex_init(&self->lock, NULL);
    LIST_INIT(&self->streams);
    *out = self;
    return 0;
}

static void plugin_close(struct dray_self *self)
{
    while (!LIST_EMPTY(&self->streams)) {
        struct stream *s = LIST_FIRST(&self->streams);
        LIST_REMOVE(s, link);
        stream_free(s);
    }
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static const struct dray_log_ops ops = {
    .head = DRAY_TABLE(struct dray_log_ops, DRAY_LOG_F_READ),
    .open = log_open,
    .write = log_write,
    .close = log_close,
    .read = log_read,
    .validate = log_validate,
};

/* Reads of one container run beside each other and beside its writer in another process. */
static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_LOG, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "json-file",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = plugin_open,
    .close = plugin_close,
};
