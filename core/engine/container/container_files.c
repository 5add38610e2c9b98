/* SPDX-License-Identifier: Apache-2.0 */
/* container_files.c - the container's own /etc/hostname, /etc/hosts and /etc/resolv.conf. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "dns/protocol.h"
#include "engine/container/container.h"
#include "engine/network/networks.h"
#include "engine/network/resolv.h"
#include "engine/workq.h"

#include <fcntl.h>
#include <sys/stat.h>

#define DRAY_LOG_AREA "files"
#define FILE_MOST (1 << 20)

static int write_file(struct dray_container *c, const char *name, const struct dray_buf *b,
                      struct dray_err *err)
{
    /* In place: a running container has the file bind-mounted, so it must stay the same inode. */
    dray_autofree char *path = dray_strf("%s/%s", c->id, name);
    dray_autofd int fd = path ? openat(c->set->dir, path,
                                       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644)
                              : -1;
    if (fd < 0)
        return dray_fail_errno(err, "write %s of container %.12s", name, c->id);
    (void)fchmod(fd, 0644);
    int rc = dray_container_userns_give(dray_container_userns_of(c), fd, err);
    return rc != 0 ? rc : dray_fs_write_all(fd, b->data ? b->data : "", b->len, err);
}

/* hosts */

static void add_host(struct dray_buf *b, const char *addr, const char *name, size_t name_len)
{
    size_t len = strlen(addr);
    if (len > 2 && addr[0] == '[' && addr[len - 1] == ']')
        dray_buf_addf(b, "%.*s\t%.*s\n", (int)len - 2, addr + 1, (int)name_len, name);
    else if (len > 0)
        dray_buf_addf(b, "%s\t%.*s\n", addr, (int)name_len, name);
}

static int add_extra_hosts(struct dray_container *c, struct json_object *host, struct dray_buf *b,
                           struct dray_err *err)
{
    struct json_object *list = dray_json_arr(host, "ExtraHosts");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        const char *e = json_object_get_string(json_object_array_get_idx(list, i));
        size_t n = strcspn(e, "=:");
        if (!e[n])
            continue;
        if (strcmp(e + n + 1, "host-gateway") != 0) {
            add_host(b, e + n + 1, e, n);
            continue;
        }
        char gateways[2][DRAY_HOST_GATEWAY];
        size_t found = dray_networks_host_gateways(c->set->engine->networks, gateways);
        for (size_t k = 0; k < found; k++)
            add_host(b, gateways[k], e, n);
        if (!found)
            return dray_fail(err, DRAY_E_INVAL,
                             "unable to derive the IP value for host-gateway: there is no default "
                             "bridge; set \"host-gateway-ips\" in the daemon's configuration");
    }
    return 0;
}

/** Links of the default bridge; elsewhere the resolver knows them. */
static void add_links(struct dray_container *c, struct json_object *host, struct dray_buf *b)
{
    const char *mode = dray_json_str(host, "NetworkMode", "");
    struct json_object *links = dray_json_arr(host, "Links");
    if (dray_json_len(links) > 0)
        atomic_store(&c->set->has_links, true);
    bool legacy = strcmp(mode, "bridge") == 0 || strcmp(mode, "default") == 0;
    for (size_t i = 0; legacy && i < dray_json_len(links); i++) {
        const char *spec = json_object_get_string(json_object_array_get_idx(links, i));
        size_t n = strcspn(spec, ":");
        dray_autofree char *name = strndup(spec + (*spec == '/'), n - (*spec == '/'));
        const char *alias = spec[n] ? spec + n + 1 : name;
        dray_autocontainer *other = NULL;
        if (!name || dray_container_find(c->set, name, &other, NULL) != 0)
            continue;
        dray_autojson *eps = dray_container_json(other, &other->endpoints);
        dray_autojson *config = dray_container_json(other, &other->config);
        const char *ip = dray_json_str(eps, "bridge.IPAddress", "");
        const char *own = dray_json_str(config, "Hostname", "");
        if (*ip && strcmp(alias, name) != 0)
            dray_buf_addf(b, "%s\t%s %s %s\n", ip, alias, own, name);
        else if (*ip)
            dray_buf_addf(b, "%s\t%s %s\n", ip, alias, own);
    }
}

static void add_own_names(struct json_object *config, struct json_object *endpoints,
                          struct dray_buf *b)
{
    const char *name = dray_json_str(config, "Hostname", "");
    const char *domain = dray_json_str(config, "Domainname", "");
    if (!*name || !endpoints)
        return;
    static const char *const fields[] = {"IPAddress", "GlobalIPv6Address"};
    json_object_object_foreach(endpoints, net, ep)
    {
        (void)net;
        for (size_t i = 0; i < 2; i++) {
            const char *ip = dray_json_str(ep, fields[i], "");
            int bare = (int)strcspn(name, ".");
            if (*ip && (*domain || name[bare]))
                dray_buf_addf(b, "%s\t%s%s%s %.*s\n", ip, name, *domain ? "." : "", domain, bare,
                              name);
            else if (*ip)
                dray_buf_addf(b, "%s\t%s\n", ip, name);
        }
    }
}

static int write_hosts(struct dray_container *c, struct json_object *config,
                       struct json_object *host, struct json_object *endpoints,
                       struct dray_err *err)
{
    DRAY_AUTO(dray_buf) b = {0};
    if (strcmp(dray_json_str(host, "NetworkMode", ""), "host") == 0) {
        (void)dray_fs_read(AT_FDCWD, "/etc/hosts", FILE_MOST, &b, NULL);
    } else {
        dray_buf_adds(&b, "127.0.0.1\tlocalhost\n");
        if (!dray_container_without_ipv6(host))
            dray_buf_adds(&b, "::1\tlocalhost ip6-localhost ip6-loopback\n"
                              "fe00::\tip6-localnet\nff00::\tip6-mcastprefix\n"
                              "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
    }
    int rc = add_extra_hosts(c, host, &b, err);
    if (rc != 0)
        return rc;
    add_links(c, host, &b);
    add_own_names(config, endpoints, &b);
    return write_file(c, "hosts", &b, err);
}

/* resolv.conf */

static int write_resolv(struct dray_container *c, struct json_object *host,
                        struct json_object *endpoints, struct dray_err *err)
{
    DRAY_AUTO(dray_resolv) r = {0};
    DRAY_AUTO(dray_buf) b = {0};
    dray_container_resolv(c, host, endpoints, &r);
    const char *bad = dray_resolv_bad_server(&r);
    if (bad)
        return dray_fail(err, DRAY_E_INVAL, "bad nameserver address %s", bad);
    dray_resolv_print(&r, &b);
    return write_file(c, "resolv.conf", &b, err);
}

/** Names are resolved by the embedded resolver since a network was connected. */
static int refresh_resolv(struct dray_container *c, struct json_object *host,
                          struct json_object *endpoints, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) now = {0};
    dray_autofree char *path = dray_strf("%s/resolv.conf", c->id);
    if (!path || !c->has_dns || dray_fs_read(c->set->dir, path, FILE_MOST, &now, NULL) != 0 ||
        (now.data && strstr(now.data, DRAY_DNS_ADDRESS)))
        return 0;
    return write_resolv(c, host, endpoints, err);
}

/** "container:X" shares X's names: its files are copied as they are now. */
static int copy_from(struct dray_container *c, const char *other, struct dray_err *err)
{
    dray_autocontainer *from = NULL;
    int rc = dray_container_find(c->set, other, &from, err);
    static const char *const files[] = {"hosts", "resolv.conf", "hostname"};
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        DRAY_AUTO(dray_buf) b = {0};
        dray_autofree char *path = dray_strf("%s/%s", from->id, files[i]);
        rc = dray_fs_read(c->set->dir, path, FILE_MOST, &b, err);
        if (rc == 0)
            rc = write_file(c, files[i], &b, err);
    }
    return rc;
}

int dray_container_files_write(struct dray_container *c, struct json_object *config,
                               struct json_object *host, struct json_object *endpoints,
                               struct dray_err *err)
{
    const char *mode = dray_json_str(host, "NetworkMode", "");
    if (dray_str_prefix(mode, "container:"))
        return copy_from(c, mode + strlen("container:"), err);
    DRAY_AUTO(dray_buf) name = {0};
    /* Without the domain, as the kernel's host name is: hosts has the full name. */
    dray_buf_addf(&name, "%s\n", dray_json_str(config, "Hostname", ""));
    int rc = write_file(c, "hostname", &name, err);
    if (rc == 0)
        rc = write_hosts(c, config, host, endpoints, err);
    if (rc == 0)
        rc = write_resolv(c, host, endpoints, err);
    return rc;
}

/* Links of the default bridge stand in hosts, so a new address of a container must come there. */

static bool links_to(struct dray_container *c, struct dray_container *target)
{
    dray_autojson *host = dray_container_json(c, &c->host);
    struct json_object *links = dray_json_arr(host, "Links");
    for (size_t i = 0; i < dray_json_len(links); i++) {
        const char *spec = json_object_get_string(json_object_array_get_idx(links, i));
        dray_autofree char *name = strndup(spec, strcspn(spec, ":"));
        dray_autocontainer *found = NULL;
        if (name && dray_container_find(c->set, name + (*name == '/'), &found, NULL) == 0 &&
            found == target)
            return true;
    }
    return false;
}

static void drop_ref(void *arg)
{
    dray_container_unref(arg);
}

static void refresh_linking(void *arg)
{
    struct dray_container *target = arg;
    struct dray_container **v;
    size_t n = dray_container_snapshot(target->set, &v);
    for (size_t i = 0; i < n; i++) {
        if (v[i] == target || !links_to(v[i], target) || dray_container_op_begin(v[i], NULL) != 0)
            continue;
        pthread_mutex_lock(&v[i]->lock);
        bool alive = dray_container_alive(v[i]);
        pthread_mutex_unlock(&v[i]->lock);
        if (alive)
            dray_container_files_refresh(v[i]);
        pthread_mutex_unlock(&v[i]->op);
    }
    dray_container_list_free(v, n);
    dray_container_unref(target);
}

void dray_container_links_refresh(struct dray_container *c)
{
    if (atomic_load(&c->set->has_links))
        dray_workq_add(c->set->work, refresh_linking, drop_ref, dray_container_ref(c));
}

void dray_container_files_refresh(struct dray_container *c)
{
    dray_autojson *config = dray_container_json(c, &c->config);
    dray_autojson *host = dray_container_json(c, &c->host);
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    struct dray_err err = {0};
    if (write_hosts(c, config, host, endpoints, &err) != 0 ||
        refresh_resolv(c, host, endpoints, &err) != 0)
        dray_warn("%s", err.text);
}
