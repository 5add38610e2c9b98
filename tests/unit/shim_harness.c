/* SPDX-License-Identifier: Apache-2.0 */
/* shim_harness.c - plays the daemon for a real dray-shim. */
#include "shim_harness.h"

#include "base/fs.h"
#include "base/sockmsg.h"
#include "base/spawn.h"
#include "shim/protocol.h"

#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define PATIENCE_MS 10000
#define BUSYBOX "/bin/busybox"

struct json_object *request(const char *op)
{
    struct json_object *body = json_object_new_object();
    dray_json_add_str(body, "op", op);
    return body;
}

bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) > 0;
}

static void init_zygote(struct harness *h)
{
    dray_autojson *init = request("init");
    struct json_object *dirs = json_object_new_array();
    json_object_array_add(dirs, json_object_new_string(SHIM_TEST_PLUGINS));
    json_object_array_add(dirs, json_object_new_string(STAGE_PLUGINS));
    dray_json_add(init, "plugin_dirs", dirs);
    dray_json_addf(init, "data_root", "%s/data", h->root);
    dray_json_addf(init, "exec_root", "%s/run", h->root);
    dray_json_add_str(init, "libexec_dir", "/nonexistent");
    dray_json_add_int(init, "log_level", 1);
    dray_json_add_bool(init, "insecure_files", true);
    CU_ASSERT_EQUAL_FATAL(dray_sockmsg_send(h->zygote, init, NULL, 0, NULL), 0);
}

bool harness_possible(void)
{
    if (strcmp(SHIM_RUNTIME, "native") != 0)
        return true;
    bool root = geteuid() == 0, busybox = access(BUSYBOX, X_OK) == 0;
    if (!root || !busybox)
        printf("SKIP: %s\n", root ? "there is no " BUSYBOX : "containers need root");
    return root && busybox;
}

static void make_rootfs(struct harness *h)
{
    static const char *const names[] = {"sh",    "cat",   "echo", "sort", "head",
                                        "sleep", "stty",  "tr",   "true", "wc",
                                        "od",    "touch", "yes",  "test", "dd"};
    static const char *const dirs[] = {"proc", "dev", "tmp", "etc"};
    dray_autofree char *bin = dray_strf("%s/rootfs/bin", h->root);
    dray_autofree char *copy = dray_strf("%s/busybox", bin);
    CU_ASSERT_EQUAL_FATAL(dray_fs_mkdirs(AT_FDCWD, bin, 0755, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(chmod(h->root, 0755), 0);
    dray_autofd int in = open(BUSYBOX, O_RDONLY | O_CLOEXEC);
    dray_autofd int out = open(copy, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    CU_ASSERT_EQUAL_FATAL(dray_fs_copy(in, out, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        dray_autofree char *link = dray_strf("%s/%s", bin, names[i]);
        CU_ASSERT_EQUAL_FATAL(symlink("busybox", link), 0);
    }
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        dray_autofree char *dir = dray_strf("%s/rootfs/%s", h->root, dirs[i]);
        CU_ASSERT_EQUAL_FATAL(dray_fs_mkdirs(AT_FDCWD, dir, 0755, NULL), 0);
    }
}

void harness_begin(struct harness *h)
{
    *h = (struct harness){.root = "/tmp/dray-test-shim-XXXXXX", .runtime = SHIM_RUNTIME};
    h->native = strcmp(h->runtime, "native") == 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(h->root));
    if (h->native)
        make_rootfs(h);
    int pair[2];
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    const char *argv[] = {SHIM_PROGRAM, "zygote", NULL};
    const int fds[] = {-1, STDERR_FILENO, STDERR_FILENO, pair[1]};
    struct dray_spawn spawn = {.argv = argv, .fds = fds, .n_fds = 4};
    CU_ASSERT_EQUAL_FATAL(dray_spawn(&spawn, &h->zygote_pid, NULL), 0);
    (void)close(pair[1]);
    h->zygote = pair[0];
    init_zygote(h);
}

/* The parents of the containers' groups; a shim may still be removing the last of those. */
static void remove_cgroups(void)
{
    glob_t found;
    for (int i = 0; i < 200 && glob("/sys/fs/cgroup/*/dray-test-shim", 0, NULL, &found) == 0; i++) {
        for (size_t k = 0; k < found.gl_pathc; k++)
            (void)rmdir(found.gl_pathv[k]);
        globfree(&found);
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

void harness_end(struct harness *h)
{
    if (h->zygote >= 0)
        (void)close(h->zygote);
    int status = -1;
    if (h->zygote_pid > 0)
        CU_ASSERT_EQUAL(waitpid(h->zygote_pid, &status, 0), h->zygote_pid);
    if (h->native)
        remove_cgroups();
    CU_ASSERT_EQUAL(dray_fs_remove_tree(AT_FDCWD, h->root, NULL), 0);
}

static struct json_object *parse(const char *text)
{
    struct json_object *value = NULL;
    CU_ASSERT_EQUAL_FATAL(dray_json_parse(text, strlen(text), &value, NULL), 0);
    return value;
}

struct json_object *process_with(const char *const *args)
{
    struct json_object *process = parse("{\"cwd\":\"/\",\"env\":[\"PATH=/bin:/usr/bin\"],"
                                        "\"user\":{\"uid\":0,\"gid\":0}}");
    struct json_object *array = json_object_new_array();
    for (; *args; args++)
        json_object_array_add(array, json_object_new_string(*args));
    dray_json_add(process, "args", array);
    return process;
}

static struct json_object *process_of(const char *script)
{
    const char *args[] = {"sh", "-c", script, NULL};
    return process_with(args);
}

/* What an engine says of a container that is like Docker's, in short. */
static struct json_object *config_of(struct box *b, const char *const *args)
{
    struct json_object *config = parse(
        "{\"ociVersion\":\"1.2.0\",\"hostname\":\"box\",\"mounts\":["
        "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
        "{\"destination\":\"/"
        "dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"mode=755\"]},"
        "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
        "\"options\":[\"newinstance\",\"ptmxmode=0666\",\"mode=0620\"]}],"
        "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"ipc\"},"
        "{\"type\":\"uts\"},{\"type\":\"network\"}]}}");
    struct json_object *root = json_object_new_object(), *process = process_with(args);
    dray_json_addf(root, "path", "%s/rootfs", b->h->root);
    dray_json_add(config, "root", root);
    dray_json_add(config, "process", process);
    dray_json_addf(dray_json_obj(config, "linux"), "cgroupsPath", "/dray-test-shim/%s-%d", b->id,
                   (int)getpid());
    return config;
}

void box_command(struct box *b, const char *const *args)
{
    dray_autojson *config = config_of(b, args);
    dray_autofree char *path = dray_strf("%s/config.json", b->bundle);
    const char *text = dray_json_text(config);
    CU_ASSERT_EQUAL_FATAL(
        dray_fs_replace(AT_FDCWD, path, text, strlen(text), 0600, DRAY_FS_PLAIN, NULL), 0);
}

void box_begin(struct box *b, struct harness *h, const char *id, const char *script)
{
    *b = (struct box){.h = h, .conn = -EBADF, .events = json_object_new_array()};
    (void)snprintf(b->id, sizeof b->id, "%s", id);
    (void)snprintf(b->dir, sizeof b->dir, "%s/run/containers/%s", h->root, id);
    (void)snprintf(b->bundle, sizeof b->bundle, "%s/bundles/%s", h->root, id);
    (void)snprintf(b->exit_file, sizeof b->exit_file, "%s/exit.json", b->bundle);
    (void)snprintf(b->log_file, sizeof b->log_file, "%s/%s-json.log", b->bundle, id);
    CU_ASSERT_EQUAL_FATAL(dray_fs_mkdirs(AT_FDCWD, b->dir, 0700, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(dray_fs_mkdirs(AT_FDCWD, b->bundle, 0700, NULL), 0);
    const char *args[] = {"sh", "-c", script, NULL};
    box_command(b, args);
    int pair[2];
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    dray_autojson *spawn = request("spawn");
    dray_json_add_str(spawn, "id", id);
    dray_json_add_str(spawn, "dir", b->dir);
    CU_ASSERT_EQUAL_FATAL(dray_sockmsg_send(h->zygote, spawn, &pair[1], 1, NULL), 0);
    (void)close(pair[1]);
    b->conn = pair[0];
}

void box_end(struct box *b)
{
    if (b->conn >= 0)
        (void)close(b->conn);
    json_object_put(b->events);
}

static struct json_object *next_message(struct box *b)
{
    struct dray_err err = {0};
    struct dray_sockmsg m = {0};
    if (dray_sockmsg_recv(b->conn, PATIENCE_MS, &m, &err) != 0)
        return NULL;
    struct json_object *body = json_object_get(m.body);
    dray_sockmsg_free(&m);
    return body;
}

struct json_object *box_call(struct box *b, struct json_object *body, const int *fds, size_t n_fds)
{
    dray_json_add_int(body, "seq", ++b->seq);
    int rc = dray_sockmsg_send(b->conn, body, fds, n_fds, NULL);
    json_object_put(body);
    CU_ASSERT_EQUAL(rc, 0);
    struct json_object *m;
    while (rc == 0 && (m = next_message(b))) {
        if (dray_json_int(m, "re", -1) == b->seq)
            return m;
        json_object_array_add(b->events, m);
    }
    return NULL;
}

int box_code(struct box *b, struct json_object *body, const int *fds, size_t n_fds)
{
    dray_autojson *answer = box_call(b, body, fds, n_fds);
    return answer ? (int)dray_json_int(answer, "code", 0) : 1;
}

void box_ok(struct box *b, struct json_object *body, const int *fds, size_t n_fds)
{
    dray_autojson *answer = box_call(b, body, fds, n_fds);
    CU_ASSERT_PTR_NOT_NULL(answer);
    CU_ASSERT_STRING_EQUAL(dray_json_str(answer, "error", ""), "");
}

struct json_object *box_event(struct box *b, const char *name)
{
    for (;;) {
        for (size_t i = 0; i < dray_json_len(b->events); i++) {
            struct json_object *e = json_object_array_get_idx(b->events, i);
            if (strcmp(dray_json_str(e, "event", ""), name) == 0) {
                e = json_object_get(e);
                json_object_array_del_idx(b->events, i, 1);
                return e;
            }
        }
        struct json_object *m = next_message(b);
        if (!m)
            return NULL;
        json_object_array_add(b->events, m);
    }
}

struct json_object *box_run_body(struct box *b, const char *flags)
{
    struct json_object *body = request("run");
    dray_json_add_str(body, "bundle", b->bundle);
    dray_json_add_str(body, "runtime", b->h->runtime);
    dray_json_add_str(body, "exit_file", b->exit_file);
    dray_json_add_bool(body, "terminal", strchr(flags, 't') != NULL);
    dray_json_add_bool(body, "stdin", strchr(flags, 'i') != NULL);
    dray_json_add_bool(body, "stdin_once", strchr(flags, 'o') != NULL);
    if (!strchr(flags, 'l'))
        return body;
    struct json_object *log = json_object_new_object(), *info = json_object_new_object();
    dray_json_add_str(log, "driver", "json-file");
    dray_json_add_str(info, "name", "box");
    dray_json_add_str(info, "dir", b->bundle);
    dray_json_add(log, "info", info);
    dray_json_add(body, "log", log);
    return body;
}

void box_run(struct box *b, const char *flags)
{
    dray_autojson *answer = box_call(b, box_run_body(b, flags), NULL, 0);
    CU_ASSERT_STRING_EQUAL(dray_json_str(answer, "error", ""), "");
    CU_ASSERT_TRUE(dray_json_int(answer, "pid", 0) > 0);
    CU_ASSERT_TRUE(dray_json_int(answer, "started_ns", 0) > 0);
}

int box_wait(struct box *b)
{
    dray_autojson *e = box_event(b, "exit");
    CU_ASSERT_PTR_NOT_NULL(e);
    return e ? (int)dray_json_int(e, "code", -1) : -1;
}

bool box_connect(struct box *b, int *fd_out)
{
    dray_autofd int dir = open(b->dir, O_PATH | O_CLOEXEC);
    return dray_sock_connect_at(dir, DRAY_SHIM_SOCKET, SOCK_SEQPACKET, fd_out, NULL) == 0;
}

bool box_gone(struct box *b)
{
    dray_autofree char *path = dray_strf("%s/%s", b->dir, DRAY_SHIM_SOCKET);
    for (int ms = 0; ms < PATIENCE_MS; ms += 5) {
        if (access(path, F_OK) != 0)
            return true;
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return false;
}

char *box_log(struct box *b)
{
    DRAY_AUTO(dray_buf) text = {0};
    if (dray_fs_read(AT_FDCWD, b->log_file, (size_t)1 << 30, &text, NULL) != 0)
        return strdup("");
    return dray_buf_steal(&text);
}

/* Clients. */

static void client_open(struct client *c, int theirs[2])
{
    int pair[2], done[2];
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CU_ASSERT_EQUAL_FATAL(pipe2(done, O_CLOEXEC), 0);
    c->sock = pair[0];
    c->done = done[0];
    theirs[0] = pair[1];
    theirs[1] = done[1];
}

static void add_flags(struct json_object *body, const char *flags)
{
    dray_json_add_bool(body, "stdin", strchr(flags, 'i') != NULL);
    dray_json_add_bool(body, "stdout", strchr(flags, 'o') != NULL);
    dray_json_add_bool(body, "stderr", strchr(flags, 'e') != NULL);
    dray_json_add_bool(body, "framed", strchr(flags, 'f') != NULL);
    dray_json_add_bool(body, "terminal", strchr(flags, 't') != NULL);
}

void client_attach(struct client *c, struct box *b, const char *flags, const char *keys)
{
    int theirs[2];
    client_open(c, theirs);
    struct json_object *body = request("attach");
    add_flags(body, flags);
    if (keys) {
        struct json_object *array = json_object_new_array();
        for (const char *k = keys; *k; k++)
            json_object_array_add(array, json_object_new_int(*k));
        dray_json_add(body, "detach_keys", array);
    }
    box_ok(b, body, theirs, 2);
    (void)close(theirs[0]);
    (void)close(theirs[1]);
}

int client_exec(struct client *c, struct box *b, const char *exec, const char *script,
                const char *flags)
{
    int theirs[2];
    client_open(c, theirs);
    struct json_object *body = request("exec");
    dray_json_add_str(body, "exec", exec);
    dray_json_add(body, "process", process_of(script));
    add_flags(body, flags);
    int code = box_code(b, body, theirs, 2);
    (void)close(theirs[0]);
    (void)close(theirs[1]);
    return code;
}

void client_read(struct client *c, struct dray_buf *out)
{
    while (readable(c->sock, PATIENCE_MS)) {
        char *room = dray_buf_room(out, 65536);
        ssize_t n = read(c->sock, room, 65536);
        if (n <= 0)
            return;
        out->len += (size_t)n;
        out->data[out->len] = '\0';
    }
    CU_FAIL("the stream does not end");
}

int client_done(struct client *c)
{
    char how = 0;
    if (!readable(c->done, PATIENCE_MS))
        return -1;
    return read(c->done, &how, 1) == 1 ? how : 0;
}

void client_end(struct client *c)
{
    (void)close(c->sock);
    (void)close(c->done);
}

void client_say(struct client *c, const char *text)
{
    CU_ASSERT_EQUAL(write(c->sock, text, strlen(text)), (ssize_t)strlen(text));
}

void client_reads(struct client *c, const char *text)
{
    DRAY_AUTO(dray_buf) got = {0};
    client_read(c, &got);
    CU_ASSERT_STRING_EQUAL(got.data ? got.data : "", text);
}

bool client_sees(struct client *c, const char *text)
{
    DRAY_AUTO(dray_buf) got = {0};
    while (readable(c->sock, 5000)) {
        char *room = dray_buf_room(&got, 4096);
        ssize_t n = read(c->sock, room, 4096);
        if (n <= 0)
            return false;
        got.len += (size_t)n;
        got.data[got.len] = '\0';
        if (strstr(got.data, text))
            return true;
    }
    return false;
}

char *unframe(const struct dray_buf *got, int stream)
{
    DRAY_AUTO(dray_buf) text = {0};
    size_t at = 0;
    while (at + 8 <= got->len) {
        const uint8_t *head = (const uint8_t *)got->data + at;
        size_t n = (size_t)head[4] << 24 | (size_t)head[5] << 16 | (size_t)head[6] << 8 | head[7];
        CU_ASSERT_TRUE_FATAL(n > 0 && n <= got->len - at - 8);
        if (head[0] == stream)
            dray_buf_add(&text, got->data + at + 8, n);
        at += 8 + n;
    }
    CU_ASSERT_EQUAL(at, got->len);
    return dray_strf("%s", text.data ? text.data : "");
}

bool box_has(const struct box *b, const char *name)
{
    dray_autofree char *path = dray_strf("%s/%s", b->bundle, name);
    return access(path, F_OK) == 0;
}

void nap(int ms)
{
    (void)nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}
