/* SPDX-License-Identifier: Apache-2.0 */
/* dns.h - the daemon's side of dns/protocol.h: names of containers on user-defined networks. */
#ifndef DRAY_ENGINE_DNS_H
#define DRAY_ENGINE_DNS_H

#include <dray/util.h>

struct dray_dns;
struct dray_engine;
struct json_object;

/** Starts nothing: the resolver runs from the first container that needs it. One of another version
 *  of the program is replaced. */
int dray_dns_open(struct dray_engine *e, struct dray_dns **out, struct dray_err *err);
/** A resolver without containers ends; else it goes on without the daemon. */
void dray_dns_close(struct dray_dns *d);
/** Let the resolver open its sockets while the caller goes on; dray_dns_set() follows. */
void dray_dns_prepare(struct dray_dns *d, const char *id, int netns);
/** What the resolver knows of a container, a DOC of dns/protocol.h. netns: its namespace. */
int dray_dns_set(struct dray_dns *d, struct json_object *doc, int netns, struct dray_err *err);
void dray_dns_drop(struct dray_dns *d, const char *id);
/** At the daemon's start: drop all containers but these. */
void dray_dns_keep(struct dray_dns *d, struct dray_strs ids);
/** Start the resolver again if it has died; it finds its containers by itself. */
void dray_dns_check(struct dray_dns *d);

#endif
