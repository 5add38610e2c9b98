/* SPDX-License-Identifier: Apache-2.0 */
/* spec_volume.c - the commands on volumes and their flags. */
#include "client/commands.h"
#include "client/spec/specs.h"

static const struct cli_flag flags_volume_create[] = {
    FLAG_DEF('d', "driver", STRING, "Specify volume driver name", "local"),
    FLAG_CHECK(0, "label", LIST, "Set metadata for a volume", spec_label_check),
    FLAG_DEF('o', "opt", MAP, "Set driver specific options", "map[]"),
    FLAG_END,
};

static const struct cli_flag flags_volume_inspect[] = {
    FLAG('f', "format", STRING, CLI_INSPECT_FORMAT),
    FLAG_END,
};

static const struct cli_flag flags_volume_ls[] = {
    FLAG('f', "filter", FILTER, "Provide filter values (e.g. \"dangling=true\")"),
    FLAG(0, "format", STRING, CLI_LIST_FORMAT),
    FLAG('q', "quiet", BOOL, "Only display volume names"),
    FLAG_END,
};

static const struct cli_flag flags_volume_prune[] = {
    FLAG('a', "all", BOOL, "Remove all unused volumes, not just anonymous ones"),
    FLAG(0, "filter", FILTER, "Provide filter values (e.g. \"label=<label>\")"),
    FLAG('f', "force", BOOL, "Do not prompt for confirmation"),
    FLAG_END,
};

static const struct cli_flag flags_volume_rm[] = {
    FLAG('f', "force", BOOL, "Force the removal of one or more volumes"),
    FLAG_END,
};

const struct cli_command cmd_volume = {
    .usage = "COMMAND",
    .brief = "Manage volumes",
};

const struct cli_command cmd_volume_create = {
    .usage = "[OPTIONS] [VOLUME]",
    .brief = "Create a volume",
    .flags = {flags_volume_create},
    .max_args = 1,
    .run = run_volume_create,
};

const struct cli_command cmd_volume_inspect = {
    .usage = "[OPTIONS] VOLUME [VOLUME...]",
    .brief = "Display detailed information on one or more volumes",
    .flags = {flags_volume_inspect},
    .min_args = 1,
    .max_args = -1,
    .run = run_volume_inspect,
};

const struct cli_command cmd_volume_ls = {
    .usage = "[OPTIONS]",
    .brief = "List volumes",
    .aliases = "dray volume ls, dray volume list",
    .flags = {flags_volume_ls},
    .run = run_volume_ls,
};

const struct cli_command cmd_volume_prune = {
    .usage = "[OPTIONS]",
    .brief = "Remove unused local volumes",
    .flags = {flags_volume_prune},
    .run = run_volume_prune,
};

const struct cli_command cmd_volume_rm = {
    .usage = "[OPTIONS] VOLUME [VOLUME...]",
    .brief = "Remove one or more volumes. You cannot remove a volume that is "
             "in use by a container.",
    .aliases = "dray volume rm, dray volume remove",
    .flags = {flags_volume_rm},
    .min_args = 1,
    .max_args = -1,
    .run = run_volume_rm,
};
