/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - reads the options of a vxlan network. */
#include "vxlan.h"

#include <sys/socket.h>

#define VXLAN_PORT 4789
#define VNI_MAX 16777215u
/* Ethernet, IP, UDP and VXLAN headers around each frame, over IPv4 and over IPv6. */
#define OVERHEAD4 50u
#define OVERHEAD6 70u

static int bad(struct dray_err *err, const char *key, const char *value)
{
    return dray_fail(err, DRAY_E_INVAL, "invalid value of option %s: \"%s\"", key, value);
}

static int read_number(struct dray_kvs opts, const char *key, uint32_t min, uint32_t max,
                       uint32_t *out, struct dray_err *err)
{
    const char *text = dray_kvs_get(opts, key, "");
    char *end = NULL;
    if (!*text)
        return 0;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || errno || text[0] < '0' || text[0] > '9' || value < min || value > max)
        return bad(err, key, text);
    *out = (uint32_t)value;
    return 0;
}

static bool multicast(const struct dray_cidr *c)
{
    return c->family == AF_INET ? (c->addr[0] & 0xf0) == 0xe0 : c->addr[0] == 0xff;
}

static bool read_address(const char *text, struct dray_cidr *out)
{
    return !strchr(text, '/') && dray_cidr_parse(text, out);
}

static int read_one(struct dray_kvs opts, const char *key, bool group, struct dray_cidr *out,
                    struct dray_err *err)
{
    const char *text = dray_kvs_get(opts, key, "");
    if (!*text)
        return 0;
    if (!read_address(text, out) || multicast(out) != group)
        return bad(err, key, text);
    return 0;
}

static int read_peers(struct dray_kvs opts, struct vxlan_opts *o, struct dray_err *err)
{
    const char *text = dray_kvs_get(opts, "peers", "");
    dray_autofree char *copy = strdup(text);
    if (!copy)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (char *rest = copy, *one; (one = strsep(&rest, ", "));) {
        if (!*one)
            continue;
        if (o->n_peers == VXLAN_PEERS)
            return dray_fail(err, DRAY_E_INVAL,
                             "option peers: more than %d: use a multicast group instead",
                             VXLAN_PEERS);
        struct dray_cidr *p = &o->peers[o->n_peers];
        if (!read_address(one, p) || multicast(p) || p->family != o->peers[0].family)
            return bad(err, "peers", text);
        o->n_peers++;
    }
    return 0;
}

static int check(const struct vxlan_opts *o, struct dray_err *err)
{
    if (!o->vni)
        return dray_fail(err, DRAY_E_INVAL,
                         "missing required option: \"vni\" (1 to %u, the same on every machine)",
                         VNI_MAX);
    if (o->group.family && o->n_peers)
        return dray_fail(err, DRAY_E_INVAL, "options group and peers exclude each other");
    if (!o->group.family && !o->n_peers)
        return dray_fail(err, DRAY_E_INVAL,
                         "missing required option: \"peers\" (addresses of the other machines) or "
                         "\"group\" (a multicast address)");
    if (o->group.family && !o->parent[0])
        return dray_fail(err, DRAY_E_INVAL,
                         "missing required option: \"parent\" (the link that reaches group)");
    uint8_t family = o->group.family ? o->group.family : o->peers[0].family;
    if (o->local.family && o->local.family != family)
        return dray_fail(err, DRAY_E_INVAL, "option local is of another family than the peers");
    return 0;
}

int vxlan_read_options(struct dray_kvs opts, void *extra, uint32_t *mtu_out, struct dray_err *err)
{
    struct vxlan_opts *o = extra;
    const char *parent = dray_kvs_get(opts, "parent", "");
    uint32_t port = VXLAN_PORT;
    if (strlen(parent) >= sizeof o->parent || strpbrk(parent, "/ \t\n"))
        return bad(err, "parent", parent);
    (void)snprintf(o->parent, sizeof o->parent, "%s", parent);
    int rc = read_number(opts, "vni", 1, VNI_MAX, &o->vni, err);
    rc = rc ? rc : read_number(opts, "port", 1, UINT16_MAX, &port, err);
    rc = rc ? rc : read_one(opts, "local", false, &o->local, err);
    rc = rc ? rc : read_one(opts, "group", true, &o->group, err);
    rc = rc ? rc : read_peers(opts, o, err);
    rc = rc ? rc : check(o, err);
    o->port = (uint16_t)port;
    bool v6 = o->peers[0].family == AF_INET6 || o->group.family == AF_INET6;
    *mtu_out = 1500 - (v6 ? OVERHEAD6 : OVERHEAD4);
    return rc ? rc
              : read_number(opts, "com.docker.network.driver.mtu", 68, UINT16_MAX, mtu_out, err);
}
