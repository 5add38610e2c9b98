/* SPDX-License-Identifier: Apache-2.0 */
/* image_unpack.c - streams of layers: inflated, hashed and handed to the storage driver at once. */
#include "engine/image/image_priv.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#define PIPE_BYTES (1 << 20)
#define READ_CHUNK (256u * 1024)
#define BOMB_BASE (UINT64_C(1) << 30)
#define BOMB_RATIO UINT64_C(1100) /* deflate cannot do more than 1032 */

struct img_unpack {
    struct dray_images *im;
    struct img_layer *layer; /* or NULL; the caller's */
    struct dray_driver *driver;
    char layer_id[40];
    int abort_fd;
    int out; /* writing end of the pipe, -EBADF when only hashing */
    int in;  /* reading end, the thread's */
    pthread_t thread;
    bool running;
    uint64_t max_bytes;
    uint64_t room; /* on the disk, when it began */
    struct dray_inflate *inflate;
    struct dray_sha256 *hash;

    /* The thread's result, read after it was joined. */
    int rc;
    uint64_t size;
    struct dray_err err;
};

static void *apply_thread(void *arg)
{
    struct img_unpack *u = arg;
    char max[24];
    (void)snprintf(max, sizeof max, "%llu", (unsigned long long)u->max_bytes);
    const struct dray_kv kv[] = {{"max-bytes", max}, {"flush", "later"}}; /* img_register() does */
    struct dray_call_scope s = {0};
    dray_call_object(&s, u->layer_id);
    u->rc = dray_call_enter(&s, u->driver, DRAY_CLASS_DATA, u->abort_fd, &u->err);
    if (!u->rc)
        u->rc = ((const struct dray_storage_ops *)s.ops)
                    ->apply(s.self, &s.call, u->layer_id, (struct dray_fd_borrow){u->in},
                            (struct dray_kvs){kv, 2}, &u->size, &u->err);
    dray_call_leave(&s);
    if (u->rc == DRAY_E_LIMIT && u->max_bytes <= u->room)
        u->rc = dray_fail(&u->err, DRAY_E_NOSPACE,
                          "the layer needs more than the %llu bytes that the disk has left: no "
                          "space left on device",
                          (unsigned long long)u->room);
    (void)close(u->in); /* a writer that is still at it gets EPIPE */
    u->in = -EBADF;
    return NULL;
}

/* What a stream may inflate to: no more than the disk holds, and no more than its size explains. */
static uint64_t bomb_limit(uint64_t room, uint64_t compressed)
{
    if (compressed == UINT64_MAX || compressed > UINT64_MAX / (2 * BOMB_RATIO))
        return room;
    uint64_t likely = BOMB_BASE + compressed * BOMB_RATIO;
    return room < likely ? room : likely;
}

/* Write with SIGPIPE out of the way; wait for room, or for the end of the caller's patience. */
static int write_pipe(struct img_unpack *u, const char *data, size_t len, struct dray_err *err)
{
    while (len > 0) {
        ssize_t n = write(u->out, data, len);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return dray_fail(err, DRAY_E_INTERNAL, "the storage driver stopped reading");
        struct pollfd p[2] = {{.fd = u->out, .events = POLLOUT},
                              {.fd = u->abort_fd, .events = POLLIN}};
        (void)poll(p, 2, -1);
        if (p[1].revents)
            return dray_fail(err, DRAY_E_CANCELED, "canceled");
    }
    return 0;
}

static int take_plain(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct img_unpack *u = ctx;
    dray_sha256_add(u->hash, data, len);
    img_flush_early(u->im, len);
    return u->out >= 0 ? write_pipe(u, data, len, err) : 0;
}

static int start_apply(struct img_unpack *u, struct dray_err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    (void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
    (void)fcntl(fds[1], F_SETFL, O_NONBLOCK);
    u->in = fds[0];
    u->out = fds[1];
    int rc = pthread_create(&u->thread, NULL, apply_thread, u);
    if (rc != 0)
        return dray_fail(err, DRAY_E_NOMEM, "start a thread: %s", strerror(rc));
    u->running = true;
    return 0;
}

/* SIGPIPE is blocked in the feeding thread for good: such threads are the daemon's workers. */
static void block_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int img_unpack_begin(struct dray_images *im, struct img_layer *layer, uint64_t compressed_size,
                     int abort_fd, struct img_unpack **out, struct dray_err *err)
{
    struct img_unpack *u = calloc(1, sizeof *u);
    if (!u)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    u->im = im;
    u->in = u->out = -EBADF;
    u->abort_fd = abort_fd;
    u->room = dray_blobs_free_bytes(im->blobs);
    u->max_bytes = bomb_limit(u->room, compressed_size);
    u->hash = dray_sha256_new_in(dray_blobs_hashes(im->blobs));
    int rc = u->hash ? dray_inflate_new(take_plain, u, u->max_bytes, &u->inflate, err)
                     : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc && layer) {
        u->layer = layer;
        u->driver = layer->driver;
        (void)snprintf(u->layer_id, sizeof u->layer_id, "%s", layer->id);
        block_sigpipe();
        rc = start_apply(u, err);
    }
    if (rc) {
        img_unpack_abort(u);
        return rc;
    }
    *out = u;
    return 0;
}

/* End the thread, whose pipe has been closed. True when it did not fail. */
static bool join(struct img_unpack *u)
{
    dray_cleanup_fd(&u->out);
    u->out = -EBADF;
    if (u->running)
        (void)pthread_join(u->thread, NULL);
    u->running = false;
    return u->rc == 0;
}

/* Of two errors the driver's is the cause, unless it only saw the end of a broken stream. */
static int explain(struct img_unpack *u, int rc, struct dray_err *err)
{
    bool stopped = rc == DRAY_E_INTERNAL || rc == 0;
    if (!join(u) && stopped) {
        if (err)
            *err = u->err;
        if (u->rc != DRAY_E_CANCELED)
            (void)dray_err_note(err, "failed to register layer");
        return u->rc;
    }
    return rc;
}

int img_unpack_feed(void *unpack, const void *data, size_t len, struct dray_err *err)
{
    struct img_unpack *u = unpack;
    int rc = dray_inflate_feed(u->inflate, data, len, err);
    return rc == DRAY_E_INTERNAL ? explain(u, rc, err) : rc;
}

uint64_t img_unpack_total(const struct img_unpack *u)
{
    return dray_inflate_total(u->inflate);
}

enum dray_compression img_unpack_kind(const struct img_unpack *u)
{
    return dray_inflate_kind(u->inflate);
}

static void free_unpack(struct img_unpack *u)
{
    dray_cleanup_fd(&u->in);
    dray_inflate_free(u->inflate);
    dray_sha256_free(u->hash);
    free(u);
}

int img_unpack_end(struct img_unpack *u, char diff_out[DRAY_DIGEST_LEN], uint64_t *size_out,
                   struct dray_err *err)
{
    int rc = dray_inflate_end(u->inflate, err);
    rc = explain(u, rc, err);
    if (!rc) {
        dray_sha256_end(u->hash, diff_out);
        if (size_out)
            *size_out = u->size;
        if (u->layer)
            u->layer->tar_size = dray_inflate_total(u->inflate);
    }
    free_unpack(u);
    return rc;
}

void img_unpack_abort(struct img_unpack *u)
{
    if (!u)
        return;
    (void)join(u);
    free_unpack(u);
}

int img_check_diff(const char *want, const char *got, struct dray_err *err)
{
    if (strcmp(want, got) == 0)
        return 0;
    return dray_fail(err, DRAY_E_CORRUPT,
                     "layer verification failed: the config names diff id %s, the layer has %s",
                     want, got);
}

int img_unpack_any(struct dray_images *im, struct img_layer *layer, const char *digest,
                   int abort_fd, _Atomic uint64_t *progress, char diff_out[DRAY_DIGEST_LEN],
                   uint64_t *size_out, struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    uint64_t size = 0;
    struct img_unpack *u = NULL;
    dray_autofree char *buf = malloc(READ_CHUNK);
    int rc = buf ? dray_blobs_get(im->blobs, digest, &fd, &size, err)
                 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!rc)
        rc = img_unpack_begin(im, layer, size, abort_fd, &u, err);
    while (!rc) {
        ssize_t n = read(fd, buf, READ_CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = dray_fail_errno(err, "read blob %s", digest);
        if (n <= 0)
            break;
        rc = img_unpack_feed(u, buf, (size_t)n, err);
        if (progress)
            *progress += (uint64_t)n;
    }
    if (rc) {
        img_unpack_abort(u);
        return rc;
    }
    return img_unpack_end(u, diff_out, size_out, err);
}

int img_unpack_blob(struct dray_images *im, struct img_layer *layer, const char *digest,
                    const char *diff, int abort_fd, _Atomic uint64_t *progress, uint64_t *size_out,
                    struct dray_err *err)
{
    char got[DRAY_DIGEST_LEN];
    int rc = img_unpack_any(im, layer, digest, abort_fd, progress, got, size_out, err);
    return rc ? rc : img_check_diff(diff, got, err);
}
