/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - registry-hub: Docker Hub, and every Distribution v2 or OCI registry. */
#include "hub.h"

#include <dray/plugin.h>

static const struct dray_option options[] = {
    {"insecure-registries", DRAY_OPT_LIST, DRAY_OPT_F_RELOADABLE, "", 0, 0, NULL,
     "Registries, host[:port] or CIDR, that may speak HTTP or have any certificate"},
    {"registry-mirrors", DRAY_OPT_LIST, DRAY_OPT_F_RELOADABLE, "", 0, 0, NULL,
     "URLs to try for images of Docker Hub before itself"},
    {"certs-dir", DRAY_OPT_PATH, 0, "/etc/docker/certs.d", 0, 0, NULL,
     "Folder with host[:port]/*.crt, client .cert and .key"},
    {"http-proxy", DRAY_OPT_STRING, 0, "", 0, 0, NULL,
     "Proxy for http:// (else the environment's)"},
    {"https-proxy", DRAY_OPT_STRING, 0, "", 0, 0, NULL,
     "Proxy for https:// (else the environment's)"},
    {"no-proxy", DRAY_OPT_STRING, 0, "", 0, 0, NULL, "Hosts that need no proxy"},
    {"stall-timeout", DRAY_OPT_INT, DRAY_OPT_F_RELOADABLE, "30", 1, 3600, NULL,
     "Seconds after which a server that sends nearly nothing is given up"},
    {"upload-chunk-size", DRAY_OPT_SIZE, DRAY_OPT_F_RELOADABLE, "0", 0, INT64_MAX, NULL,
     "Upload blobs in pieces of so many bytes; 0: each in one request"},
};

static int32_t open_(const struct dray_host *host, const char *instance, struct dray_self **out,
                     struct dray_err *err)
{
    (void)instance;
    struct dray_self *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        free(s);
        return dray_fail(err, DRAY_E_INTERNAL, "libcurl cannot be initialised");
    }
    s->host = host;
    pthread_mutex_init(&s->lock, NULL);
    *out = s;
    return 0;
}

static void close_(struct dray_self *s)
{
    hub_workers_free(s);
    hub_tokens_free(s);
    hub_schemes_free(s);
    pthread_mutex_destroy(&s->lock);
    curl_global_cleanup();
    free(s);
}

static int32_t reload(struct dray_self *s, struct dray_err *err)
{
    (void)s, (void)err; /* options are read at each request */
    return 0;
}

static const struct dray_registry_ops ops = {
    .head = DRAY_TABLE(struct dray_registry_ops, 0),
    .match = hub_match,
    .resolve = hub_resolve,
    .fetch = hub_fetch,
    .stat = hub_stat,
    .push = hub_push,
    .mount = hub_mount,
    .tags = hub_tags,
    .search = hub_search,
    .login = hub_login,
};

static const struct dray_iface ifaces[] = {
    {DRAY_KIND_REGISTRY, DRAY_THREAD_PARALLEL, &ops.head},
};

DRAY_PLUGIN_CARD("{\"name\":\"hub\",\"version\":\"0.1.0\",\"abi\":\"0.1\",\"kinds\":[\"registry\"],"
                 "\"license\":\"Apache-2.0\"}");

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "hub",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = open_,
    .reload = reload,
    .close = close_,
};
