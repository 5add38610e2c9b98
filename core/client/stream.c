/* SPDX-License-Identifier: Apache-2.0 */
/* stream.c - copies a live container's streams, taking Docker's frames apart. */
#include "client/stream.h"

#include "base/fs.h"
#include "base/json.h"
#include "client/config.h"
#include "client/term.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>

#define COPY_SIZE 65536

/* Takes frames apart: 8 bytes of head (stream, 3 zeros, big-endian length), then the data. */
struct demux {
    unsigned char head[8];
    size_t have;
    uint32_t left;
    int fd;
};

static int demux_feed(struct demux *d, const char *p, size_t n)
{
    while (n > 0) {
        if (d->left == 0) {
            size_t take = sizeof d->head - d->have;
            if (take > n)
                take = n;
            memcpy(d->head + d->have, p, take);
            d->have += take;
            p += take;
            n -= take;
            if (d->have < sizeof d->head)
                return 0;
            d->have = 0;
            d->left = (uint32_t)d->head[4] << 24 | (uint32_t)d->head[5] << 16 |
                      (uint32_t)d->head[6] << 8 | d->head[7];
            d->fd = d->head[0] >= 2 ? STDERR_FILENO : STDOUT_FILENO;
            continue;
        }
        size_t take = n < d->left ? n : d->left;
        if (dray_fs_write_all(d->fd, p, take, NULL) != 0)
            return -1;
        d->left -= (uint32_t)take;
        p += take;
        n -= take;
    }
    return 0;
}

/* One key: "a", "ctrl-a", "ctrl-@", "ctrl-["... */
static int parse_key(const char *p, size_t n)
{
    if (n == 1)
        return (unsigned char)*p;
    if (n != 6 || strncasecmp(p, "ctrl-", 5) != 0)
        return -1;
    int c = tolower((unsigned char)p[5]);
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 1;
    const char *others = "@[\\]^_";
    const char *at = strchr(others, c);
    return !at || !c ? -1 : at == others ? 0 : (int)(at - others) + 26;
}

bool stream_parse_keys(const char *text, char *out, size_t *n)
{
    *n = 0;
    while (*text && *n < 16) {
        size_t len = strcspn(text, ",");
        int key = parse_key(text, len);
        if (key < 0)
            return false;
        out[(*n)++] = (char)key;
        text += len + (text[len] == ',');
    }
    return true;
}

struct copier {
    struct stream *s;
    struct demux demux;
    char keys[16];
    size_t n_keys, matched;
    char in[COPY_SIZE]; /* from stdin, not yet sent */
    size_t in_pos, in_len;
    bool in_open;
    bool detached;
};

static void set_keys(struct copier *c)
{
    const char *text = c->s->detach_keys;
    if (!text)
        text = dray_json_str(config_get(c->s->cli), "detachKeys", NULL);
    if (!text || !*text || !stream_parse_keys(text, c->keys, &c->n_keys))
        (void)stream_parse_keys("ctrl-p,ctrl-q", c->keys, &c->n_keys);
}

/* Take the detach keys out of what was typed; what only began like them is given back. */
static void filter_keys(struct copier *c, const char *from, size_t n)
{
    c->in_pos = c->in_len = 0;
    for (size_t i = 0; i < n && !c->detached; i++) {
        if (from[i] == c->keys[c->matched]) {
            c->detached = ++c->matched == c->n_keys;
            continue;
        }
        memcpy(c->in + c->in_len, c->keys, c->matched);
        c->in_len += c->matched;
        c->matched = from[i] == c->keys[0];
        if (!c->matched)
            c->in[c->in_len++] = from[i];
    }
}

static void read_input(struct copier *c)
{
    ssize_t n = 0;
    if (c->s->tty && c->n_keys) {
        char typed[COPY_SIZE / 32];
        n = read(STDIN_FILENO, typed, sizeof typed);
        if (n > 0)
            filter_keys(c, typed, (size_t)n);
    } else {
        n = read(STDIN_FILENO, c->in, sizeof c->in);
        c->in_pos = 0;
        c->in_len = n > 0 ? (size_t)n : 0;
    }
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        c->in_open = false;
        http_raw_end(c->s->conn);
    }
}

static void send_input(struct copier *c)
{
    ssize_t n = http_raw_write(c->s->conn, c->in + c->in_pos, c->in_len - c->in_pos);
    if (n > 0) {
        c->in_pos += (size_t)n;
    } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
        c->in_open = false; /* nobody reads any more; output may go on */
        c->in_pos = c->in_len;
    }
}

/* 1 to go on, 0 at the end, -1 when broken. */
static int read_output(struct copier *c)
{
    char buf[COPY_SIZE];
    ssize_t n = http_raw_read(c->s->conn, buf, sizeof buf);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 1 : -1;
    if (n == 0)
        return 0;
    int rc = c->s->tty ? dray_fs_write_all(STDOUT_FILENO, buf, (size_t)n, NULL)
                       : demux_feed(&c->demux, buf, (size_t)n);
    return rc == 0 ? 1 : -1;
}

static enum stream_end copy_loop(struct copier *c)
{
    int fd = c->s->conn->fd;
    int flags = fcntl(fd, F_GETFL);
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (!c->detached) {
        bool unsent = c->in_pos < c->in_len;
        struct pollfd p[2] = {
            {.fd = fd, .events = (short)(POLLIN | (unsent ? POLLOUT : 0))},
            {.fd = c->in_open && !unsent ? STDIN_FILENO : -1, .events = POLLIN},
        };
        if (!http_raw_pending(c->s->conn) && poll(p, 2, -1) < 0 && errno != EINTR)
            return STREAM_BROKEN;
        if (p[0].revents & POLLOUT)
            send_input(c);
        if (http_raw_pending(c->s->conn) || (p[0].revents & (POLLIN | POLLHUP | POLLERR))) {
            int rc = read_output(c);
            if (rc <= 0)
                return rc == 0 ? STREAM_EOF : STREAM_BROKEN;
        }
        if (p[1].revents)
            read_input(c);
    }
    return STREAM_DETACHED;
}

enum stream_end stream_run(struct stream *s)
{
    struct copier *c = cli_need(calloc(1, sizeof *c));
    c->s = s;
    c->in_open = s->input;
    if (s->tty && s->input && isatty(STDIN_FILENO)) {
        set_keys(c);
        (void)term_raw();
    }
    enum stream_end end = copy_loop(c);
    term_restore();
    free(c);
    return end;
}

int stream_logs(struct cli *cli, struct http_conn *c, bool framed)
{
    dray_autofree char *buf = cli_need(malloc(COPY_SIZE * 2));
    struct demux d = {.fd = STDOUT_FILENO};
    for (;;) {
        ssize_t n = http_read(c, buf, COPY_SIZE * 2);
        if (n == 0)
            return 0;
        if (n < 0)
            return cli_fail(cli, "unexpected EOF");
        int rc = framed ? demux_feed(&d, buf, (size_t)n)
                        : dray_fs_write_all(STDOUT_FILENO, buf, (size_t)n, NULL);
        if (rc != 0)
            return cli_fail(cli, "write: %s", cli_strerror(errno));
    }
}
