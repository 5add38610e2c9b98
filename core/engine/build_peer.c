/* SPDX-License-Identifier: Apache-2.0 */
/* build_peer.c - talks to the client of a build over one stream: a loop that never waits elsewhere.
 */
#include "engine/build_peer.h"

#include "base/clock.h"
#include "base/peerwire.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define ANSWER_MS 30000
#define END_WAIT_S 5
#define MAX_CHANNELS 256
/** Bytes that may wait for a side that does not read. */
#define MAX_PENDING (1u << 20)

/** Something that was asked of the client; on the asker's stack. */
struct request {
    struct request *next;
    uint32_t channel;
    int event; /* readable once answered */
    bool answered, found;
    struct dray_buf answer;
};

/** A listening socket whose connections go to an agent. */
struct dray_build_agent {
    struct dray_build_agent *next;
    struct dray_build_peer *peer;
    char *id;
    int listener;
    bool closed;
    unsigned refs; /* the loop's, the caller's */
};

/** One connection to the agent; the loop's own. */
struct channel {
    struct channel *next;
    struct dray_build_agent *agent;
    uint32_t number;
    int fd;
    struct dray_buf pending; /* for fd */
    bool ended;              /* the client has closed: what is pending is the last */
};

struct dray_build_peer {
    struct dray_build_peer *next;
    struct dray_build_peers *set;
    char *id;
    unsigned refs; /* set->lock */
    int wake;
    pthread_mutex_t lock; /* guards all below. order: after set->lock */
    struct dray_buf out;  /* frames for the client */
    struct request *requests;
    struct dray_build_agent *agents;
    uint32_t last_channel;
    bool gone;
};

struct dray_build_peers {
    pthread_mutex_t lock; /* guards the list and the counts of references. order: first */
    pthread_cond_t left;  /* a client has gone */
    struct dray_build_peer *list;
};

/** What the loop alone touches. */
struct loop {
    struct dray_build_peer *p;
    int sock;
    struct dray_buf in;
    struct channel *channels;
    size_t n_channels;
};

/* --- the set -----------------------------------------------------------------------------------*/

struct dray_build_peers *dray_build_peers_new(void)
{
    struct dray_build_peers *set = calloc(1, sizeof *set);
    if (set)
        pthread_mutex_init(&set->lock, NULL), pthread_cond_init(&set->left, NULL);
    return set;
}

static void wake(struct dray_build_peer *p)
{
    uint64_t one = 1;
    (void)!write(p->wake, &one, sizeof one);
}

void dray_build_peers_free(struct dray_build_peers *set)
{
    struct timespec end;
    if (!set)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += END_WAIT_S;
    pthread_mutex_lock(&set->lock);
    for (struct dray_build_peer *p = set->list; p; p = p->next) {
        pthread_mutex_lock(&p->lock);
        p->gone = true;
        pthread_mutex_unlock(&p->lock);
        wake(p);
    }
    int rc = 0;
    while (set->list && rc == 0)
        rc = pthread_cond_timedwait(&set->left, &set->lock, &end);
    bool left = set->list == NULL;
    pthread_mutex_unlock(&set->lock);
    if (!left)
        return; /* a thread still looks at it: the process ends anyway */
    pthread_cond_destroy(&set->left);
    pthread_mutex_destroy(&set->lock);
    free(set);
}

static void peer_free(struct dray_build_peer *p)
{
    dray_cleanup_fd(&p->wake);
    peer_wipe(&p->out);
    pthread_mutex_destroy(&p->lock);
    free(p->id);
    free(p);
}

void dray_build_peer_unref(struct dray_build_peer *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->set->lock);
    bool last = --p->refs == 0;
    pthread_mutex_unlock(&p->set->lock);
    if (last)
        peer_free(p);
}

/* Lock held. */
static struct dray_build_peer *find(struct dray_build_peers *set, const char *id)
{
    struct dray_build_peer *p = set->list;
    while (p && strcmp(p->id, id) != 0)
        p = p->next;
    return p;
}

struct dray_build_peer *dray_build_peer_find(struct dray_build_peers *set, const char *id)
{
    pthread_mutex_lock(&set->lock);
    struct dray_build_peer *p = find(set, id);
    if (p)
        p->refs++;
    pthread_mutex_unlock(&set->lock);
    return p;
}

static int check_id(const char *id, struct dray_err *err)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    if (n < 32 || n > 128 || id[n])
        return dray_fail(err, DRAY_E_INVAL, "invalid session id");
    return 0;
}

int dray_build_peers_join(struct dray_build_peers *set, const char *id,
                          struct dray_build_peer **out, struct dray_err *err)
{
    int rc = check_id(id, err);
    if (rc)
        return rc;
    struct dray_build_peer *p = calloc(1, sizeof *p);
    if (!p)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *p = (struct dray_build_peer){.set = set, .refs = 1, .id = strdup(id)};
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&p->lock, NULL);
    if (!p->id || p->wake < 0) {
        peer_free(p);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    pthread_mutex_lock(&set->lock);
    bool taken = find(set, id) != NULL;
    if (!taken) {
        p->next = set->list;
        set->list = p;
    }
    pthread_mutex_unlock(&set->lock);
    if (taken) {
        peer_free(p);
        return dray_fail(err, DRAY_E_CONFLICT, "a session with this id exists");
    }
    *out = p;
    return 0;
}

static void leave(struct dray_build_peer *p)
{
    pthread_mutex_lock(&p->set->lock);
    struct dray_build_peer **at = &p->set->list;
    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
    struct dray_build_peers *set = p->set;
    bool last = --p->refs == 0;
    pthread_cond_broadcast(&set->left);
    pthread_mutex_unlock(&set->lock);
    if (last)
        peer_free(p);
}

/* --- agents ------------------------------------------------------------------------------------*/

/* Lock held. */
static void agent_unref(struct dray_build_agent *a)
{
    if (--a->refs)
        return;
    dray_cleanup_fd(&a->listener);
    free(a->id);
    free(a);
}

void dray_build_agent_close(struct dray_build_agent *a)
{
    if (!a)
        return;
    struct dray_build_peer *p = a->peer;
    pthread_mutex_lock(&p->lock);
    a->closed = true;
    (void)shutdown(a->listener, SHUT_RDWR);
    agent_unref(a);
    pthread_mutex_unlock(&p->lock);
    wake(p);
    dray_build_peer_unref(p);
}

static void channel_free(struct loop *l, struct channel **at)
{
    struct channel *c = *at;
    *at = c->next;
    l->n_channels--;
    (void)close(c->fd);
    dray_buf_free(&c->pending);
    pthread_mutex_lock(&l->p->lock);
    agent_unref(c->agent);
    pthread_mutex_unlock(&l->p->lock);
    free(c);
}

static void say(struct dray_build_peer *p, enum peer_type type, uint32_t channel, const void *data,
                size_t n)
{
    pthread_mutex_lock(&p->lock);
    peer_put(&p->out, type, channel, data, n);
    pthread_mutex_unlock(&p->lock);
}

/* A process of the step has connected. */
static void accept_one(struct loop *l, struct dray_build_agent *a)
{
    int fd = accept4(a->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct channel *c = l->n_channels < MAX_CHANNELS ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        (void)close(fd);
        return;
    }
    pthread_mutex_lock(&l->p->lock);
    a->refs++;
    *c = (struct channel){l->channels, a, ++l->p->last_channel, fd, {0}, false};
    peer_put(&l->p->out, PEER_OPEN, c->number, a->id, strlen(a->id));
    pthread_mutex_unlock(&l->p->lock);
    l->channels = c;
    l->n_channels++;
}

/* Move what a channel has; false: it is over. */
static bool step_channel(struct loop *l, struct channel *c, short revents)
{
    char buf[16384];
    while (c->pending.len) {
        ssize_t n = send(c->fd, c->pending.data, c->pending.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        c->pending.len -= (size_t)n;
        memmove(c->pending.data, c->pending.data + n, c->pending.len);
    }
    if (c->ended && c->pending.len == 0)
        return false;
    if (!(revents & (POLLIN | POLLHUP | POLLERR)))
        return true;
    ssize_t n = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n > 0)
        say(l->p, PEER_DATA, c->number, buf, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* --- frames from the client --------------------------------------------------------------------*/

static void take_answer(struct loop *l, const struct peer_frame *f)
{
    uint64_t one = 1;
    pthread_mutex_lock(&l->p->lock);
    for (struct request *r = l->p->requests; r; r = r->next)
        if (r->channel == f->channel && !r->answered) {
            r->answered = true;
            r->found = f->type == PEER_VALUE;
            dray_buf_add(&r->answer, f->data, f->n);
            (void)!write(r->event, &one, sizeof one);
        }
    pthread_mutex_unlock(&l->p->lock);
}

static void take_data(struct loop *l, const struct peer_frame *f)
{
    for (struct channel *c = l->channels; c; c = c->next)
        if (c->number == f->channel) {
            if (f->type == PEER_DATA && c->pending.len + f->n <= MAX_PENDING)
                dray_buf_add(&c->pending, f->data, f->n);
            else
                c->ended = true;
            c->ended = c->ended || c->pending.failed;
        }
}

/* False: that was no frame. */
static bool take_frames(struct loop *l)
{
    size_t from = 0;
    struct peer_frame f;
    ssize_t n = 0;
    while ((n = peer_take(l->in.data + from, l->in.len - from, &f)) > 0) {
        if (f.type == PEER_VALUE || f.type == PEER_NONE)
            take_answer(l, &f);
        else if (f.type == PEER_DATA || f.type == PEER_CLOSE)
            take_data(l, &f);
        else
            return false;
        from += (size_t)n;
    }
    memmove(l->in.data, l->in.data + from, l->in.len - from);
    explicit_bzero(l->in.data + l->in.len - from, from);
    l->in.len -= from;
    return n == 0;
}

static bool read_client(struct loop *l)
{
    char *room = dray_buf_room(&l->in, 65536);
    ssize_t n = room ? recv(l->sock, room, 65536, MSG_DONTWAIT) : -1;
    if (n < 0 && room)
        return errno == EAGAIN || errno == EINTR;
    if (n <= 0)
        return false;
    l->in.len += (size_t)n;
    return take_frames(l);
}

static bool write_client(struct loop *l)
{
    struct dray_build_peer *p = l->p;
    pthread_mutex_lock(&p->lock);
    ssize_t n =
        p->out.len ? send(l->sock, p->out.data, p->out.len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    bool ok = n >= 0 || errno == EAGAIN || errno == EINTR;
    if (n > 0) {
        p->out.len -= (size_t)n;
        memmove(p->out.data, p->out.data + n, p->out.len);
    }
    ok = ok && !p->out.failed;
    pthread_mutex_unlock(&p->lock);
    return ok;
}

/* --- the loop ----------------------------------------------------------------------------------*/

/** What is polled: the client, the wake, agents, channels. */
struct polled {
    struct pollfd fds[2 + 2 * MAX_CHANNELS];
    struct dray_build_agent *agents[MAX_CHANNELS];
    struct channel *channels[MAX_CHANNELS];
    size_t n_agents, n_channels;
};

/* Agents that were closed go, with their channels; the others are referred to while polled. */
static void gather(struct loop *l, struct polled *p)
{
    pthread_mutex_lock(&l->p->lock);
    bool full = l->p->out.len > MAX_PENDING;
    p->fds[0] = (struct pollfd){l->sock, (short)(POLLIN | (l->p->out.len ? POLLOUT : 0)), 0};
    p->fds[1] = (struct pollfd){l->p->wake, POLLIN, 0};
    p->n_agents = p->n_channels = 0;
    for (struct dray_build_agent **at = &l->p->agents; *at;) {
        struct dray_build_agent *a = *at;
        if (a->closed) {
            *at = a->next;
            agent_unref(a);
            continue;
        }
        if (p->n_agents < MAX_CHANNELS) {
            p->fds[2 + p->n_agents] = (struct pollfd){a->listener, POLLIN, 0};
            p->agents[p->n_agents++] = a;
            a->refs++;
        }
        at = &a->next;
    }
    pthread_mutex_unlock(&l->p->lock);
    for (struct channel *c = l->channels; c; c = c->next) {
        short want = (short)((full ? 0 : POLLIN) | (c->pending.len ? POLLOUT : 0));
        p->fds[2 + p->n_agents + p->n_channels] = (struct pollfd){c->fd, want, 0};
        p->channels[p->n_channels++] = c;
    }
}

static void drop_closed(struct loop *l)
{
    for (struct channel **at = &l->channels; *at;) {
        pthread_mutex_lock(&l->p->lock);
        bool over = (*at)->agent->closed || ((*at)->ended && (*at)->pending.len == 0);
        pthread_mutex_unlock(&l->p->lock);
        if (over)
            channel_free(l, at);
        else
            at = &(*at)->next;
    }
}

static void end_channel(struct loop *l, const struct channel *c)
{
    struct channel **at = &l->channels;
    while (*at && *at != c)
        at = &(*at)->next;
    if (!*at)
        return;
    say(l->p, PEER_CLOSE, c->number, "", 0);
    channel_free(l, at);
}

static bool turn(struct loop *l, struct polled *p)
{
    uint64_t count = 0;
    drop_closed(l);
    gather(l, p);
    bool ok = poll(p->fds, 2 + p->n_agents + p->n_channels, -1) >= 0 || errno == EINTR;
    (void)!read(l->p->wake, &count, sizeof count);
    const struct pollfd *channels = p->fds + 2 + p->n_agents;
    for (size_t i = 0; i < p->n_channels; i++)
        if (!step_channel(l, p->channels[i], channels[i].revents))
            end_channel(l, p->channels[i]);
    for (size_t i = 0; i < p->n_agents; i++)
        if (p->fds[2 + i].revents & POLLIN)
            accept_one(l, p->agents[i]);
    if (ok && p->fds[0].revents & (POLLIN | POLLHUP | POLLERR))
        ok = read_client(l);
    ok = ok && write_client(l);
    pthread_mutex_lock(&l->p->lock);
    ok = ok && !l->p->gone;
    for (size_t i = 0; i < p->n_agents; i++)
        agent_unref(p->agents[i]);
    pthread_mutex_unlock(&l->p->lock);
    return ok;
}

/* Nobody is left waiting for a client that has gone. */
static void end_loop(struct loop *l)
{
    uint64_t one = 1;
    while (l->channels)
        channel_free(l, &l->channels);
    pthread_mutex_lock(&l->p->lock);
    l->p->gone = true;
    for (struct request *r = l->p->requests; r; r = r->next)
        (void)!write(r->event, &one, sizeof one);
    while (l->p->agents) {
        struct dray_build_agent *a = l->p->agents;
        l->p->agents = a->next;
        (void)shutdown(a->listener, SHUT_RDWR);
        agent_unref(a);
    }
    pthread_mutex_unlock(&l->p->lock);
    peer_wipe(&l->in);
}

void dray_build_peer_serve(struct dray_build_peer *p, int sock)
{
    struct loop l = {.p = p, .sock = sock};
    struct polled *polled = sock >= 0 ? calloc(1, sizeof *polled) : NULL;
    while (polled && turn(&l, polled))
        continue;
    free(polled);
    end_loop(&l);
    leave(p);
}

/* --- questions ---------------------------------------------------------------------------------*/

/* Until the answer, the end of the client, of the build, or of our patience. */
static int await(const struct request *r, int cancel_fd, struct dray_err *err)
{
    struct pollfd fds[2] = {{r->event, POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    int64_t end = dray_clock_mono() + (int64_t)ANSWER_MS * 1000000;
    for (;;) {
        int64_t left = (end - dray_clock_mono()) / 1000000;
        int n = poll(fds, cancel_fd >= 0 ? 2 : 1, left > 0 ? (int)left : 0);
        if (n < 0 && errno != EINTR)
            return dray_fail_errno(err, "wait for the client of the build");
        if (n > 0 && fds[0].revents)
            return 0;
        if (n > 0 && fds[1].revents)
            return dray_fail(err, DRAY_E_CANCELED, "the build was canceled");
        if (n == 0)
            return dray_fail(err, DRAY_E_TIMEOUT, "the client of the build does not answer");
    }
}

static void forget(struct dray_build_peer *p, const struct request *r)
{
    struct request **at = &p->requests;
    pthread_mutex_lock(&p->lock);
    while (*at && *at != r)
        at = &(*at)->next;
    if (*at)
        *at = r->next;
    pthread_mutex_unlock(&p->lock);
}

/* Ask; found with its value, NOTFOUND, or another failure. */
static int ask(struct dray_build_peer *p, enum peer_type type, const char *id, int cancel_fd,
               struct dray_buf *out, struct dray_err *err)
{
    dray_autofd int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct request r = {.event = event};
    if (event < 0)
        return dray_fail_errno(err, "eventfd");
    pthread_mutex_lock(&p->lock);
    bool gone = p->gone;
    if (!gone) {
        r.channel = ++p->last_channel;
        r.next = p->requests;
        /* cppcheck-suppress autoVariables ; forget() takes it out again */
        p->requests = &r;
        peer_put(&p->out, type, r.channel, id, strlen(id));
    }
    pthread_mutex_unlock(&p->lock);
    int rc = 0;
    if (!gone) {
        wake(p);
        rc = await(&r, cancel_fd, err);
        forget(p, &r);
    }
    if (rc == 0 && (gone || !r.answered))
        rc = dray_fail(err, DRAY_E_CANCELED, "the client of the build has gone");
    else if (rc == 0 && r.answer.failed)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    else if (rc == 0 && !r.found)
        rc = DRAY_E_NOTFOUND;
    if (rc == 0 && out)
        dray_buf_add(out, r.answer.data ? r.answer.data : "", r.answer.len);
    peer_wipe(&r.answer);
    return rc;
}

int dray_build_peer_secret(struct dray_build_peer *p, const char *id, int cancel_fd,
                           struct dray_buf *out, struct dray_err *err)
{
    int rc = p ? ask(p, PEER_SECRET, id, cancel_fd, out, err) : DRAY_E_NOTFOUND;
    if (rc == DRAY_E_NOTFOUND)
        return dray_fail(err, rc, "secret %s: not found", id);
    if (rc == 0 && (out->failed || out->len > PEER_SECRET_MAX))
        return dray_fail(err, DRAY_E_LIMIT, "secret %s is larger than %u bytes", id,
                         PEER_SECRET_MAX);
    return rc;
}

int dray_build_peer_agent(struct dray_build_peer *p, const char *id, int listener /* takes */,
                          int cancel_fd, struct dray_build_agent **out, struct dray_err *err)
{
    dray_autofd int fd = listener;
    int rc = p ? ask(p, PEER_QUERY, id, cancel_fd, NULL, err) : DRAY_E_NOTFOUND;
    if (rc == DRAY_E_NOTFOUND)
        return dray_fail(err, rc, "no SSH key \"%s\" forwarded from the client", id);
    if (rc != 0)
        return rc;
    struct dray_build_agent *a = calloc(1, sizeof *a);
    char *copy = strdup(id);
    if (!a || !copy || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        free(a);
        free(copy);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    *a = (struct dray_build_agent){.peer = p, .id = copy, .listener = fd, .refs = 2};
    pthread_mutex_lock(&p->set->lock);
    p->refs++;
    pthread_mutex_unlock(&p->set->lock);
    pthread_mutex_lock(&p->lock);
    if (p->gone) {
        a->refs--;
    } else {
        a->next = p->agents;
        p->agents = a;
    }
    pthread_mutex_unlock(&p->lock);
    (void)dray_steal_fd(&fd);
    wake(p);
    *out = a;
    return 0;
}
