/* SPDX-License-Identifier: Apache-2.0 */
/* files.c - the plugin files of the folders and of the config, with their cards. */
#define DRAY_LOG_AREA "plugin"
#include "plugin/registry.h"

#include "base/buf.h"
#include "base/logging.h"
#include "base/strlist.h"

#include <dirent.h>

static struct dray_plugin_file *by_path(struct dray_drivers *r, const char *path)
{
    for (struct dray_plugin_file *f = r->files; f; f = f->next)
        if (strcmp(f->path, path) == 0)
            return f;
    return NULL;
}

static void read_card(struct dray_plugin_file *f, bool insecure)
{
    char text[DRAY_CARD_MAX + 1];
    int rc = dray_card_open_file(f->path, insecure, &f->fd, &f->refusal);
    if (!rc)
        rc = dray_card_read_note(f->fd, text, sizeof text, &f->refusal);
    if (!rc)
        rc = dray_card_parse(text, &f->card, &f->refusal);
    f->read = rc == 0;
    if (rc) {
        dray_cleanup_fd(&f->fd);
        f->fd = -EBADF;
    }
}

struct dray_plugin_file *dray_files_add(struct dray_drivers *r, const char *path)
{
    struct dray_plugin_file *f = by_path(r, path);
    if (f)
        return f;
    f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->fd = -EBADF;
    f->path = strdup(path);
    if (!f->path) {
        free(f);
        return NULL;
    }
    read_card(f, r->config.insecure_files);
    struct dray_plugin_file **end = &r->files;
    while (*end)
        end = &(*end)->next;
    *end = f;
    return f;
}

static void scan_folder(struct dray_drivers *r, const char *dir)
{
    DRAY_AUTO(dray_strlist) names = {0};
    DIR *d = opendir(dir);
    if (!d) {
        if (errno != ENOENT)
            dray_warn("plugin folder %s: %s", dir, strerror(errno));
        return;
    }
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.' && dray_str_suffix(e->d_name, ".so"))
            (void)dray_strlist_add(&names, e->d_name);
    (void)closedir(d);
    dray_strlist_sort(&names);
    for (size_t i = 0; i < names.n; i++) {
        dray_autofree char *path = dray_strf("%s/%s", dir, names.v[i]);
        struct dray_plugin_file *f = path ? dray_files_add(r, path) : NULL;
        if (f)
            f->listed = true;
    }
}

void dray_files_scan(struct dray_drivers *r, const char *const *dirs)
{
    for (; dirs && *dirs; dirs++)
        scan_folder(r, *dirs);
}

static bool named_by_kind(const struct dray_card *card, const char *name)
{
    const char *slash = strchr(name, '/');
    if (!slash || strcmp(slash + 1, card->name) != 0)
        return false;
    for (uint32_t kind = 1; kind <= DRAY_KIND_MAX; kind++) {
        const char *word = dray_kind_name(kind);
        if (card->kinds & 1u << kind && strncmp(word, name, (size_t)(slash - name)) == 0 &&
            strlen(word) == (size_t)(slash - name))
            return true;
    }
    return false;
}

static bool named_by_file(const struct dray_plugin_file *f, const char *name)
{
    const char *base = strrchr(f->path, '/');
    base = base ? base + 1 : f->path;
    size_t n = strlen(name);
    return strncmp(base, name, n) == 0 && strcmp(base + n, ".so") == 0;
}

static const char *file_name(const void *ctx, size_t i)
{
    const struct dray_plugin_file *f = ((const struct dray_drivers *)ctx)->files;
    for (; f; f = f->next)
        if (f->listed && f->card.name[0] && i-- == 0)
            return f->card.name;
    return NULL;
}

static int fail_unknown(struct dray_drivers *r, const char *name, struct dray_err *err)
{
    const char *near = dray_nearest_name(name, file_name, r);
    return dray_fail(err, DRAY_E_NOTFOUND,
                     "no file of the plugin folders has a card of that name%s%s%s; install the "
                     "plugin, give its \"path\", or correct the name",
                     near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

struct dray_plugin_file *dray_files_find(struct dray_drivers *r, const char *name,
                                         struct dray_err *err)
{
    struct dray_plugin_file *found = NULL;
    for (struct dray_plugin_file *f = r->files; f; f = f->next) {
        if (!f->listed)
            continue;
        if (named_by_kind(&f->card, name) || named_by_file(f, name))
            return f;
        if (strcmp(f->card.name, name) != 0)
            continue;
        /* Of the same kinds it is a duplicate, and the first counts. */
        if (found && !(found->card.kinds & f->card.kinds)) {
            (void)dray_fail(err, DRAY_E_INVAL,
                            "more than one plugin has that name (%s, %s); the config must say "
                            "which; write KIND/NAME, such as \"volume/%s\"",
                            found->path, f->path, name);
            return NULL;
        }
        if (!found)
            found = f;
    }
    if (!found)
        (void)fail_unknown(r, name, err);
    return found;
}

void dray_files_free(struct dray_drivers *r)
{
    while (r->files) {
        struct dray_plugin_file *next = r->files->next;
        dray_cleanup_fd(&r->files->fd);
        free(r->files->path);
        free(r->files);
        r->files = next;
    }
}
