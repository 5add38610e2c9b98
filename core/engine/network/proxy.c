/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.c - asks dray-proxy to carry published ports. */
#include "engine/network/proxy.h"

#include "base/json.h"
#include "engine/helper_link.h"
#include "proxy/protocol.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct dray_proxy {
    struct dray_helper_link link;
};

bool dray_proxy_ipv6(void)
{
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    dray_autofd int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
}

static struct json_object *port_json(const struct dray_proxy_port *p)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_str(o, "proto", p->proto);
    dray_json_add_str(o, "listen", p->listen);
    dray_json_add_int(o, "port", p->port);
    dray_json_add_int(o, "last", p->last);
    dray_json_add_str(o, "to", p->to);
    dray_json_add_int(o, "to_port", p->to_port);
    if (p->twin)
        dray_json_add_bool(o, "twin", true);
    return o;
}

int dray_proxy_set(struct dray_proxy *x, const char *endpoint, struct dray_proxy_port *ports,
                   size_t n, struct dray_err *err)
{
    dray_autojson *m = dray_helper_request("set", NULL);
    struct json_object *doc = json_object_new_object(), *list = json_object_new_array();
    for (size_t i = 0; i < n; i++)
        json_object_array_add(list, port_json(&ports[i]));
    dray_json_add_str(doc, "id", endpoint);
    dray_json_add(doc, "ports", list);
    dray_json_add(m, "doc", doc);
    dray_autojson *answer = NULL;
    int rc = dray_helper_ask(&x->link, m, -1, &answer, err);
    if (rc)
        return rc;
    struct json_object *chosen = dray_json_arr(answer, "ports");
    if (dray_json_len(chosen) != n)
        return dray_fail(err, DRAY_E_INTERNAL, "the proxy's answer is not understood");
    for (size_t i = 0; i < n; i++)
        ports[i].port = (uint16_t)json_object_get_int(json_object_array_get_idx(chosen, i));
    return 0;
}

void dray_proxy_drop(struct dray_proxy *x, const char *endpoint)
{
    dray_autojson *m = dray_helper_request("drop", endpoint);
    dray_helper_tell(&x->link, m);
}

void dray_proxy_keep(struct dray_proxy *x, struct dray_strs endpoints)
{
    if (x)
        dray_helper_keep(&x->link, endpoints);
}

void dray_proxy_check(struct dray_proxy *x)
{
    if (x)
        dray_helper_check(&x->link);
}

int dray_proxy_open(struct dray_engine *e, struct dray_proxy **out, struct dray_err *err)
{
    struct dray_proxy *x = calloc(1, sizeof *x);
    if (!x)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_helper_link_init(&x->link, e, "the proxy", "dray-proxy", DRAY_PROXY_SOCKET);
    *out = x;
    return 0;
}

void dray_proxy_close(struct dray_proxy *x)
{
    if (!x)
        return;
    dray_helper_link_fini(&x->link);
    free(x);
}
