/* SPDX-License-Identifier: Apache-2.0 */
/* container_fields.h - the fields of Config and HostConfig: their shapes and defaults. */
#ifndef DRAY_ENGINE_CONTAINER_FIELDS_H
#define DRAY_ENGINE_CONTAINER_FIELDS_H

#include "base/json_shape.h"

struct dray_field {
    const char *name;
    const struct dray_shape *shape;
    bool null;       /**< null is not the zero value */
    const char *def; /**< the default as JSON; NULL: not shown when empty or, if it may be, null */
};

/* Tables that a row without a name ends. */
extern const struct dray_field dray_config_fields[], dray_host_fields[];

extern const struct dray_shape dray_shape_mount;      /**< Mount */
extern const struct dray_shape dray_shape_networking; /**< NetworkingConfig */
extern const struct dray_shape dray_shape_endpoint;   /**< EndpointSettings */

/** The user's value of a field as a new object; NULL when it is absent, null or left out. */
int dray_field_take(const struct dray_field *f, struct json_object *user, const char *what,
                    struct json_object **out, struct dray_err *err);
/** An object with all fields of a table: the user's, and defaults. `what` names it in errors. */
int dray_fields_fill(const struct dray_field *fields, struct json_object *user, const char *what,
                     struct json_object **out, struct dray_err *err);

#endif
