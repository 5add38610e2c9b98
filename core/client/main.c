/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - dray, the client: finds the command, settles the daemon's address, runs it. */
#include "client/api.h"
#include "client/cli.h"
#include "client/config.h"
#include "client/http.h"

#include "base/logging.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>

static const struct cli_command root_command = {
    .usage = "[OPTIONS] COMMAND [ARG...]",
    .brief = "A container engine whose every subsystem is a plugin",
    .flags = {cli_globals},
    .max_args = -1,
    .stop_at_arg = true,
};

static bool entry_named(const struct cli_entry *e, const char *word)
{
    if (strcmp(e->name, word) == 0)
        return true;
    size_t len = strlen(word);
    for (const char *p = e->other; p && *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && memcmp(p, word, n) == 0)
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

static const struct cli_entry *find_entry(const struct cli_entry *list, const char *word)
{
    for (; list->name; list++)
        if (entry_named(list, word))
            return list;
    return NULL;
}

static int unknown(const char *path, const char *word, const struct cli_command *group)
{
    if (!group) {
        (void)fprintf(stderr,
                      "dray: unknown command: dray %s\n\nRun 'dray --help' for more information\n",
                      word);
        return 1;
    }
    (void)fprintf(stderr,
                  "dray: unknown command: %s %s\n\nUsage:  %s\n\nRun '%s --help' for more "
                  "information\n",
                  path, word, path, path);
    return 1;
}

static int run_command(struct cli *cli, const struct cli_args *globals, const struct cli_entry *e,
                       const char *path, char **argv, int argc)
{
    struct cli_args args;
    int rc = cli_parse(e->command, path, argv, argc, &args);
    if (rc < 0)
        rc = cli_check_count(&args);
    if (rc < 0 && config_resolve(cli, globals) != 0)
        rc = cli_report(cli);
    if (rc < 0)
        rc = e->command->run(cli, &args);
    cli_args_free(&args);
    return rc;
}

/* Walk down the tree by the words of the command line. */
static int dispatch(struct cli *cli, const struct cli_args *globals, char **argv, int argc)
{
    const struct cli_entry *list = cli_commands, *group = NULL;
    char path[64] = "dray";
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] == '-') {
            if (group && strcmp(argv[i], "--help") == 0) {
                cli_help(stdout, group->command, group->subs, path);
                return 0;
            }
            (void)fprintf(stderr,
                          "unknown flag: %s\n\nUsage:  %s COMMAND\n\nRun '%s --help' for "
                          "more information\n",
                          argv[i], path, path);
            return 125;
        }
        const struct cli_entry *e = find_entry(list, argv[i]);
        if (!e)
            return unknown(path, argv[i], group ? group->command : NULL);
        size_t len = strlen(path);
        (void)snprintf(path + len, sizeof path - len, " %s", e->name);
        if (!e->subs)
            return run_command(cli, globals, e, path, argv + i + 1, argc - i - 1);
        group = e;
        list = e->subs;
    }
    if (group)
        cli_help(stderr, group->command, group->subs, path);
    return 0;
}

/* "dray help run" is "dray run --help". */
static int help_for(char **argv, int argc)
{
    const struct cli_entry *list = cli_commands, *e = NULL;
    char path[64] = "dray";
    for (int i = 0; i < argc && list; i++) {
        e = find_entry(list, argv[i]);
        if (!e) {
            (void)fprintf(stderr, "unknown help topic: %s\n", argv[i]);
            return 1;
        }
        size_t len = strlen(path);
        (void)snprintf(path + len, sizeof path - len, " %s", e->name);
        list = e->subs;
    }
    if (e)
        cli_help(stdout, e->command, e->subs, path);
    else
        cli_help_root(cli_commands, cli_globals);
    return 0;
}

static bool help_wanted(int argc, char **argv)
{
    for (int i = 1; i < argc && argv[i][0] == '-'; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int run_root(struct cli *cli, int argc, char **argv)
{
    struct cli_args globals;
    if (help_wanted(argc, argv)) {
        cli_help_root(cli_commands, cli_globals);
        return 0;
    }
    int rc = cli_parse(&root_command, "dray", argv + 1, argc - 1, &globals);
    if (rc >= 0)
        return rc;
    if (cli_bool(&globals, "version")) {
        (void)printf("Dray version %s\n", CLI_VERSION);
    } else if (dray_log_level_parse(cli_str(&globals, "log-level")) < 0) {
        (void)fprintf(stderr, "Unable to parse logging level: %s\n",
                      cli_str(&globals, "log-level"));
        return 1;
    } else if (globals.argc == 0) {
        cli_help_root(cli_commands, cli_globals);
    } else if (strcmp(globals.argv[0], "help") == 0) {
        return help_for(globals.argv + 1, globals.argc - 1);
    } else {
        rc = dispatch(cli, &globals, globals.argv, globals.argc);
        cli_args_free(&globals);
        return rc;
    }
    cli_args_free(&globals);
    return 0;
}

#ifdef __SANITIZE_ADDRESS__
/* One command a process: what it holds at its end is the kernel's to free. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

int main(int argc, char **argv)
{
    struct cli cli = {.host = CLI_DEFAULT_HOST};
    (void)signal(SIGPIPE, SIG_IGN);
    int rc = run_root(&cli, argc, argv);
    api_forget(&cli);
    dray_buf_free(&cli.error);
    if (cli.config)
        json_object_put(cli.config);
    if (fflush(stdout) != 0 && rc == 0)
        rc = 1;
    return rc;
}
