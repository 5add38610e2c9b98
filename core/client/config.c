/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - which daemon to talk to: flags, environment, contexts, config.json. */
#include "client/config.h"

#include "base/fs.h"
#include "base/json.h"

#include <dirent.h>
#include <fcntl.h>

struct json_object *config_get(struct cli *cli)
{
    if (cli->config_loaded)
        return cli->config;
    cli->config_loaded = true;
    dray_autofree char *path = cli_strf("%s/config.json", cli->config_dir);
    struct dray_err err = {0};
    int rc = dray_json_load(AT_FDCWD, path, &cli->config, &err);
    if (rc != 0 && rc != DRAY_E_NOTFOUND)
        (void)fprintf(stderr, "WARNING: Error loading config file: %s: %s\n", path, err.text);
    if (!cli->config || !json_object_is_type(cli->config, json_type_object))
        cli->config = json_object_new_object();
    return cli->config;
}

int config_save(struct cli *cli)
{
    struct dray_err err = {0};
    dray_autofree char *path = cli_strf("%s/config.json", cli->config_dir);
    const char *text = json_object_to_json_string_ext(
        config_get(cli), JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_PRETTY_TAB |
                             JSON_C_TO_STRING_NOSLASHESCAPE | JSON_C_TO_STRING_SPACED);
    if (dray_fs_mkdirs(AT_FDCWD, cli->config_dir, 0700, &err) != 0 ||
        dray_fs_replace(AT_FDCWD, path, text, strlen(text), 0600, DRAY_FS_PLAIN, &err) != 0)
        return cli_fail_err(cli, &err);
    return 0;
}

/* Contexts lie in folders named by a digest of their names; their meta.json says which is which. */
char *config_context_dir(const struct cli *cli, const char *kind, const char *name)
{
    dray_autofree char *meta = cli_strf("%s/contexts/meta", cli->config_dir);
    DIR *d = opendir(meta);
    char *found = NULL;
    for (struct dirent *e = NULL; !found && d && (e = readdir(d));) {
        dray_autofree char *path = cli_strf("%s/%s/meta.json", meta, e->d_name);
        dray_autojson *doc = NULL;
        if (*e->d_name != '.' && dray_json_load(AT_FDCWD, path, &doc, NULL) == 0 &&
            strcmp(dray_json_str(doc, "Name", ""), name) == 0)
            found = cli_strf("%s/contexts/%s/%s", cli->config_dir, kind, e->d_name);
    }
    if (d)
        (void)closedir(d);
    return found;
}

/* The Docker endpoint of a stored context: {"Host":..,"SkipTLSVerify":..}; NULL if absent. New
 * reference. */
static struct json_object *stored_context(struct cli *cli, const char *name)
{
    dray_autofree char *dir = config_context_dir(cli, "meta", name);
    if (!dir)
        return NULL;
    dray_autofree char *path = cli_strf("%s/meta.json", dir);
    dray_autojson *doc = NULL;
    if (dray_json_load(AT_FDCWD, path, &doc, NULL) != 0)
        return NULL;
    struct json_object *found = dray_json_obj(doc, "Endpoints.dray");
    if (!found)
        found = dray_json_obj(doc, "Endpoints.docker");
    return found ? json_object_get(found) : NULL;
}

static const char *env_or_null(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

static int use_context(struct cli *cli, const char *name)
{
    dray_autojson *ep = stored_context(cli, name);
    if (!ep)
        return cli_fail(cli,
                        "Failed to initialize: unable to resolve docker endpoint: context \"%s\": "
                        "context not found: open %s/contexts/meta: no such file or directory",
                        name, cli->config_dir);
    cli->context = name;
    cli->host = cli_strdup(dray_json_str(ep, "Host", CLI_DEFAULT_HOST));
    dray_autofree char *tls = config_context_dir(cli, "tls", name);
    dray_autofree char *ca = cli_strf("%s/docker/ca.pem", tls);
    dray_autofree char *cert = cli_strf("%s/docker/cert.pem", tls);
    dray_autofree char *key = cli_strf("%s/docker/key.pem", tls);
    bool skip = dray_json_bool(ep, "SkipTLSVerify", false);
    bool has_ca = access(ca, R_OK) == 0, has_cert = access(cert, R_OK) == 0;
    cli->tls = has_ca || has_cert || skip;
    cli->tls_verify = cli->tls && !skip;
    cli->ca = has_ca ? dray_steal(ca) : NULL;
    cli->cert = has_cert ? dray_steal(cert) : NULL;
    cli->key = has_cert ? dray_steal(key) : NULL;
    return 0;
}

/* "-H": a bare ":2375", "host:port" or path gets its scheme. */
static int normalise_host(struct cli *cli, const char *host)
{
    if (*host == '/') {
        cli->host = cli_strf("unix://%s", host);
        return 0;
    }
    const char *scheme = strstr(host, "://");
    if (!scheme) {
        cli->host = cli_strf("tcp://%s%s", *host == ':' ? "localhost" : "", host);
        return 0;
    }
    static const char *const known[] = {"unix://", "tcp://", "ssh://", "http://", "https://"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (dray_str_prefix(host, known[i])) {
            cli->host = strcmp(host, "unix://") == 0 ? CLI_DEFAULT_HOST : host;
            cli->tls |= i == 4;
            return 0;
        }
    }
    return cli_fail(cli,
                    "Failed to initialize: unable to resolve docker endpoint: invalid bind address "
                    "format: %s",
                    host);
}

static void use_tls_flags(struct cli *cli, const struct cli_args *g)
{
    const char *dir = env_or_null("DOCKER_CERT_PATH");
    if (!dir)
        dir = cli->config_dir;
    bool verify = cli_given(g, "tlsverify") ? cli_bool(g, "tlsverify")
                                            : env_or_null("DOCKER_TLS_VERIFY") != NULL;
    cli->tls = verify || cli_bool(g, "tls") || env_or_null("DOCKER_TLS") != NULL;
    cli->tls_verify = verify;
    if (!cli->tls)
        return;
    const char *names[3] = {"tlscacert", "tlscert", "tlskey"};
    const char *files[3] = {"ca.pem", "cert.pem", "key.pem"};
    const char **slots[3] = {&cli->ca, &cli->cert, &cli->key};
    for (int i = 0; i < 3; i++) {
        bool given = cli_given(g, names[i]);
        char *path = given ? cli_strdup(cli_str(g, names[i])) : cli_strf("%s/%s", dir, files[i]);
        if (!given && access(path, R_OK) != 0) {
            free(path);
            path = NULL;
        }
        *slots[i] = path;
    }
}

static const char *host_of_flags(const struct cli_args *g)
{
    for (size_t i = g->n_set; i-- > 0;)
        if (strcmp(g->set[i].flag->name, "host") == 0)
            return g->set[i].text;
    return NULL;
}

static const char *config_dir(const struct cli_args *g)
{
    if (cli_given(g, "config"))
        return cli_str(g, "config");
    const char *dir = env_or_null("DOCKER_CONFIG");
    const char *home = env_or_null("HOME");
    return dir ? dir : cli_strf("%s/.docker", home ? home : "/root");
}

int config_resolve(struct cli *cli, const struct cli_args *g)
{
    cli->config_dir = config_dir(g);
    cli->context = "default";
    cli->debug = cli_bool(g, "debug");
    const char *version = env_or_null("DOCKER_API_VERSION");
    cli->version = version ? cli_strf("v%s", version) : "v" CLI_API_VERSION;
    cli->version_known = version != NULL;
    const char *host = host_of_flags(g);
    const char *context = cli_str(g, "context");
    if (host && context)
        return cli_fail(cli, "conflicting options: cannot specify both --host and --context");
    if (!host && !context) {
        context = env_or_null("DRAY_CONTEXT");
        host = env_or_null("DRAY_HOST");
        if (!host)
            host = env_or_null("DOCKER_HOST");
        if (!context && !host)
            context = env_or_null("DOCKER_CONTEXT");
        if (!context && !host)
            context = dray_json_str(config_get(cli), "currentContext", NULL);
    }
    if (context && *context && strcmp(context, "default") != 0)
        return use_context(cli, context);
    use_tls_flags(cli, g);
    return normalise_host(cli, host ? host : CLI_DEFAULT_HOST);
}
