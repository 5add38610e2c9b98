/* SPDX-License-Identifier: Apache-2.0 */
/* dns.c - the daemon's side of dns/protocol.h: tells the resolver of names. */
#include "engine/network/dns.h"

#include "base/json.h"
#include "base/logging.h"
#include "dns/protocol.h"
#include "engine/helper_link.h"

#define DRAY_LOG_AREA "dns"

struct dray_dns {
    struct dray_helper_link link;
};

void dray_dns_prepare(struct dray_dns *d, const char *id, int netns)
{
    dray_autojson *m = dray_helper_request("open", id);
    struct dray_err err = {0};
    if (dray_helper_send(&d->link, m, netns, &err))
        dray_debug("open: %s", err.text); /* set, which follows, tries again and reports */
}

int dray_dns_set(struct dray_dns *d, struct json_object *doc, int netns, struct dray_err *err)
{
    dray_autojson *m = dray_helper_request("set", NULL);
    dray_json_add(m, "doc", json_object_get(doc));
    int rc = dray_helper_ask(&d->link, m, netns, NULL, err);
    return rc ? dray_err_note(err, "embedded DNS") : 0;
}

void dray_dns_drop(struct dray_dns *d, const char *id)
{
    dray_autojson *m = dray_helper_request("drop", id);
    dray_helper_tell(&d->link, m);
}

void dray_dns_keep(struct dray_dns *d, struct dray_strs ids)
{
    dray_helper_keep(&d->link, ids);
}

void dray_dns_check(struct dray_dns *d)
{
    if (d)
        dray_helper_check(&d->link);
}

int dray_dns_open(struct dray_engine *e, struct dray_dns **out, struct dray_err *err)
{
    struct dray_dns *d = calloc(1, sizeof *d);
    if (!d)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_helper_link_init(&d->link, e, "the resolver", "dray-dns", DRAY_DNS_SOCKET);
    *out = d;
    return 0;
}

void dray_dns_close(struct dray_dns *d)
{
    if (!d)
        return;
    dray_helper_link_fini(&d->link);
    free(d);
}
