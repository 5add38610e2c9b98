/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_client.c - libFuzzer target: a client's config.json, and behind a line "--" what a server
 * answers to its requests on one connection.
 */
#include "base/json.h"
#include "client/config.h"
#include "client/http.h"
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

static void credentials(const char *text)
{
    struct cli cli = {.config_dir = "/nowhere", .config_loaded = true};
    static const char *const registries[] = {"docker.io", "quay.io", "localhost:5000"};
    if (dray_json_parse(text, strlen(text), &cli.config, NULL) != 0 ||
        !json_object_is_type(cli.config, json_type_object)) {
        json_object_put(cli.config);
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        const char *key = config_auth_key(registries[i]);
        if (config_helper(&cli, key))
            continue; /* a program would be run */
        struct json_object *found = config_credentials(&cli, key);
        need(json_object_is_type(found, json_type_object));
        json_object_put(found);
        dray_autofree char *header = config_auth_header(&cli, registries[i]);
        size_t n = strlen(header);
        need(n > 2 && strcspn(header, "\r\n") == n - 2);
    }
    json_object_put(cli.config);
    dray_buf_free(&cli.error);
}

/* One that dialled a server. */
static struct http_conn *connection(int fd)
{
    struct http_conn *c = calloc(1, sizeof *c);
    need(c && (c->in = malloc(HTTP_IN_SIZE)));
    c->fd = fd;
    c->host_header = "d";
    return c;
}

static bool exchange(struct http_conn *c)
{
    struct dray_err err = {0};
    char value[16];
    int rc = http_reply(c, &err);
    need_words(rc, &err);
    if (rc)
        return false;
    need(c->status >= 100 && c->status <= 999);
    if (http_header(c, "content-type", value, sizeof value))
        need(memchr(value, 0, sizeof value) != NULL);
    DRAY_AUTO(dray_buf) body = {0};
    rc = http_read_all(c, &body, 1 << 16, &err);
    need_words(rc, &err);
    need(body.len <= 1 << 16);
    return rc == 0 && http_reusable(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int sv[2];
    dray_autofree char *config = fuzz_part(&data, &size);
    credentials(config);
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == 0);
    (void)send(sv[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)shutdown(sv[1], SHUT_WR);
    struct http_conn *c = connection(sv[0]);
    for (int i = 0; i < 4 && exchange(c); i++)
        ;
    http_close(c);
    (void)close(sv[1]);
    return 0;
}
