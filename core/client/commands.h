/* SPDX-License-Identifier: Apache-2.0 */
/* commands.h - every command, its handler, and the means to write flag tables. */
#ifndef DRAY_CLIENT_COMMANDS_H
#define DRAY_CLIENT_COMMANDS_H

#include "client/cli.h"

/* clang-format off */
#define FLAG(letter_, name_, type_, help_) \
    {.letter = (letter_), .name = (name_), .type = CLI_##type_, .help = (help_)}
#define FLAG_DEF(letter_, name_, type_, help_, def_) \
    {.letter = (letter_), .name = (name_), .type = CLI_##type_, .help = (help_), .def = (def_)}
#define FLAG_CHECK(letter_, name_, type_, help_, check_) \
    {.letter = (letter_), .name = (name_), .type = CLI_##type_, .help = (help_), .check = (check_)}
#define FLAG_CHECK_DEF(letter_, name_, type_, help_, def_, check_) \
    {.letter = (letter_), .name = (name_), .type = CLI_##type_, .help = (help_), .def = (def_), \
     .check = (check_)}
/** Another spelling, not shown in the help. */
#define FLAG_SAME(name_, type_, same_) {.name = (name_), .type = CLI_##type_, .same = (same_)}
#define FLAG_END {.name = NULL}
/* clang-format on */

#define CLI_INSPECT_FORMAT                                                                         \
    "Format output using a custom template:\n"                                                     \
    "'json':             Print in JSON format\n"                                                   \
    "'TEMPLATE':         Print output using the given Go template.\n"                              \
    "Refer to https://docs.docker.com/go/formatting/ for more information about formatting "       \
    "output with templates"
#define CLI_LIST_FORMAT                                                                            \
    "Format output using a custom template:\n"                                                     \
    "'table':            Print output in table format with column headers (default)\n"             \
    "'table TEMPLATE':   Print output in table format using the given Go template\n"               \
    "'json':             Print in JSON format\n"                                                   \
    "'TEMPLATE':         Print output using the given Go template.\n"                              \
    "Refer to https://docs.docker.com/go/formatting/ for more information about formatting "       \
    "output with templates"

extern const struct cli_command cmd_container;
extern const struct cli_command cmd_container_attach;
extern const struct cli_command cmd_container_commit;
extern const struct cli_command cmd_container_cp;
extern const struct cli_command cmd_container_create;
extern const struct cli_command cmd_container_diff;
extern const struct cli_command cmd_container_exec;
extern const struct cli_command cmd_container_export;
extern const struct cli_command cmd_container_inspect;
extern const struct cli_command cmd_container_kill;
extern const struct cli_command cmd_container_logs;
extern const struct cli_command cmd_container_ls;
extern const struct cli_command cmd_container_pause;
extern const struct cli_command cmd_container_port;
extern const struct cli_command cmd_container_prune;
extern const struct cli_command cmd_container_rename;
extern const struct cli_command cmd_container_restart;
extern const struct cli_command cmd_container_rm;
extern const struct cli_command cmd_container_run;
extern const struct cli_command cmd_container_start;
extern const struct cli_command cmd_container_stats;
extern const struct cli_command cmd_container_stop;
extern const struct cli_command cmd_container_top;
extern const struct cli_command cmd_container_unpause;
extern const struct cli_command cmd_container_update;
extern const struct cli_command cmd_container_wait;
extern const struct cli_command cmd_image;
extern const struct cli_command cmd_builder;
extern const struct cli_command cmd_builder_prune;
extern const struct cli_command cmd_image_build;
extern const struct cli_command cmd_image_history;
extern const struct cli_command cmd_image_import;
extern const struct cli_command cmd_image_inspect;
extern const struct cli_command cmd_image_load;
extern const struct cli_command cmd_image_ls;
extern const struct cli_command cmd_image_prune;
extern const struct cli_command cmd_image_pull;
extern const struct cli_command cmd_image_push;
extern const struct cli_command cmd_image_rm;
extern const struct cli_command cmd_image_save;
extern const struct cli_command cmd_image_tag;
extern const struct cli_command cmd_manifest;
extern const struct cli_command cmd_manifest_inspect;
extern const struct cli_command cmd_network;
extern const struct cli_command cmd_network_connect;
extern const struct cli_command cmd_network_create;
extern const struct cli_command cmd_network_disconnect;
extern const struct cli_command cmd_network_inspect;
extern const struct cli_command cmd_network_ls;
extern const struct cli_command cmd_network_prune;
extern const struct cli_command cmd_network_rm;
extern const struct cli_command cmd_volume;
extern const struct cli_command cmd_volume_create;
extern const struct cli_command cmd_volume_inspect;
extern const struct cli_command cmd_volume_ls;
extern const struct cli_command cmd_volume_prune;
extern const struct cli_command cmd_volume_rm;
extern const struct cli_command cmd_system;
extern const struct cli_command cmd_system_df;
extern const struct cli_command cmd_system_events;
extern const struct cli_command cmd_system_info;
extern const struct cli_command cmd_system_prune;
extern const struct cli_command cmd_plugin;
extern const struct cli_command cmd_plugin_inspect;
extern const struct cli_command cmd_plugin_ls;
extern const struct cli_command cmd_extension;
extern const struct cli_command cmd_extension_ls;
extern const struct cli_command cmd_extension_run;
extern const struct cli_command cmd_context;
extern const struct cli_command cmd_context_ls;
extern const struct cli_command cmd_context_show;
extern const struct cli_command cmd_context_use;
extern const struct cli_command cmd_context_inspect;
extern const struct cli_command cmd_context_rm;
extern const struct cli_command cmd_inspect;
extern const struct cli_command cmd_login;
extern const struct cli_command cmd_logout;
extern const struct cli_command cmd_search;
extern const struct cli_command cmd_version;
extern const struct cli_command cmd_completion;

extern const struct cli_command cmd_completion_bash;
extern const struct cli_command cmd_completion_fish;
extern const struct cli_command cmd_completion_zsh;
extern const struct cli_command cmd_system_dial_stdio;

int run_container_attach(struct cli *cli, const struct cli_args *args);
int run_container_commit(struct cli *cli, const struct cli_args *args);
int run_container_cp(struct cli *cli, const struct cli_args *args);
int run_container_create(struct cli *cli, const struct cli_args *args);
int run_container_diff(struct cli *cli, const struct cli_args *args);
int run_container_exec(struct cli *cli, const struct cli_args *args);
int run_container_export(struct cli *cli, const struct cli_args *args);
int run_container_inspect(struct cli *cli, const struct cli_args *args);
int run_container_kill(struct cli *cli, const struct cli_args *args);
int run_container_logs(struct cli *cli, const struct cli_args *args);
int run_container_ls(struct cli *cli, const struct cli_args *args);
int run_container_pause(struct cli *cli, const struct cli_args *args);
int run_container_port(struct cli *cli, const struct cli_args *args);
int run_container_prune(struct cli *cli, const struct cli_args *args);
int run_container_rename(struct cli *cli, const struct cli_args *args);
int run_container_restart(struct cli *cli, const struct cli_args *args);
int run_container_rm(struct cli *cli, const struct cli_args *args);
int run_container_run(struct cli *cli, const struct cli_args *args);
int run_container_start(struct cli *cli, const struct cli_args *args);
int run_container_stats(struct cli *cli, const struct cli_args *args);
int run_container_stop(struct cli *cli, const struct cli_args *args);
int run_container_top(struct cli *cli, const struct cli_args *args);
int run_container_unpause(struct cli *cli, const struct cli_args *args);
int run_container_update(struct cli *cli, const struct cli_args *args);
int run_container_wait(struct cli *cli, const struct cli_args *args);
int run_builder_prune(struct cli *cli, const struct cli_args *args);
int run_image_build(struct cli *cli, const struct cli_args *args);
int run_image_history(struct cli *cli, const struct cli_args *args);
int run_image_import(struct cli *cli, const struct cli_args *args);
int run_image_inspect(struct cli *cli, const struct cli_args *args);
int run_image_load(struct cli *cli, const struct cli_args *args);
int run_image_ls(struct cli *cli, const struct cli_args *args);
int run_image_prune(struct cli *cli, const struct cli_args *args);
int run_image_pull(struct cli *cli, const struct cli_args *args);
int run_image_push(struct cli *cli, const struct cli_args *args);
int run_image_rm(struct cli *cli, const struct cli_args *args);
int run_image_save(struct cli *cli, const struct cli_args *args);
int run_image_tag(struct cli *cli, const struct cli_args *args);
int run_manifest_inspect(struct cli *cli, const struct cli_args *args);
int run_network_connect(struct cli *cli, const struct cli_args *args);
int run_network_create(struct cli *cli, const struct cli_args *args);
int run_network_disconnect(struct cli *cli, const struct cli_args *args);
int run_network_inspect(struct cli *cli, const struct cli_args *args);
int run_network_ls(struct cli *cli, const struct cli_args *args);
int run_network_prune(struct cli *cli, const struct cli_args *args);
int run_network_rm(struct cli *cli, const struct cli_args *args);
int run_volume_create(struct cli *cli, const struct cli_args *args);
int run_volume_inspect(struct cli *cli, const struct cli_args *args);
int run_volume_ls(struct cli *cli, const struct cli_args *args);
int run_volume_prune(struct cli *cli, const struct cli_args *args);
int run_volume_rm(struct cli *cli, const struct cli_args *args);
int run_system_df(struct cli *cli, const struct cli_args *args);
int run_system_events(struct cli *cli, const struct cli_args *args);
int run_system_info(struct cli *cli, const struct cli_args *args);
int run_system_prune(struct cli *cli, const struct cli_args *args);
int run_plugin_inspect(struct cli *cli, const struct cli_args *args);
int run_plugin_ls(struct cli *cli, const struct cli_args *args);
int run_extension_ls(struct cli *cli, const struct cli_args *args);
int run_extension_run(struct cli *cli, const struct cli_args *args);
int run_context_ls(struct cli *cli, const struct cli_args *args);
int run_context_show(struct cli *cli, const struct cli_args *args);
int run_context_use(struct cli *cli, const struct cli_args *args);
int run_context_inspect(struct cli *cli, const struct cli_args *args);
int run_context_rm(struct cli *cli, const struct cli_args *args);
int run_inspect(struct cli *cli, const struct cli_args *args);
int run_login(struct cli *cli, const struct cli_args *args);
int run_logout(struct cli *cli, const struct cli_args *args);
int run_search(struct cli *cli, const struct cli_args *args);
int run_version(struct cli *cli, const struct cli_args *args);
int run_completion_bash(struct cli *cli, const struct cli_args *args);
int run_completion_fish(struct cli *cli, const struct cli_args *args);
int run_completion_zsh(struct cli *cli, const struct cli_args *args);
int run_system_dial_stdio(struct cli *cli, const struct cli_args *args);

#endif
