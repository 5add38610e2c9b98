/* SPDX-License-Identifier: Apache-2.0 */
/* lan_store.c - networks and endpoints in lists; there are few. */
#include "lan_priv.h"

/* Lock held. */
static struct lan_net **net_slot(struct dray_self *self, const char *id)
{
    struct lan_net **at = &self->nets;
    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

static struct lan_ep **ep_slot(struct dray_self *self, const char *id)
{
    struct lan_ep **at = &self->eps;
    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

bool lan_get_net(struct dray_self *self, const char *id, struct lan_net *out)
{
    pthread_mutex_lock(&self->lock);
    const struct lan_net *n = *net_slot(self, id);
    if (n)
        *out = *n;
    pthread_mutex_unlock(&self->lock);
    return n != NULL;
}

bool lan_get_ep(struct dray_self *self, const char *id, struct lan_ep *out)
{
    pthread_mutex_lock(&self->lock);
    const struct lan_ep *e = *ep_slot(self, id);
    if (e)
        *out = *e;
    pthread_mutex_unlock(&self->lock);
    return e != NULL;
}

bool lan_put_net(struct dray_self *self, const struct lan_net *n)
{
    pthread_mutex_lock(&self->lock);
    struct lan_net **at = net_slot(self, n->id);
    struct lan_net *next = *at ? (*at)->next : NULL;
    if (!*at)
        *at = malloc(sizeof **at);
    if (*at) {
        **at = *n;
        (*at)->next = next;
    }
    bool ok = *at != NULL;
    pthread_mutex_unlock(&self->lock);
    return ok;
}

bool lan_put_ep(struct dray_self *self, const struct lan_ep *e)
{
    pthread_mutex_lock(&self->lock);
    struct lan_ep **at = ep_slot(self, e->id);
    struct lan_ep *next = *at ? (*at)->next : NULL;
    if (!*at)
        *at = malloc(sizeof **at);
    if (*at) {
        **at = *e;
        (*at)->next = next;
    }
    bool ok = *at != NULL;
    pthread_mutex_unlock(&self->lock);
    return ok;
}

bool lan_drop_net(struct dray_self *self, const char *id, struct lan_net *out)
{
    pthread_mutex_lock(&self->lock);
    struct lan_net **at = net_slot(self, id);
    dray_autofree struct lan_net *n = *at;
    if (n)
        *at = n->next;
    if (n && out)
        *out = *n;
    pthread_mutex_unlock(&self->lock);
    return n != NULL;
}

bool lan_drop_ep(struct dray_self *self, const char *id)
{
    pthread_mutex_lock(&self->lock);
    struct lan_ep **at = ep_slot(self, id);
    dray_autofree struct lan_ep *e = *at;
    if (e)
        *at = e->next;
    pthread_mutex_unlock(&self->lock);
    return e != NULL;
}

bool lan_net_busy(struct dray_self *self, const char *id)
{
    bool busy = false;
    pthread_mutex_lock(&self->lock);
    for (const struct lan_ep *e = self->eps; e && !busy; e = e->next)
        busy = strcmp(e->net, id) == 0;
    pthread_mutex_unlock(&self->lock);
    return busy;
}

bool lan_parent_user(struct dray_self *self, const char *parent, const char *except,
                     char out[LAN_ID])
{
    bool found = false;
    pthread_mutex_lock(&self->lock);
    for (const struct lan_net *n = self->nets; n && !found; n = n->next) {
        found = strcmp(n->parent, parent) == 0 && strcmp(n->id, except) != 0;
        if (found)
            memcpy(out, n->id, LAN_ID);
    }
    pthread_mutex_unlock(&self->lock);
    return found;
}

void lan_free_all(struct dray_self *self)
{
    while (self->nets)
        (void)lan_drop_net(self, self->nets->id, NULL);
    while (self->eps)
        (void)lan_drop_ep(self, self->eps->id);
}
