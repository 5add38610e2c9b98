/* SPDX-License-Identifier: Apache-2.0 */
/* hash_pool.c - hashes long streams on threads of its own, several in step. */
#define OPENSSL_SUPPRESS_DEPRECATED /* the state must be had, which only the older calls give */
#include "base/hash_pool.h"

#include "base/clock.h"
#include "base/sha256_lanes.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#define PIECE ((size_t)128 << 10) /* a multiple of a block */
#define PIECES 4u                 /* of a stream, at most */
#define BLOCK 64u
#define THREADS_MAX 4u
#define IDLE_NS (2 * DRAY_NS_PER_S)

struct dray_hash_stream {
    struct dray_hash_pool *pool;
    struct dray_hash_stream *next;
    SHA256_CTX sha;
    uint8_t *pieces;
    size_t fill;   /* bytes in the last piece, which is being filled */
    unsigned last; /* the piece after those that wait */
    bool listed;   /* among the pool's */

    /* Guarded by the pool's lock; with sha a thread's while busy. */
    unsigned first;   /* the oldest that waits */
    unsigned waiting; /* full pieces */
    bool busy;        /* a thread hashes the oldest */
};

struct dray_hash_pool {
    unsigned least, max_threads;

    pthread_mutex_t lock;           /* guards what follows. order: leaf */
    pthread_cond_t work, done;      /* a piece waits; a piece is hashed, or a thread has ended */
    struct dray_hash_stream *first; /* those that have begun */
    unsigned threads, idle;
    bool stop;
};

int dray_hash_pool_open(struct dray_hash_pool **out, struct dray_err *err)
{
    struct dray_hash_pool *p = calloc(1, sizeof *p);
    if (!p)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    p->max_threads = cpus > 0 && cpus < (long)THREADS_MAX ? (unsigned)cpus : THREADS_MAX;
    p->least = dray_sha256_lanes_least();
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, &attr);
    pthread_cond_init(&p->done, &attr);
    pthread_condattr_destroy(&attr);
    *out = p;
    return 0;
}

void dray_hash_pool_close(struct dray_hash_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    while (p->threads > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static uint8_t *piece(const struct dray_hash_stream *s, unsigned i)
{
    return s->pieces + i * PIECE;
}

/* --- the threads ------------------------------------------------------------------------------*/

/* Take the oldest pieces of streams that nobody is at. Locked. */
static unsigned take(struct dray_hash_pool *p, struct dray_hash_stream *out[DRAY_SHA256_LANES])
{
    unsigned n = 0, most = p->least <= DRAY_SHA256_LANES ? DRAY_SHA256_LANES : 1;
    for (struct dray_hash_stream *s = p->first; s && n < most; s = s->next)
        if (s->waiting > 0 && !s->busy)
            out[n++] = s;
    if (n < p->least && n > 1)
        n = 1; /* the others are for other threads */
    for (unsigned i = 0; i < n; i++)
        out[i]->busy = true;
    return n;
}

static void count_bytes(SHA256_CTX *c, uint64_t bytes)
{
    uint64_t bits = ((uint64_t)c->Nh << 32 | c->Nl) + bytes * 8;
    c->Nl = (SHA_LONG)bits;
    c->Nh = (SHA_LONG)(bits >> 32);
}

static void hash_in_step(struct dray_hash_stream *const v[], unsigned n)
{
    uint32_t state[8][DRAY_SHA256_LANES];
    const uint8_t *data[DRAY_SHA256_LANES];
    for (unsigned l = 0; l < DRAY_SHA256_LANES; l++) {
        const struct dray_hash_stream *s = v[l < n ? l : 0];
        data[l] = piece(s, s->first);
        for (unsigned k = 0; k < 8; k++)
            state[k][l] = s->sha.h[k];
    }
    dray_sha256_lanes(state, data, PIECE / BLOCK);
    for (unsigned l = 0; l < n; l++) {
        for (unsigned k = 0; k < 8; k++)
            v[l]->sha.h[k] = state[k][l];
        count_bytes(&v[l]->sha, PIECE);
    }
}

static void hash_pieces(struct dray_hash_pool *p, struct dray_hash_stream *const v[], unsigned n)
{
    if (n >= p->least)
        hash_in_step(v, n);
    else
        (void)SHA256_Update(&v[0]->sha, piece(v[0], v[0]->first), PIECE);
}

/* False when there was nothing to do for so long that the thread may end. Locked. */
static bool rest(struct dray_hash_pool *p)
{
    int64_t until = dray_clock_mono() + IDLE_NS;
    struct timespec ts = {.tv_sec = until / DRAY_NS_PER_S, .tv_nsec = until % DRAY_NS_PER_S};
    p->idle++;
    int rc = pthread_cond_timedwait(&p->work, &p->lock, &ts);
    p->idle--;
    return rc == 0;
}

static void *hash_thread(void *arg)
{
    struct dray_hash_pool *p = arg;
    struct dray_hash_stream *v[DRAY_SHA256_LANES];
    bool stay = true;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        unsigned n = take(p, v);
        if (n == 0 && (p->stop || !stay))
            break;
        if (n == 0) {
            stay = rest(p);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        hash_pieces(p, v, n);
        pthread_mutex_lock(&p->lock);
        for (unsigned i = 0; i < n; i++) {
            v[i]->busy = false;
            v[i]->waiting--;
            v[i]->first = (v[i]->first + 1) % PIECES;
        }
        pthread_cond_broadcast(&p->done);
        stay = true;
    }
    p->threads--;
    pthread_cond_broadcast(&p->done);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Somebody must see what waits. Locked. */
static void wake(struct dray_hash_pool *p)
{
    pthread_attr_t attr;
    pthread_t thread;
    if (p->idle > 0) {
        pthread_cond_signal(&p->work);
        return;
    }
    if (p->threads >= p->max_threads || pthread_attr_init(&attr) != 0)
        return;
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, hash_thread, p) == 0)
        p->threads++;
    (void)pthread_attr_destroy(&attr);
}

/* --- streams ----------------------------------------------------------------------------------*/

struct dray_hash_stream *dray_hash_stream_new(struct dray_hash_pool *p)
{
    struct dray_hash_stream *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->pieces = malloc(PIECES * PIECE);
    if (!s->pieces) {
        free(s);
        return NULL;
    }
    s->pool = p;
    (void)SHA256_Init(&s->sha);
    return s;
}

static void enlist(struct dray_hash_stream *s)
{
    s->next = s->pool->first;
    s->pool->first = s;
    s->listed = true;
}

/* Wait for room. Locked. */
static void await_room(struct dray_hash_stream *s)
{
    while (s->waiting == PIECES)
        pthread_cond_wait(&s->pool->done, &s->pool->lock);
}

/* Wait until all pieces are hashed. The pool forgets the stream. */
static void drain(struct dray_hash_stream *s)
{
    struct dray_hash_pool *p = s->pool;
    if (!s->listed)
        return;
    pthread_mutex_lock(&p->lock);
    while (s->waiting > 0)
        pthread_cond_wait(&p->done, &p->lock);
    struct dray_hash_stream **at = &p->first;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    s->listed = false;
    pthread_mutex_unlock(&p->lock);
}

/* The piece is full. Where there is no thread, it is hashed here. */
static void submit(struct dray_hash_stream *s)
{
    struct dray_hash_pool *p = s->pool;
    pthread_mutex_lock(&p->lock);
    if (!s->listed)
        enlist(s);
    s->waiting++;
    if (!s->busy) /* else its thread looks again */
        wake(p);
    if (p->threads == 0) {
        (void)SHA256_Update(&s->sha, piece(s, s->first), PIECE);
        s->waiting--;
        s->first = (s->first + 1) % PIECES;
    }
    await_room(s);
    pthread_mutex_unlock(&p->lock);
    s->last = (s->last + 1) % PIECES;
    s->fill = 0;
}

void dray_hash_stream_add(struct dray_hash_stream *s, const void *data, size_t len)
{
    const uint8_t *at = data;
    while (len > 0) {
        size_t n = len < PIECE - s->fill ? len : PIECE - s->fill;
        memcpy(piece(s, s->last) + s->fill, at, n);
        s->fill += n;
        at += n;
        len -= n;
        if (s->fill == PIECE)
            submit(s);
    }
}

void dray_hash_stream_end(struct dray_hash_stream *s, uint8_t out[32])
{
    drain(s);
    (void)SHA256_Update(&s->sha, piece(s, s->last), s->fill);
    (void)SHA256_Final(out, &s->sha);
    (void)SHA256_Init(&s->sha);
    s->fill = 0;
}

void dray_hash_stream_free(struct dray_hash_stream *s)
{
    if (!s)
        return;
    drain(s);
    free(s->pieces);
    free(s);
}
