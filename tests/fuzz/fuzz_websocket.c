/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_websocket.c - libFuzzer target: a client's headers, one of credentials and one of a key, and
 * behind a line "--" each what it sends as a WebSocket, while the container says something.
 */
#include "api/http_priv.h"
#include "api/registry_auth.h"
#include "api/websocket.h"
#include "base/json.h"
#include "fuzz.h"

#include <poll.h>
#include <sys/socket.h>

static char *auth, *key;
static int client[2];

/* In place of request.c and reply.c. */

const char *dray_http_header_in(struct dray_http *h, const char *name)
{
    (void)h;
    return strcmp(name, "Upgrade") == 0             ? "websocket"
           : strcmp(name, "Sec-WebSocket-Key") == 0 ? key
                                                    : auth;
}

void dray_http_header(struct dray_http *h, const char *name, const char *value)
{
    (void)h;
    need(strcmp(name, "Sec-WebSocket-Accept") == 0 && strlen(value) == 28);
}

int dray_http_version(struct dray_http *h)
{
    (void)h;
    return 151;
}

int dray_http_hijack(struct dray_http *h, const char *type, int *sock_out, struct dray_err *err)
{
    (void)h, (void)type, (void)err;
    *sock_out = client[0];
    return 0;
}

int dray_thread_start(void *(*fn)(void *), void *arg, pthread_t *out)
{
    return pthread_create(out, NULL, fn, arg);
}

static void credentials(void)
{
    struct json_object *doc = NULL;
    need(dray_http_registry_header(NULL, "X-Registry-Auth", &doc, NULL) == 0);
    need(!doc || json_object_is_type(doc, json_type_object));
    json_object_put(doc);
}

/* Until nothing comes any more. The payload is never longer than what was sent. */
static void drain(int fd, size_t most)
{
    char buf[4096];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n = 0;
    size_t all = 0;
    while (poll(&p, 1, 1) > 0 && (n = recv(fd, buf, sizeof buf, MSG_DONTWAIT)) > 0)
        all += (size_t)n;
    need(all <= most);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dray_websocket w;
    struct dray_err err = {0};
    auth = fuzz_part(&data, &size);
    key = fuzz_part(&data, &size);
    credentials();
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client) == 0);
    int rc = dray_websocket_open(NULL, &w, &err);
    need_words(rc, &err);
    if (rc == 0) {
        (void)send(w.inner, "output", 6, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)send(client[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)shutdown(client[1], SHUT_WR);
        drain(w.inner, size);
        drain(client[1], size + 64);
        dray_websocket_close(&w);
    }
    (void)close(client[0]);
    (void)close(client[1]);
    free(auth);
    free(key);
    return 0;
}
