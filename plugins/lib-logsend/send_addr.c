/* SPDX-License-Identifier: Apache-2.0 */
/* send_addr.c - takes addresses apart. */
#include "send_addr.h"

#include <ctype.h>

static void copy(char *out, size_t size, const char *text, size_t len)
{
    size_t n = len < size ? len : size - 1;
    memcpy(out, text, n);
    out[n] = '\0';
}

/* "host", "host:port", "[v6]:port" */
static void split_host(struct dray_send_url *u, const char *text, size_t len)
{
    const char *end = text + len, *colon = NULL;
    if (len && *text == '[') {
        const char *close = memchr(text, ']', len);
        if (close) {
            copy(u->host, sizeof u->host, text + 1, (size_t)(close - text - 1));
            colon = close + 1 < end && close[1] == ':' ? close + 1 : NULL;
        }
    } else {
        colon = memrchr(text, ':', len);
        copy(u->host, sizeof u->host, text, colon ? (size_t)(colon - text) : len);
    }
    if (!colon)
        return;
    copy(u->port, sizeof u->port, colon + 1, (size_t)(end - colon - 1));
    for (const char *p = u->port; *p; p++)
        u->bad_port = u->bad_port || !isdigit((unsigned char)*p);
}

bool dray_send_url_parse(const char *text, struct dray_send_url *out)
{
    *out = (struct dray_send_url){.bad_port = false};
    const char *sep = strstr(text, "://");
    if (!sep || sep == text)
        return false;
    copy(out->scheme, sizeof out->scheme, text, (size_t)(sep - text));
    const char *host = sep + 3;
    size_t len = strcspn(host, "/");
    split_host(out, host, len);
    copy(out->path, sizeof out->path, host + len, strlen(host + len));
    return true;
}

const char *dray_send_addr_text(const struct dray_send_addr *a, char *buf, size_t size)
{
    if (a->transport == DRAY_SEND_UNIX || a->transport == DRAY_SEND_UNIXGRAM)
        (void)snprintf(buf, size, "%s", a->host);
    else
        (void)snprintf(buf, size, strchr(a->host, ':') ? "[%s]:%s" : "%s:%s", a->host, a->port);
    return buf;
}
