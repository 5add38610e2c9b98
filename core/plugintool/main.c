/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - dray-plugin: looks at plugins for their authors.
 *
 *     dray-plugin check FILE.so    does it keep what its kinds promise?
 *     dray-plugin run FILE.so OP.. call its operations by hand
 *     dray-plugin show FILE.so     its card, its options
 *
 * To check, a plugin is loaded by a child process with namespaces of its own, so that one that
 * crashes, hangs or leaves mounts and links behind does so there.
 */
#include "check.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"

#include <fcntl.h>
#include <getopt.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MAX_PAIRS 32
#define DEFAULT_TIMEOUT_S 30

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char usage[] =
    "usage: dray-plugin check [options] FILE.so...\n"
    "       dray-plugin run [options] FILE.so [OPERATION WORD... [, OPERATION WORD...]...]\n"
    "       dray-plugin show FILE.so...\n"
    "\n"
    "check loads a plugin as drayd does and tries whether its drivers do what their kinds "
    "promise.\n"
    "Exit code: 0 all is well (there may be warnings), 1 something is not, 2 wrong arguments.\n"
    "\n"
    "  -o, --option NAME=VALUE   an option of the plugin, as in daemon.json; a list as JSON\n"
    "  -O, --opt NAME=VALUE      an option of what is made: volume, network, log\n"
    "      --instance NAME       open it under this name (a family: the driver to ask for)\n"
    "      --image REPOSITORY:TAG  an image that a registry driver can find\n"
    "      --load-only           load and open, no more\n"
    "      --here                in this network namespace instead of an empty one\n"
    "      --timeout SECONDS     for each call (30)\n"
    "\n"
    "run calls operations one after another, each a line of JSON, until one fails; without any it\n"
    "lists those that the plugin has. -o, --instance and --timeout as above.\n"
    "\n"
    "      --root FOLDER         for what the plugin keeps; else it is gone at the end\n";

/* --- the child ---------------------------------------------------------------------------------*/

static void raise_loopback(void)
{
    struct ifreq r = {.ifr_name = "lo"};
    dray_autofd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &r) == 0) {
        r.ifr_flags |= IFF_UP;
        (void)ioctl(fd, SIOCSIFFLAGS, &r);
    }
}

/* A /sys of this network namespace, as a daemon has: drivers look in /sys/class/net. The control
 * groups stay. */
static void show_links(void)
{
    dray_autofd int groups =
        open_tree(AT_FDCWD, "/sys/fs/cgroup", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (groups >= 0 && mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0)
        (void)move_mount(groups, "", AT_FDCWD, "/sys/fs/cgroup", MOVE_MOUNT_F_EMPTY_PATH);
}

static void set_apart(const struct ck_request *want)
{
    if (geteuid() != 0)
        return;
    if (unshare(CLONE_NEWNS | (want->here ? 0 : CLONE_NEWNET)) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        perror("dray-plugin: make namespaces");
        _exit(EXIT_USAGE);
    }
    if (!want->here) {
        raise_loopback();
        show_links();
    }
}

static void child(const struct ck_request *want, struct ck_shared *shared, const char *work)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* as a shim is for its containers */
    (void)signal(SIGPIPE, SIG_IGN);
    set_apart(want);
    ck_run(want, shared, work);
    (void)fflush(stdout);
    _exit(0);
}

/* --- the watching process ----------------------------------------------------------------------*/

static void blame(struct ck_shared *shared, const char *what)
{
    (void)printf("  FAIL  %s: %s\n", shared->step[0] ? shared->step : "start", what);
    shared->failed++;
}

/* A driver that minds its deadline needs a moment to say so. */
static bool overdue(struct ck_shared *shared, uint32_t timeout_s)
{
    uint64_t since = atomic_load(&shared->since_ns);
    return since && (uint64_t)dray_clock_mono() - since > (timeout_s + 1) * (uint64_t)DRAY_NS_PER_S;
}

static void watch(pid_t pid, struct ck_shared *shared, uint32_t timeout_s)
{
    int status = 0;
    char what[120] = "";
    dray_autofd int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    while (pidfd >= 0 && poll(&p, 1, 100) <= 0) {
        if (!overdue(shared, timeout_s))
            continue;
        (void)snprintf(what, sizeof what, "it has not returned after %u s", timeout_s);
        (void)kill(pid, SIGKILL);
        break;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!what[0] && WIFSIGNALED(status))
        (void)snprintf(what, sizeof what, "it ended the process with signal %d (%s)",
                       WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (!what[0] && WEXITSTATUS(status))
        (void)snprintf(what, sizeof what, "it ended the process with exit(%d)",
                       WEXITSTATUS(status));
    if (what[0])
        blame(shared, what);
}

static void conclude(const struct ck_shared *s)
{
    (void)printf("%s: %u passed, %u failed, %u warnings, %u skipped\n",
                 s->failed ? "NOT FIT" : "FIT", s->passed, s->failed, s->warned, s->skipped);
}

static int check(const struct ck_request *want)
{
    char work[256];
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(work, sizeof work, "%s/dray-plugin-XXXXXX", tmp ? tmp : "/var/tmp");
    struct ck_shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || !mkdtemp(work)) {
        perror("dray-plugin: a folder to work in");
        return EXIT_USAGE;
    }
    (void)printf("%s\n", want->file);
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        child(want, shared, work);
    if (pid > 0)
        watch(pid, shared, want->timeout_s);
    struct dray_err err = {0};
    if (dray_fs_remove_tree(AT_FDCWD, work, &err))
        (void)fprintf(stderr, "dray-plugin: %s\n", err.text);
    conclude(shared);
    int rc = pid > 0 && !shared->failed ? EXIT_FINE : EXIT_FAILED;
    (void)munmap(shared, sizeof *shared);
    return rc;
}

/* --- arguments ---------------------------------------------------------------------------------*/

static bool add_pair(char *text, struct dray_kv *pairs, size_t *n)
{
    char *eq = strchr(text, '=');
    if (!eq || *n == MAX_PAIRS)
        return false;
    *eq = '\0';
    pairs[(*n)++] = (struct dray_kv){text, eq + 1};
    return true;
}

static bool take_image(char *text, struct ck_request *want)
{
    char *colon = strrchr(text, ':');
    if (!colon || strchr(colon, '/'))
        return false;
    *colon = '\0';
    want->repository = text;
    want->tag = colon + 1;
    return true;
}

static bool take_timeout(const char *text, struct ck_request *want)
{
    char *end = NULL;
    unsigned long v = strtoul(text, &end, 10);
    want->timeout_s = (uint32_t)v;
    return *text && !*end && v > 0 && v < 100000;
}

/* shorts "+...": options end at the first word that is none. */
static bool parse(int argc, char **argv, const char *shorts, struct ck_request *want,
                  struct dray_kv *options, struct dray_kv *opts)
{
    static const struct option longs[] = {
        {"option", 1, NULL, 'o'},  {"opt", 1, NULL, 'O'},       {"instance", 1, NULL, 'i'},
        {"image", 1, NULL, 'm'},   {"load-only", 0, NULL, 'l'}, {"here", 0, NULL, 'h'},
        {"timeout", 1, NULL, 't'}, {"root", 1, NULL, 'r'},      {NULL, 0, NULL, 0},
    };
    bool ok = true;
    for (int c; ok && (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (c == 'o')
            ok = add_pair(optarg, options, &want->n_options);
        else if (c == 'O')
            ok = add_pair(optarg, opts, &want->n_opts);
        else if (c == 'i')
            want->instance = optarg;
        else if (c == 'm')
            ok = take_image(optarg, want);
        else if (c == 't')
            ok = take_timeout(optarg, want);
        else if (c == 'r')
            want->root = optarg;
        else if (c == 'l')
            want->load_only = true;
        else if (c == 'h')
            want->here = true;
        else
            ok = false;
    }
    want->options = options;
    want->opts = opts;
    return ok && optind < argc;
}

int main(int argc, char **argv)
{
    struct dray_kv options[MAX_PAIRS], opts[MAX_PAIRS];
    struct ck_request want = {.timeout_s = DEFAULT_TIMEOUT_S};
    const char *verb = argc > 1 ? argv[1] : "";
    bool show = strcmp(verb, "show") == 0, run = strcmp(verb, "run") == 0;
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0) {
        (void)fputs(usage, stdout);
        return EXIT_FINE;
    }
    if ((!show && !run && strcmp(verb, "check") != 0) ||
        !parse(argc - 1, argv + 1, run ? "+o:O:" : "o:O:", &want, options, opts)) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    dray_log_level_set(DRAY_LOG_WARN);
    if (run) {
        want.file = argv[optind + 1];
        return ck_run_operations(&want, argv + optind + 2);
    }
    int rc = EXIT_FINE;
    for (int i = optind + 1; i < argc; i++) {
        want.file = argv[i];
        int one = show ? ck_show(argv[i]) : check(&want);
        rc = one > rc ? one : rc;
    }
    return rc;
}
