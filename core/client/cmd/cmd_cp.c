/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_cp.c - cp between a container and here, with docker cp's rules of naming. */
#include "client/api.h"
#include "client/commands.h"
#include "client/config.h"
#include "client/copy.h"
#include "client/units.h"

#include "base/fs.h"
#include "base/json.h"

#include <fcntl.h>
#include <unistd.h>

/* Go's os.FileMode bits, as the API's "mode" has them. */
#define GO_DIR (INT64_C(1) << 31)
#define GO_LINK (INT64_C(1) << 27)

/* "container:path" in parts; false for a path of ours. */
static bool split_arg(const char *arg, char **container, const char **path)
{
    const char *colon = strchr(arg, ':');
    *path = arg;
    if (*arg == '/' || *arg == '.' || !colon || colon == arg)
        return false;
    *container = cli_strf("%.*s", (int)(colon - arg), arg);
    *path = colon + 1;
    return true;
}

static void archive_path(struct dray_buf *b, const char *container, const char *path)
{
    dray_buf_adds(b, "/containers");
    api_piece(b, container);
    dray_buf_adds(b, "/archive");
    api_query(b, "path", path);
}

/* What the container has there. *stat_out is NULL when it has nothing. */
static int stat_path(struct cli *cli, const char *container, const char *path,
                     struct json_object **stat_out)
{
    DRAY_AUTO(dray_buf) url = {0};
    DRAY_AUTO(dray_buf) plain = {0};
    struct http_conn *c = NULL;
    char packed[8192] = "";
    archive_path(&url, container, path);
    struct api_request r = {.method = "HEAD", .path = url.data};
    *stat_out = NULL;
    if (api_ping(cli) != 0 || api_begin(cli, &r, &c) != 0)
        return -1;
    struct dray_err err = {0};
    if (http_reply(c, &err) != 0) {
        http_close(c);
        return cli_fail_err(cli, &err);
    }
    int status = cli->status = c->status;
    bool found = http_header(c, "x-docker-container-path-stat", packed, sizeof packed);
    http_close(c); /* the answer to HEAD has no body, whatever its length says */
    if (status == 404)
        return 0;
    if (status != 200 || !found || !config_unbase64(&plain, packed))
        return cli_fail(cli, "Error response from daemon: cannot stat %s:%s (status %d)", container,
                        path, status);
    return dray_json_parse(plain.data ? plain.data : "", plain.len, stat_out, &err) == 0
               ? 0
               : cli_fail_err(cli, &err);
}

static int not_found(struct cli *cli, const char *container, const char *path)
{
    dray_autojson *doc = NULL;
    DRAY_AUTO(dray_buf) url = {0};
    dray_buf_adds(&url, "/containers");
    api_piece(&url, container);
    dray_buf_adds(&url, "/json");
    if (api_call(cli, "GET", url.data, NULL, &doc) != 0)
        return -1;
    return cli_fail(cli, "Error response from daemon: Could not find the file %s in container %s",
                    path, container);
}

/* The path with a link at its end followed, inside the container. Caller frees. */
static char *follow(const char *path, struct json_object *st)
{
    const char *target = dray_json_str(st, "linkTarget", "");
    if (!(dray_json_int(st, "mode", 0) & GO_LINK) || !*target)
        return cli_strdup(path);
    if (*target == '/')
        return cli_strdup(target);
    const char *slash = strrchr(path, '/');
    return slash ? cli_strf("%.*s/%s", (int)(slash - path), path, target) : cli_strdup(target);
}

static ssize_t read_body(void *arg, void *buf, size_t n)
{
    return http_read(arg, buf, n);
}

static void say_done(const struct cli_args *args, int64_t bytes, const char *to)
{
    char size[UNITS_LEN];
    bool quiet = cli_given(args, "quiet") ? cli_bool(args, "quiet") : !isatty(STDERR_FILENO);
    units_human_size((double)bytes, 3, size);
    if (!quiet)
        (void)fprintf(stderr, "Successfully copied %s to %s\n", size, to);
}

static int copy_out(struct cli *cli, const struct cli_args *args, const char *container,
                    const char *from, const char *to)
{
    dray_autojson *st = NULL;
    struct http_conn *c = NULL;
    DRAY_AUTO(dray_buf) url = {0};
    if (stat_path(cli, container, from, &st) != 0 || (!st && not_found(cli, container, from) != 0))
        return -1;
    dray_autofree char *path = cli_bool(args, "follow-link") ? follow(from, st) : cli_strdup(from);
    if (strcmp(path, from) != 0) {
        json_object_put(st);
        st = NULL;
        if (stat_path(cli, container, path, &st) != 0 ||
            (!st && not_found(cli, container, path) != 0))
            return -1;
    }
    archive_path(&url, container, path);
    struct api_request r = {.method = "GET", .path = url.data};
    if (api_open(cli, &r, &c) != 0)
        return -1;
    if (strcmp(to, "-") == 0) {
        int rc = api_copy_out(cli, c, STDOUT_FILENO);
        api_done(cli, c);
        return rc;
    }
    const char *own = strrchr(path, '/'), *asked = strrchr(from, '/');
    own = own ? own + 1 : path;
    asked = asked ? asked + 1 : from;
    bool followed = strcmp(path, from) != 0;
    struct copy_in in = {.read = read_body,
                         .arg = c,
                         .is_dir = dray_json_int(st, "mode", 0) & GO_DIR,
                         .name = followed ? own : dray_json_str(st, "name", ""),
                         .rename = followed ? asked : NULL,
                         .keep_owner = cli_bool(args, "archive")};
    struct dray_err err = {0};
    int rc = copy_extract(&in, to, &err);
    http_close(c);
    if (rc != 0)
        return cli_fail_err(cli, &err);
    say_done(args, in.bytes, to);
    return 0;
}

/* Where in the container the copy goes, by what is there already. */
struct target {
    char *dir;  /* folder that is extracted into */
    char *name; /* new name of the top entry, or NULL */
};

static char *parent_of(const char *path, const char **base)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    const char *slash = memrchr(path, '/', len);
    *base = slash ? slash + 1 : path;
    if (!slash)
        return cli_strdup("/");
    return slash == path ? cli_strdup("/") : cli_strf("%.*s", (int)(slash - path), path);
}

static int find_target(struct cli *cli, const char *container, const char *to, bool src_dir,
                       struct target *t)
{
    dray_autojson *st = NULL;
    const char *base = NULL;
    if (stat_path(cli, container, to, &st) != 0)
        return -1;
    dray_autofree char *path = st ? follow(to, st) : cli_strdup(to);
    if (st && (dray_json_int(st, "mode", 0) & GO_LINK)) {
        json_object_put(st);
        st = NULL;
        if (stat_path(cli, container, path, &st) != 0)
            return -1;
    }
    bool is_dir = st && (dray_json_int(st, "mode", 0) & GO_DIR);
    size_t len = strlen(path);
    bool wants_dir = len && (path[len - 1] == '/' || dray_str_suffix(path, "/."));
    if (is_dir) {
        t->dir = dray_steal(path);
        return 0;
    }
    if (st && src_dir)
        return cli_fail(cli, "cannot copy directory");
    if (!src_dir && wants_dir)
        return cli_fail(cli, st ? "not a directory" : "no such directory");
    t->dir = parent_of(path, &base);
    t->name = cli_strf("%.*s", (int)strcspn(base, "/"), base);
    return 0;
}

/* A request body being written. */
struct upload {
    struct http_conn *conn;
    int64_t bytes;
    struct dray_buf buf;
};

static int upload_flush(struct upload *u)
{
    int rc = u->buf.len ? http_send_chunk(u->conn, u->buf.data, u->buf.len, NULL) : 0;
    u->buf.len = 0;
    return rc;
}

static int upload_write(void *arg, const void *data, size_t n)
{
    struct upload *u = arg;
    u->bytes += (int64_t)n;
    dray_buf_add(&u->buf, data, n);
    return u->buf.len >= 65536 ? upload_flush(u) : 0;
}

static char *put_path(const struct cli_args *args, const char *container, const char *dir)
{
    DRAY_AUTO(dray_buf) url = {0};
    archive_path(&url, container, dir);
    dray_buf_adds(&url, "&noOverwriteDirNonDir=true");
    if (cli_bool(args, "archive"))
        dray_buf_adds(&url, "&copyUIDGID=true");
    return dray_buf_steal(&url);
}

static int send_tree(struct cli *cli, const struct cli_args *args, const char *container,
                     const char *from, const struct target *t, int64_t *bytes)
{
    dray_autofree char *url = put_path(args, container, t->dir);
    struct api_request r = {.method = "PUT",
                            .path = url,
                            .headers = "Content-Type: application/x-tar\r\n"
                                       "Transfer-Encoding: chunked\r\n"};
    struct upload u = {0};
    struct dray_err err = {0};
    if (api_begin(cli, &r, &u.conn) != 0)
        return -1;
    int rc = copy_pack(from, t->name, cli_bool(args, "follow-link"), upload_write, &u, &err);
    bool local = rc != 0 && rc != DRAY_E_IO;
    if (rc == 0 && upload_flush(&u) == 0)
        (void)http_send_chunk(u.conn, NULL, 0, NULL);
    dray_buf_free(&u.buf);
    if (local) {
        http_close(u.conn);
        return cli_fail_err(cli, &err);
    }
    *bytes = u.bytes;
    if (api_await(cli, &u.conn) != 0)
        return -1;
    api_done(cli, u.conn);
    return 0;
}

static int copy_stdin(struct cli *cli, const struct cli_args *args, const char *container,
                      const char *to)
{
    dray_autojson *st = NULL;
    struct http_conn *c = NULL;
    if (stat_path(cli, container, to, &st) != 0 || (!st && not_found(cli, container, to) != 0))
        return -1;
    if (!(dray_json_int(st, "mode", 0) & GO_DIR) && !(dray_json_int(st, "mode", 0) & GO_LINK))
        return cli_fail(cli, "destination \"%s:%s\" must be a directory", container, to);
    dray_autofree char *url = put_path(args, container, to);
    struct api_request r = {
        .method = "PUT", .path = url, .headers = "Content-Type: application/x-tar\r\n"};
    if (api_upload(cli, &r, STDIN_FILENO, &c) != 0)
        return -1;
    api_done(cli, c);
    return 0;
}

static int copy_into(struct cli *cli, const struct cli_args *args, const char *from,
                     const char *container, const char *to)
{
    struct target t = {0};
    struct stat sb;
    int64_t bytes = 0;
    if (strcmp(from, "-") == 0)
        return copy_stdin(cli, args, container, to);
    bool link = !cli_bool(args, "follow-link");
    if ((link ? lstat(from, &sb) : stat(from, &sb)) != 0)
        return cli_fail(cli, "lstat %s: %s", from,
                        errno == ENOENT ? "no such file or directory" : cli_strerror(errno));
    size_t len = strlen(from);
    if (S_ISLNK(sb.st_mode) && from[len - 1] == '/' && stat(from, &sb) != 0)
        return cli_fail(cli, "stat %s: %s", from, cli_strerror(errno));
    int rc = find_target(cli, container, to, S_ISDIR(sb.st_mode), &t);
    if (rc == 0)
        rc = send_tree(cli, args, container, from, &t, &bytes);
    free(t.dir);
    free(t.name);
    if (rc == 0) {
        dray_autofree char *shown = cli_strf("%s:%s", container, to);
        say_done(args, bytes, shown);
    }
    return rc;
}

int run_container_cp(struct cli *cli, const struct cli_args *args)
{
    dray_autofree char *src = NULL;
    dray_autofree char *dst = NULL;
    const char *from = NULL, *to = NULL;
    bool out = split_arg(args->argv[0], &src, &from), in = split_arg(args->argv[1], &dst, &to);
    int rc = -1;
    if (!*args->argv[0])
        (void)cli_fail(cli, "source can not be empty");
    else if (!*args->argv[1])
        (void)cli_fail(cli, "destination can not be empty");
    else if (out && in)
        (void)cli_fail(cli, "copying between containers is not supported");
    else if (!out && !in)
        (void)cli_fail(cli, "must specify at least one container source");
    else
        rc = out ? copy_out(cli, args, src, from, to) : copy_into(cli, args, from, dst, to);
    return rc == 0 ? 0 : cli_report(cli);
}
