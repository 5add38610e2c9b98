/* SPDX-License-Identifier: Apache-2.0 */
/* timed.c - which requests are the actions whose times Docker's metrics tell. */
#include "api/metrics.h"
#include "engine/engine.h"
#include "engine/metrics.h"

static const struct {
    uint32_t method;
    const char *path;
    enum dray_timer timer;
} timed[] = {
    {DRAY_POST, "/containers/create", DRAY_TIME_CONTAINER_CREATE},
    {DRAY_POST, "/containers/{name:*}/start", DRAY_TIME_CONTAINER_START},
    {DRAY_DELETE, "/containers/{name:*}", DRAY_TIME_CONTAINER_DELETE},
    {DRAY_GET, "/containers/{name:*}/changes", DRAY_TIME_CONTAINER_CHANGES},
    {DRAY_POST, "/commit", DRAY_TIME_CONTAINER_COMMIT},
    {DRAY_POST, "/networks/{id}/connect", DRAY_TIME_NETWORK_CONNECT},
    {DRAY_GET, "/info", DRAY_TIME_INFO},
};

void dray_api_metrics_note(struct dray_engine *e, const struct dray_route *route, uint32_t method,
                           int64_t ns)
{
    for (size_t i = 0; e && i < sizeof timed / sizeof timed[0]; i++)
        if (method == timed[i].method && strcmp(route->path, timed[i].path) == 0)
            dray_metrics_time(e->metrics, timed[i].timer, ns);
}
