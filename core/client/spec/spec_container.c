/* SPDX-License-Identifier: Apache-2.0 */
/* spec_container.c - the commands on containers and their flags. */
#include "client/commands.h"
#include "client/spec/specs.h"

static const struct cli_flag flags_container_attach[] = {
    FLAG(0, "detach-keys", STRING, "Override the key sequence for detaching a container"),
    FLAG(0, "no-stdin", BOOL, "Do not attach STDIN"),
    FLAG_DEF(0, "sig-proxy", BOOL, "Proxy all received signals to the process", "true"),
    FLAG_END,
};

static const struct cli_flag flags_container_commit[] = {
    FLAG('a', "author", STRING, "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")"),
    FLAG('c', "change", LIST, "Apply Dockerfile instruction to the created image"),
    FLAG('m', "message", STRING, "Commit message"),
    FLAG_DEF('p', "pause", BOOL, "Pause container during commit", "true"),
    FLAG_END,
};

static const struct cli_flag flags_container_cp[] = {
    FLAG('a', "archive", BOOL, "Archive mode (copy all uid/gid information)"),
    FLAG('L', "follow-link", BOOL, "Always follow symbol link in SRC_PATH"),
    FLAG('q', "quiet", BOOL,
         "Suppress progress output during copy. Progress output is "
         "automatically suppressed if no terminal is attached"),
    FLAG_END,
};

static const struct cli_flag flags_shared[] = {
    FLAG_CHECK(0, "add-host", LIST, "Add a custom host-to-IP mapping (host:ip)", spec_host_check),
    FLAG_DEF(0, "annotation", MAP,
             "Add an annotation to the container (passed through to the OCI "
             "runtime)",
             "map[]"),
    FLAG_CHECK('a', "attach", LIST, "Attach to STDIN, STDOUT or STDERR", spec_attach_check),
    FLAG_DEF(0, "blkio-weight", UINT16,
             "Block IO (relative weight), between 10 and 1000, or 0 to disable", "0"),
    FLAG_CHECK_DEF(0, "blkio-weight-device", LIST, "Block IO weight (relative device weight)", "[]",
                   spec_weight_check),
    FLAG(0, "cap-add", LIST, "Add Linux capabilities"),
    FLAG(0, "cap-drop", LIST, "Drop Linux capabilities"),
    FLAG(0, "cgroup-parent", STRING, "Optional parent cgroup for the container"),
    FLAG(0, "cgroupns", STRING,
         "Cgroup namespace to use (host|private)\n'host':    Run the container "
         "in the Dray host's cgroup namespace\n'private': Run the container in "
         "its own private cgroup namespace\n'':        Use the cgroup "
         "namespace as configured by the\n           default-cgroupns-mode "
         "option on the daemon (default)"),
    FLAG(0, "cidfile", STRING, "Write the container ID to the file"),
    FLAG(0, "cpu-period", INT, "Limit CPU CFS (Completely Fair Scheduler) period"),
    FLAG(0, "cpu-quota", INT, "Limit CPU CFS (Completely Fair Scheduler) quota"),
    FLAG(0, "cpu-rt-period", INT, "Limit CPU real-time period in microseconds"),
    FLAG(0, "cpu-rt-runtime", INT, "Limit CPU real-time runtime in microseconds"),
    FLAG('c', "cpu-shares", INT, "CPU shares (relative weight)"),
    FLAG(0, "cpus", DECIMAL, "Number of CPUs"),
    FLAG(0, "cpuset-cpus", STRING, "CPUs in which to allow execution (0-3, 0,1)"),
    FLAG(0, "cpuset-mems", STRING, "MEMs in which to allow execution (0-3, 0,1)"),
    FLAG_CHECK(0, "device", LIST, "Add a host device to the container", spec_device_check),
    FLAG_CHECK(0, "device-cgroup-rule", LIST, "Add a rule to the cgroup allowed devices list",
               spec_device_rule_check),
    FLAG_CHECK_DEF(0, "device-read-bps", LIST, "Limit read rate (bytes per second) from a device",
                   "[]", spec_throttle_check),
    FLAG_CHECK_DEF(0, "device-read-iops", LIST, "Limit read rate (IO per second) from a device",
                   "[]", spec_iops_check),
    FLAG_CHECK_DEF(0, "device-write-bps", LIST, "Limit write rate (bytes per second) to a device",
                   "[]", spec_throttle_check),
    FLAG_CHECK_DEF(0, "device-write-iops", LIST, "Limit write rate (IO per second) to a device",
                   "[]", spec_iops_check),
    FLAG_DEF(0, "disable-content-trust", BOOL, "Skip image verification", "true"),
    FLAG_CHECK(0, "dns", LIST, "Set custom DNS servers", spec_ip_check),
    FLAG(0, "dns-option", LIST, "Set DNS options"),
    FLAG(0, "dns-search", LIST, "Set custom DNS search domains"),
    FLAG(0, "domainname", STRING, "Container NIS domain name"),
    FLAG(0, "entrypoint", STRING, "Overwrite the default ENTRYPOINT of the image"),
    FLAG_CHECK('e', "env", LIST, "Set environment variables", spec_env_check),
    FLAG(0, "env-file", LIST, "Read in a file of environment variables"),
    FLAG(0, "expose", LIST, "Expose a port or a range of ports"),
    FLAG(0, "gpus", GPUS, "GPU devices to add to the container ('all' to pass all GPUs)"),
    FLAG(0, "group-add", LIST, "Add additional groups to join"),
    FLAG(0, "health-cmd", STRING, "Command to run to check health"),
    FLAG_DEF(0, "health-interval", DURATION, "Time between running the check (ms|s|m|h)", "0s"),
    FLAG(0, "health-retries", INT, "Consecutive failures needed to report unhealthy"),
    FLAG_DEF(0, "health-start-interval", DURATION,
             "Time between running the check during the start period (ms|s|m|h)", "0s"),
    FLAG_DEF(0, "health-start-period", DURATION,
             "Start period for the container to initialize before starting "
             "health-retries countdown (ms|s|m|h)",
             "0s"),
    FLAG_DEF(0, "health-timeout", DURATION, "Maximum time to allow one check to run (ms|s|m|h)",
             "0s"),
    FLAG('h', "hostname", STRING, "Container host name"),
    FLAG(0, "help", BOOL, "Print usage"),
    FLAG(0, "init", BOOL,
         "Run an init inside the container that forwards signals and reaps "
         "processes"),
    FLAG('i', "interactive", BOOL, "Keep STDIN open even if not attached"),
    FLAG(0, "ip", STRING, "IPv4 address (e.g., 172.30.100.104)"),
    FLAG(0, "ip6", STRING, "IPv6 address (e.g., 2001:db8::33)"),
    FLAG(0, "ipc", STRING, "IPC mode to use"),
    FLAG(0, "isolation", STRING, "Container isolation technology"),
    FLAG(0, "kernel-memory", BYTES, "Kernel memory limit"),
    FLAG_CHECK('l', "label", LIST, "Set meta data on a container", spec_label_check),
    FLAG(0, "label-file", LIST, "Read in a line delimited file of labels"),
    FLAG_CHECK(0, "link", LIST, "Add link to another container", spec_link_check),
    FLAG(0, "link-local-ip", LIST, "Container IPv4/IPv6 link-local addresses"),
    FLAG(0, "log-driver", STRING, "Logging driver for the container"),
    FLAG(0, "log-opt", LIST, "Log driver options"),
    FLAG(0, "mac-address", STRING, "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    FLAG('m', "memory", BYTES, "Memory limit"),
    FLAG(0, "memory-reservation", BYTES, "Memory soft limit"),
    FLAG(0, "memory-swap", BYTES,
         "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
    FLAG_DEF(0, "memory-swappiness", INT, "Tune container memory swappiness (0 to 100)", "-1"),
    FLAG(0, "mount", MOUNT, "Attach a filesystem mount to the container"),
    FLAG(0, "name", STRING, "Assign a name to the container"),
    FLAG(0, "network", NETWORK, "Connect a container to a network"),
    FLAG(0, "network-alias", LIST, "Add network-scoped alias for the container"),
    FLAG(0, "no-healthcheck", BOOL, "Disable any container-specified HEALTHCHECK"),
    FLAG(0, "oom-kill-disable", BOOL, "Disable OOM Killer"),
    FLAG(0, "oom-score-adj", INT, "Tune host's OOM preferences (-1000 to 1000)"),
    FLAG(0, "pid", STRING, "PID namespace to use"),
    FLAG(0, "pids-limit", INT, "Tune container pids limit (set -1 for unlimited)"),
    FLAG(0, "platform", STRING, "Set platform if server is multi-platform capable"),
    FLAG(0, "privileged", BOOL, "Give extended privileges to this container"),
    FLAG('p', "publish", LIST, "Publish a container's port(s) to the host"),
    FLAG('P', "publish-all", BOOL, "Publish all exposed ports to random ports"),
    FLAG('q', "quiet", BOOL, "Suppress the pull output"),
    FLAG(0, "read-only", BOOL, "Mount the container's root filesystem as read only"),
    FLAG_DEF(0, "restart", STRING, "Restart policy to apply when a container exits", "no"),
    FLAG(0, "rm", BOOL,
         "Automatically remove the container and its associated anonymous "
         "volumes when it exits"),
    FLAG(0, "runtime", STRING, "Runtime to use for this container"),
    FLAG(0, "security-opt", LIST, "Security Options"),
    FLAG(0, "shm-size", BYTES, "Size of /dev/shm"),
    FLAG(0, "stop-signal", STRING, "Signal to stop the container"),
    FLAG(0, "stop-timeout", INT, "Timeout (in seconds) to stop a container"),
    FLAG(0, "storage-opt", LIST, "Storage driver options for the container"),
    FLAG_CHECK_DEF(0, "sysctl", MAP, "Sysctl options", "map[]", spec_sysctl_check),
    FLAG(0, "tmpfs", LIST, "Mount a tmpfs directory"),
    FLAG('t', "tty", BOOL, "Allocate a pseudo-TTY"),
    FLAG_DEF(0, "ulimit", ULIMIT, "Ulimit options", "[]"),
    FLAG(0, "use-api-socket", BOOL, "Bind mount Dray API socket and required auth"),
    FLAG('u', "user", STRING, "Username or UID (format: <name|uid>[:<group|gid>])"),
    FLAG(0, "userns", STRING, "User namespace to use"),
    FLAG(0, "uts", STRING, "UTS namespace to use"),
    FLAG('v', "volume", LIST, "Bind mount a volume"),
    FLAG(0, "volume-driver", STRING, "Optional volume driver for the container"),
    FLAG(0, "volumes-from", LIST, "Mount volumes from the specified container(s)"),
    FLAG('w', "workdir", STRING, "Working directory inside the container"),
    FLAG_SAME("net", NETWORK, "network"),
    FLAG_SAME("net-alias", LIST, "network-alias"),
    FLAG_SAME("dns-opt", LIST, "dns-option"),
    FLAG_END,
};

static const struct cli_flag flags_container_create[] = {
    FLAG_DEF(0, "pull", STRING, "Pull image before creating (\"always\", \"|missing\", \"never\")",
             "missing"),
    FLAG_END,
};

static const struct cli_flag flags_container_exec[] = {
    FLAG('d', "detach", BOOL, "Detached mode: run command in the background"),
    FLAG(0, "detach-keys", STRING, "Override the key sequence for detaching a container"),
    FLAG('e', "env", LIST, "Set environment variables"),
    FLAG(0, "env-file", LIST, "Read in a file of environment variables"),
    FLAG('i', "interactive", BOOL, "Keep STDIN open even if not attached"),
    FLAG(0, "privileged", BOOL, "Give extended privileges to the command"),
    FLAG('t', "tty", BOOL, "Allocate a pseudo-TTY"),
    FLAG('u', "user", STRING, "Username or UID (format: \"<name|uid>[:<group|gid>]\")"),
    FLAG('w', "workdir", STRING, "Working directory inside the container"),
    FLAG_END,
};

static const struct cli_flag flags_container_export[] = {
    FLAG('o', "output", STRING, "Write to a file, instead of STDOUT"),
    FLAG_END,
};

static const struct cli_flag flags_container_inspect[] = {
    FLAG('f', "format", STRING, CLI_INSPECT_FORMAT),
    FLAG('s', "size", BOOL, "Display total file sizes"),
    FLAG_END,
};

static const struct cli_flag flags_container_kill[] = {
    FLAG('s', "signal", STRING, "Signal to send to the container"),
    FLAG_END,
};

static const struct cli_flag flags_container_logs[] = {
    FLAG(0, "details", BOOL, "Show extra details provided to logs"),
    FLAG('f', "follow", BOOL, "Follow log output"),
    FLAG(0, "since", STRING,
         "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or "
         "relative (e.g. \"42m\" for 42 minutes)"),
    FLAG_DEF('n', "tail", STRING, "Number of lines to show from the end of the logs", "all"),
    FLAG('t', "timestamps", BOOL, "Show timestamps"),
    FLAG(0, "until", STRING,
         "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or "
         "relative (e.g. \"42m\" for 42 minutes)"),
    FLAG_END,
};

static const struct cli_flag flags_container_ls[] = {
    FLAG('a', "all", BOOL, "Show all containers (default shows just running)"),
    FLAG('f', "filter", FILTER, "Filter output based on conditions provided"),
    FLAG(0, "format", STRING, CLI_LIST_FORMAT),
    FLAG_DEF('n', "last", INT, "Show n last created containers (includes all states)", "-1"),
    FLAG('l', "latest", BOOL, "Show the latest created container (includes all states)"),
    FLAG(0, "no-trunc", BOOL, "Don't truncate output"),
    FLAG('q', "quiet", BOOL, "Only display container IDs"),
    FLAG('s', "size", BOOL, "Display total file sizes"),
    FLAG_END,
};

static const struct cli_flag flags_container_prune[] = {
    FLAG(0, "filter", FILTER, "Provide filter values (e.g. \"until=<timestamp>\")"),
    FLAG('f', "force", BOOL, "Do not prompt for confirmation"),
    FLAG_END,
};

static const struct cli_flag flags_container_restart[] = {
    FLAG('s', "signal", STRING, "Signal to send to the container"),
    FLAG('t', "timeout", INT, "Seconds to wait before killing the container"),
    FLAG_SAME("time", INT, "timeout"),
    FLAG_END,
};

static const struct cli_flag flags_container_rm[] = {
    FLAG('f', "force", BOOL, "Force the removal of a running container (uses SIGKILL)"),
    FLAG('l', "link", BOOL, "Remove the specified link"),
    FLAG('v', "volumes", BOOL, "Remove anonymous volumes associated with the container"),
    FLAG_END,
};

static const struct cli_flag flags_container_run[] = {
    FLAG('d', "detach", BOOL, "Run container in background and print container ID"),
    FLAG(0, "detach-keys", STRING, "Override the key sequence for detaching a container"),
    FLAG_DEF(0, "pull", STRING, "Pull image before running (\"always\", \"missing\", \"never\")",
             "missing"),
    FLAG_DEF(0, "sig-proxy", BOOL, "Proxy received signals to the process", "true"),
    FLAG_END,
};

static const struct cli_flag flags_container_start[] = {
    FLAG('a', "attach", BOOL, "Attach STDOUT/STDERR and forward signals"),
    FLAG(0, "detach-keys", STRING, "Override the key sequence for detaching a container"),
    FLAG('i', "interactive", BOOL, "Attach container's STDIN"),
    FLAG_END,
};

static const struct cli_flag flags_container_stats[] = {
    FLAG('a', "all", BOOL, "Show all containers (default shows just running)"),
    FLAG(0, "format", STRING, CLI_LIST_FORMAT),
    FLAG(0, "no-stream", BOOL, "Disable streaming stats and only pull the first result"),
    FLAG(0, "no-trunc", BOOL, "Do not truncate output"),
    FLAG_END,
};

static const struct cli_flag flags_container_stop[] = {
    FLAG('s', "signal", STRING, "Signal to send to the container"),
    FLAG('t', "timeout", INT, "Seconds to wait before killing the container"),
    FLAG_SAME("time", INT, "timeout"),
    FLAG_END,
};

static const struct cli_flag flags_container_update[] = {
    FLAG_DEF(0, "blkio-weight", UINT16,
             "Block IO (relative weight), between 10 and 1000, or 0 to disable", "0"),
    FLAG(0, "cpu-period", INT, "Limit CPU CFS (Completely Fair Scheduler) period"),
    FLAG(0, "cpu-quota", INT, "Limit CPU CFS (Completely Fair Scheduler) quota"),
    FLAG(0, "cpu-rt-period", INT, "Limit the CPU real-time period in microseconds"),
    FLAG(0, "cpu-rt-runtime", INT, "Limit the CPU real-time runtime in microseconds"),
    FLAG('c', "cpu-shares", INT, "CPU shares (relative weight)"),
    FLAG(0, "cpus", DECIMAL, "Number of CPUs"),
    FLAG(0, "cpuset-cpus", STRING, "CPUs in which to allow execution (0-3, 0,1)"),
    FLAG(0, "cpuset-mems", STRING, "MEMs in which to allow execution (0-3, 0,1)"),
    FLAG('m', "memory", BYTES, "Memory limit"),
    FLAG(0, "memory-reservation", BYTES, "Memory soft limit"),
    FLAG(0, "memory-swap", BYTES,
         "Swap limit equal to memory plus swap: -1 to enable unlimited swap"),
    FLAG(0, "pids-limit", INT, "Tune container pids limit (set -1 for unlimited)"),
    FLAG(0, "restart", STRING, "Restart policy to apply when a container exits"),
    FLAG_END,
};

const struct cli_command cmd_container = {
    .usage = "COMMAND",
    .brief = "Manage containers",
};

const struct cli_command cmd_container_attach = {
    .usage = "[OPTIONS] CONTAINER",
    .brief = "Attach local standard input, output, and error streams to a "
             "running container",
    .aliases = "dray container attach, dray attach",
    .flags = {flags_container_attach},
    .min_args = 1,
    .max_args = 1,
    .run = run_container_attach,
};

const struct cli_command cmd_container_commit = {
    .usage = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    .brief = "Create a new image from a container's changes",
    .aliases = "dray container commit, dray commit",
    .flags = {flags_container_commit},
    .min_args = 1,
    .max_args = 2,
    .run = run_container_commit,
};

const struct cli_command cmd_container_cp = {
    .usage = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n	dray cp "
             "[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    .brief = "Copy files/folders between a container and the local "
             "filesystem\n\nUse '-' as the source to read a tar archive from "
             "stdin\nand extract it to a directory destination in a "
             "container.\nUse '-' as the destination to stream a tar archive "
             "of a\ncontainer source to stdout.",
    .aliases = "dray container cp, dray cp",
    .flags = {flags_container_cp},
    .min_args = 2,
    .max_args = 2,
    .run = run_container_cp,
};

const struct cli_command cmd_container_create = {
    .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .brief = "Create a new container",
    .aliases = "dray container create, dray create",
    .flags = {flags_shared, flags_container_create},
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .run = run_container_create,
};

const struct cli_command cmd_container_diff = {
    .usage = "CONTAINER",
    .brief = "Inspect changes to files or directories on a container's filesystem",
    .aliases = "dray container diff, dray diff",
    .min_args = 1,
    .max_args = 1,
    .run = run_container_diff,
};

const struct cli_command cmd_container_exec = {
    .usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
    .brief = "Execute a command in a running container",
    .aliases = "dray container exec, dray exec",
    .flags = {flags_container_exec},
    .min_args = 2,
    .max_args = -1,
    .stop_at_arg = true,
    .run = run_container_exec,
};

const struct cli_command cmd_container_export = {
    .usage = "[OPTIONS] CONTAINER",
    .brief = "Export a container's filesystem as a tar archive",
    .aliases = "dray container export, dray export",
    .flags = {flags_container_export},
    .min_args = 1,
    .max_args = 1,
    .run = run_container_export,
};

const struct cli_command cmd_container_inspect = {
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .brief = "Display detailed information on one or more containers",
    .flags = {flags_container_inspect},
    .min_args = 1,
    .max_args = -1,
    .run = run_container_inspect,
};

const struct cli_command cmd_container_kill = {
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .brief = "Kill one or more running containers",
    .aliases = "dray container kill, dray kill",
    .flags = {flags_container_kill},
    .min_args = 1,
    .max_args = -1,
    .run = run_container_kill,
};

const struct cli_command cmd_container_logs = {
    .usage = "[OPTIONS] CONTAINER",
    .brief = "Fetch the logs of a container",
    .aliases = "dray container logs, dray logs",
    .flags = {flags_container_logs},
    .min_args = 1,
    .max_args = 1,
    .run = run_container_logs,
};

const struct cli_command cmd_container_ls = {
    .usage = "[OPTIONS]",
    .brief = "List containers",
    .aliases = "dray container ls, dray container list, dray container ps, dray ps",
    .flags = {flags_container_ls},
    .run = run_container_ls,
};

const struct cli_command cmd_container_pause = {
    .usage = "CONTAINER [CONTAINER...]",
    .brief = "Pause all processes within one or more containers",
    .aliases = "dray container pause, dray pause",
    .min_args = 1,
    .max_args = -1,
    .run = run_container_pause,
};

const struct cli_command cmd_container_port = {
    .usage = "CONTAINER [PRIVATE_PORT[/PROTO]]",
    .brief = "List port mappings or a specific mapping for the container",
    .aliases = "dray container port, dray port",
    .min_args = 1,
    .max_args = 2,
    .run = run_container_port,
};

const struct cli_command cmd_container_prune = {
    .usage = "[OPTIONS]",
    .brief = "Remove all stopped containers",
    .flags = {flags_container_prune},
    .run = run_container_prune,
};

const struct cli_command cmd_container_rename = {
    .usage = "CONTAINER NEW_NAME",
    .brief = "Rename a container",
    .aliases = "dray container rename, dray rename",
    .min_args = 2,
    .max_args = 2,
    .run = run_container_rename,
};

const struct cli_command cmd_container_restart = {
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .brief = "Restart one or more containers",
    .aliases = "dray container restart, dray restart",
    .flags = {flags_container_restart},
    .min_args = 1,
    .max_args = -1,
    .run = run_container_restart,
};

const struct cli_command cmd_container_rm = {
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .brief = "Remove one or more containers",
    .aliases = "dray container rm, dray container remove, dray rm",
    .flags = {flags_container_rm},
    .min_args = 1,
    .max_args = -1,
    .run = run_container_rm,
};

const struct cli_command cmd_container_run = {
    .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .brief = "Create and run a new container from an image",
    .aliases = "dray container run, dray run",
    .flags = {flags_shared, flags_container_run},
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .run = run_container_run,
};

const struct cli_command cmd_container_start = {
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .brief = "Start one or more stopped containers",
    .aliases = "dray container start, dray start",
    .flags = {flags_container_start},
    .min_args = 1,
    .max_args = -1,
    .run = run_container_start,
};

const struct cli_command cmd_container_stats = {
    .usage = "[OPTIONS] [CONTAINER...]",
    .brief = "Display a live stream of container(s) resource usage statistics",
    .aliases = "dray container stats, dray stats",
    .flags = {flags_container_stats},
    .max_args = -1,
    .run = run_container_stats,
};

const struct cli_command cmd_container_stop = {
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .brief = "Stop one or more running containers",
    .aliases = "dray container stop, dray stop",
    .flags = {flags_container_stop},
    .min_args = 1,
    .max_args = -1,
    .run = run_container_stop,
};

const struct cli_command cmd_container_top = {
    .usage = "CONTAINER [ps OPTIONS]",
    .brief = "Display the running processes of a container",
    .aliases = "dray container top, dray top",
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .run = run_container_top,
};

const struct cli_command cmd_container_unpause = {
    .usage = "CONTAINER [CONTAINER...]",
    .brief = "Unpause all processes within one or more containers",
    .aliases = "dray container unpause, dray unpause",
    .min_args = 1,
    .max_args = -1,
    .run = run_container_unpause,
};

const struct cli_command cmd_container_update = {
    .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
    .brief = "Update configuration of one or more containers",
    .aliases = "dray container update, dray update",
    .flags = {flags_container_update},
    .min_args = 1,
    .max_args = -1,
    .run = run_container_update,
};

const struct cli_command cmd_container_wait = {
    .usage = "CONTAINER [CONTAINER...]",
    .brief = "Block until one or more containers stop, then print their exit codes",
    .aliases = "dray container wait, dray wait",
    .min_args = 1,
    .max_args = -1,
    .run = run_container_wait,
};
