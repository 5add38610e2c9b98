/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c - opens what the folders and the config name, finds drivers, lists and closes them. */
#define DRAY_LOG_AREA "plugin"
#include "plugin/registry.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/logging.h"

#include <stdatomic.h>

#define CLOSE_NS (10 * (uint64_t)DRAY_NS_PER_S)

/* --- instances -------------------------------------------------------------------------------- */

struct dray_instance *dray_instance_new(struct dray_drivers *r, const char *name,
                                        struct dray_plugin_file *f)
{
    struct dray_instance *in = calloc(1, sizeof *in);
    if (!in)
        return NULL;
    pthread_mutex_init(&in->lock, NULL);
    pthread_cond_init(&in->turn, NULL);
    in->registry = r;
    in->file = f;
    in->name = strdup(name);
    in->path = f ? strdup(f->path) : NULL;
    if (!in->name || (f && !in->path)) {
        dray_instance_free(in);
        return NULL;
    }
    return in;
}

void dray_instance_list(struct dray_drivers *r, struct dray_instance *in)
{
    /* Kept by name, then by kind, so that lists come out in a stable order. */
    struct dray_instance *_Atomic *at = &r->instances;
    for (struct dray_instance *o; (o = atomic_load(at)); at = &o->next) {
        int order = strcmp(o->name, in->name);
        uint32_t kinds = o->file ? o->file->card.kinds : 0;
        if (order > 0 || (order == 0 && in->file && kinds > in->file->card.kinds))
            break;
    }
    atomic_store(&in->next, atomic_load(at));
    atomic_store(at, in);
}

static struct dray_instance *new_instance(struct dray_drivers *r, const char *name,
                                          struct dray_plugin_file *f)
{
    struct dray_instance *in = dray_instance_new(r, name, f);
    if (in)
        dray_instance_list(r, in);
    return in;
}

bool dray_instance_is_family(const struct dray_instance *in)
{
    return in->file && in->file->card.family && !in->parent;
}

/* Say once, in four parts, why it is left out. */
static int refuse(struct dray_instance *in)
{
    in->state = DRAY_INSTANCE_REFUSED;
    /* Nobody asked for a driver that only lies in the folder: that it has no use here is no error.
     */
    uint32_t level = in->unfit && !in->named ? DRAY_LOG_INFO : DRAY_LOG_ERROR;
    dray_log_line(level, DRAY_LOG_AREA, "plugin %s refused: %s", in->path ? in->path : in->name,
                  in->refusal.text);
    const struct dray_drivers_config *c = &in->registry->config;
    if (c->on_event)
        c->on_event(c->ctx, in->name, "refuse");
    return in->refusal.code;
}

static struct dray_instance *holder_of(struct dray_drivers *r, const struct dray_instance *of)
{
    for (struct dray_instance *in = r->instances; in; in = in->next)
        if (in != of && in->file && in->state != DRAY_INSTANCE_REFUSED &&
            in->file->card.kinds & of->file->card.kinds && strcmp(in->name, of->name) == 0)
            return in;
    return NULL;
}

static int bring_up(struct dray_instance *in, struct json_object *options)
{
    int rc = dray_instance_open(in, options);
    if (rc)
        return refuse(in);
    if (dray_instance_is_family(in))
        return 0;
    dray_debug("%s: ready (%s %s, %s)", in->drivers[0].label, in->file->card.name,
               in->file->card.version, in->path);
    dray_instance_event(in, "enable");
    return 0;
}

static bool wanted(const struct dray_drivers *r, const struct dray_plugin_file *f, const char *name)
{
    if (r->config.only_kinds && f && f->read && !(f->card.kinds & r->config.only_kinds))
        return false;
    const char *const *n = r->config.only_names;
    for (; n && *n; n++)
        if (strcmp(*n, name) == 0)
            return true;
    return r->config.only_names == NULL;
}

/* --- what the config names -------------------------------------------------------------------- */

static const char *entry_name(const struct dray_plugin_config *c, const struct dray_plugin_file *f)
{
    return !c->plugin && f && f->card.name[0] ? f->card.name : c->name;
}

static int open_entry(struct dray_drivers *r, const struct dray_plugin_config *c)
{
    struct dray_err why = {0};
    struct dray_plugin_file *f = c->path
                                     ? dray_files_add(r, c->path)
                                     : dray_files_find(r, c->plugin ? c->plugin : c->name, &why);
    const char *name = entry_name(c, f);
    if (!wanted(r, f, name))
        return 0;
    struct dray_instance *in = new_instance(r, name, f);
    if (!in)
        return DRAY_E_NOMEM;
    in->named = true;
    in->isolated = c->isolated;
    in->required = c->required;
    in->refusal = f ? f->refusal : why;
    struct dray_instance *other = f ? holder_of(r, in) : NULL;
    if (c->disabled || (c->isolated && r->config.no_isolated)) {
        in->state = DRAY_INSTANCE_DISABLED;
        return 0;
    }
    if (!in->refusal.code && !dray_plugin_name_valid(name))
        (void)dray_fail(&in->refusal, DRAY_E_INVAL,
                        "the instance is called \"%.70s\"; a name is 1 to %d of a-z, 0-9 and -; "
                        "correct the configuration",
                        name, DRAY_PLUGIN_NAME_MAX);
    if (!in->refusal.code && other)
        (void)dray_fail(&in->refusal, DRAY_E_CONFLICT,
                        "the name \"%s\" is taken by %s; names of one kind must differ; rename "
                        "one of the instances in the configuration",
                        name, other->path);
    return in->refusal.code ? refuse(in) : bring_up(in, c->options);
}

/* The call fails for a required plugin; the others have been logged and are left out. */
static int open_entries(struct dray_drivers *r, const struct dray_drivers_config *c,
                        struct dray_err *err)
{
    for (size_t i = 0; i < c->n_plugins; i++) {
        const struct dray_plugin_config *p = &c->plugins[i];
        int rc = open_entry(r, p);
        if (rc == DRAY_E_NOMEM)
            return dray_fail(err, rc, "open plugins: out of memory");
        if (!rc || !p->required)
            continue;
        for (struct dray_instance *in = r->instances; in; in = in->next)
            if (in->state == DRAY_INSTANCE_REFUSED && in->required)
                return dray_fail(err, rc, "the required plugin %s (%s) was refused: %.300s",
                                 p->name, in->path ? in->path : "no file", in->refusal.text);
    }
    return 0;
}

/* --- what the folders hold beyond that -------------------------------------------------------- */

static bool spoken_for(struct dray_drivers *r, const struct dray_plugin_file *f)
{
    for (struct dray_instance *in = r->instances; in; in = in->next) {
        if (!in->named)
            continue;
        if (in->file == f && strcmp(in->name, f->card.name) == 0)
            return true;
        /* A file given by path stands in for the one of the folder. */
        if (in->file && !in->file->listed && in->file->card.kinds & f->card.kinds &&
            strcmp(in->name, f->card.name) == 0)
            return true;
    }
    return false;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void open_listed(struct dray_drivers *r, struct dray_plugin_file *f)
{
    const char *name = f->card.name[0] ? f->card.name : base_name(f->path);
    bool named = false;
    for (struct dray_instance *in = r->instances; !f->read && in; in = in->next)
        named |= in->file == f;
    /* A program that wants some kinds only leaves it to the daemon to tell of broken files. */
    if (named || (r->config.only_kinds && !f->read) || !wanted(r, f, name) || spoken_for(r, f))
        return;
    struct dray_instance *in = new_instance(r, name, f);
    if (!in)
        return;
    in->refusal = f->refusal;
    struct dray_instance *other = f->read ? holder_of(r, in) : NULL;
    if (!in->refusal.code && other)
        (void)dray_fail(&in->refusal, DRAY_E_CONFLICT,
                        "it has the name \"%s\", which %s has already; names of one kind must "
                        "differ; remove one of the files",
                        name, other->path);
    if (in->refusal.code)
        (void)refuse(in);
    else
        (void)bring_up(in, NULL);
}

static int index_kinds(struct dray_drivers *r)
{
    size_t n = 1;
    for (struct dray_instance *in = r->instances; in; in = in->next)
        n += in->n_drivers;
    for (uint32_t kind = 1; kind <= DRAY_KIND_MAX; kind++) {
        struct dray_driver **v = calloc(n, sizeof(struct dray_driver *));
        r->by_kind[kind] = v;
        if (!v)
            return DRAY_E_NOMEM;
        for (struct dray_instance *in = r->instances; in; in = in->next)
            for (size_t i = 0; dray_instance_is_open(in) && i < in->n_drivers; i++)
                if (in->drivers[i].kind == kind)
                    *v++ = &in->drivers[i];
    }
    return 0;
}

/* --- the registry ----------------------------------------------------------------------------- */

static void free_names(const char *const *v)
{
    char **names = (char **)(uintptr_t)v;
    for (size_t i = 0; names && names[i]; i++)
        free(names[i]);
    free(names);
}

static const char *copy_text(const char *text)
{
    return text ? strdup(text) : NULL;
}

static const char *const *copy_names(const char *const *v)
{
    size_t n = 0;
    while (v && v[n])
        n++;
    char **copy = v ? calloc(n + 1, sizeof *copy) : NULL;
    for (size_t i = 0; copy && i < n; i++)
        copy[i] = strdup(v[i]);
    return (const char *const *)copy;
}

static void free_registry(struct dray_drivers *r)
{
    for (uint32_t kind = 1; kind <= DRAY_KIND_MAX; kind++)
        free(r->by_kind[kind]);
    free((void *)(uintptr_t)r->config.data_root);
    free((void *)(uintptr_t)r->config.exec_root);
    free((void *)(uintptr_t)r->config.libexec_dir);
    free_names(r->config.only_names);
    dray_files_free(r);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->load_lock);
    pthread_mutex_destroy(&r->claim_lock);
    pthread_cond_destroy(&r->claimed);
    pthread_cond_destroy(&r->wake);
    free(r);
}

void dray_drivers_close(struct dray_drivers *r)
{
    if (!r)
        return;
    dray_watchdog_stop(r);
    uint64_t deadline = dray_mono_ns() + CLOSE_NS;
    bool all = dray_family_close(r);
    for (struct dray_instance *in = r->instances; in; in = in->next)
        all &= dray_instance_close(in, deadline);
    if (!all)
        return; /* a call still runs in what would be freed */
    struct dray_instance *next = NULL;
    for (struct dray_instance *in = r->instances; in; in = next) {
        next = in->next;
        dray_instance_free(in);
    }
    free_registry(r);
}

int dray_drivers_open(const struct dray_drivers_config *config, struct dray_drivers **out,
                      struct dray_err *err)
{
    struct dray_drivers *r = calloc(1, sizeof *r);
    if (!r)
        return dray_fail(err, DRAY_E_NOMEM, "open plugins: out of memory");
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    pthread_mutex_init(&r->load_lock, NULL);
    pthread_mutex_init(&r->claim_lock, NULL);
    pthread_cond_init(&r->claimed, NULL);
    r->config = *config;
    r->config.data_root = copy_text(config->data_root);
    r->config.exec_root = copy_text(config->exec_root);
    r->config.libexec_dir = copy_text(config->libexec_dir);
    r->config.only_names = copy_names(config->only_names);
    r->config.plugins = NULL;
    r->config.n_plugins = 0;
    r->config.dirs = NULL;

    dray_files_scan(r, config->dirs);
    int rc = open_entries(r, config, err);
    for (struct dray_plugin_file *f = r->files; !rc && f; f = f->next)
        if (f->listed)
            open_listed(r, f);
    if (!rc && (index_kinds(r) || dray_watchdog_start(r)))
        rc = dray_fail(err, DRAY_E_NOMEM, "open plugins: out of memory");
    if (rc)
        dray_drivers_close(r);
    else
        *out = r;
    return rc;
}

/* --- finding ---------------------------------------------------------------------------------- */

/* The i-th driver of the kind that a family has opened since the start. */
static struct dray_driver *claimed_at(struct dray_drivers *r, uint32_t kind, size_t i)
{
    for (struct dray_instance *in = r->instances; in; in = in->next)
        for (size_t k = 0; in->parent && k < in->n_drivers; k++)
            if (in->drivers[k].kind == kind && i-- == 0)
                return &in->drivers[k];
    return NULL;
}

struct dray_driver *dray_drivers_find(struct dray_drivers *r, uint32_t kind, const char *name)
{
    struct dray_driver **v = kind <= DRAY_KIND_MAX ? r->by_kind[kind] : NULL;
    for (; v && *v; v++)
        if (strcmp((*v)->instance->name, name) == 0)
            return *v;
    size_t i = 0;
    for (struct dray_driver *d; (d = claimed_at(r, kind, i)); i++)
        if (strcmp(d->instance->name, name) == 0)
            return d;
    return NULL;
}

/* Why an instance of that name is not there, if there is such a one. */
static const char *reason_for(struct dray_drivers *r, uint32_t kind, const char *name)
{
    for (struct dray_instance *in = r->instances; in; in = in->next) {
        if (strcmp(in->name, name) != 0 || dray_instance_is_family(in) ||
            (in->file && !(in->file->card.kinds & 1u << kind)))
            continue;
        if (dray_instance_state(in) == DRAY_INSTANCE_DISABLED)
            return "it is disabled in the configuration";
        if (in->refusal.code)
            return in->refusal.text;
    }
    return NULL;
}

struct dray_driver *dray_drivers_get(struct dray_drivers *r, uint32_t kind, const char *name,
                                     struct dray_err *err)
{
    struct dray_driver *d = dray_drivers_find(r, kind, name);
    if (d)
        return d;
    const char *why = reason_for(r, kind, name);
    struct dray_err own = {0};
    if (!why && (d = dray_family_claim(r, kind, name, &own)))
        return d;
    if (own.code) {
        if (err)
            *err = own;
        return NULL;
    }
    const char *sep = why ? ": " : "";
    why = why ? why : "";
    if (kind == DRAY_KIND_LOG)
        (void)dray_fail(err, DRAY_E_NOTFOUND,
                        "logger: no log driver named '%.64s' is registered%s%.300s", name, sep,
                        why);
    else if (kind == DRAY_KIND_RUNTIME)
        (void)dray_fail(err, DRAY_E_NOTFOUND, "unknown or invalid runtime name: %.64s%s%.300s",
                        name, sep, why);
    else
        (void)dray_fail(err, DRAY_E_NOTFOUND, "%s plugin \"%.64s\" not found%s%.300s",
                        dray_kind_name(kind), name, sep, why);
    return NULL;
}

bool dray_drivers_left_isolated(struct dray_drivers *r, uint32_t kind, const char *name)
{
    for (struct dray_instance *in = r->instances; r->config.no_isolated && in; in = in->next)
        if (in->isolated && in->file && in->file->card.kinds & 1u << kind &&
            strcmp(in->name, name) == 0)
            return true;
    return false;
}

struct dray_driver *dray_drivers_at(struct dray_drivers *r, uint32_t kind, size_t i)
{
    struct dray_driver **v = kind <= DRAY_KIND_MAX ? r->by_kind[kind] : NULL;
    for (; v && *v; v++, i--)
        if (i == 0)
            return *v;
    return claimed_at(r, kind, i);
}

const char *dray_driver_name(const struct dray_driver *d)
{
    return d->instance->name;
}

const char *dray_driver_folder(const struct dray_driver *d)
{
    return d->instance->host.path(&d->instance->host, DRAY_PATH_DATA);
}

uint32_t dray_driver_kind(const struct dray_driver *d)
{
    return d->kind;
}

bool dray_driver_isolated(const struct dray_driver *d)
{
    return d->instance->isolate != NULL;
}

uint32_t dray_driver_threading(const struct dray_driver *d)
{
    return d->threading;
}

uint64_t dray_driver_features(const struct dray_driver *d)
{
    return ((const struct dray_head *)d->ops)->features;
}

bool dray_driver_has(const struct dray_driver *d, const char *op)
{
    const struct dray_kind_info *info = dray_kind_info(d->kind);
    for (uint32_t i = 0; i < info->n_ops; i++)
        if (strcmp(info->ops[i].name, op) == 0)
            return d->offered >> i & 1;
    return false;
}

bool dray_driver_suspect(struct dray_driver *d)
{
    struct dray_instance *in = d->instance;
    pthread_mutex_lock(&in->lock);
    bool fresh = dray_calls_check(in, dray_mono_ns());
    bool suspect = in->state == DRAY_INSTANCE_SUSPECT;
    pthread_mutex_unlock(&in->lock);
    if (fresh)
        dray_instance_tell_suspect(in);
    return suspect;
}

void dray_driver_calls(struct dray_driver *d, struct dray_driver_calls *out)
{
    struct dray_instance *in = d->instance;
    pthread_mutex_lock(&in->lock);
    *out = (struct dray_driver_calls){in->n_begun, in->n_calls, in->n_overdue};
    pthread_mutex_unlock(&in->lock);
}

/* --- listing ---------------------------------------------------------------------------------- */

static const char *state_name(struct dray_instance *in)
{
    static const char *const names[] = {
        [DRAY_INSTANCE_REFUSED] = "refused",   [DRAY_INSTANCE_DISABLED] = "disabled",
        [DRAY_INSTANCE_READY] = "ready",       [DRAY_INSTANCE_SUSPECT] = "suspect",
        [DRAY_INSTANCE_DRAINING] = "draining", [DRAY_INSTANCE_CLOSED] = "closed",
    };
    if (in->n_drivers && !dray_instance_is_family(in) && in->self)
        (void)dray_driver_suspect(&in->drivers[0]);
    return names[dray_instance_state(in)];
}

static struct json_object *kinds_json(uint32_t mask)
{
    struct json_object *a = json_object_new_array();
    for (uint32_t kind = 1; kind <= DRAY_KIND_MAX; kind++)
        if (mask & 1u << kind)
            json_object_array_add(a, json_object_new_string(dray_kind_name(kind)));
    return a;
}

static struct json_object *list_one(struct dray_instance *in)
{
    struct json_object *o = json_object_new_object();
    const struct dray_card none = {0};
    const struct dray_card *card = in->file ? &in->file->card : &none;
    dray_json_add_str(o, "Name", in->name);
    dray_json_add_str(o, "Plugin", card->name);
    dray_json_add(o, "Kinds", kinds_json(card->kinds));
    dray_json_add_str(o, "Version", card->version);
    if (in->file && in->file->read)
        dray_json_addf(o, "ABI", "%u.%u", card->major, card->minor);
    else
        dray_json_add_str(o, "ABI", "");
    dray_json_add_str(o, "Path", in->path ? in->path : "");
    dray_json_add_str(o, "State", state_name(in));
    dray_json_add_str(o, "Error", in->refusal.code ? in->refusal.text : "");
    dray_json_add_str(o, "License", card->license);
    struct json_object *options = json_object_new_object();
    dray_options_show(dray_instance_options(in), options);
    dray_json_add(o, "Options", options);
    dray_json_add_bool(o, "Family", dray_instance_is_family(in));
    dray_json_add_str(o, "Isolation", in->isolated ? "process" : "none");
    return o;
}

struct json_object *dray_drivers_list(struct dray_drivers *r)
{
    struct json_object *a = json_object_new_array();
    for (struct dray_instance *in = r->instances; in; in = in->next)
        json_object_array_add(a, list_one(in));
    return a;
}
