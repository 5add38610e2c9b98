/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_exec.c - exec and logs. */
#include "client/api.h"
#include "client/commands.h"
#include "client/spec/specs.h"
#include "client/stream.h"
#include "client/term.h"

#include "base/json.h"

#include <unistd.h>

static int exec_env(struct cli *cli, const struct cli_args *args, struct json_object *body)
{
    DRAY_AUTO(dray_strlist) files = {0}, words = {0}, env = {0};
    struct dray_err err = {0};
    cli_list(args, "env-file", &files);
    cli_list(args, "env", &words);
    for (size_t i = 0; i < files.n; i++)
        if (spec_env_file(files.v[i], true, &env, &err) != 0)
            return cli_fail_err(cli, &err);
    for (size_t i = 0; i < words.n; i++) {
        const char *v = strchr(words.v[i], '=') ? NULL : getenv(words.v[i]);
        if (v)
            (void)dray_strlist_addf(&env, "%s=%s", words.v[i], v);
        else
            (void)dray_strlist_add(&env, words.v[i]);
    }
    if (env.n)
        json_object_object_add(body, "Env", dray_json_strs(&env));
    return 0;
}

static struct json_object *exec_body(struct cli *cli, const struct cli_args *args)
{
    struct json_object *o = json_object_new_object(), *cmd = json_object_new_array();
    bool detach = cli_bool(args, "detach"), tty = cli_bool(args, "tty");
    bool input = cli_bool(args, "interactive") && !detach;
    for (int i = 1; i < args->argc; i++)
        json_object_array_add(cmd, json_object_new_string(args->argv[i]));
    json_object_object_add(o, "Cmd", cmd);
    dray_json_add_bool(o, "Tty", tty);
    dray_json_add_bool(o, "AttachStdin", input);
    dray_json_add_bool(o, "AttachStdout", !detach);
    dray_json_add_bool(o, "AttachStderr", !detach);
    dray_json_add_bool(o, "Privileged", cli_bool(args, "privileged"));
    dray_json_add_bool(o, "Detach", detach);
    if (cli_given(args, "user"))
        dray_json_add_str(o, "User", cli_str(args, "user"));
    if (cli_given(args, "workdir"))
        dray_json_add_str(o, "WorkingDir", cli_str(args, "workdir"));
    if (cli_given(args, "detach-keys"))
        dray_json_add_str(o, "DetachKeys", cli_str(args, "detach-keys"));
    int rows = 0, columns = 0;
    if (tty && term_size(STDOUT_FILENO, &rows, &columns)) {
        struct json_object *size = json_object_new_array();
        json_object_array_add(size, json_object_new_int(rows));
        json_object_array_add(size, json_object_new_int(columns));
        json_object_object_add(o, "ConsoleSize", size);
    }
    if (exec_env(cli, args, o) != 0) {
        json_object_put(o);
        return NULL;
    }
    return o;
}

static int exec_create(struct cli *cli, const struct cli_args *args, struct json_object *body,
                       char **id)
{
    DRAY_AUTO(dray_buf) path = {0};
    dray_autojson *doc = NULL;
    dray_buf_adds(&path, "/containers");
    api_piece(&path, args->argv[0]);
    dray_buf_adds(&path, "/exec");
    if (api_call(cli, "POST", path.data, body, &doc) != 0)
        return -1;
    *id = cli_strdup(dray_json_str(doc, "Id", ""));
    return 0;
}

static int exec_code(struct cli *cli, const char *id)
{
    dray_autofree char *path = cli_strf("/exec/%s/json", id);
    dray_autojson *doc = NULL;
    if (api_call(cli, "GET", path, NULL, &doc) != 0)
        return cli_report(cli);
    return (int)dray_json_int(doc, "ExitCode", 0);
}

static int exec_attached(struct cli *cli, const struct cli_args *args, const char *id,
                         struct json_object *start)
{
    dray_autofree char *path = cli_strf("/exec/%s/start", id);
    struct api_request r = {.method = "POST",
                            .path = path,
                            .body = start,
                            .headers = "Connection: Upgrade\r\nUpgrade: tcp\r\n"};
    struct http_conn *c = NULL;
    if (api_open(cli, &r, &c) != 0)
        return cli_report(cli);
    bool tty = cli_bool(args, "tty");
    struct stream_signals *sig = cli_need(calloc(1, sizeof *sig));
    sig->cli = *cli;
    memset(sig->cli.idle, 0, sizeof sig->cli.idle);
    sig->cli.error = (struct dray_buf){0};
    sig->resize = tty ? cli_strf("/exec/%s", id) : NULL;
    if (tty) {
        stream_signals_block();
        stream_signals_serve(sig);
    }
    struct stream s = {.cli = cli,
                       .conn = c,
                       .tty = tty,
                       .input = cli_bool(args, "interactive"),
                       .detach_keys = cli_str(args, "detach-keys")};
    enum stream_end end = stream_run(&s);
    http_close(c);
    return end == STREAM_DETACHED ? 0 : exec_code(cli, id);
}

/* A missing container is the better complaint. */
static int no_terminal(struct cli *cli, const char *name)
{
    DRAY_AUTO(dray_buf) path = {0};
    dray_buf_adds(&path, "/containers");
    api_piece(&path, name);
    dray_buf_adds(&path, "/json");
    if (api_call(cli, "GET", path.data, NULL, NULL) != 0)
        return -1;
    return cli_fail(cli, "the input device is not a TTY");
}

int run_container_exec(struct cli *cli, const struct cli_args *args)
{
    bool detach = cli_bool(args, "detach"), tty = cli_bool(args, "tty");
    if (!detach && tty && cli_bool(args, "interactive") && !isatty(STDIN_FILENO)) {
        (void)no_terminal(cli, args->argv[0]);
        return cli_report(cli);
    }
    dray_autofree char *id = NULL;
    dray_autojson *body = exec_body(cli, args);
    if (!body || exec_create(cli, args, body, &id) != 0)
        return cli_report(cli);
    dray_autojson *start = json_object_new_object();
    struct json_object *size = NULL;
    dray_json_add_bool(start, "Detach", detach);
    dray_json_add_bool(start, "Tty", tty);
    if (json_object_object_get_ex(body, "ConsoleSize", &size))
        json_object_object_add(start, "ConsoleSize", json_object_get(size));
    if (!detach)
        return exec_attached(cli, args, id, start);
    dray_autofree char *path = cli_strf("/exec/%s/start", id);
    return api_call(cli, "POST", path, start, NULL) == 0 ? 0 : cli_report(cli);
}

/* Is the log framed? The answer's type says; older servers make us look at the container. */
static int is_framed(struct cli *cli, const char *name, struct http_conn *c, bool *framed)
{
    char type[128] = "";
    (void)http_header(c, "content-type", type, sizeof type);
    *framed = strstr(type, "multiplexed") != NULL;
    if (*framed || strstr(type, "raw-stream"))
        return 0;
    DRAY_AUTO(dray_buf) path = {0};
    dray_autojson *doc = NULL;
    dray_buf_adds(&path, "/containers");
    api_piece(&path, name);
    dray_buf_adds(&path, "/json");
    if (api_call(cli, "GET", path.data, NULL, &doc) != 0)
        return -1;
    *framed = !dray_json_bool(doc, "Config.Tty", false);
    return 0;
}

static int add_when(struct cli *cli, struct dray_buf *path, const struct cli_args *args,
                    const char *key)
{
    if (api_when(cli, path, key, cli_str(args, key)) == 0)
        return 0;
    dray_autofree char *why = cli_strdup(cli->error.data);
    return cli_fail(cli, "invalid value for \"%s\": %s", key, why);
}

int run_container_logs(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    struct http_conn *c = NULL;
    bool framed = true;
    dray_buf_adds(&path, "/containers");
    api_piece(&path, args->argv[0]);
    dray_buf_adds(&path, "/logs?stdout=1&stderr=1");
    if (cli_bool(args, "follow"))
        dray_buf_adds(&path, "&follow=1");
    if (cli_bool(args, "timestamps"))
        dray_buf_adds(&path, "&timestamps=1");
    if (cli_bool(args, "details"))
        dray_buf_adds(&path, "&details=1");
    if (add_when(cli, &path, args, "since") != 0 || add_when(cli, &path, args, "until") != 0)
        return cli_report(cli);
    api_query(&path, "tail", cli_str(args, "tail"));
    struct api_request r = {.method = "GET", .path = path.data};
    if (api_open(cli, &r, &c) != 0)
        return cli_report(cli);
    int rc = is_framed(cli, args->argv[0], c, &framed);
    if (rc == 0)
        rc = stream_logs(cli, c, framed);
    api_done(cli, c);
    return rc == 0 ? 0 : cli_report(cli);
}
