/* SPDX-License-Identifier: Apache-2.0 */
/* container_link_names.c - links of the default bridge: the names they give, and how they are
 * shown. */
#include "engine/container/container_link_names.h"

#include "base/buf.h"
#include "base/json.h"
#include "engine/container/container.h"

struct link {
    char *target, *alias;         /* the name of the container, and that in the one that links */
    struct dray_container *other; /* NULL: it has gone */
};

static void link_fini(struct link *l)
{
    free(l->target);
    free(l->alias);
    dray_container_unref(l->other);
}

static char *name_of(struct dray_container *c)
{
    pthread_mutex_lock(&c->lock);
    char *name = strdup(c->name ? c->name : "");
    pthread_mutex_unlock(&c->lock);
    return name;
}

/* The links of host, or NULL where the network is one that knows of them itself. */
static struct json_object *links_of(struct json_object *host)
{
    const char *mode = dray_json_str(host, "NetworkMode", "");
    if (strcmp(mode, "bridge") != 0 && strcmp(mode, "default") != 0)
        return NULL;
    return dray_json_arr(host, "Links");
}

/* The i-th link. A target that is there goes by its name of now. False: out of memory. */
static bool read_link(struct dray_containers *cs, struct json_object *links, size_t i,
                      struct link *out)
{
    const char *text = json_object_get_string(json_object_array_get_idx(links, i));
    size_t n = strcspn(text, ":");
    dray_autofree char *given = strndup(text + (*text == '/'), n - (*text == '/'));
    *out = (struct link){0};
    if (given && dray_container_find(cs, given, &out->other, NULL) != 0)
        out->other = NULL;
    out->target = out->other ? name_of(out->other) : (given ? strdup(given) : NULL);
    out->alias =
        text[n] ? strdup(dray_link_alias(text)) : (out->target ? strdup(out->target) : NULL);
    return out->target && out->alias;
}

const char *dray_link_alias(const char *text)
{
    const char *alias = text + strcspn(text, ":");
    const char *slash = strrchr(alias, '/');
    return slash ? slash + 1 : alias + (*alias == ':');
}

void dray_links_show(struct dray_container *c, struct json_object *host)
{
    struct json_object *links = links_of(host), *shown = NULL;
    dray_autofree char *self = name_of(c);
    for (size_t i = 0; i < dray_json_len(links); i++) {
        __attribute__((cleanup(link_fini))) struct link l;
        dray_autofree char *text = read_link(c->set, links, i, &l)
                                       ? dray_strf("/%s:/%s/%s", l.target, self, l.alias)
                                       : NULL;
        if (text && !shown)
            shown = json_object_new_array();
        if (text)
            json_object_array_add(shown, json_object_new_string(text));
    }
    dray_json_add(host, "Links", shown); /* null when none are left */
}

static void add_name(struct json_object *names, const char *id, const char *name /* may be NULL */)
{
    struct json_object *list = dray_json_arr(names, id);
    if (!list) {
        list = json_object_new_array();
        dray_json_add(names, id, list);
    }
    if (name)
        json_object_array_add(list, json_object_new_string(name));
}

struct json_object *dray_links_names(struct dray_containers *cs)
{
    struct json_object *names = json_object_new_object();
    struct dray_container **v;
    size_t n = dray_container_snapshot(cs, &v);
    for (size_t k = 0; k < n; k++) {
        dray_autojson *host = dray_container_json(v[k], &v[k]->host);
        struct json_object *links = links_of(host);
        for (size_t i = 0; i < dray_json_len(links); i++) {
            __attribute__((cleanup(link_fini))) struct link l;
            if (!read_link(cs, links, i, &l) || !l.other)
                continue;
            dray_autofree char *self = name_of(v[k]);
            dray_autofree char *name = dray_strf("/%s/%s", self, l.alias);
            add_name(names, l.other->id, name);
        }
    }
    dray_container_list_free(v, n);
    return names;
}

int dray_links_find(struct dray_containers *cs, const char *path, struct dray_container **out,
                    struct dray_err *err)
{
    const char *plain = path + (*path == '/');
    const char *slash = strchr(plain, '/');
    dray_autofree char *parent = slash ? strndup(plain, (size_t)(slash - plain)) : NULL;
    dray_autocontainer *c = NULL;
    if (!parent || !*parent || dray_container_find(cs, parent, &c, NULL) != 0)
        return dray_fail(err, DRAY_E_NOTFOUND, "No such container: %s", path);
    dray_autojson *host = dray_container_json(c, &c->host);
    struct json_object *links = links_of(host);
    for (size_t i = 0; i < dray_json_len(links); i++) {
        __attribute__((cleanup(link_fini))) struct link l;
        if (!read_link(cs, links, i, &l) || !l.other || strcmp(l.alias, slash + 1) != 0)
            continue;
        *out = dray_container_ref(l.other);
        return 0;
    }
    return dray_fail(err, DRAY_E_NOTFOUND, "No such container: %s", path);
}

/* --- renaming ----------------------------------------------------------------------------------*/

/* Make links of host to `old` follow; false: there is none. */
static bool follow(struct json_object *host, const char *old, const char *now)
{
    struct json_object *links = dray_json_arr(host, "Links");
    bool changed = false;
    for (size_t i = 0; i < dray_json_len(links); i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(links, i));
        const char *plain = text + (*text == '/');
        size_t n = strcspn(plain, ":");
        if (strlen(old) != n || strncmp(plain, old, n) != 0)
            continue;
        dray_autofree char *line = dray_strf("%s:%s", now, plain[n] ? plain + n + 1 : old);
        if (line)
            json_object_array_put_idx(links, i, json_object_new_string(line));
        changed = changed || line;
    }
    return changed;
}

/* Only one that links to it is waited for. */
static void follow_in(struct dray_container *c, const char *old, const char *now)
{
    dray_autojson *look = dray_container_json(c, &c->host);
    if (!follow(look, old, now) || dray_container_op_begin(c, NULL) != 0)
        return;
    dray_autojson *host = dray_container_json(c, &c->host);
    if (follow(host, old, now)) {
        pthread_mutex_lock(&c->lock);
        dray_container_set_host(c, host);
        pthread_mutex_unlock(&c->lock);
        (void)dray_container_save(c, NULL);
    }
    pthread_mutex_unlock(&c->op);
}

void dray_links_renamed(struct dray_containers *cs, const char *old, const char *now)
{
    if (!atomic_load(&cs->has_links))
        return;
    struct dray_container **v;
    size_t n = dray_container_snapshot(cs, &v);
    for (size_t i = 0; i < n; i++)
        follow_in(v[i], old, now);
    dray_container_list_free(v, n);
}
