/* SPDX-License-Identifier: Apache-2.0 */
/* build_context.c - finds out what dray build was given: the context, the Dockerfile, the patterns.
 */
#include "client/build/build.h"

#include "base/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define DEFAULT_NAME "Dockerfile"
#define MAX_TEXT (4u << 20)

void build_context_cleanup(struct build_context *c)
{
    free(c->dir);
    free(c->dockerfile);
    dray_buf_free(&c->text);
    dray_buf_free(&c->text_ignore);
    dray_ignore_free(&c->ignore);
}

static bool is_remote(const char *where)
{
    static const char *const prefixes[] = {"http://", "https://", "git://",
                                           "git@",    "ssh://",   "github.com/"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (dray_str_prefix(where, prefixes[i]))
            return true;
    return false;
}

static int read_all(struct cli *cli, int fd, const char *what, struct dray_buf *out)
{
    for (;;) {
        char *room = dray_buf_room(out, 65536);
        ssize_t n = room ? read(fd, room, 65536) : -1;
        if (n < 0 && room && errno == EINTR)
            continue;
        if (n < 0)
            return cli_fail(cli, "failed to read %s: %s", what, cli_strerror(errno));
        if (n == 0)
            return 0;
        out->len += (size_t)n;
        if (out->len > MAX_TEXT)
            return cli_fail(cli, "failed to read %s: larger than %u bytes", what, MAX_TEXT);
    }
}

/* A small file: 1, or 0 when there is none. */
static int read_small(struct cli *cli, const char *path, struct dray_buf *out)
{
    dray_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (fd < 0)
        return cli_fail(cli, "open %s: %s", path, cli_strerror(errno));
    return read_all(cli, fd, path, out) == 0 ? 1 : -1;
}

/* --- stdin -------------------------------------------------------------------------------------*/

static bool magic(const struct build_context *c, const char *bytes, size_t n)
{
    return c->n_head >= n && memcmp(c->head, bytes, n) == 0;
}

static bool is_archive(const struct build_context *c)
{
    return magic(c, "\x1f\x8b", 2) || magic(c, "BZh", 3) ||
           magic(c,
                 "\xfd"
                 "7zXZ",
                 5) ||
           magic(c, "\x28\xb5\x2f\xfd", 4) ||
           (c->n_head == 512 &&
            (memcmp(c->head + 257, "ustar", 5) == 0 || memchr(c->head, 0, 512)));
}

static int open_stdin(struct cli *cli, const char *file, struct build_context *c)
{
    while (c->n_head < sizeof c->head) {
        ssize_t n = read(STDIN_FILENO, c->head + c->n_head, sizeof c->head - c->n_head);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cli_fail(cli, "failed to peek context header from STDIN: %s",
                            cli_strerror(errno));
        if (n == 0)
            break;
        c->n_head += (size_t)n;
    }
    if (is_archive(c)) {
        c->source = BUILD_ARCHIVE;
        c->dockerfile = file ? cli_strdup(file) : NULL;
        return 0;
    }
    if (file)
        return cli_fail(cli, "ambiguous Dockerfile source: both stdin and flag correspond to "
                             "Dockerfiles");
    c->source = BUILD_DOCKERFILE;
    c->has_text = true;
    c->dockerfile = cli_strdup(DEFAULT_NAME);
    dray_buf_add(&c->text, c->head, c->n_head);
    return read_all(cli, STDIN_FILENO, "Dockerfile from stdin", &c->text);
}

/* --- a folder ----------------------------------------------------------------------------------*/

static char *random_name(void)
{
    unsigned char bytes[10] = {0};
    char hex[21] = "";
    dray_autofd int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes)
        memset(bytes, getpid() & 255, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return cli_strf(".dockerfile.%s", hex);
}

/* The rest of path below dir, or NULL. */
static const char *below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    n -= n == 1; /* "/" */
    return strncmp(path, dir, n) == 0 && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

static int lost_dockerfile(struct cli *cli, const char *path)
{
    return cli_fail(cli,
                    "unable to prepare context: unable to evaluate symlinks in Dockerfile path: "
                    "lstat %s: %s",
                    path, cli_strerror(errno));
}

/* A Dockerfile that is not in the folder: its text is sent along under a name of its own. */
static int take_outside(struct cli *cli, struct build_context *c, const char *path)
{
    dray_autofree char *ignore = cli_strf("%s.dockerignore", path);
    c->dockerfile = random_name();
    c->has_text = true;
    if (read_small(cli, path, &c->text) != 1)
        return lost_dockerfile(cli, path);
    int rc = read_small(cli, ignore, &c->text_ignore);
    c->has_text_ignore = rc == 1;
    return rc < 0 ? -1 : 0;
}

/* An absolute path whose folders are real, the last part as it is named. */
static char *settle_path(const char *path)
{
    const char *slash = strrchr(path, '/');
    dray_autofree char *dir = slash == path ? cli_strdup("/")
                              : slash       ? cli_strf("%.*s", (int)(slash - path), path)
                                            : cli_strdup(".");
    dray_autofree char *real = realpath(dir, NULL);
    const char *base = slash ? slash + 1 : path;
    if (!real)
        return NULL;
    return cli_strf("%s%s%s", real, strcmp(real, "/") == 0 ? "" : "/", base);
}

static char *absolute(const char *path)
{
    dray_autofree char *cwd = getcwd(NULL, 0);
    char *whole = *path == '/' || !cwd ? cli_strf("%s", path) : cli_strf("%s/%s", cwd, path);
    dray_path_clean(whole);
    return whole;
}

/* The default is "Dockerfile", or "dockerfile" when only that is there. */
static char *default_dockerfile(const struct build_context *c)
{
    struct stat sb;
    char *path = cli_strf("%s/" DEFAULT_NAME, c->dir);
    dray_autofree char *small = cli_strf("%s/dockerfile", c->dir);
    if (lstat(path, &sb) != 0 && lstat(small, &sb) == 0) {
        free(path);
        path = cli_strdup(small);
    }
    return path;
}

static int find_dockerfile(struct cli *cli, const char *file, struct build_context *c)
{
    dray_autofree char *given = file ? absolute(file) : default_dockerfile(c);
    dray_autofree char *path = settle_path(given);
    struct stat sb;
    if (!path || stat(path, &sb) != 0)
        return lost_dockerfile(cli, given);
    const char *name = below(path, c->dir);
    /* A link that leads out of the folder is read here, where it leads somewhere. */
    dray_autofree char *real = realpath(path, NULL);
    if (!name || !real || !below(real, c->dir))
        return take_outside(cli, c, path);
    c->dockerfile = cli_strdup(name);
    return 0;
}

/* Files that the daemon needs go along, whatever the patterns say. */
static int keep(struct cli *cli, struct build_context *c, const char *name)
{
    struct dray_err err = {0};
    if (!dray_ignore_match(&c->ignore, name))
        return 0;
    dray_autofree char *pattern = cli_strf("!%s", name);
    return dray_ignore_add(&c->ignore, pattern, &err) == 0 ? 0 : cli_fail_err(cli, &err);
}

/* The patterns: those of the Dockerfile's own file, else of the folder's. */
static int read_ignore(struct cli *cli, struct build_context *c)
{
    DRAY_AUTO(dray_buf) text = {0};
    struct dray_err err = {0};
    dray_autofree char *own = cli_strf("%s.dockerignore", c->dockerfile);
    dray_autofree char *own_path = cli_strf("%s/%s", c->dir, own);
    dray_autofree char *path = cli_strf("%s/.dockerignore", c->dir);
    int rc = c->has_text ? c->has_text_ignore : read_small(cli, own_path, &text);
    bool has_own = rc == 1 && !c->has_text;
    if (c->has_text_ignore)
        dray_buf_add(&text, c->text_ignore.data ? c->text_ignore.data : "", c->text_ignore.len);
    if (rc == 0)
        rc = read_small(cli, path, &text);
    if (rc < 0)
        return -1;
    if (dray_ignore_parse(&c->ignore, text.data ? text.data : "", text.len, &err) != 0)
        return cli_fail(cli, "error checking context: %s", err.text);
    rc = keep(cli, c, ".dockerignore");
    if (rc == 0 && !c->has_text)
        rc = keep(cli, c, c->dockerfile);
    return rc == 0 && has_own ? keep(cli, c, own) : rc;
}

static int open_folder(struct cli *cli, const char *file, struct build_context *c)
{
    struct stat sb;
    c->source = BUILD_FOLDER;
    if (stat(c->where, &sb) != 0 && errno == ENOENT)
        return cli_fail(cli, "unable to prepare context: path \"%s\" not found", c->where);
    c->dir = realpath(c->where, NULL);
    if (!c->dir)
        return cli_fail(cli,
                        "unable to prepare context: unable to evaluate symlinks in context path: "
                        "%s: %s",
                        c->where, cli_strerror(errno));
    if (stat(c->dir, &sb) == 0 && !S_ISDIR(sb.st_mode))
        return cli_fail(cli, "unable to prepare context: context must be a directory: %s", c->dir);
    int rc = 0;
    if (file && strcmp(file, "-") == 0) {
        c->dockerfile = random_name();
        c->has_text = true;
        rc = read_all(cli, STDIN_FILENO, "Dockerfile from stdin", &c->text);
    } else {
        rc = find_dockerfile(cli, file, c);
    }
    return rc == 0 ? read_ignore(cli, c) : rc;
}

int build_context_open(struct cli *cli, const char *where, const char *file,
                       struct build_context *out)
{
    out->where = where;
    if (strcmp(where, "-") == 0 && file && strcmp(file, "-") == 0)
        return cli_fail(cli, "invalid argument: can't use stdin for both build context and "
                             "dockerfile");
    if (strcmp(where, "-") == 0)
        return open_stdin(cli, file, out);
    if (is_remote(where)) {
        out->source = BUILD_REMOTE;
        out->dockerfile = file ? cli_strdup(file) : NULL;
        if (file && strcmp(file, "-") == 0)
            return cli_fail(cli, "Dockerfile from stdin is not supported with a remote context");
        return 0;
    }
    return open_folder(cli, file, out);
}
