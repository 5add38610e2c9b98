/* SPDX-License-Identifier: Apache-2.0 */
/* space.c - reserves pools without overlap, and addresses within them. */
#include "space.h"

#include <dray/util.h>

void space_init(struct space *s)
{
    *s = (struct space){0};
    pthread_mutex_init(&s->lock, NULL);
}

static void pool_free(struct pool *p)
{
    if (!p)
        return;
    bitset_free(&p->taken);
    free(p);
}

void space_fini(struct space *s)
{
    for (size_t i = 0; i < s->n_pools; i++)
        pool_free(s->pools[i]);
    free(s->pools);
    free(s->defaults);
    pthread_mutex_destroy(&s->lock);
}

int space_add_default(struct space *s, const char *text, struct dray_err *err)
{
    char base[PREFIX_TEXT];
    const char *colon = strrchr(text, ':');
    struct space_default d;
    char *end = NULL;
    unsigned long size = colon && colon[1] ? strtoul(colon + 1, &end, 10) : 0;
    if (!size || *end || (size_t)(colon - text) >= sizeof base)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid default address pool \"%s\": want BASE/LEN:SIZE", text);
    memcpy(base, text, (size_t)(colon - text));
    base[colon - text] = '\0';
    if (!prefix_parse(base, &d.base) || size < d.base.len || size > prefix_bits(d.base.family))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid default address pool \"%s\": the size must lie within the base",
                         text);
    d.size = (uint32_t)size;
    struct space_default *v = reallocarray(s->defaults, s->n_defaults + 1, sizeof *v);
    if (!v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->defaults = v;
    s->defaults[s->n_defaults++] = d;
    return 0;
}

static struct pool *find(struct space *s, const char *id)
{
    for (size_t i = 0; i < s->n_pools; i++)
        if (strcmp(s->pools[i]->id, id) == 0)
            return s->pools[i];
    return NULL;
}

static const struct prefix *overlapping_pool(const struct space *s, const struct prefix *p)
{
    for (size_t i = 0; i < s->n_pools; i++)
        if (prefix_overlap(&s->pools[i]->subnet, p))
            return &s->pools[i]->subnet;
    return NULL;
}

/* What is in use, in the order of the addresses. */
struct taken {
    struct prefix *v;
    size_t n;
};

static int by_base(const void *a, const void *b)
{
    const struct prefix *x = a;
    const struct prefix *y = b;
    return x->base < y->base ? -1 : x->base > y->base;
}

static int taken_list(const struct space *s, const struct dray_pool_spec *spec, struct taken *out,
                      struct dray_err *err)
{
    out->v = calloc(s->n_pools + spec->avoid.n + 1, sizeof *out->v);
    if (!out->v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < s->n_pools; i++)
        if (s->pools[i]->subnet.family == spec->family)
            out->v[out->n++] = s->pools[i]->subnet;
    for (uint64_t i = 0; i < spec->avoid.n; i++) {
        struct prefix *p = &out->v[out->n];
        if (prefix_parse(spec->avoid.v[i], p) && p->len && p->family == spec->family)
            out->n++;
    }
    qsort(out->v, out->n, sizeof *out->v, by_base);
    return 0;
}

static prefix_u128 last_of(const struct prefix *p)
{
    uint32_t host = prefix_bits(p->family) - p->len;
    return p->base + (host < 128 ? ((prefix_u128)1 << host) - 1 : ~(prefix_u128)0);
}

/* Cuts the first free subnet out of one default pool, in one walk over what is taken: prefixes lie
 * within each other or apart. */
static bool cut(const struct taken *t, const struct space_default *d, struct prefix *out)
{
    prefix_u128 step = (prefix_u128)1 << (prefix_bits(d->base.family) - d->size);
    struct prefix p = {.family = d->base.family, .len = d->size, .base = d->base.base};
    for (size_t i = 0; i < t->n && t->v[i].base <= last_of(&p); i++) {
        prefix_u128 last = last_of(&t->v[i]);
        if (last < p.base)
            continue;
        prefix_u128 next = last > last_of(&p) ? last + 1 : p.base + step;
        if (next <= p.base)
            return false; /* the end of all addresses */
        p.base = next;
    }
    *out = p;
    return p.base <= last_of(&d->base);
}

static int choose(const struct space *s, const struct dray_pool_spec *spec, struct prefix *out,
                  struct dray_err *err)
{
    struct taken t = {0};
    int rc = taken_list(s, spec, &t, err);
    bool found = false;
    for (size_t i = 0; !rc && !found && i < s->n_defaults; i++)
        found = s->defaults[i].base.family == spec->family && cut(&t, &s->defaults[i], out);
    free(t.v);
    if (rc || found)
        return rc;
    return dray_fail(err, DRAY_E_NOSPACE, "all predefined address pools have been fully subnetted");
}

static int settle(const struct dray_pool_spec *spec, struct pool *p, struct dray_err *err)
{
    if (!prefix_parse(spec->subnet, &p->subnet) || p->subnet.family != spec->family)
        return dray_fail(err, DRAY_E_INVAL, "invalid subnet \"%s\": want an IPv%u CIDR",
                         spec->subnet, spec->family);
    p->range = p->subnet;
    if (!spec->range[0])
        return 0;
    if (!prefix_parse(spec->range, &p->range) || p->range.family != p->subnet.family)
        return dray_fail(err, DRAY_E_INVAL, "invalid address range \"%s\": want an IPv%u CIDR",
                         spec->range, spec->family);
    if (!prefix_contains(&p->subnet, &p->range))
        return dray_fail(err, DRAY_E_INVAL, "address range %s is not within subnet %s", spec->range,
                         spec->subnet);
    return 0;
}

static void name_pool(struct pool *p)
{
    char subnet[PREFIX_TEXT];
    char range[PREFIX_TEXT];
    prefix_format(&p->subnet, subnet);
    prefix_format(&p->range, range);
    bool ranged = p->range.len != p->subnet.len;
    (void)snprintf(p->id, sizeof p->id, "LocalDefault/%s%s%s", subnet, ranged ? "/" : "",
                   ranged ? range : "");
}

/* The network's and the broadcast address are nobody's, unless the subnet is too small for them. */
static bool reserve_ends(struct pool *p)
{
    uint64_t last = prefix_last_host(&p->subnet);
    if (p->subnet.family == 4 && last <= 1)
        return true;
    if (!bitset_add(&p->taken, 0))
        return false;
    return p->subnet.family == 6 || bitset_add(&p->taken, last);
}

static int insert(struct space *s, struct pool *p /* takes on success */, struct dray_err *err)
{
    if (s->n_pools == s->cap_pools) {
        size_t cap = s->cap_pools ? s->cap_pools * 2 : 16;
        struct pool **v = reallocarray(s->pools, cap, sizeof(struct pool *));
        if (!v)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        s->pools = v;
        s->cap_pools = cap;
    }
    if (!reserve_ends(p))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->pools[s->n_pools++] = p;
    return 0;
}

/* Lock held. 1: the pool of before is taken over. */
static int prepare(struct space *s, const struct dray_pool_spec *spec, bool replay, struct pool *p,
                   struct dray_err *err)
{
    if (!spec->subnet[0] && spec->range[0])
        return dray_fail(err, DRAY_E_INVAL, "an address range needs a subnet");
    if (!spec->subnet[0]) {
        int rc = choose(s, spec, &p->subnet, err);
        p->range = p->subnet;
        name_pool(p);
        return rc;
    }
    int rc = settle(spec, p, err);
    if (rc)
        return rc;
    name_pool(p);
    if (replay && find(s, p->id))
        return 1;
    if (overlapping_pool(s, &p->subnet))
        return dray_fail(err, DRAY_E_CONFLICT,
                         "Pool overlaps with other one on this address space");
    return 0;
}

int space_pool_request(struct space *s, const struct dray_pool_spec *spec, bool replay,
                       char id_out[POOL_ID], char subnet_out[PREFIX_TEXT], struct dray_err *err)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    pthread_mutex_lock(&s->lock);
    int rc = prepare(s, spec, replay, p, err);
    bool adopted = rc == 1;
    if (!rc)
        rc = insert(s, p, err);
    if (rc >= 0) {
        memcpy(id_out, p->id, POOL_ID);
        prefix_format(&p->subnet, subnet_out);
    }
    pthread_mutex_unlock(&s->lock);
    if (rc < 0 || adopted)
        pool_free(p);
    return rc < 0 ? rc : 0;
}

static void drop(struct space *s, size_t i)
{
    pool_free(s->pools[i]);
    memmove(s->pools + i, s->pools + i + 1, (s->n_pools - i - 1) * sizeof(struct pool *));
    s->n_pools--;
}

void space_pool_release(struct space *s, const char *id)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_pools; i++) {
        if (strcmp(s->pools[i]->id, id) == 0) {
            drop(s, i);
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
}

/* Host number of an address of the pool. */
static int host_number(const struct pool *p, const char *addr, uint64_t *out, struct dray_err *err)
{
    uint32_t family = 0;
    prefix_u128 value = 0;
    if (!prefix_parse_addr(addr, &family, &value))
        return dray_fail(err, DRAY_E_INVAL, "invalid address \"%s\"", addr);
    prefix_u128 host = value - p->subnet.base;
    if (!prefix_has_addr(&p->subnet, family, value) || host > prefix_last_host(&p->subnet))
        return dray_fail(err, DRAY_E_INVAL, "requested address is out of range");
    *out = (uint64_t)host;
    return 0;
}

static int any_host(struct pool *p, bool next_fit, uint64_t *out, struct dray_err *err)
{
    uint64_t first = (uint64_t)(p->range.base - p->subnet.base);
    uint64_t span = prefix_last_host(&p->range);
    uint64_t last = span > UINT64_MAX - first ? UINT64_MAX : first + span;
    bool found = next_fit && p->next > first && p->next <= last &&
                 bitset_first_free(&p->taken, p->next, last, out);
    if (!found && !bitset_first_free(&p->taken, first, last, out))
        return dray_fail(err, DRAY_E_NOSPACE, "no available addresses on this pool");
    p->next = *out == UINT64_MAX ? 0 : *out + 1;
    return 0;
}

/* Lock held. */
static int take_addr(struct space *s, struct pool *p, const char *addr, bool replay, uint64_t *out,
                     struct dray_err *err)
{
    int rc = addr[0] ? host_number(p, addr, out, err) : any_host(p, s->next_fit, out, err);
    if (rc)
        return rc;
    if (addr[0] && bitset_has(&p->taken, *out))
        return replay ? 0 : dray_fail(err, DRAY_E_CONFLICT, "Address already in use");
    if (!bitset_add(&p->taken, *out))
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return 0;
}

int space_addr_request(struct space *s, const char *id, const char *addr, bool replay,
                       char addr_out[PREFIX_TEXT], struct dray_err *err)
{
    uint64_t host = 0;
    pthread_mutex_lock(&s->lock);
    struct pool *p = find(s, id);
    int rc = p ? take_addr(s, p, addr, replay, &host, err)
               : dray_fail(err, DRAY_E_NOTFOUND, "no such address pool: %s", id);
    if (!rc)
        prefix_format_addr(&p->subnet, p->subnet.base + host, addr_out);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int space_addr_release(struct space *s, const char *id, const char *addr, struct dray_err *err)
{
    uint64_t host = 0;
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    struct pool *p = find(s, id);
    if (p)
        rc = host_number(p, addr, &host, err);
    if (p && !rc)
        bitset_remove(&p->taken, host);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void space_collect(struct space *s, struct dray_strs alive)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = s->n_pools; i-- > 0;) {
        bool named = false;
        for (uint64_t k = 0; k < alive.n && !named; k++)
            named = strcmp(alive.v[k], s->pools[i]->id) == 0;
        if (!named)
            drop(s, i);
    }
    pthread_mutex_unlock(&s->lock);
}
