/* SPDX-License-Identifier: Apache-2.0 */
/* spec_image.c - the commands on images and their flags. */
#include "client/commands.h"

static const struct cli_flag flags_image_history[] = {
    FLAG(0, "format", STRING, CLI_LIST_FORMAT),
    FLAG_DEF('H', "human", BOOL, "Print sizes and dates in human readable format", "true"),
    FLAG(0, "no-trunc", BOOL, "Don't truncate output"),
    FLAG(0, "platform", STRING,
         "Show history for the given platform. Formatted as "
         "\"os[/arch[/variant]]\" (e.g., \"linux/amd64\")"),
    FLAG('q', "quiet", BOOL, "Only show image IDs"),
    FLAG_END,
};

static const struct cli_flag flags_image_import[] = {
    FLAG('c', "change", LIST, "Apply Dockerfile instruction to the created image"),
    FLAG('m', "message", STRING, "Set commit message for imported image"),
    FLAG(0, "platform", STRING, "Set platform if server is multi-platform capable"),
    FLAG_END,
};

static const struct cli_flag flags_image_inspect[] = {
    FLAG('f', "format", STRING, CLI_INSPECT_FORMAT),
    FLAG(0, "platform", STRING,
         "Inspect a specific platform of the multi-platform image.\nIf the "
         "image or the server is not multi-platform capable, the command will "
         "error out if the platform does not match.\n'os[/arch[/variant]]': "
         "Explicit platform (eg. linux/amd64)"),
    FLAG_END,
};

static const struct cli_flag flags_image_load[] = {
    FLAG('i', "input", STRING, "Read from tar archive file, instead of STDIN"),
    FLAG(0, "platform", STRING,
         "Load only the given platform variant. Formatted as "
         "\"os[/arch[/variant]]\" (e.g., \"linux/amd64\")"),
    FLAG('q', "quiet", BOOL, "Suppress the load output"),
    FLAG_END,
};

static const struct cli_flag flags_image_ls[] = {
    FLAG('a', "all", BOOL, "Show all images (default hides intermediate images)"),
    FLAG(0, "digests", BOOL, "Show digests"),
    FLAG('f', "filter", FILTER, "Filter output based on conditions provided"),
    FLAG(0, "format", STRING, CLI_LIST_FORMAT),
    FLAG(0, "no-trunc", BOOL, "Don't truncate output"),
    FLAG('q', "quiet", BOOL, "Only show image IDs"),
    FLAG(0, "tree", BOOL, "List multi-platform images as a tree (EXPERIMENTAL)"),
    FLAG_END,
};

static const struct cli_flag flags_image_prune[] = {
    FLAG('a', "all", BOOL, "Remove all unused images, not just dangling ones"),
    FLAG(0, "filter", FILTER, "Provide filter values (e.g. \"until=<timestamp>\")"),
    FLAG('f', "force", BOOL, "Do not prompt for confirmation"),
    FLAG_END,
};

static const struct cli_flag flags_image_pull[] = {
    FLAG('a', "all-tags", BOOL, "Download all tagged images in the repository"),
    FLAG_DEF(0, "disable-content-trust", BOOL, "Skip image verification", "true"),
    FLAG(0, "platform", STRING, "Set platform if server is multi-platform capable"),
    FLAG('q', "quiet", BOOL, "Suppress verbose output"),
    FLAG_END,
};

static const struct cli_flag flags_image_push[] = {
    FLAG('a', "all-tags", BOOL, "Push all tags of an image to the repository"),
    FLAG_DEF(0, "disable-content-trust", BOOL, "Skip image signing", "true"),
    FLAG(0, "platform", STRING,
         "Push a platform-specific manifest as a single-platform image to the "
         "registry.\nImage index won't be pushed, meaning that other manifests, "
         "including attestations won't be preserved.\n'os[/arch[/variant]]': "
         "Explicit platform (eg. linux/amd64)"),
    FLAG('q', "quiet", BOOL, "Suppress verbose output"),
    FLAG_END,
};

static const struct cli_flag flags_image_rm[] = {
    FLAG('f', "force", BOOL, "Force removal of the image"),
    FLAG(0, "no-prune", BOOL, "Do not delete untagged parents"),
    FLAG(0, "platform", STRINGS,
         "Remove only the given platform variant. Formatted as "
         "\"os[/arch[/variant]]\" (e.g., \"linux/amd64\")"),
    FLAG_END,
};

static const struct cli_flag flags_image_save[] = {
    FLAG('o', "output", STRING, "Write to a file, instead of STDOUT"),
    FLAG(0, "platform", STRING,
         "Save only the given platform variant. Formatted as "
         "\"os[/arch[/variant]]\" (e.g., \"linux/amd64\")"),
    FLAG_END,
};

static const struct cli_flag flags_manifest_inspect[] = {
    FLAG(0, "insecure", BOOL, "Allow communication with an insecure registry"),
    FLAG('v', "verbose", BOOL, "Output additional info including layers and platform"),
    FLAG_END,
};

const struct cli_command cmd_image = {
    .usage = "COMMAND",
    .brief = "Manage images",
};

const struct cli_command cmd_image_history = {
    .usage = "[OPTIONS] IMAGE",
    .brief = "Show the history of an image",
    .aliases = "dray image history, dray history",
    .flags = {flags_image_history},
    .min_args = 1,
    .max_args = 1,
    .run = run_image_history,
};

const struct cli_command cmd_image_import = {
    .usage = "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    .brief = "Import the contents from a tarball to create a filesystem image",
    .aliases = "dray image import, dray import",
    .flags = {flags_image_import},
    .min_args = 1,
    .max_args = 2,
    .run = run_image_import,
};

const struct cli_command cmd_image_inspect = {
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .brief = "Display detailed information on one or more images",
    .flags = {flags_image_inspect},
    .min_args = 1,
    .max_args = -1,
    .run = run_image_inspect,
};

const struct cli_command cmd_image_load = {
    .usage = "[OPTIONS]",
    .brief = "Load an image from a tar archive or STDIN",
    .aliases = "dray image load, dray load",
    .flags = {flags_image_load},
    .run = run_image_load,
};

const struct cli_command cmd_image_ls = {
    .usage = "[OPTIONS] [REPOSITORY[:TAG]]",
    .brief = "List images",
    .aliases = "dray image ls, dray image list, dray images",
    .flags = {flags_image_ls},
    .max_args = 1,
    .run = run_image_ls,
};

const struct cli_command cmd_image_prune = {
    .usage = "[OPTIONS]",
    .brief = "Remove unused images",
    .flags = {flags_image_prune},
    .run = run_image_prune,
};

const struct cli_command cmd_image_pull = {
    .usage = "[OPTIONS] NAME[:TAG|@DIGEST]",
    .brief = "Download an image from a registry",
    .aliases = "dray image pull, dray pull",
    .flags = {flags_image_pull},
    .min_args = 1,
    .max_args = 1,
    .run = run_image_pull,
};

const struct cli_command cmd_image_push = {
    .usage = "[OPTIONS] NAME[:TAG]",
    .brief = "Upload an image to a registry",
    .aliases = "dray image push, dray push",
    .flags = {flags_image_push},
    .min_args = 1,
    .max_args = 1,
    .run = run_image_push,
};

const struct cli_command cmd_image_rm = {
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .brief = "Remove one or more images",
    .aliases = "dray image rm, dray image remove, dray rmi",
    .flags = {flags_image_rm},
    .min_args = 1,
    .max_args = -1,
    .run = run_image_rm,
};

const struct cli_command cmd_image_save = {
    .usage = "[OPTIONS] IMAGE [IMAGE...]",
    .brief = "Save one or more images to a tar archive (streamed to STDOUT by "
             "default)",
    .aliases = "dray image save, dray save",
    .flags = {flags_image_save},
    .min_args = 1,
    .max_args = -1,
    .run = run_image_save,
};

const struct cli_command cmd_image_tag = {
    .usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    .brief = "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    .aliases = "dray image tag, dray tag",
    .min_args = 2,
    .max_args = 2,
    .run = run_image_tag,
};

const struct cli_command cmd_manifest = {
    .usage = "COMMAND",
    .brief = "Look at the manifests and indexes of images in a registry",
};

const struct cli_command cmd_manifest_inspect = {
    .usage = "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    .brief = "Display an image manifest, or manifest list\n\nEXPERIMENTAL:\n  dray "
             "manifest inspect is an experimental feature.\n  Experimental features "
             "provide early access to product functionality. These\n  features may "
             "change between releases without warning, or can be removed from a\n  "
             "future release. Learn more about experimental features in our "
             "documentation:\n  https://docs.docker.com/go/experimental/",
    .flags = {flags_manifest_inspect},
    .min_args = 1,
    .max_args = 2,
    .run = run_manifest_inspect,
};
