/* SPDX-License-Identifier: Apache-2.0 */
/* container_attach.c - attaching a client's socket to a container, before or while it runs. */
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/container/shims.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#define DRAY_LOG_AREA "attach"
#define ASK_TIMEOUT_MS 10000
#define EXIT_WAIT_MS 2000
#define ANNOUNCED_WAIT_NS (5 * DRAY_NS_PER_S)
#define DEFAULT_KEYS "ctrl-p,ctrl-q"

/* "ctrl-p,ctrl-q", "a", "ctrl-[,x". As with Docker "ctrl-A" is none. */
static bool parse_key(const char *key, struct json_object *out)
{
    int byte = -1;
    if (strlen(key) == 1) {
        byte = (unsigned char)key[0];
    } else if (strncmp(key, "ctrl-", 5) == 0 && strlen(key) == 6) {
        static const char names[] = "@abcdefghijklmnopqrstuvwxyz[\\]^_";
        const char *at = strchr(names, key[5]);
        if (at)
            byte = (int)(at - names);
    } else if (strcmp(key, "DEL") == 0) {
        byte = 127;
    }
    if (byte >= 0)
        json_object_array_add(out, json_object_new_int(byte));
    return byte >= 0;
}

/* Docker calls them "escape" keys of an exec, "detach" keys of a container. */
static int parse_keys(const char *text, const char *kind, struct json_object **out,
                      struct dray_err *err)
{
    dray_autojson *list = json_object_new_array();
    DRAY_AUTO(dray_strlist) keys = {0};
    dray_strlist_split(&keys, text && *text ? text : DEFAULT_KEYS, ',');
    for (size_t i = 0; i < keys.n; i++)
        if (!parse_key(keys.v[i], list))
            return dray_fail(err, DRAY_E_INVAL, "Invalid %s keys (%s) provided", kind, text);
    *out = dray_steal(list);
    return 0;
}

int dray_attach_check_keys(const char *keys, struct dray_err *err)
{
    dray_autojson *list = NULL;
    return parse_keys(keys, "escape", &list, err);
}

struct json_object *dray_attach_message(const struct dray_attach_req *req, bool tty,
                                        const char *exec_id)
{
    struct json_object *m = json_object_new_object(), *keys = NULL;
    dray_json_add_str(m, "op", exec_id ? "exec" : "attach");
    if (exec_id)
        dray_json_add_str(m, "exec", exec_id);
    dray_json_add_bool(m, "stdin", req->stdin_);
    dray_json_add_bool(m, "stdout", req->stdout_);
    dray_json_add_bool(m, "stderr", req->stderr_ && !tty);
    dray_json_add_bool(m, "framed", !tty && !req->plain);
    if (parse_keys(req->detach_keys, "detach", &keys, NULL) == 0)
        dray_json_add(m, "detach_keys", keys);
    return m;
}

/* An attach whose client may hear of it any moment, and that is not in the list yet. */
struct dray_attach_ticket {
    struct dray_container *c;
};

static struct dray_attach_ticket *announce(struct dray_container *c)
{
    struct dray_attach_ticket *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->c = dray_container_ref(c);
    pthread_mutex_lock(&c->lock);
    c->announced++;
    pthread_mutex_unlock(&c->lock);
    return t;
}

void dray_attach_ticket_drop(struct dray_attach_ticket *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->c->lock);
    t->c->announced--;
    pthread_cond_broadcast(&t->c->changed);
    pthread_mutex_unlock(&t->c->lock);
    dray_container_unref(t->c);
    free(t);
}

int dray_containers_attach_prepare(struct dray_containers *cs, const char *name,
                                   const struct dray_attach_req *req, bool *tty_out,
                                   struct dray_attach_ticket **ticket_out, struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = dray_container_find(cs, name, &c, err);
    if (rc != 0)
        return rc;
    dray_autojson *keys = NULL;
    rc = parse_keys(req->detach_keys, "detach", &keys, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&c->lock);
    enum dray_container_status st = c->st.status;
    pthread_mutex_unlock(&c->lock);
    if (st == DRAY_CS_PAUSED)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "container %s is paused, unpause the container before attach", c->id);
    if (st == DRAY_CS_RESTARTING)
        return dray_fail(err, DRAY_E_CONFLICT,
                         "container %s is restarting, wait until the container is running", c->id);
    *tty_out = c->tty;
    *ticket_out = announce(c);
    return *ticket_out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/** Wait for the end of the session; `watch_client` also for the client's (before the shim has it).
 */
static void await_done(int done, int sock, bool watch_client, char *how)
{
    struct pollfd p[2] = {{.fd = done, .events = POLLIN},
                          {.fd = watch_client ? sock : -1, .events = POLLRDHUP}};
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return;
        if (p[0].revents) {
            char byte = 0;
            if (read(done, &byte, 1) == 1)
                *how = byte;
            return;
        }
        if (p[1].revents & (POLLHUP | POLLERR | POLLRDHUP))
            return;
    }
}

/** Leave the list; false if somebody has taken the entry already. */
static bool withdraw(struct dray_container *c, struct dray_pending_attach *mine)
{
    pthread_mutex_lock(&c->lock);
    struct dray_pending_attach **at = &c->pending;
    while (*at && *at != mine)
        at = &(*at)->next;
    bool found = *at != NULL;
    if (found)
        *at = mine->next;
    pthread_mutex_unlock(&c->lock);
    return found;
}

/** A stdin that is half-closed before the start is no goodbye: only a full hang-up is. */
static bool client_gone(int sock)
{
    struct pollfd p = {.fd = sock, .events = 0};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

/** A session has ended. The end of the output overtakes the news of the exit, which takes another
 *  connection: the client that still listens sees its end after it, so that an inspect right then
 *  tells the exit code. */
static void session_over(struct dray_container *c, const struct dray_attach_req *req, int sock,
                         char how)
{
    if (how == 'd')
        dray_container_event(c, "detach", NULL);
    else if ((req->stdout_ || req->stderr_) && !client_gone(sock))
        (void)dray_container_wait_stopped(c, EXIT_WAIT_MS);
}

static void wait_pending(struct dray_container *c, struct dray_pending_attach *entry, int done)
{
    char how = 0;
    await_done(done, entry->sock, true, &how);
    while (!client_gone(entry->sock)) {
        struct pollfd p = {.fd = done, .events = POLLIN};
        if (poll(&p, 1, 1000) != 0)
            break;
    }
    if (withdraw(c, entry))
        (void)close(entry->done);
    else /* the shim has it: it tells the end */
        await_done(done, -1, false, &how);
    session_over(c, entry->req, entry->sock, how);
}

static int attach_running(struct dray_container *c, const struct dray_attach_req *req, int sock,
                          struct dray_err *err)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    dray_autofd int done = pipe_fds[0];
    dray_autofd int theirs = pipe_fds[1];
    dray_autofd int shim = -EBADF;
    int rc = dray_shims_connect(c->set->shims, c->id, &shim, err);
    const int fds[] = {sock, theirs};
    if (rc == 0)
        rc = dray_shim_call(shim, dray_attach_message(req, c->tty, NULL), fds, 2, ASK_TIMEOUT_MS,
                            NULL, err);
    if (rc != 0)
        return rc;
    (void)close(dray_steal_fd(&theirs));
    (void)close(dray_steal_fd(&shim));
    char how = 0;
    await_done(done, sock, false, &how);
    session_over(c, req, sock, how);
    return 0;
}

static int attach_pending(struct dray_container *c, const struct dray_attach_req *req, int sock,
                          struct dray_attach_ticket *ticket /* takes */, bool *now_running,
                          struct dray_err *err)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        dray_attach_ticket_drop(ticket);
        return dray_fail_errno(err, "make a pipe");
    }
    dray_autofd int done = pipe_fds[0];
    struct dray_pending_attach entry = {
        .req = req, .sock = sock, .done = pipe_fds[1], .tty = c->tty};
    pthread_mutex_lock(&c->lock);
    *now_running = c->accepts_attach;
    if (!*now_running && !c->removed) {
        entry.next = c->pending;
        /* cppcheck-suppress autoVariables ; taken out of the list below */
        c->pending = &entry;
    }
    bool removed = c->removed;
    pthread_mutex_unlock(&c->lock);
    dray_attach_ticket_drop(ticket);
    if (*now_running || removed) {
        (void)close(entry.done);
        return 0;
    }
    wait_pending(c, &entry, done);
    return 0;
}

struct logs_to {
    int sock;
};

static int write_sock(void *ctx, const void *data, size_t len)
{
    const struct logs_to *to = ctx;
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(to->sock, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return DRAY_E_CANCELED;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

static int send_logs(struct dray_container *c, const struct dray_attach_req *req, int sock,
                     struct dray_err *err)
{
    struct logs_to to = {.sock = sock};
    struct dray_logs_req logs = {.stdout_ = req->stdout_,
                                 .stderr_ = req->stderr_,
                                 .raw = req->plain,
                                 .tail = -1,
                                 .client = -1};
    return dray_containers_logs(c->set, c->id, &logs, write_sock, &to, err);
}

int dray_containers_attach(struct dray_attach_ticket *ticket, const struct dray_attach_req *req,
                           int sock, struct dray_err *err)
{
    dray_autocontainer *c = dray_container_ref(ticket->c);
    int rc = req->logs ? send_logs(c, req, sock, err) : 0;
    if (rc != 0 || !req->stream) {
        dray_attach_ticket_drop(ticket);
        return rc;
    }
    dray_container_event(c, "attach", NULL);
    bool running = false;
    rc = attach_pending(c, req, sock, ticket, &running, err);
    if (rc == 0 && running)
        rc = attach_running(c, req, sock, err);
    return rc;
}

void dray_container_await_announced(struct dray_container *c)
{
    int64_t end = dray_clock_mono() + ANNOUNCED_WAIT_NS;
    struct timespec ts = {.tv_sec = end / DRAY_NS_PER_S, .tv_nsec = end % DRAY_NS_PER_S};
    int timed_out = 0;
    pthread_mutex_lock(&c->lock);
    while (c->announced > 0 && timed_out == 0)
        timed_out = pthread_cond_timedwait(&c->changed, &c->lock, &ts);
    pthread_mutex_unlock(&c->lock);
}
