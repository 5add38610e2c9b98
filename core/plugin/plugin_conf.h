/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_conf.h - "plugins" of the configuration in the shape that the loader takes. */
#ifndef DRAY_PLUGIN_PLUGIN_CONF_H
#define DRAY_PLUGIN_PLUGIN_CONF_H

#include "plugin/driver.h"

struct json_object;

/** Strings are borrowed from the JSON it was made of. Zero-initialised is empty. */
struct dray_plugin_conf {
    struct dray_plugin_config *v;
    size_t n;
};

/** plugins: {NAME: {"plugin", "path", "required", "disabled", "isolation", OPTION...}}; NULL: none.
 */
int dray_plugin_conf_make(struct json_object *plugins, struct dray_plugin_conf *out,
                          struct dray_err *err);
void dray_plugin_conf_free(struct dray_plugin_conf *c);

static inline void dray_plugin_conf_cleanup(struct dray_plugin_conf *c)
{
    dray_plugin_conf_free(c);
}

#endif
