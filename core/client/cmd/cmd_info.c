/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_info.c - info: the daemon and its drivers, line by line. */
#include "client/api.h"
#include "client/commands.h"
#include "client/tmpl/table.h"
#include "client/units.h"

#include "base/json.h"

static void line_str(struct json_object *o, const char *title, const char *path)
{
    const char *v = dray_json_str(o, path, NULL);
    if (v && *v)
        (void)printf(" %s: %s\n", title, v);
}

static void line_bool(struct json_object *o, const char *title, const char *path)
{
    (void)printf(" %s: %s\n", title, dray_json_bool(o, path, false) ? "true" : "false");
}

static void joined(struct json_object *list, const char *title)
{
    if (dray_json_len(list) == 0)
        return;
    (void)printf("  %s:", title);
    for (size_t i = 0; i < dray_json_len(list); i++)
        (void)printf(" %s", json_object_get_string(json_object_array_get_idx(list, i)));
    (void)printf("\n");
}

static void listed(struct json_object *o, const char *title, const char *path)
{
    struct json_object *list = dray_json_arr(o, path);
    if (dray_json_len(list) == 0)
        return;
    (void)printf(" %s:\n", title);
    for (size_t i = 0; i < dray_json_len(list); i++)
        (void)printf("  %s\n", json_object_get_string(json_object_array_get_idx(list, i)));
}

static void print_counts(struct json_object *o)
{
    static const char *const rows[][2] = {{"Containers", " Containers"},
                                          {"ContainersRunning", "  Running"},
                                          {"ContainersPaused", "  Paused"},
                                          {"ContainersStopped", "  Stopped"},
                                          {"Images", " Images"}};
    for (size_t i = 0; i < 5; i++)
        (void)printf("%s: %lld\n", rows[i][1], (long long)dray_json_int(o, rows[i][0], 0));
}

static void print_storage(struct json_object *o)
{
    struct json_object *status = dray_json_arr(o, "DriverStatus");
    line_str(o, "Server Version", "ServerVersion");
    line_str(o, "Storage Driver", "Driver");
    for (size_t i = 0; i < dray_json_len(status); i++) {
        struct json_object *pair = json_object_array_get_idx(status, i);
        (void)printf("  %s: %s\n", json_object_get_string(json_object_array_get_idx(pair, 0)),
                     json_object_get_string(json_object_array_get_idx(pair, 1)));
    }
    line_str(o, "Logging Driver", "LoggingDriver");
    line_str(o, "Cgroup Driver", "CgroupDriver");
    line_str(o, "Cgroup Version", "CgroupVersion");
}

static void print_plugins(struct json_object *o)
{
    (void)printf(" Plugins:\n");
    joined(dray_json_arr(o, "Plugins.Volume"), "Volume");
    joined(dray_json_arr(o, "Plugins.Network"), "Network");
    joined(dray_json_arr(o, "Plugins.Authorization"), "Authorization");
    joined(dray_json_arr(o, "Plugins.Log"), "Log");
    listed(o, "CDI spec directories", "CDISpecDirs");
}

static void print_runtimes(struct json_object *o)
{
    struct json_object *r = dray_json_obj(o, "Runtimes");
    line_str(o, "Swarm", "Swarm.LocalNodeState");
    if (r) {
        DRAY_AUTO(dray_strlist) names = {0};
        json_object_object_foreach(r, k, v)
        {
            (void)v;
            (void)dray_strlist_add(&names, k);
        }
        dray_strlist_sort(&names);
        (void)printf(" Runtimes:");
        for (size_t i = 0; i < names.n; i++)
            (void)printf(" %s", names.v[i]);
        (void)printf("\n");
        line_str(o, "Default Runtime", "DefaultRuntime");
    }
    line_str(o, "Init Binary", "InitBinary");
    static const char *const commits[][2] = {{"containerd version", "ContainerdCommit.ID"},
                                             {"runc version", "RuncCommit.ID"},
                                             {"init version", "InitCommit.ID"}};
    for (size_t i = 0; i < 3; i++) {
        const char *v = dray_json_str(o, commits[i][1], NULL);
        bool docker = *dray_json_str(o, "RuncCommit.ID", "");
        if (v && (*v || docker))
            (void)printf(" %s: %s\n", commits[i][0], v);
    }
}

/* "name=seccomp,profile=default": the name, then its other words indented. */
static void print_security(struct json_object *o)
{
    struct json_object *list = dray_json_arr(o, "SecurityOptions");
    if (dray_json_len(list) == 0)
        return;
    (void)printf(" Security Options:\n");
    for (size_t i = 0; i < dray_json_len(list); i++) {
        DRAY_AUTO(dray_strlist) words = {0};
        (void)dray_strlist_split(&words, json_object_get_string(json_object_array_get_idx(list, i)),
                                 ',');
        for (size_t k = 0; k < words.n; k++) {
            char *eq = strchr(words.v[k], '=');
            if (eq && strncmp(words.v[k], "name=", 5) == 0)
                (void)printf("  %s\n", eq + 1);
            else if (eq && strncmp(words.v[k], "profile=", 8) == 0)
                (void)printf("   Profile: %s\n", eq + 1);
            else
                (void)printf("  %s\n", words.v[k]);
        }
    }
}

static void print_machine(struct json_object *o)
{
    char memory[UNITS_LEN];
    line_str(o, "Kernel Version", "KernelVersion");
    line_str(o, "Operating System", "OperatingSystem");
    line_str(o, "OSType", "OSType");
    line_str(o, "Architecture", "Architecture");
    units_bytes_size((double)dray_json_int(o, "MemTotal", 0), memory);
    (void)printf(" CPUs: %lld\n Total Memory: %s\n", (long long)dray_json_int(o, "NCPU", 0),
                 memory);
    line_str(o, "Name", "Name");
    line_str(o, "ID", "ID");
    line_str(o, "Dray Root Dir", "DockerRootDir");
}

static void print_registries(struct json_object *o)
{
    struct json_object *idx = dray_json_obj(o, "RegistryConfig.IndexConfigs");
    struct json_object *nets = dray_json_arr(o, "RegistryConfig.InsecureRegistryCIDRs");
    if (idx || nets) {
        (void)printf(" Insecure Registries:\n");
        if (idx) {
            json_object_object_foreach(idx, k, v)
            {
                (void)k;
                if (!dray_json_bool(v, "Secure", true))
                    (void)printf("  %s\n", dray_json_str(v, "Name", ""));
            }
        }
        for (size_t i = 0; i < dray_json_len(nets); i++)
            (void)printf("  %s\n", json_object_get_string(json_object_array_get_idx(nets, i)));
    }
    listed(o, "Registry Mirrors", "RegistryConfig.Mirrors");
}

static void print_server(struct json_object *o)
{
    print_counts(o);
    print_storage(o);
    print_plugins(o);
    print_runtimes(o);
    print_security(o);
    print_machine(o);
    line_bool(o, "Debug Mode", "Debug");
    if (dray_json_bool(o, "Debug", false)) {
        static const char *const rows[][2] = {{"NFd", "File Descriptors"},
                                              {"NGoroutines", "Goroutines"},
                                              {"NEventsListener", "EventsListeners"}};
        for (size_t i = 0; i < 3; i++)
            (void)printf("  %s: %lld\n", rows[i][1], (long long)dray_json_int(o, rows[i][0], 0));
    }
    line_str(o, "HTTP Proxy", "HttpProxy");
    line_str(o, "HTTPS Proxy", "HttpsProxy");
    line_str(o, "No Proxy", "NoProxy");
    listed(o, "Labels", "Labels");
    line_bool(o, "Experimental", "ExperimentalBuild");
    print_registries(o);
    line_bool(o, "Live Restore Enabled", "LiveRestoreEnabled");
    struct json_object *pools = dray_json_arr(o, "DefaultAddressPools");
    if (dray_json_len(pools))
        (void)printf(" Default Address Pools:\n");
    for (size_t i = 0; i < dray_json_len(pools); i++) {
        struct json_object *p = json_object_array_get_idx(pools, i);
        (void)printf("   Base: %s, Size: %lld\n", dray_json_str(p, "Base", ""),
                     (long long)dray_json_int(p, "Size", 0));
    }
    (void)printf("\n");
    struct json_object *w = dray_json_arr(o, "Warnings");
    (void)fflush(stdout);
    for (size_t i = 0; i < dray_json_len(w); i++)
        (void)fprintf(stderr, "%s\n", json_object_get_string(json_object_array_get_idx(w, i)));
}

static struct json_object *client_info(const struct cli *cli)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_bool(o, "Debug", cli->debug);
    dray_json_add_str(o, "Version", CLI_VERSION);
    dray_json_add_str(o, "DefaultAPIVersion", CLI_API_VERSION);
    dray_json_add_str(o, "Context", cli->context);
    json_object_object_add(o, "Plugins", json_object_new_array());
    return o;
}

int run_system_info(struct cli *cli, const struct cli_args *args)
{
    dray_autojson *info = NULL;
    const char *format = cli_str(args, "format");
    int failed = api_call(cli, "GET", "/info", NULL, &info);
    if (format && *format) {
        if (failed)
            return cli_report(cli);
        json_object_object_add(info, "ClientInfo", client_info(cli));
        return table_value(cli, format, "system.dockerInfo", info) == 0 ? 0 : cli_report(cli);
    }
    (void)printf("Client:\n Version:    %s\n Context:    %s\n Debug Mode: %s\n\nServer:\n",
                 CLI_VERSION, cli->context, cli->debug ? "true" : "false");
    if (failed)
        return cli_report(cli);
    print_server(info);
    return 0;
}
