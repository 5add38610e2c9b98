/* SPDX-License-Identifier: Apache-2.0 */
/* resolv.c - a container's resolv.conf, made from the host's as Docker makes it. */
#include "engine/network/resolv.h"

#include "base/fs.h"
#include "dns/protocol.h"

#include <arpa/inet.h>
#include <fcntl.h>

#define HOST_FILE "/etc/resolv.conf"
#define SYSTEMD_FILE "/run/systemd/resolve/resolv.conf"
#define SYSTEMD_STUB "127.0.0.53"
#define FILE_MOST (1 << 20)
#define BLANKS " \t\r\v\f"

/* Addresses. */

/* 4, 6 or 0; a zone ("fe80::1%eth0") is allowed. */
static int family_of(const char *text)
{
    char addr[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    size_t n = strcspn(text, "%");
    if (n >= sizeof addr)
        return 0;
    memcpy(addr, text, n);
    addr[n] = '\0';
    if (!text[n] && inet_pton(AF_INET, addr, bytes) == 1)
        return 4;
    return inet_pton(AF_INET6, addr, bytes) == 1 ? 6 : 0;
}

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* Reading. */

static void add_words(struct dray_strlist *l, char *rest)
{
    for (char *word, *save = rest; (word = strtok_r(NULL, BLANKS, &save)) != NULL;)
        (void)dray_strlist_add(l, word);
}

static void read_line(struct dray_resolv *r, const char *text, size_t n)
{
    dray_autofree char *line = strndup(text, n);
    dray_autofree char *whole = strndup(text, n);
    char *rest = NULL;
    char *word = line ? strtok_r(line, BLANKS, &rest) : NULL;
    if (!word || !whole || *word == '#' || *word == ';')
        return;
    const char *first = rest + strspn(rest, BLANKS);
    bool alone = *first == '\0';
    if (strcmp(word, "nameserver") == 0) {
        const char *address = strtok_r(NULL, BLANKS, &rest);
        if (address)
            (void)dray_strlist_add(family_of(address) ? &r->servers : &r->invalid, address);
    } else if (strcmp(word, "domain") == 0 || strcmp(word, "search") == 0) {
        if (alone)
            return;
        dray_strlist_free(&r->search); /* the last one counts */
        add_words(&r->search, rest);
    } else if (strcmp(word, "options") == 0) {
        add_words(&r->options, rest);
    } else {
        (void)dray_strlist_add(&r->other, whole);
    }
}

/* Value of the last option of a name ("" without one), or NULL. */
static const char *option_value(const struct dray_resolv *r, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = r->options.n; i-- > 0;) {
        const char *o = r->options.v[i];
        if (strncmp(o, name, len) == 0 && (o[len] == ':' || !o[len]))
            return o + len + (o[len] == ':');
    }
    return NULL;
}

void dray_resolv_parse(struct dray_resolv *r, const char *text, const char *path)
{
    r->source = strdup(path);
    while (*text) {
        size_t n = strcspn(text, "\n");
        read_line(r, text, n);
        text += n + (text[n] == '\n');
    }
    if (option_value(r, "ndots"))
        r->ndots_from = "host";
}

void dray_resolv_load_host(struct dray_resolv *r)
{
    DRAY_AUTO(dray_buf) b = {0};
    (void)dray_fs_read(AT_FDCWD, HOST_FILE, FILE_MOST, &b, NULL);
    dray_resolv_parse(r, b.data ? b.data : "", HOST_FILE);
    if (r->servers.n != 1 || strcmp(r->servers.v[0], SYSTEMD_STUB) != 0)
        return;
    DRAY_AUTO(dray_buf) behind = {0};
    if (dray_fs_read(AT_FDCWD, SYSTEMD_FILE, FILE_MOST, &behind, NULL))
        return;
    dray_resolv_free(r);
    dray_resolv_parse(r, behind.data ? behind.data : "", SYSTEMD_FILE);
}

/* Changing. */

static void copy_list(struct dray_strlist *to, const struct dray_strlist *from)
{
    dray_strlist_free(to);
    for (size_t i = 0; i < from->n; i++)
        (void)dray_strlist_add(to, from->v[i]);
}

void dray_resolv_override(struct dray_resolv *r, const struct dray_strlist *servers,
                          const struct dray_strlist *search, const struct dray_strlist *options)
{
    if (servers->n) {
        copy_list(&r->servers, servers);
        r->servers_given = true;
    }
    if (search->n) {
        dray_strlist_free(&r->search);
        for (size_t i = 0; i < search->n; i++)
            if (strcmp(search->v[i], ".") != 0)
                (void)dray_strlist_add(&r->search, search->v[i]);
        r->search_given = true;
    }
    if (options->n) {
        copy_list(&r->options, options);
        r->options_given = true;
        r->ndots_from = option_value(r, "ndots") ? "override" : NULL;
    }
}

const char *dray_resolv_bad_server(const struct dray_resolv *r)
{
    const struct dray_strlist *l = r->upstream.n ? &r->upstream : &r->servers;
    for (size_t i = 0; i < l->n; i++)
        if (!family_of(l->v[i]))
            return l->v[i];
    return NULL;
}

static void use_default_servers(struct dray_resolv *r, struct dray_strlist *l, bool ipv6)
{
    static const char *const servers[] = {"8.8.8.8", "8.8.4.4", "2001:4860:4860::8888",
                                          "2001:4860:4860::8844"};
    for (size_t i = 0; i < (ipv6 ? 4 : 2); i++)
        (void)dray_strlist_add(l, servers[i]);
    r->used_default = true;
}

void dray_resolv_for_legacy(struct dray_resolv *r, bool ipv6)
{
    DRAY_AUTO(dray_strlist) kept = {0};
    r->transform = "legacy";
    if (r->servers_given)
        return;
    for (size_t i = 0; i < r->servers.n; i++)
        if (!is_loopback(r->servers.v[i]) && (ipv6 || family_of(r->servers.v[i]) == 4))
            (void)dray_strlist_add(&kept, r->servers.v[i]);
    if (kept.n == 0)
        use_default_servers(r, &kept, ipv6);
    copy_list(&r->servers, &kept);
}

static bool ndots_valid(const char *option)
{
    const char *value = option + strlen("ndots");
    if (strncmp(option, "ndots", strlen("ndots")) != 0 || (*value && *value != ':'))
        return true; /* another option */
    value += *value == ':';
    return *value && strspn(value, "0123456789") == strlen(value);
}

static void need_ndots(struct dray_resolv *r)
{
    DRAY_AUTO(dray_strlist) valid = {0};
    for (size_t i = 0; i < r->options.n; i++)
        if (ndots_valid(r->options.v[i]))
            (void)dray_strlist_add(&valid, r->options.v[i]);
    copy_list(&r->options, &valid);
    if (option_value(r, "ndots"))
        return;
    (void)dray_strlist_add(&r->options, "ndots:0");
    r->ndots_from = "internal";
}

void dray_resolv_for_internal(struct dray_resolv *r, bool ipv6)
{
    r->transform = "internal resolver";
    for (size_t i = 0; i < r->servers.n; i++) {
        const char *s = r->servers.v[i];
        (void)dray_strlist_add(&r->upstream, s);
        /* --dns 127.0.0.1 means the container's own loopback; the host's file means the host's. */
        if (!r->servers_given && (is_loopback(s) || (family_of(s) == 6 && !ipv6) || strchr(s, '%')))
            (void)dray_strlist_add(&r->upstream_host, s);
    }
    dray_strlist_free(&r->servers);
    (void)dray_strlist_add(&r->servers, DRAY_DNS_ADDRESS);
    if (r->upstream.n == 0)
        use_default_servers(r, &r->upstream, ipv6);
    need_ndots(r);
}

/* Writing. */

static void print_words(struct dray_buf *out, const char *word, const struct dray_strlist *l)
{
    if (l->n == 0)
        return;
    dray_buf_adds(out, word);
    for (size_t i = 0; i < l->n; i++)
        dray_buf_addf(out, " %s", l->v[i]);
    dray_buf_addc(out, '\n');
}

/* "[a b c]" */
static void print_bracketed(struct dray_buf *out, const char *title, const struct dray_strlist *l,
                            const struct dray_strlist *on_host)
{
    dray_buf_adds(out, title);
    for (size_t i = 0; i < l->n; i++) {
        bool host = on_host && dray_strlist_has(on_host, l->v[i]);
        dray_buf_addf(out, "%s%s%s%s", i ? " " : "", host ? "host(" : "", l->v[i], host ? ")" : "");
    }
    dray_buf_adds(out, "]\n");
}

static void print_comments(const struct dray_resolv *r, struct dray_buf *out)
{
    DRAY_AUTO(dray_strlist) overrides = {0};
    if (r->servers_given)
        (void)dray_strlist_add(&overrides, "nameservers");
    if (r->search_given)
        (void)dray_strlist_add(&overrides, "search");
    if (r->options_given)
        (void)dray_strlist_add(&overrides, "options");
    dray_buf_addf(out, "\n# Based on host file: '%s'", r->source ? r->source : "");
    if (r->transform)
        dray_buf_addf(out, " (%s)", r->transform);
    dray_buf_addc(out, '\n');
    if (r->used_default)
        dray_buf_adds(out, "# Used default nameservers.\n");
    if (r->upstream.n)
        print_bracketed(out, "# ExtServers: [", &r->upstream, &r->upstream_host);
    if (r->invalid.n)
        print_bracketed(out, "# Invalid nameservers: [", &r->invalid, NULL);
    print_bracketed(out, "# Overrides: [", &overrides, NULL);
    if (r->ndots_from)
        dray_buf_addf(out, "# Option ndots from: %s\n", r->ndots_from);
}

void dray_resolv_print(const struct dray_resolv *r, struct dray_buf *out)
{
    /* Docker's words: tools recognise the file by them. */
    dray_buf_adds(out, "# Generated by Docker Engine.\n"
                       "# This file can be edited; Docker Engine will not make further changes "
                       "once it\n# has been modified.\n\n");
    for (size_t i = 0; i < r->servers.n; i++)
        dray_buf_addf(out, "nameserver %s\n", r->servers.v[i]);
    print_words(out, "search", &r->search);
    print_words(out, "options", &r->options);
    for (size_t i = 0; i < r->other.n; i++)
        dray_buf_addf(out, "%s\n", r->other.v[i]);
    print_comments(r, out);
}

void dray_resolv_free(struct dray_resolv *r)
{
    free(r->source);
    dray_strlist_free(&r->servers);
    dray_strlist_free(&r->search);
    dray_strlist_free(&r->options);
    dray_strlist_free(&r->other);
    dray_strlist_free(&r->invalid);
    dray_strlist_free(&r->upstream);
    dray_strlist_free(&r->upstream_host);
    *r = (struct dray_resolv){.source = NULL};
}
