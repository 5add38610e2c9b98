/* SPDX-License-Identifier: Apache-2.0 */
/* spec_build.c - dray build and dray builder: their flags. */
#include "client/build/build.h"
#include "client/build/build_session.h"
#include "client/commands.h"
#include "client/spec/specs.h"

/* Docker's words for a name that cannot be one. */
static int tag_check(const char *value, struct dray_err *err)
{
    const char *slash = strrchr(value, '/'), *colon = strrchr(slash ? slash : value, ':');
    const char *host = strchr(value, '/');
    size_t name = colon ? (size_t)(colon - value) : strlen(value);
    bool upper = false, odd = name == 0 || value[0] == '/' || value[name - 1] == '/';
    for (size_t i = 0; i < name; i++) {
        bool in_host = host && i < (size_t)(host - value);
        upper = upper || (value[i] >= 'A' && value[i] <= 'Z' && !in_host);
        odd =
            odd || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:[]",
                           value[i]);
    }
    const char *tag = colon ? colon + 1 : "latest";
    size_t len = strspn(tag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    odd = odd || len == 0 || len > 128 || tag[len] || *tag == '.' || *tag == '-';
    if (odd)
        return dray_fail(err, DRAY_E_INVAL, "invalid reference format");
    if (upper)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid reference format: repository name (%s%.*s) must be lowercase",
                         host ? "" : "library/", (int)name, value);
    return 0;
}

static int arg_check(const char *value, struct dray_err *err)
{
    return *value == '=' || !*value
               ? dray_fail(err, DRAY_E_INVAL, "invalid environment variable: %s", value)
               : 0;
}

static int progress_check(const char *value, struct dray_err *err)
{
    static const char *const modes[] = {"auto", "plain", "tty", "rawjson", "quiet", "classic"};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i], value) == 0)
            return 0;
    return dray_fail(err, DRAY_E_INVAL, "invalid progress mode %s", value);
}

static int allow_check(const char *value, struct dray_err *err)
{
    if (strcmp(value, "network.host") == 0 || strcmp(value, "security.insecure") == 0)
        return 0;
    return dray_fail(err, DRAY_E_INVAL, "unsupported entitlement \"%s\"", value);
}

static const struct cli_flag flags_image_build[] = {
    FLAG_CHECK(0, "add-host", LIST, "Add a custom host-to-IP mapping (\"host:ip\")",
               spec_host_check),
    FLAG_CHECK(0, "allow", LIST,
               "Allow extra privileged entitlement (e.g., \"network.host\", \"security.insecure\")",
               allow_check),
    FLAG_CHECK(0, "build-arg", LIST, "Set build-time variables", arg_check),
    FLAG(0, "cache-from", STRINGS, "Images to consider as cache sources"),
    FLAG(0, "cgroup-parent", STRING,
         "Set the parent cgroup for the \"RUN\" instructions during build"),
    FLAG(0, "check", BOOL, "Look for mistakes in the Dockerfile, and build nothing"),
    FLAG(0, "compress", BOOL, "Compress the build context using gzip"),
    FLAG(0, "cpu-period", INT, "Limit the CPU CFS (Completely Fair Scheduler) period"),
    FLAG(0, "cpu-quota", INT, "Limit the CPU CFS (Completely Fair Scheduler) quota"),
    FLAG('c', "cpu-shares", INT, "CPU shares (relative weight)"),
    FLAG(0, "cpuset-cpus", STRING, "CPUs in which to allow execution (0-3, 0,1)"),
    FLAG(0, "cpuset-mems", STRING, "MEMs in which to allow execution (0-3, 0,1)"),
    FLAG_DEF(0, "disable-content-trust", BOOL, "Skip image verification", "true"),
    FLAG('f', "file", STRING, "Name of the Dockerfile (Default is \"PATH/Dockerfile\")"),
    FLAG(0, "force-rm", BOOL, "Always remove intermediate containers"),
    FLAG(0, "iidfile", STRING, "Write the image ID to the file"),
    FLAG(0, "isolation", STRING, "Container isolation technology"),
    FLAG_CHECK(0, "label", LIST, "Set metadata for an image", spec_label_check),
    FLAG(0, "load", BOOL, "Shorthand for \"--output=type=docker\""),
    FLAG('m', "memory", BYTES, "Memory limit"),
    FLAG(0, "memory-swap", BYTES,
         "Swap limit equal to memory plus swap: -1 to enable unlimited swap"),
    FLAG(0, "metadata-file", STRING, "Write build result metadata to a file"),
    FLAG_DEF(0, "network", STRING, "Set the networking mode for the RUN instructions during build",
             "default"),
    FLAG(0, "no-cache", BOOL, "Do not use cache when building the image"),
    FLAG_CHECK('o', "output", LIST, "Output destination (format: \"type=local,dest=path\")",
               build_output_check),
    FLAG(0, "platform", STRING, "Set platform if server is multi-platform capable"),
    FLAG_CHECK_DEF(0, "progress", STRING,
                   "Set type of progress output (\"auto\", \"plain\", \"tty\", \"rawjson\", "
                   "\"quiet\", \"classic\")",
                   "auto", progress_check),
    FLAG(0, "pull", BOOL, "Always attempt to pull a newer version of the image"),
    FLAG(0, "push", BOOL, "Shorthand for \"--output=type=registry\""),
    FLAG('q', "quiet", BOOL, "Suppress the build output and print image ID on success"),
    FLAG_DEF(0, "rm", BOOL, "Remove intermediate containers after a successful build", "true"),
    FLAG_CHECK(0, "secret", LIST,
               "Secret to expose to the build (format: \"id=mysecret[,src=/local/secret]\")",
               build_secret_check),
    FLAG(0, "security-opt", STRINGS, "Security options"),
    FLAG(0, "shm-size", BYTES, "Size of \"/dev/shm\""),
    FLAG(0, "squash", BOOL, "Squash newly built layers into a single new layer"),
    FLAG_CHECK(0, "ssh", LIST,
               "SSH agent socket or keys to expose to the build (format: "
               "\"default|<id>[=<socket>|<key>[,<key>]]\")",
               build_ssh_check),
    FLAG_CHECK('t', "tag", LIST, "Name and optionally a tag in the \"name:tag\" format", tag_check),
    FLAG(0, "target", STRING, "Set the target build stage to build."),
    FLAG_DEF(0, "ulimit", ULIMIT, "Ulimit options", "[]"),
    FLAG_END,
};

static const struct cli_flag flags_builder_prune[] = {
    FLAG('a', "all", BOOL, "Remove all unused build cache, not just dangling ones"),
    FLAG(0, "filter", FILTER, "Provide filter values (e.g. \"until=24h\")"),
    FLAG('f', "force", BOOL, "Do not prompt for confirmation"),
    FLAG(0, "keep-storage", BYTES, "Amount of disk space to keep for cache"),
    FLAG_END,
};

const struct cli_command cmd_image_build = {
    .usage = "[OPTIONS] PATH | URL | -",
    .brief = "Build an image from a Dockerfile",
    .aliases = "dray image build, dray build, dray builder build",
    .flags = {flags_image_build},
    .min_args = 1,
    .max_args = 1,
    .run = run_image_build,
};

const struct cli_command cmd_builder = {
    .usage = "COMMAND",
    .brief = "Manage builds",
};

const struct cli_command cmd_builder_prune = {
    .usage = "[OPTIONS]",
    .brief = "Remove build cache",
    .flags = {flags_builder_prune},
    .run = run_builder_prune,
};
