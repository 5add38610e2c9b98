/* SPDX-License-Identifier: Apache-2.0 */
/* test_security.c - capabilities, security options, seccomp profiles. */
#include "engine/spec/security.h"

#include "base/buf.h"
#include "base/json.h"
#include "check.h"
#include "engine/config.h"
#include "engine/spec/apparmor.h"
#include "engine/spec/caps.h"

static struct json_object *parse(const char *text)
{
    struct json_object *v = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_json_parse(text, strlen(text), &v, NULL), 0);
    return v;
}

static uint64_t resolve(const char *add, const char *drop)
{
    dray_autojson *a = parse(add);
    dray_autojson *d = parse(drop);
    uint64_t mask = 0;
    CU_ASSERT_EQUAL(dray_caps_resolve(a, d, false, &mask, NULL), 0);
    return mask;
}

static void capabilities(void)
{
    uint64_t def = resolve("[]", "[]");
    CU_ASSERT_EQUAL(__builtin_popcountll(def), 14);
    CU_ASSERT_TRUE(dray_caps_has(def, "NET_RAW"));
    CU_ASSERT_FALSE(dray_caps_has(def, "SYS_ADMIN"));
    CU_ASSERT_TRUE(dray_caps_has(resolve("[\"sys_admin\"]", "[]"), "CAP_SYS_ADMIN"));
    CU_ASSERT_FALSE(dray_caps_has(resolve("[]", "[\"CAP_NET_RAW\"]"), "NET_RAW"));
    CU_ASSERT_EQUAL(resolve("[]", "[\"ALL\"]"), 0);
    CU_ASSERT_EQUAL(__builtin_popcountll(resolve("[\"CHOWN\"]", "[\"ALL\"]")), 1);
    CU_ASSERT_FALSE(dray_caps_has(resolve("[\"ALL\"]", "[\"SYS_ADMIN\"]"), "SYS_ADMIN"));
    dray_autojson *bad = parse("[\"FLY\"]");
    uint64_t mask;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(dray_caps_resolve(bad, NULL, false, &mask, &err), DRAY_E_INVAL);
    CU_ASSERT_STRING_EQUAL(err.text, "invalid CapAdd: unknown capability: \"CAP_FLY\"");
}

/** Does some rule of a resolved profile name the call with an action? */
static bool names(struct json_object *profile, const char *call, const char *action)
{
    struct json_object *rules = dray_json_arr(profile, "syscalls");
    for (size_t i = 0; i < dray_json_len(rules); i++) {
        struct json_object *r = json_object_array_get_idx(rules, i);
        struct json_object *list = dray_json_arr(r, "names");
        for (size_t k = 0; k < dray_json_len(list); k++)
            if (strcmp(json_object_get_string(json_object_array_get_idx(list, k)), call) == 0 &&
                strcmp(dray_json_str(r, "action", ""), action) == 0)
                return true;
    }
    return false;
}

static void default_profile(void)
{
    dray_autojson *p = dray_seccomp_default(resolve("[]", "[]"));
    CU_ASSERT_STRING_EQUAL(dray_json_str(p, "defaultAction", ""), "SCMP_ACT_ERRNO");
    CU_ASSERT_TRUE(names(p, "openat", "SCMP_ACT_ALLOW"));
    CU_ASSERT_TRUE(names(p, "chroot", "SCMP_ACT_ALLOW"));
    CU_ASSERT_TRUE(names(p, "clone3", "SCMP_ACT_ERRNO"));
    CU_ASSERT_FALSE(names(p, "mount", "SCMP_ACT_ALLOW"));
    CU_ASSERT_FALSE(names(p, "io_uring_setup", "SCMP_ACT_ALLOW"));
    CU_ASSERT_FALSE(names(p, "keyctl", "SCMP_ACT_ALLOW"));
    dray_autojson *admin = dray_seccomp_default(resolve("[\"SYS_ADMIN\"]", "[]"));
    CU_ASSERT_TRUE(names(admin, "mount", "SCMP_ACT_ALLOW"));
    CU_ASSERT_TRUE(names(admin, "clone3", "SCMP_ACT_ALLOW"));
}

static void custom_profile(void)
{
    dray_autojson *given = parse(
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
        "{\"names\":[\"chmod\"],\"action\":\"SCMP_ACT_ERRNO\"},"
        "{\"name\":\"mkdir\",\"action\":\"SCMP_ACT_ERRNO\"},"
        "{\"names\":[\"a\"],\"action\":\"SCMP_ACT_LOG\",\"includes\":{\"caps\":[\"CAP_SYS_BOOT\"]}}"
        ","
        "{\"names\":[\"b\"],\"action\":\"SCMP_ACT_LOG\",\"excludes\":{\"caps\":[\"CAP_CHOWN\"]}},"
        "{\"names\":[\"c\"],\"action\":\"SCMP_ACT_LOG\",\"includes\":{\"minKernel\":\"4.8\"}},"
        "{\"names\":[\"d\"],\"action\":\"SCMP_ACT_LOG\",\"includes\":{\"minKernel\":\"99.1\"}}]}");
    dray_autojson *p = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_seccomp_resolve(given, resolve("[]", "[]"), &p, NULL), 0);
    CU_ASSERT_TRUE(names(p, "chmod", "SCMP_ACT_ERRNO"));
    CU_ASSERT_TRUE(names(p, "mkdir", "SCMP_ACT_ERRNO"));
    CU_ASSERT_FALSE(names(p, "a", "SCMP_ACT_LOG"));
    CU_ASSERT_FALSE(names(p, "b", "SCMP_ACT_LOG"));
    CU_ASSERT_TRUE(names(p, "c", "SCMP_ACT_LOG"));
    CU_ASSERT_FALSE(names(p, "d", "SCMP_ACT_LOG"));
}

static int security(const char *opts, bool privileged, struct dray_security *out,
                    struct dray_err *err)
{
    static const struct dray_config cfg = {0};
    dray_autojson *list = parse(opts);
    return dray_security_parse(list, privileged, &cfg, out, err);
}

static void options(void)
{
    struct dray_security s = {0};
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(security("[\"no-new-privileges\",\"seccomp=unconfined\"]", false, &s, &err), 0);
    CU_ASSERT_TRUE(s.no_new_privileges && s.seccomp_unconfined);
    CU_ASSERT_EQUAL(security("[\"no-new-privileges:false\"]", false, &s, &err), 0);
    CU_ASSERT_FALSE(s.no_new_privileges);
    CU_ASSERT_EQUAL(security("[\"writable-cgroups\"]", false, &s, &err), 0);
    CU_ASSERT_EQUAL(s.cgroups, DRAY_CGROUPS_RW);
    CU_ASSERT_EQUAL(security("[\"writable-cgroups=F\"]", true, &s, &err), 0);
    CU_ASSERT_EQUAL(s.cgroups, DRAY_CGROUPS_RO);
    CU_ASSERT_EQUAL(security("[\"writable-cgroups=\"]", false, &s, &err), DRAY_E_INVAL);
    CU_ASSERT_STRING_EQUAL(err.text, "invalid --security-opt 2: \"writable-cgroups=\"");
    CU_ASSERT_EQUAL(security("[]", true, &s, &err), 0);
    CU_ASSERT_TRUE(s.seccomp_unconfined && s.cgroups == DRAY_CGROUPS_DEFAULT);
    CU_ASSERT_EQUAL(
        security("[\"seccomp={\\\"defaultAction\\\":\\\"SCMP_ACT_ALLOW\\\"}\"]", false, &s, &err),
        0);
    CU_ASSERT_PTR_NOT_NULL(s.seccomp_profile);
    dray_security_free(&s);
    CU_ASSERT_EQUAL(security("[\"seccomp={\"]", false, &s, &err), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(security("[\"magic=1\"]", false, &s, &err), DRAY_E_INVAL);
}

static void apparmor(void)
{
    DRAY_AUTO(dray_buf) plain = {0};
    DRAY_AUTO(dray_buf) under = {0};
    dray_apparmor_source("unconfined", &plain);
    dray_apparmor_source("dray-daemon", &under);
    CU_ASSERT_PTR_NOT_NULL_FATAL(plain.data);
    CU_ASSERT_PTR_NOT_NULL_FATAL(under.data);
    CU_ASSERT_PTR_NOT_NULL(strstr(plain.data, "profile docker-default flags="));
    CU_ASSERT_PTR_NOT_NULL(strstr(plain.data, "  deny mount,\n"));
    CU_ASSERT_STRING_EQUAL(plain.data + plain.len - 3, "\n}\n");
    CU_ASSERT_PTR_NULL(strstr(plain.data, "dray-daemon"));
    CU_ASSERT_PTR_NOT_NULL(strstr(under.data, "signal (receive) peer=\"dray-daemon\",\n"));

    /* Options name a profile; without AppArmor none is used, and one that is named is refused. */
    struct dray_security s = {0};
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(security("[\"apparmor=unconfined\"]", false, &s, &err), 0);
    CU_ASSERT_STRING_EQUAL(s.apparmor, "unconfined");
    bool have = dray_apparmor_supported();
    CU_ASSERT_EQUAL(security("[\"apparmor=mine\"]", false, &s, &err), have ? 0 : DRAY_E_INVAL);
    CU_ASSERT_STRING_EQUAL(dray_apparmor_profile("mine", false), have ? "mine" : "");
    CU_ASSERT_STRING_EQUAL(dray_apparmor_profile("", false), have ? "docker-default" : "");
    CU_ASSERT_STRING_EQUAL(dray_apparmor_profile("", true), have ? "unconfined" : "");
}

static const struct check_case cases[] = {
    {"capabilities", capabilities},
    {"the default seccomp profile", default_profile},
    {"a profile in Docker's format", custom_profile},
    {"security options", options},
    {"AppArmor's default profile", apparmor},
};
CHECK_MAIN("security", cases)
