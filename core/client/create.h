/* SPDX-License-Identifier: Apache-2.0 */
/* create.h - from run's flags to the API's container, and the steps that run and create share. */
#ifndef DRAY_CLIENT_CREATE_H
#define DRAY_CLIENT_CREATE_H

#include "client/cli.h"

/** The body of POST /containers/create. New reference; NULL with the error kept. */
struct json_object *create_body(struct cli *cli, const struct cli_args *args);
/** Pull an image and show its progress on out; quiet shows nothing. */
int image_pull(struct cli *cli, const char *ref, const char *platform, bool quiet, FILE *out);
/** "name", or "name:latest" when it has neither tag nor digest. Caller frees. */
char *image_with_tag(const char *ref);

#endif
