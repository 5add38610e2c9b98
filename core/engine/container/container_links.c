/* SPDX-License-Identifier: Apache-2.0 */
/* container_links.c - links on the default bridge: variables that tell a container of those it is
 * linked to, as before there were networks with names. */
#include "base/buf.h"
#include "base/json.h"
#include "engine/container/container.h"
#include "engine/container/container_link_names.h"

#include <ctype.h>

/** One link: who, and under which name. */
struct link {
    struct dray_container *other; /* a reference, or NULL */
    char alias[256];
};

static struct json_object *links_of(struct json_object *host)
{
    const char *mode = dray_json_str(host, "NetworkMode", "");
    bool legacy = strcmp(mode, "bridge") == 0 || strcmp(mode, "default") == 0;
    return legacy ? dray_json_arr(host, "Links") : NULL;
}

/* "NAME" or "NAME:ALIAS"; an empty link when there is no such container (any more). */
static void read_link(struct dray_container *c, const char *spec, struct link *out)
{
    size_t n = strcspn(spec, ":");
    dray_autofree char *name = strndup(spec + (*spec == '/'), n - (*spec == '/'));
    if (!name || dray_container_find(c->set, name, &out->other, NULL) != 0)
        return;
    (void)snprintf(out->alias, sizeof out->alias, "%s", spec[n] ? dray_link_alias(spec) : name);
}

/* ---- Ports: tcp first, then by number ---- */

static int port_number(const char *port)
{
    return atoi(port);
}

static const char *port_proto(const char *port)
{
    const char *slash = strchr(port, '/');
    return slash ? slash + 1 : "tcp";
}

static int by_port(const void *a, const void *b)
{
    struct json_object *const *x = a, *const *y = b;
    const char *p = json_object_get_string(*x), *q = json_object_get_string(*y);
    int proto = strcmp(port_proto(p), port_proto(q));
    if (proto == 0)
        return port_number(p) - port_number(q);
    if (strcmp(port_proto(p), "tcp") == 0 || strcmp(port_proto(q), "tcp") == 0)
        return strcmp(port_proto(p), "tcp") == 0 ? -1 : 1;
    return proto;
}

static struct json_object *sorted_ports(struct json_object *config)
{
    struct json_object *exposed = dray_json_obj(config, "ExposedPorts");
    struct json_object *list = json_object_new_array();
    if (!exposed)
        return list;
    json_object_object_foreach(exposed, port, unused)
    {
        (void)unused;
        json_object_array_add(list, json_object_new_string(port));
    }
    json_object_array_sort(list, by_port);
    return list;
}

/* ---- Variables ---- */

/** What the variables of one link are made of. */
struct writer {
    struct json_object *env;
    char prefix[256]; /* the alias in capitals, "-" as "_" */
    const char *ip;
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *w, const char *format, ...)
{
    DRAY_AUTO(dray_buf) b = {0};
    va_list args;
    va_start(args, format);
    dray_autofree char *rest = NULL;
    if (vasprintf(&rest, format, args) < 0)
        rest = NULL;
    va_end(args);
    if (!rest)
        return;
    dray_buf_addf(&b, "%s_%s", w->prefix, rest);
    if (b.data)
        json_object_array_add(w->env, json_object_new_string(b.data));
}

static void upper(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from);
    for (char *p = to; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

static void put_port(struct writer *w, const char *port)
{
    char proto[16];
    int n = port_number(port);
    const char *low = port_proto(port);
    upper(proto, sizeof proto, low);
    put(w, "PORT_%d_%s=%s://%s:%d", n, proto, low, w->ip, n);
    put(w, "PORT_%d_%s_ADDR=%s", n, proto, w->ip);
    put(w, "PORT_%d_%s_PORT=%d", n, proto, n);
    put(w, "PORT_%d_%s_PROTO=%s", n, proto, low);
}

/* Neighbours are told of as a range, too. */
static void put_range(struct writer *w, const char *first, const char *last)
{
    char proto[16];
    int n = port_number(first), m = port_number(last);
    const char *low = port_proto(first);
    upper(proto, sizeof proto, low);
    if (n == m)
        return;
    put(w, "PORT_%d_%s_START=%s://%s:%d", n, proto, low, w->ip, n);
    put(w, "PORT_%d_%s_PORT_START=%d", n, proto, n);
    put(w, "PORT_%d_%s_END=%s://%s:%d", n, proto, low, w->ip, m);
    put(w, "PORT_%d_%s_PORT_END=%d", n, proto, m);
}

static void put_ports(struct writer *w, struct json_object *config)
{
    dray_autojson *ports = sorted_ports(config);
    const char *first = NULL, *last = NULL;
    for (size_t i = 0; i < dray_json_len(ports); i++) {
        const char *port = json_object_get_string(json_object_array_get_idx(ports, i));
        if (i == 0)
            put(w, "PORT=%s://%s:%d", port_proto(port), w->ip, port_number(port));
        put_port(w, port);
        bool follows = last && port_number(port) == port_number(last) + 1 &&
                       strcmp(port_proto(port), port_proto(last)) == 0;
        if (!follows && last)
            put_range(w, first, last);
        first = follows ? first : port;
        last = port;
    }
    if (last)
        put_range(w, first, last);
}

static void put_env(struct writer *w, struct json_object *config)
{
    struct json_object *env = dray_json_arr(config, "Env");
    for (size_t i = 0; i < dray_json_len(env); i++) {
        const char *e = json_object_get_string(json_object_array_get_idx(env, i));
        if (strchr(e, '=') && !dray_str_prefix(e, "HOME=") && !dray_str_prefix(e, "PATH="))
            put(w, "ENV_%s", e);
    }
}

static void put_link(struct dray_container *c, struct link *l, struct json_object *env)
{
    dray_autojson *eps = dray_container_json(l->other, &l->other->endpoints);
    dray_autojson *config = dray_container_json(l->other, &l->other->config);
    struct writer w = {.env = env, .ip = dray_json_str(eps, "bridge.IPAddress", "")};
    if (!*w.ip)
        return;
    upper(w.prefix, sizeof w.prefix, l->alias);
    put_ports(&w, config);
    pthread_mutex_lock(&c->lock);
    put(&w, "NAME=/%s/%s", c->name, l->alias);
    pthread_mutex_unlock(&c->lock);
    put_env(&w, config);
}

struct json_object *dray_container_links_env(struct dray_container *c, struct json_object *host)
{
    struct json_object *links = links_of(host), *env = json_object_new_array();
    for (size_t i = 0; i < dray_json_len(links); i++) {
        struct link l = {0};
        read_link(c, json_object_get_string(json_object_array_get_idx(links, i)), &l);
        if (l.other)
            put_link(c, &l, env);
        dray_container_unref(l.other);
    }
    return env;
}

static bool on_bridge(struct dray_container *c)
{
    dray_autojson *endpoints = dray_container_json(c, &c->endpoints);
    return endpoints && json_object_object_get_ex(endpoints, "bridge", NULL);
}

/* With c->op held, so that its name stays. */
int dray_container_links_check(struct dray_container *c, struct dray_err *err)
{
    dray_autojson *host = dray_container_json(c, &c->host);
    struct json_object *links = links_of(host);
    int rc = 0;
    for (size_t i = 0; i < dray_json_len(links) && rc == 0; i++) {
        struct link l = {0};
        read_link(c, json_object_get_string(json_object_array_get_idx(links, i)), &l);
        bool runs = l.other && dray_container_need_running(l.other, NULL) == 0;
        if (runs && !on_bridge(l.other))
            rc = dray_fail(err, DRAY_E_INVAL, "container %s not attached to default bridge network",
                           l.other->id);
        if (l.other && !runs) {
            pthread_mutex_lock(&l.other->lock);
            dray_autofree char *name = strdup(l.other->name);
            pthread_mutex_unlock(&l.other->lock);
            rc = dray_fail(err, DRAY_E_INVAL,
                           "Cannot link to a non running container: /%s AS /%s/%s",
                           name ? name : "", c->name, l.alias);
        }
        dray_container_unref(l.other);
    }
    return rc;
}
