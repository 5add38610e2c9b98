/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isolate_notes.c - what an isolated driver had in use, told again to a new process of it.
 *
 * As after a restart of the daemon: networks, endpoints, ports, pools and addresses are made again
 * with the very values and DRAY_CALL_REPLAY, and restore() names the users of each volume.
 */
#include "plugin/isolate.h"

/* Operations whose effects live in the process, and those that end them. The key is made of the
 * arguments whose numbers follow; 'o' numbers name outputs (const char **). */
static const struct rule {
    uint32_t kind;
    const char *op;
    const char *group; /* of the note */
    const char *args;  /* of the key: digits are inputs, letters a... outputs */
    bool drop;
} rules[] = {
    {DRAY_KIND_NETWORK, "net_create", "net", "0", false},
    {DRAY_KIND_NETWORK, "net_remove", "net", "0", true},
    {DRAY_KIND_NETWORK, "ep_create", "ep", "1", false},
    {DRAY_KIND_NETWORK, "ep_remove", "ep", "1", true},
    {DRAY_KIND_NETWORK, "ep_remove", "ports", "1", true},
    {DRAY_KIND_NETWORK, "publish", "ports", "1", false},
    {DRAY_KIND_NETWORK, "unpublish", "ports", "1", true},
    {DRAY_KIND_IPAM, "pool_request", "pool", "b", false},
    {DRAY_KIND_IPAM, "pool_release", "pool", "0", true},
    {DRAY_KIND_IPAM, "addr_request", "addr", "0c", false},
    {DRAY_KIND_IPAM, "addr_release", "addr", "01", true},
    {DRAY_KIND_VOLUME, "mount", "mount", "01", false},
    {DRAY_KIND_VOLUME, "unmount", "mount", "01", true},
    {DRAY_KIND_LOG, "open", "log", "", false}, /* a shim has one container */
    {DRAY_KIND_LOG, "close", "log", "", true},
};

static const char *text_at(void **args, char which)
{
    const char *text;
    const char *const *out;
    if (which >= '0' && which <= '9') {
        memcpy(&text, args[which - '0'], sizeof text);
        return text;
    }
    memcpy(&out, args[which - 'a'], sizeof out);
    return *out;
}

/* Texts of the key, addresses without their prefix. */
static char *make_key(const struct rule *r, void **args)
{
    struct dray_buf b = {0};
    dray_buf_adds(&b, r->group);
    for (const char *p = r->args; *p; p++) {
        const char *text = text_at(args, *p);
        bool address = strcmp(r->group, "addr") == 0 && p > r->args;
        size_t n = address ? strcspn(text, "/") : strlen(text);
        dray_buf_addf(&b, "\n%.*s", (int)n, text);
    }
    return dray_buf_steal(&b);
}

static void free_note(struct dray_isolate_note *n)
{
    dray_buf_free(&n->args);
    free(n->key);
    free(n->object);
    free(n->user);
    free(n);
}

void dray_isolate_notes_free(struct dray_isolate *iso)
{
    while (iso->notes) {
        struct dray_isolate_note *next = iso->notes->next;
        free_note(iso->notes);
        iso->notes = next;
    }
}

/* The place of the note of that key, or the end of the list. iso->lock is held. */
static struct dray_isolate_note **place(struct dray_isolate *iso, const char *key)
{
    struct dray_isolate_note **at = &iso->notes;
    while (*at && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

/* Arguments of the call again, with what was given in place of what was asked for. */
static void keep_args(struct dray_isolate_note *n, const struct dray_wire_op *op, void **args)
{
    void *again[DRAY_WIRE_ARGS];
    struct dray_pool_spec pool;
    const struct dray_pool_spec *pool_in = &pool;
    struct dray_addr_spec spec;
    const struct dray_addr_spec *spec_in = &spec;
    char addr[80];
    for (size_t i = 0; i < DRAY_WIRE_ARGS && op->args[i].code != DRAY_W_END; i++)
        again[i] = args[i];
    if (strcmp(op->name, "pool_request") == 0) {
        const struct dray_pool_spec *asked;
        memcpy(&asked, args[0], sizeof asked);
        pool = *asked;
        pool.subnet = text_at(args, 'c');
        again[0] = &pool_in;
    } else if (strcmp(op->name, "addr_request") == 0) {
        const struct dray_addr_spec *asked;
        const char *given = text_at(args, 'c');
        (void)snprintf(addr, sizeof addr, "%.*s", (int)strcspn(given, "/"), given);
        memcpy(&asked, args[1], sizeof asked);
        spec = *asked;
        spec.addr = addr;
        again[1] = &spec_in;
    }
    struct dray_wire w = {0};
    dray_wire_put_args(&w, op, again);
    n->args = w.buf;
}

static struct dray_isolate_note *new_note(const struct rule *r, uint32_t op, void **args)
{
    struct dray_isolate_note *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->op = op;
    n->key = make_key(r, args);
    if (r->kind == DRAY_KIND_VOLUME) {
        n->object = strdup(text_at(args, '0'));
        n->user = strdup(text_at(args, '1'));
    } else {
        keep_args(n, dray_wire_op(op), args);
    }
    if (n->key && !n->args.failed && (r->kind != DRAY_KIND_VOLUME || (n->object && n->user)))
        return n;
    free_note(n);
    return NULL;
}

static void apply(struct dray_isolate *iso, const struct rule *r, uint32_t op, void **args)
{
    struct dray_isolate_note *fresh = r->drop ? NULL : new_note(r, op, args);
    dray_autofree char *key = make_key(r, args);
    if (!key) {
        if (fresh)
            free_note(fresh);
        return;
    }
    pthread_mutex_lock(&iso->lock);
    struct dray_isolate_note **at = place(iso, key);
    struct dray_isolate_note *old = *at;
    if (fresh) {
        fresh->next = old ? old->next : NULL;
        *at = fresh;
    } else if (old && r->drop) {
        *at = old->next;
    } else {
        old = NULL;
    }
    pthread_mutex_unlock(&iso->lock);
    if (old)
        free_note(old);
}

void dray_isolate_note_call(struct dray_isolate *iso, uint32_t op, void **args)
{
    const struct dray_wire_op *o = dray_wire_op(op);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (rules[i].kind == o->kind && strcmp(rules[i].op, o->name) == 0)
            apply(iso, &rules[i], op, args);
}

/* --- replay ------------------------------------------------------------------------------------*/

static uint32_t find_op(uint32_t kind, const char *name)
{
    const struct dray_wire_op *o;
    uint32_t i = 0;
    for (; (o = dray_wire_op(i)); i++)
        if (o->kind == kind && strcmp(o->name, name) == 0)
            break;
    return i;
}

static int tell(struct dray_isolate *iso, uint32_t op, const struct dray_buf *args,
                struct dray_err *err)
{
    const struct dray_call call = {.size = sizeof call,
                                   .klass = DRAY_CLASS_MOUNT,
                                   .deadline_ns = dray_mono_ns() + UINT64_C(30000000000),
                                   .cancel_fd = -1,
                                   .request_id = "restart",
                                   .flags = DRAY_CALL_REPLAY};
    DRAY_AUTO(dray_wire) request = {.type = DRAY_WIRE_CALL};
    DRAY_AUTO(dray_wire) reply = {0};
    DRAY_AUTO(dray_wire_arena) memory = {0};
    dray_isolate_put_call(&request, op, &call);
    if (args->len)
        dray_buf_add(&request.buf, args->data, args->len);
    int rc = dray_isolate_exchange(iso, &request, &reply, err);
    if (rc)
        return rc;
    reply.alloc = dray_wire_arena_alloc;
    reply.ctx = &memory;
    rc = dray_wire_get_err(&reply, err);
    return rc ? dray_err_note(err, "%s again", dray_wire_op(op)->name) : 0;
}

static bool can_restore(const struct dray_isolate *iso)
{
    for (uint64_t i = 0; i < iso->desc.n_ifaces; i++)
        if (iso->ifaces[i].kind == DRAY_KIND_VOLUME)
            return ((const struct dray_volume_ops *)(const void *)iso->ifaces[i].ops)->restore !=
                   NULL;
    return false;
}

/* All users of one volume, told with the first of its notes. */
static int restore(struct dray_isolate *iso, const struct dray_isolate_note *first,
                   struct dray_err *err)
{
    for (const struct dray_isolate_note *n = iso->notes; n != first; n = n->next)
        if (n->object && strcmp(n->object, first->object) == 0)
            return 0;
    DRAY_AUTO(dray_wire) w = {0};
    uint64_t users = 0;
    for (const struct dray_isolate_note *n = first; n; n = n->next)
        users += n->object && strcmp(n->object, first->object) == 0;
    dray_wire_put_str(&w, first->object);
    dray_wire_put_u64(&w, users);
    for (const struct dray_isolate_note *n = first; n; n = n->next)
        if (n->object && strcmp(n->object, first->object) == 0)
            dray_wire_put_str(&w, n->user);
    return tell(iso, find_op(DRAY_KIND_VOLUME, "restore"), &w.buf, err);
}

/* No call is under way, and none is taken: the notes stay as they are. */
int dray_isolate_replay(struct dray_isolate *iso, struct dray_err *err)
{
    int rc = 0;
    bool restores = can_restore(iso);
    for (const struct dray_isolate_note *n = iso->notes; n && !rc; n = n->next) {
        if (!n->object)
            rc = tell(iso, n->op, &n->args, err);
        else if (restores)
            rc = restore(iso, n, err);
    }
    return rc;
}
