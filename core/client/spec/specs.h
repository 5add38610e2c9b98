/* SPDX-License-Identifier: Apache-2.0 */
/* specs.h - the little languages of run's flags: ports, volumes, mounts, networks, limits. */
#ifndef DRAY_CLIENT_SPECS_H
#define DRAY_CLIENT_SPECS_H

#include "base/strlist.h"

#include <dray/util.h>
#include <json-c/json.h>

/* Checks at parse time; the error is what Docker's client says. */

int spec_mount_check(const char *value, struct dray_err *err);
int spec_network_check(const char *value, struct dray_err *err);
int spec_ulimit_check(const char *value, struct dray_err *err);
int spec_gpus_check(const char *value, struct dray_err *err);
int spec_host_check(const char *value, struct dray_err *err);
int spec_env_check(const char *value, struct dray_err *err);
int spec_attach_check(const char *value, struct dray_err *err);
int spec_link_check(const char *value, struct dray_err *err);
int spec_ip_check(const char *value, struct dray_err *err);
int spec_throttle_check(const char *value, struct dray_err *err);
int spec_iops_check(const char *value, struct dray_err *err);
int spec_weight_check(const char *value, struct dray_err *err);
int spec_label_check(const char *value, struct dray_err *err);
int spec_sysctl_check(const char *value, struct dray_err *err);
/** "02:42:..", "02-42-..", "0242.ac11.0002"? */
bool spec_is_mac(const char *value);
int spec_device_check(const char *value, struct dray_err *err);
int spec_device_rule_check(const char *value, struct dray_err *err);

/** --mount: an API mount object. */
int spec_mount(const char *value, struct json_object **out, struct dray_err *err);
/** --network: name in *target (caller frees), EndpointSettings in *out (maybe empty). */
int spec_network(const char *value, char **target, struct json_object **out, struct dray_err *err);
/** --ulimit: {"Name","Soft","Hard"}. */
int spec_ulimit(const char *value, struct json_object **out, struct dray_err *err);
/** --gpus: a device request. */
int spec_gpus(const char *value, struct json_object **out, struct dray_err *err);
/** -p: adds to the maps of exposed ports and of bindings. */
int spec_publish(const char *value, struct json_object *exposed, struct json_object *bindings,
                 struct dray_err *err);
/** --expose: adds to the map of exposed ports. */
int spec_expose(const char *value, struct json_object *exposed, struct dray_err *err);
/** -v: a bind for HostConfig.Binds in *bind (caller frees), or a path in *anonymous. */
int spec_volume(const char *value, char **bind, char **anonymous, struct dray_err *err);
/** --device: {"PathOnHost","PathInContainer","CgroupPermissions"}. */
int spec_device(const char *value, struct json_object **out, struct dray_err *err);
/** --device-read-bps and friends: {"Path","Rate"}; --blkio-weight-device: {"Path","Weight"}. */
int spec_throttle(const char *value, const char *key, bool bytes, struct json_object **out,
                  struct dray_err *err);
/** --restart: {"Name","MaximumRetryCount"}. */
int spec_restart(const char *value, struct json_object **out, struct dray_err *err);
/** --security-opt: rewritten for the API (seccomp files are read); caller frees. */
int spec_security(const char *value, char **out, struct dray_err *err);
/** Lines of an env file (environ: bare names take their value from ours) or label file. */
int spec_env_file(const char *path, bool environ_values, struct dray_strlist *out,
                  struct dray_err *err);
/** "K=V" words as an object; a bare "K" gives an empty value. */
struct json_object *spec_map(const struct dray_strlist *words);
/** Split a line of comma-separated values with quotes (RFC 4180). */
bool spec_csv(const char *text, struct dray_strlist *out);

#endif
