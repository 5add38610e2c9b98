/* SPDX-License-Identifier: Apache-2.0 */
/* container_config.h - the fields of Config and HostConfig: types, defaults, checks. */
#ifndef DRAY_ENGINE_CONTAINER_CONFIG_H
#define DRAY_ENGINE_CONTAINER_CONFIG_H

#include <dray/util.h>
#include <stdbool.h>

#define DRAY_MEMORY_MIN (INT64_C(6) << 20) /* bytes; no container has a lower limit */

struct dray_config;
struct json_object;

/**
 * A whole Config from what the user sent (the body of POST /containers/create): every field that
 * Docker shows, with its default; unknown keys are dropped. A wrong type is DRAY_E_INVAL.
 */
int dray_container_config(struct json_object *body, struct json_object **out, struct dray_err *err);
/** The same for HostConfig; user may be NULL. api_version (151) 0: the newest. */
int dray_host_config(struct json_object *user, const struct dray_config *cfg, int api_version,
                     struct json_object **out, struct dray_err *err);
/** Fill a Config's empty fields from an image's "config" object, as Docker merges them. */
int dray_container_config_merge(struct json_object *config, struct json_object *image,
                                struct dray_err *err);
/** Limits, modes and combinations. Appends to the array of warnings. */
int dray_host_config_check(struct json_object *host, struct json_object *config,
                           const struct dray_config *cfg, struct json_object *warnings,
                           struct dray_err *err);
/** What of it this machine can keep (part of dray_host_config_check). */
int dray_host_config_check_host(struct json_object *host, struct json_object *config,
                                const struct dray_config *cfg, struct json_object *warnings,
                                struct dray_err *err);
/** Change a body of POST /containers/create to what it means in that version of the API (124 to
 * 151): fields that came later are nothing yet, and defaults that have changed are the old ones. */
int dray_create_compat(struct json_object *body, int version, struct json_object *warnings,
                       struct dray_err *err);
/** Does a body of POST /containers/create name any field of Config? */
bool dray_container_config_given(struct json_object *body);
/** Resource fields that an update may change: copied from `user` into host; others are warned of. */
int dray_host_config_update(struct json_object *host, struct json_object *user,
                            struct json_object *warnings, struct dray_err *err);

#endif
