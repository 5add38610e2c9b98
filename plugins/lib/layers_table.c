/* SPDX-License-Identifier: Apache-2.0 */
/* layers_table.c - the rows of the table of layers, and their form on disk. */
#include "layers_table.h"

#include <fcntl.h>
#include <limits.h>

/* --- rows -------------------------------------------------------------------------------------*/

static size_t bucket_of(const char *id)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *id != '\0'; id++)
        h = (h ^ (uint8_t)*id) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ (h >> 32)) % LAYER_BUCKETS;
}

struct layer_row *dray_layers_find(struct dray_pl_layers *set, const char *id)
{
    struct layer_row *row = set->buckets[bucket_of(id)];
    while (row && strcmp(row->info.id, id) != 0)
        row = row->next;
    return row;
}

void dray_layers_insert(struct dray_pl_layers *set, struct layer_row *row)
{
    struct layer_row **head = &set->buckets[bucket_of(row->info.id)];
    row->next = *head;
    *head = row;
    set->count++;
}

void dray_layers_erase(struct dray_pl_layers *set, struct layer_row *row)
{
    struct layer_row **at = &set->buckets[bucket_of(row->info.id)];
    while (*at != row)
        at = &(*at)->next;
    *at = row->next;
    set->count--;
    if (row->parent)
        row->parent->children--;
    free(row);
}

/* --- short names ------------------------------------------------------------------------------*/

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

void dray_layers_next_link(struct dray_pl_layers *set, char link[12])
{
    char text[16];
    size_t at = sizeof text;
    text[--at] = '\0';
    uint64_t n = ++set->last_link;
    do
        text[--at] = digits[n % 36];
    while ((n /= 36) > 0 && at > 4);
    memcpy(link, text + at, sizeof text - at);
}

static uint64_t link_number(const char *link)
{
    uint64_t n = 0;
    for (; *link != '\0'; link++) {
        const char *d = strchr(digits, *link);
        if (!d)
            return 0;
        n = n * 36 + (uint64_t)(d - digits);
    }
    return n;
}

int dray_layers_make_link(struct dray_pl_layers *set, const struct dray_pl_layer *l,
                          struct dray_err *err)
{
    char target[DRAY_PL_ID_MAX + 32];
    (void)snprintf(target, sizeof target, "../layers/%s/diff", l->id);
    if (symlinkat(target, set->links_fd, l->link) == 0)
        return 0;
    if (errno == EEXIST && unlinkat(set->links_fd, l->link, 0) == 0 &&
        symlinkat(target, set->links_fd, l->link) == 0)
        return 0;
    return dray_fail_errno(err, "make the short link of layer %s", l->id);
}

/* --- meta -------------------------------------------------------------------------------------*/

/* "1 <link> <flags> <parent>"; a link that is none is "-", flags are letters and "-". */
int dray_layers_write_meta(int dir, const struct dray_pl_layer *l, struct dray_err *err)
{
    char text[DRAY_PL_ID_MAX + 32];
    (void)snprintf(text, sizeof text, "1 %s %s%s- %s", l->link[0] ? l->link : "-",
                   l->writable ? "w" : "", l->opaque ? "o" : "", l->parent);
    if (symlinkat(text, dir, "meta") == 0)
        return 0;
    (void)unlinkat(dir, "meta.new", 0);
    if (symlinkat(text, dir, "meta.new") < 0 || renameat(dir, "meta.new", dir, "meta") < 0)
        return dray_fail_errno(err, "describe layer %s", l->id);
    return 0;
}

static bool parse_meta(const char *id, const char *text, struct dray_pl_layer *out)
{
    char flags[4] = "";
    *out = (struct dray_pl_layer){0};
    if (strlen(id) > DRAY_PL_ID_MAX ||
        sscanf(text, "1 %11[0-9a-z-] %3[wo-] %128s", out->link, flags, out->parent) < 2)
        return false;
    memcpy(out->id, id, strlen(id) + 1);
    if (out->link[0] == '-')
        out->link[0] = '\0';
    out->writable = strchr(flags, 'w') != NULL;
    out->opaque = strchr(flags, 'o') != NULL;
    return true;
}

/* --- opening ----------------------------------------------------------------------------------*/

bool dray_layers_read_meta(int dirfd, const char *id, struct dray_pl_layer *out)
{
    char path[NAME_MAX + 8];
    char text[DRAY_PL_ID_MAX + 64];
    (void)snprintf(path, sizeof path, "%s/meta", id);
    ssize_t n = readlinkat(dirfd, path, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    return parse_meta(id, text, out);
}

static int load_layer(struct dray_pl_layers *set, const char *id, struct dray_err *err)
{
    struct dray_pl_layer info;
    if (!dray_layers_read_meta(set->layers_fd, id, &info)) {
        dray_host_logf(set->host, DRAY_LOG_INFO, "layer %s was left half made: dropping it", id);
        return dray_pl_trash_put(set->trash, set->layers_fd, id, err);
    }
    struct layer_row *row = calloc(1, sizeof *row);
    if (!row)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    row->info = info;
    dray_layers_insert(set, row);
    uint64_t number = link_number(info.link);
    if (number > set->last_link)
        set->last_link = number;
    return 0;
}

static int load_all(struct dray_pl_layers *set, struct dray_err *err)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    int rc = dray_pl_dir_read(set->layers_fd, false, &dir, err);
    for (size_t i = 0; rc == 0 && i < dir.n; i++)
        rc = load_layer(set, dir.v[i].text, err);
    for (size_t i = 0; rc == 0 && i < LAYER_BUCKETS; i++)
        for (struct layer_row *row = set->buckets[i]; row; row = row->next) {
            row->parent = row->info.parent[0] ? dray_layers_find(set, row->info.parent) : NULL;
            if (row->parent)
                row->parent->children++;
            else if (row->info.parent[0])
                dray_host_logf(set->host, DRAY_LOG_WARN, "layer %s has lost its parent %s",
                               row->info.id, row->info.parent);
        }
    return rc;
}

/* Make missing short links, drop those of nobody. */
static int mend_links(struct dray_pl_layers *set, struct dray_err *err)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    int rc = dray_pl_dir_read(set->links_fd, false, &dir, err);
    for (size_t i = 0; rc == 0 && i < dir.n; i++) {
        char text[DRAY_PL_ID_MAX + 32];
        char id[DRAY_PL_ID_MAX + 1] = "";
        ssize_t n = readlinkat(set->links_fd, dir.v[i].text, text, sizeof text - 1);
        text[n > 0 ? n : 0] = '\0';
        struct layer_row *row =
            sscanf(text, "../layers/%128[^/]/diff", id) == 1 ? dray_layers_find(set, id) : NULL;
        if (row && strcmp(row->info.link, dir.v[i].text) == 0)
            row->busy = true; /* for the moment: has its link */
        else
            (void)unlinkat(set->links_fd, dir.v[i].text, 0);
    }
    for (size_t i = 0; i < LAYER_BUCKETS; i++)
        for (struct layer_row *row = set->buckets[i]; row; row = row->next) {
            if (!row->busy && row->info.link[0] != '\0' && rc == 0)
                rc = dray_layers_make_link(set, &row->info, err);
            row->busy = false;
        }
    return rc;
}

static int open_folders(struct dray_pl_layers *set, struct dray_err *err)
{
    dray_autofd int root = open(set->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return dray_fail_errno(err, "open %s", set->root);
    int rc = dray_pl_open_dir(root, "layers", 0711, &set->layers_fd, err);
    if (rc == 0)
        dray_pl_spread(set->layers_fd);
    if (rc == 0)
        rc = dray_pl_open_dir(root, "l", 0711, &set->links_fd, err);
    return rc < 0 ? rc : dray_pl_trash_open(set->host, root, "trash", &set->trash, err);
}

int dray_pl_layers_open(const struct dray_host *host, struct dray_pl_layers **out,
                        struct dray_err *err)
{
    struct dray_pl_layers *set = calloc(1, sizeof *set);
    if (!set)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    set->host = host;
    set->layers_fd = set->links_fd = set->spare_fd = -EBADF;
    (void)pthread_mutex_init(&set->lock, NULL);
    set->root = strdup(host->path(host, DRAY_PATH_DATA));
    int rc = set->root ? open_folders(set, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc == 0)
        rc = load_all(set, err);
    if (rc == 0)
        rc = mend_links(set, err);
    if (rc < 0) {
        dray_pl_layers_close(set);
        return rc;
    }
    *out = set;
    return 0;
}

void dray_pl_layers_close(struct dray_pl_layers *set)
{
    if (!set)
        return;
    dray_pl_trash_close(set->trash);
    for (size_t i = 0; i < LAYER_BUCKETS; i++)
        while (set->buckets[i]) {
            struct layer_row *row = set->buckets[i];
            set->buckets[i] = row->next;
            free(row);
        }
    dray_cleanup_fd(&set->layers_fd);
    dray_cleanup_fd(&set->links_fd);
    dray_cleanup_fd(&set->spare_fd);
    (void)pthread_mutex_destroy(&set->lock);
    free(set->root);
    free(set);
}
