/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - serves /metrics at an address of its own. */
#ifndef DRAY_API_METRICS_H
#define DRAY_API_METRICS_H

#include "api/http.h"

struct dray_metrics_server;

/** addr: "127.0.0.1:9323". Nobody who can reach it is asked who they are. */
int dray_metrics_server_open(struct dray_engine *e, const char *addr,
                             struct dray_metrics_server **out, struct dray_err *err);
/** NULL is allowed. */
void dray_metrics_server_close(struct dray_metrics_server *s);

#endif
