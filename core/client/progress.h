/* SPDX-License-Identifier: Apache-2.0 */
/* progress.h - shows the JSON progress streams of pull, push, load, import. */
#ifndef DRAY_CLIENT_PROGRESS_H
#define DRAY_CLIENT_PROGRESS_H

#include "client/cli.h"
#include "client/http.h"

/** Called with each "aux" value; may be NULL. */
typedef void (*progress_aux_fn)(struct json_object *aux, void *arg);

/**
 * Read the body of c to its end and show it on out: bars when out is a terminal, else a line for
 * each change of state. out NULL shows nothing. An error in the stream is kept: -1.
 */
int progress_show(struct cli *cli, struct http_conn *c, FILE *out, progress_aux_fn aux, void *arg);
/** The same, one message after another, for who reads the stream. */
struct progress;
struct progress *progress_new(struct cli *cli, FILE *out);
void progress_message(struct progress *p, struct json_object *message);
void progress_free(struct progress *p);

/** The bar of docker's clients: "[=====>    ]  1.2MB/3.4MB". Caller frees. */
char *progress_bar(int64_t current, int64_t total, int width);

#endif
