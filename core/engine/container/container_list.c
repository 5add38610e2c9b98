/* SPDX-License-Identifier: Apache-2.0 */
/* container_list.c - GET /containers/json: rows made of prepared text, filters. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "engine/container/container.h"
#include "engine/container/container_link_names.h"
#include "engine/filters.h"
#include "engine/image/images.h"
#include "engine/network/networks.h"

#include <ctype.h>
#include <inttypes.h>

/* "Up 3 minutes" and the like, in go-units' words. */

static void human_duration(int64_t ns, char *out, size_t size)
{
    int64_t s = ns / DRAY_NS_PER_S, m = s / 60, h = (s + 1800) / 3600;
    if (s < 1)
        (void)snprintf(out, size, "Less than a second");
    else if (s == 1)
        (void)snprintf(out, size, "1 second");
    else if (s < 60)
        (void)snprintf(out, size, "%" PRId64 " seconds", s);
    else if (m == 1)
        (void)snprintf(out, size, "About a minute");
    else if (m < 60)
        (void)snprintf(out, size, "%" PRId64 " minutes", m);
    else if (h == 1)
        (void)snprintf(out, size, "About an hour");
    else if (h < 48)
        (void)snprintf(out, size, "%" PRId64 " hours", h);
    else if (h < 24 * 7 * 2)
        (void)snprintf(out, size, "%" PRId64 " days", h / 24);
    else if (h < 24 * 30 * 2)
        (void)snprintf(out, size, "%" PRId64 " weeks", h / 24 / 7);
    else if (h < 24 * 365 * 2)
        (void)snprintf(out, size, "%" PRId64 " months", h / 24 / 30);
    else
        (void)snprintf(out, size, "%" PRId64 " years", h / 24 / 365);
}

/** Call with lock held. */
static void status_text(const struct dray_container *c, int64_t now, char *out, size_t size)
{
    char age[48];
    const struct dray_container_state *s = &c->st;
    const char *health = dray_health_status(c);
    switch (s->status) {
    case DRAY_CS_RUNNING:
    case DRAY_CS_PAUSED:
        human_duration(now - s->started_ns, age, sizeof age);
        if (s->status == DRAY_CS_PAUSED)
            (void)snprintf(out, size, "Up %s (Paused)", age);
        else if (*health)
            (void)snprintf(out, size, "Up %s (%s%s)", age,
                           strcmp(health, "starting") == 0 ? "health: " : "", health);
        else
            (void)snprintf(out, size, "Up %s", age);
        return;
    case DRAY_CS_RESTARTING:
        human_duration(now - s->finished_ns, age, sizeof age);
        (void)snprintf(out, size, "Restarting (%d) %s ago", s->exit_code, age);
        return;
    case DRAY_CS_REMOVING:
        (void)snprintf(out, size, "Removal In Progress");
        return;
    case DRAY_CS_DEAD:
        (void)snprintf(out, size, "Dead");
        return;
    case DRAY_CS_CREATED:
        (void)snprintf(out, size, "Created");
        return;
    case DRAY_CS_EXITED:
        human_duration(now - s->finished_ns, age, sizeof age);
        (void)snprintf(out, size, "Exited (%d) %s ago", s->exit_code, age);
        return;
    }
}

static void add_port(struct dray_buf *b, bool *first, const char *spec, struct json_object *binding)
{
    dray_buf_adds(b, *first ? "{" : ",{");
    *first = false;
    if (!*dray_json_str(binding, "HostPort", ""))
        binding = NULL; /* of a routed network: reached at the container's own address */
    if (binding)
        dray_buf_addf(b, "\"IP\":\"%s\",", dray_json_str(binding, "HostIp", ""));
    size_t n = strcspn(spec, "/");
    dray_buf_addf(b, "\"PrivatePort\":%.*s", (int)n, spec);
    if (binding)
        dray_buf_addf(b, ",\"PublicPort\":%s", dray_json_str(binding, "HostPort", "0"));
    dray_buf_addf(b, ",\"Type\":\"%s\"}", spec[n] ? spec + n + 1 : "tcp");
}

static void add_ports(struct dray_buf *b, const char *text)
{
    dray_buf_adds(b, ",\"Ports\":[");
    if (text && strcmp(text, "{}") != 0) {
        dray_autojson *ports = dray_container_text(text);
        bool first = true;
        if (ports) {
            json_object_object_foreach(ports, spec, list)
            {
                if (dray_json_len(list) == 0)
                    add_port(b, &first, spec, NULL);
                for (size_t i = 0; i < dray_json_len(list); i++)
                    add_port(b, &first, spec, json_object_array_get_idx(list, i));
            }
        }
    }
    dray_buf_addc(b, ']');
}

/* What a row says that the container itself does not know. */
struct around {
    struct json_object *names; /* dray_links_names(), or NULL where nothing is linked */
    const char
        *image; /* the last one that was looked up, of a container that still is in the list */
    const char *image_id;
    bool current;
    bool annotations; /* clients since API 1.46 see them */
};

/* Its name, and those that links give it. The image goes by its id once its name means another. */
static void add_names(struct dray_buf *b, const struct dray_container *c, const struct around *a)
{
    struct json_object *more = dray_json_arr(a->names, c->id);
    dray_buf_addf(b, ",\"Names\":[\"/%s\"", c->name ? c->name : "");
    for (size_t i = 0; i < dray_json_len(more); i++)
        dray_buf_addf(b, ",%s", dray_json_text(json_object_array_get_idx(more, i)));
    dray_autojson *image = json_object_new_string(a->current ? c->image : c->image_id);
    dray_buf_addf(b, "],\"Image\":%s", dray_json_text(image));
}

/* Does the container's image still go by the name that it was made with? */
static void look_up_image(struct around *a, const struct dray_container *c)
{
    if (a->image && strcmp(a->image, c->image) == 0 && strcmp(a->image_id, c->image_id) == 0)
        return;
    a->image = c->image;
    a->image_id = c->image_id;
    a->current = dray_images_is(c->set->engine->images, c->image, c->image_id);
}

/** Call with lock held. */
static void add_row(struct dray_buf *b, const struct dray_container *c, int64_t now,
                    const struct around *a)
{
    char status[96] = "";
    status_text(c, now, status, sizeof status);
    dray_buf_adds(b, c->summary ? c->summary : "{\"Id\":\"\",\"HostConfig\":{\"NetworkMode\":\"\"");
    if (a->annotations && c->notes)
        dray_buf_addf(b, ",\"Annotations\":%s", c->notes);
    dray_buf_adds(b, "}");
    add_names(b, c, a);
    dray_buf_addf(b, ",\"State\":\"%s\",\"Status\":\"%s\"",
                  dray_container_status_name(c->st.status), status);
    add_ports(b, c->ports);
    dray_buf_adds(b, ",\"NetworkSettings\":{\"Networks\":");
    dray_buf_adds(b, c->networks ? c->networks : "{}");
    dray_buf_adds(b, "}");
}

static void add_sizes(struct dray_buf *b, struct dray_container *c)
{
    int64_t rw = 0, root = 0;
    dray_container_sizes(c, &rw, &root);
    if (rw != 0)
        dray_buf_addf(b, ",\"SizeRw\":%" PRId64, rw);
    if (root != 0)
        dray_buf_addf(b, ",\"SizeRootFs\":%" PRId64, root);
}

/* Filters. */

struct matcher {
    const struct dray_filters *f;
    int64_t before, since;             /* creation times, 0: none */
    const struct dray_strlist *images; /* ids that "ancestor" asks for */
};

static int created_of(struct dray_containers *cs, const char *name, int64_t *out,
                      struct dray_err *err)
{
    dray_autocontainer *c = NULL;
    int rc = name ? dray_container_find(cs, name, &c, err) : 0;
    if (c)
        *out = c->created_ns;
    return rc;
}

static bool match_name(const struct dray_filters *f, const char *name)
{
    if (!dray_filters_has(f, "name"))
        return true;
    dray_autofree char *slashed = dray_strf("/%s", name);
    return dray_filters_match(f, "name", name) ||
           (slashed && dray_filters_match(f, "name", slashed));
}

/** Call with lock held. */
static bool match_exited(const struct dray_filters *f, const struct dray_container *c)
{
    if (!dray_filters_has(f, "exited"))
        return true;
    char code[12];
    (void)snprintf(code, sizeof code, "%d", c->st.exit_code);
    return c->st.has_been_started && !dray_container_alive(c) &&
           dray_filters_exact(f, "exited", code);
}

static bool match_network(const struct dray_filters *f, const char *endpoints)
{
    if (!dray_filters_has(f, "network"))
        return true;
    dray_autojson *eps = dray_container_text(endpoints);
    bool found = false;
    if (eps) {
        json_object_object_foreach(eps, name, ep)
        {
            const char *id = dray_json_str(ep, "NetworkID", "");
            found = found || dray_filters_exact(f, "network", name) ||
                    (*id && dray_filters_prefix(f, "network", id));
            for (size_t i = 0; *id && !found; i++) {
                const char *want = dray_filters_get(f, "network", i);
                if (!want)
                    break;
                found = strlen(want) >= 6 && strncmp(id, want, strlen(want)) == 0;
            }
        }
    }
    return found;
}

static bool match_volume(const struct dray_filters *f, const char *mounts)
{
    if (!dray_filters_has(f, "volume"))
        return true;
    dray_autojson *points = dray_container_text(mounts);
    for (size_t i = 0; i < dray_json_len(points); i++) {
        struct json_object *p = json_object_array_get_idx(points, i);
        if (dray_filters_exact(f, "volume", dray_json_str(p, "Name", "")) ||
            dray_filters_exact(f, "volume", dray_json_str(p, "Destination", "")) ||
            dray_filters_exact(f, "volume", dray_json_str(p, "Source", "")))
            return true;
    }
    return false;
}

/* Was the container's image one of those that were asked for, or made from one? */
static bool match_ancestor(const struct matcher *m, const struct dray_container *c)
{
    if (!dray_filters_has(m->f, "ancestor"))
        return true;
    for (size_t i = 0; i < m->images->n; i++)
        if (strcmp(m->images->v[i], c->image_id) == 0)
            return true;
    return false;
}

/* "80", "80/udp", "8000-8010/tcp": a range of ports of one protocol. */
struct port_range {
    unsigned long first, last;
    char proto[8];
};

static bool parse_range(const char *text, struct port_range *out)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return false;
    out->first = out->last = strtoul(text, &end, 10);
    if (*end == '-' && isdigit((unsigned char)end[1]))
        out->last = strtoul(end + 1, &end, 10);
    (void)snprintf(out->proto, sizeof out->proto, "%s", *end == '/' ? end + 1 : "tcp");
    return (*end == '\0' || *end == '/') && out->first <= out->last && out->last <= 65535;
}

static bool in_ranges(const struct dray_filters *f, const char *key, const char *port,
                      const char *proto)
{
    const char *want;
    unsigned long n = strtoul(port, NULL, 10);
    for (size_t i = 0; (want = dray_filters_get(f, key, i)) != NULL; i++) {
        struct port_range r;
        if (parse_range(want, &r) && n >= r.first && n <= r.last && strcmp(r.proto, proto) == 0)
            return true;
    }
    return false;
}

static bool any_port(const struct dray_filters *f, const char *key, struct json_object *map)
{
    bool published = strcmp(key, "publish") == 0;
    if (!map)
        return false;
    json_object_object_foreach(map, spec, list)
    {
        const char *slash = strchr(spec, '/');
        const char *proto = slash ? slash + 1 : "tcp";
        if (!published && in_ranges(f, key, spec, proto))
            return true;
        for (size_t i = 0; published && i < dray_json_len(list); i++)
            if (in_ranges(f, key,
                          dray_json_str(json_object_array_get_idx(list, i), "HostPort", "0"),
                          proto))
                return true;
    }
    return false;
}

/** "publish" looks at ports of the host, given or chosen; "expose" at the container's own. */
static bool match_ports(const struct dray_filters *f, const struct dray_container *c)
{
    bool fits = true;
    if (dray_filters_has(f, "expose")) {
        dray_autojson *config = dray_container_text(c->config);
        fits = any_port(f, "expose", dray_json_obj(config, "ExposedPorts"));
    }
    if (fits && dray_filters_has(f, "publish")) {
        dray_autojson *host = dray_container_text(c->host);
        dray_autojson *ports = dray_container_text(c->ports);
        fits = any_port(f, "publish", dray_json_obj(host, "PortBindings")) ||
               any_port(f, "publish", ports);
    }
    return fits;
}

static bool match_health(const struct dray_filters *f, const struct dray_container *c)
{
    const char *health = dray_health_status(c);
    return dray_filters_exact(f, "health", *health ? health : "none");
}

/** Call with lock held. */
static bool matches(const struct matcher *m, const struct dray_container *c)
{
    const struct dray_filters *f = m->f;
    if (!f)
        return true;
    return (m->before == 0 || c->created_ns < m->before) &&
           (m->since == 0 || c->created_ns > m->since) && dray_filters_prefix(f, "id", c->id) &&
           match_name(f, c->name) &&
           dray_filters_exact(f, "status", dray_container_status_name(c->st.status)) &&
           match_exited(f, c) && dray_filters_labels(f, c->labels) && match_ancestor(m, c) &&
           match_health(f, c) && match_network(f, c->endpoints) && match_volume(f, c->mounts) &&
           match_ports(f, c) &&
           !(dray_filters_has(f, "is-task") && dray_filters_exact(f, "is-task", "true"));
}

static bool one_of(const char *value, const char *const *choices)
{
    for (; *choices; choices++)
        if (strcmp(value, *choices) == 0)
            return true;
    return false;
}

static int check_more_filters(const struct dray_filters *f, struct dray_err *err)
{
    static const char *const healths[] = {"none", "starting", "healthy", "unhealthy", NULL};
    static const char *const bools[] = {"true", "false", "1", "0", NULL};
    static const char *const ports[] = {"publish", "expose"};
    const char *want;
    for (size_t i = 0; (want = dray_filters_get(f, "health", i)) != NULL; i++)
        if (!one_of(want, healths))
            return dray_fail(
                err, DRAY_E_INVAL,
                "invalid filter 'health=%s': invalid value for health (%s): must be one "
                "of none, starting, healthy, unhealthy",
                want, want);
    for (size_t i = 0; (want = dray_filters_get(f, "is-task", i)) != NULL; i++)
        if (!one_of(want, bools))
            return dray_fail(err, DRAY_E_INVAL, "invalid filter 'is-task=[%s]'", want);
    for (size_t k = 0; k < 2; k++) {
        struct port_range r;
        for (size_t i = 0; (want = dray_filters_get(f, ports[k], i)) != NULL; i++)
            if (!parse_range(want, &r))
                return dray_fail(err, DRAY_E_INVAL,
                                 "error while looking up for %s %s: invalid port", ports[k], want);
    }
    return 0;
}

static int check_filters(const struct dray_filters *f, struct dray_err *err)
{
    static const char *const states[] = {"created",  "running", "paused", "restarting",
                                         "removing", "exited",  "dead"};
    for (size_t i = 0; f && dray_filters_get(f, "status", i); i++) {
        const char *want = dray_filters_get(f, "status", i);
        bool known = false;
        for (size_t k = 0; k < 7 && !known; k++)
            known = strcmp(states[k], want) == 0;
        if (!known)
            return dray_fail(
                err, DRAY_E_INVAL,
                "invalid filter 'status=%s': invalid value for state (%s): must be one of "
                "created, running, paused, restarting, removing, exited, dead",
                want, want);
    }
    for (size_t i = 0; f && dray_filters_get(f, "exited", i); i++) {
        char *end;
        const char *want = dray_filters_get(f, "exited", i);
        (void)strtol(want, &end, 10);
        if (!*want || *end)
            return dray_fail(err, DRAY_E_INVAL, "invalid filter 'exited=%s'", want);
    }
    return f ? check_more_filters(f, err) : 0;
}

int dray_containers_list(struct dray_containers *cs, const struct dray_list_req *req,
                         char **text_out, struct dray_err *err)
{
    const struct dray_filters *f = req->filters;
    DRAY_AUTO(dray_strlist) images = {0};
    struct matcher m = {.f = f, .images = &images};
    const char *ancestor = NULL;
    int rc = check_filters(f, err);
    for (size_t i = 0; rc == 0 && f && (ancestor = dray_filters_get(f, "ancestor", i)); i++)
        rc = dray_images_descendants(cs->engine->images, ancestor, &images, err);
    if (rc == 0 && f)
        rc = created_of(cs, dray_filters_get(f, "before", 0), &m.before, err);
    if (rc == 0 && f)
        rc = created_of(cs, dray_filters_get(f, "since", 0), &m.since, err);
    if (rc != 0)
        return rc;
    /* Asking for a state, or for the last few, asks for stopped ones too. */
    bool all = req->all || req->limit > 0 ||
               (f && (dray_filters_has(f, "status") || dray_filters_has(f, "exited")));
    DRAY_AUTO(dray_buf) b = {0};
    dray_buf_addc(&b, '[');
    int64_t now = dray_clock_now(), left = req->limit > 0 ? req->limit : INT64_MAX;
    dray_autojson *names = atomic_load(&cs->has_links) ? dray_links_names(cs) : NULL;
    struct around a = {.names = names, .annotations = req->api_version >= 146};
    struct dray_container **v;
    size_t n = dray_container_snapshot(cs, &v);
    for (size_t i = n; i-- > 0 && left > 0;) {
        struct dray_container *c = v[i];
        look_up_image(&a, c);
        pthread_mutex_lock(&c->lock);
        bool shown = !c->removed && matches(&m, c) &&
                     (all || dray_container_alive(c) || c->st.status == DRAY_CS_RESTARTING);
        if (shown) {
            if (b.len > 1)
                dray_buf_addc(&b, ',');
            add_row(&b, c, now, &a);
            left--;
        }
        pthread_mutex_unlock(&c->lock);
        if (shown && req->size)
            add_sizes(&b, c);
        if (shown)
            dray_buf_addc(&b, '}');
    }
    dray_container_list_free(v, n);
    dray_buf_addc(&b, ']');
    *text_out = dray_buf_steal(&b);
    return *text_out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}
