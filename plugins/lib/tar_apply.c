/* SPDX-License-Identifier: Apache-2.0 */
/* tar_apply.c - reads a layer's tar and unpacks entry by entry. */
#include "tar_apply.h"

#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <sys/statvfs.h>

#define BUFFER_SIZE (1024u * 1024u)
/* Entries between two looks at the cancel descriptor. */
#define TICK_ENTRIES 64u

void dray_tar_warn(struct unpacker *u, const char *fmt, ...)
{
    if (!u->job->warn || u->warned)
        return;
    u->warned = true; /* one line a layer is enough */
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    u->job->warn(u->job->arg, text);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

int dray_tar_tick(struct unpacker *u)
{
    if (u->job->cancel_fd >= 0) {
        struct pollfd p = {.fd = u->job->cancel_fd, .events = POLLIN};
        if (poll(&p, 1, 0) > 0)
            return dray_fail(u->err, DRAY_E_CANCELED, "canceled");
    }
    if (u->job->deadline_ns != 0 && now_ns() > u->job->deadline_ns)
        return dray_fail(u->err, DRAY_E_TIMEOUT, "the deadline passed while unpacking");
    return 0;
}

/* --- input ------------------------------------------------------------------------------------*/

/* Wait until the stream can be read; 1 when the caller gave up. */
static int wait_input(struct unpacker *u)
{
    for (;;) {
        struct pollfd p[2] = {{.fd = u->fd, .events = POLLIN},
                              {.fd = u->job->cancel_fd, .events = POLLIN}};
        int timeout = -1;
        if (u->job->deadline_ns != 0) {
            uint64_t now = now_ns();
            if (now >= u->job->deadline_ns)
                return 1;
            uint64_t left = (u->job->deadline_ns - now) / 1000000 + 1;
            timeout = left > 3600000 ? 3600000 : (int)left;
        }
        int n = poll(p, 2, timeout);
        if (n < 0 && errno != EINTR)
            return 1;
        if (n > 0)
            return p[1].revents != 0;
    }
}

/* As read(2), but gives up with ECANCELED. */
static ssize_t read_input(struct unpacker *u)
{
    bool watched = u->job->cancel_fd >= 0 || u->job->deadline_ns != 0;
    for (;;) {
        if (watched && wait_input(u)) {
            errno = ECANCELED;
            return -1;
        }
        ssize_t n = read(u->fd, u->buffer, BUFFER_SIZE);
        if (n >= 0 || (errno != EINTR && errno != EAGAIN))
            return n;
        if (errno == EAGAIN && wait_input(u)) {
            errno = ECANCELED;
            return -1;
        }
    }
}

static la_ssize_t on_read(struct archive *a, void *arg, const void **data_out)
{
    struct unpacker *u = arg;
    ssize_t n = read_input(u);
    if (n < 0)
        archive_set_error(a, errno, "read: %s", strerror(errno));
    u->ended = n <= 0;
    *data_out = u->buffer;
    return n;
}

/* The writer at the other end counts on all being read, also what follows the end mark. */
static int drain(struct unpacker *u)
{
    while (!u->ended) {
        ssize_t n = read_input(u);
        if (n < 0)
            return dray_fail_errno(u->err, "read the layer");
        u->ended = n == 0;
    }
    return 0;
}

static int read_failed(struct unpacker *u, int code)
{
    const char *why = archive_error_string(u->archive);
    if (archive_errno(u->archive) == ECANCELED) {
        int rc = dray_tar_tick(u);
        return rc < 0 ? rc : dray_fail(u->err, DRAY_E_CANCELED, "canceled");
    }
    if (code == ARCHIVE_FATAL && strncmp(why ? why : "", "read: ", 6) == 0)
        return dray_fail(u->err, DRAY_E_IO, "the layer's stream broke: %s", why);
    return dray_fail(u->err, DRAY_E_CORRUPT, "broken tar: %s", why ? why : "unknown error");
}

static int open_archive(struct unpacker *u)
{
    u->archive = archive_read_new();
    u->buffer = malloc(BUFFER_SIZE);
    if (!u->archive || !u->buffer)
        return dray_fail(u->err, DRAY_E_NOMEM, "out of memory");
    (void)archive_read_support_format_tar(u->archive);
    (void)archive_read_support_format_empty(u->archive);
    if (archive_read_open(u->archive, u, NULL, on_read, NULL) != ARCHIVE_OK)
        return read_failed(u, ARCHIVE_FATAL);
    return 0;
}

/* --- entries ----------------------------------------------------------------------------------*/

static int too_large(struct unpacker *u)
{
    return dray_fail(u->err, DRAY_E_LIMIT, "the layer has more than %llu bytes",
                     (unsigned long long)u->job->max_bytes);
}

static int check_limits(struct unpacker *u, struct archive_entry *e)
{
    const struct dray_layer_apply *job = u->job;
    if (job->max_entries != 0 && job->entries > job->max_entries)
        return dray_fail(u->err, DRAY_E_LIMIT, "the layer has more than %llu entries",
                         (unsigned long long)job->max_entries);
    if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
        return 0;
    int64_t size = archive_entry_size(e);
    if (size < 0)
        return dray_fail(u->err, DRAY_E_CORRUPT, "an entry has the size %lld", (long long)size);
    if (archive_entry_sparse_count(e) > 0) /* may be larger than the disk: its data is counted */
        return job->max_bytes != 0 && (uint64_t)size > job->max_bytes ? too_large(u) : 0;
    u->declared += (uint64_t)size < UINT64_MAX - u->declared ? (uint64_t)size : 0;
    if (job->max_bytes != 0 && u->declared > job->max_bytes)
        return too_large(u);
    if (u->declared > u->free_bytes)
        return dray_fail(u->err, DRAY_E_NOSPACE,
                         "the layer declares %llu bytes and the disk has %llu left: "
                         "no space left on device",
                         (unsigned long long)u->declared, (unsigned long long)u->free_bytes);
    return 0;
}

/* Names below marks of aufs are nobody's files. */
static bool below_meta(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        const char *end = strchrnul(at, '/');
        if (strncmp(at, WHITEOUT_META, strlen(WHITEOUT_META)) == 0 &&
            (*end != '\0' || strcmp(at, WHITEOUT_OPAQUE) != 0))
            return true;
        if (*end == '\0')
            break;
    }
    return false;
}

/* OCI keeps the prefix for whiteouts: nothing can live in a folder of such a name. */
static bool reserved_parent(const char *path)
{
    const size_t len = strlen(WHITEOUT_PREFIX);
    for (const char *at = path; at && strchr(at, '/'); at = strchr(at, '/') + 1)
        if (strncmp(at, WHITEOUT_PREFIX, len) == 0)
            return true;
    return false;
}

static int unpack_entry(struct unpacker *u, struct archive_entry *e)
{
    const char *raw = archive_entry_pathname(e);
    struct spot spot;
    if (!raw)
        return dray_fail(u->err, DRAY_E_CORRUPT, "an entry has no name");
    if (dray_tar_clean(raw, raw[0] == '/', spot.path) < 0)
        return dray_fail(u->err, DRAY_E_INVAL, "the path \"%.200s\" is outside of the layer", raw);
    if (below_meta(spot.path))
        return 0;
    if (reserved_parent(spot.path))
        return dray_fail(u->err, DRAY_E_INVAL, "\"%.200s\" lies below a whiteout", raw);
    dray_tar_spot(&spot);
    int rc = strncmp(spot.name, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0
                 ? dray_tar_whiteout(u, &spot)
                 : dray_tar_make(u, e, &spot);
    return rc < 0 ? dray_err_note(u->err, "unpack \"%.120s\"", spot.path) : 0;
}

static int unpack_all(struct unpacker *u)
{
    struct archive_entry *e;
    for (;;) {
        int code = archive_read_next_header(u->archive, &e);
        if (code == ARCHIVE_EOF)
            return 0;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
            return read_failed(u, code);
        u->job->entries++;
        int rc = u->job->entries % TICK_ENTRIES == 0 ? dray_tar_tick(u) : 0;
        if (rc == 0)
            rc = check_limits(u, e);
        if (rc == 0)
            rc = unpack_entry(u, e);
        if (rc < 0)
            return rc;
    }
}

/* --- the whole --------------------------------------------------------------------------------*/

/* The process's umask, without changing it. */
static mode_t read_umask(void)
{
    char text[512];
    if (dray_pl_read_small(AT_FDCWD, "/proc/self/status", text, sizeof text) < 0)
        return 0777;
    const char *at = strstr(text, "Umask:");
    return at ? (mode_t)(strtoul(at + 6, NULL, 8) & 0777) : 0777;
}

static int prepare(struct unpacker *u)
{
    struct statvfs vfs;
    if (fstatvfs(u->job->root, &vfs) < 0)
        return dray_fail_errno(u->err, "look for free space");
    u->free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    (void)fcntl(u->fd, F_SETPIPE_SZ, (int)BUFFER_SIZE); /* fewer wake-ups, if it is a pipe */
    u->umask = read_umask();
    u->uid = geteuid();
    u->gid = getegid();
    for (size_t i = 0; i < PLACE_CACHE; i++)
        u->cache[i].fd = -EBADF;
    return open_archive(u);
}

static void finish(struct unpacker *u)
{
    if (u->archive)
        (void)archive_read_free(u->archive);
    free(u->buffer);
    dray_tar_place_drop(u);
    for (size_t i = 0; i < u->n_times; i++)
        free(u->times[i].path);
    free(u->times);
    dray_pl_inoset_cleanup(&u->made);
}

static int run(struct unpacker *u)
{
    int rc = prepare(u);
    if (rc == 0)
        rc = unpack_all(u);
    if (rc == 0)
        rc = drain(u);
    if (rc == 0)
        rc = dray_tar_times_set(u);
    if (rc == 0 && u->job->sync && !u->job->flush_later && syncfs(u->job->root) < 0)
        rc = dray_fail_errno(u->err, "flush the layer to disk");
    return rc;
}

int dray_layer_apply(int fd, struct dray_layer_apply *job, struct dray_err *err)
{
    struct dray_err local = {0};
    struct unpacker u = {.job = job, .err = err ? err : &local, .fd = fd};
    job->bytes = job->entries = 0;
    job->opaque_root = false;
    /* In any other locale libarchive would translate names; in "C" it hands over the bytes. */
    locale_t plain = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    locale_t before = uselocale(plain);
    int rc = run(&u);
    finish(&u);
    (void)uselocale(before);
    freelocale(plain);
    return rc;
}

static int parse_limit(struct dray_kvs opts, const char *key, uint64_t *out, struct dray_err *err)
{
    const char *text = dray_kvs_get(opts, key, "");
    if (*text == '\0')
        return 0;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || *text == '-')
        return dray_fail(err, DRAY_E_INVAL, "option %s: \"%s\" is not a number", key, text);
    *out = n;
    return 0;
}

int dray_layer_apply_opts(struct dray_layer_apply *job, const struct dray_call *call,
                          struct dray_kvs opts, struct dray_err *err)
{
    job->cancel_fd = call ? call->cancel_fd : -1;
    job->deadline_ns = call ? call->deadline_ns : 0;
    job->flush_later = strcmp(dray_kvs_get(opts, "flush", ""), "later") == 0;
    int rc = parse_limit(opts, "max-bytes", &job->max_bytes, err);
    return rc < 0 ? rc : parse_limit(opts, "max-entries", &job->max_entries, err);
}
