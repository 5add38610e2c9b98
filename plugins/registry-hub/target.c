/* SPDX-License-Identifier: Apache-2.0 */
/* target.c - which servers hold a repository, and how far they are to be trusted. */
#include "hub.h"

#include <arpa/inet.h>
#include <strings.h>

const char *hub_path(const char *repo)
{
    const char *slash = strchr(repo, '/');
    return slash ? slash + 1 : repo;
}

const char *hub_familiar(const char *repo)
{
    static const char hub[] = HUB_REPO "/", library[] = "library/";
    if (strncmp(repo, hub, sizeof hub - 1) == 0)
        repo += sizeof hub - 1;
    else
        return repo;
    return strncmp(repo, library, sizeof library - 1) == 0 ? repo + sizeof library - 1 : repo;
}

void hub_bare_host(const char *host, char *out, size_t size)
{
    if (host[0] == '[') {
        (void)snprintf(out, size, "%.*s", (int)strcspn(host + 1, "]"), host + 1);
        return;
    }
    (void)snprintf(out, size, "%.*s", (int)strcspn(host, ":/"), host);
}

static bool in_cidr(const char *address, const char *cidr)
{
    char net[64];
    const char *slash = strchr(cidr, '/');
    unsigned char a[16], n[16];
    if (!slash || (size_t)(slash - cidr) >= sizeof net)
        return false;
    (void)snprintf(net, sizeof net, "%.*s", (int)(slash - cidr), cidr);
    int family = strchr(net, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, net, n) != 1 || inet_pton(family, address, a) != 1)
        return false;
    int bits = atoi(slash + 1), most = family == AF_INET ? 32 : 128;
    for (int i = 0; i < bits && i < most; i++)
        if ((a[i / 8] ^ n[i / 8]) & (0x80 >> (i % 8)))
            return false;
    return true;
}

bool hub_is_loopback(const char *bare)
{
    return strcasecmp(bare, "localhost") == 0 || in_cidr(bare, "127.0.0.0/8") ||
           strcmp(bare, "::1") == 0;
}

/** Loopback is, and what the configuration names. */
static bool insecure(struct dray_self *s, const char *host)
{
    char bare[256];
    hub_bare_host(host, bare, sizeof bare);
    if (hub_is_loopback(bare))
        return true;
    struct dray_strs list = s->host->opt_list(s->host, "insecure-registries");
    for (uint64_t i = 0; i < list.n; i++) {
        const char *e = list.v[i];
        if (strcasecmp(e, host) == 0 || strcasecmp(e, bare) == 0 || in_cidr(bare, e))
            return true;
    }
    return false;
}

static size_t add(struct hub_target *out, size_t n, const char *scheme, const char *host,
                  bool verify, bool mirror)
{
    if (n == HUB_TARGETS || strlen(host) >= sizeof out->host)
        return n;
    (void)snprintf(out[n].base, sizeof out[n].base, "%s://%s", scheme, host);
    (void)snprintf(out[n].host, sizeof out[n].host, "%s", host);
    out[n].verify = verify;
    out[n].mirror = mirror;
    out[n].probe = false;
    return n + 1;
}

static size_t add_host(struct dray_self *s, struct hub_target *out, size_t n, const char *host)
{
    if (!insecure(s, host))
        return add(out, n, "https", host, true, false);
    int tls = hub_scheme_of(s, host);
    size_t before = n;
    if (tls != 0)
        n = add(out, n, "https", host, false, false);
    if (tls == 1)
        return n;
    if (n > before)
        out[n - 1].probe = true; /* HTTP comes next */
    return add(out, n, "http", host, false, false);
}

static size_t add_mirrors(struct dray_self *s, struct hub_target *out)
{
    size_t n = 0;
    struct dray_strs list = s->host->opt_list(s->host, "registry-mirrors");
    for (uint64_t i = 0; i < list.n && n < HUB_TARGETS / 2; i++) {
        const char *sep = strstr(list.v[i], "://");
        char host[256];
        if (!sep)
            continue;
        (void)snprintf(host, sizeof host, "%.*s", (int)strcspn(sep + 3, "/"), sep + 3);
        bool tls = strncmp(list.v[i], "https", 5) == 0;
        n = add(out, n, tls ? "https" : "http", host, tls && !insecure(s, host), true);
        out[n - 1].probe = true;
    }
    return n;
}

size_t hub_targets(struct dray_self *s, const char *repo, bool reading,
                   struct hub_target out[HUB_TARGETS])
{
    char host[256];
    (void)snprintf(host, sizeof host, "%.*s", (int)strcspn(repo, "/"), repo);
    if (strcmp(host, HUB_REPO) == 0) {
        size_t n = reading ? add_mirrors(s, out) : 0;
        return add(out, n, "https", HUB_HOST, true, false);
    }
    return add_host(s, out, 0, host);
}

size_t hub_server_targets(struct dray_self *s, const char *server,
                          struct hub_target out[HUB_TARGETS])
{
    const char *sep = server ? strstr(server, "://") : NULL;
    const char *host = sep ? sep + 3 : server ? server : "";
    char name[256];
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(host, "/"), host);
    if (!*name || strcmp(name, HUB_REPO) == 0 || strcmp(name, "index.docker.io") == 0)
        return add(out, 0, "https", HUB_HOST, true, false);
    return add_host(s, out, 0, name);
}
