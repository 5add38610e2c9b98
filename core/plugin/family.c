/* SPDX-License-Identifier: Apache-2.0 */
/* family.c - opens drivers by names that no plugin lists, when they are asked for. */
#define DRAY_LOG_AREA "plugin"
#include "plugin/registry.h"

#include "base/logging.h"

#include <stdatomic.h>

/** One name that is being asked of the families, or whose opening has not returned. */
struct dray_claim {
    struct dray_claim *next;
    uint32_t kind;
    char name[DRAY_PLUGIN_NAME_MAX + 1];
    struct dray_instance *stuck; /* its open() still runs, and nobody waits for it */
};

/* A name becomes a folder's name, a part of labels and of errors. */
static bool claimable(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-";
    size_t n = strspn(name, good);
    return n >= 1 && n <= DRAY_PLUGIN_NAME_MAX && name[n] == '\0' && !strchr(".:-", name[0]);
}

static bool serves(const struct dray_instance *in, uint32_t kind)
{
    return dray_instance_is_family(in) && in->state == DRAY_INSTANCE_READY &&
           in->file->card.kinds & 1u << kind;
}

/* Load the file and parse the options, once. load_lock held; nothing of the plugin runs. */
static int prepare(struct dray_instance *family, struct json_object *options, struct dray_err *err)
{
    struct dray_plugin_file *f = family->file;
    struct dray_options *parsed = NULL;
    if (atomic_load(&family->options))
        return 0;
    int rc = dray_plugin_load(f);
    if (rc) {
        *err = f->refusal;
        return rc;
    }
    rc = dray_options_parse(f->desc.options, f->desc.n_options, options, &parsed, err);
    if (rc)
        return rc;
    dray_host_init(family);
    atomic_store(&family->options, parsed);
    return 0;
}

int dray_family_open(struct dray_instance *in, struct json_object *options)
{
    int rc = in->file->refusal.code;
    if (rc)
        in->refusal = in->file->refusal;
    if (!rc && in->isolated)
        rc = dray_fail(&in->refusal, DRAY_E_NOTSUP,
                       "it is a family, whose drivers run in this process; remove \"isolation\" "
                       "from its configuration");
    pthread_mutex_lock(&in->registry->load_lock);
    if (!rc && options)
        rc = prepare(in, options, &in->refusal);
    pthread_mutex_unlock(&in->registry->load_lock);
    if (!rc)
        in->state = DRAY_INSTANCE_READY;
    return rc;
}

/* Ask one family, in the thread of whoever wants the driver. The instance is in *out when it is
 * open, and when its open() has not returned. */
static int ask(struct dray_instance *family, uint32_t kind, const char *name,
               struct dray_instance **out, struct dray_err *err)
{
    struct dray_drivers *r = family->registry;
    pthread_mutex_lock(&r->load_lock);
    int rc = prepare(family, NULL, err);
    pthread_mutex_unlock(&r->load_lock);
    if (rc)
        return dray_err_note(err, "plugin %s", family->name);
    struct dray_instance *in = dray_instance_new(r, name, family->file);
    if (!in)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    in->parent = family;
    in->claim_kind = kind;
    rc = dray_instance_open_child(in);
    if (rc)
        *err = in->refusal;
    if (rc && !dray_instance_is_stuck(in))
        dray_instance_free(in);
    else
        *out = in;
    return rc;
}

static int ask_all(struct dray_drivers *r, const struct dray_claim *c, struct dray_instance **out,
                   struct dray_err *err)
{
    for (struct dray_instance *in = r->instances; in; in = in->next) {
        if (!serves(in, c->kind))
            continue;
        int rc = ask(in, c->kind, c->name, out, err);
        if (rc != DRAY_E_NOTFOUND)
            return rc;
        *err = (struct dray_err){0};
    }
    return DRAY_E_NOTFOUND;
}

/* claim_lock held. */
static struct dray_claim *find_claim(struct dray_drivers *r, uint32_t kind, const char *name)
{
    struct dray_claim *c = r->claims;
    while (c && (c->kind != kind || strcmp(c->name, name) != 0))
        c = c->next;
    return c;
}

/* claim_lock held. */
static void drop_claim(struct dray_drivers *r, struct dray_claim *c)
{
    struct dray_claim **at = &r->claims;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    if (c->stuck)
        dray_instance_free(c->stuck);
    free(c);
}

/* Wait for another's claim of the name; false when that one is stuck. claim_lock held. */
static bool await_others(struct dray_drivers *r, uint32_t kind, const char *name)
{
    struct dray_claim *c;
    while ((c = find_claim(r, kind, name))) {
        if (!c->stuck) /* ends within the time for openings */
            pthread_cond_wait(&r->claimed, &r->claim_lock);
        else if (dray_instance_is_stuck(c->stuck))
            return false;
        else
            drop_claim(r, c);
    }
    return true;
}

/* claim_lock held. */
static struct dray_claim *add_claim(struct dray_drivers *r, uint32_t kind, const char *name)
{
    struct dray_claim *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->kind = kind;
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    c->next = r->claims;
    r->claims = c;
    return c;
}

/* The claim is the caller's: ask the families and let the others know. */
static struct dray_driver *settle(struct dray_drivers *r, struct dray_claim *c,
                                  struct dray_err *err)
{
    struct dray_instance *in = NULL;
    int rc = ask_all(r, c, &in, err);
    pthread_mutex_lock(&r->claim_lock);
    if (!rc) {
        dray_instance_list(r, in);
        drop_claim(r, c);
    } else if (in) {
        c->stuck = in;
    } else {
        drop_claim(r, c);
    }
    pthread_cond_broadcast(&r->claimed);
    pthread_mutex_unlock(&r->claim_lock);
    if (rc)
        return NULL;
    dray_info("%s: opened by the plugin %s", in->drivers[0].label, in->file->card.name);
    dray_instance_event(in, "enable");
    return &in->drivers[0];
}

struct dray_driver *dray_family_claim(struct dray_drivers *r, uint32_t kind, const char *name,
                                      struct dray_err *err)
{
    bool any = false;
    for (const struct dray_instance *in = r->instances; in && !any; in = in->next)
        any = serves(in, kind);
    if (!any || !claimable(name))
        return NULL;
    pthread_mutex_lock(&r->claim_lock);
    bool well = await_others(r, kind, name);
    struct dray_driver *d = well ? dray_drivers_find(r, kind, name) : NULL;
    struct dray_claim *mine = well && !d ? add_claim(r, kind, name) : NULL;
    pthread_mutex_unlock(&r->claim_lock);
    if (d)
        return d;
    if (mine)
        return settle(r, mine, err);
    (void)dray_fail(err, well ? DRAY_E_NOMEM : DRAY_E_UNAVAIL, "the driver %s/%s %s",
                    dray_kind_name(kind), name,
                    well ? "cannot be opened: out of memory" : "does not answer when it is opened");
    return NULL;
}

bool dray_family_close(struct dray_drivers *r)
{
    bool all = true;
    pthread_mutex_lock(&r->claim_lock);
    for (struct dray_claim *c = r->claims, *next = NULL; c; c = next) {
        next = c->next;
        if (c->stuck && !dray_instance_is_stuck(c->stuck))
            drop_claim(r, c);
        else
            all = false;
    }
    pthread_mutex_unlock(&r->claim_lock);
    return all;
}
