/* SPDX-License-Identifier: Apache-2.0 */
/* commands.c - the tree of commands: the management groups, and the short names on top. */
#include "client/commands.h"

static const struct cli_entry container_subs[] = {
    {.name = "attach", .command = &cmd_container_attach},
    {.name = "commit", .command = &cmd_container_commit},
    {.name = "cp", .command = &cmd_container_cp},
    {.name = "create", .command = &cmd_container_create},
    {.name = "diff", .command = &cmd_container_diff},
    {.name = "exec", .command = &cmd_container_exec},
    {.name = "export", .command = &cmd_container_export},
    {.name = "inspect", .command = &cmd_container_inspect},
    {.name = "kill", .command = &cmd_container_kill},
    {.name = "logs", .command = &cmd_container_logs},
    {.name = "ls", .other = "list ps", .command = &cmd_container_ls},
    {.name = "pause", .command = &cmd_container_pause},
    {.name = "port", .command = &cmd_container_port},
    {.name = "prune", .command = &cmd_container_prune},
    {.name = "rename", .command = &cmd_container_rename},
    {.name = "restart", .command = &cmd_container_restart},
    {.name = "rm", .other = "remove", .command = &cmd_container_rm},
    {.name = "run", .command = &cmd_container_run},
    {.name = "start", .command = &cmd_container_start},
    {.name = "stats", .command = &cmd_container_stats},
    {.name = "stop", .command = &cmd_container_stop},
    {.name = "top", .command = &cmd_container_top},
    {.name = "unpause", .command = &cmd_container_unpause},
    {.name = "update", .command = &cmd_container_update},
    {.name = "wait", .command = &cmd_container_wait},
    {.name = NULL},
};

static const struct cli_entry builder_subs[] = {
    {.name = "build", .command = &cmd_image_build},
    {.name = "prune", .command = &cmd_builder_prune},
    {.name = NULL},
};

static const struct cli_entry image_subs[] = {
    {.name = "build", .command = &cmd_image_build},
    {.name = "history", .command = &cmd_image_history},
    {.name = "import", .command = &cmd_image_import},
    {.name = "inspect", .command = &cmd_image_inspect},
    {.name = "load", .command = &cmd_image_load},
    {.name = "ls", .other = "list", .command = &cmd_image_ls},
    {.name = "prune", .command = &cmd_image_prune},
    {.name = "pull", .command = &cmd_image_pull},
    {.name = "push", .command = &cmd_image_push},
    {.name = "rm", .other = "remove", .command = &cmd_image_rm},
    {.name = "save", .command = &cmd_image_save},
    {.name = "tag", .command = &cmd_image_tag},
    {.name = NULL},
};

static const struct cli_entry network_subs[] = {
    {.name = "connect", .command = &cmd_network_connect},
    {.name = "create", .command = &cmd_network_create},
    {.name = "disconnect", .command = &cmd_network_disconnect},
    {.name = "inspect", .command = &cmd_network_inspect},
    {.name = "ls", .other = "list", .command = &cmd_network_ls},
    {.name = "prune", .command = &cmd_network_prune},
    {.name = "rm", .other = "remove", .command = &cmd_network_rm},
    {.name = NULL},
};

static const struct cli_entry volume_subs[] = {
    {.name = "create", .command = &cmd_volume_create},
    {.name = "inspect", .command = &cmd_volume_inspect},
    {.name = "ls", .other = "list", .command = &cmd_volume_ls},
    {.name = "prune", .command = &cmd_volume_prune},
    {.name = "rm", .other = "remove", .command = &cmd_volume_rm},
    {.name = NULL},
};

static const struct cli_entry system_subs[] = {
    {.name = "df", .command = &cmd_system_df},
    {.name = "dial-stdio", .command = &cmd_system_dial_stdio, .group = CLI_HIDDEN},
    {.name = "events", .command = &cmd_system_events},
    {.name = "info", .command = &cmd_system_info},
    {.name = "prune", .command = &cmd_system_prune},
    {.name = NULL},
};

static const struct cli_entry plugin_subs[] = {
    {.name = "inspect", .command = &cmd_plugin_inspect},
    {.name = "ls", .other = "list", .command = &cmd_plugin_ls},
    {.name = NULL},
};

static const struct cli_entry extension_subs[] = {
    {.name = "ls", .other = "list", .command = &cmd_extension_ls},
    {.name = "run", .command = &cmd_extension_run},
    {.name = NULL},
};

static const struct cli_entry context_subs[] = {
    {.name = "inspect", .command = &cmd_context_inspect},
    {.name = "ls", .other = "list", .command = &cmd_context_ls},
    {.name = "rm", .other = "remove", .command = &cmd_context_rm},
    {.name = "show", .command = &cmd_context_show},
    {.name = "use", .command = &cmd_context_use},
    {.name = NULL},
};

static const struct cli_entry manifest_subs[] = {
    {.name = "inspect", .command = &cmd_manifest_inspect},
    {.name = NULL},
};

static const struct cli_entry completion_subs[] = {
    {.name = "bash", .command = &cmd_completion_bash},
    {.name = "fish", .command = &cmd_completion_fish},
    {.name = "zsh", .command = &cmd_completion_zsh},
    {.name = NULL},
};

const struct cli_entry cli_commands[] = {
    {.name = "run", .command = &cmd_container_run, .group = CLI_COMMON},
    {.name = "exec", .command = &cmd_container_exec, .group = CLI_COMMON},
    {.name = "ps", .command = &cmd_container_ls, .group = CLI_COMMON},
    {.name = "build", .command = &cmd_image_build, .group = CLI_COMMON},
    {.name = "pull", .command = &cmd_image_pull, .group = CLI_COMMON},
    {.name = "push", .command = &cmd_image_push, .group = CLI_COMMON},
    {.name = "images", .command = &cmd_image_ls, .group = CLI_COMMON},
    {.name = "login", .command = &cmd_login, .group = CLI_COMMON},
    {.name = "logout", .command = &cmd_logout, .group = CLI_COMMON},
    {.name = "search", .command = &cmd_search, .group = CLI_COMMON},
    {.name = "version", .command = &cmd_version, .group = CLI_COMMON},
    {.name = "info", .command = &cmd_system_info, .group = CLI_COMMON},
    {.name = "builder", .command = &cmd_builder, .subs = builder_subs, .group = CLI_MANAGE},
    {.name = "container", .command = &cmd_container, .subs = container_subs, .group = CLI_MANAGE},
    {.name = "context", .command = &cmd_context, .subs = context_subs, .group = CLI_MANAGE},
    {.name = "extension", .command = &cmd_extension, .subs = extension_subs, .group = CLI_MANAGE},
    {.name = "image", .command = &cmd_image, .subs = image_subs, .group = CLI_MANAGE},
    {.name = "manifest", .command = &cmd_manifest, .subs = manifest_subs, .group = CLI_MANAGE},
    {.name = "network", .command = &cmd_network, .subs = network_subs, .group = CLI_MANAGE},
    {.name = "plugin", .command = &cmd_plugin, .subs = plugin_subs, .group = CLI_MANAGE},
    {.name = "system", .command = &cmd_system, .subs = system_subs, .group = CLI_MANAGE},
    {.name = "volume", .command = &cmd_volume, .subs = volume_subs, .group = CLI_MANAGE},
    {.name = "attach", .command = &cmd_container_attach},
    {.name = "commit", .command = &cmd_container_commit},
    {.name = "completion",
     .command = &cmd_completion,
     .subs = completion_subs,
     .group = CLI_HIDDEN},
    {.name = "cp", .command = &cmd_container_cp},
    {.name = "create", .command = &cmd_container_create},
    {.name = "diff", .command = &cmd_container_diff},
    {.name = "events", .command = &cmd_system_events},
    {.name = "export", .command = &cmd_container_export},
    {.name = "history", .command = &cmd_image_history},
    {.name = "import", .command = &cmd_image_import},
    {.name = "inspect", .command = &cmd_inspect},
    {.name = "kill", .command = &cmd_container_kill},
    {.name = "load", .command = &cmd_image_load},
    {.name = "logs", .command = &cmd_container_logs},
    {.name = "pause", .command = &cmd_container_pause},
    {.name = "port", .command = &cmd_container_port},
    {.name = "rename", .command = &cmd_container_rename},
    {.name = "restart", .command = &cmd_container_restart},
    {.name = "rm", .command = &cmd_container_rm},
    {.name = "rmi", .command = &cmd_image_rm},
    {.name = "save", .command = &cmd_image_save},
    {.name = "start", .command = &cmd_container_start},
    {.name = "stats", .command = &cmd_container_stats},
    {.name = "stop", .command = &cmd_container_stop},
    {.name = "tag", .command = &cmd_image_tag},
    {.name = "top", .command = &cmd_container_top},
    {.name = "unpause", .command = &cmd_container_unpause},
    {.name = "update", .command = &cmd_container_update},
    {.name = "wait", .command = &cmd_container_wait},
    {.name = NULL},
};

const struct cli_flag cli_globals[] = {
    FLAG_DEF(0, "config", STRING, "Location of client config files", "~/.docker"),
    FLAG('c', "context", STRING,
         "Name of the context to use to connect to the daemon (overrides DRAY_HOST and DOCKER_HOST "
         "env vars and default context set with \"dray context use\")"),
    FLAG('D', "debug", BOOL, "Enable debug mode"),
    FLAG('H', "host", LIST, "Daemon socket to connect to"),
    FLAG_DEF('l', "log-level", STRING,
             "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")", "info"),
    FLAG(0, "tls", BOOL, "Use TLS; implied by --tlsverify"),
    FLAG_DEF(0, "tlscacert", STRING, "Trust certs signed only by this CA", "~/.docker/ca.pem"),
    FLAG_DEF(0, "tlscert", STRING, "Path to TLS certificate file", "~/.docker/cert.pem"),
    FLAG_DEF(0, "tlskey", STRING, "Path to TLS key file", "~/.docker/key.pem"),
    FLAG(0, "tlsverify", BOOL, "Use TLS and verify the remote"),
    FLAG('v', "version", BOOL, "Print version information and quit"),
    FLAG_END,
};
