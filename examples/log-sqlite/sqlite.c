/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite.c - a log driver: the lines of a container are rows of a table, the oldest of which go.
 *
 * The file log.sqlite lies in the container's folder and goes with it. The shim writes while the
 * daemon reads: SQLite's write-ahead log lets both do so at once.
 */
#include <dray/log.h>
#include <dray/plugin.h>
#include <dray/util.h>

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>

DRAY_PLUGIN_CARD("{\"name\":\"sqlite\",\"version\":\"1.0.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"log\"],\"license\":\"Apache-2.0\"}");

#define FILE_NAME "log.sqlite"
#define BUSY_MS 2000
#define LOOK_MS 100 /* how soon a follower sees what has been written */

/* A container whose output is being written. */
struct stream {
    struct stream *next;
    char *id;
    sqlite3 *db;
    sqlite3_stmt *insert, *trim;
    int64_t max_rows;
};

struct dray_self {
    const struct dray_host *host;
    pthread_mutex_t lock; /* guards: streams and what they hold. order: alone */
    struct stream *streams;
};

static int fail_sql(struct dray_err *err, sqlite3 *db, const char *what, const char *id)
{
    int code = sqlite3_errcode(db) == SQLITE_FULL ? DRAY_E_NOSPACE : DRAY_E_IO;
    return dray_fail(err, code, "sqlite: %s of %s: %s", what, id, sqlite3_errmsg(db));
}

/* --- options -----------------------------------------------------------------------------------*/

/* --log-opt max-rows; 0 when it is not given. */
static int read_options(struct dray_kvs options, int64_t *rows_out, struct dray_err *err)
{
    *rows_out = 0;
    for (uint64_t i = 0; i < options.n; i++) {
        const struct dray_kv *o = &options.v[i];
        if (strcmp(o->key, "max-rows") != 0)
            return dray_fail(err, DRAY_E_INVAL, "unknown log opt '%s' for sqlite log driver",
                             o->key);
        char *end = NULL;
        *rows_out = strtoll(o->value, &end, 10);
        if (*end || *rows_out < 1 || *rows_out > INT_MAX)
            return dray_fail(err, DRAY_E_INVAL, "max-rows must be a positive number, not \"%s\"",
                             o->value);
    }
    return 0;
}

static int32_t validate(struct dray_self *self, const struct dray_call *call,
                        struct dray_kvs options, struct dray_err *err)
{
    int64_t rows = 0;
    (void)self, (void)call;
    return read_options(options, &rows, err);
}

/* --- writing, in the shim ----------------------------------------------------------------------*/

static struct stream **find(struct dray_self *self, const char *id)
{
    struct stream **at = &self->streams;
    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

static void free_stream(struct stream *s)
{
    (void)sqlite3_finalize(s->insert);
    (void)sqlite3_finalize(s->trim);
    (void)sqlite3_close(s->db);
    free(s->id);
    free(s);
}

static int open_stream(struct stream *s, const char *path, struct dray_err *err)
{
    static const char schema[] =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        "CREATE TABLE IF NOT EXISTS line(n INTEGER PRIMARY KEY AUTOINCREMENT,"
        " time INTEGER, stream INTEGER, flags INTEGER, data BLOB)";
    static const char insert[] = "INSERT INTO line(time, stream, flags, data) VALUES(?, ?, ?, ?)";
    static const char trim[] = "DELETE FROM line WHERE n <= (SELECT max(n) FROM line) - ?";
    if (sqlite3_open(path, &s->db) != SQLITE_OK ||
        sqlite3_busy_timeout(s->db, BUSY_MS) != SQLITE_OK ||
        sqlite3_exec(s->db, schema, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(s->db, insert, -1, &s->insert, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(s->db, trim, -1, &s->trim, NULL) != SQLITE_OK)
        return fail_sql(err, s->db, "open log", s->id);
    return 0;
}

static int32_t open_log(struct dray_self *self, const struct dray_call *call,
                        const struct dray_log_info *info, struct dray_err *err)
{
    int64_t rows = 0;
    int rc = read_options(info->options, &rows, err);
    if (rc)
        return rc;
    const char *path = dray_call_printf(self->host, call, "%s/" FILE_NAME, info->dir);
    struct stream *s = calloc(1, sizeof *s);
    if (!path || !s || !(s->id = strdup(info->container_id))) {
        free(s);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    s->max_rows = rows ? rows : self->host->opt_int(self->host, "max-rows");
    pthread_mutex_lock(&self->lock);
    struct stream **at = find(self, s->id);
    rc = *at ? 0 : open_stream(s, path, err);
    if (!*at && !rc)
        *at = dray_steal(s);
    pthread_mutex_unlock(&self->lock);
    if (s)
        free_stream(s);
    return rc;
}

static bool put_record(struct stream *s, const struct dray_log_record *r)
{
    (void)sqlite3_bind_int64(s->insert, 1, r->time_ns);
    (void)sqlite3_bind_int(s->insert, 2, r->stream);
    (void)sqlite3_bind_int(s->insert, 3, r->flags);
    (void)sqlite3_bind_blob(s->insert, 4, r->len ? r->data : "", (int)r->len, SQLITE_STATIC);
    bool ok = sqlite3_step(s->insert) == SQLITE_DONE;
    (void)sqlite3_reset(s->insert);
    return ok;
}

static bool trim_rows(struct stream *s)
{
    (void)sqlite3_bind_int64(s->trim, 1, s->max_rows);
    bool ok = sqlite3_step(s->trim) == SQLITE_DONE;
    (void)sqlite3_reset(s->trim);
    return ok;
}

/* A batch is one transaction: all of it is there, or nothing. */
static int write_batch(struct stream *s, const struct dray_log_record *records, uint64_t n,
                       struct dray_err *err)
{
    bool ok = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    for (uint64_t i = 0; ok && i < n; i++)
        ok = put_record(s, &records[i]);
    if (ok && trim_rows(s) && sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    int rc = fail_sql(err, s->db, "write log", s->id);
    (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

static int32_t write_log(struct dray_self *self, const struct dray_call *call, const char *id,
                         const struct dray_log_record *records, uint64_t n, struct dray_err *err)
{
    (void)call;
    pthread_mutex_lock(&self->lock);
    struct stream *s = *find(self, id);
    int rc = s ? write_batch(s, records, n, err)
               : dray_fail(err, DRAY_E_NOTFOUND, "sqlite: no stream %s", id);
    pthread_mutex_unlock(&self->lock);
    return rc;
}

static int32_t close_log(struct dray_self *self, const struct dray_call *call, const char *id,
                         struct dray_err *err)
{
    (void)call, (void)err;
    pthread_mutex_lock(&self->lock);
    struct stream **at = find(self, id);
    struct stream *s = *at;
    if (s)
        *at = s->next;
    pthread_mutex_unlock(&self->lock);
    if (s)
        free_stream(s);
    return 0;
}

/* --- reading, in the daemon --------------------------------------------------------------------*/

/* One reader: what is asked for and how far it has come. */
struct reader {
    sqlite3 *db;
    const char *id;
    const struct dray_log_query *query;
    int out;
    int64_t at;  /* row that was looked at last */
    bool past;   /* until_ns has been passed */
    bool broken; /* nobody reads any more */
};

static int wants(const struct reader *r, int stream)
{
    uint32_t bit = stream == DRAY_LOG_STDERR ? DRAY_LOGQ_STDERR : DRAY_LOGQ_STDOUT;
    return (r->query->flags & bit) != 0;
}

/* Go to the row before the last `tail` lines that fit. Only the end of a line in pieces counts. */
static int skip_to_tail(struct reader *r, struct dray_err *err)
{
    static const char sql[] =
        "SELECT n FROM line WHERE time >= ?1 AND (?2 = 0 OR time <= ?2) AND NOT flags & 1"
        " AND (stream = 1 AND ?3 OR stream = 2 AND ?4) ORDER BY n DESC LIMIT 1 OFFSET ?5";
    sqlite3_stmt *st = NULL;
    if (r->query->tail < 0)
        return 0;
    if (sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) != SQLITE_OK)
        return fail_sql(err, r->db, "read log", r->id);
    (void)sqlite3_bind_int64(st, 1, r->query->since_ns);
    (void)sqlite3_bind_int64(st, 2, r->query->until_ns);
    (void)sqlite3_bind_int(st, 3, wants(r, DRAY_LOG_STDOUT));
    (void)sqlite3_bind_int(st, 4, wants(r, DRAY_LOG_STDERR));
    (void)sqlite3_bind_int64(st, 5, r->query->tail);
    if (sqlite3_step(st) == SQLITE_ROW)
        r->at = sqlite3_column_int64(st, 0);
    return sqlite3_finalize(st) == SQLITE_OK ? 0 : fail_sql(err, r->db, "read log", r->id);
}

static bool write_all(int fd, const void *data, size_t n)
{
    for (const char *p = data; n;) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static void give_row(struct reader *r, sqlite3_stmt *row)
{
    const struct dray_log_frame f = {
        .time_ns = sqlite3_column_int64(row, 1),
        .len = (uint32_t)sqlite3_column_bytes(row, 4),
        .stream = (uint8_t)sqlite3_column_int(row, 2),
        .flags = (uint8_t)sqlite3_column_int(row, 3),
    };
    r->at = sqlite3_column_int64(row, 0);
    r->past = r->query->until_ns && f.time_ns > r->query->until_ns;
    if (r->past || f.time_ns < r->query->since_ns || !wants(r, f.stream))
        return;
    r->broken =
        !write_all(r->out, &f, sizeof f) || !write_all(r->out, sqlite3_column_blob(row, 4), f.len);
}

/* All that has been written since the last look. */
static int give_rows(struct reader *r, struct dray_err *err)
{
    static const char sql[] =
        "SELECT n, time, stream, flags, data FROM line WHERE n > ? ORDER BY n";
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(r->db, sql, -1, &st, NULL) != SQLITE_OK)
        return fail_sql(err, r->db, "read log", r->id);
    (void)sqlite3_bind_int64(st, 1, r->at);
    while (!r->past && !r->broken && sqlite3_step(st) == SQLITE_ROW)
        give_row(r, st);
    return sqlite3_finalize(st) == SQLITE_OK ? 0 : fail_sql(err, r->db, "read log", r->id);
}

/* Wait for a moment. Nonzero: the caller has gone. *ended_out: nothing more will be written. */
static bool wait_for_more(const struct reader *r, const struct dray_call *call, bool *ended_out)
{
    struct pollfd p[] = {
        {r->query->ended.fd, POLLIN, 0}, {call->cancel_fd, POLLIN, 0}, {r->out, 0, 0}};
    (void)poll(p, 3, LOOK_MS);
    *ended_out = p[0].revents != 0;
    return p[1].revents || p[2].revents;
}

static int give_all(struct reader *r, const struct dray_call *call, struct dray_err *err)
{
    bool ended = !(r->query->flags & DRAY_LOGQ_FOLLOW) || r->query->ended.fd < 0;
    int rc = skip_to_tail(r, err);
    for (bool last = false; !rc && !last;) {
        last = ended; /* one more look after the end */
        rc = give_rows(r, err);
        if (r->past || r->broken || (!last && wait_for_more(r, call, &ended)))
            break;
    }
    return rc;
}

static int32_t read_log(struct dray_self *self, const struct dray_call *call,
                        const struct dray_log_info *info, const struct dray_log_query *query,
                        struct dray_fd_borrow out, struct dray_err *err)
{
    struct reader r = {.id = info->container_id, .query = query, .out = out.fd};
    const char *path = dray_call_printf(self->host, call, "%s/" FILE_NAME, info->dir);
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (access(path, F_OK) != 0)
        return 0; /* it has never run */
    int rc = sqlite3_open_v2(path, &r.db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
                     sqlite3_busy_timeout(r.db, BUSY_MS) == SQLITE_OK
                 ? give_all(&r, call, err)
                 : fail_sql(err, r.db, "open log", r.id);
    (void)sqlite3_close(r.db);
    return rc;
}

/* --- the plugin --------------------------------------------------------------------------------*/

/* PARALLEL: a follower would keep everybody else out. */
static const struct dray_log_ops ops = {
    .head = DRAY_TABLE(struct dray_log_ops, DRAY_LOG_F_READ | DRAY_LOG_F_LOCAL),
    .open = open_log,
    .write = write_log,
    .close = close_log,
    .read = read_log,
    .validate = validate,
};

static int32_t open_instance(const struct dray_host *host, const char *instance,
                             struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    pthread_mutex_init(&self->lock, NULL);
    *out = self;
    return 0;
}

static void close_instance(struct dray_self *self)
{
    while (self->streams)
        (void)close_log(self, NULL, self->streams->id, NULL);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static const struct dray_option options[] = {
    {.name = "max-rows",
     .type = DRAY_OPT_INT,
     .def = "100000",
     .min = 1,
     .max = INT_MAX,
     .help = "lines that are kept of a container; --log-opt goes first"},
};

static const struct dray_iface ifaces[] = {
    {DRAY_KIND_LOG, DRAY_THREAD_PARALLEL, &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "sqlite",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = open_instance,
    .close = close_instance,
};
