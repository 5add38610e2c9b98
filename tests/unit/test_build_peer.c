/* SPDX-License-Identifier: Apache-2.0 */
/* test_build_peer.c - the daemon's end of a build's session: secrets, agents, clients that go. */
#include "engine/build_peer.h"

#include "base/clock.h"
#include "base/peerwire.h"

#include "check.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ID "0123456789abcdef0123456789abcdef"

/** A session with its thread, and our end of the stream. */
struct rig {
    struct dray_build_peers *set;
    struct dray_build_peer *peer, *held;
    int sock[2];
    pthread_t server, client;
    bool silent;
};

static void *serve(void *arg)
{
    struct rig *r = arg;
    dray_build_peer_serve(r->peer, r->sock[0]);
    (void)close(r->sock[0]);
    return NULL;
}

static void answer(int fd, enum peer_type type, uint32_t channel, const void *data, size_t n)
{
    DRAY_AUTO(dray_buf) b = {0};
    peer_put(&b, type, channel, data, n);
    (void)!send(fd, b.data, b.len, MSG_NOSIGNAL);
}

/* A client: knows secret "s" (with a NUL) and agent "a", which says everything back. */
static void react(struct rig *r, const struct peer_frame *f)
{
    bool known = f->n == 1 && (f->data[0] == 's' || f->data[0] == 'a');
    int fd = r->sock[1];
    if (f->type == PEER_SECRET)
        answer(fd, known ? PEER_VALUE : PEER_NONE, f->channel, "se\0cret", known ? 7 : 0);
    else if (f->type == PEER_QUERY)
        answer(fd, known ? PEER_VALUE : PEER_NONE, f->channel, "", 0);
    else if (f->type == PEER_DATA && f->n == 3 && memcmp(f->data, "end", 3) == 0)
        answer(fd, PEER_CLOSE, f->channel, "", 0);
    else if (f->type == PEER_DATA)
        answer(fd, PEER_DATA, f->channel, f->data, f->n);
}

static void *play(void *arg)
{
    struct rig *r = arg;
    DRAY_AUTO(dray_buf) in = {0};
    for (;;) {
        struct peer_frame f;
        ssize_t n = 0;
        char *room = dray_buf_room(&in, 65536);
        n = recv(r->sock[1], room, 65536, 0);
        if (n <= 0)
            return NULL;
        in.len += (size_t)n;
        while (!r->silent && (n = peer_take(in.data, in.len, &f)) > 0) {
            react(r, &f);
            in.len -= (size_t)n;
            memmove(in.data, in.data + n, in.len);
        }
    }
}

static void rig_open(struct rig *r, bool silent)
{
    *r = (struct rig){.set = dray_build_peers_new(), .silent = silent};
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, r->sock), 0);
    CU_ASSERT_EQUAL_FATAL(dray_build_peers_join(r->set, ID, &r->peer, NULL), 0);
    r->held = dray_build_peer_find(r->set, ID);
    CU_ASSERT_PTR_NOT_NULL_FATAL(r->held);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&r->server, NULL, serve, r), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&r->client, NULL, play, r), 0);
}

static void rig_close(struct rig *r)
{
    (void)shutdown(r->sock[1], SHUT_RDWR);
    (void)pthread_join(r->client, NULL);
    (void)pthread_join(r->server, NULL);
    (void)close(r->sock[1]);
    CU_ASSERT_PTR_NULL(dray_build_peer_find(r->set, ID));
    dray_build_peer_unref(r->held);
    dray_build_peers_free(r->set);
}

static void secrets(void)
{
    struct rig r;
    struct dray_err err = {0};
    struct dray_buf out = {0};
    rig_open(&r, false);
    CU_ASSERT_EQUAL(dray_build_peer_secret(r.held, "s", -1, &out, &err), 0);
    CU_ASSERT_EQUAL(out.len, 7);
    CU_ASSERT(out.len == 7 && memcmp(out.data, "se\0cret", 7) == 0);
    peer_wipe(&out);
    CU_ASSERT_EQUAL(dray_build_peer_secret(r.held, "x", -1, &out, &err), DRAY_E_NOTFOUND);
    CU_ASSERT_STRING_EQUAL(err.text, "secret x: not found");
    CU_ASSERT_EQUAL(dray_build_peer_secret(NULL, "s", -1, &out, &err), DRAY_E_NOTFOUND);
    rig_close(&r);
}

static int listen_at(struct sockaddr_un *a)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(a->sun_path, sizeof a->sun_path, "/tmp/dray-peer-test.%d", getpid());
    (void)unlink(a->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)a, sizeof *a), 0);
    CU_ASSERT_EQUAL_FATAL(listen(fd, 8), 0);
    return fd;
}

static int connect_at(const struct sockaddr_un *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL(connect(fd, (const struct sockaddr *)a, sizeof *a), 0);
    return fd;
}

/* What comes back of a text. */
static void expect_echo(int fd, const char *text)
{
    char buf[64] = "";
    CU_ASSERT_EQUAL(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    CU_ASSERT_EQUAL(recv(fd, buf, strlen(text), MSG_WAITALL), (ssize_t)strlen(text));
    CU_ASSERT_STRING_EQUAL(buf, text);
}

static void agents(void)
{
    struct rig r;
    struct sockaddr_un a;
    struct dray_build_agent *agent = NULL;
    struct dray_err err = {0};
    char c = 0;
    rig_open(&r, false);
    CU_ASSERT_EQUAL(dray_build_peer_agent(r.held, "b", listen_at(&a), -1, &agent, &err),
                    DRAY_E_NOTFOUND);
    CU_ASSERT_STRING_EQUAL(err.text, "no SSH key \"b\" forwarded from the client");
    CU_ASSERT_EQUAL_FATAL(dray_build_peer_agent(r.held, "a", listen_at(&a), -1, &agent, &err), 0);
    int x = connect_at(&a), y = connect_at(&a);
    expect_echo(x, "hello");
    expect_echo(y, "you");
    expect_echo(x, "again");
    /* The client ends one of them; the other lives on. */
    CU_ASSERT_EQUAL(send(x, "end", 3, MSG_NOSIGNAL), 3);
    CU_ASSERT_EQUAL(recv(x, &c, 1, 0), 0);
    expect_echo(y, "still");
    dray_build_agent_close(agent);
    CU_ASSERT_EQUAL(recv(y, &c, 1, 0), 0);
    (void)close(x);
    (void)close(y);
    (void)unlink(a.sun_path);
    rig_close(&r);
}

static void big_messages(void)
{
    struct rig r;
    struct sockaddr_un a;
    struct dray_build_agent *agent = NULL;
    char *data = malloc(200000), *back = malloc(200000);
    rig_open(&r, false);
    CU_ASSERT_EQUAL_FATAL(dray_build_peer_agent(r.held, "a", listen_at(&a), -1, &agent, NULL), 0);
    int x = connect_at(&a);
    for (size_t i = 0; i < 200000; i++)
        data[i] = (char)(i * 31);
    CU_ASSERT_EQUAL(send(x, data, 200000, MSG_NOSIGNAL), 200000);
    CU_ASSERT_EQUAL(recv(x, back, 200000, MSG_WAITALL), 200000);
    CU_ASSERT(memcmp(data, back, 200000) == 0);
    free(data);
    free(back);
    (void)close(x);
    dray_build_agent_close(agent);
    (void)unlink(a.sun_path);
    rig_close(&r);
}

static void canceled(void)
{
    struct rig r;
    struct dray_err err = {0};
    struct dray_buf out = {0};
    rig_open(&r, true);
    int cancel = eventfd(1, EFD_CLOEXEC);
    CU_ASSERT_EQUAL(dray_build_peer_secret(r.held, "s", cancel, &out, &err), DRAY_E_CANCELED);
    (void)close(cancel);
    rig_close(&r);
}

static void *hang_up(void *arg)
{
    struct rig *r = arg;
    (void)poll(NULL, 0, 50);
    (void)shutdown(r->sock[1], SHUT_RDWR);
    return NULL;
}

static void client_goes(void)
{
    struct rig r;
    struct sockaddr_un a;
    struct dray_build_agent *agent = NULL;
    struct dray_err err = {0};
    struct dray_buf out = {0};
    pthread_t t;
    rig_open(&r, true);
    (void)pthread_create(&t, NULL, hang_up, &r);
    int64_t begun = dray_clock_mono();
    CU_ASSERT_EQUAL(dray_build_peer_secret(r.held, "s", -1, &out, &err), DRAY_E_CANCELED);
    CU_ASSERT(dray_clock_mono() - begun < INT64_C(5000000000));
    (void)pthread_join(t, NULL);
    CU_ASSERT_EQUAL(dray_build_peer_agent(r.held, "a", listen_at(&a), -1, &agent, &err),
                    DRAY_E_CANCELED);
    (void)unlink(a.sun_path);
    rig_close(&r);
}

static void names(void)
{
    struct dray_build_peers *set = dray_build_peers_new();
    struct dray_build_peer *p = NULL, *q = NULL;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(dray_build_peers_join(set, "short", &p, &err), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(dray_build_peers_join(set, ID "/..", &p, &err), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(dray_build_peers_join(set, ID, &p, &err), 0);
    CU_ASSERT_EQUAL(dray_build_peers_join(set, ID, &q, &err), DRAY_E_CONFLICT);
    dray_build_peer_serve(p, -1);
    CU_ASSERT_EQUAL(dray_build_peers_join(set, ID, &q, &err), 0);
    dray_build_peer_serve(q, -1);
    dray_build_peers_free(set);
}

/* The daemon ends while a client is there. */
static void set_ends(void)
{
    struct rig r;
    rig_open(&r, false);
    dray_build_peer_unref(r.held);
    dray_build_peers_free(r.set);
    (void)pthread_join(r.server, NULL);
    (void)pthread_join(r.client, NULL);
    (void)close(r.sock[1]);
}

/* What is no frame ends the session. */
static void nonsense(void)
{
    struct rig r;
    struct dray_err err = {0};
    struct dray_buf out = {0};
    rig_open(&r, true);
    CU_ASSERT_EQUAL(send(r.sock[1], "V\0\0\0\1\xff\xff\xff\xff", 9, MSG_NOSIGNAL), 9);
    CU_ASSERT_EQUAL(dray_build_peer_secret(r.held, "s", -1, &out, &err), DRAY_E_CANCELED);
    rig_close(&r);
}

static const struct check_case cases[] = {
    {"secrets", secrets},           {"agents", agents},
    {"big messages", big_messages}, {"canceled", canceled},
    {"a client goes", client_goes}, {"names", names},
    {"the set ends", set_ends},     {"what is no frame", nonsense},
};
CHECK_MAIN("build peers", cases)
