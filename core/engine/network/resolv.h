/* SPDX-License-Identifier: Apache-2.0 */
/* resolv.h - a container's resolv.conf, made from the host's as Docker makes it. */
#ifndef DRAY_ENGINE_RESOLV_H
#define DRAY_ENGINE_RESOLV_H

#include "base/buf.h"
#include "base/strlist.h"

#include <stdbool.h>

/** resolv.conf(5). Zero-initialised is empty. */
struct dray_resolv {
    char *source; /* path that it came from */
    struct dray_strlist servers, search, options;
    struct dray_strlist other, invalid; /* lines nobody knows, servers that are no addresses */
    struct dray_strlist upstream;       /* whom the embedded resolver asks */
    struct dray_strlist upstream_host;  /* those of upstream that only the host reaches */
    const char *transform;              /* "legacy", "internal resolver", or NULL */
    const char *ndots_from;             /* "host", "override", "internal", or NULL */
    bool servers_given, search_given, options_given, used_default;
};

/** Read a text; path is what the file will say that it is based on. */
void dray_resolv_parse(struct dray_resolv *r, const char *text, const char *path);
/** The host's: the one behind systemd-resolved's stub if the stub is all there is. */
void dray_resolv_load_host(struct dray_resolv *r);
/** What the user or the daemon's configuration wants instead; empty lists change nothing. */
void dray_resolv_override(struct dray_resolv *r, const struct dray_strlist *servers,
                          const struct dray_strlist *search, const struct dray_strlist *options);
/** The first server that was given and is no address, or NULL. */
const char *dray_resolv_bad_server(const struct dray_resolv *r);
/** For a network without embedded resolver: no servers that are out of reach. */
void dray_resolv_for_legacy(struct dray_resolv *r, bool ipv6);
/** For the embedded resolver: servers become upstream. */
void dray_resolv_for_internal(struct dray_resolv *r, bool ipv6);
void dray_resolv_print(const struct dray_resolv *r, struct dray_buf *out);
void dray_resolv_free(struct dray_resolv *r);

static inline void dray_resolv_cleanup(struct dray_resolv *r)
{
    dray_resolv_free(r);
}

#endif
