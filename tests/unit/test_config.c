/* SPDX-License-Identifier: Apache-2.0 */
/* test_config.c - daemon.json, options, their conflicts, defaults, and what plugins get of them. */
#include "engine/config_load.h"

#include "base/json.h"
#include "check.h"

static struct json_object *parse(const char *text)
{
    struct json_object *o = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_json_parse(text, strlen(text), &o, NULL), 0);
    return o;
}

static struct dray_config *build(const char *file_text)
{
    dray_autojson *file = parse(file_text);
    struct dray_config *c = NULL;
    struct dray_err err = {0};
    CU_ASSERT_EQUAL_FATAL(dray_conf_check_file(file, &err), 0);
    CU_ASSERT_EQUAL_FATAL(dray_config_build(NULL, file, NULL, "/usr/bin", &c, &err), 0);
    return c;
}

static const struct dray_conf_key *key_of(const char *flag)
{
    for (const struct dray_conf_key *k = dray_conf_keys; k->key || k->flag; k++)
        if (k->flag && strcmp(k->flag, flag) == 0)
            return k;
    return NULL;
}

static void test_defaults(void)
{
    struct dray_config *c = build("{}");
    CU_ASSERT_STRING_EQUAL(c->data_root, "/var/lib/dray");
    CU_ASSERT_STRING_EQUAL(c->exec_root, "/run/dray");
    CU_ASSERT_STRING_EQUAL(c->bridge, "dray0");
    CU_ASSERT_STRING_EQUAL(c->nft_table, "dray");
    CU_ASSERT_STRING_EQUAL(c->log_driver, "json-file");
    CU_ASSERT_EQUAL(c->mtu, 1500);
    CU_ASSERT_EQUAL(c->default_shm_size, 64 << 20);
    CU_ASSERT_EQUAL(c->max_concurrent_downloads, 3);
    CU_ASSERT_TRUE(c->icc && c->ip_masq && c->ip_forward && !c->ipv6);
    dray_config_free(c);
}

static void test_second_daemon(void)
{
    struct dray_config *a = build("{\"data-root\":\"/srv/a\"}");
    struct dray_config *b = build("{\"data-root\":\"/srv/b\",\"exec-root\":\"/run/b\"}");
    CU_ASSERT_EQUAL(strncmp(a->bridge, "dray-", 5), 0);
    CU_ASSERT_EQUAL(strlen(a->bridge), 11);
    CU_ASSERT_EQUAL(strncmp(a->nft_table, "dray_", 5), 0);
    CU_ASSERT_STRING_NOT_EQUAL(a->bridge, b->bridge);
    CU_ASSERT_STRING_NOT_EQUAL(a->nft_table, b->nft_table);
    CU_ASSERT_STRING_EQUAL(dray_json_str(a->plugins, "bridge.table", ""), a->nft_table);
    dray_config_free(a);
    dray_config_free(b);
    struct dray_config *named = build("{\"data-root\":\"/srv/a\",\"bridge\":\"br9\"}");
    CU_ASSERT_STRING_EQUAL(named->bridge, "br9");
    dray_config_free(named);
}

static void test_file(void)
{
    struct dray_config *c =
        build("{\"storage-driver\":\"vfs\",\"log-opts\":{\"max-size\":\"5m\"},\"mtu\":1400,"
              "\"default-shm-size\":\"128M\",\"dns\":[\"1.1.1.1\"],\"ip-masq\":false,"
              "\"default-address-pools\":[{\"base\":\"10.9.0.0/16\",\"size\":24}],"
              "\"insecure-registries\":[\"r.test:5000\"],\"registry-mirrors\":[\"http://m\"],"
              "\"proxies\":{\"http-proxy\":\"http://p:1\"},\"storage-opts\":[\"overlay2.x=1\"],"
              "\"iptables\":false,\"userland-proxy\":false,\"features\":{\"buildkit\":true},"
              "\"plugins\":{\"bridge\":{\"table\":\"mine\"},\"v\":{\"path\":\"/x.so\","
              "\"options\":{\"a\":\"b\"}}}}");
    CU_ASSERT_STRING_EQUAL(c->storage_driver, "vfs");
    CU_ASSERT_STRING_EQUAL(dray_kvlist_get(&c->log_opts, "max-size", ""), "5m");
    CU_ASSERT_EQUAL(c->mtu, 1400);
    CU_ASSERT_EQUAL(c->default_shm_size, 128 << 20);
    CU_ASSERT_FALSE(c->ip_masq || c->iptables);
    CU_ASSERT_FALSE(dray_json_bool(c->plugins, "bridge.rules", true));
    CU_ASSERT_EQUAL_FATAL(c->default_address_pools.n, 1);
    CU_ASSERT_STRING_EQUAL(c->default_address_pools.v[0], "10.9.0.0/16:24");
    CU_ASSERT_STRING_EQUAL(c->http_proxy, "http://p:1");
    struct json_object *hub = dray_json_obj(c->plugins, "hub");
    CU_ASSERT_STRING_EQUAL(json_object_get_string(json_object_array_get_idx(
                               dray_json_arr(hub, "insecure-registries"), 0)),
                           "r.test:5000");
    CU_ASSERT_STRING_EQUAL(dray_json_str(c->plugins, "overlay.x", ""), "1");
    CU_ASSERT_STRING_EQUAL(dray_json_str(c->plugins, "bridge.table", ""), "mine");
    CU_ASSERT_EQUAL(dray_json_int(c->plugins, "bridge.mtu", 0), 1400);
    CU_ASSERT_STRING_EQUAL(dray_json_str(c->plugins, "v.a", ""), "b");
    CU_ASSERT_STRING_EQUAL(dray_json_str(c->plugins, "v.path", ""), "/x.so");
    dray_config_free(c);
}

static void test_bad_files(void)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"[]", "must be a JSON object"},
        {"{\"storage-drivr\":\"x\"}", "don't match any configuration option: storage-drivr (did "
                                      "you mean \"storage-driver\"?)"},
        {"{\"zzzzzzzzzz\":1}", "don't match any configuration option: zzzzzzzzzz"},
        {"{\"mtu\":\"1500\"}", "\"mtu\" must be a number"},
        {"{\"debug\":\"yes\"}", "\"debug\" must be true or false"},
        {"{\"dns\":\"1.1.1.1\"}", "\"dns\" must be a list of strings"},
        {"{\"dns\":[1]}", "\"dns\" must be a list of strings"},
        {"{\"log-opts\":{\"a\":1}}", "\"log-opts\" must be an object of strings"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dray_autojson *file = parse(rows[i].text);
        struct dray_err err = {0};
        CU_ASSERT_EQUAL(dray_conf_check_file(file, &err), DRAY_E_INVAL);
        CU_ASSERT(strstr(err.text, rows[i].part) != NULL);
        if (!strstr(err.text, rows[i].part))
            printf("\n%s: %s\n", rows[i].text, err.text);
    }
}

static void test_bad_values(void)
{
    static const char *const bad[] = {
        "{\"mtu\":10}",
        "{\"max-concurrent-downloads\":-1}",
        "{\"max-download-attempts\":0}",
        "{\"data-root\":\"relative\"}",
        "{\"default-shm-size\":\"many\"}",
        "{\"default-address-pools\":[{\"base\":\"10.0.0.0/8\"}]}",
        "{\"storage-opts\":[\"size\"]}",
        "{\"shutdown-timeout\":-5}",
        "{\"default-cgroupns-mode\":\"shared\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dray_autojson *file = parse(bad[i]);
        struct dray_config *c = NULL;
        struct dray_err err = {0};
        CU_ASSERT_EQUAL(dray_config_build(NULL, file, NULL, "/usr/bin", &c, &err), DRAY_E_INVAL);
        CU_ASSERT(err.text[0] != '\0');
    }
}

static int set(struct json_object *flags, const char *flag, const char *value)
{
    return dray_conf_set_flag(flags, key_of(flag), value, NULL);
}

static void test_flags(void)
{
    dray_autojson *f = json_object_new_object();
    CU_ASSERT_EQUAL(set(f, "host", "unix:///a"), 0);
    CU_ASSERT_EQUAL(set(f, "host", "tcp://b"), 0);
    CU_ASSERT_EQUAL(set(f, "log-opt", "max-size=1m"), 0);
    CU_ASSERT_EQUAL(set(f, "default-ulimit", "nofile=10:20"), 0);
    CU_ASSERT_EQUAL(set(f, "default-address-pool", "base=10.0.0.0/8,size=20"), 0);
    CU_ASSERT_EQUAL(set(f, "add-runtime", "crun=/usr/bin/crun"), 0);
    CU_ASSERT_EQUAL(set(f, "icc", "false"), 0);
    CU_ASSERT_EQUAL(set(f, "mtu", "9000"), 0);
    CU_ASSERT_STRING_EQUAL(
        dray_json_text(f),
        "{\"hosts\":[\"unix:///a\",\"tcp://b\"],\"log-opts\":{\"max-size\":\"1m\"},"
        "\"default-ulimits\":{\"nofile\":{\"Name\":\"nofile\",\"Hard\":20,\"Soft\":10}},"
        "\"default-address-pools\":[{\"base\":\"10.0.0.0/8\",\"size\":20}],"
        "\"runtimes\":{\"crun\":{\"path\":\"/usr/bin/crun\"}},\"icc\":false,\"mtu\":9000}");
    CU_ASSERT_EQUAL(set(f, "mtu", "big"), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(set(f, "icc", "maybe"), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(set(f, "log-opt", "novalue"), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(set(f, "default-ulimit", "nofile=20:10"), DRAY_E_INVAL);
    CU_ASSERT_EQUAL(set(f, "default-address-pool", "10.0.0.0/8"), DRAY_E_INVAL);
    CU_ASSERT_STRING_EQUAL(dray_conf_nearest("insecure-registy", true), "insecure-registry");
}

static void test_conflicts(void)
{
    dray_autojson *flags = parse("{\"hosts\":[\"unix:///a\"],\"debug\":true}");
    dray_autojson *file = parse("{\"hosts\":[\"unix:///b\"],\"mtu\":1400}");
    struct dray_err err = {0};
    CU_ASSERT_EQUAL(dray_conf_check_conflicts(flags, file, &err), DRAY_E_INVAL);
    CU_ASSERT(strstr(err.text, "the following directives are specified both as a flag and in the "
                               "configuration file: hosts: (from flag: [\"unix:///a\"], from "
                               "file: [\"unix:///b\"])") != NULL);
    dray_autojson *fine = parse("{\"mtu\":1400}");
    CU_ASSERT_EQUAL(dray_conf_check_conflicts(flags, fine, &err), 0);
    struct dray_config *c = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_config_build(flags, fine, NULL, "/usr/bin", &c, &err), 0);
    CU_ASSERT_TRUE(c->debug);
    CU_ASSERT_EQUAL(c->mtu, 1400);
    dray_config_free(c);
}

static const struct check_case cases[] = {
    {"defaults", test_defaults},
    {"daemons with other roots get names of their own", test_second_daemon},
    {"daemon.json reaches its fields and the plugins", test_file},
    {"unknown keys and wrong types", test_bad_files},
    {"values out of range", test_bad_values},
    {"flags have the shapes of daemon.json", test_flags},
    {"conflicts between flags and file", test_conflicts},
};

CHECK_MAIN("config", cases)
