/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h - commands, their flags, and the state that one run of the client carries along. */
#ifndef DRAY_CLIENT_CLI_H
#define DRAY_CLIENT_CLI_H

#include "base/buf.h"
#include "base/strlist.h"

#include <dray/util.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#define CLI_VERSION "0.1.0"
#define CLI_API_VERSION "1.51"
#define CLI_DEFAULT_HOST "unix:///run/dray.sock"
#define CLI_IDLE 4

/** Kinds of flag value: they decide the word in the help and the check at parse time. */
enum cli_type {
    CLI_BOOL,
    CLI_STRING,
    CLI_INT,
    CLI_UINT16,
    CLI_DECIMAL,
    CLI_BYTES,
    CLI_DURATION,
    CLI_LIST,
    CLI_STRINGS, /**< a list whose values may hold several, separated by commas */
    CLI_MAP,
    CLI_FILTER,
    CLI_MOUNT,
    CLI_NETWORK,
    CLI_ULIMIT,
    CLI_GPUS,
};

/** Says what is wrong with a value, as the text after `invalid argument "x" for "--y" flag: `. */
typedef int (*cli_check_fn)(const char *value, struct dray_err *err);

/** One flag; a table ends with a NULL name. */
struct cli_flag {
    char letter;
    const char *name;
    enum cli_type type;
    const char *help;
    const char *def;    /**< shown as "(default ...)" and used by the getters */
    cli_check_fn check; /**< beyond what the type checks, or NULL */
    const char *same;   /**< this spelling sets that flag; not shown in the help */
};

struct cli;
struct cli_args;

/** Handlers return the exit code. Errors they report themselves. */
typedef int (*cli_run_fn)(struct cli *cli, const struct cli_args *args);

/** How the number of words after the flags is checked. */
struct cli_command {
    const char *usage;
    const char *brief; /**< the lists show its first line */
    const char *aliases;
    const struct cli_flag *flags[3];
    int min_args;
    int max_args; /**< -1 is any number */
    bool stop_at_arg;
    cli_run_fn run;
};

enum cli_group { CLI_PLAIN, CLI_COMMON, CLI_MANAGE, CLI_HIDDEN };

/** A name in the tree of commands; a table ends with a NULL name. */
struct cli_entry {
    const char *name;
    const char *other; /**< further names, separated by spaces, or NULL */
    const struct cli_command *command;
    const struct cli_entry *subs;
    enum cli_group group;
};

struct cli_value {
    const struct cli_flag *flag;
    const char *text;
};

/** A parsed command line. */
struct cli_args {
    const struct cli_command *command;
    const char *path; /**< "dray container ls" */
    struct cli_value *set;
    size_t n_set;
    char **argv; /**< the words that are no flags, NULL terminated */
    int argc;
};

/** What a run of the client carries along. */
struct cli {
    const char *host;       /**< "unix:///run/dray.sock" */
    const char *config_dir; /**< "/root/.docker" */
    const char *context;    /**< name of the context in use */
    bool debug;
    bool tls;
    bool tls_verify;
    const char *ca, *cert, *key;
    const char *tls_server; /**< name to verify, when not the host's */
    struct json_object *config;
    bool config_loaded;
    const char *version;              /**< "v1.51": the prefix of API paths */
    bool version_known;               /**< the server has accepted it */
    struct http_conn *idle[CLI_IDLE]; /**< connections waiting for their next request */
    struct dray_buf error;            /**< text of the last failure */
    int status;                       /**< its HTTP status, or 0 */
};

/** Parse argv (flags and words) into out. On error the message is printed; returns the exit code,
 *  or -1 to go on. --help is answered here. */
int cli_parse(const struct cli_command *cmd, const char *path, char **argv, int argc,
              struct cli_args *out);
void cli_args_free(struct cli_args *a);
/** Check the number of words; prints the complaint. Returns -1 to go on or the exit code. */
int cli_check_count(const struct cli_args *a);

/** Was the flag given? */
bool cli_given(const struct cli_args *a, const char *name);
/** The last value given, else the default, else NULL. */
const char *cli_str(const struct cli_args *a, const char *name);
bool cli_bool(const struct cli_args *a, const char *name);
int64_t cli_int(const struct cli_args *a, const char *name);
/** Append all values of a list flag in the order given. */
void cli_list(const struct cli_args *a, const char *name, struct dray_strlist *out);
/** Number of words after the flags, word i. */
static inline const char *cli_arg(const struct cli_args *a, int i)
{
    return i < a->argc ? a->argv[i] : NULL;
}

/** Print the help of a command or of a group of commands. */
void cli_help(FILE *out, const struct cli_command *cmd, const struct cli_entry *subs,
              const char *path);
/** The help of dray itself. */
void cli_help_root(const struct cli_entry *root, const struct cli_flag *globals);
/** "Usage:  dray ps [OPTIONS]" with the given words in front of the path. */
void cli_usage_line(FILE *out, const struct cli_command *cmd, const char *path);

/** Keep an error text; returns -1. */
int cli_fail(struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cli_fail_err(struct cli *cli, const struct dray_err *err);
/** Print the kept error on stderr; returns 1. */
int cli_report(struct cli *cli);
/** Abort with a message when memory ran out. */
void *cli_need(void *p);
char *cli_strf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *cli_strdup(const char *text);
/** strerror as Go spells it: in lower case. Owned by the library. */
const char *cli_strerror(int number);

extern const struct cli_entry cli_commands[];
extern const struct cli_flag cli_globals[];

#endif
