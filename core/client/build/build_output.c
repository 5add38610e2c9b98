/* SPDX-License-Identifier: Apache-2.0 */
/* build_output.c - -o of dray build: the image in a file, its files in a tar or a folder. */
#include "client/build/build.h"

#include "client/api.h"
#include "client/config.h"
#include "client/copy.h"
#include "client/progress.h"
#include "client/spec/specs.h"

#include "base/fs.h"
#include "base/json.h"

#include <fcntl.h>
#include <sys/stat.h>

static const char *const types[] = {"image", "docker", "oci", "tar", "local", "registry", NULL};

void build_output_cleanup(struct build_output *o)
{
    free(o->type);
    free(o->dest);
    free(o->name);
}

static int set_key(struct build_output *o, const char *field, struct dray_err *err)
{
    const char *eq = strchr(field, '=');
    if (!eq)
        return dray_fail(err, DRAY_E_INVAL, "invalid value %s", field);
    dray_autofree char *key = cli_strf("%.*s", (int)(eq - field), field);
    char **into = strcmp(key, "type") == 0   ? &o->type
                  : strcmp(key, "dest") == 0 ? &o->dest
                  : strcmp(key, "name") == 0 ? &o->name
                                             : NULL;
    if (into) {
        free(*into);
        *into = cli_strdup(eq + 1);
    } else if (strcmp(key, "push") == 0) {
        o->push = strcmp(eq + 1, "true") == 0 || strcmp(eq + 1, "1") == 0;
    } else {
        return dray_fail(err, DRAY_E_INVAL, "invalid output key \"%s\"", key);
    }
    return 0;
}

static int check_output(const struct build_output *o, struct dray_err *err)
{
    size_t i = 0;
    if (!o->type)
        return dray_fail(err, DRAY_E_INVAL, "type is required for output");
    while (types[i] && strcmp(types[i], o->type) != 0)
        i++;
    if (!types[i])
        return dray_fail(err, DRAY_E_INVAL, "exporter \"%s\" could not be found", o->type);
    if (strcmp(o->type, "local") == 0 && (!o->dest || strcmp(o->dest, "-") == 0))
        return dray_fail(err, DRAY_E_INVAL, "dest is required for local exporter");
    return 0;
}

int build_output_parse(const char *text, struct build_output *out, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) fields = {0};
    if (!spec_csv(text, &fields))
        return dray_fail(err, DRAY_E_INVAL, "invalid output %s", text);
    /* A single word is a folder, "-" a tar on stdout. */
    if (fields.n == 1 && !strchr(fields.v[0], '=')) {
        out->type = cli_strdup(strcmp(text, "-") == 0 ? "tar" : "local");
        out->dest = cli_strdup(fields.v[0]);
        return 0;
    }
    for (size_t i = 0; i < fields.n; i++) {
        int rc = set_key(out, fields.v[i], err);
        if (rc != 0)
            return rc;
    }
    return check_output(out, err);
}

int build_output_check(const char *text, struct dray_err *err)
{
    DRAY_AUTO(build_output) o = {0};
    return build_output_parse(text, &o, err);
}

static int open_dest(struct cli *cli, const struct build_output *o)
{
    if (!o->dest || strcmp(o->dest, "-") == 0) {
        if (isatty(STDOUT_FILENO))
            return cli_fail(cli,
                            "dest file is required for %s exporter. refusing to write to "
                            "console",
                            o->type);
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    }
    int fd = open(o->dest, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return fd >= 0 ? fd : cli_fail(cli, "open %s: %s", o->dest, cli_strerror(errno));
}

/* The image as "save" writes it: Docker's archive and an OCI layout in one. */
static int save(struct cli *cli, const struct build_output *o, const char *id,
                const struct dray_strlist *tags)
{
    DRAY_AUTO(dray_buf) path = {0};
    struct http_conn *c = NULL;
    dray_buf_adds(&path, "/images/get");
    for (size_t i = 0; i < tags->n; i++)
        api_query(&path, "names", tags->v[i]);
    if (tags->n == 0)
        api_query(&path, "names", id);
    const struct api_request r = {.method = "GET", .path = path.data};
    dray_autofd int fd = open_dest(cli, o);
    if (fd < 0 || api_open(cli, &r, &c) != 0)
        return -1;
    int rc = api_copy_out(cli, c, fd);
    api_done(cli, c);
    return rc;
}

/* A container that never runs, to read the image's files from. */
static int make_container(struct cli *cli, const char *id, char **out)
{
    dray_autojson *body = json_object_new_object(), *doc = NULL;
    struct json_object *cmd = json_object_new_array();
    json_object_array_add(cmd, json_object_new_string("/"));
    dray_json_add_str(body, "Image", id);
    dray_json_add(body, "Cmd", cmd);
    dray_json_add(body, "NetworkDisabled", json_object_new_boolean(true));
    if (api_call(cli, "POST", "/containers/create", body, &doc) != 0)
        return -1;
    *out = cli_strdup(dray_json_str(doc, "Id", ""));
    return 0;
}

static ssize_t read_export(void *arg, void *buf, size_t n)
{
    return http_read(arg, buf, n);
}

static int to_folder(struct cli *cli, const struct build_output *o, struct http_conn *c)
{
    struct dray_err err = {0};
    struct copy_in in = {.read = read_export, .arg = c, .name = "", .is_dir = true};
    if (mkdir(o->dest, 0755) != 0 && errno != EEXIST)
        return cli_fail(cli, "mkdir %s: %s", o->dest, cli_strerror(errno));
    return copy_extract(&in, o->dest, &err) == 0 ? 0 : cli_fail_err(cli, &err);
}

static int take_files(struct cli *cli, const struct build_output *o, struct http_conn *c, int fd)
{
    int rc = strcmp(o->type, "local") == 0 ? to_folder(cli, o, c) : api_copy_out(cli, c, fd);
    api_done(cli, c);
    return rc;
}

/* From a daemon that only exports containers. */
static int export_container(struct cli *cli, const struct build_output *o, const char *id, int fd)
{
    dray_autofree char *container = NULL;
    struct http_conn *c = NULL;
    if (make_container(cli, id, &container) != 0)
        return -1;
    dray_autofree char *path = cli_strf("/containers/%s/export", container);
    dray_autofree char *gone = cli_strf("/containers/%s?force=1&v=1", container);
    const struct api_request r = {.method = "GET", .path = path};
    int rc = api_open(cli, &r, &c);
    if (rc == 0)
        rc = take_files(cli, o, c, fd);
    DRAY_AUTO(dray_buf) why = {0};
    if (rc != 0)
        dray_buf_adds(&why, cli->error.data ? cli->error.data : "");
    if (api_call(cli, "DELETE", gone, NULL, NULL) != 0 && rc == 0)
        return -1;
    return rc == 0 ? 0 : cli_fail(cli, "%s", why.data);
}

static int export_files(struct cli *cli, const struct build_output *o, const char *id)
{
    struct http_conn *c = NULL;
    dray_autofd int fd = -EBADF;
    dray_autofree char *path = cli_strf("/images/%s/export", id);
    const struct api_request r = {.method = "GET", .path = path};
    if (strcmp(o->type, "local") != 0 && (fd = open_dest(cli, o)) < 0)
        return -1;
    if (api_open(cli, &r, &c) == 0)
        return take_files(cli, o, c, fd);
    return cli->status == 404 ? export_container(cli, o, id, fd) : -1;
}

static int push(struct cli *cli, const struct dray_strlist *tags)
{
    if (tags->n == 0)
        return cli_fail(cli, "tag is needed when pushing to registry");
    for (size_t i = 0; i < tags->n; i++) {
        DRAY_AUTO(dray_buf) path = {0};
        struct http_conn *c = NULL;
        const char *slash = strrchr(tags->v[i], '/');
        const char *colon = strrchr(slash ? slash : tags->v[i], ':');
        dray_autofree char *name = colon ? cli_strf("%.*s", (int)(colon - tags->v[i]), tags->v[i])
                                         : cli_strdup(tags->v[i]);
        dray_autofree char *registry = config_registry_of(name);
        dray_autofree char *auth = config_auth_header(cli, registry);
        dray_buf_adds(&path, "/images");
        api_piece(&path, name);
        dray_buf_adds(&path, "/push");
        api_query(&path, "tag", colon ? colon + 1 : "latest");
        const struct api_request r = {.method = "POST", .path = path.data, .headers = auth};
        if (api_open(cli, &r, &c) != 0)
            return -1;
        int rc = progress_show(cli, c, stderr, NULL, NULL);
        api_done(cli, c);
        if (rc != 0)
            return -1;
    }
    return 0;
}

int build_output_write(struct cli *cli, const struct build_output *o, const char *id,
                       const struct dray_strlist *tags)
{
    int rc = 0;
    if (strcmp(o->type, "tar") == 0 || strcmp(o->type, "local") == 0)
        rc = export_files(cli, o, id);
    else if (strcmp(o->type, "oci") == 0 || (strcmp(o->type, "docker") == 0 && o->dest))
        rc = save(cli, o, id, tags);
    if (rc == 0 && (o->push || strcmp(o->type, "registry") == 0))
        rc = push(cli, tags);
    return rc;
}
