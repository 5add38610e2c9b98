/* SPDX-License-Identifier: Apache-2.0 */
/* build_session.c - answers what a build asks: secrets from files and variables, the ssh agent. */
#include "client/build_session.h"

#include "client/api.h"
#include "client/specs.h"

#include "base/fs.h"
#include "base/peerwire.h"
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

#define MAX_CHANNELS 64

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

/** A connection from the build to an agent. */
struct channel {
    uint32_t number;
    int fd;
};

struct build_session {
    struct cli cli; /* its own connection */
    char id[33];
    struct secret *secrets;
    struct agent *agents;
    size_t n_secrets, n_agents;
    struct http_conn *conn;
    int stop; /* eventfd */
    pthread_t thread;
    bool started;
    struct channel channels[MAX_CHANNELS];
    size_t n_channels;
    struct dray_buf in;
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
    if (x->file && sb.st_size > PEER_SECRET_MAX)
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

/* --- answers -----------------------------------------------------------------------------------*/

static bool send_frame(struct build_session *s, enum peer_type type, uint32_t channel,
                       const void *data, size_t n)
{
    struct dray_buf b = {0};
    peer_put(&b, type, channel, data, n);
    bool ok = !b.failed;
    for (size_t at = 0; ok && at < b.len;) {
        ssize_t k = http_raw_write(s->conn, b.data + at, b.len - at);
        ok = k > 0;
        at += ok ? (size_t)k : 0;
    }
    peer_wipe(&b);
    return ok;
}

static bool send_file(struct build_session *s, uint32_t channel, const char *path)
{
    struct dray_buf b = {0};
    dray_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *room = fd >= 0 ? dray_buf_room(&b, PEER_SECRET_MAX + 1) : NULL;
    for (ssize_t n = 1; room && n > 0 && b.len <= PEER_SECRET_MAX;) {
        n = read(fd, room + b.len, PEER_SECRET_MAX + 1 - b.len);
        b.len += n > 0 ? (size_t)n : 0;
        if (n < 0 && errno != EINTR)
            room = NULL;
    }
    bool ok = room ? send_frame(s, PEER_VALUE, channel, b.data, b.len)
                   : send_frame(s, PEER_NONE, channel, "", 0);
    peer_wipe(&b);
    return ok;
}

static bool give_secret(struct build_session *s, uint32_t channel, const char *id)
{
    for (size_t i = 0; i < s->n_secrets; i++) {
        const struct secret *x = &s->secrets[i];
        if (strcmp(x->id, id) != 0)
            continue;
        const char *value = x->env ? getenv(x->env) : NULL;
        if (!x->env)
            return send_file(s, channel, x->file);
        return value ? send_frame(s, PEER_VALUE, channel, value, strlen(value))
                     : send_frame(s, PEER_NONE, channel, "", 0);
    }
    return send_frame(s, PEER_NONE, channel, "", 0);
}

static const struct agent *find_agent(const struct build_session *s, const char *id)
{
    for (size_t i = 0; i < s->n_agents; i++)
        if (strcmp(s->agents[i].id, id) == 0)
            return &s->agents[i];
    return NULL;
}

static bool open_channel(struct build_session *s, uint32_t number, const char *id)
{
    const struct agent *a = find_agent(s, id);
    int fd = a && s->n_channels < MAX_CHANNELS ? connect_to(a->socket) : -1;
    if (fd < 0)
        return send_frame(s, PEER_CLOSE, number, "", 0);
    s->channels[s->n_channels++] = (struct channel){number, fd};
    return true;
}

static void close_channel(struct build_session *s, size_t i)
{
    (void)close(s->channels[i].fd);
    s->channels[i] = s->channels[--s->n_channels];
}

static void take_data(struct build_session *s, const struct peer_frame *f)
{
    size_t i = 0;
    while (i < s->n_channels && s->channels[i].number != f->channel)
        i++;
    if (i == s->n_channels)
        return;
    bool ok = f->type == PEER_DATA;
    for (size_t at = 0; ok && at < f->n;) {
        ssize_t n = send(s->channels[i].fd, f->data + at, f->n - at, MSG_NOSIGNAL);
        ok = n > 0 || errno == EINTR;
        at += n > 0 ? (size_t)n : 0;
    }
    if (!ok)
        close_channel(s, i);
}

static bool take_frame(struct build_session *s, const struct peer_frame *f)
{
    dray_autofree char *id = cli_strf("%.*s", (int)f->n, f->data);
    switch (f->type) {
    case PEER_SECRET:
        return give_secret(s, f->channel, id);
    case PEER_QUERY:
        return send_frame(s, find_agent(s, id) ? PEER_VALUE : PEER_NONE, f->channel, "", 0);
    case PEER_OPEN:
        return open_channel(s, f->channel, id);
    case PEER_DATA:
    case PEER_CLOSE:
        take_data(s, f);
        return true;
    case PEER_VALUE:
    case PEER_NONE:
        break;
    }
    return false;
}

static bool read_daemon(struct build_session *s)
{
    char *room = dray_buf_room(&s->in, 65536);
    ssize_t n = room ? http_raw_read(s->conn, room, 65536) : -1;
    size_t from = 0;
    struct peer_frame f;
    if (n <= 0)
        return false;
    s->in.len += (size_t)n;
    while ((n = peer_take(s->in.data + from, s->in.len - from, &f)) > 0) {
        if (!take_frame(s, &f))
            return false;
        from += (size_t)n;
    }
    memmove(s->in.data, s->in.data + from, s->in.len - from);
    s->in.len -= from;
    return n == 0;
}

static bool read_channel(struct build_session *s, size_t i)
{
    char buf[16384];
    uint32_t number = s->channels[i].number;
    ssize_t n = recv(s->channels[i].fd, buf, sizeof buf, 0);
    if (n > 0)
        return send_frame(s, PEER_DATA, number, buf, (size_t)n);
    close_channel(s, i);
    return send_frame(s, PEER_CLOSE, number, "", 0);
}

static void *serve(void *arg)
{
    struct build_session *s = arg;
    for (bool ok = true; ok;) {
        struct pollfd p[2 + MAX_CHANNELS] = {{s->conn->fd, POLLIN, 0}, {s->stop, POLLIN, 0}};
        size_t n = s->n_channels;
        for (size_t i = 0; i < n; i++)
            p[2 + i] = (struct pollfd){s->channels[i].fd, POLLIN, 0};
        bool pending = http_raw_pending(s->conn);
        if (poll(p, 2 + n, pending ? 0 : -1) < 0 && errno != EINTR)
            break;
        if (p[1].revents)
            break;
        for (size_t i = n; ok && i-- > 0;)
            if (p[2 + i].revents)
                ok = read_channel(s, i);
        if (ok && (pending || p[0].revents))
            ok = read_daemon(s);
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
    dray_autofree char *path = cli_strf("/build/session?id=%s", s->id);
    const struct api_request r = {
        .method = "POST", .path = path, .headers = "Connection: Upgrade\r\nUpgrade: tcp\r\n"};
    s->cli.version = cli->version;
    s->cli.version_known = true;
    if (api_open(&s->cli, &r, &s->conn) != 0)
        return cli_fail(cli, "secrets and ssh agents cannot be forwarded: %s",
                        s->cli.error.data ? s->cli.error.data : "");
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
    if (s->conn)
        http_close(s->conn);
    while (s->n_channels)
        close_channel(s, 0);
    for (size_t i = 0; i < s->n_secrets; i++)
        secret_cleanup(&s->secrets[i]);
    for (size_t i = 0; i < s->n_agents; i++)
        end_agent(&s->agents[i]);
    api_forget(&s->cli);
    dray_buf_free(&s->cli.error);
    dray_cleanup_fd(&s->stop);
    peer_wipe(&s->in);
    free(s->secrets);
    free(s->agents);
    free(s);
}
