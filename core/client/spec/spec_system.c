/* SPDX-License-Identifier: Apache-2.0 */
/* spec_system.c - the commands on the system, plugins, contexts, and the rest.
 */
#include "client/commands.h"

static const struct cli_flag flags_system_df[] = {
    FLAG(0, "format", STRING, CLI_LIST_FORMAT),
    FLAG('v', "verbose", BOOL, "Show detailed information on space usage"),
    FLAG_END,
};

static const struct cli_flag flags_system_events[] = {
    FLAG('f', "filter", FILTER, "Filter output based on conditions provided"),
    FLAG(0, "format", STRING, CLI_INSPECT_FORMAT),
    FLAG(0, "since", STRING, "Show all events created since timestamp"),
    FLAG(0, "until", STRING, "Stream events until this timestamp"),
    FLAG_END,
};

static const struct cli_flag flags_system_info[] = {
    FLAG('f', "format", STRING, CLI_INSPECT_FORMAT),
    FLAG_END,
};

static const struct cli_flag flags_system_prune[] = {
    FLAG('a', "all", BOOL, "Remove all unused images not just dangling ones"),
    FLAG(0, "filter", FILTER, "Provide filter values (e.g. \"label=<key>=<value>\")"),
    FLAG('f', "force", BOOL, "Do not prompt for confirmation"),
    FLAG(0, "volumes", BOOL, "Prune anonymous volumes"),
    FLAG_END,
};

static const struct cli_flag flags_plugin_inspect[] = {
    FLAG('f', "format", STRING, CLI_INSPECT_FORMAT),
    FLAG_END,
};

static const struct cli_flag flags_plugin_ls[] = {
    FLAG('f', "filter", FILTER, "Provide filter values (e.g. \"enabled=true\")"),
    FLAG(0, "format", STRING, CLI_LIST_FORMAT),
    FLAG(0, "no-trunc", BOOL, "Don't truncate output"),
    FLAG('q', "quiet", BOOL, "Only display plugin IDs"),
    FLAG_END,
};

static const struct cli_flag flags_extension_ls[] = {
    FLAG(0, "format", STRING, CLI_LIST_FORMAT),
    FLAG('q', "quiet", BOOL, "Only display names"),
    FLAG_END,
};

static const struct cli_flag flags_context_ls[] = {
    FLAG(0, "format", STRING, CLI_LIST_FORMAT),
    FLAG('q', "quiet", BOOL, "Only show context names"),
    FLAG_END,
};

static const struct cli_flag flags_context_inspect[] = {
    FLAG('f', "format", STRING, CLI_INSPECT_FORMAT),
    FLAG_END,
};

static const struct cli_flag flags_context_rm[] = {
    FLAG('f', "force", BOOL, "Force the removal of a context in use"),
    FLAG_END,
};

static const struct cli_flag flags_inspect[] = {
    FLAG('f', "format", STRING, CLI_INSPECT_FORMAT),
    FLAG('s', "size", BOOL, "Display total file sizes if the type is container"),
    FLAG(0, "type", STRING, "Only inspect objects of the given type"),
    FLAG_END,
};

static const struct cli_flag flags_login[] = {
    FLAG('p', "password", STRING, "Password or Personal Access Token (PAT)"),
    FLAG(0, "password-stdin", BOOL, "Take the Password or Personal Access Token (PAT) from stdin"),
    FLAG('u', "username", STRING, "Username"),
    FLAG_END,
};

static const struct cli_flag flags_search[] = {
    FLAG('f', "filter", FILTER, "Filter output based on conditions provided"),
    FLAG(0, "format", STRING, "Pretty-print search using a Go template"),
    FLAG(0, "limit", INT, "Max number of search results"),
    FLAG(0, "no-trunc", BOOL, "Don't truncate output"),
    FLAG_END,
};

static const struct cli_flag flags_version[] = {
    FLAG('f', "format", STRING, CLI_INSPECT_FORMAT),
    FLAG_END,
};

const struct cli_command cmd_system = {
    .usage = "COMMAND",
    .brief = "Manage Dray",
};

const struct cli_command cmd_system_df = {
    .usage = "[OPTIONS]",
    .brief = "Show dray disk usage",
    .flags = {flags_system_df},
    .run = run_system_df,
};

const struct cli_command cmd_system_events = {
    .usage = "[OPTIONS]",
    .brief = "Get real time events from the server",
    .aliases = "dray system events, dray events",
    .flags = {flags_system_events},
    .run = run_system_events,
};

const struct cli_command cmd_system_info = {
    .usage = "[OPTIONS]",
    .brief = "Display system-wide information",
    .aliases = "dray system info, dray info",
    .flags = {flags_system_info},
    .run = run_system_info,
};

const struct cli_command cmd_system_prune = {
    .usage = "[OPTIONS]",
    .brief = "Remove unused data",
    .flags = {flags_system_prune},
    .run = run_system_prune,
};

const struct cli_command cmd_plugin = {
    .usage = "COMMAND",
    .brief = "Manage plugins",
};

const struct cli_command cmd_plugin_inspect = {
    .usage = "[OPTIONS] PLUGIN [PLUGIN...]",
    .brief = "Display detailed information on one or more plugins",
    .flags = {flags_plugin_inspect},
    .min_args = 1,
    .max_args = -1,
    .run = run_plugin_inspect,
};

const struct cli_command cmd_plugin_ls = {
    .usage = "[OPTIONS]",
    .brief = "List plugins",
    .aliases = "dray plugin ls, dray plugin list",
    .flags = {flags_plugin_ls},
    .run = run_plugin_ls,
};

const struct cli_command cmd_extension = {
    .usage = "COMMAND",
    .brief = "See and use extensions",
};

const struct cli_command cmd_extension_ls = {
    .usage = "[OPTIONS]",
    .brief = "List the extensions that are loaded",
    .aliases = "dray extension ls, dray extension list",
    .flags = {flags_extension_ls},
    .run = run_extension_ls,
};

const struct cli_command cmd_extension_run = {
    .usage = "EXTENSION [COMMAND [ARG...]]",
    .brief = "Run a command of an extension, or tell which it has",
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .run = run_extension_run,
};

const struct cli_command cmd_context = {
    .usage = "COMMAND",
    .brief = "Manage contexts",
};

const struct cli_command cmd_context_ls = {
    .usage = "[OPTIONS]",
    .brief = "List contexts",
    .aliases = "dray context ls, dray context list",
    .flags = {flags_context_ls},
    .run = run_context_ls,
};

const struct cli_command cmd_context_show = {
    .usage = "",
    .brief = "Print the name of the current context",
    .run = run_context_show,
};

const struct cli_command cmd_context_use = {
    .usage = "CONTEXT",
    .brief = "Set the current dray context",
    .min_args = 1,
    .max_args = 1,
    .run = run_context_use,
};

const struct cli_command cmd_context_inspect = {
    .usage = "[OPTIONS] [CONTEXT] [CONTEXT...]",
    .brief = "Display detailed information on one or more contexts",
    .flags = {flags_context_inspect},
    .max_args = -1,
    .run = run_context_inspect,
};

const struct cli_command cmd_context_rm = {
    .usage = "CONTEXT [CONTEXT...]",
    .brief = "Remove one or more contexts",
    .aliases = "dray context rm, dray context remove",
    .flags = {flags_context_rm},
    .min_args = 1,
    .max_args = -1,
    .run = run_context_rm,
};

const struct cli_command cmd_inspect = {
    .usage = "[OPTIONS] NAME|ID [NAME|ID...]",
    .brief = "Return low-level information on Dray objects",
    .flags = {flags_inspect},
    .min_args = 1,
    .max_args = -1,
    .run = run_inspect,
};

const struct cli_command cmd_login = {
    .usage = "[OPTIONS] [SERVER]",
    .brief = "Authenticate to a registry.\nDefaults to Docker Hub if no server "
             "is specified.",
    .flags = {flags_login},
    .max_args = 1,
    .run = run_login,
};

const struct cli_command cmd_logout = {
    .usage = "[SERVER]",
    .brief = "Log out from a registry.\nIf no server is specified, the default "
             "is defined by the daemon.",
    .max_args = 1,
    .run = run_logout,
};

const struct cli_command cmd_search = {
    .usage = "[OPTIONS] TERM",
    .brief = "Search Docker Hub for images",
    .flags = {flags_search},
    .min_args = 1,
    .max_args = 1,
    .run = run_search,
};

const struct cli_command cmd_version = {
    .usage = "[OPTIONS]",
    .brief = "Show the Dray version information",
    .flags = {flags_version},
    .run = run_version,
};

const struct cli_command cmd_completion = {
    .usage = "COMMAND",
    .brief = "Generate the autocompletion script for dray for the specified "
             "shell.\nSee each sub-command's help for details on how to use "
             "the generated script.",
};

const struct cli_command cmd_completion_bash = {
    .usage = "",
    .brief = "Generate the autocompletion script for bash",
    .run = run_completion_bash,
};

const struct cli_command cmd_completion_fish = {
    .usage = "",
    .brief = "Generate the autocompletion script for fish",
    .run = run_completion_fish,
};

const struct cli_command cmd_completion_zsh = {
    .usage = "",
    .brief = "Generate the autocompletion script for zsh",
    .run = run_completion_zsh,
};

const struct cli_command cmd_system_dial_stdio = {
    .usage = "",
    .brief = "Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
    .run = run_system_dial_stdio,
};
