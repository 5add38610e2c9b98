/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_session.c - lends to a build what it mounts: secrets, put before it begins, and connections
 * to ssh agents. One to each agent lies ready; when the build uses it, the next is opened.
 */
#include "client/build/build_session.h"

#include "client/api.h"
#include "client/spec/specs.h"

#include "base/fs.h"
#include "base/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define MAX_LINKS 64
/** Longest secret, as BuildKit has it. */
#define SECRET_MAX (500u << 10)

/** Where a secret comes from: a file or a variable of ours. */
struct secret {
    char *id, *file, *env;
};

/** An agent: its socket, and the program when we have started it for key files. */
struct agent {
    char *id, *socket;
    char *folder;
    pid_t program;
};

/** A connection that was lent: fd is the agent's, once something in the build has spoken. */
struct link {
    const struct agent *agent;
    struct http_conn *conn;
    int fd;
};

struct build_session {
    struct cli cli; /* its own connection */
    char id[33];
    struct secret *secrets;
    struct agent *agents;
    size_t n_secrets, n_agents;
    int stop; /* eventfd */
    pthread_t thread;
    bool started;
    struct link links[MAX_LINKS]; /* the thread's own */
    size_t n_links;
};

/* --- the flags ---------------------------------------------------------------------------------*/

static void secret_cleanup(struct secret *s)
{
    free(s->id);
    free(s->file);
    free(s->env);
    *s = (struct secret){0};
}

/* "id=x,src=file", "id=x,env=VAR", "id=x,type=env" */
static int parse_secret(const char *text, struct secret *out, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) fields = {0};
    bool env_type = false;
    if (!spec_csv(text, &fields))
        return dray_fail(err, DRAY_E_INVAL, "failed to parse csv secret");
    for (size_t i = 0; i < fields.n; i++) {
        const char *eq = strchr(fields.v[i], '=');
        if (!eq)
            return dray_fail(err, DRAY_E_INVAL, "invalid field '%s' must be a key=value pair",
                             fields.v[i]);
        size_t n = (size_t)(eq - fields.v[i]);
        bool is_type = n == 4 && strncasecmp(fields.v[i], "type", n) == 0;
        char **into = n == 2 && strncasecmp(fields.v[i], "id", n) == 0 ? &out->id
                      : (n == 3 && strncasecmp(fields.v[i], "src", n) == 0) ||
                              (n == 6 && strncasecmp(fields.v[i], "source", n) == 0)
                          ? &out->file
                      : n == 3 && strncasecmp(fields.v[i], "env", n) == 0 ? &out->env
                                                                          : NULL;
        if (is_type && strcmp(eq + 1, "file") != 0 && strcmp(eq + 1, "env") != 0)
            return dray_fail(err, DRAY_E_INVAL, "unsupported secret type \"%s\"", eq + 1);
        env_type = env_type || (is_type && strcmp(eq + 1, "env") == 0);
        if (!into && !is_type)
            return dray_fail(err, DRAY_E_INVAL, "unexpected key '%.*s' in '%s'", (int)n,
                             fields.v[i], fields.v[i]);
        if (into) {
            free(*into);
            *into = cli_strdup(eq + 1);
        }
    }
    if (!out->id || !*out->id)
        return dray_fail(err, DRAY_E_INVAL, "secret missing ID");
    if (env_type && !out->env)
        out->env = dray_steal(out->file);
    return 0;
}

int build_secret_check(const char *text, struct dray_err *err)
{
    DRAY_AUTO(secret) s = {0};
    return parse_secret(text, &s, err);
}

int build_ssh_check(const char *text, struct dray_err *err)
{
    return *text && *text != '=' ? 0 : dray_fail(err, DRAY_E_INVAL, "invalid ssh id %s", text);
}

static int add_secret(struct build_session *s, struct cli *cli, const char *text)
{
    struct dray_err err = {0};
    struct stat sb = {0};
    struct secret *x = &s->secrets[s->n_secrets];
    if (parse_secret(text, x, &err) != 0) {
        secret_cleanup(x);
        return cli_fail_err(cli, &err);
    }
    s->n_secrets++;
    if (!x->env && !x->file)
        *(getenv(x->id) ? &x->env : &x->file) = cli_strdup(x->id);
    if (x->file && stat(x->file, &sb) != 0)
        return cli_fail(cli, "failed to stat %s: stat %s: %s", x->file, x->file,
                        cli_strerror(errno));
    if (x->file && sb.st_size > SECRET_MAX)
        return cli_fail(cli, "secret %s too big. max size 500KB", x->id);
    return 0;
}

/* --- an agent for key files --------------------------------------------------------------------*/

static char *find_program(const char *name)
{
    const char *path = getenv("PATH");
    for (path = path ? path : "/usr/bin:/bin"; *path;) {
        size_t n = strcspn(path, ":");
        char *full = cli_strf("%.*s/%s", (int)n, path, name);
        if (access(full, X_OK) == 0)
            return full;
        free(full);
        path += n + (path[n] == ':');
    }
    return NULL;
}

static int connect_to(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        return -1;
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static int add_keys(struct cli *cli, const struct agent *a, const struct dray_strlist *keys)
{
    dray_autofree char *program = find_program("ssh-add");
    dray_autofree char *variable = cli_strf("SSH_AUTH_SOCK=%s", a->socket);
    dray_autofree const char **argv = cli_need(calloc(keys->n + 3, sizeof *argv));
    const char *envp[] = {variable, "PATH=/usr/bin:/bin", NULL};
    int fds[3] = {STDIN_FILENO, -1, STDERR_FILENO}, status = 0;
    struct dray_err err = {0};
    pid_t pid = 0;
    argv[0] = program;
    argv[1] = "-q";
    for (size_t i = 0; i < keys->n; i++)
        argv[i + 2] = keys->v[i];
    const struct dray_spawn sp = {.argv = argv, .envp = envp, .fds = fds, .n_fds = 3};
    if (!program)
        return cli_fail(cli, "ssh keys need the ssh-add program");
    if (dray_spawn(&sp, &pid, &err) != 0)
        return cli_fail_err(cli, &err);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status == 0 ? 0 : cli_fail(cli, "failed to parse %s: it is no ssh key", keys->v[0]);
}

static int start_agent(struct cli *cli, struct agent *a, const struct dray_strlist *keys)
{
    char folder[] = "/tmp/dray-ssh.XXXXXX";
    dray_autofree char *program = find_program("ssh-agent");
    struct dray_err err = {0};
    int fds[3] = {-1, -1, -1};
    if (!program || !mkdtemp(folder))
        return cli_fail(cli, "ssh keys need the ssh-agent program");
    a->folder = cli_strdup(folder);
    free(a->socket);
    a->socket = cli_strf("%s/agent", folder);
    const char *argv[] = {program, "-D", "-a", a->socket, NULL};
    const struct dray_spawn sp = {.argv = argv, .fds = fds, .n_fds = 3};
    if (dray_spawn(&sp, &a->program, &err) != 0)
        return cli_fail_err(cli, &err);
    for (int i = 0; i < 100; i++) {
        dray_autofd int fd = connect_to(a->socket);
        if (fd >= 0)
            return add_keys(cli, a, keys);
        (void)poll(NULL, 0, 20);
    }
    return cli_fail(cli, "ssh-agent does not start");
}

static void end_agent(struct agent *a)
{
    if (a->program > 0) {
        (void)kill(a->program, SIGTERM);
        while (waitpid(a->program, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (a->folder) {
        (void)unlink(a->socket);
        (void)rmdir(a->folder);
    }
    free(a->id);
    free(a->socket);
    free(a->folder);
}

/* "default", "id=/path/to/agent", "id=key,key" */
static int add_agent(struct build_session *s, struct cli *cli, const char *text)
{
    struct agent *a = &s->agents[s->n_agents++];
    const char *eq = strchr(text, '='), *path = eq ? eq + 1 : getenv("SSH_AUTH_SOCK");
    struct stat sb;
    a->id = eq ? cli_strf("%.*s", (int)(eq - text), text) : cli_strdup(text);
    if (!path || !*path)
        return cli_fail(cli, "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
    a->socket = cli_strdup(path);
    if (stat(path, &sb) == 0 && S_ISSOCK(sb.st_mode))
        return 0;
    DRAY_AUTO(dray_strlist) keys = {0};
    cli_need(dray_strlist_split(&keys, path, ',') ? a : NULL);
    for (size_t i = 0; i < keys.n; i++)
        if (stat(keys.v[i], &sb) != 0)
            return cli_fail(cli, "failed to open %s: %s", keys.v[i], cli_strerror(errno));
    return start_agent(cli, a, &keys);
}

/* --- secrets -----------------------------------------------------------------------------------*/

/* A text that is not left in memory. */
static void wipe(struct dray_buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    dray_buf_free(b);
}

static int read_secret(struct cli *cli, const struct secret *x, struct dray_buf *out)
{
    if (x->env) {
        const char *value = getenv(x->env);
        if (!value)
            return cli_fail(cli, "secret %s: the variable %s is not set", x->id, x->env);
        dray_buf_adds(out, value);
        return 0;
    }
    dray_autofd int fd = open(x->file, O_RDONLY | O_CLOEXEC);
    char *room = fd >= 0 ? dray_buf_room(out, SECRET_MAX + 1) : NULL;
    ssize_t n = room ? 1 : -1;
    while (n > 0 && out->len <= SECRET_MAX) {
        n = read(fd, room + out->len, SECRET_MAX + 1 - out->len);
        out->len += n > 0 ? (size_t)n : 0;
        n = n < 0 && errno == EINTR ? 1 : n;
    }
    if (n < 0)
        return cli_fail(cli, "open %s: %s", x->file, cli_strerror(errno));
    return out->len <= SECRET_MAX ? 0 : cli_fail(cli, "secret %s too big. max size 500KB", x->id);
}

static int put_secret(struct build_session *s, struct cli *cli, const struct secret *x)
{
    struct dray_buf value = {0};
    DRAY_AUTO(dray_buf) path = {0};
    struct http_conn *c = NULL;
    dray_buf_addf(&path, "/build/session/%s/secrets", s->id);
    api_piece(&path, x->id);
    int rc = read_secret(cli, x, &value);
    dray_autofree char *head =
        cli_strf("Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n");
    const struct api_request r = {.method = "PUT", .path = path.data, .headers = head};
    if (rc == 0)
        rc = api_begin(cli, &r, &c);
    if (rc == 0) {
        if (value.len)
            (void)http_send_chunk(c, value.data, value.len, NULL);
        (void)http_send_chunk(c, NULL, 0, NULL);
        rc = api_await(cli, &c);
    }
    if (c)
        api_done(cli, c);
    wipe(&value);
    return rc;
}

/* --- agents ------------------------------------------------------------------------------------*/

/* One more connection that lies ready. */
static int lend(struct build_session *s, const struct agent *a)
{
    DRAY_AUTO(dray_buf) path = {0};
    struct http_conn *c = NULL;
    if (s->n_links == MAX_LINKS)
        return 0;
    dray_buf_addf(&path, "/build/session/%s/ssh", s->id);
    api_piece(&path, a->id);
    const struct api_request r = {
        .method = "POST", .path = path.data, .headers = "Connection: Upgrade\r\nUpgrade: tcp\r\n"};
    if (api_open(&s->cli, &r, &c) != 0)
        return -1;
    s->links[s->n_links++] = (struct link){a, c, -1};
    return 0;
}

static void end_link(struct build_session *s, size_t i)
{
    http_close(s->links[i].conn);
    if (s->links[i].fd >= 0)
        (void)close(s->links[i].fd);
    s->links[i] = s->links[--s->n_links];
}

/* Bytes from the build for the agent; false: the link is over. */
static bool to_agent(struct build_session *s, size_t i)
{
    char buf[16384];
    struct link *l = &s->links[i];
    ssize_t n = http_raw_read(l->conn, buf, sizeof buf);
    if (n <= 0)
        return false;
    if (l->fd < 0) {
        l->fd = connect_to(l->agent->socket);
        if (l->fd < 0 || lend(s, l->agent) != 0)
            return false;
        l = &s->links[i];
    }
    for (ssize_t at = 0; at < n;) {
        ssize_t k = send(l->fd, buf + at, (size_t)(n - at), MSG_NOSIGNAL);
        if (k < 0 && errno != EINTR)
            return false;
        at += k > 0 ? k : 0;
    }
    return true;
}

static bool from_agent(struct build_session *s, size_t i)
{
    char buf[16384];
    struct link *l = &s->links[i];
    ssize_t n = recv(l->fd, buf, sizeof buf, 0);
    for (ssize_t at = 0; at < n;) {
        ssize_t k = http_raw_write(l->conn, buf + at, (size_t)(n - at));
        if (k <= 0)
            return false;
        at += k;
    }
    return n > 0;
}

/* Two descriptors a link; the agent's is -1, which poll passes over, while the link lies ready. */
static void *serve(void *arg)
{
    struct build_session *s = arg;
    while (s->n_links) {
        struct pollfd p[1 + 2 * MAX_LINKS] = {{s->stop, POLLIN, 0}};
        size_t n = s->n_links;
        bool pending = false;
        for (size_t i = 0; i < n; i++) {
            p[1 + 2 * i] = (struct pollfd){s->links[i].conn->fd, POLLIN, 0};
            p[2 + 2 * i] = (struct pollfd){s->links[i].fd, POLLIN, 0};
            pending = pending || http_raw_pending(s->links[i].conn);
        }
        if (poll(p, 1 + 2 * n, pending ? 0 : -1) < 0 && errno != EINTR)
            break;
        if (p[0].revents)
            break;
        for (size_t i = n; i-- > 0;) {
            bool ok = true;
            if (p[1 + 2 * i].revents || http_raw_pending(s->links[i].conn))
                ok = to_agent(s, i);
            if (ok && p[2 + 2 * i].revents)
                ok = from_agent(s, i);
            if (!ok)
                end_link(s, i);
        }
    }
    return NULL;
}

/* --- begin and end -----------------------------------------------------------------------------*/

static int make_id(struct cli *cli, char out[33])
{
    unsigned char bytes[16];
    dray_autofd int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes)
        return cli_fail(cli, "open /dev/urandom: %s", cli_strerror(errno));
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

int build_session_new(struct cli *cli, const struct dray_strlist *secrets,
                      const struct dray_strlist *agents, struct build_session **out)
{
    *out = NULL;
    if (secrets->n + agents->n == 0)
        return 0;
    struct build_session *s = cli_need(calloc(1, sizeof *s));
    s->cli = *cli;
    memset(s->cli.idle, 0, sizeof s->cli.idle);
    s->cli.error = (struct dray_buf){0};
    s->secrets = cli_need(calloc(secrets->n + 1, sizeof *s->secrets));
    s->agents = cli_need(calloc(agents->n + 1, sizeof *s->agents));
    s->stop = eventfd(0, EFD_CLOEXEC);
    int rc = make_id(cli, s->id);
    for (size_t i = 0; rc == 0 && i < secrets->n; i++)
        rc = add_secret(s, cli, secrets->v[i]);
    for (size_t i = 0; rc == 0 && i < agents->n; i++)
        rc = add_agent(s, cli, agents->v[i]);
    if (rc != 0)
        build_session_free(s);
    else
        *out = s;
    return rc;
}

int build_session_start(struct build_session *s, struct cli *cli)
{
    s->cli.version = cli->version;
    s->cli.version_known = true;
    for (size_t i = 0; i < s->n_secrets; i++)
        if (put_secret(s, cli, &s->secrets[i]) != 0)
            return -1;
    for (size_t i = 0; i < s->n_agents; i++)
        if (lend(s, &s->agents[i]) != 0)
            return cli_fail(cli, "the ssh agent cannot be forwarded: %s",
                            s->cli.error.data ? s->cli.error.data : "");
    if (s->n_agents == 0)
        return 0;
    s->started = pthread_create(&s->thread, NULL, serve, s) == 0;
    return s->started ? 0 : cli_fail(cli, "out of threads");
}

const char *build_session_id(const struct build_session *s)
{
    return s->id;
}

void build_session_free(struct build_session *s)
{
    uint64_t one = 1;
    if (!s)
        return;
    if (s->started) {
        (void)!write(s->stop, &one, sizeof one);
        (void)pthread_join(s->thread, NULL);
    }
    while (s->n_links)
        end_link(s, s->n_links - 1);
    for (size_t i = 0; i < s->n_secrets; i++)
        secret_cleanup(&s->secrets[i]);
    for (size_t i = 0; i < s->n_agents; i++)
        end_agent(&s->agents[i]);
    api_forget(&s->cli);
    dray_buf_free(&s->cli.error);
    dray_cleanup_fd(&s->stop);
    free(s->secrets);
    free(s->agents);
    free(s);
}
