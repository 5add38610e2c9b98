/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - what a server says of its answer in headers, and the body as it grows. */
#include "hub.h"

#include <strings.h>

int hub_buf_add(struct hub_buf *b, const void *data, size_t len)
{
    if (!b->data || b->len + len + 1 > b->cap) {
        size_t cap = (b->len + len + 1) * 2;
        char *p = realloc(b->data, cap);
        if (!p)
            return DRAY_E_NOMEM;
        b->data = p;
        b->cap = cap;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

void hub_answer_free(struct hub_answer *a)
{
    free(a->body.data);
    *a = (struct hub_answer){0};
}

void hub_answer_begin(struct hub_answer *a)
{
    hub_answer_free(a);
    a->retry_after = -1;
    a->length = a->range_end = -1;
}

static void copy_value(char *to, size_t size, const char *value, size_t len)
{
    while (len > 0 && (*value == ' ' || *value == '\t'))
        value++, len--;
    while (len > 0 && (value[len - 1] == '\r' || value[len - 1] == '\n' || value[len - 1] == ' '))
        len--;
    (void)snprintf(to, size, "%.*s", (int)(len < size ? len : size - 1), value);
}

/* A count of bytes: digits alone, else -1. */
static int64_t read_count(const char *text)
{
    char *end = NULL;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    return errno || end == text || *end || n < 0 ? -1 : n;
}

static void read_number(struct hub_answer *a, const char *line, size_t len)
{
    char number[32] = "";
    if (len > 6 && strncasecmp(line, "Range:", 6) == 0) {
        copy_value(number, sizeof number, line + 6, len - 6);
        const char *dash = strchr(number, '-');
        a->range_end = dash ? read_count(dash + 1) : -1;
    } else if (len > 15 && strncasecmp(line, "Content-Length:", 15) == 0) {
        copy_value(number, sizeof number, line + 15, len - 15);
        a->length = read_count(number);
    }
}

/* Of several challenges in one line, which commas separate as they do parameters: the bearer's. */
static void prefer_bearer(char *challenge)
{
    bool quoted = false;
    for (char *at = challenge; *at; at++) {
        if (*at == '"')
            quoted = !quoted;
        if (quoted || *at != ',')
            continue;
        const char *next = at + 1 + strspn(at + 1, " ");
        if (strncasecmp(next, "Bearer ", 7) == 0) {
            memmove(challenge, next, strlen(next) + 1);
            return;
        }
    }
}

void hub_answer_header(struct hub_answer *a, const char *line, size_t len)
{
    const struct {
        const char *name;
        char *to;
        size_t size;
    } texts[] = {{"Content-Type:", a->type, sizeof a->type},
                 {"Docker-Content-Digest:", a->digest, sizeof a->digest},
                 {"Location:", a->location, sizeof a->location},
                 {"Link:", a->link, sizeof a->link}};
    if (len > 5 && strncasecmp(line, "HTTP/", 5) == 0) { /* a redirect's are dropped */
        a->type[0] = a->digest[0] = a->location[0] = a->challenge[0] = a->link[0] = '\0';
        a->retry_after = -1;
        a->length = a->range_end = -1;
        return;
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t n = strlen(texts[i].name);
        if (len > n && strncasecmp(line, texts[i].name, n) == 0)
            copy_value(texts[i].to, texts[i].size, line + n, len - n);
    }
    if (len > 17 && strncasecmp(line, "WWW-Authenticate:", 17) == 0 &&
        strncasecmp(a->challenge, "Bearer", 6) != 0) { /* of several, this is the best */
        copy_value(a->challenge, sizeof a->challenge, line + 17, len - 17);
        prefer_bearer(a->challenge);
    }
    read_number(a, line, len);
}
