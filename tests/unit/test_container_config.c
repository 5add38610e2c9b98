/* SPDX-License-Identifier: Apache-2.0 */
/* test_container_config.c - Config and HostConfig: defaults, types, merging, limits. */
#include "engine/spec/container_config.h"

#include "base/json.h"
#include "check.h"
#include "engine/config.h"
#include "engine/signals.h"

#include <signal.h>

static struct dray_config cfg = {.log_driver = (char *)"json-file",
                                 .default_runtime = (char *)"native",
                                 .default_shm_size = 64 << 20};

static struct json_object *parse(const char *text)
{
    struct json_object *v = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_json_parse(text, strlen(text), &v, NULL), 0);
    return v;
}

static void config_has_every_field(void)
{
    dray_autojson *body = parse("{\"Image\":\"x\",\"cmd\":\"ls\",\"Unknown\":[1]}");
    dray_autojson *c = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_container_config(body, &c, NULL), 0);
    CU_ASSERT_EQUAL(dray_json_len(dray_json_arr(c, "Cmd")), 1);
    CU_ASSERT_TRUE(json_object_object_get_ex(c, "Entrypoint", NULL));
    CU_ASSERT_FALSE(json_object_object_get_ex(c, "Unknown", NULL));
    CU_ASSERT_FALSE(json_object_object_get_ex(c, "StopSignal", NULL));
    CU_ASSERT_PTR_NOT_NULL(dray_json_obj(c, "Labels"));
}

static void wrong_types_are_named(void)
{
    static const char *const bad[] = {
        "{\"Tty\":\"yes\"}",          "{\"Env\":[1]}",           "{\"Env\":{}}",
        "{\"Labels\":{\"a\":1}}",     "{\"StopTimeout\":\"5\"}", "[]",
        "{\"ExposedPorts\":[\"80\"]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dray_autojson *body = parse(bad[i]);
        struct json_object *c = NULL;
        struct dray_err err = {0};
        CU_ASSERT_EQUAL(dray_container_config(body, &c, &err), DRAY_E_INVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot unmarshal"));
    }
}

static void host_defaults(void)
{
    dray_autojson *h = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_host_config(NULL, &cfg, 151, &h, NULL), 0);
    CU_ASSERT_STRING_EQUAL(dray_json_str(h, "NetworkMode", ""), "bridge");
    CU_ASSERT_STRING_EQUAL(dray_json_str(h, "LogConfig.Type", ""), "json-file");
    CU_ASSERT_STRING_EQUAL(dray_json_str(h, "RestartPolicy.Name", ""), "no");
    CU_ASSERT_STRING_EQUAL(dray_json_str(h, "IpcMode", ""), "private");
    CU_ASSERT_EQUAL(dray_json_int(h, "ShmSize", 0), 64 << 20);
    CU_ASSERT_PTR_NOT_NULL(dray_json_arr(h, "MaskedPaths"));
}

static int check(const char *host, const char *config, struct dray_err *err)
{
    dray_autojson *user = parse(host);
    dray_autojson *body = parse(config);
    dray_autojson *h = NULL;
    dray_autojson *c = NULL;
    dray_autojson *warnings = json_object_new_array();
    int rc = dray_host_config(user, &cfg, 151, &h, err);
    if (rc == 0)
        rc = dray_container_config(body, &c, err);
    return rc == 0 ? dray_host_config_check(h, c, &cfg, warnings, err) : rc;
}

static void limits(void)
{
    static const struct {
        const char *host, *config, *text; /* text NULL: fine */
    } v[] = {
        {"{}", "{}", NULL},
        {"{\"Memory\":1000}", "{}", "Minimum memory limit allowed is 6MB"},
        {"{\"Memory\":10000000,\"MemorySwap\":9000000}", "{}", "larger than memory limit"},
        {"{\"MemorySwap\":9000000}", "{}", "always set the Memory limit"},
        {"{\"Memory\":10000000,\"MemorySwap\":-1}", "{}", NULL},
        {"{\"MemorySwappiness\":101}", "{}", "valid memory swappiness range"},
        {"{\"NanoCpus\":100000000000000}", "{}", "range of CPUs"},
        {"{\"NanoCpus\":500000000,\"CpuQuota\":5000}", "{}", "Conflicting options"},
        {"{\"CpuPeriod\":10}", "{}", "CPU cfs period"},
        {"{\"CpusetCpus\":\"0-\"}", "{}", "Invalid value 0- for cpuset cpus"},
        {"{\"CpusetCpus\":\"0,1\"}", "{}", NULL},
        {"{\"OomScoreAdj\":1001}", "{}", "oom score adj"},
        {"{\"BlkioWeight\":5}", "{}", "blkio weight"},
        {"{\"RestartPolicy\":{\"Name\":\"sometimes\"}}", "{}", "unknown policy 'sometimes'"},
        {"{\"RestartPolicy\":{\"Name\":\"always\",\"MaximumRetryCount\":3}}", "{}",
         "maximum retry count can only be used with 'on-failure'"},
        {"{\"AutoRemove\":true,\"RestartPolicy\":{\"Name\":\"always\"}}", "{}", "AutoRemove"},
        {"{\"IpcMode\":\"weird\"}", "{}", "invalid IPC mode: weird"},
        {"{\"PidMode\":\"container:\"}", "{}", "invalid PID mode"},
        {"{\"NetworkMode\":\"container:x\"}", "{\"Hostname\":\"h\"}",
         "hostname and the network mode"},
        {"{\"NetworkMode\":\"container:x\",\"PublishAllPorts\":true}", "{}", "port publishing"},
        {"{\"PortBindings\":{\"80/xyz\":[]}}", "{}", "invalid port specification"},
        {"{\"PortBindings\":{\"99999/tcp\":[]}}", "{}", "invalid port specification"},
        {"{}", "{\"WorkingDir\":\"rel\"}", "needs to be an absolute path"},
        {"{}", "{\"Env\":[\"=x\"]}", "invalid environment variable: =x"},
        {"{}", "{\"Healthcheck\":{\"Interval\":5}}", "cannot be less than 1ms"},
        {"{\"DeviceRequests\":[{\"Driver\":\"nvidia\"}]}", "{}", "could not select device driver"},
    };
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        struct dray_err err = {0};
        int rc = check(v[i].host, v[i].config, &err);
        CU_ASSERT_EQUAL(rc, v[i].text ? DRAY_E_INVAL : 0);
        CU_ASSERT_TRUE(!v[i].text || strstr(err.text, v[i].text));
    }
}

static void merging(void)
{
    dray_autojson *body = parse("{\"Image\":\"x\",\"Env\":[\"A=1\"]}");
    dray_autojson *image =
        parse("{\"Env\":[\"A=2\",\"B=3\"],\"Cmd\":[\"sh\"],\"Entrypoint\":[\"e\"],"
              "\"Labels\":{\"l\":\"v\"},\"WorkingDir\":\"/w\"}");
    dray_autojson *c = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_container_config(body, &c, NULL), 0);
    CU_ASSERT_EQUAL(dray_container_config_merge(c, image, NULL), 0);
    CU_ASSERT_EQUAL(dray_json_len(dray_json_arr(c, "Env")), 2);
    CU_ASSERT_STRING_EQUAL(dray_json_str(c, "Labels.l", ""), "v");
    CU_ASSERT_STRING_EQUAL(dray_json_str(c, "WorkingDir", ""), "/w");
    CU_ASSERT_EQUAL(dray_json_len(dray_json_arr(c, "Entrypoint")), 1);
}

static void own_entrypoint_drops_the_images_command(void)
{
    dray_autojson *body = parse("{\"Entrypoint\":[\"mine\"]}");
    dray_autojson *image = parse("{\"Cmd\":[\"theirs\"],\"Entrypoint\":[\"e\"]}");
    dray_autojson *c = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_container_config(body, &c, NULL), 0);
    CU_ASSERT_EQUAL(dray_container_config_merge(c, image, NULL), 0);
    CU_ASSERT_EQUAL(dray_json_len(dray_json_arr(c, "Cmd")), 0);
    dray_autojson *nothing = parse("{}");
    dray_autojson *none = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_container_config(nothing, &none, NULL), 0);
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(dray_container_config_merge(none, nothing, &err), DRAY_E_INVAL);
    CU_ASSERT_STRING_EQUAL(err.text, "no command specified");
}

static void signals(void)
{
    static const struct {
        const char *text;
        int number; /* -1: refused */
    } v[] = {{"SIGTERM", SIGTERM}, {"term", SIGTERM}, {"9", 9},           {"RTMIN+3", 37},
             {"SIGRTMAX", 64},     {"", SIGKILL},     {"FOO", -1},        {"99", -1},
             {"-1", -1},           {"USR1", SIGUSR1}, {"SIGRTMIN+99", -1}};
    for (size_t i = 0; i < sizeof v / sizeof v[0]; i++) {
        int n = -1;
        int rc = dray_signal_parse(v[i].text, SIGKILL, &n, NULL);
        CU_ASSERT_EQUAL(rc, v[i].number < 0 ? DRAY_E_INVAL : 0);
        CU_ASSERT_TRUE(v[i].number < 0 || n == v[i].number);
    }
}

static const struct check_case cases[] = {
    {"a Config has every field", config_has_every_field},
    {"wrong types are named", wrong_types_are_named},
    {"HostConfig defaults", host_defaults},
    {"limits and combinations", limits},
    {"an image's config is merged", merging},
    {"entrypoint and command", own_entrypoint_drops_the_images_command},
    {"signals", signals},
};
CHECK_MAIN("container_config", cases)
