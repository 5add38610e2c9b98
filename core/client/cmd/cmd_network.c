/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_network.c - networks: list, create, connect, disconnect, remove, prune. */
#include "client/api.h"
#include "client/cmd/rows.h"
#include "client/commands.h"
#include "client/config.h"
#include "client/spec/specs.h"
#include "client/tmpl/table.h"
#include "client/tmpl/tmpl.h"
#include "client/units.h"

#include "base/clock.h"
#include "base/json.h"

#include <arpa/inet.h>

static const struct table_field fields[] = {
    {"ID", "NETWORK ID"},
    {"Name", "NAME"},
    {"Driver", "DRIVER"},
    {"Scope", "SCOPE"},
    {"IPv4", "IPV4"},
    {"IPv6", "IPV6"},
    {"Internal", "INTERNAL"},
    {"Labels", "LABELS"},
    {"CreatedAt", "CREATED AT"},
    {NULL, NULL},
};
static const struct table_spec spec = {"*formatter.networkContext",
                                       "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}", fields};

/* "2026-11-24 03:29:38.65 +0000 UTC", as Go prints the time of an API string. */
static char *go_time(const char *text)
{
    int64_t ns = 0;
    char out[DRAY_TIME_LEN];
    if (!dray_time_parse(text, &ns))
        return cli_strdup(text);
    dray_time_format(ns, out);
    char *t = strchr(out, 'T'), *z = strchr(out, 'Z');
    if (!t || !z)
        return cli_strdup(text);
    return cli_strf("%.*s %.*s +0000 UTC", (int)(t - out), out, (int)(z - t - 1), t + 1);
}

static struct json_object *row_of(struct json_object *n, bool trunc)
{
    struct json_object *row = json_object_new_object();
    struct json_object *labels = dray_json_obj(n, "Labels");
    const char *id = dray_json_str(n, "Id", "");
    dray_json_add_str(row, "Driver", dray_json_str(n, "Driver", ""));
    rows_take(row, "CreatedAt", go_time(dray_json_str(n, "Created", "")));
    rows_take(row, "ID", trunc ? rows_short_id(id) : cli_strdup(id));
    dray_json_add_str(row, "IPv4", dray_json_bool(n, "EnableIPv4", false) ? "true" : "false");
    dray_json_add_str(row, "IPv6", dray_json_bool(n, "EnableIPv6", false) ? "true" : "false");
    dray_json_add_str(row, "Internal", dray_json_bool(n, "Internal", false) ? "true" : "false");
    rows_take(row, "Labels", rows_labels(labels));
    dray_json_add_str(row, "Name", dray_json_str(n, "Name", ""));
    dray_json_add_str(row, "Scope", dray_json_str(n, "Scope", ""));
    if (labels)
        json_object_object_add(row, TMPL_HIDDEN_LABELS, json_object_get(labels));
    return row;
}

static int by_name(const void *a, const void *b)
{
    struct json_object *const *x = a, *const *y = b;
    return strverscmp(dray_json_str(*x, "Name", ""), dray_json_str(*y, "Name", ""));
}

int run_network_ls(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    dray_autojson *list = NULL, *rows = json_object_new_array();
    const char *format = cli_str(args, "format");
    if (!format && cli_bool(args, "quiet"))
        format = "{{.ID}}";
    if (!format)
        format = dray_json_str(config_get(cli), "networksFormat", NULL);
    dray_buf_adds(&path, "/networks");
    cli_list(args, "filter", &filters);
    api_filters(&path, &filters);
    if (api_call(cli, "GET", path.data, NULL, &list) != 0)
        return cli_report(cli);
    if (list)
        json_object_array_sort(list, by_name);
    for (size_t i = 0; i < dray_json_len(list); i++)
        json_object_array_add(
            rows, row_of(json_object_array_get_idx(list, i), !cli_bool(args, "no-trunc")));
    return table_list(cli, format, &spec, rows) == 0 ? 0 : cli_report(cli);
}

/* An address range "10.0.0.0/8" as bytes; family 0 when malformed. */
struct cidr {
    int family;
    unsigned char addr[16];
    int bits;
};

static struct cidr parse_cidr(const char *text)
{
    struct cidr c = {.family = 0};
    char ip[64];
    size_t n = strcspn(text, "/");
    if (n >= sizeof ip)
        return c;
    (void)snprintf(ip, sizeof ip, "%.*s", (int)n, text);
    if (inet_pton(AF_INET, ip, c.addr) == 1)
        c.family = AF_INET;
    else if (inet_pton(AF_INET6, ip, c.addr) == 1)
        c.family = AF_INET6;
    c.bits = text[n] ? atoi(text + n + 1) : c.family == AF_INET ? 32 : 128;
    return c;
}

static bool contains(const struct cidr *net, const struct cidr *a)
{
    if (net->family != a->family || net->family == 0)
        return false;
    for (int i = 0; i < net->bits; i++)
        if ((net->addr[i / 8] ^ a->addr[i / 8]) & (0x80 >> i % 8))
            return false;
    return true;
}

/* Put a gateway, range or auxiliary address with the subnet that holds it. */
static int place(struct cli *cli, struct json_object *pools, const char *value, const char *key,
                 const char *aux_name)
{
    struct cidr a = parse_cidr(value);
    for (size_t i = 0; i < dray_json_len(pools); i++) {
        struct json_object *pool = json_object_array_get_idx(pools, i), *aux = NULL;
        struct cidr net = parse_cidr(dray_json_str(pool, "Subnet", ""));
        if (!contains(&net, &a))
            continue;
        if (!aux_name) {
            if (dray_json_str(pool, key, NULL))
                return cli_fail(cli, "cannot configure multiple %ss (%s, %s) on the same subnet",
                                strcmp(key, "Gateway") == 0 ? "gateway" : "range", value,
                                dray_json_str(pool, key, ""));
            dray_json_add_str(pool, key, value);
            return 0;
        }
        if (!json_object_object_get_ex(pool, key, &aux)) {
            aux = json_object_new_object();
            json_object_object_add(pool, key, aux);
        }
        dray_json_add_str(aux, aux_name, value);
        return 0;
    }
    return cli_fail(cli, "no matching subnet for %s %s",
                    aux_name                      ? "aux-address"
                    : strcmp(key, "Gateway") == 0 ? "gateway"
                                                  : "range",
                    value);
}

static int add_ipam(struct cli *cli, const struct cli_args *args, struct json_object *body)
{
    DRAY_AUTO(dray_strlist) subnets = {0}, gateways = {0}, ranges = {0}, aux = {0}, opts = {0};
    struct json_object *ipam = json_object_new_object(), *pools = json_object_new_array();
    cli_list(args, "subnet", &subnets);
    cli_list(args, "gateway", &gateways);
    cli_list(args, "ip-range", &ranges);
    cli_list(args, "aux-address", &aux);
    cli_list(args, "ipam-opt", &opts);
    json_object_object_add(body, "IPAM", ipam);
    dray_json_add_str(ipam, "Driver", cli_str(args, "ipam-driver"));
    json_object_object_add(ipam, "Options", spec_map(&opts));
    json_object_object_add(ipam, "Config", pools);
    if (subnets.n < gateways.n || subnets.n < ranges.n)
        return cli_fail(cli, "every ip-range or gateway must have a corresponding subnet");
    for (size_t i = 0; i < subnets.n; i++) {
        struct cidr c = parse_cidr(subnets.v[i]);
        struct json_object *pool = json_object_new_object();
        if (c.family == 0 || !strchr(subnets.v[i], '/')) {
            json_object_put(pool);
            return cli_fail(cli, "invalid subnet %s: invalid CIDR block notation", subnets.v[i]);
        }
        dray_json_add_str(pool, "Subnet", subnets.v[i]);
        json_object_array_add(pools, pool);
    }
    for (size_t i = 0; i < ranges.n; i++)
        if (place(cli, pools, ranges.v[i], "IPRange", NULL) != 0)
            return -1;
    for (size_t i = 0; i < gateways.n; i++)
        if (place(cli, pools, gateways.v[i], "Gateway", NULL) != 0)
            return -1;
    for (size_t i = 0; i < aux.n; i++) {
        char *eq = strchr(aux.v[i], '=');
        if (!eq)
            return cli_fail(cli, "no matching subnet for aux-address ");
        *eq = '\0';
        if (place(cli, pools, eq + 1, "AuxiliaryAddresses", aux.v[i]) != 0)
            return -1;
    }
    return 0;
}

int run_network_create(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_strlist) labels = {0}, opts = {0};
    dray_autojson *body = json_object_new_object(), *doc = NULL;
    cli_list(args, "label", &labels);
    cli_list(args, "opt", &opts);
    dray_json_add_str(body, "Name", args->argv[0]);
    dray_json_add_str(body, "Driver", cli_str(args, "driver"));
    json_object_object_add(body, "Options", spec_map(&opts));
    json_object_object_add(body, "Labels", spec_map(&labels));
    dray_json_add_bool(body, "Internal", cli_bool(args, "internal"));
    dray_json_add_bool(body, "Attachable", cli_bool(args, "attachable"));
    dray_json_add_bool(body, "Ingress", cli_bool(args, "ingress"));
    dray_json_add_bool(body, "ConfigOnly", cli_bool(args, "config-only"));
    if (cli_given(args, "scope"))
        dray_json_add_str(body, "Scope", cli_str(args, "scope"));
    if (cli_given(args, "ipv4"))
        dray_json_add_bool(body, "EnableIPv4", cli_bool(args, "ipv4"));
    if (cli_given(args, "ipv6"))
        dray_json_add_bool(body, "EnableIPv6", cli_bool(args, "ipv6"));
    if (cli_given(args, "config-from")) {
        struct json_object *from = json_object_new_object();
        dray_json_add_str(from, "Network", cli_str(args, "config-from"));
        json_object_object_add(body, "ConfigFrom", from);
    }
    if (add_ipam(cli, args, body) != 0 ||
        api_call(cli, "POST", "/networks/create", body, &doc) != 0)
        return cli_report(cli);
    const char *warning = dray_json_str(doc, "Warning", "");
    if (*warning)
        (void)fprintf(stderr, "WARNING: %s\n", warning);
    (void)printf("%s\n", dray_json_str(doc, "Id", ""));
    return 0;
}

static struct json_object *endpoint_of(const struct cli_args *args)
{
    static const char *const lists[][2] = {{"alias", "Aliases"}, {"link", "Links"}};
    struct json_object *ep = json_object_new_object(), *ipam = json_object_new_object();
    for (size_t i = 0; i < 2; i++) {
        DRAY_AUTO(dray_strlist) l = {0};
        cli_list(args, lists[i][0], &l);
        if (l.n)
            json_object_object_add(ep, lists[i][1], dray_json_strs(&l));
    }
    DRAY_AUTO(dray_strlist) local = {0}, opts = {0};
    if (cli_given(args, "ip"))
        dray_json_add_str(ipam, "IPv4Address", cli_str(args, "ip"));
    if (cli_given(args, "ip6"))
        dray_json_add_str(ipam, "IPv6Address", cli_str(args, "ip6"));
    cli_list(args, "link-local-ip", &local);
    if (local.n)
        json_object_object_add(ipam, "LinkLocalIPs", dray_json_strs(&local));
    json_object_object_add(ep, "IPAMConfig", ipam);
    cli_list(args, "driver-opt", &opts);
    if (opts.n)
        json_object_object_add(ep, "DriverOpts", spec_map(&opts));
    if (cli_given(args, "gw-priority"))
        dray_json_add_int(ep, "GwPriority", cli_int(args, "gw-priority"));
    return ep;
}

static int join_or_leave(struct cli *cli, const struct cli_args *args, const char *verb,
                         struct json_object *body)
{
    DRAY_AUTO(dray_buf) path = {0};
    dray_json_add_str(body, "Container", args->argv[1]);
    dray_buf_adds(&path, "/networks");
    api_piece(&path, args->argv[0]);
    dray_buf_adds(&path, verb);
    return api_call(cli, "POST", path.data, body, NULL) == 0 ? 0 : cli_report(cli);
}

int run_network_connect(struct cli *cli, const struct cli_args *args)
{
    dray_autojson *body = json_object_new_object();
    json_object_object_add(body, "EndpointConfig", endpoint_of(args));
    return join_or_leave(cli, args, "/connect", body);
}

int run_network_disconnect(struct cli *cli, const struct cli_args *args)
{
    dray_autojson *body = json_object_new_object();
    dray_json_add_bool(body, "Force", cli_bool(args, "force"));
    return join_or_leave(cli, args, "/disconnect", body);
}

int run_network_rm(struct cli *cli, const struct cli_args *args)
{
    int rc = 0;
    bool force = cli_bool(args, "force");
    for (int i = 0; i < args->argc; i++) {
        DRAY_AUTO(dray_buf) path = {0};
        dray_buf_adds(&path, "/networks");
        api_piece(&path, args->argv[i]);
        if (api_call(cli, "DELETE", path.data, NULL, NULL) == 0) {
            (void)printf("%s\n", args->argv[i]);
            continue;
        }
        if (force && cli->status == 404)
            continue;
        (void)cli_report(cli);
        rc = 1;
    }
    if (rc != 0)
        (void)fprintf(stderr, "exit status 1\n");
    return rc;
}

int run_network_prune(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    dray_autojson *doc = NULL;
    if (!cli_bool(args, "force") &&
        !rows_confirm("WARNING! This will remove all custom networks not used by at least one "
                      "container."))
        return 0;
    dray_buf_adds(&path, "/networks/prune");
    cli_list(args, "filter", &filters);
    api_filters(&path, &filters);
    if (api_call(cli, "POST", path.data, NULL, &doc) != 0)
        return cli_report(cli);
    struct json_object *gone = dray_json_arr(doc, "NetworksDeleted");
    if (dray_json_len(gone))
        (void)printf("Deleted Networks:\n");
    for (size_t i = 0; i < dray_json_len(gone); i++)
        (void)printf("%s\n", json_object_get_string(json_object_array_get_idx(gone, i)));
    if (dray_json_len(gone))
        (void)printf("\n");
    return 0;
}
