/* SPDX-License-Identifier: Apache-2.0 */
/* config_load.h - the keys of daemon.json and the options of drayd, as one table; and their merge.
 */
#ifndef DRAY_ENGINE_CONFIG_LOAD_H
#define DRAY_ENGINE_CONFIG_LOAD_H

#include "engine/config.h"

#include <dray/util.h>
#include <stddef.h>

enum dray_conf_type {
    DRAY_CONF_STR,
    DRAY_CONF_BOOL,
    DRAY_CONF_INT,
    DRAY_CONF_SIZE,     /* "64M" or a number */
    DRAY_CONF_STRS,     /* flag repeats */
    DRAY_CONF_MAP,      /* {"k":"v"}; flag "k=v" repeats */
    DRAY_CONF_OBJ,      /* any object; no flag */
    DRAY_CONF_RUNTIMES, /* {"name":{"path":..}}; flag "name=path" */
    DRAY_CONF_ULIMITS,  /* {"nofile":{"Name","Hard","Soft"}}; flag "nofile=1024:2048" */
    DRAY_CONF_NETOPTS,  /* {"driver":{"k":"v"}}; flag "driver=k=v" repeats */
    DRAY_CONF_POOLS,    /* [{"base","size"}]; flag "base=..,size=.." */
};

/** One setting. */
struct dray_conf_key {
    const char *key;  /* in daemon.json; NULL: a flag only */
    const char *flag; /* without "--"; NULL: in daemon.json only */
    char letter;      /* short flag, or 0 */
    enum dray_conf_type type;
    ptrdiff_t offset; /* in struct dray_config; -1: read by others, or accepted without effect */
    const char *help; /* NULL: not shown by --help */
};

/** Ended by a row without key and flag. */
/** "64M", "1g", "512" as Docker's units.RAMInBytes reads them, or a number. */
bool dray_config_size(struct json_object *value, int64_t *out);

extern const struct dray_conf_key dray_conf_keys[];

/** Add one flag's value to the object of flags, with the JSON shape of daemon.json. */
int dray_conf_set_flag(struct json_object *flags, const struct dray_conf_key *k, const char *text,
                       struct dray_err *err);
/** Unknown keys (with the nearest name) and wrong types: DRAY_E_INVAL. */
int dray_conf_check_file(struct json_object *file, struct dray_err *err);
/** Docker's rule: a setting comes from a flag or from the file, never both. */
int dray_conf_check_conflicts(struct json_object *flags, struct json_object *file,
                              struct dray_err *err);
/**
 * Merge flags (may be NULL) over file (may be NULL) over defaults. prefix is the folder that holds
 * bin, lib and libexec of the installation. *out is the caller's: dray_config_free().
 */
int dray_config_build(struct json_object *flags, struct json_object *file, const char *config_file,
                      const char *bin_dir, struct dray_config **out, struct dray_err *err);
void dray_config_free(struct dray_config *c);
/** The known name that is nearest to a misspelt one, or NULL. */
const char *dray_conf_nearest(const char *name, bool flags);

#endif
