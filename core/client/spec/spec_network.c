/* SPDX-License-Identifier: Apache-2.0 */
/* spec_network.c - the commands on networks and their flags. */
#include "client/commands.h"
#include "client/spec/specs.h"

static const struct cli_flag flags_network_connect[] = {
    FLAG(0, "alias", STRINGS, "Add network-scoped alias for the container"),
    FLAG(0, "driver-opt", STRINGS, "driver options for the network"),
    FLAG(0, "gw-priority", INT,
         "Highest gw-priority provides the default gateway. Accepts positive "
         "and negative values."),
    FLAG(0, "ip", STRING, "IPv4 address (e.g., \"172.30.100.104\")"),
    FLAG(0, "ip6", STRING, "IPv6 address (e.g., \"2001:db8::33\")"),
    FLAG(0, "link", LIST, "Add link to another container"),
    FLAG(0, "link-local-ip", STRINGS, "Add a link-local address for the container"),
    FLAG_END,
};

static const struct cli_flag flags_network_create[] = {
    FLAG(0, "attachable", BOOL, "Enable manual container attachment"),
    FLAG_DEF(0, "aux-address", MAP, "Auxiliary IPv4 or IPv6 addresses used by Network driver",
             "map[]"),
    FLAG(0, "config-from", STRING, "The network from which to copy the configuration"),
    FLAG(0, "config-only", BOOL, "Create a configuration only network"),
    FLAG_DEF('d', "driver", STRING, "Driver to manage the Network", "bridge"),
    FLAG(0, "gateway", STRINGS, "IPv4 or IPv6 Gateway for the master subnet"),
    FLAG(0, "ingress", BOOL, "Create swarm routing-mesh network"),
    FLAG(0, "internal", BOOL, "Restrict external access to the network"),
    FLAG(0, "ip-range", STRINGS, "Allocate container ip from a sub-range"),
    FLAG_DEF(0, "ipam-driver", STRING, "IP Address Management Driver", "default"),
    FLAG_DEF(0, "ipam-opt", MAP, "Set IPAM driver specific options", "map[]"),
    FLAG_DEF(0, "ipv4", BOOL, "Enable or disable IPv4 address assignment", "true"),
    FLAG(0, "ipv6", BOOL, "Enable or disable IPv6 address assignment"),
    FLAG_CHECK(0, "label", LIST, "Set metadata on a network", spec_label_check),
    FLAG_DEF('o', "opt", MAP, "Set driver specific options", "map[]"),
    FLAG(0, "scope", STRING, "Control the network's scope"),
    FLAG(0, "subnet", STRINGS, "Subnet in CIDR format that represents a network segment"),
    FLAG_END,
};

static const struct cli_flag flags_network_disconnect[] = {
    FLAG('f', "force", BOOL, "Force the container to disconnect from a network"),
    FLAG_END,
};

static const struct cli_flag flags_network_inspect[] = {
    FLAG('f', "format", STRING, CLI_INSPECT_FORMAT),
    FLAG('v', "verbose", BOOL, "Verbose output for diagnostics"),
    FLAG_END,
};

static const struct cli_flag flags_network_ls[] = {
    FLAG('f', "filter", FILTER, "Provide filter values (e.g. \"driver=bridge\")"),
    FLAG(0, "format", STRING, CLI_LIST_FORMAT),
    FLAG(0, "no-trunc", BOOL, "Do not truncate the output"),
    FLAG('q', "quiet", BOOL, "Only display network IDs"),
    FLAG_END,
};

static const struct cli_flag flags_network_prune[] = {
    FLAG(0, "filter", FILTER, "Provide filter values (e.g. \"until=<timestamp>\")"),
    FLAG('f', "force", BOOL, "Do not prompt for confirmation"),
    FLAG_END,
};

static const struct cli_flag flags_network_rm[] = {
    FLAG('f', "force", BOOL, "Do not error if the network does not exist"),
    FLAG_END,
};

const struct cli_command cmd_network = {
    .usage = "COMMAND",
    .brief = "Manage networks",
};

const struct cli_command cmd_network_connect = {
    .usage = "[OPTIONS] NETWORK CONTAINER",
    .brief = "Connect a container to a network",
    .flags = {flags_network_connect},
    .min_args = 2,
    .max_args = 2,
    .run = run_network_connect,
};

const struct cli_command cmd_network_create = {
    .usage = "[OPTIONS] NETWORK",
    .brief = "Create a network",
    .flags = {flags_network_create},
    .min_args = 1,
    .max_args = 1,
    .run = run_network_create,
};

const struct cli_command cmd_network_disconnect = {
    .usage = "[OPTIONS] NETWORK CONTAINER",
    .brief = "Disconnect a container from a network",
    .flags = {flags_network_disconnect},
    .min_args = 2,
    .max_args = 2,
    .run = run_network_disconnect,
};

const struct cli_command cmd_network_inspect = {
    .usage = "[OPTIONS] NETWORK [NETWORK...]",
    .brief = "Display detailed information on one or more networks",
    .flags = {flags_network_inspect},
    .min_args = 1,
    .max_args = -1,
    .run = run_network_inspect,
};

const struct cli_command cmd_network_ls = {
    .usage = "[OPTIONS]",
    .brief = "List networks",
    .aliases = "dray network ls, dray network list",
    .flags = {flags_network_ls},
    .run = run_network_ls,
};

const struct cli_command cmd_network_prune = {
    .usage = "[OPTIONS]",
    .brief = "Remove all unused networks",
    .flags = {flags_network_prune},
    .run = run_network_prune,
};

const struct cli_command cmd_network_rm = {
    .usage = "NETWORK [NETWORK...]",
    .brief = "Remove one or more networks",
    .aliases = "dray network rm, dray network remove",
    .flags = {flags_network_rm},
    .min_args = 1,
    .max_args = -1,
    .run = run_network_rm,
};
