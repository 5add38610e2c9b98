/* SPDX-License-Identifier: Apache-2.0 */
/* container_link_names.h - names that links of the default bridge ("--link") give, and how they are
 * shown. */
#ifndef DRAY_ENGINE_CONTAINER_LINK_NAMES_H
#define DRAY_ENGINE_CONTAINER_LINK_NAMES_H

#include <dray/util.h>

struct dray_container;
struct dray_containers;
struct json_object;

/* HostConfig.Links holds "container" or "container:alias"; here `host` is that HostConfig. Links of
 * other networks are the resolver's business, and shown with the endpoints. */

/** Show the links of host as "/container:/self/alias", in place; those of other networks as none. */
void dray_links_show(struct dray_container *c, struct json_object *host);
/** {id: ["/parent/alias", ...]}: the names that containers have because others link to them. */
struct json_object *dray_links_names(struct dray_containers *cs);
/** The container that "parent/alias" names. */
int dray_links_find(struct dray_containers *cs, const char *path, struct dray_container **out,
                    struct dray_err *err);
/** A container has another name now: links to it follow. Call without any container's lock. */
void dray_links_renamed(struct dray_containers *cs, const char *old, const char *now);

/** The alias in "target:alias": of "/target:/parent/alias", as inspect shows it, the last part too. "" if
 *  there is none. Points into text. */
const char *dray_link_alias(const char *text);

#endif
