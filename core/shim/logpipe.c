/* SPDX-License-Identifier: Apache-2.0 */
/* logpipe.c - splits the container's output into lines and hands them to the log drivers. */
#include "shim/shim.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/logging.h"
#include "shim/logring.h"
#include "shim/protocol.h"

#include <stdatomic.h>
#include <sys/eventfd.h>

#define DRAY_LOG_AREA "log"

/* Longest piece of a line, as Docker's. */
#define PIECE ((size_t)16 << 10)
#define BATCH 256
#define RING_DEFAULT (1 << 20)
/* How long a driver of this machine may take for the last lines before the container's end is told.
 * Others are not waited for: their peers may be gone. */
#define END_MS 2000

/* The beginning of a line that has not ended yet. */
struct line {
    char *held; /* PIECE bytes while len > 0 */
    size_t len;
    int64_t time_ns; /* of the first piece, while partial */
    bool partial;    /* pieces of this line have been written */
};

struct shim_logpipe {
    struct shim *shim;
    struct dray_driver *driver; /* the container's own */
    struct dray_driver *cache;  /* the one that logs are read from; NULL: the container's own, or
                                   none */
    bool local;                 /* the container's own waits for nothing but files */
    bool direct;                /* it is written to at once, unless lines may be dropped */
    struct shim_logring *ring;  /* to the container's own; NULL: written at once */
    struct shim_watch room;     /* the ring has room again; -EBADF when lines may be dropped */
    struct line lines[2];
    _Atomic uint64_t failures;
};

/* Writing. */

static void write_to(struct shim_logpipe *l, struct dray_driver *d,
                     const struct dray_log_record *records, size_t n)
{
    struct dray_err err = {0};
    int rc = dray_driver_call(d, log, DRAY_CLASS_DATA, &err, write, l->shim->id, records, n);
    if (rc && atomic_fetch_add(&l->failures, 1) == 0)
        dray_warn("container %.12s: driver %s loses output: %s", l->shim->id, dray_driver_name(d),
                  err.text);
}

/* Runs on the ring's thread. */
static void write_late(void *ctx, const struct dray_log_record *records, size_t n)
{
    struct shim_logpipe *l = ctx;
    write_to(l, l->driver, records, n);
}

static void put(struct shim_logpipe *l, const struct dray_log_record *records, size_t n)
{
    if (n == 0)
        return;
    if (l->cache)
        write_to(l, l->cache, records, n);
    if (l->ring)
        shim_logring_add(l->ring, records, n);
    else
        write_to(l, l->driver, records, n);
}

/* Splitting. */

struct splitter {
    struct shim_logpipe *log;
    struct line *line;
    uint8_t stream;
    int64_t now;
    size_t n;
    struct dray_log_record batch[BATCH];
};

static void emit(struct splitter *s, const char *data, size_t len, bool ended)
{
    struct line *line = s->line;
    if (!line->partial)
        line->time_ns = s->now;
    s->batch[s->n++] = (struct dray_log_record){
        .time_ns = line->time_ns,
        .data = data,
        .len = (uint32_t)len,
        .stream = s->stream,
        .flags = ended ? 0 : DRAY_LOG_PARTIAL,
    };
    line->partial = !ended;
    if (s->n == BATCH) {
        put(s->log, s->batch, s->n);
        s->n = 0;
    }
}

static void hold(struct line *line, const char *data, size_t n)
{
    if (!line->held && !(line->held = malloc(PIECE)))
        abort();
    memcpy(line->held + line->len, data, n);
    line->len += n;
}

static void release(struct line *line)
{
    free(dray_steal(line->held));
    line->len = 0;
}

/* Complete the line that was begun in an earlier read. Returns the bytes used of data. */
static size_t finish_held(struct splitter *s, const char *data, size_t n)
{
    struct line *line = s->line;
    size_t room = PIECE - line->len;
    size_t look = n < room ? n : room;
    const char *end = memchr(data, '\n', look);
    size_t take = end ? (size_t)(end - data) : look;
    hold(line, data, take);
    if (end || line->len == PIECE) {
        emit(s, line->held, line->len, end != NULL);
        put(s->log, s->batch, s->n);
        s->n = 0;
        release(line);
    }
    return end ? take + 1 : take;
}

void shim_logpipe_feed(struct shim_logpipe *l, uint8_t stream, const char *data, size_t n)
{
    struct splitter s;
    s.log = l;
    s.line = &l->lines[stream == DRAY_FRAME_STDERR];
    s.stream = stream == DRAY_FRAME_STDERR ? DRAY_LOG_STDERR : DRAY_LOG_STDOUT;
    s.now = dray_clock_now();
    s.n = 0;
    size_t at = s.line->len ? finish_held(&s, data, n) : 0;
    while (at < n) {
        size_t left = n - at;
        const char *end = memchr(data + at, '\n', left < PIECE ? left : PIECE);
        if (!end && left < PIECE)
            break;
        size_t len = end ? (size_t)(end - data) - at : PIECE;
        emit(&s, data + at, len, end != NULL);
        at += end ? len + 1 : len;
    }
    put(l, s.batch, s.n);
    if (at < n)
        hold(s.line, data + at, n - at);
}

void shim_logpipe_finish(struct shim_logpipe *l)
{
    for (size_t i = 0; i < 2; i++) {
        struct line *line = &l->lines[i];
        if (line->len == 0)
            continue;
        struct dray_log_record r = {
            .time_ns = line->partial ? line->time_ns : dray_clock_now(),
            .data = line->held,
            .len = (uint32_t)line->len,
            .stream = i ? DRAY_LOG_STDERR : DRAY_LOG_STDOUT,
            .flags = DRAY_LOG_PARTIAL, /* no newline is invented */
        };
        put(l, &r, 1);
        release(line);
    }
    if (l->ring && l->local)
        (void)shim_logring_drain(l->ring, END_MS);
}

bool shim_logpipe_full(struct shim_logpipe *l)
{
    return l->ring && shim_logring_full(l->ring);
}

/* Opening. */

/* Facts of the "info" object; the lists own what the view points to. */
struct facts {
    struct dray_kvlist labels, env, options;
    struct dray_log_info info;
};

static void facts_cleanup(struct facts *f)
{
    dray_kvlist_free(&f->labels);
    dray_kvlist_free(&f->env);
    dray_kvlist_free(&f->options);
}

static int read_facts(struct shim *s, struct json_object *info, struct facts *f,
                      struct dray_err *err)
{
    int rc = dray_json_to_kvlist(dray_json_obj(info, "labels"), &f->labels, err);
    if (!rc)
        rc = dray_json_to_kvlist(dray_json_obj(info, "env"), &f->env, err);
    if (!rc)
        rc = dray_json_to_kvlist(dray_json_obj(info, "options"), &f->options, err);
    f->info = (struct dray_log_info){
        .size = sizeof f->info,
        .container_id = s->id,
        .container_name = dray_json_str(info, "name", ""),
        .image_id = dray_json_str(info, "image_id", ""),
        .image_name = dray_json_str(info, "image_name", ""),
        .command = dray_json_str(info, "command", ""),
        .daemon_name = dray_json_str(info, "daemon_name", ""),
        .dir = dray_json_str(info, "dir", ""),
        .created_ns = dray_json_int(info, "created_ns", 0),
        .labels = dray_kvlist_view(&f->labels),
        .env = dray_kvlist_view(&f->env),
        .options = dray_kvlist_view(&f->options),
    };
    return rc;
}

static int open_driver(struct shim_logpipe *l, const char *name, const struct dray_log_info *info,
                       struct dray_driver **out, struct dray_err *err)
{
    struct dray_driver *d = shim_drivers_get(l->shim->drivers, DRAY_KIND_LOG, name, err);
    if (!d)
        return err->code;
    int rc = dray_driver_call(d, log, DRAY_CLASS_QUICK, err, open, info);
    if (rc)
        return dray_err_note(err, "failed to initialize logging driver");
    *out = d;
    return 0;
}

static int open_all(struct shim_logpipe *l, struct json_object *log, struct dray_err *err)
{
    __attribute__((cleanup(facts_cleanup))) struct facts f = {0};
    int rc = read_facts(l->shim, dray_json_obj(log, "info"), &f, err);
    if (!rc)
        rc = open_driver(l, dray_json_str(log, "driver", ""), &f.info, &l->driver, err);
    const char *cache = dray_json_str(log, "cache_driver", NULL);
    if (rc)
        return rc;
    l->local = (dray_driver_features(l->driver) & DRAY_LOG_F_LOCAL) != 0;
    l->direct = l->local && !dray_driver_isolated(l->driver);
    if (!cache)
        return 0;
    dray_kvlist_free(&f.options);
    rc = dray_json_to_kvlist(dray_json_obj(log, "cache_options"), &f.options, err);
    f.info.options = dray_kvlist_view(&f.options);
    return rc ? rc : open_driver(l, cache, &f.info, &l->cache, err);
}

static void on_room(struct shim_watch *w, uint32_t events)
{
    (void)events;
    eventfd_t n;
    (void)eventfd_read(w->fd, &n);
    shim_proc_update(&SHIM_OWNER(w, struct shim_logpipe, room)->shim->init);
}

/* Lines go through a ring when they may be dropped, or when a driver may hang: then the container
 * waits for it, but not the shim. */
static int make_ring(struct shim_logpipe *l, struct json_object *log, struct dray_err *err)
{
    bool drops = strcmp(dray_json_str(log, "mode", ""), "non-blocking") == 0;
    if (l->direct && !drops)
        return 0;
    int64_t max = drops ? dray_json_int(log, "max_buffer", RING_DEFAULT) : RING_DEFAULT;
    if (!drops) {
        l->room.fn = on_room;
        l->room.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->room.fd < 0)
            return dray_fail_errno(err, "eventfd");
        shim_loop_set(&l->shim->loop, &l->room, EPOLLIN);
    }
    return shim_logring_new(max > 0 ? (size_t)max : RING_DEFAULT, l->room.fd, write_late, l,
                            &l->ring, err);
}

int shim_logpipe_open(struct shim *s, struct json_object *log, struct shim_logpipe **out,
                      struct dray_err *err)
{
    *out = NULL;
    if (!log)
        return 0;
    struct shim_logpipe *l = calloc(1, sizeof *l);
    if (!l)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    l->shim = s;
    l->room.fd = -EBADF;
    int rc = open_all(l, log, err);
    if (!rc)
        rc = make_ring(l, log, err);
    if (rc)
        shim_logpipe_close(l);
    else
        *out = l;
    return rc;
}

static void report(struct shim_logpipe *l, bool hangs)
{
    uint64_t dropped = l->ring ? shim_logring_dropped(l->ring) : 0;
    uint64_t failures = atomic_load(&l->failures);
    if (failures > 1)
        dray_warn("container %.12s: %llu batches of output were not logged", l->shim->id,
                  (unsigned long long)failures);
    if (dropped)
        dray_warn("container %.12s: %llu lines were dropped, the log buffer was full", l->shim->id,
                  (unsigned long long)dropped);
    if (hangs)
        dray_warn("container %.12s: driver %s does not take the last lines", l->shim->id,
                  dray_driver_name(l->driver));
}

static void close_driver(struct shim_logpipe *l, struct dray_driver *d)
{
    struct dray_err err = {0};
    if (d && dray_driver_call(d, log, DRAY_CLASS_QUICK, &err, close, l->shim->id))
        dray_warn("container %.12s: %s", l->shim->id, err.text);
}

/* A ring that hangs keeps all that its thread uses; the shim ends soon. Returns false then. */
static bool close_own(struct shim_logpipe *l)
{
    bool hangs = l->ring && !shim_logring_drain(l->ring, l->local ? END_MS : 0);
    report(l, hangs);
    if (hangs)
        return false;
    shim_logring_free(dray_steal(l->ring));
    close_driver(l, dray_steal(l->driver));
    return true;
}

bool shim_logpipe_settle(struct shim_logpipe *l)
{
    if (!l)
        return true;
    close_driver(l, dray_steal(l->cache));
    if (l->driver && l->local)
        (void)close_own(l);
    return !l->ring || shim_logring_drain(l->ring, 0);
}

void shim_logpipe_close(struct shim_logpipe *l)
{
    if (!l)
        return;
    (void)shim_logpipe_settle(l);
    if (l->driver && !close_own(l))
        return;
    shim_drivers_close_own(l->shim->drivers);
    shim_loop_close(&l->shim->loop, &l->room);
    for (size_t i = 0; i < 2; i++)
        release(&l->lines[i]);
    free(l);
}
