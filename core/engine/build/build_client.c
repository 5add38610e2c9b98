/* SPDX-License-Identifier: Apache-2.0 */
/* build_client.c - what a client lends to its build under the name of a session: secrets, and
 * connections to its ssh agent. Kept in memory only. */
#include "engine/build/build_priv.h"

#include "base/clock.h"

#include <poll.h>

#define SECRET_MAX (500u * 1024)
#define SESSIONS_MAX 1024u
#define IDLE_NS (600 * DRAY_NS_PER_S)
#define WAIT_NS (200 * 1000 * 1000)
#define AGENT_WAIT_NS (10 * DRAY_NS_PER_S)

/** One secret, or one agent. */
struct item {
    struct item *next;
    char *id;
    bool agent;
    struct dray_buf value; /**< of a secret */
    unsigned servers;      /**< connections of the client that wait for work */
    int fd;                /**< work for one of them; -EBADF none */
};

struct build_client {
    struct build_client *next;
    char *name;
    struct item *items;
    int64_t touched_ns; /**< monotonic */
    unsigned users;     /**< builds and connections */
    bool over;          /**< its build has ended */
};

/* --- the table; all with the lock held ---------------------------------------------------------*/

static void item_free(struct item *i)
{
    if (i->value.data)
        explicit_bzero(i->value.data, i->value.len);
    dray_buf_free(&i->value);
    dray_cleanup_fd(&i->fd);
    free(i->id);
    free(i);
}

static void client_free(struct build_client *c)
{
    while (c->items) {
        struct item *next = c->items->next;
        item_free(c->items);
        c->items = next;
    }
    free(c->name);
    free(c);
}

/* Forget those whose build has ended, or never came. */
static unsigned sweep(struct dray_builds *bs)
{
    unsigned n = 0;
    int64_t old = dray_clock_mono() - IDLE_NS;
    for (struct build_client **at = &bs->clients; *at;) {
        struct build_client *c = *at;
        if (c->users == 0 && (c->over || c->touched_ns < old)) {
            *at = c->next;
            client_free(c);
            continue;
        }
        n++;
        at = &c->next;
    }
    return n;
}

static struct build_client *find_client(struct dray_builds *bs, const char *name)
{
    struct build_client *c = bs->clients;
    while (c && (c->over || strcmp(c->name, name) != 0))
        c = c->next;
    return c;
}

static struct build_client *enter_client(struct dray_builds *bs, const char *name)
{
    struct build_client *c = find_client(bs, name);
    if (!c && sweep(bs) < SESSIONS_MAX && (c = calloc(1, sizeof *c)) != NULL) {
        c->name = strdup(name);
        if (!c->name) {
            free(c);
            return NULL;
        }
        c->next = bs->clients;
        bs->clients = c;
    }
    if (c)
        c->touched_ns = dray_clock_mono();
    return c;
}

static struct item *find_item(struct build_client *c, const char *id, bool agent)
{
    struct item *i = c ? c->items : NULL;
    while (i && (i->agent != agent || strcmp(i->id, id) != 0))
        i = i->next;
    return i;
}

static struct item *enter_item(struct build_client *c, const char *id, bool agent)
{
    struct item *i = find_item(c, id, agent);
    if (i || !c || !(i = calloc(1, sizeof *i)))
        return i;
    i->id = strdup(id);
    if (!i->id) {
        free(i);
        return NULL;
    }
    i->agent = agent;
    i->fd = -EBADF;
    i->next = c->items;
    c->items = i;
    return i;
}

/* --- the client's side -------------------------------------------------------------------------*/

int dray_builds_secret_put(struct dray_builds *bs, const char *session, const char *id,
                           const void *data, size_t len, struct dray_err *err)
{
    if (len > SECRET_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "secret %s is larger than %u bytes", id, SECRET_MAX);
    pthread_mutex_lock(&bs->lock);
    struct item *i = enter_item(enter_client(bs, session), id, false);
    if (i) {
        dray_buf_reset(&i->value);
        dray_buf_add(&i->value, data, len);
    }
    bool ok = i && !i->value.failed;
    pthread_mutex_unlock(&bs->lock);
    return ok ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static bool hung_up(int sock)
{
    struct pollfd p = {.fd = sock, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static void wait_a_little(struct dray_builds *bs)
{
    int64_t until = dray_clock_mono() + WAIT_NS;
    struct timespec ts = {.tv_sec = until / DRAY_NS_PER_S, .tv_nsec = until % DRAY_NS_PER_S};
    (void)pthread_cond_clockwait(&bs->mount_free, &bs->lock, CLOCK_MONOTONIC, &ts);
}

int dray_builds_agent_offer(struct dray_builds *bs, const char *session, const char *id,
                            struct dray_err *err)
{
    pthread_mutex_lock(&bs->lock);
    const struct item *i = enter_item(enter_client(bs, session), id, true);
    pthread_mutex_unlock(&bs->lock);
    return i ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

int dray_builds_agent_wait(struct dray_builds *bs, const char *session, const char *id, int sock,
                           int *fd_out, struct dray_err *err)
{
    int rc = 0;
    *fd_out = -EBADF;
    pthread_mutex_lock(&bs->lock);
    struct build_client *c = enter_client(bs, session);
    struct item *i = enter_item(c, id, true);
    if (!i) {
        pthread_mutex_unlock(&bs->lock);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    c->users++;
    i->servers++;
    while (!rc && i->fd < 0) {
        wait_a_little(bs);
        if (i->fd < 0 && (c->over || hung_up(sock)))
            rc = dray_fail(err, DRAY_E_CANCELED, "the build has ended");
    }
    i->servers--;
    c->users--;
    c->touched_ns = dray_clock_mono();
    if (!rc)
        *fd_out = dray_steal_fd(&i->fd);
    pthread_cond_broadcast(&bs->mount_free);
    pthread_mutex_unlock(&bs->lock);
    return rc;
}

/* --- the build's side --------------------------------------------------------------------------*/

int build_client_secret(struct build *b, const char *id, struct dray_buf *out,
                        struct dray_err *err)
{
    if (b->req->lender)
        return b->req->lender->secret(b->req->ctx, id, out, err);
    pthread_mutex_lock(&b->set->lock);
    const struct item *i = find_item(b->client, id, false);
    if (i)
        dray_buf_add(out, i->value.data ? i->value.data : "", i->value.len);
    pthread_mutex_unlock(&b->set->lock);
    return out->failed ? dray_fail(err, DRAY_E_NOMEM, "out of memory") : i != NULL;
}

bool build_client_has_agent(struct build *b, const char *id)
{
    if (b->req->lender)
        return b->req->lender->has_agent(b->req->ctx, id);
    pthread_mutex_lock(&b->set->lock);
    bool found = find_item(b->client, id, true) != NULL;
    pthread_mutex_unlock(&b->set->lock);
    return found;
}

bool build_client_agent(struct build *b, const char *id, int fd /* takes */, int stop_fd)
{
    if (b->req->lender)
        return b->req->lender->agent(b->req->ctx, id, fd);
    struct dray_builds *bs = b->set;
    int64_t end = dray_clock_mono() + AGENT_WAIT_NS;
    bool given = false;
    pthread_mutex_lock(&bs->lock);
    struct item *i = find_item(b->client, id, true);
    while (i && !given && dray_clock_mono() < end && !img_fd_ready(stop_fd)) {
        given = i->servers > 0 && i->fd < 0;
        if (given)
            i->fd = fd;
        else
            wait_a_little(bs);
    }
    pthread_cond_broadcast(&bs->mount_free);
    pthread_mutex_unlock(&bs->lock);
    if (!given)
        (void)close(fd);
    return given;
}

void build_client_begin(struct build *b)
{
    const char *name = b->req->session;
    if (!name || !*name)
        return;
    pthread_mutex_lock(&b->set->lock);
    b->client = find_client(b->set, name);
    if (b->client)
        b->client->users++;
    pthread_mutex_unlock(&b->set->lock);
}

void build_client_end(struct build *b)
{
    if (!b->client)
        return;
    pthread_mutex_lock(&b->set->lock);
    b->client->users--;
    b->client->over = true;
    (void)sweep(b->set);
    pthread_cond_broadcast(&b->set->mount_free);
    pthread_mutex_unlock(&b->set->lock);
}

void build_clients_free(struct dray_builds *bs)
{
    while (bs->clients) {
        struct build_client *next = bs->clients->next;
        client_free(bs->clients);
        bs->clients = next;
    }
}
