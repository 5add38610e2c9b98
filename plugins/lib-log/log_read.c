/* SPDX-License-Identifier: Apache-2.0 */
/* log_read.c - answers queries from a log's files: since, until, tail, follow. */
#include "log_read.h"

#include "log_files.h"
#include "log_set.h"
#include "log_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#define BLOCK ((size_t)256 << 10)
#define BLOCK_MAX ((size_t)4 << 20)
#define TAIL_BLOCK ((size_t)32 << 10)
/* A rename or a new file of a log that is kept elsewhere may go unseen; look now and then. */
#define LOOK_MS 1000
#define POLL_MS 200 /* without a watch */
#define NS_PER_S INT64_C(1000000000)

struct reader {
    const struct dray_log_source *src;
    const struct dray_log_query *q;
    const struct dray_call *call;
    struct dray_log_set set;
    struct dray_log_sink sink;
    char *block;
    size_t cap;
    bool over; /* a record later than `until` was seen */
};

/* A place in the set: where reading begins. */
struct place {
    size_t part;
    off_t offset;
};

static bool wanted(const struct dray_log_query *q, const struct dray_log_item *it)
{
    uint32_t flag = it->stream == DRAY_LOG_STDERR ? DRAY_LOGQ_STDERR : DRAY_LOGQ_STDOUT;
    return it->valid && (q->flags & flag);
}

static bool grow_block(struct reader *r)
{
    if (r->cap >= BLOCK_MAX)
        return false;
    char *grown = realloc(r->block, r->cap * 2);
    if (!grown)
        return false;
    r->block = grown;
    r->cap *= 2;
    return true;
}

/* Forward. */

/* Send the records in data. *used_out: bytes of whole records. */
static int scan(struct reader *r, const char *data, size_t len, size_t *used_out,
                struct dray_err *err)
{
    const struct dray_log_query *q = r->q;
    size_t at = 0;
    int rc = 0;
    while (at < len && !rc && !r->over) {
        struct dray_log_item it;
        size_t n = r->src->format->next(r->src->state, data + at, len - at, &it);
        if (n == 0)
            break;
        at += n;
        if (!wanted(q, &it) || it.time_ns < q->since_ns)
            continue;
        if (q->until_ns && it.time_ns > q->until_ns)
            r->over = true;
        else
            rc = dray_log_sink_put(&r->sink, &it, err);
    }
    *used_out = at;
    return rc;
}

static bool canceled(const struct reader *r)
{
    struct pollfd p = {.fd = r->call->cancel_fd, .events = POLLIN};
    return p.fd >= 0 && poll(&p, 1, 0) > 0;
}

/* Read a file from *at to its present end; *at is then behind the last whole record. */
static int read_on(struct reader *r, int fd, off_t *at, struct dray_err *err)
{
    while (!r->over) {
        ssize_t n = pread(fd, r->block, r->cap, *at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "read log %s", r->src->name);
        size_t used = 0;
        int rc = scan(r, r->block, (size_t)n, &used, err);
        if (rc)
            return rc;
        if (used == 0 && (size_t)n == r->cap && !grow_block(r))
            used = r->cap; /* not a log's line: skip it */
        *at += (off_t)used;
        if ((size_t)n < r->cap)
            return 0;
        if (canceled(r))
            return dray_fail(err, DRAY_E_CANCELED, "the reader of the logs has gone");
    }
    return 0;
}

/* Backward: where the last `tail` lines begin. */

struct tail {
    int64_t left;
    bool open[3]; /* by stream: later pieces of the line have been counted */
    bool found;
};

/* Count a record, going backward. Returns false when it belongs to a line too many. */
static bool count(struct reader *r, struct tail *t, const struct dray_log_item *it)
{
    if (!wanted(r->q, it) || (r->q->until_ns && it->time_ns > r->q->until_ns))
        return true;
    bool goes_on = it->flags & DRAY_LOG_PARTIAL;
    if (goes_on && t->open[it->stream])
        return true; /* of a line that is counted */
    if (t->left == 0)
        return false;
    t->left--;
    t->open[it->stream] = true;
    return true;
}

/* Go backward through data that ends at a record's end. Returns bytes left at the beginning. */
static size_t count_block(struct reader *r, struct tail *t, size_t len, bool whole)
{
    const struct dray_log_format *f = r->src->format;
    while (len > 0) {
        size_t n = f->prev(r->block, len, whole);
        if (n == 0)
            break;
        struct dray_log_item it;
        if (f->next(r->src->state, r->block + len - n, n, &it) == n && !count(r, t, &it)) {
            t->found = true;
            break;
        }
        len -= n;
    }
    return len;
}

static int tail_file(struct reader *r, struct tail *t, int fd, off_t *at, struct dray_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return dray_fail_errno(err, "read log %s", r->src->name);
    off_t end = st.st_size;
    size_t want = TAIL_BLOCK;
    while (end > 0 && !t->found) {
        size_t size = (off_t)want < end ? want : (size_t)end;
        ssize_t n = pread(fd, r->block, size, end - (off_t)size);
        if (n != (ssize_t)size)
            break; /* truncated by a rotation meanwhile */
        size_t left = count_block(r, t, size, (off_t)size == end);
        if (left == size && !t->found) {
            if (want == r->cap && !grow_block(r)) {
                end -= (off_t)size; /* no record: skip it */
                continue;
            }
            want = want * 2 < r->cap ? want * 2 : r->cap;
            if ((off_t)size == end)
                end = 0;
            continue;
        }
        end -= (off_t)(size - left);
    }
    *at = end;
    return 0;
}

static int find_tail(struct reader *r, struct place *out, struct dray_err *err)
{
    struct tail t = {.left = r->q->tail};
    *out = (struct place){0};
    for (size_t i = r->set.n; i-- > 0 && !t.found;) {
        int fd = dray_log_set_fd(&r->set, i);
        if (fd < 0)
            continue;
        *out = (struct place){.part = i};
        int rc = tail_file(r, &t, fd, &out->offset, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* The whole. */

static int read_parts(struct reader *r, struct place *p, struct dray_err *err)
{
    int rc = 0;
    for (size_t i = p->part; i < r->set.n && !rc && !r->over; i++) {
        bool last = i + 1 == r->set.n;
        off_t at = i == p->part ? p->offset : 0;
        bool early = r->set.v[i].mtime_s < r->q->since_ns / NS_PER_S - 1;
        int fd = early && !last ? -1 : dray_log_set_fd(&r->set, i);
        if (fd >= 0)
            rc = read_on(r, fd, &at, err);
        if (last)
            *p = (struct place){.part = i, .offset = at};
        else
            dray_log_set_drop(&r->set, i);
    }
    return rc;
}

/* Milliseconds to wait for news: not beyond `until`. */
static int patience(const struct reader *r, int watch)
{
    int most = watch < 0 ? POLL_MS : LOOK_MS;
    if (!r->q->until_ns)
        return most;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t left = r->q->until_ns - (now.tv_sec * NS_PER_S + now.tv_nsec);
    int64_t ms = left / 1000000 + 1;
    return left <= 0 ? 0 : ms < most ? (int)ms : most;
}

/* Wait until something was written. *ended: nothing more will be. */
static int wait_for_news(struct reader *r, int watch, bool *ended, struct dray_err *err)
{
    struct pollfd p[4] = {
        {.fd = watch, .events = POLLIN},
        {.fd = r->q->ended.fd, .events = POLLIN},
        {.fd = r->call->cancel_fd, .events = POLLIN},
        {.fd = r->sink.fd},
    };
    int ms = patience(r, watch);
    if (poll(p, 4, ms) < 0 && errno != EINTR)
        return dray_fail_errno(err, "follow log %s", r->src->name);
    if (p[2].revents || (p[3].revents & (POLLERR | POLLHUP)))
        return dray_fail(err, DRAY_E_CANCELED, "the reader of the logs has gone");
    if (p[0].revents) {
        char events[4096];
        if (read(watch, events, sizeof events) < 0 && errno != EAGAIN && errno != EINTR)
            return dray_fail_errno(err, "follow log %s", r->src->name);
    }
    *ended = p[1].revents != 0;
    r->over = r->q->until_ns && patience(r, watch) == 0;
    return 0;
}

/* The current file may have been truncated, or replaced by a new one. *again: there is more. */
static int next_file(struct reader *r, struct dray_log_part *cur, off_t *at, bool *again,
                     struct dray_err *err)
{
    struct stat st;
    *again = cur->fd >= 0 && fstat(cur->fd, &st) == 0 && st.st_size < *at;
    if (*again) {
        *at = 0;
        return 0;
    }
    struct dray_log_part next;
    *again = dray_log_set_successor(&r->set, cur->fd < 0 ? 0 : cur->ino, &next);
    if (!*again)
        return 0;
    /* Now that there is a newer file, this one has got its last record. */
    int rc = cur->fd >= 0 ? read_on(r, cur->fd, at, err) : 0;
    if (next.packed) {
        int plain = dray_log_unpack(next.fd);
        (void)close(next.fd);
        next.fd = plain;
        next.packed = false;
    }
    dray_cleanup_fd(&cur->fd);
    *cur = next;
    *at = 0;
    return rc;
}

static int follow(struct reader *r, int watch, struct place p, struct dray_err *err)
{
    struct dray_log_part cur = {.fd = -EBADF};
    off_t at = p.offset;
    if (r->set.n > 0) {
        cur = r->set.v[p.part];
        r->set.v[p.part].fd = -EBADF;
    }
    bool ended = r->q->ended.fd < 0;
    int rc = 0;
    while (!rc && !r->over) {
        /* What was written before the end was seen is read after it was seen. */
        bool last = ended;
        if (cur.fd >= 0)
            rc = read_on(r, cur.fd, &at, err);
        bool again = false;
        if (!rc && !r->over)
            rc = next_file(r, &cur, &at, &again, err);
        if (rc || r->over || again)
            continue;
        rc = dray_log_sink_flush(&r->sink, err);
        if (last)
            break;
        if (!rc)
            rc = wait_for_news(r, watch, &ended, err);
    }
    dray_cleanup_fd(&cur.fd);
    return rc;
}

static int answer(struct reader *r, int watch, struct dray_err *err)
{
    struct place p = {0};
    int rc = r->q->tail >= 0 ? find_tail(r, &p, err) : 0;
    if (!rc)
        rc = read_parts(r, &p, err);
    if (!rc && (r->q->flags & DRAY_LOGQ_FOLLOW) && !r->over)
        rc = follow(r, watch, p, err);
    int flushed = rc ? 0 : dray_log_sink_flush(&r->sink, err);
    return rc ? rc : flushed;
}

/* -EBADF when there is none to be had: a machine gives one user 128 of them. */
static int open_watch(const struct dray_log_source *src)
{
    dray_autofd int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0 || inotify_add_watch(fd, src->dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
        return -EBADF;
    return dray_steal_fd(&fd);
}

int dray_log_read(const struct dray_log_source *source, const struct dray_log_query *query,
                  const struct dray_call *call, int out, struct dray_err *err)
{
    struct reader r = {.src = source, .q = query, .call = call, .cap = BLOCK};
    r.sink.own = -EBADF;
    /* First: nothing is missed between reading and waiting. */
    dray_autofd int watch = query->flags & DRAY_LOGQ_FOLLOW ? open_watch(source) : -EBADF;
    int rc = dray_log_set_open(&r.set, source->dir, source->name, err);
    if (rc)
        return rc;
    r.block = malloc(r.cap);
    rc = r.block ? dray_log_sink_init(&r.sink, out, call->cancel_fd, err)
                 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = answer(&r, watch, err);
    dray_log_sink_fini(&r.sink);
    dray_log_set_close(&r.set);
    free(r.block);
    return rc == DRAY_E_UNAVAIL ? 0 : rc; /* a reader that has seen enough */
}
