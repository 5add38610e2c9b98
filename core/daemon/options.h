/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - drayd's command line, and the configuration that it and daemon.json give together. */
#ifndef DRAY_DAEMON_OPTIONS_H
#define DRAY_DAEMON_OPTIONS_H

#include "base/strlist.h"

#include <dray/util.h>
#include <stdbool.h>

struct dray_config;
struct json_object;

#define DRAYD_CONFIG_FILE "/etc/dray/daemon.json"
#define DRAYD_HOST "unix:///run/dray.sock"

struct drayd_options {
    struct json_object *flags; /* owned; keys as in daemon.json */
    bool help, version, validate;
};

/** Read argv. Errors are worded for the terminal. */
int drayd_options_parse(int argc, char *const *argv, struct drayd_options *out,
                        struct dray_err *err);
void drayd_options_free(struct drayd_options *o);
static inline void drayd_options_cleanup(struct drayd_options *o)
{
    drayd_options_free(o);
}
void drayd_options_help(void);

/** Read the file, check it, merge. Used at the start and at SIGHUP. */
int drayd_config_load(const struct drayd_options *o, struct dray_config **out,
                      struct dray_err *err);

#endif
