/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_run.c - run, create, start, attach: a container's life seen from the terminal. */
#include "client/api.h"
#include "client/commands.h"
#include "client/create.h"
#include "client/stream.h"

#include "base/fs.h"
#include "base/json.h"

#include <fcntl.h>
#include <signal.h>

/* Says why, adds where to find help, and gives the exit code. */
static int failed_with_help(struct cli *cli, const char *verb, int code)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "dray: %s\n\nRun 'dray %s --help' for more information\n",
                  cli->error.data ? cli->error.data : "unknown error", verb);
    return code;
}

static int run_failed(struct cli *cli, int code)
{
    return failed_with_help(cli, "run", code);
}

/* 127 and 126 as a shell has them, from the text of a failed start. */
static int start_code(const struct cli *cli)
{
    const char *text = cli->error.data ? cli->error.data : "";
    if (strstr(text, "executable file not found") || strstr(text, "no such file or directory") ||
        strstr(text, "system cannot find the file specified"))
        return 127;
    if (strstr(text, "permission denied") || strstr(text, "is a directory"))
        return 126;
    return 125;
}

static bool valid_pull(struct cli *cli, const char *pull)
{
    if (!pull || !*pull || strcmp(pull, "always") == 0 || strcmp(pull, "missing") == 0 ||
        strcmp(pull, "never") == 0)
        return true;
    (void)cli_fail(cli,
                   "invalid pull option: '%s': must be one of \"always\", \"missing\" or \"never\"",
                   pull);
    return false;
}

static int post_create(struct cli *cli, const struct cli_args *args, struct json_object *body,
                       struct json_object **out)
{
    DRAY_AUTO(dray_buf) path = {0};
    const char *platform = cli_str(args, "platform");
    if (!platform)
        platform = getenv("DOCKER_DEFAULT_PLATFORM");
    dray_buf_adds(&path, "/containers/create");
    api_query(&path, "name", cli_str(args, "name"));
    if (platform && *platform)
        api_query(&path, "platform", platform);
    return api_call(cli, "POST", path.data, body, out);
}

static int pull_image(struct cli *cli, const struct cli_args *args)
{
    return image_pull(cli, cli_arg(args, 0), cli_str(args, "platform"), cli_bool(args, "quiet"),
                      stderr);
}

static int create_or_pull(struct cli *cli, const struct cli_args *args, struct json_object *body,
                          struct json_object **out)
{
    const char *pull = cli_str(args, "pull");
    if (pull && strcmp(pull, "always") == 0 && pull_image(cli, args) != 0)
        return -1;
    if (post_create(cli, args, body, out) == 0)
        return 0;
    bool missing = !pull || !*pull || strcmp(pull, "missing") == 0;
    const char *why = cli->status == 404 && cli->error.data ? cli->error.data : "";
    if (!missing || (!strcasestr(why, "no such image") &&
                     !strstr(why, "does not match the specified platform")))
        return -1;
    if (!cli_bool(args, "quiet")) {
        dray_autofree char *full = image_with_tag(cli_arg(args, 0));
        (void)fprintf(stderr, "Unable to find image '%s' locally\n", full);
    }
    if (pull_image(cli, args) != 0)
        return -1;
    return post_create(cli, args, body, out);
}

static int open_cidfile(struct cli *cli, const char *path, int *fd)
{
    if (!path)
        return 0;
    *fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (*fd >= 0)
        return 0;
    if (errno == EEXIST)
        return cli_fail(cli,
                        "container ID file found, make sure the other container isn't running or "
                        "delete %s",
                        path);
    return cli_fail(cli, "failed to create the container ID file: open %s: %s", path,
                    cli_strerror(errno));
}

/* Create the container, pulling its image if need be. *id_out is the caller's. */
static int create_container(struct cli *cli, const struct cli_args *args, struct json_object *body,
                            char **id_out)
{
    dray_autofd int cidfile = -EBADF;
    dray_autojson *doc = NULL;
    const char *path = cli_str(args, "cidfile");
    if (open_cidfile(cli, path, &cidfile) != 0)
        return -1;
    if (create_or_pull(cli, args, body, &doc) != 0) {
        if (cidfile >= 0)
            (void)unlink(path);
        return -1;
    }
    struct json_object *warnings = dray_json_arr(doc, "Warnings");
    for (size_t i = 0; i < dray_json_len(warnings); i++)
        (void)fprintf(stderr, "WARNING: %s\n",
                      json_object_get_string(json_object_array_get_idx(warnings, i)));
    *id_out = cli_strdup(dray_json_str(doc, "Id", ""));
    if (cidfile >= 0)
        (void)dray_fs_write_all(cidfile, *id_out, strlen(*id_out), NULL);
    return 0;
}

int run_container_create(struct cli *cli, const struct cli_args *args)
{
    dray_autofree char *id = NULL;
    dray_autojson *body = create_body(cli, args);
    if (!body || !valid_pull(cli, cli_str(args, "pull")))
        return failed_with_help(cli, "create", 125);
    if (create_container(cli, args, body, &id) != 0)
        return cli_report(cli);
    (void)printf("%s\n", id);
    return 0;
}

/* A container that we are attached to: its streams and the request that awaits its end. */
struct session {
    struct cli *cli;
    const char *id;
    struct http_conn *attach;
    struct http_conn *wait;
    bool tty, input;
    const char *detach_keys;
    bool proxy;
    struct stream_signals signals;
};

static void session_close(struct session *s)
{
    http_close(dray_steal(s->attach));
    http_close(dray_steal(s->wait));
}

static int begin_attach(struct session *s, bool in, bool out, bool err, bool logs)
{
    DRAY_AUTO(dray_buf) path = {0};
    dray_buf_addf(&path, "/containers/%s/attach?stream=1", s->id);
    if (in)
        dray_buf_adds(&path, "&stdin=1");
    if (out)
        dray_buf_adds(&path, "&stdout=1");
    if (err)
        dray_buf_adds(&path, "&stderr=1");
    if (logs)
        dray_buf_adds(&path, "&logs=1");
    api_query(&path, "detachKeys", s->detach_keys);
    struct api_request r = {.method = "POST",
                            .path = path.data,
                            .headers = "Content-Type: text/plain\r\nConnection: Upgrade\r\n"
                                       "Upgrade: tcp\r\n"};
    return api_begin(s->cli, &r, &s->attach);
}

static int begin_wait(struct session *s, const char *condition)
{
    dray_autofree char *path = cli_strf("/containers/%s/wait?condition=%s", s->id, condition);
    struct api_request r = {.method = "POST", .path = path};
    return api_begin(s->cli, &r, &s->wait);
}

/* Ask for the streams and for the end at once, then read both answers. */
static int session_open(struct session *s, struct json_object *config, const char *condition)
{
    bool in = dray_json_bool(config, "AttachStdin", false);
    bool out = dray_json_bool(config, "AttachStdout", false);
    bool err = dray_json_bool(config, "AttachStderr", false);
    s->input = in;
    if (((in || out || err) && begin_attach(s, in, out, err, false) != 0) ||
        begin_wait(s, condition) != 0)
        return -1;
    if ((s->attach && api_await(s->cli, &s->attach) != 0) || api_await(s->cli, &s->wait) != 0)
        return -1;
    return 0;
}

static int post_start(struct cli *cli, const char *id, const char *detach_keys)
{
    DRAY_AUTO(dray_buf) path = {0};
    (void)detach_keys;
    dray_buf_adds(&path, "/containers");
    api_piece(&path, id);
    dray_buf_adds(&path, "/start");
    return api_call(cli, "POST", path.data, NULL, NULL);
}

/* The exit code from the answer of wait; what went wrong there is said unless quiet. */
static int read_exit(struct session *s, int *code, bool quiet)
{
    DRAY_AUTO(dray_buf) text = {0};
    dray_autojson *doc = NULL;
    struct dray_err err = {0};
    if (http_read_all(s->wait, &text, 1 << 20, &err) != 0 ||
        dray_json_parse(text.data ? text.data : "", text.len, &doc, &err) != 0)
        return cli_fail(s->cli, "Error waiting for container: %s", err.text);
    *code = (int)dray_json_int(doc, "StatusCode", 125);
    const char *why = dray_json_str(doc, "Error.Message", "");
    if (*why && !quiet)
        (void)fprintf(stderr, "Error waiting for container: %s\n", why);
    if (*why)
        *code = 125;
    return 0;
}

static void serve_signals(struct session *s, const char *resize)
{
    s->signals.cli = *s->cli;
    memset(s->signals.cli.idle, 0, sizeof s->signals.cli.idle);
    s->signals.cli.error = (struct dray_buf){0};
    s->signals.kill = s->proxy ? s->id : NULL;
    s->signals.resize = s->tty ? resize : NULL;
    stream_signals_serve(&s->signals);
}

/* Stream until the end; the exit code comes from the container. */
static int session_run(struct session *s)
{
    int code = 0;
    dray_autofree char *resize = cli_strf("/containers/%s", s->id);
    serve_signals(s, resize);
    if (s->attach) {
        struct stream st = {.cli = s->cli,
                            .conn = s->attach,
                            .tty = s->tty,
                            .input = s->input,
                            .detach_keys = s->detach_keys};
        if (stream_run(&st) == STREAM_DETACHED)
            return 0;
    }
    if (read_exit(s, &code, false) != 0) {
        (void)cli_report(s->cli);
        return 125;
    }
    return code;
}

static void set_detached(struct json_object *body)
{
    dray_json_add_bool(body, "AttachStdin", false);
    dray_json_add_bool(body, "AttachStdout", false);
    dray_json_add_bool(body, "AttachStderr", false);
    dray_json_add_bool(body, "StdinOnce", false);
}

static int check_run(struct cli *cli, const struct cli_args *args, struct json_object *body)
{
    if (cli_bool(args, "detach")) {
        if (cli_given(args, "attach"))
            return cli_fail(cli, "conflicting options: cannot specify both --attach and --detach");
        set_detached(body);
        return 0;
    }
    if (dray_json_bool(body, "AttachStdin", false) && dray_json_bool(body, "Tty", false) &&
        !isatty(STDIN_FILENO))
        return cli_fail(cli, "the input device is not a TTY");
    char keys[16];
    size_t n = 0;
    const char *text = cli_str(args, "detach-keys");
    if (text && !stream_parse_keys(text, keys, &n))
        return cli_fail(cli, "invalid detach keys (%s): Unknown character: '%s'", text, text);
    return 0;
}

static int start_failed(struct session *s, bool auto_remove)
{
    int code = 0, rc = start_code(s->cli);
    rc = run_failed(s->cli, rc);
    if (auto_remove && s->wait)
        (void)read_exit(s, &code, true);
    session_close(s);
    return rc;
}

int run_container_run(struct cli *cli, const struct cli_args *args)
{
    dray_autofree char *id = NULL;
    dray_autojson *body = create_body(cli, args);
    if (!body || !valid_pull(cli, cli_str(args, "pull")))
        return run_failed(cli, 125);
    if (check_run(cli, args, body) != 0)
        return cli_report(cli);
    bool detach = cli_bool(args, "detach");
    if (!detach) {
        stream_signals_block();
        api_warm(cli, 3);
    }
    if (create_container(cli, args, body, &id) != 0)
        return run_failed(cli, 125);
    bool remove = cli_bool(args, "rm");
    struct session *s = cli_need(calloc(1, sizeof *s));
    *s = (struct session){.cli = cli,
                          .id = id,
                          .tty = dray_json_bool(body, "Tty", false),
                          .detach_keys = cli_str(args, "detach-keys"),
                          .proxy = cli_bool(args, "sig-proxy")};
    int rc = 0;
    if (detach) {
        rc = post_start(cli, id, NULL) == 0 ? 0 : run_failed(cli, start_code(cli));
        if (rc == 0)
            (void)printf("%s\n", id);
        free(s);
        return rc;
    }
    if (session_open(s, body, remove ? "removed" : "next-exit") != 0) {
        session_close(s);
        rc = run_failed(cli, 125);
        free(s);
        return rc;
    }
    if (post_start(cli, id, s->detach_keys) != 0)
        return start_failed(s, remove);
    if (!s->attach)
        (void)printf("%s\n", id), (void)fflush(stdout);
    rc = session_run(s);
    session_close(s);
    return rc; /* the session stays: its signal thread may still look at it */
}

static int start_plain(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) failed = {0};
    for (int i = 0; i < args->argc; i++) {
        if (post_start(cli, args->argv[i], NULL) == 0) {
            (void)printf("%s\n", args->argv[i]);
            continue;
        }
        (void)cli_report(cli);
        dray_buf_addf(&failed, "%s%s", failed.len ? ", " : "", args->argv[i]);
    }
    if (!failed.len)
        return 0;
    (void)fflush(stdout);
    (void)fprintf(stderr, "Error: failed to start containers: %s\n", failed.data);
    return 1;
}

static int inspect(struct cli *cli, const char *name, struct json_object **out)
{
    DRAY_AUTO(dray_buf) path = {0};
    dray_buf_adds(&path, "/containers");
    api_piece(&path, name);
    dray_buf_adds(&path, "/json");
    return api_call(cli, "GET", path.data, NULL, out);
}

/* What start -a and attach need to know of the container. */
static struct session *session_for(struct cli *cli, const struct cli_args *args,
                                   struct json_object *doc)
{
    struct session *s = cli_need(calloc(1, sizeof *s));
    *s = (struct session){.cli = cli,
                          .id = dray_json_str(doc, "Id", ""),
                          .tty = dray_json_bool(doc, "Config.Tty", false),
                          .detach_keys = cli_str(args, "detach-keys"),
                          .proxy = cli_bool(args, "sig-proxy")};
    stream_signals_block();
    return s;
}

static int start_attached(struct cli *cli, const struct cli_args *args)
{
    struct json_object *doc = NULL; /* the session borrows from it until the process ends */
    if (args->argc > 1) {
        (void)cli_fail(cli, "you cannot start and attach multiple containers at once");
        return cli_report(cli);
    }
    if (inspect(cli, args->argv[0], &doc) != 0)
        return cli_report(cli);
    struct session *s = session_for(cli, args, doc);
    bool open = dray_json_bool(doc, "Config.OpenStdin", false);
    s->input = open && cli_bool(args, "interactive");
    bool remove = dray_json_bool(doc, "HostConfig.AutoRemove", false);
    if (begin_attach(s, s->input, true, true, false) != 0 ||
        begin_wait(s, remove ? "removed" : "next-exit") != 0 || api_await(cli, &s->attach) != 0 ||
        api_await(cli, &s->wait) != 0 || post_start(cli, s->id, s->detach_keys) != 0) {
        int rc = cli_report(cli);
        session_close(s);
        return rc;
    }
    int rc = session_run(s);
    session_close(s);
    return rc;
}

int run_container_start(struct cli *cli, const struct cli_args *args)
{
    if (cli_bool(args, "attach") || cli_bool(args, "interactive"))
        return start_attached(cli, args);
    return start_plain(cli, args);
}

static int check_attachable(struct cli *cli, struct json_object *doc)
{
    if (!dray_json_bool(doc, "State.Running", false))
        return cli_fail(cli, "You cannot attach to a stopped container, start it first");
    if (dray_json_bool(doc, "State.Paused", false))
        return cli_fail(cli, "You cannot attach to a paused container, unpause it first");
    if (dray_json_bool(doc, "State.Restarting", false))
        return cli_fail(cli,
                        "You cannot attach to a restarting container, wait until it is running");
    return 0;
}

int run_container_attach(struct cli *cli, const struct cli_args *args)
{
    struct json_object *doc = NULL;
    if (inspect(cli, args->argv[0], &doc) != 0 || check_attachable(cli, doc) != 0)
        return cli_report(cli);
    struct session *s = session_for(cli, args, doc);
    s->input = dray_json_bool(doc, "Config.OpenStdin", false) && !cli_bool(args, "no-stdin");
    if (s->tty && s->input && !isatty(STDIN_FILENO)) {
        (void)cli_fail(cli, "the input device is not a TTY");
        return cli_report(cli);
    }
    s->proxy = s->proxy && !s->tty;
    if (begin_wait(s, "not-running") != 0 || begin_attach(s, s->input, true, true, false) != 0 ||
        api_await(cli, &s->wait) != 0 || api_await(cli, &s->attach) != 0) {
        int rc = cli_report(cli);
        session_close(s);
        return rc;
    }
    int rc = session_run(s);
    session_close(s);
    return rc;
}
