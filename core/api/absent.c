/* SPDX-License-Identifier: Apache-2.0 */
/* absent.c - endpoints of what this engine has not (swarm, managed plugins, checkpoints): answered
 * as a Docker daemon does that does not take part in them. */
#include "api/containers.h"
#include "base/json.h"
#include "engine/engine.h"

/* ---- Swarm: the words of a node that is in none ---- */

static int no_manager(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)h;
    (void)e;
    return dray_fail(
        err, DRAY_E_UNAVAIL,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm "
        "join\" to connect this node to swarm and try again.");
}

static int no_member(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)h;
    (void)e;
    return dray_fail(err, DRAY_E_UNAVAIL, "This node is not part of a swarm");
}

static int no_swarm(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)h;
    (void)e;
    return dray_fail(err, DRAY_E_NOTSUP, "swarm mode is not supported by this engine");
}

/* ---- Managed plugins: images of another kind, of which there are none ---- */

static int no_plugins(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    (void)err;
    return dray_http_reply_json(h, 200, json_object_new_array());
}

static int no_such_plugin(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)e;
    return dray_fail(err, DRAY_E_NOTFOUND, "plugin \"%s\" not found", dray_http_param(h, "name"));
}

static int no_plugin_store(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)h;
    (void)e;
    return dray_fail(err, DRAY_E_NOTSUP,
                     "managed plugins are not supported: this engine loads its drivers as shared "
                     "objects, see \"plugins\" of its configuration");
}

/* ---- Checkpoints: their routes stand with the containers', whose DELETE takes any path. ---- */

int dray_api_checkpoints(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    (void)h;
    if (e->config->experimental)
        return dray_fail(err, DRAY_E_NOTSUP, "checkpoints are not supported by this engine");
    return dray_fail(err, DRAY_E_NOTSUP,
                     "This experimental feature is disabled by default. Start the Docker daemon in "
                     "experimental mode in order to enable it.");
}

#define ANY (DRAY_GET | DRAY_POST | DRAY_DELETE)

const struct dray_route dray_routes_absent[] = {
    {DRAY_GET, "/swarm", no_manager, 0, 0, 0},
    {DRAY_GET, "/swarm/unlockkey", no_manager, 0, 0, 0},
    {DRAY_POST, "/swarm/update", no_manager, 0, 0, 0},
    {DRAY_POST, "/swarm/leave", no_member, 0, 0, 0},
    {DRAY_POST, "/swarm/unlock", no_member, 0, 0, 0},
    {DRAY_POST, "/swarm/init", no_swarm, 0, 0, 0},
    {DRAY_POST, "/swarm/join", no_swarm, 0, 0, 0},
    {DRAY_GET, "/nodes", no_manager, 0, 0, 0},
    {ANY, "/nodes/{name:*}", no_manager, 0, 0, 0},
    {DRAY_GET, "/services", no_manager, 0, 0, 0},
    {ANY, "/services/{name:*}", no_manager, 0, 0, 0},
    {DRAY_GET, "/tasks", no_manager, 0, 0, 0},
    {DRAY_GET, "/tasks/{name:*}", no_manager, 0, 0, 0},
    {DRAY_GET, "/secrets", no_manager, 0, 0, 0},
    {ANY, "/secrets/{name:*}", no_manager, 0, 0, 0},
    {DRAY_GET, "/configs", no_manager, 0, 0, 0},
    {ANY, "/configs/{name:*}", no_manager, 0, 0, 0},

    {DRAY_GET, "/plugins", no_plugins, 0, 0, 0},
    {DRAY_GET, "/plugins/privileges", no_plugin_store, 0, 0, 0},
    {DRAY_POST, "/plugins/pull", no_plugin_store, 0, 0, 0},
    {DRAY_POST, "/plugins/create", no_plugin_store, DRAY_ROUTE_BODY, 0, 0},
    {DRAY_GET, "/plugins/{name:*}/json", no_such_plugin, 0, 0, 0},
    {DRAY_POST, "/plugins/{name:*}/enable", no_such_plugin, 0, 0, 0},
    {DRAY_POST, "/plugins/{name:*}/disable", no_such_plugin, 0, 0, 0},
    {DRAY_POST, "/plugins/{name:*}/push", no_such_plugin, 0, 0, 0},
    {DRAY_POST, "/plugins/{name:*}/set", no_such_plugin, 0, 0, 0},
    {DRAY_POST, "/plugins/{name:*}/upgrade", no_such_plugin, 0, 0, 0},
    {DRAY_DELETE, "/plugins/{name:*}", no_such_plugin, 0, 0, 0},
    {0},
};
