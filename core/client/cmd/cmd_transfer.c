/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_transfer.c - images on the move: pull, push, save, load, import. */
#include "client/api.h"
#include "client/commands.h"
#include "client/config.h"
#include "client/create.h"
#include "client/progress.h"

#include "base/json.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_digest(const char *ref)
{
    return strchr(ref, '@') != NULL;
}

static const char *tag_at(const char *ref)
{
    const char *slash = strrchr(ref, '/');
    return strrchr(slash ? slash : ref, ':');
}

/* Is it an OCI layout, "oci:/path[:tag]"? */
static bool is_layout(const char *ref)
{
    return strncmp(ref, "oci:", 4) == 0 && strchr(ref, '/');
}

char *image_with_tag(const char *ref)
{
    return has_digest(ref) || tag_at(ref) ? cli_strdup(ref) : cli_strf("%s:latest", ref);
}

/* "docker.io/library/busybox:latest" */
static char *canonical(const char *ref)
{
    dray_autofree char *registry = config_registry_of(ref);
    dray_autofree char *full = image_with_tag(ref);
    if (strncmp(full, registry, strlen(registry)) == 0 && full[strlen(registry)] == '/') {
        bool hub = strcmp(registry, "docker.io") == 0 && !strchr(full + 10, '/');
        if (hub)
            return cli_strf("docker.io/library/%s", full + 10);
        return dray_steal(full);
    }
    /* cppcheck-suppress nullPointer ; stolen on another path only */
    return cli_strf("docker.io/%s%s", strchr(full, '/') ? "" : "library/", full);
}

static char *pull_path(const char *ref, bool all_tags, const char *platform)
{
    DRAY_AUTO(dray_buf) path = {0};
    const char *at = strchr(ref, '@'), *colon = at ? NULL : tag_at(ref);
    size_t len = at ? (size_t)(at - ref) : colon ? (size_t)(colon - ref) : strlen(ref);
    if (at) { /* name:tag@digest: the digest decides */
        dray_autofree char *front = cli_strf("%.*s", (int)len, ref);
        const char *c = tag_at(front);
        len = c ? (size_t)(c - front) : len;
    }
    dray_autofree char *name = cli_strf("%.*s", (int)len, ref);
    dray_buf_adds(&path, "/images/create");
    api_query(&path, "fromImage", name);
    if (!all_tags)
        api_query(&path, "tag", at ? at + 1 : colon ? colon + 1 : "latest");
    if (platform && *platform)
        api_query(&path, "platform", platform);
    return dray_buf_steal(&path);
}

static int pull(struct cli *cli, const char *ref, bool all_tags, const char *platform, FILE *out)
{
    struct http_conn *c = NULL;
    if (!platform)
        platform = getenv("DOCKER_DEFAULT_PLATFORM");
    dray_autofree char *path = pull_path(ref, all_tags, platform);
    dray_autofree char *registry = config_registry_of(ref);
    dray_autofree char *auth = config_auth_header(cli, registry);
    struct api_request r = {.method = "POST", .path = path, .headers = auth};
    if (api_open(cli, &r, &c) != 0)
        return -1;
    int rc = progress_show(cli, c, out, NULL, NULL);
    api_done(cli, c);
    return rc;
}

int image_pull(struct cli *cli, const char *ref, const char *platform, bool quiet, FILE *out)
{
    return pull(cli, ref, false, platform, quiet ? NULL : out);
}

/* "oci:dir" means a path of this process: the daemon wants it absolute. */
static char *image_given(const char *ref)
{
    char here[4096];
    if (!is_layout(ref) || ref[4] == '/' || !getcwd(here, sizeof here))
        return cli_strdup(ref);
    const char *rest = ref + 4;
    while (strncmp(rest, "./", 2) == 0)
        rest += 2;
    return cli_strf("oci:%s/%s", here, rest);
}

static bool valid_reference(struct cli *cli, const char *ref)
{
    if (is_layout(ref))
        return true; /* the daemon knows */
    bool upper = false, odd = !*ref;
    size_t name = strcspn(ref, "@");
    const char *colon = tag_at(ref);
    if (colon && !has_digest(ref))
        name = (size_t)(colon - ref);
    const char *slash = strchr(ref, '/');
    for (size_t i = 0; i < name; i++) {
        bool in_host = slash && i < (size_t)(slash - ref);
        upper = upper || (ref[i] >= 'A' && ref[i] <= 'Z' && !in_host);
        odd =
            odd || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:[]",
                           ref[i]);
    }
    if (odd)
        (void)cli_fail(cli, "invalid reference format");
    else if (upper)
        (void)cli_fail(cli, "invalid reference format: repository name (%s%.*s) must be lowercase",
                       slash ? "" : "library/", (int)name, ref);
    return !odd && !upper;
}

int run_image_pull(struct cli *cli, const struct cli_args *args)
{
    dray_autofree char *ref = image_given(args->argv[0]);
    bool all = cli_bool(args, "all-tags"), quiet = cli_bool(args, "quiet");
    if (!valid_reference(cli, ref))
        return cli_report(cli);
    if (all && (has_digest(ref) || tag_at(ref))) {
        (void)cli_fail(cli, "tag can't be used with --all-tags/-a");
        return cli_report(cli);
    }
    if (!all && !has_digest(ref) && !tag_at(ref) && !quiet)
        (void)printf("Using default tag: latest\n"), (void)fflush(stdout);
    if (pull(cli, ref, all, cli_str(args, "platform"), quiet ? NULL : stdout) != 0)
        return cli_report(cli);
    dray_autofree char *full = canonical(ref);
    const char *colon = all ? tag_at(full) : NULL;
    (void)printf("%.*s\n", colon ? (int)(colon - full) : (int)strlen(full), full);
    return 0;
}

/* What went to the registry in place of an index of which not all was here; "" when none did. */
struct pushed_part {
    char index[80], pushed[80];
};

static void note_part(struct json_object *aux, void *arg)
{
    struct pushed_part *part = arg;
    if (!dray_json_bool(aux, "manifestPushedInsteadOfIndex", false))
        return;
    (void)snprintf(part->index, sizeof part->index, "%s",
                   dray_json_str(aux, "originalIndex.digest", ""));
    (void)snprintf(part->pushed, sizeof part->pushed, "%s",
                   dray_json_str(aux, "selectedManifest.digest", ""));
}

static int push_one(struct cli *cli, const char *name, const char *tag, const char *platform,
                    FILE *out)
{
    DRAY_AUTO(dray_buf) path = {0};
    struct http_conn *c = NULL;
    dray_autofree char *registry = config_registry_of(name);
    dray_autofree char *auth = config_auth_header(cli, registry);
    dray_buf_adds(&path, "/images");
    api_piece(&path, name);
    dray_buf_adds(&path, "/push");
    api_query(&path, "tag", tag);
    api_platform(&path, "platform", platform);
    struct api_request r = {.method = "POST", .path = path.data, .headers = auth};
    if (api_open(cli, &r, &c) != 0)
        return -1;
    struct pushed_part part = {"", ""};
    int rc = progress_show(cli, c, out, note_part, &part);
    api_done(cli, c);
    if (rc == 0 && out && part.pushed[0])
        (void)fprintf(out,
                      "\n Info → Not all multiplatform-content is present and only the available "
                      "single-platform image was pushed\n        %s -> %s\n",
                      part.index, part.pushed);
    return rc;
}

int run_image_push(struct cli *cli, const struct cli_args *args)
{
    dray_autofree char *ref = image_given(args->argv[0]);
    const char *colon = tag_at(ref);
    bool all = cli_bool(args, "all-tags"), quiet = cli_bool(args, "quiet");
    if (!valid_reference(cli, ref))
        return cli_report(cli);
    if (all && colon) {
        (void)cli_fail(cli, "tag can't be used with --all-tags/-a");
        return cli_report(cli);
    }
    if (!all && !colon && !quiet)
        (void)printf("Using default tag: latest\n"), (void)fflush(stdout);
    dray_autofree char *name = colon ? cli_strf("%.*s", (int)(colon - ref), ref) : cli_strdup(ref);
    dray_autofree char *full = canonical(ref);
    if (push_one(cli, name,
                 all     ? NULL
                 : colon ? colon + 1
                         : "latest",
                 cli_str(args, "platform"), quiet ? NULL : stdout) != 0)
        return cli_report(cli);
    if (quiet)
        (void)printf("%s\n", full);
    return 0;
}

int run_image_save(struct cli *cli, const struct cli_args *args)
{
    const char *file = cli_str(args, "output");
    dray_autofd int fd = -EBADF;
    struct http_conn *c = NULL;
    DRAY_AUTO(dray_buf) path = {0};
    if (!file && isatty(STDOUT_FILENO)) {
        (void)cli_fail(cli, "cowardly refusing to save to a terminal. Use the -o flag or redirect");
        return cli_report(cli);
    }
    dray_buf_adds(&path, "/images/get");
    for (int i = 0; i < args->argc; i++)
        api_query(&path, "names", args->argv[i]);
    api_platform(&path, "platform", cli_str(args, "platform"));
    struct api_request r = {.method = "GET", .path = path.data};
    if (api_open(cli, &r, &c) != 0)
        return cli_report(cli);
    if (file)
        fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = file && fd < 0
                 ? cli_fail(cli, "failed to save image: open %s: %s", file, cli_strerror(errno))
                 : api_copy_out(cli, c, file ? fd : STDOUT_FILENO);
    api_done(cli, c);
    return rc == 0 ? 0 : cli_report(cli);
}

/* An archive to be sent; -1 after it was reported. */
static int open_archive(struct cli *cli, const char *file)
{
    struct stat st;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        (void)cli_fail(cli, "open %s: %s", file, cli_strerror(errno));
    else if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        (void)cli_fail(cli, "read %s: is a directory", file);
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

int run_image_load(struct cli *cli, const struct cli_args *args)
{
    const char *file = cli_str(args, "input");
    dray_autofd int fd = -EBADF;
    struct http_conn *c = NULL;
    bool quiet = cli_bool(args, "quiet") || !isatty(STDOUT_FILENO);
    if (file) {
        fd = open_archive(cli, file);
        if (fd < 0)
            return cli_report(cli);
    } else if (isatty(STDIN_FILENO)) {
        (void)cli_fail(cli, "requested load from stdin, but stdin is empty");
        return cli_report(cli);
    }
    DRAY_AUTO(dray_buf) path = {0};
    dray_buf_addf(&path, "/images/load?quiet=%d", quiet);
    api_platform(&path, "platform", cli_str(args, "platform"));
    struct api_request r = {
        .method = "POST", .path = path.data, .headers = "Content-Type: application/x-tar\r\n"};
    if (api_upload(cli, &r, file ? fd : STDIN_FILENO, &c) != 0)
        return cli_report(cli);
    int rc = progress_show(cli, c, stdout, NULL, NULL);
    api_done(cli, c);
    return rc == 0 ? 0 : cli_report(cli);
}

static char *import_path(const struct cli_args *args, const char *source)
{
    DRAY_AUTO(dray_buf) path = {0};
    DRAY_AUTO(dray_strlist) changes = {0};
    const char *ref = cli_arg(args, 1), *colon = ref ? tag_at(ref) : NULL;
    dray_buf_adds(&path, "/images/create");
    api_query(&path, "fromSrc", source);
    if (ref) {
        dray_autofree char *repo =
            colon ? cli_strf("%.*s", (int)(colon - ref), ref) : cli_strdup(ref);
        api_query(&path, "repo", repo);
        api_query(&path, "tag", colon ? colon + 1 : NULL);
    }
    api_query(&path, "message", cli_str(args, "message"));
    api_query(&path, "platform", cli_str(args, "platform"));
    cli_list(args, "change", &changes);
    for (size_t i = 0; i < changes.n; i++)
        api_query(&path, "changes", changes.v[i]);
    return dray_buf_steal(&path);
}

int run_image_import(struct cli *cli, const struct cli_args *args)
{
    const char *source = args->argv[0];
    bool url = dray_str_prefix(source, "http://") || dray_str_prefix(source, "https://");
    bool is_stdin = strcmp(source, "-") == 0;
    dray_autofd int fd = -EBADF;
    struct http_conn *c = NULL;
    if (!url && !is_stdin) {
        fd = open_archive(cli, source);
        if (fd < 0)
            return cli_report(cli);
    }
    dray_autofree char *path = import_path(args, url ? source : "-");
    struct api_request r = {.method = "POST", .path = path};
    int rc = url ? api_open(cli, &r, &c) : api_upload(cli, &r, is_stdin ? STDIN_FILENO : fd, &c);
    if (rc != 0)
        return cli_report(cli);
    rc = progress_show(cli, c, stdout, NULL, NULL);
    api_done(cli, c);
    return rc == 0 ? 0 : cli_report(cli);
}
