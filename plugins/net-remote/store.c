/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - the endpoints, in memory and in the instance's folder. */
#include "remote_net.h"

static void file_of(const char *id, char out[96])
{
    (void)snprintf(out, 96, "ep-%.72s.json", id);
}

static const struct {
    const char *key;
    size_t offset, size;
} texts[] = {
#define TEXT(key, field)                                                                           \
    {                                                                                              \
        key, offsetof(struct remote_ep, field), sizeof((struct remote_ep *)0)->field               \
    }
    TEXT("net", net),           TEXT("mac", mac),           TEXT("ipv4", ipv4),
    TEXT("ipv6", ipv6),         TEXT("source", source),     TEXT("ifname", ifname),
    TEXT("gateway4", gateway4), TEXT("gateway6", gateway6),
};

/* lock held. */
static struct remote_ep *find(struct dray_self *self, const char *id)
{
    struct remote_ep *e = self->eps;
    while (e && strcmp(e->id, id) != 0)
        e = e->next;
    return e;
}

static bool load(struct dray_self *self, const char *id, struct remote_ep *out)
{
    char file[96];
    file_of(id, file);
    dray_remote_auto *doc = dray_remote_load(self->remote, file);
    if (!json_object_object_length(doc))
        return false;
    *out = (struct remote_ep){.joined = dray_remote_bool(doc, "joined"),
                              .published = dray_remote_bool(doc, "published")};
    (void)snprintf(out->id, sizeof out->id, "%s", id);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        (void)snprintf((char *)out + texts[i].offset, texts[i].size, "%s",
                       dray_remote_str(doc, texts[i].key));
    return true;
}

bool remote_ep_get(struct dray_self *self, const char *id, struct remote_ep *out)
{
    pthread_mutex_lock(&self->lock);
    const struct remote_ep *e = find(self, id);
    if (e)
        *out = *e;
    pthread_mutex_unlock(&self->lock);
    return e || load(self, id, out);
}

int remote_ep_put(struct dray_self *self, const struct remote_ep *e, struct dray_err *err)
{
    dray_remote_auto *doc = json_object_new_object();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        dray_remote_add(doc, texts[i].key, (const char *)e + texts[i].offset);
    (void)json_object_object_add(doc, "joined", json_object_new_boolean(e->joined));
    (void)json_object_object_add(doc, "published", json_object_new_boolean(e->published));
    pthread_mutex_lock(&self->lock);
    struct remote_ep *mine = find(self, e->id);
    struct remote_ep *fresh = mine ? NULL : calloc(1, sizeof *fresh);
    if (fresh) {
        fresh->next = self->eps;
        self->eps = mine = fresh;
    }
    if (mine) {
        struct remote_ep *next = mine->next;
        *mine = *e;
        mine->next = next;
    }
    pthread_mutex_unlock(&self->lock);
    char file[96];
    file_of(e->id, file);
    return mine ? dray_remote_save(self->remote, file, doc, err)
                : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

void remote_ep_drop(struct dray_self *self, const char *id)
{
    char file[96];
    file_of(id, file);
    dray_remote_forget(self->remote, file);
    pthread_mutex_lock(&self->lock);
    struct remote_ep **at = &self->eps;
    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    struct remote_ep *gone = *at;
    if (gone)
        *at = gone->next;
    pthread_mutex_unlock(&self->lock);
    free(gone);
}

void remote_ep_free_all(struct dray_self *self)
{
    while (self->eps) {
        struct remote_ep *next = self->eps->next;
        free(self->eps);
        self->eps = next;
    }
}
