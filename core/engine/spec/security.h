/* SPDX-License-Identifier: Apache-2.0 */
/* security.h - HostConfig.SecurityOpt, and the seccomp profile that follows from it. */
#ifndef DRAY_ENGINE_SECURITY_H
#define DRAY_ENGINE_SECURITY_H

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

struct dray_config;
struct json_object;

struct dray_security {
    bool no_new_privileges;
    bool seccomp_unconfined;
    struct json_object *seccomp_profile; /* Docker's JSON, owned; NULL: the default one */
    char apparmor[128];                  /* the profile asked for, or "" */
    char label[256];                     /* SELinux process label */
    bool label_disabled;
    bool systempaths_unconfined;
    enum { DRAY_CGROUPS_DEFAULT, DRAY_CGROUPS_RO, DRAY_CGROUPS_RW } cgroups;
};

/** Parse "key=value" options; privileged means unconfined. Errors in Docker's words. */
int dray_security_parse(struct json_object *opts, bool privileged, const struct dray_config *cfg,
                        struct dray_security *out, struct dray_err *err);
void dray_security_free(struct dray_security *s);
static inline void dray_security_cleanup(struct dray_security *s)
{
    dray_security_free(s);
}

/** The OCI "linux.seccomp" object that Docker's default profile gives for these capabilities, on
 *  this machine and kernel. */
struct json_object *dray_seccomp_default(uint64_t caps);
/** The same from a profile in Docker's format (archMap, includes and excludes resolved). */
int dray_seccomp_resolve(struct json_object *profile, uint64_t caps, struct json_object **out,
                         struct dray_err *err);

#endif
