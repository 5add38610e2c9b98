/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - ~/.docker: its config.json, contexts and credentials. */
#ifndef DRAY_CLIENT_CONFIG_H
#define DRAY_CLIENT_CONFIG_H

#include "client/cli.h"

/** The parsed config.json; an empty object when there is none. Borrowed. */
struct json_object *config_get(struct cli *cli);
/** Write config.json back. */
int config_save(struct cli *cli);
/** Settle host, TLS and version from the global flags, the environment and the context in use. */
int config_resolve(struct cli *cli, const struct cli_args *globals);

/** Folder below contexts/meta or contexts/tls of a context, or NULL. Caller frees. */
char *config_context_dir(const struct cli *cli, const char *kind, const char *name);

/** "registry" part of an image name: "docker.io" unless the name says otherwise. Caller frees. */
char *config_registry_of(const char *image);
/** X-Registry-Auth header line with its CRLF for a registry; empty credentials give "{}". */
char *config_auth_header(struct cli *cli, const char *registry);
/** Key of a registry in "auths" and for credential helpers. */
const char *config_auth_key(const char *registry);
/** Find credentials for a key: {"username","password","identitytoken","serveraddress"}. New
 *  reference, never NULL. */
struct json_object *config_credentials(struct cli *cli, const char *key);
int config_store_credentials(struct cli *cli, const char *key, struct json_object *auth);
int config_erase_credentials(struct cli *cli, const char *key);
/** The helper in charge of a key, or NULL. Borrowed. */
const char *config_helper(struct cli *cli, const char *key);

/** Run docker-credential-NAME with a verb, input on stdin; *out is its stdout. (credhelper.c) */
int credhelper_run(const char *name, const char *verb, const char *input, struct dray_buf *out,
                   struct dray_err *err);
void config_base64(struct dray_buf *out, const char *data, size_t len, bool url);
bool config_unbase64(struct dray_buf *out, const char *text);

#endif
