/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - one run of the runtime's program, and what it says when it fails. */
#include "oci.h"

#include "files.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define LOG_MAX ((size_t)256 << 10)
#define HEAD_ARGS 6
#define USER_ARGS 32
#define EXIT_BEFORE 125 /* the child could not be made ready */

static const char *const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

char *oci_path(struct dray_self *self, const char *id, const char *name)
{
    char *out = NULL;
    const char *run = self->host->path(self->host, DRAY_PATH_RUN);
    return asprintf(&out, "%s/%s/%s", run, id, name) < 0 ? NULL : out;
}

int oci_read_pid(const char *path, pid_t *out, struct dray_err *err)
{
    char text[32];
    if (rn_read_at(AT_FDCWD, path, text, sizeof text) <= 0 || (*out = atoi(text)) <= 0)
        return dray_fail(err, DRAY_E_INTERNAL, "the runtime has written no pid");
    return 0;
}

/* What the program says. */

/* The last message of a log in JSON lines whose level is "error". */
static void last_error(const char *log, char *out, size_t size)
{
    dray_autofree char *text = NULL;
    size_t len = 0;
    if (rn_read_whole(AT_FDCWD, log, LOG_MAX, &text, &len, NULL) != 0)
        return;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        rn_autojson *o = NULL;
        if (rn_json_parse(line, strlen(line), &o, NULL) != 0)
            continue;
        if (strcmp(rn_json_str(o, "level", ""), "error") == 0 || !*out)
            (void)snprintf(out, size, "%s", rn_json_str(o, "msg", ""));
    }
}

static int code_of(const char *text)
{
    static const struct {
        const char *part;
        int code;
    } codes[] = {
        {"executable file not found", DRAY_E_NOCMD},
        {"open executable", DRAY_E_NOEXEC}, /* crun's */
        {"exec: \"", DRAY_E_NOEXEC},        /* the rest of what may be wrong with a command */
        {"does not exist", DRAY_E_NOTFOUND},
        {"not running", DRAY_E_CONFLICT},
        {"already finished", DRAY_E_CONFLICT},
        {"No such process", DRAY_E_CONFLICT},
    };
    if (strstr(text, "executable file `") && strstr(text, "` not found"))
        return DRAY_E_NOCMD;
    bool command = strstr(text, "exec: \"") || strstr(text, "executable file");
    if (command && strstr(text, "no such file or directory"))
        return DRAY_E_NOCMD;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strstr(text, codes[i].part))
            return codes[i].code;
    return DRAY_E_INTERNAL;
}

/* crun's "executable file `x` not found in $PATH: ..." in runc's words, which clients know. */
static void translate(char *text, size_t size)
{
    char name[200] = "";
    if (sscanf(text, "executable file `%199[^`]` not found", name) == 1)
        (void)snprintf(text, size, "exec: \"%s\": executable file not found in $PATH", name);
    else if (strncmp(text, "open executable: ", 17) == 0)
        (void)snprintf(text, size, "exec: permission denied");
}

/* The daemon says itself that a command cannot be started. */
static const char *without_prefix(const char *text)
{
    static const char *const prefixes[] = {
        "runc create failed: ", "exec failed: ", "unable to start container process: "};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0)
            text += strlen(prefixes[i]);
    return text;
}

static int fail_with(struct dray_self *self, const struct oci_command *c, int status,
                     struct dray_err *err)
{
    char text[400] = "";
    last_error(c->log, text, sizeof text);
    if (!*text)
        return dray_fail(err, DRAY_E_INTERNAL, "%s %s: %s %d", self->program, c->argv[0],
                         WIFSIGNALED(status) ? "signal" : "exit status",
                         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    int code = code_of(text);
    translate(text, sizeof text);
    if (code == DRAY_E_NOCMD || code == DRAY_E_NOEXEC)
        return dray_fail(err, code, "%s", without_prefix(text));
    return dray_fail(err, code, "OCI runtime %s failed: %s", c->argv[0], text);
}

/* Running it. */

static const char **make_argv(struct dray_self *self, const struct oci_command *c)
{
    const char **argv = calloc(HEAD_ARGS + USER_ARGS + OCI_ARGS_MAX + 2, sizeof *argv);
    size_t n = 0;
    if (!argv)
        return NULL;
    argv[n++] = self->program;
    for (uint64_t i = 0; i < self->args.n && i < USER_ARGS; i++)
        argv[n++] = self->args.v[i];
    const char *head[HEAD_ARGS] = {"--root", self->root, "--log", c->log, "--log-format", "json"};
    for (size_t i = 0; i < HEAD_ARGS; i++)
        argv[n++] = head[i];
    for (size_t i = 0; i < OCI_ARGS_MAX && c->argv[i]; i++)
        argv[n++] = c->argv[i];
    return argv;
}

/* In the child: from here to the program. Async-signal-safe but for c->before. */
static _Noreturn void child(const struct oci_command *c, const char **argv, int report)
{
    const int from[3] = {c->io.in.fd, c->io.out.fd, c->io.err.fd};
    int fds[3];
    sigset_t none;
    sigemptyset(&none);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++) { /* out of the way of 0, 1 and 2 first */
        fds[i] = fcntl(from[i] < 0 ? null : from[i], F_DUPFD_CLOEXEC, 3);
        if (fds[i] < 0)
            _exit(EXIT_BEFORE);
    }
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i], i) < 0)
            _exit(EXIT_BEFORE);
    struct dray_err err = {.code = 0};
    int rc = c->before ? c->before(c->ctx, &err) : 0;
    if (!rc && c->dir && chdir(c->dir) != 0)
        rc = dray_fail_errno(&err, "change to %s", c->dir);
    if (rc) {
        ssize_t n = write(report, &err, sizeof err);
        _exit(n < 0 ? EXIT_BEFORE + 1 : EXIT_BEFORE);
    }
    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    const char *env[] = {PATH, NULL};
    (void)execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
    _exit(127);
}

static int left_ms(const struct dray_call *call)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t now = (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
    if (!call->deadline_ns)
        return -1;
    return now >= call->deadline_ns ? 0 : (int)((call->deadline_ns - now) / 1000000) + 1;
}

/* Wait for the end of the child, looking at c->watch meanwhile. */
static int await(const struct dray_call *call, const struct oci_command *c, int pidfd,
                 struct dray_err *err)
{
    int watch = c->watch, rc = 0;
    for (;;) {
        struct pollfd p[3] = {{.fd = pidfd, .events = POLLIN},
                              {.fd = watch, .events = POLLIN},
                              {.fd = call->cancel_fd, .events = POLLIN}};
        int ms = left_ms(call);
        int n = poll(p, 3, ms);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dray_fail_errno(err, "wait for the runtime");
        if (n == 0 && ms >= 0)
            return dray_fail(err, DRAY_E_TIMEOUT, "the runtime does not end: %s", c->argv[0]);
        if (p[2].revents)
            return dray_fail(err, DRAY_E_CANCELED, "canceled");
        if (p[1].revents) {
            rc = c->ready(c->ctx, err);
            watch = -1;
            if (rc)
                return rc;
        }
        if (p[0].revents)
            return 0;
    }
}

int oci_run(struct dray_self *self, const struct dray_call *call, const struct oci_command *c,
            struct dray_err *err)
{
    dray_autofree const char **argv = make_argv(self, c);
    if (!argv)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int report[2]; /* what goes wrong before the program runs */
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) != 0)
        return dray_fail_errno(err, "make a pipe");
    dray_autofd int told = report[0], tell = report[1];
    (void)unlink(c->log);
    pid_t pid = fork();
    if (pid < 0)
        return dray_fail_errno(err, "start %s", self->program);
    if (pid == 0)
        child(c, argv, tell);
    dray_autofd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int rc = pidfd < 0 ? dray_fail_errno(err, "watch the runtime") : await(call, c, pidfd, err);
    if (rc)
        (void)kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    struct dray_err why;
    if (rc)
        return rc;
    if (read(told, &why, sizeof why) == (ssize_t)sizeof why)
        return dray_fail(err, why.code, "%s", why.text);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return fail_with(self, c, status, err);
}

int oci_simple_(struct dray_self *self, const struct dray_call *call, const char *id,
                const char *const *argv, struct dray_err *err)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%.16s.log", argv[0]);
    dray_autofree char *log = oci_path(self, id, name);
    if (!log)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct oci_command c = {.io = {{-1}, {-1}, {-1}}, .log = log, .watch = -1};
    for (size_t i = 0; argv[i] && i + 1 < OCI_ARGS_MAX; i++)
        c.argv[i] = argv[i];
    return oci_run(self, call, &c, err);
}
