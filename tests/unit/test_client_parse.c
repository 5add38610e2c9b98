/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_parse.c - command lines as Docker's client reads them, and the body of create. */
#include "client/cli.h"

#include "base/json.h"
#include "check.h"
#include "client/commands.h"
#include "client/create.h"

#include <fcntl.h>

/* Parse words (ended by NULL) with stderr put aside. */
static int parse(const struct cli_command *cmd, char **words, struct cli_args *out)
{
    int n = 0;
    while (words[n])
        n++;
    (void)fflush(stderr);
    int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)dup2(null, STDERR_FILENO);
    int rc = cli_parse(cmd, "dray test", words, n, out);
    if (rc < 0)
        rc = cli_check_count(out);
    (void)fflush(stderr);
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    (void)close(null);
    return rc;
}

#define PARSE(cmd, out, ...) parse(&(cmd), (char *[]){__VA_ARGS__, NULL}, &(out))

static void forms(void)
{
    struct cli_args a;
    CU_ASSERT_EQUAL(PARSE(cmd_container_run, a, "-itd", "--name=x", "--label", "a=b", "-p8080:80",
                          "-e", "A=1", "-e=B=2", "busybox", "ls", "-l", "--foo"),
                    -1);
    CU_ASSERT_TRUE(cli_bool(&a, "interactive") && cli_bool(&a, "tty") && cli_bool(&a, "detach"));
    CU_ASSERT_STRING_EQUAL(cli_str(&a, "name"), "x");
    CU_ASSERT_STRING_EQUAL(cli_str(&a, "publish"), "8080:80");
    DRAY_AUTO(dray_strlist) env = {0};
    cli_list(&a, "env", &env);
    CU_ASSERT_EQUAL_FATAL(env.n, 2);
    CU_ASSERT_STRING_EQUAL(env.v[1], "B=2");
    CU_ASSERT_EQUAL(a.argc, 4); /* flags end at the image */
    CU_ASSERT_STRING_EQUAL(a.argv[3], "--foo");
    cli_args_free(&a);
}

static void mixed(void)
{
    struct cli_args a;
    CU_ASSERT_EQUAL(PARSE(cmd_container_rm, a, "one", "-f", "two", "--", "-three"), -1);
    CU_ASSERT_EQUAL(a.argc, 3);
    CU_ASSERT_TRUE(cli_bool(&a, "force"));
    CU_ASSERT_STRING_EQUAL(a.argv[2], "-three");
    cli_args_free(&a);
    CU_ASSERT_EQUAL(PARSE(cmd_container_run, a, "--net", "host", "--sig-proxy=false", "x"), -1);
    CU_ASSERT_STRING_EQUAL(cli_str(&a, "network"), "host");
    CU_ASSERT_FALSE(cli_bool(&a, "sig-proxy"));
    cli_args_free(&a);
    CU_ASSERT_EQUAL(PARSE(cmd_container_ls, a, "-a"), -1);
    CU_ASSERT_EQUAL(cli_int(&a, "last"), -1);
    CU_ASSERT_FALSE(cli_given(&a, "last"));
    cli_args_free(&a);
}

static void refused(void)
{
    struct cli_args a;
    CU_ASSERT_EQUAL(PARSE(cmd_container_ls, a, "--foo"), 125);
    cli_args_free(&a);
    CU_ASSERT_EQUAL(PARSE(cmd_container_ls, a, "-Z"), 125);
    cli_args_free(&a);
    CU_ASSERT_EQUAL(PARSE(cmd_container_ls, a, "-n", "x"), 125);
    cli_args_free(&a);
    CU_ASSERT_EQUAL(PARSE(cmd_container_run, a, "--name"), 125);
    cli_args_free(&a);
    CU_ASSERT_EQUAL(PARSE(cmd_container_run, a, "--memory", "x", "img"), 125);
    cli_args_free(&a);
    CU_ASSERT_EQUAL(PARSE(cmd_container_ls, a, "word"), 1);
    cli_args_free(&a);
    CU_ASSERT_EQUAL(PARSE(cmd_container_rename, a, "one"), 1);
    cli_args_free(&a);
}

static void every_flag_has_help(const struct cli_entry *list)
{
    for (; list->name; list++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(list->command);
        CU_ASSERT_TRUE(list->subs || list->command->run);
        for (size_t t = 0; t < 3 && list->command->flags[t]; t++)
            for (const struct cli_flag *f = list->command->flags[t]; f->name; f++)
                CU_ASSERT_TRUE(f->help || f->same);
        if (list->subs)
            every_flag_has_help(list->subs);
    }
}

static void tables(void)
{
    every_flag_has_help(cli_commands);
}

/* The create body of a command line; NULL when it was refused. */
static struct json_object *body_of(char **words, char *error, size_t n)
{
    struct cli cli = {.host = "", .config_dir = "/nonexistent"};
    struct cli_args a;
    CU_ASSERT_EQUAL_FATAL(parse(&cmd_container_create, words, &a), -1);
    struct json_object *body = create_body(&cli, &a);
    (void)snprintf(error, n, "%s", cli.error.data ? cli.error.data : "");
    dray_buf_free(&cli.error);
    cli_args_free(&a);
    if (cli.config)
        json_object_put(cli.config);
    return body;
}

#define BODY(error, ...) body_of((char *[]){__VA_ARGS__, NULL}, (error), sizeof(error))

static void bodies(void)
{
    char err[256];
    dray_autojson *b =
        BODY(err, "-m", "64m", "--cpus", "0.5", "-v", "/a:/b", "-v", "/anon", "--network", "mine",
             "--network-alias", "al", "--restart", "on-failure:2", "--add-host", "h=[::1]",
             "--entrypoint", "/sh", "--health-cmd", "true", "--health-interval", "2s", "img", "-c");
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    CU_ASSERT_EQUAL(dray_json_int(b, "HostConfig.Memory", 0), 64 << 20);
    CU_ASSERT_EQUAL(dray_json_int(b, "HostConfig.NanoCpus", 0), 500000000);
    CU_ASSERT_STRING_EQUAL(dray_json_text(dray_json_arr(b, "HostConfig.Binds")), "[\"/a:/b\"]");
    CU_ASSERT_STRING_EQUAL(dray_json_text(dray_json_obj(b, "Volumes")), "{\"/anon\":{}}");
    CU_ASSERT_STRING_EQUAL(dray_json_str(b, "HostConfig.NetworkMode", ""), "mine");
    CU_ASSERT_STRING_EQUAL(
        dray_json_text(dray_json_obj(b, "NetworkingConfig.EndpointsConfig.mine")),
        "{\"Aliases\":[\"al\"]}");
    CU_ASSERT_EQUAL(dray_json_int(b, "HostConfig.RestartPolicy.MaximumRetryCount", 0), 2);
    CU_ASSERT_STRING_EQUAL(dray_json_text(dray_json_arr(b, "HostConfig.ExtraHosts")),
                           "[\"h:::1\"]");
    CU_ASSERT_STRING_EQUAL(dray_json_text(dray_json_arr(b, "Entrypoint")), "[\"/sh\"]");
    CU_ASSERT_STRING_EQUAL(dray_json_text(dray_json_arr(b, "Cmd")), "[\"-c\"]");
    CU_ASSERT_EQUAL(dray_json_int(b, "Healthcheck.Interval", 0), 2000000000);
    CU_ASSERT_TRUE(dray_json_bool(b, "AttachStdout", false));
    CU_ASSERT_FALSE(dray_json_bool(b, "AttachStdin", true));
}

static void conflicts(void)
{
    char err[256];
    CU_ASSERT_PTR_NULL(BODY(err, "--rm", "--restart", "always", "x"));
    CU_ASSERT_STRING_EQUAL(err, "conflicting options: cannot specify both --restart and --rm");
    CU_ASSERT_PTR_NULL(BODY(err, "--no-healthcheck", "--health-cmd", "x", "x"));
    CU_ASSERT_STRING_EQUAL(err, "--no-healthcheck conflicts with --health-* options");
    CU_ASSERT_PTR_NULL(BODY(err, "--network", "a", "--network", "a", "x"));
    CU_ASSERT_STRING_EQUAL(err, "network \"a\" is specified multiple times");
    CU_ASSERT_PTR_NULL(BODY(err, "--network", "a", "--network", "host", "x"));
    CU_ASSERT_PTR_NULL(BODY(err, "-p", "foo", "x"));
    CU_ASSERT_STRING_EQUAL(err, "invalid containerPort: foo");
}

static const struct check_case cases[] = {
    {"forms", forms},   {"mixed", mixed},   {"refused", refused},
    {"tables", tables}, {"bodies", bodies}, {"conflicts", conflicts},
};
CHECK_MAIN("client command lines", cases)
