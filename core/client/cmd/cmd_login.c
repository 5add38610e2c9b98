/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_login.c - login, logout, search, manifest inspect: what speaks to registries. */
#include "client/api.h"
#include "client/cmd/rows.h"
#include "client/commands.h"
#include "client/config.h"
#include "client/tmpl/table.h"
#include "client/units.h"

#include "base/fs.h"
#include "base/json.h"

#include <termios.h>
#include <unistd.h>

static char *ask(const char *prompt, bool secret)
{
    struct termios old, quiet;
    char line[1024] = "";
    bool hide = secret && tcgetattr(STDIN_FILENO, &old) == 0;
    (void)printf("%s", prompt);
    (void)fflush(stdout);
    if (hide) {
        quiet = old;
        quiet.c_lflag &= (tcflag_t)~ECHO;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    bool ok = fgets(line, sizeof line, stdin) != NULL;
    if (hide) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        (void)printf("\n");
    }
    line[strcspn(line, "\r\n")] = '\0';
    return cli_strdup(ok ? line : "");
}

static int read_password(struct cli *cli, const struct cli_args *args, char **out)
{
    DRAY_AUTO(dray_buf) text = {0};
    struct dray_err err = {0};
    if (!cli_bool(args, "password-stdin")) {
        *out = cli_given(args, "password") ? cli_strdup(cli_str(args, "password")) : NULL;
        if (*out)
            (void)fprintf(stderr, "WARNING! Using --password via the CLI is insecure. Use "
                                  "--password-stdin.\n");
        return 0;
    }
    if (cli_given(args, "password"))
        return cli_fail(cli, "--password and --password-stdin are mutually exclusive");
    if (!cli_given(args, "username"))
        return cli_fail(cli, "the --password-stdin option requires --username to be set");
    if (dray_fs_read_fd(STDIN_FILENO, 65536, &text, &err) != 0)
        return cli_fail_err(cli, &err);
    *out = cli_strf("%.*s", text.data ? (int)strcspn(text.data, "\r\n") : 0,
                    text.data ? text.data : "");
    return 0;
}

/* Fill user and password: from flags, from what is stored, from the person. */
static int gather(struct cli *cli, const struct cli_args *args, const char *key,
                  struct json_object *auth)
{
    dray_autofree char *password = NULL;
    dray_autofree char *user =
        cli_given(args, "username") ? cli_strdup(cli_str(args, "username")) : NULL;
    if (read_password(cli, args, &password) != 0)
        return -1;
    if (!user || !password) {
        if (!isatty(STDIN_FILENO))
            return cli_fail(cli,
                            "Error: Cannot perform an interactive login from a non TTY device");
        if (!user)
            user = ask("Username: ", false);
        if (!*user)
            return cli_fail(cli, "Error: Non-null Username Required");
        if (!password)
            password = ask("Password: ", true);
        if (!*password)
            return cli_fail(cli, "Error: Password Required");
    }
    dray_json_add_str(auth, "username", user);
    dray_json_add_str(auth, "password", password);
    dray_json_add_str(auth, "serveraddress", key);
    return 0;
}

int run_login(struct cli *cli, const struct cli_args *args)
{
    const char *server = cli_arg(args, 0);
    const char *key = config_auth_key(server ? server : "docker.io");
    dray_autojson *auth = NULL, *answer = NULL;
    if (args->n_set == 0) {
        auth = config_credentials(cli, key);
        if (json_object_object_length(auth))
            (void)printf("Authenticating with existing credentials...\n");
    }
    if (!auth || json_object_object_length(auth) == 0) {
        if (auth)
            json_object_put(auth);
        auth = json_object_new_object();
        if (gather(cli, args, key, auth) != 0)
            return cli_report(cli);
    }
    if (api_call(cli, "POST", "/auth", auth, &answer) != 0)
        return cli_report(cli);
    const char *token = dray_json_str(answer, "IdentityToken", "");
    if (*token)
        dray_json_add_str(auth, "identitytoken", token);
    if (config_store_credentials(cli, key, auth) != 0)
        return cli_report(cli);
    if (!config_helper(cli, key))
        (void)fprintf(stderr,
                      "\nWARNING! Your credentials are stored unencrypted in '%s/config.json'.\n"
                      "Configure a credential helper to remove this warning. See\n"
                      "https://docs.docker.com/go/credential-store/\n\n",
                      cli->config_dir);
    (void)printf("%s\n", dray_json_str(answer, "Status", "Login Succeeded"));
    return 0;
}

int run_logout(struct cli *cli, const struct cli_args *args)
{
    const char *server = cli_arg(args, 0);
    const char *key = config_auth_key(server ? server : "docker.io");
    (void)printf("Removing login credentials for %s\n", key);
    return config_erase_credentials(cli, key) == 0 ? 0 : cli_report(cli);
}

static const struct table_field search_fields[] = {
    {"Name", "NAME"},           {"Description", "DESCRIPTION"}, {"StarCount", "STARS"},
    {"IsOfficial", "OFFICIAL"}, {"IsAutomated", "AUTOMATED"},   {NULL, NULL},
};
static const struct table_spec search_spec = {
    "*formatter.searchContext", "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
    search_fields};

static struct json_object *search_row(struct json_object *o, bool trunc)
{
    struct json_object *row = json_object_new_object();
    dray_autofree char *flat = cli_strdup(dray_json_str(o, "description", ""));
    for (char *p = flat; *p; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    rows_take(row, "Description", trunc ? units_ellipsis(flat, 45) : cli_strdup(flat));
    dray_json_add_str(row, "IsAutomated", dray_json_bool(o, "is_automated", false) ? "[OK]" : "");
    dray_json_add_str(row, "IsOfficial", dray_json_bool(o, "is_official", false) ? "[OK]" : "");
    dray_json_add_str(row, "Name", dray_json_str(o, "name", ""));
    rows_take(row, "StarCount", cli_strf("%lld", (long long)dray_json_int(o, "star_count", 0)));
    return row;
}

int run_search(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    dray_autojson *rows = json_object_new_array(), *list = NULL;
    struct http_conn *c = NULL;
    DRAY_AUTO(dray_buf) text = {0};
    struct dray_err err = {0};
    dray_buf_adds(&path, "/images/search");
    api_query(&path, "term", args->argv[0]);
    if (cli_int(args, "limit") > 0)
        api_query(&path, "limit", cli_str(args, "limit"));
    cli_list(args, "filter", &filters);
    api_filters(&path, &filters);
    dray_autofree char *registry = config_registry_of(args->argv[0]);
    dray_autofree char *auth = config_auth_header(cli, registry);
    struct api_request r = {.method = "GET", .path = path.data, .headers = auth};
    if (api_open(cli, &r, &c) != 0)
        return cli_report(cli);
    int rc = http_read_all(c, &text, 64 << 20, &err);
    api_done(cli, c);
    if (rc != 0 || dray_json_parse(text.data ? text.data : "", text.len, &list, &err) != 0) {
        (void)cli_fail_err(cli, &err);
        return cli_report(cli);
    }
    for (size_t i = 0; i < dray_json_len(list); i++)
        json_object_array_add(
            rows, search_row(json_object_array_get_idx(list, i), !cli_bool(args, "no-trunc")));
    return table_list(cli, cli_str(args, "format"), &search_spec, rows) == 0 ? 0 : cli_report(cli);
}

int run_manifest_inspect(struct cli *cli, const struct cli_args *args)
{
    const char *ref = cli_arg(args, args->argc - 1);
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_buf) text = {0};
    DRAY_AUTO(dray_buf) shown = {0};
    struct http_conn *c = NULL;
    struct dray_err err = {0};
    dray_autofree char *registry = config_registry_of(ref);
    dray_autofree char *auth = config_auth_header(cli, registry);
    dray_buf_adds(&path, "/distribution");
    api_piece(&path, ref);
    dray_buf_adds(&path, "/json");
    struct api_request r = {.method = "GET", .path = path.data, .headers = auth};
    if (api_open(cli, &r, &c) != 0)
        return cli_report(cli);
    int rc = http_read_all(c, &text, 64 << 20, &err);
    api_done(cli, c);
    if (rc != 0) {
        (void)cli_fail_err(cli, &err);
        return cli_report(cli);
    }
    table_indent(&shown, text.data ? text.data : "", 4);
    (void)printf("%s\n", shown.data ? shown.data : "");
    return 0;
}
