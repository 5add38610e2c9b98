/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_build.c - dray build: from its flags to POST /build, and what becomes of the result. */
#include "client/api.h"
#include "client/build/build.h"
#include "client/build/build_session.h"
#include "client/cmd/rows.h"
#include "client/commands.h"
#include "client/config.h"
#include "client/spec/specs.h"
#include "client/units.h"

#include "base/fs.h"
#include "base/json.h"

#include <fcntl.h>
#include <signal.h>

struct build {
    struct cli *cli;
    const struct cli_args *args;
    struct build_context context;
    struct build_session *session; /* NULL: nothing to give */
    struct dray_strlist tags;
    struct build_output output;
    bool has_output;
    enum build_progress mode;
};

static void build_cleanup(struct build *b)
{
    build_session_free(b->session);
    build_context_cleanup(&b->context);
    dray_strlist_free(&b->tags);
    build_output_cleanup(&b->output);
}

/* --- the query ---------------------------------------------------------------------------------*/

static void add_text(const struct build *b, struct dray_buf *q, const char *flag, const char *key)
{
    const char *value = cli_str(b->args, flag);
    if (value && *value && cli_given(b->args, flag))
        api_query(q, key, value);
}

static void add_flag(const struct build *b, struct dray_buf *q, const char *flag, const char *key)
{
    if (cli_bool(b->args, flag))
        api_query(q, key, "1");
}

static int add_bytes(const struct build *b, struct dray_buf *q, const char *flag, const char *key)
{
    const char *value = cli_str(b->args, flag);
    struct dray_err err = {0};
    int64_t n = -1;
    if (!value || !cli_given(b->args, flag))
        return 0;
    if (strcmp(value, "-1") != 0 && units_bytes(value, &n, &err) != 0)
        return cli_fail_err(b->cli, &err);
    dray_autofree char *text = cli_strf("%lld", (long long)n);
    api_query(q, key, text);
    return 0;
}

/* NAME=VALUE; a bare NAME takes its value from our environment, and is left out without one. */
static void add_args(const struct build *b, struct dray_buf *q)
{
    DRAY_AUTO(dray_strlist) words = {0};
    dray_autojson *o = json_object_new_object();
    cli_list(b->args, "build-arg", &words);
    for (size_t i = 0; i < words.n; i++) {
        const char *eq = strchr(words.v[i], '=');
        dray_autofree char *name =
            eq ? cli_strf("%.*s", (int)(eq - words.v[i]), words.v[i]) : cli_strdup(words.v[i]);
        const char *value = eq ? eq + 1 : getenv(name);
        json_object_object_add(o, name, value ? json_object_new_string(value) : NULL);
    }
    api_query(q, "buildargs", dray_json_text(o));
}

static void add_labels(const struct build *b, struct dray_buf *q)
{
    DRAY_AUTO(dray_strlist) words = {0};
    cli_list(b->args, "label", &words);
    dray_autojson *o = spec_map(&words);
    if (words.n)
        api_query(q, "labels", dray_json_text(o));
}

/* A list as a JSON array. */
static void add_array(const struct build *b, struct dray_buf *q, const char *flag, const char *key)
{
    DRAY_AUTO(dray_strlist) words = {0};
    dray_autojson *o = json_object_new_array();
    cli_list(b->args, flag, &words);
    for (size_t i = 0; i < words.n; i++)
        json_object_array_add(o, json_object_new_string(words.v[i]));
    if (words.n)
        api_query(q, key, dray_json_text(o));
}

/* --allow: what the Dockerfile may ask for. */
static void add_allowed(const struct build *b, struct dray_buf *q)
{
    DRAY_AUTO(dray_strlist) words = {0};
    DRAY_AUTO(dray_buf) text = {0};
    cli_list(b->args, "allow", &words);
    for (size_t i = 0; i < words.n; i++)
        dray_buf_addf(&text, "%s%s", i ? "," : "", words.v[i]);
    api_query(q, "allow", text.data);
}

static int add_ulimits(const struct build *b, struct dray_buf *q)
{
    DRAY_AUTO(dray_strlist) words = {0};
    dray_autojson *o = json_object_new_array();
    struct dray_err err = {0};
    cli_list(b->args, "ulimit", &words);
    for (size_t i = 0; i < words.n; i++) {
        struct json_object *item = NULL;
        if (spec_ulimit(words.v[i], &item, &err) != 0)
            return cli_fail_err(b->cli, &err);
        json_object_array_add(o, item);
    }
    if (words.n)
        api_query(q, "ulimits", dray_json_text(o));
    return 0;
}

static int add_security(const struct build *b, struct dray_buf *q)
{
    DRAY_AUTO(dray_strlist) words = {0};
    dray_autojson *o = json_object_new_array();
    struct dray_err err = {0};
    cli_list(b->args, "security-opt", &words);
    for (size_t i = 0; i < words.n; i++) {
        dray_autofree char *text = NULL;
        if (spec_security(words.v[i], &text, &err) != 0)
            return cli_fail_err(b->cli, &err);
        json_object_array_add(o, json_object_new_string(text));
    }
    if (words.n)
        api_query(q, "securityopt", dray_json_text(o));
    return 0;
}

static int add_limits(const struct build *b, struct dray_buf *q)
{
    static const struct {
        const char *flag, *key;
    } texts[] = {{"cpu-shares", "cpushares"},   {"cpu-period", "cpuperiod"},
                 {"cpu-quota", "cpuquota"},     {"cpuset-cpus", "cpusetcpus"},
                 {"cpuset-mems", "cpusetmems"}, {"cgroup-parent", "cgroupparent"},
                 {"isolation", "isolation"},    {"network", "networkmode"},
                 {"platform", "platform"},      {"target", "target"}},
      bytes[] = {{"memory", "memory"}, {"memory-swap", "memswap"}, {"shm-size", "shmsize"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        add_text(b, q, texts[i].flag, texts[i].key);
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        if (add_bytes(b, q, bytes[i].flag, bytes[i].key) != 0)
            return -1;
    if (!cli_given(b->args, "platform"))
        api_query(q, "platform", getenv("DOCKER_DEFAULT_PLATFORM"));
    return add_ulimits(b, q);
}

/* Does the environment ask for the classic builder? */
static bool wants_classic(void)
{
    const char *buildkit = getenv("DOCKER_BUILDKIT");
    return buildkit && strcmp(buildkit, "0") == 0;
}

static int build_query(const struct build *b, struct dray_buf *q)
{
    static const struct {
        const char *flag, *key;
    } flags[] = {{"no-cache", "nocache"},
                 {"pull", "pull"},
                 {"force-rm", "forcerm"},
                 {"squash", "squash"},
                 {"check", "check"}};
    DRAY_AUTO(dray_strlist) hosts = {0};
    dray_buf_adds(q, "/build?version=1");
    for (size_t i = 0; i < b->tags.n; i++)
        api_query(q, "t", b->tags.v[i]);
    api_query(q, "dockerfile", b->context.dockerfile);
    if (b->context.source == BUILD_REMOTE)
        api_query(q, "remote", b->context.where);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        add_flag(b, q, flags[i].flag, flags[i].key);
    if (b->session)
        api_query(q, "session", build_session_id(b->session));
    api_query(q, "rm", cli_bool(b->args, "rm") ? "1" : "0");
    if (b->mode == BUILD_QUIET)
        api_query(q, "q", "1");
    else if (b->mode != BUILD_CLASSIC)
        api_query(q, "trace", "1");
    if (b->mode != BUILD_CLASSIC && !wants_classic())
        api_query(q, "kit", "1");
    add_args(b, q);
    add_labels(b, q);
    add_array(b, q, "cache-from", "cachefrom");
    add_allowed(b, q);
    cli_list(b->args, "add-host", &hosts);
    for (size_t i = 0; i < hosts.n; i++)
        api_query(q, "extrahosts", hosts.v[i]);
    return add_security(b, q) != 0 ? -1 : add_limits(b, q);
}

/* The credentials of every registry that config.json knows. */
static void add_credentials(struct cli *cli, struct json_object *registries, struct json_object *o)
{
    json_object_object_foreach(registries, key, entry)
    {
        (void)entry;
        json_object_object_add(o, key, config_credentials(cli, key));
    }
}

static char *registry_config(struct cli *cli)
{
    static const char *const keys[] = {"auths", "credHelpers"};
    dray_autojson *o = json_object_new_object();
    DRAY_AUTO(dray_buf) packed = {0};
    for (size_t i = 0; i < 2; i++) {
        struct json_object *registries = dray_json_obj(config_get(cli), keys[i]);
        if (registries)
            add_credentials(cli, registries, o);
    }
    const char *text = dray_json_text(o);
    config_base64(&packed, text, strlen(text), true);
    return cli_strf("X-Registry-Config: %s\r\n", packed.data);
}

/* --- the exchange ------------------------------------------------------------------------------*/

static enum build_progress progress_mode(const struct cli_args *args)
{
    const char *mode =
        cli_given(args, "progress") ? cli_str(args, "progress") : getenv("BUILDKIT_PROGRESS");
    if (cli_bool(args, "quiet") || (mode && strcmp(mode, "quiet") == 0))
        return BUILD_QUIET;
    if (mode && strcmp(mode, "rawjson") == 0)
        return BUILD_RAW;
    if (mode && strcmp(mode, "plain") == 0)
        return BUILD_PLAIN;
    if (mode && strcmp(mode, "tty") == 0)
        return BUILD_TTY;
    if ((mode && strcmp(mode, "classic") == 0) || wants_classic())
        return BUILD_CLASSIC;
    return isatty(STDERR_FILENO) ? BUILD_TTY : BUILD_PLAIN;
}

static void tell_sent(const struct build *b, int64_t bytes)
{
    char size[UNITS_LEN];
    if (b->mode != BUILD_CLASSIC || b->context.source == BUILD_REMOTE)
        return;
    units_human_size((double)bytes, 4, size);
    (void)printf("Sending build context to Dray daemon  %s\n", size);
    (void)fflush(stdout);
}

static int exchange(struct build *b, struct build_result *result)
{
    DRAY_AUTO(dray_buf) path = {0};
    struct http_conn *c = NULL;
    int64_t sent = 0;
    if (build_query(b, &path) != 0 || api_ping(b->cli) != 0)
        return -1;
    if (b->session && build_session_start(b->session, b->cli) != 0)
        return -1;
    dray_autofree char *auth = registry_config(b->cli);
    dray_autofree char *headers =
        cli_strf("%sContent-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n", auth);
    const struct api_request r = {.method = "POST", .path = path.data, .headers = headers};
    if (api_begin(b->cli, &r, &c) != 0)
        return -1;
    if (build_context_send(b->cli, &b->context, c, cli_bool(b->args, "compress"), &sent) != 0) {
        http_close(c);
        return -1;
    }
    tell_sent(b, sent);
    if (api_await(b->cli, &c) != 0)
        return -1;
    int rc = build_show(b->cli, c, b->mode, &b->tags, result);
    api_done(b->cli, c);
    return rc;
}

/* --- the result --------------------------------------------------------------------------------*/

static int write_file(struct cli *cli, const char *path, const char *text)
{
    struct dray_err err = {0};
    dray_autofd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return cli_fail(cli, "open %s: %s", path, cli_strerror(errno));
    return dray_fs_write_all(fd, text, strlen(text), &err) == 0 ? 0 : cli_fail_err(cli, &err);
}

static int write_metadata(const struct build *b, const char *path, const char *id)
{
    dray_autojson *o = json_object_new_object();
    DRAY_AUTO(dray_buf) names = {0};
    for (size_t i = 0; i < b->tags.n; i++)
        dray_buf_addf(&names, "%s%s", i ? "," : "", b->tags.v[i]);
    dray_json_add_str(o, "containerimage.config.digest", id);
    dray_json_add_str(o, "containerimage.digest", id);
    if (names.len)
        dray_json_add_str(o, "image.name", names.data);
    dray_autofree char *text =
        cli_strf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
                                                               JSON_C_TO_STRING_NOSLASHESCAPE));
    return write_file(b->cli, path, text);
}

static int deliver(struct build *b, const struct build_result *result)
{
    const char *iidfile = cli_str(b->args, "iidfile"),
               *metadata = cli_str(b->args, "metadata-file");
    int rc = 0;
    if (!result->id)
        return iidfile || metadata || b->has_output
                   ? cli_fail(b->cli, "server did not provide an image ID")
                   : 0;
    if (iidfile)
        rc = write_file(b->cli, iidfile, result->id);
    if (rc == 0 && metadata)
        rc = write_metadata(b, metadata, result->id);
    if (rc == 0 && b->has_output)
        rc = build_output_write(b->cli, &b->output, result->id, &b->tags);
    if (rc == 0 && b->mode == BUILD_QUIET)
        (void)printf("%s\n", result->id);
    return rc;
}

static int prepare(struct build *b)
{
    DRAY_AUTO(dray_strlist) outputs = {0};
    DRAY_AUTO(dray_strlist) secrets = {0};
    DRAY_AUTO(dray_strlist) agents = {0};
    struct dray_err err = {0};
    const char *iidfile = cli_str(b->args, "iidfile");
    cli_list(b->args, "tag", &b->tags);
    cli_list(b->args, "output", &outputs);
    bool push = cli_bool(b->args, "push");
    if (push || (cli_bool(b->args, "load") && outputs.n == 0))
        cli_need(dray_strlist_add(&outputs, push ? "type=registry" : "type=docker") ? b : NULL);
    if (outputs.n > 1)
        return cli_fail(b->cli, "multiple outputs currently unsupported");
    b->has_output = outputs.n == 1;
    if (b->has_output && build_output_parse(outputs.v[0], &b->output, &err) != 0)
        return cli_fail_err(b->cli, &err);
    if (b->output.name && !dray_strlist_has(&b->tags, b->output.name))
        cli_need(dray_strlist_add(&b->tags, b->output.name) ? b : NULL);
    if (iidfile && unlink(iidfile) != 0 && errno != ENOENT)
        return cli_fail(b->cli, "removing image ID file: %s", cli_strerror(errno));
    cli_list(b->args, "secret", &secrets);
    cli_list(b->args, "ssh", &agents);
    if (build_session_new(b->cli, &secrets, &agents, &b->session) != 0)
        return -1;
    return build_context_open(b->cli, b->args->argv[0], cli_str(b->args, "file"), &b->context);
}

int run_image_build(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(build) b = {.cli = cli, .args = args, .mode = progress_mode(args)};
    DRAY_AUTO(build_result) result = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    if (prepare(&b) != 0)
        return cli_report(cli);
    bool check = cli_bool(args, "check");
    if (check && b.mode != BUILD_RAW)
        b.mode = BUILD_PLAIN;
    int rc = exchange(&b, &result);
    if (rc == 0 && !check)
        rc = deliver(&b, &result);
    if (rc != 0) {
        (void)cli_report(cli);
        return result.exit_code ? result.exit_code : 1;
    }
    return check && result.warnings ? 1 : 0;
}

/* --- builder prune -----------------------------------------------------------------------------*/

int run_builder_prune(struct cli *cli, const struct cli_args *args)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) filters = {0};
    dray_autojson *doc = NULL;
    char size[UNITS_LEN];
    bool all = cli_bool(args, "all");
    if (!cli_bool(args, "force") &&
        !rows_confirm(all ? "WARNING! This will remove all build cache."
                          : "WARNING! This will remove all dangling build cache."))
        return 0;
    dray_buf_adds(&path, "/build/prune");
    if (all)
        api_query(&path, "all", "1");
    const char *keep = cli_str(args, "keep-storage");
    struct dray_err err = {0};
    int64_t n = 0;
    if (keep && cli_given(args, "keep-storage")) {
        if (units_bytes(keep, &n, &err) != 0) {
            (void)cli_fail_err(cli, &err);
            return cli_report(cli);
        }
        dray_autofree char *text = cli_strf("%lld", (long long)n);
        api_query(&path, "keep-storage", text);
    }
    cli_list(args, "filter", &filters);
    api_filters(&path, &filters);
    if (api_call(cli, "POST", path.data, NULL, &doc) != 0)
        return cli_report(cli);
    struct json_object *gone = dray_json_arr(doc, "CachesDeleted");
    if (dray_json_len(gone))
        (void)printf("Deleted build cache objects:\n");
    for (size_t i = 0; i < dray_json_len(gone); i++)
        (void)printf("%s\n", json_object_get_string(json_object_array_get_idx(gone, i)));
    units_human_size((double)dray_json_int(doc, "SpaceReclaimed", 0), 4, size);
    (void)printf("%sTotal reclaimed space: %s\n", dray_json_len(gone) ? "\n" : "", size);
    return 0;
}
