/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_create.c - libFuzzer target: a body of POST /containers/create, /exec, /networks/create or
 * /update, in an old and the newest version of the API; what is accepted becomes an OCI document.
 */
#include "base/json.h"
#include "engine/config.h"
#include "engine/container/container.h"
#include "engine/network/network_priv.h"
#include "engine/spec/container_config.h"
#include "engine/spec/security.h"
#include "fuzz.h"

static struct dray_config cfg = {.log_driver = (char *)"json-file",
                                 .default_runtime = (char *)"native",
                                 .default_shm_size = 64 << 20};

static int parse(const uint8_t *data, size_t size, struct json_object **out)
{
    dray_autofree char *text = fuzz_copy(data, size);
    return dray_json_parse(text, size, out, NULL);
}

static void make_spec(struct json_object *config, struct json_object *host)
{
    struct dray_err err = {0};
    DRAY_AUTO(dray_security) sec = {0};
    struct json_object *resources = NULL;
    bool privileged = dray_json_bool(host, "Privileged", false);
    need_words(
        dray_security_parse(dray_json_arr(host, "SecurityOpt"), privileged, &cfg, &sec, &err),
        &err);
    need_words(dray_spec_resources(host, privileged, &resources, &err), &err);
    json_object_put(resources);
    (void)config;
}

static void create(struct json_object *body, int version)
{
    struct dray_err err = {0};
    dray_autojson *config = NULL, *host = NULL;
    dray_autojson *warnings = json_object_new_array();
    int rc = dray_create_compat(body, version, warnings, &err);
    rc = rc ? rc : dray_container_config(body, &config, &err);
    rc = rc ? rc : dray_host_config(dray_json_get(body, "HostConfig"), &cfg, version, &host, &err);
    rc = rc ? rc : dray_host_config_check(host, config, &cfg, warnings, &err);
    need_words(rc, &err);
    if (rc)
        return;
    make_spec(config, host);
    /* A second pass changes nothing: what is stored is read as it was meant. */
    dray_autojson *again = NULL;
    need(dray_container_config(config, &again, &err) == 0);
    need(json_object_equal(config, again));
}

static void update(struct json_object *body)
{
    struct dray_err err = {0};
    dray_autojson *host = NULL;
    dray_autojson *warnings = json_object_new_array();
    need(dray_host_config(NULL, &cfg, 0, &host, &err) == 0);
    need_words(dray_host_config_update(host, body, warnings, &err), &err);
}

static void merge(struct json_object *body)
{
    struct dray_err err = {0};
    dray_autojson *config = NULL;
    dray_autojson *empty = json_object_new_object();
    if (dray_container_config(empty, &config, &err) == 0)
        need_words(dray_container_config_merge(config, body, &err), &err);
}

static void network(struct json_object *body)
{
    struct dray_err err = {0};
    dray_autonet *n = dray_net_new("n");
    need(n != NULL);
    need_words(dray_net_ipam_parse(n, dray_json_obj(body, "IPAM"), &err), &err);
    json_object_put(dray_net_ipam_json(n, true));
    struct json_object *view = dray_endpoint_view(body);
    json_object_put(view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int versions[] = {124, 140, 151};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        dray_autojson *body = NULL;
        if (parse(data, size, &body) || !json_object_is_type(body, json_type_object))
            return 0;
        create(body, versions[i]);
        if (i > 0)
            continue;
        update(body);
        merge(body);
        network(body);
        (void)dray_attach_check_keys(dray_json_str(body, "DetachKeys", ""), NULL);
    }
    return 0;
}
