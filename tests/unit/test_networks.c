/* SPDX-License-Identifier: Apache-2.0 */
/* test_networks.c - the engine's networks over the real drivers, in a namespace of their own. */
#include "check.h"
#include "net_wire.h"

#include "base/fs.h"
#include "base/json.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/filters.h"
#include "engine/network/networks.h"

#include <time.h>

#define C1 "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1"
#define C2 "c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2c2"

static char root[] = "/tmp/dray-test-networks-XXXXXX";
static struct dray_config config = {.iptables = true};
static struct dray_engine engine;
static struct dray_networks *nets;
static struct dray_err err;

static void up(void)
{
    const char *dirs[] = {PLUGIN_DIR, NULL};
    dray_autojson *options = json_object_new_object();
    dray_json_add_str(options, "table", "draytest");
    struct dray_plugin_config bridge = {.name = "bridge", .options = options};
    struct dray_drivers_config dc = {.dirs = dirs,
                                     .data_root = root,
                                     .exec_root = root,
                                     .libexec_dir = root,
                                     .plugins = &bridge,
                                     .n_plugins = 1,
                                     .only_kinds = 1u << DRAY_KIND_NETWORK | 1u << DRAY_KIND_IPAM,
                                     .insecure_files = true};
    engine = (struct dray_engine){.config = &config, .data_fd = -EBADF};
    CU_ASSERT_EQUAL_FATAL(dray_events_open(&engine.events, &err), 0);
    CU_ASSERT_EQUAL_FATAL(dray_fs_open_dir(AT_FDCWD, root, 0700, &engine.data_fd, &err), 0);
    CU_ASSERT_EQUAL_FATAL(dray_drivers_open(&dc, &engine.drivers, &err), 0);
    int rc = dray_networks_open(&engine, &nets, &err);
    if (rc)
        (void)printf("open: %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    engine.networks = nets;
}

static void down(void)
{
    dray_networks_close(nets);
    dray_drivers_close(engine.drivers);
    dray_events_close(engine.events);
    (void)close(engine.data_fd);
}

static void restart(void)
{
    down();
    up();
}

/* Answers of a create: 0, or the code with err filled. */
static int create(const char *json)
{
    dray_autojson *req = json_tokener_parse(json);
    struct json_object *out = NULL;
    err.text[0] = '\0';
    int rc = dray_networks_create(nets, req, &out, &err);
    json_object_put(out);
    return rc;
}

static struct json_object *inspect(const char *name)
{
    struct json_object *out = NULL;
    CU_ASSERT_EQUAL(dray_networks_inspect(nets, name, &out, &err), 0);
    return out;
}

static bool shows(const char *network, const char *path, const char *want)
{
    dray_autojson *o = inspect(network);
    const char *got = dray_json_str(o, path, "(none)");
    if (strcmp(got, want) != 0)
        (void)printf("\n%s %s: %s, want %s\n", network, path, got, want);
    return strcmp(got, want) == 0;
}

static bool pool_shows(const char *network, const char *key, const char *want)
{
    dray_autojson *o = inspect(network);
    struct json_object *first = json_object_array_get_idx(dray_json_arr(o, "IPAM.Config"), 0);
    const char *got = dray_json_str(first, key, "(none)");
    if (strcmp(got, want) != 0)
        (void)printf("\n%s %s: %s, want %s\n", network, key, got, want);
    return strcmp(got, want) == 0;
}

static void remove_net(const char *name)
{
    int rc = dray_networks_remove(nets, name, &err);
    if (rc)
        (void)printf("remove: %s\n", err.text);
    CU_ASSERT_EQUAL(rc, 0);
}

static int join_as(bool replay, const char *container, const char *network, int ns,
                   const char *settings, const char *ports, struct json_object **ep,
                   struct json_object **published)
{
    dray_autojson *s = settings ? json_tokener_parse(settings) : NULL;
    dray_autojson *p = ports ? json_tokener_parse(ports) : NULL;
    struct dray_join_req req = {.container_id = container,
                                .container_name = "web",
                                .hostname = "webhost",
                                .network = network,
                                .config = s,
                                .ports = p,
                                .netns = ns,
                                .ifname = "eth0",
                                .set_default = true,
                                .replay = replay};
    *ep = *published = NULL;
    err.text[0] = '\0';
    return dray_networks_join(nets, &req, ep, published, &err);
}

static void leave(const char *container, struct json_object *ep, int ns)
{
    CU_ASSERT_EQUAL(dray_networks_leave(nets, container, ep, ns, &err), 0);
}

static void test_defaults(void)
{
    up();
    CU_ASSERT_TRUE(shows("bridge", "Driver", "bridge"));
    CU_ASSERT_TRUE(shows("host", "Driver", "host"));
    CU_ASSERT_TRUE(shows("none", "Driver", "null"));
    CU_ASSERT_TRUE(pool_shows("bridge", "Subnet", "172.17.0.0/16"));
    CU_ASSERT_TRUE(pool_shows("bridge", "Gateway", "172.17.0.1"));
    struct dray_network_ref ref;
    CU_ASSERT_EQUAL(dray_networks_find(nets, "default", &ref, &err), 0);
    CU_ASSERT_STRING_EQUAL(ref.name, "bridge");
    CU_ASSERT_FALSE(ref.user_defined);
    CU_ASSERT_EQUAL(dray_networks_find(nets, "host", &ref, &err), 0);
    CU_ASSERT_EQUAL(ref.mode, DRAY_NETMODE_HOST);
    CU_ASSERT_EQUAL(dray_networks_find(nets, "none", &ref, &err), 0);
    CU_ASSERT_EQUAL(ref.mode, DRAY_NETMODE_NONE);
    char id[72];
    (void)snprintf(id, sizeof id, "%s", ref.id);
    char gateways[2][DRAY_HOST_GATEWAY];
    CU_ASSERT_EQUAL_FATAL(dray_networks_host_gateways(nets, gateways), 1);
    CU_ASSERT_STRING_EQUAL(gateways[0], "172.17.0.1");
    CU_ASSERT_EQUAL(dray_networks_remove(nets, "bridge", &err), DRAY_E_DENIED);
    CU_ASSERT_STRING_EQUAL(err.text, "bridge is a pre-defined network and cannot be removed");
    restart();
    CU_ASSERT_EQUAL(dray_networks_find(nets, id, &ref, &err), 0); /* ids stay */
    CU_ASSERT_STRING_EQUAL(ref.name, "none");
    /* The configuration moves the default bridge. */
    config.bip = (char *)(uintptr_t) "10.88.0.5/24";
    restart();
    CU_ASSERT_TRUE(pool_shows("bridge", "Subnet", "10.88.0.0/24"));
    CU_ASSERT_TRUE(pool_shows("bridge", "Gateway", "10.88.0.5"));
    CU_ASSERT_EQUAL(wire_run(-1, "ip -o -4 addr show dev drt0 | grep -q 10.88.0.5/24"), 0);
    CU_ASSERT_NOT_EQUAL(wire_run(-1, "ip -o -4 addr show dev drt0 | grep -q 172.17"), 0);
    config.bip = NULL;
    restart();
    CU_ASSERT_TRUE(pool_shows("bridge", "Subnet", "172.17.0.0/16"));
    down();
}

static void test_create(void)
{
    static const struct {
        const char *json;
        int rc;
        const char *want;
    } cases[] = {
        {"{\"Name\":\"\"}", DRAY_E_INVAL, "invalid name: name is empty"},
        {"{\"Name\":\"host\"}", DRAY_E_DENIED, "predefined host network"},
        {"{\"Name\":\"x\",\"Driver\":\"nosuch\"}", DRAY_E_NOTFOUND, "nosuch"},
        {"{\"Name\":\"x\",\"Driver\":\"host\"}", DRAY_E_DENIED,
         "only one instance of \"host\" network is allowed"},
        {"{\"Name\":\"x\",\"Driver\":\"overlay\"}", DRAY_E_UNAVAIL, "not a swarm manager"},
        {"{\"Name\":\"x\",\"ConfigOnly\":true}", DRAY_E_INVAL, "config-only"},
        {"{\"Name\":\"x\",\"Options\":{\"a\":1}}", DRAY_E_INVAL, "no string"},
        {"{\"Name\":\"x\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.2.3/24\"}]}}", DRAY_E_INVAL,
         "invalid subnet 10.1.2.3/24: it should be 10.1.2.0/24"},
        {"{\"Name\":\"x\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.2.0\"}]}}", DRAY_E_INVAL,
         "invalid CIDR block notation"},
        {"{\"Name\":\"x\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.2.0/24\",\"Gateway\":"
         "\"10.1.3.1\"}]}}",
         DRAY_E_INVAL, "invalid gateway 10.1.3.1: parent subnet 10.1.2.0/24 doesn't contain"},
        {"{\"Name\":\"x\",\"IPAM\":{\"Config\":[{\"Subnet\":\"10.1.2.0/24\",\"IPRange\":"
         "\"10.1.3.0/28\"}]}}",
         DRAY_E_INVAL, "invalid ip-range 10.1.3.0/28"},
        {"{\"Name\":\"x\",\"IPAM\":{\"Config\":[{\"Subnet\":\"172.17.5.0/24\"}]}}", DRAY_E_DENIED,
         "Pool overlaps with other one on this address space"},
        {"{\"Name\":\"x\",\"Options\":{\"com.docker.network.driver.mtu\":\"abc\"}}", DRAY_E_INVAL,
         "mtu"},
        {"{\"Name\":\"n1\",\"Labels\":{\"a\":\"b\"},\"IPAM\":{\"Config\":[{\"Subnet\":"
         "\"10.1.0.0/16\",\"IPRange\":\"10.1.5.0/24\",\"Gateway\":\"10.1.0.9\","
         "\"AuxiliaryAddresses\":{\"r\":\"10.1.5.1\"}}]}}",
         0, ""},
        {"{\"Name\":\"n1\"}", DRAY_E_CONFLICT, "network with name n1 already exists"},
        {"{\"Name\":\"n2\",\"Internal\":true}", 0, ""},
    };
    up();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int rc = create(cases[i].json);
        if (rc != cases[i].rc || !strstr(err.text, cases[i].want))
            (void)printf("\ncase %zu: %d \"%s\"\n", i, rc, err.text);
        CU_ASSERT_EQUAL(rc, cases[i].rc);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, cases[i].want));
    }
    for (int again = 0; again < 2; again++) {
        CU_ASSERT_TRUE(pool_shows("n1", "IPRange", "10.1.5.0/24"));
        CU_ASSERT_TRUE(pool_shows("n1", "Gateway", "10.1.0.9"));
        CU_ASSERT_TRUE(shows("n1", "Labels.a", "b"));
        CU_ASSERT_TRUE(pool_shows("n2", "Subnet", "172.18.0.0/16"));
        dray_autojson *n2 = inspect("n2");
        CU_ASSERT_TRUE(dray_json_bool(n2, "Internal", false));
        restart();
    }
    remove_net("n1");
    remove_net("n2");
    CU_ASSERT_EQUAL(dray_networks_remove(nets, "n1", &err), DRAY_E_NOTFOUND);
    CU_ASSERT_STRING_EQUAL(err.text, "network n1 not found");
    restart();
    CU_ASSERT_EQUAL(dray_networks_remove(nets, "n2", &err), DRAY_E_NOTFOUND);
    down();
}

static size_t listed(const char *filters)
{
    static const char *const keys[] = {"dangling", "driver", "id", "label", "name", "type", NULL};
    DRAY_AUTO(dray_filters) f = {0};
    dray_autojson *out = NULL;
    CU_ASSERT_EQUAL(dray_filters_parse(filters, keys, &f, &err), 0);
    if (dray_networks_list(nets, &f, &out, &err))
        return 999;
    return dray_json_len(out);
}

static void test_list_and_prune(void)
{
    up();
    CU_ASSERT_EQUAL(create("{\"Name\":\"one\",\"Labels\":{\"k\":\"v\"}}"), 0);
    CU_ASSERT_EQUAL(create("{\"Name\":\"other\"}"), 0);
    CU_ASSERT_EQUAL(listed(NULL), 5);
    CU_ASSERT_EQUAL(listed("{\"type\":[\"custom\"]}"), 2);
    CU_ASSERT_EQUAL(listed("{\"type\":[\"builtin\"]}"), 3);
    CU_ASSERT_EQUAL(listed("{\"type\":[\"odd\"]}"), 999);
    CU_ASSERT_EQUAL(listed("{\"label\":[\"k=v\"]}"), 1);
    CU_ASSERT_EQUAL(listed("{\"name\":[\"oth\"]}"), 1);
    CU_ASSERT_EQUAL(listed("{\"driver\":[\"host\",\"null\"]}"), 2);
    CU_ASSERT_EQUAL(listed("{\"dangling\":[\"true\"]}"), 2);
    int ns = wire_ns_new();
    dray_autojson *ep = NULL;
    dray_autojson *ports = NULL;
    CU_ASSERT_EQUAL(join_as(false, C1, "one", ns, NULL, NULL, &ep, &ports), 0);
    CU_ASSERT_EQUAL(listed("{\"dangling\":[\"true\"]}"), 1);
    CU_ASSERT_EQUAL(dray_networks_remove(nets, "one", &err), DRAY_E_DENIED);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "network one has active endpoints (name:\"web\""));
    struct dray_filters all = {0};
    dray_autojson *pruned = NULL;
    CU_ASSERT_EQUAL(dray_networks_prune(nets, &all, &pruned, &err), 0);
    CU_ASSERT_EQUAL(dray_json_len(dray_json_arr(pruned, "NetworksDeleted")), 1);
    leave(C1, ep, ns);
    remove_net("one");
    close(ns);
    down();
}

static void test_join(void)
{
    char peer[INET6_ADDRSTRLEN];
    up();
    CU_ASSERT_EQUAL(create("{\"Name\":\"app\",\"IPAM\":{\"Config\":[{\"Subnet\":"
                           "\"10.3.0.0/24\"}]}}"),
                    0);
    int ns = wire_ns_new();
    int server = wire_serve(ns, AF_INET, SOCK_STREAM, 80);
    dray_autojson *ep = NULL;
    dray_autojson *ports = NULL;
    int rc = join_as(false, C1, "app", ns,
                     "{\"IPAMConfig\":{\"IPv4Address\":\"10.3.0.77\"},\"Aliases\":[\"db\"]}",
                     "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"},{\"HostPort\":\"\"}],"
                     "\"81/udp\":null}",
                     &ep, &ports);
    if (rc)
        (void)printf("join: %s\n", err.text);
    CU_ASSERT_EQUAL_FATAL(rc, 0);
    CU_ASSERT_STRING_EQUAL(dray_json_str(ep, "IPAddress", ""), "10.3.0.77");
    CU_ASSERT_EQUAL(dray_json_int(ep, "IPPrefixLen", 0), 24);
    CU_ASSERT_STRING_EQUAL(dray_json_str(ep, "Gateway", ""), "10.3.0.1");
    CU_ASSERT_STRING_EQUAL(dray_json_str(ep, "MacAddress", ""), "02:42:0a:03:00:4d");
    CU_ASSERT_STRING_EQUAL(dray_json_text(dray_json_get(ep, "DNSNames")),
                           "[\"web\",\"db\",\"c1c1c1c1c1c1\",\"webhost\"]");
    struct json_object *list = NULL;
    CU_ASSERT_TRUE(json_object_object_get_ex(ports, "80/tcp", &list));
    CU_ASSERT_EQUAL(dray_json_len(list), 2);
    struct json_object *first = json_object_array_get_idx(list, 0);
    CU_ASSERT_STRING_EQUAL(dray_json_str(first, "HostIp", ""), "0.0.0.0");
    CU_ASSERT_STRING_EQUAL(dray_json_str(first, "HostPort", ""), "8080");
    CU_ASSERT_TRUE(wire_tcp(-1, "127.0.0.1", 8080, server, peer));
    dray_autojson *app = inspect("app");
    struct json_object *containers = dray_json_obj(app, "Containers");
    struct json_object *shown = NULL;
    CU_ASSERT_TRUE(json_object_object_get_ex(containers, C1, &shown));
    CU_ASSERT_STRING_EQUAL(dray_json_str(shown, "IPv4Address", ""), "10.3.0.77/24");

    /* Refusals leave nothing behind. */
    struct json_object *none = NULL;
    struct json_object *no_ports = NULL;
    int ns2 = wire_ns_new();
    CU_ASSERT_EQUAL(join_as(false, C2, "app", ns2,
                            "{\"IPAMConfig\":{\"IPv4Address\":\"10.3.0.77\"}}", NULL, &none,
                            &no_ports),
                    DRAY_E_DENIED);
    CU_ASSERT_STRING_EQUAL(err.text, "Address already in use");
    CU_ASSERT_EQUAL(join_as(false, C2, "app", ns2,
                            "{\"IPAMConfig\":{\"IPv4Address\":\"10.4.0.77\"}}", NULL, &none,
                            &no_ports),
                    DRAY_E_INVAL);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err.text, "no configured subnet or ip-range contain the IP address 10.4.0.77"));
    CU_ASSERT_EQUAL(join_as(false, C2, "bridge", ns2,
                            "{\"IPAMConfig\":{\"IPv4Address\":\"172.17.0.9\"}}", NULL, &none,
                            &no_ports),
                    DRAY_E_INVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "user defined networks only"));
    CU_ASSERT_EQUAL(join_as(false, C2, "app", ns2, NULL, "{\"80/tcp\":[{\"HostPort\":\"8080\"}]}",
                            &none, &no_ports),
                    DRAY_E_INTERNAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "driver failed programming external connectivity on "
                                            "endpoint web ("));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(err.text, "): Bind for 0.0.0.0:8080 failed: port is already allocated"));
    CU_ASSERT_EQUAL(join_as(false, C2, "nosuch", ns2, NULL, NULL, &none, &no_ports),
                    DRAY_E_NOTFOUND);

    /* The daemon restarts: the same endpoint, the same answers. */
    dray_autofree char *kept = strdup(dray_json_text(ep));
    dray_autofree char *kept_ports = strdup(dray_json_text(ports));
    restart();
    CU_ASSERT_TRUE(wire_tcp(-1, "127.0.0.1", 8080, server, peer));
    dray_autojson *ep2 = NULL;
    dray_autojson *ports2 = NULL;
    CU_ASSERT_EQUAL(join_as(true, C1, "app", ns, kept, kept_ports, &ep2, &ports2), 0);
    dray_networks_collect(nets);
    CU_ASSERT_STRING_EQUAL(dray_json_text(ep2), kept);
    CU_ASSERT_STRING_EQUAL(dray_json_text(ports2), kept_ports);
    CU_ASSERT_TRUE(wire_tcp(-1, "127.0.0.1", 8080, server, peer));
    CU_ASSERT_EQUAL(join_as(false, C2, "app", ns2,
                            "{\"IPAMConfig\":{\"IPv4Address\":\"10.3.0.77\"}}", NULL, &none,
                            &no_ports),
                    DRAY_E_DENIED);
    dray_networks_renamed(nets, C1, "renamed");
    json_object_put(app);
    app = inspect("app");
    (void)json_object_object_get_ex(dray_json_obj(app, "Containers"), C1, &shown);
    CU_ASSERT_STRING_EQUAL(dray_json_str(shown, "Name", ""), "renamed");
    leave(C1, ep2, ns);
    CU_ASSERT_FALSE(wire_tcp(-1, "127.0.0.1", 8080, server, peer));
    remove_net("app");
    close(server);
    close(ns);
    close(ns2);
    down();
}

static bool default_by(int ns, const char *gateway)
{
    char line[128];
    (void)snprintf(line, sizeof line, "ip route | grep -q 'default via %s '", gateway);
    return wire_run(ns, line) == 0;
}

/* A running container comes onto networks and goes; it has a way out as long as one of them has. */
static void test_default_route(void)
{
    struct json_object *ep[4] = {0};
    struct json_object *ports = NULL;
    up();
    CU_ASSERT_EQUAL(create("{\"Name\":\"in\",\"Internal\":true}"), 0);
    CU_ASSERT_EQUAL(create("{\"Name\":\"one\",\"IPAM\":{\"Config\":[{\"Subnet\":"
                           "\"10.5.1.0/24\"}]}}"),
                    0);
    CU_ASSERT_EQUAL(create("{\"Name\":\"two\",\"IPAM\":{\"Config\":[{\"Subnet\":"
                           "\"10.5.2.0/24\"}]}}"),
                    0);
    int ns = wire_ns_new();
    struct dray_join_req req = {.container_id = C1,
                                .container_name = "web",
                                .network = "in",
                                .netns = ns,
                                .ifname = "eth0"};
    CU_ASSERT_EQUAL(dray_networks_join(nets, &req, &ep[0], &ports, &err), 0);
    CU_ASSERT_NOT_EQUAL(wire_run(ns, "ip route | grep -q default"), 0);
    req.network = "two";
    req.ifname = "eth1";
    CU_ASSERT_EQUAL(dray_networks_join(nets, &req, &ep[1], &ports, &err), 0);
    CU_ASSERT_TRUE(default_by(ns, "10.5.2.1"));
    dray_autojson *prior = json_tokener_parse("{\"GwPriority\":5}");
    req.network = "one";
    req.config = prior;
    CU_ASSERT_EQUAL(dray_networks_join(nets, &req, &ep[2], &ports, &err), 0);
    CU_ASSERT_TRUE(default_by(ns, "10.5.1.1"));
    leave(C1, ep[2], ns);
    CU_ASSERT_TRUE(default_by(ns, "10.5.2.1"));
    leave(C1, ep[1], ns);
    leave(C1, ep[0], ns);
    for (size_t i = 0; i < 3; i++)
        json_object_put(ep[i]);
    remove_net("in");
    remove_net("one");
    remove_net("two");
    close(ns);
    down();
}

static void test_host_and_none(void)
{
    up();
    int ns = wire_ns_new();
    dray_autojson *ep = NULL;
    dray_autojson *ports = NULL;
    CU_ASSERT_EQUAL(join_as(false, C1, "none", ns, NULL, NULL, &ep, &ports), 0);
    CU_ASSERT_STRING_EQUAL(dray_json_str(ep, "IPAddress", "x"), "");
    CU_ASSERT_EQUAL(wire_run(ns, "ip -o link show lo up | grep -q LOOPBACK"), 0);
    leave(C1, ep, -1);
    dray_autojson *ep2 = NULL;
    dray_autojson *ports2 = NULL;
    CU_ASSERT_EQUAL(join_as(false, C1, "host", -1, NULL, NULL, &ep2, &ports2), 0);
    leave(C1, ep2, -1);
    close(ns);
    down();
}

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return d < 0 ? -1 : d > 0;
}

#define ROUNDS 60

/* As containers come and go, one after the other; figures for people. */
static void test_speed(void)
{
    static double joins[ROUNDS], leaves[ROUNDS];
    up();
    for (int i = 0; i < ROUNDS; i++) {
        dray_autojson *ep = NULL;
        dray_autojson *ports = NULL;
        int ns = wire_ns_new();
        double t = now_ms();
        CU_ASSERT_EQUAL(join_as(false, C1, "bridge", ns, NULL,
                                "{\"80/tcp\":[{\"HostPort\":\"8080\"}]}", &ep, &ports),
                        0);
        joins[i] = now_ms() - t;
        t = now_ms();
        leave(C1, ep, -1);
        leaves[i] = now_ms() - t;
        close(ns);
    }
    qsort(joins, ROUNDS, sizeof joins[0], by_value);
    qsort(leaves, ROUNDS, sizeof leaves[0], by_value);
    (void)printf("\n    join with a port %.2f ms (p90 %.2f), leave %.2f ms (p90 %.2f)\n",
                 joins[ROUNDS / 2], joins[ROUNDS * 9 / 10], leaves[ROUNDS / 2],
                 leaves[ROUNDS * 9 / 10]);
    down();
}

static const struct check_case cases[] = {
    {"default networks", test_defaults},
    {"create", test_create},
    {"list, prune", test_list_and_prune},
    {"join, leave, restart", test_join},
    {"default route", test_default_route},
    {"host and none", test_host_and_none},
    {"speed", test_speed},
};

int main(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNET) || !mkdtemp(root)) {
        (void)printf("skipped: needs root and network namespaces\n");
        return 0;
    }
    if (wire_run(-1, "ip link set lo up"))
        return 2;
    config.bridge = (char *)(uintptr_t) "drt0";
    config.icc = config.ip_masq = true;
    int rc = check_main("networks", cases, sizeof cases / sizeof cases[0]);
    (void)dray_fs_remove_tree(AT_FDCWD, root, NULL);
    return rc;
}
