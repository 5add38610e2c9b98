/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_grpc.c - libFuzzer target: any bytes as what a client of a build sends over its HTTP/2
 * connection: as one that calls us, and as a session that we call, for a tree of files, a secret
 * and credentials.
 */
#include "fuzz.h"
#include "kit/fs.h"
#include "kit/session.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return signal(SIGPIPE, SIG_IGN) == SIG_ERR;
}

static void serve(void *ctx, struct grpc_call *call)
{
    DRAY_AUTO(dray_buf) msg = {0};
    struct dray_err err = {0};
    (void)ctx;
    need(grpc_method(call) != NULL);
    (void)grpc_metadata(call, "exclude-patterns");
    while (grpc_recv(call, &msg, grpc_gone_fd(call), &err) == 1)
        if (grpc_send(call, msg.data ? msg.data : "", msg.len, grpc_gone_fd(call), &err))
            break;
    grpc_finish(call, GRPC_OK, "text");
}

static int take_entry(void *ctx, const struct kit_fs_entry *e, struct dray_err *err)
{
    (void)ctx, (void)err;
    need(e->path && e->path[0] != '/');
    return 0;
}

static int take_data(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    (void)ctx, (void)err;
    need(data && len > 0);
    return 0;
}

static void *ask(void *arg)
{
    struct grpc_conn *c = arg;
    const struct kit_fs_sink sink = {.entry = take_entry, .data = take_data};
    const struct kit_fs_req req = {.dir = "context"};
    DRAY_AUTO(dray_buf) in = {0};
    DRAY_AUTO(dray_buf) out = {0};
    struct dray_err err = {0};
    int rc = kit_fs_receive(c, &req, &sink, -1, &err);
    need_words(rc, &err);
    (void)grpc_unary(c, "/moby.filesync.v1.Auth/Credentials", &in, &out, -1, &err);
    return NULL;
}

/* What the peer sends is there at once, and then its end. */
static int peer_with(const uint8_t *data, size_t size, int *theirs)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    int sv[2];
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
    if (size > 0 && data[0] & 1)
        (void)send(sv[1], preface, sizeof preface - 1, MSG_DONTWAIT);
    if (size > 1)
        (void)send(sv[1], data + 1, size - 1, MSG_DONTWAIT);
    (void)shutdown(sv[1], SHUT_WR);
    *theirs = sv[1];
    return sv[0];
}

static void run(const uint8_t *data, size_t size, bool as_server)
{
    struct grpc_conn *c = NULL;
    pthread_t thread;
    int theirs = -1, sock = peer_with(data, size, &theirs);
    int stop = eventfd(0, EFD_CLOEXEC);
    need(grpc_conn_new(sock, as_server ? serve : NULL, NULL, &c, NULL) == 0);
    if (!as_server)
        need(pthread_create(&thread, NULL, ask, c) == 0);
    grpc_conn_run(c, stop);
    if (!as_server)
        (void)pthread_join(thread, NULL);
    grpc_conn_unref(c);
    (void)close(stop);
    (void)close(sock);
    (void)close(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 65536)
        return 0;
    run(data, size, true);
    run(data, size, false);
    return 0;
}
