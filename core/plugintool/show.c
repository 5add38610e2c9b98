/* SPDX-License-Identifier: Apache-2.0 */
/* show.c - what a plugin says of itself: its card, and the options that it declares. */
#include "check.h"

#include "plugin/card.h"

#include <dlfcn.h>

static const char *type_name(uint32_t type)
{
    static const char *const names[] = {"?",    "string", "integer", "boolean",
                                        "size", "list",   "path",    "duration"};
    return names[type < sizeof names / sizeof names[0] ? type : 0];
}

static void show_option(const struct dray_option *o)
{
    (void)printf("  %s (%s%s%s%s)\n", o->name, type_name(o->type),
                 o->flags & DRAY_OPT_F_REQUIRED ? ", required" : "",
                 o->flags & DRAY_OPT_F_RELOADABLE ? ", reloadable" : "",
                 o->flags & DRAY_OPT_F_SECRET ? ", secret" : "");
    if (o->help)
        (void)printf("      %s\n", o->help);
    if (o->def)
        (void)printf("      default: %s\n", *o->def ? o->def : "\"\"");
    if (o->choices)
        (void)printf("      one of: %s\n", o->choices);
    if (o->min < o->max)
        (void)printf("      from %lld to %lld\n", (long long)o->min, (long long)o->max);
}

static int read_card(const char *path, char *text, size_t size)
{
    dray_autofd int fd = -EBADF;
    struct dray_card card = {0};
    struct dray_err err = {0};
    int rc = dray_card_open_file(path, true, &fd, &err);
    rc = rc ? rc : dray_card_read_note(fd, text, size, &err);
    rc = rc ? rc : dray_card_parse(text, &card, &err);
    if (rc)
        (void)fprintf(stderr, "%s: %s\n", path, err.text);
    return rc;
}

int ck_show(const char *path)
{
    char text[DRAY_CARD_MAX + 1];
    if (read_card(path, text, sizeof text))
        return 1;
    (void)printf("%s\n%s\n", path, text);
    dray_autofree char *real = realpath(path, NULL);
    void *handle = real ? dlopen(real, RTLD_NOW | RTLD_LOCAL) : NULL;
    const struct dray_plugin *p = handle ? dlsym(handle, DRAY_PLUGIN_SYMBOL) : NULL;
    if (!p || p->magic != DRAY_PLUGIN_MAGIC) {
        (void)fprintf(stderr, "%s: %s\n", path, handle ? "it has no descriptor" : dlerror());
        return 1;
    }
    if (p->head.size < offsetof(struct dray_plugin, probe) || !p->n_options)
        (void)printf("  no options\n");
    else
        for (uint64_t i = 0; i < p->n_options; i++)
            show_option(&p->options[i]);
    return 0;
}
