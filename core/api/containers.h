/* SPDX-License-Identifier: Apache-2.0 */
/* containers.h - handlers of /containers that are not in containers.c, and what they share. */
#ifndef DRAY_API_CONTAINERS_H
#define DRAY_API_CONTAINERS_H

#include "api/http.h"

/* containers_io.c */
int dray_api_logs(struct dray_http *h, struct dray_engine *e, struct dray_err *err);
int dray_api_attach(struct dray_http *h, struct dray_engine *e, struct dray_err *err);
int dray_api_attach_ws(struct dray_http *h, struct dray_engine *e, struct dray_err *err);
int dray_api_wait(struct dray_http *h, struct dray_engine *e, struct dray_err *err);
int dray_api_stats(struct dray_http *h, struct dray_engine *e, struct dray_err *err);

/* containers_files.c */
int dray_api_export(struct dray_http *h, struct dray_engine *e, struct dray_err *err);
int dray_api_archive_get(struct dray_http *h, struct dray_engine *e, struct dray_err *err);
int dray_api_archive_put(struct dray_http *h, struct dray_engine *e, struct dray_err *err);
/** Find the path of the query and put its X-Docker-Container-Path-Stat header on the answer. */
int dray_api_path_stat(struct dray_http *h, struct dray_engine *e, struct dray_err *err);

/** "h" and "w" of a resize. */
int dray_api_window(struct dray_http *h, int *rows, int *cols, struct dray_err *err);
/** Content type of a session or log: framed since 1.42 unless there is a terminal. */
const char *dray_api_stream_type(struct dray_http *h, bool tty);

/* absent.c */
int dray_api_checkpoints(struct dray_http *h, struct dray_engine *e, struct dray_err *err);

#endif
