/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - what the daemon was told, after options and daemon.json have been merged. */
#ifndef DRAY_ENGINE_CONFIG_H
#define DRAY_ENGINE_CONFIG_H

#include "base/strlist.h"

#include <stdbool.h>
#include <stdint.h>

struct json_object;

/** Constant; a reload makes another one. */
struct dray_config {
    struct dray_config *older; /* of before a reload, which may be in use; owned */
    char *data_root;  /* /var/lib/dray */
    char *exec_root;  /* /run/dray */
    char *config_file;
    char *plugin_dir;  /* of the installation */
    char *libexec_dir; /* where dray-shim is */
    struct dray_strlist plugin_dirs; /* more folders, from the config */

    char *storage_driver;         /* "overlay" */
    struct dray_strlist storage_opts;
    char *log_driver;             /* "json-file" */
    struct dray_kvlist log_opts;
    char *default_runtime;        /* "native" */
    struct json_object *runtimes; /* as in daemon.json, or NULL */
    char *cgroup_parent;
    char *default_ipc_mode, *default_cgroupns_mode; /* of new containers, or NULL */
    bool systemd_cgroup; /* groups of containers have systemd's names: slices and scopes */
    char *init_path;              /* for --init */
    struct json_object *default_ulimits;
    int64_t default_shm_size;     /* bytes */
    bool no_new_privileges;
    char *userns_remap;           /* whose ids containers have, as the user wrote it, or NULL */
    char *seccomp_profile;        /* path, "unconfined", or NULL for the default */
    int shutdown_timeout_s;
    bool live_restore;            /* always true in effect; kept for info */
    bool init;

    char *bridge;           /* name of the default bridge, "none" to have none */
    char *bip6, *fixed_cidr_v6; /* the same for IPv6; either also says the subnet */
    char *bip;              /* CIDR of the default bridge, or NULL */
    char *fixed_cidr;
    int mtu;
    bool icc, ip_masq, ip_forward, ipv6, userland_proxy;
    bool iptables; /* rules are kept (nftables'), by Docker's name for it */
    char *default_ip;       /* host address of published ports */
    char *default_gateway, *default_gateway_v6; /* where the default bridge's containers route to */
    struct json_object *default_network_opts;   /* {"driver":{"k":"v"}} of new networks, or NULL */
    struct dray_strlist default_address_pools; /* "base:size" */
    char *nft_table;
    char *publish_policy;   /* "docker", "host-rules" or NULL */
    struct dray_strlist dns, dns_search, dns_opts;
    char *host_gateway_ip; /* the older key; counts while host_gateway_ips is empty */
    struct dray_strlist host_gateway_ips;

    struct dray_strlist insecure_registries, registry_mirrors;
    int max_concurrent_downloads, max_concurrent_uploads, max_download_attempts;
    char *http_proxy, *https_proxy, *no_proxy;

    struct dray_strlist authorization_plugins; /* asked in this order; reloadable */
    struct dray_strlist labels; /* of the daemon */
    bool experimental, debug;
    struct json_object *plugins; /* "plugins" of daemon.json: {NAME: {path, required, disabled,
                                    isolation, options...}} or NULL */
    struct json_object *raw;     /* the merged configuration as JSON */
};

#endif
