/* SPDX-License-Identifier: Apache-2.0 */
/* loader.c - brings a checked plugin file into memory and looks at its descriptor. */
#include "plugin/registry.h"

#include <dlfcn.h>
#include <stdatomic.h>

#define MAX_IFACES 16u

/* glibc takes a second dlopen of the same name for the same library, and descriptor numbers come
 * again. So each load gets a name of its own: bit i of the counter chooses "/" or "/.". */
static void loader_name(int fd, char *out, size_t size)
{
    static _Atomic uint32_t counter;
    uint32_t n = atomic_fetch_add(&counter, 1);
    size_t at = (size_t)snprintf(out, size, "/proc/self/fd");
    for (int bit = 0; bit < 32 && n >> bit; bit++)
        at += (size_t)snprintf(out + at, size - at, n >> bit & 1 ? "/." : "//");
    (void)snprintf(out + at, size - at, "/%d", fd);
}

/* What dlerror() says, without our name for the file. */
static const char *load_error(const char *name)
{
    const char *text = dlerror();
    if (!text)
        return "unknown error";
    size_t n = strlen(name);
    if (strncmp(text, name, n) == 0 && strncmp(text + n, ": ", 2) == 0)
        return text + n + 2;
    return text;
}

static int open_object(struct dray_plugin_file *f, const struct dray_plugin **out)
{
    char name[160];
    loader_name(f->fd, name, sizeof name);
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return dray_fail(&f->refusal, DRAY_E_INVAL,
                         "it cannot be loaded: %.200s; a plugin may need only libc and the "
                         "libraries it is linked with; link it with -Wl,-z,defs and install what "
                         "it needs",
                         load_error(name));
    const void *symbol = dlsym(handle, DRAY_PLUGIN_SYMBOL);
    *out = symbol;
    if (!symbol)
        return dray_fail(&f->refusal, DRAY_E_INVAL,
                         "it does not export the symbol %s; a plugin exports its descriptor by "
                         "that name; mark it with DRAY_PLUGIN_EXPORT",
                         DRAY_PLUGIN_SYMBOL);
    return 0;
}

static int check_descriptor(struct dray_plugin_file *f, const struct dray_plugin *theirs)
{
    if (theirs->magic != DRAY_PLUGIN_MAGIC)
        return dray_fail(&f->refusal, DRAY_E_INVAL,
                         "its descriptor has the magic number %016llx; it must be %016llx; set "
                         ".magic to DRAY_PLUGIN_MAGIC",
                         (unsigned long long)theirs->magic, (unsigned long long)DRAY_PLUGIN_MAGIC);
    int rc = dray_abi_check(theirs->head.major, theirs->head.minor, &f->refusal);
    if (rc)
        return rc;
    /* Everything up to open() has been there since the first version. */
    if (theirs->head.size < offsetof(struct dray_plugin, health))
        return dray_fail(&f->refusal, DRAY_E_INVAL,
                         "its descriptor has %u bytes; at least %zu are needed; fill .head with "
                         "DRAY_TABLE(struct dray_plugin, 0)",
                         (unsigned)theirs->head.size, offsetof(struct dray_plugin, health));
    size_t n = theirs->head.size - theirs->head.size % sizeof(void *);
    memcpy(&f->desc, theirs, n < sizeof f->desc ? n : sizeof f->desc);
    return 0;
}

static int check_content(struct dray_plugin_file *f)
{
    const struct dray_plugin *d = &f->desc;
    if (!d->name || strcmp(d->name, f->card.name) != 0)
        return dray_fail(&f->refusal, DRAY_E_INVAL,
                         "its descriptor has the name \"%.64s\" and its card \"%s\"; both must "
                         "agree; correct one of them",
                         d->name ? d->name : "", f->card.name);
    const char *missing = !d->open ? "open" : !d->close ? "close" : NULL;
    if (missing)
        return dray_fail(&f->refusal, DRAY_E_INVAL,
                         "its descriptor lacks the mandatory function %s(); open() and close() "
                         "are needed; set .%s",
                         missing, missing);
    if (f->card.family != (d->claim != NULL))
        return dray_fail(&f->refusal, DRAY_E_INVAL,
                         "its card says that it is %s and its descriptor has %s claim(); a family "
                         "has both; correct the card or set .claim",
                         f->card.family ? "a family" : "no family", d->claim ? "a" : "no");
    if (d->n_ifaces == 0 || d->n_ifaces > MAX_IFACES || !d->ifaces)
        return dray_fail(&f->refusal, DRAY_E_INVAL,
                         "its descriptor offers %llu interfaces; 1 to %u are allowed; correct "
                         ".ifaces and .n_ifaces",
                         (unsigned long long)d->n_ifaces, MAX_IFACES);
    return dray_options_check_table(d->options, d->n_options, &f->refusal);
}

static int check_iface(struct dray_plugin_file *f, const struct dray_iface *iface, uint32_t *seen)
{
    const struct dray_kind_info *info = dray_kind_info(iface->kind);
    if (!info)
        return dray_fail(&f->refusal, DRAY_E_NOTSUP,
                         "its descriptor names the unknown kind %u; this host knows 1 to %u; "
                         "correct .kind or update this host",
                         (unsigned)iface->kind, DRAY_KIND_MAX);
    uint32_t bit = 1u << iface->kind;
    if (*seen & bit || !(f->card.kinds & bit))
        return dray_fail(&f->refusal, DRAY_E_INVAL,
                         "its descriptor offers the kind %s %s; each kind of the card is offered "
                         "once; correct .ifaces or the card",
                         info->name, *seen & bit ? "twice" : "that its card does not name");
    *seen |= bit;
    if (!iface->ops || iface->ops->size < sizeof(struct dray_head) ||
        iface->threading > DRAY_THREAD_PARALLEL)
        return dray_fail(
            &f->refusal, DRAY_E_INVAL,
            "its table of %s operations is damaged; it must open with "
            "DRAY_TABLE(struct dray_%s_ops, 0) and name its threading; correct .ifaces",
            info->name, info->name);
    return dray_abi_check(iface->ops->major, iface->ops->minor, &f->refusal);
}

static int check_ifaces(struct dray_plugin_file *f)
{
    uint32_t seen = 0;
    int rc = 0;
    for (uint64_t i = 0; !rc && i < f->desc.n_ifaces; i++)
        rc = check_iface(f, &f->desc.ifaces[i], &seen);
    if (!rc && seen != f->card.kinds)
        rc = dray_fail(&f->refusal, DRAY_E_INVAL,
                       "its card names a kind that its descriptor does not offer; each kind of the "
                       "card is offered once; correct .ifaces or the card");
    return rc;
}

int dray_plugin_load(struct dray_plugin_file *f)
{
    if (f->refusal.code || f->loaded)
        return f->refusal.code;
    const struct dray_plugin *theirs = NULL;
    int rc = open_object(f, &theirs);
    if (!rc && theirs)
        rc = check_descriptor(f, theirs);
    if (!rc)
        rc = check_content(f);
    if (!rc)
        rc = check_ifaces(f);
    dray_cleanup_fd(&f->fd);
    f->fd = -EBADF;
    f->loaded = rc == 0;
    return rc;
}
