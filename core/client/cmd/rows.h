/* SPDX-License-Identifier: Apache-2.0 */
/* rows.h - pieces of list rows that several commands show. */
#ifndef DRAY_CLIENT_ROWS_H
#define DRAY_CLIENT_ROWS_H

#include "client/cli.h"

/** 12 digits of an id, without "sha256:". Caller frees. */
char *rows_short_id(const char *id);
/** "k=v,k=v" in order. Caller frees. */
char *rows_labels(struct json_object *labels);
/** "0.0.0.0:80->80/tcp, 443/tcp" of the API's Ports. Caller frees. */
char *rows_ports(struct json_object *ports);
/** "3 hours ago" of Unix seconds. Caller frees. */
char *rows_ago(int64_t seconds);
/** Add a string and free it. */
void rows_take(struct json_object *row, const char *key, char *text /* takes */);
/** Ask on stdout, read from stdin: "Are you sure you want to continue? [y/N]". */
bool rows_confirm(const char *warning);

#endif
