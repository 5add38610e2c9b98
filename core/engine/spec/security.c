/* SPDX-License-Identifier: Apache-2.0 */
/* security.c - HostConfig.SecurityOpt: what a container may do beyond its capabilities. */
#include "engine/spec/security.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "engine/config.h"
#include "engine/spec/apparmor.h"

#include <fcntl.h>

static int set_seccomp(struct dray_security *s, const char *value, struct dray_err *err)
{
    if (strcmp(value, "unconfined") == 0) {
        s->seccomp_unconfined = true;
        return 0;
    }
    if (strcmp(value, "builtin") == 0)
        return 0;
    struct dray_err why = {0};
    if (dray_json_parse(value, strlen(value), &s->seccomp_profile, &why) != 0)
        return dray_fail(err, DRAY_E_INVAL, "Decoding seccomp profile failed: %s", why.text);
    return 0;
}

static int set_apparmor(struct dray_security *s, const char *value, struct dray_err *err)
{
    if (strcmp(value, DRAY_APPARMOR_UNCONFINED) != 0 && !dray_apparmor_supported())
        return dray_fail(err, DRAY_E_INVAL,
                         "AppArmor is not available on this host: cannot use profile \"%s\"",
                         value);
    if (strlen(value) >= sizeof s->apparmor)
        return dray_fail(err, DRAY_E_INVAL, "invalid --security-opt: \"apparmor=%.64s...\"", value);
    (void)snprintf(s->apparmor, sizeof s->apparmor, "%s", value);
    return 0;
}

static int set_label(struct dray_security *s, const char *value, struct dray_err *err)
{
    bool have = access("/sys/fs/selinux/enforce", F_OK) == 0;
    if (strcmp(value, "disable") == 0) {
        s->label_disabled = true;
        return 0;
    }
    if (!have)
        return 0; /* as Docker: labels mean nothing on a kernel without SELinux */
    return dray_fail(err, DRAY_E_NOTSUP, "SELinux label options are not supported: label=%s",
                     value);
}

/** A word, which alone means true. */
static int set_bool(bool *to, const char *opt, size_t key_len, struct dray_err *err)
{
    *to = true;
    if (!opt[key_len] || dray_str_bool(opt + key_len + 1, to))
        return 0;
    return dray_fail(err, DRAY_E_INVAL, "invalid --security-opt 2: \"%s\"", opt);
}

static int set_cgroups(struct dray_security *s, const char *opt, size_t key_len,
                       struct dray_err *err)
{
    bool writable = false;
    int rc = set_bool(&writable, opt, key_len, err);
    s->cgroups = writable ? DRAY_CGROUPS_RW : DRAY_CGROUPS_RO;
    return rc;
}

static int parse_one(struct dray_security *s, const char *opt, struct dray_err *err)
{
    size_t n = strcspn(opt, "=:");
    dray_autofree char *key = strndup(opt, n);
    const char *value = opt[n] ? opt + n + 1 : "";
    if (!key)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (strcmp(key, "no-new-privileges") == 0)
        return set_bool(&s->no_new_privileges, opt, n, err);
    if (strcmp(key, "writable-cgroups") == 0)
        return set_cgroups(s, opt, n, err);
    if (!opt[n] && strcmp(key, "disable") == 0) {
        s->label_disabled = true;
        return 0;
    }
    if (!opt[n])
        return dray_fail(err, DRAY_E_INVAL, "invalid --security-opt 1: \"%s\"", opt);
    if (strcmp(key, "seccomp") == 0)
        return set_seccomp(s, value, err);
    if (strcmp(key, "apparmor") == 0)
        return set_apparmor(s, value, err);
    if (strcmp(key, "label") == 0)
        return set_label(s, value, err);
    if (strcmp(key, "systempaths") == 0 && strcmp(value, "unconfined") == 0) {
        s->systempaths_unconfined = true;
        return 0;
    }
    return dray_fail(err, DRAY_E_INVAL, "invalid --security-opt 2: \"%s\"", opt);
}

static int daemon_profile(struct dray_security *s, const struct dray_config *cfg,
                          struct dray_err *err)
{
    const char *path = cfg->seccomp_profile;
    if (!path || strcmp(path, "builtin") == 0)
        return 0;
    if (strcmp(path, "unconfined") == 0) {
        s->seccomp_unconfined = true;
        return 0;
    }
    return dray_json_load(AT_FDCWD, path, &s->seccomp_profile, err);
}

int dray_security_parse(struct json_object *opts, bool privileged, const struct dray_config *cfg,
                        struct dray_security *out, struct dray_err *err)
{
    *out = (struct dray_security){.no_new_privileges = cfg->no_new_privileges};
    bool own_seccomp = false;
    for (size_t i = 0; i < dray_json_len(opts); i++) {
        const char *opt = json_object_get_string(json_object_array_get_idx(opts, i));
        own_seccomp = own_seccomp || dray_str_prefix(opt, "seccomp");
        int rc = parse_one(out, opt, err);
        if (rc != 0) {
            dray_security_free(out);
            return rc;
        }
    }
    if (privileged)
        out->seccomp_unconfined = !out->seccomp_profile;
    if (own_seccomp || privileged)
        return 0;
    return daemon_profile(out, cfg, err);
}

void dray_security_free(struct dray_security *s)
{
    if (s->seccomp_profile)
        json_object_put(s->seccomp_profile);
    *s = (struct dray_security){0};
}
