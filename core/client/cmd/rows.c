/* SPDX-License-Identifier: Apache-2.0 */
/* rows.c - pieces of list rows that several commands show. */
#include "client/cmd/rows.h"

#include "base/clock.h"
#include "base/json.h"
#include "client/units.h"

char *rows_short_id(const char *id)
{
    const char *colon = strchr(id, ':');
    if (colon)
        id = colon + 1;
    return cli_strf("%.12s", id);
}

void rows_take(struct json_object *row, const char *key, char *text)
{
    json_object_object_add(row, key, json_object_new_string(text));
    free(text);
}

char *rows_ago(int64_t seconds)
{
    char human[UNITS_LEN];
    units_human_duration(dray_clock_now() - seconds * DRAY_NS_PER_S, human);
    return cli_strf("%s ago", human);
}

char *rows_labels(struct json_object *labels)
{
    DRAY_AUTO(dray_strlist) l = {0};
    DRAY_AUTO(dray_buf) b = {0};
    if (labels) {
        json_object_object_foreach(labels, k, v)
        {
            (void)dray_strlist_addf(&l, "%s=%s", k, json_object_get_string(v));
        }
    }
    dray_strlist_sort(&l);
    for (size_t i = 0; i < l.n; i++)
        dray_buf_addf(&b, "%s%s", i ? "," : "", l.v[i]);
    return cli_strdup(b.data ? b.data : "");
}

struct port {
    long inside, outside;
    const char *ip, *type;
};

static int by_port(const void *a, const void *b)
{
    const struct port *x = a, *y = b;
    if (x->inside != y->inside)
        return x->inside < y->inside ? -1 : 1;
    int c = strcmp(x->ip, y->ip);
    if (c != 0)
        return c;
    if (x->outside != y->outside)
        return x->outside < y->outside ? -1 : 1;
    return strcmp(x->type, y->type);
}

static void join(struct dray_buf *b, const char *text)
{
    dray_buf_addf(b, "%s%s", b->len ? ", " : "", text);
}

static char *host_port(const char *ip, const char *port)
{
    return strchr(ip, ':') ? cli_strf("[%s]:%s", ip, port) : cli_strf("%s:%s", ip, port);
}

static void add_group(struct dray_buf *b, const struct port *key, long first, long last)
{
    dray_autofree char *range =
        first == last ? cli_strf("%ld", first) : cli_strf("%ld-%ld", first, last);
    dray_autofree char *outside = *key->ip ? host_port(key->ip, range) : NULL;
    dray_autofree char *text = outside ? cli_strf("%s->%s/%s", outside, range, key->type)
                                       : cli_strf("%s/%s", range, key->type);
    join(b, text);
}

struct group {
    struct port key;
    long first, last;
};

static struct group *find_group(struct group *g, size_t n, const struct port *p)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(g[i].key.ip, p->ip) == 0 && strcmp(g[i].key.type, p->type) == 0)
            return &g[i];
    return NULL;
}

char *rows_ports(struct json_object *ports)
{
    size_t n = dray_json_len(ports), n_groups = 0;
    dray_autofree struct port *v = cli_need(calloc(n + 1, sizeof *v));
    dray_autofree struct group *groups = cli_need(calloc(n + 1, sizeof *groups));
    DRAY_AUTO(dray_buf) b = {0};
    DRAY_AUTO(dray_buf) moved = {0};
    for (size_t i = 0; i < n; i++) {
        struct json_object *p = json_object_array_get_idx(ports, i);
        v[i] = (struct port){dray_json_int(p, "PrivatePort", 0), dray_json_int(p, "PublicPort", 0),
                             dray_json_str(p, "IP", ""), dray_json_str(p, "Type", "tcp")};
    }
    qsort(v, n, sizeof *v, by_port);
    for (size_t i = 0; i < n; i++) {
        if (*v[i].ip && v[i].outside != v[i].inside) {
            dray_autofree char *port = cli_strf("%ld", v[i].outside);
            dray_autofree char *outside = host_port(v[i].ip, port);
            dray_autofree char *text = cli_strf("%s->%ld/%s", outside, v[i].inside, v[i].type);
            join(&moved, text);
            continue;
        }
        struct group *g = find_group(groups, n_groups, &v[i]);
        if (!g) {
            groups[n_groups++] = (struct group){v[i], v[i].inside, v[i].inside};
        } else if (v[i].inside == g->last + 1) {
            g->last = v[i].inside;
        } else if (v[i].inside != g->last) {
            add_group(&b, &g->key, g->first, g->last);
            g->first = g->last = v[i].inside;
        }
    }
    for (size_t i = 0; i < n_groups; i++)
        add_group(&b, &groups[i].key, groups[i].first, groups[i].last);
    if (moved.len)
        join(&b, moved.data);
    return cli_strdup(b.data ? b.data : "");
}

bool rows_confirm(const char *warning)
{
    char line[64] = "";
    (void)printf("%s\nAre you sure you want to continue? [y/N] ", warning);
    (void)fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return false;
    return (line[0] == 'y' || line[0] == 'Y') && (line[1] == '\n' || line[1] == '\0');
}
