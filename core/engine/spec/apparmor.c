/* SPDX-License-Identifier: Apache-2.0 */
/* apparmor.c - the AppArmor profile that confines containers, where the kernel has AppArmor. */
#include "engine/spec/apparmor.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/logging.h"
#include "base/spawn.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define DRAY_LOG_AREA "apparmor"
#define ENABLED "/sys/module/apparmor/parameters/enabled"
#define LOADED "/sys/kernel/security/apparmor/profiles"
#define LOADED_MAX (4u << 20)
#define PARSER_MS 60000

/* Equal in effect to Docker's default: files, the network and capabilities are open (capabilities
 * are limited elsewhere); mounts, the host's kernel settings and most of /sys are not. */
static const char rules[] =
    "  network,\n"
    "  capability,\n"
    "  file,\n"
    "  umount,\n"
    "\n"
    "  # Who may signal: the host, the runtimes, and the container's own processes.\n"
    "  signal (receive) peer=unconfined,\n"
    "  signal (receive) peer=runc,\n"
    "  signal (receive) peer=crun,\n"
    "  signal (send, receive) peer=" DRAY_APPARMOR_DEFAULT ",\n"
    "  ptrace (trace, read, tracedby, readby) peer=" DRAY_APPARMOR_DEFAULT ",\n"
    "\n"
    "  # /proc: nothing is written but below a process's own folder, /proc/sys/net and the like,\n"
    "  # and /proc/sys/kernel/shm*.\n"
    "  deny @{PROC}/* w,\n"
    "  deny @{PROC}/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9]*}/** w,\n"
    "  deny @{PROC}/sys/[^k]** w,\n"
    "  deny @{PROC}/sys/kernel/{?,??,[^s][^h][^m]**} w,\n"
    "  deny @{PROC}/sysrq-trigger rwklx,\n"
    "  deny @{PROC}/kcore rwklx,\n"
    "\n"
    "  deny mount,\n"
    "\n"
    "  # /sys: nothing is written but below /sys/fs/cgroup; some of it is not even read.\n"
    "  deny /sys/[^f]*/** wklx,\n"
    "  deny /sys/f[^s]*/** wklx,\n"
    "  deny /sys/fs/[^c]*/** wklx,\n"
    "  deny /sys/fs/c[^g]*/** wklx,\n"
    "  deny /sys/fs/cg[^r]*/** wklx,\n"
    "  deny /sys/firmware/** rwklx,\n"
    "  deny /sys/devices/virtual/powercap/** rwklx,\n"
    "  deny /sys/kernel/security/** rwklx,\n";

static const char *parser(void)
{
    static const char *const paths[] = {"/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

bool dray_apparmor_supported(void)
{
    DRAY_AUTO(dray_buf) b = {0};
    return access(LOADED, F_OK) == 0 && dray_fs_read(AT_FDCWD, ENABLED, 64, &b, NULL) == 0 &&
           b.data && b.data[0] == 'Y' && parser();
}

const char *dray_apparmor_profile(const char *asked, bool privileged)
{
    if (!dray_apparmor_supported())
        return "";
    if (*asked)
        return asked;
    return privileged ? DRAY_APPARMOR_UNCONFINED : DRAY_APPARMOR_DEFAULT;
}

static bool loaded(void)
{
    static const char line[] = DRAY_APPARMOR_DEFAULT " (";
    DRAY_AUTO(dray_buf) b = {0};
    if (dray_fs_read(AT_FDCWD, LOADED, LOADED_MAX, &b, NULL) != 0 || !b.data)
        return false;
    const char *at = strstr(b.data, line);
    while (at && at != b.data && at[-1] != '\n')
        at = strstr(at + 1, line);
    return at != NULL;
}

/* "NAME (enforce)", or "unconfined". */
static void own_profile(char *out, size_t size)
{
    DRAY_AUTO(dray_buf) b = {0};
    (void)snprintf(out, size, "%s", DRAY_APPARMOR_UNCONFINED);
    if ((dray_fs_read(AT_FDCWD, "/proc/self/attr/apparmor/current", 4096, &b, NULL) == 0 ||
         dray_fs_read(AT_FDCWD, "/proc/self/attr/current", 4096, &b, NULL) == 0) &&
        b.data && *b.data && !strchr(b.data, '"'))
        (void)snprintf(out, size, "%.*s", (int)strcspn(b.data, " \n"), b.data);
}

void dray_apparmor_source(const char *daemon, struct dray_buf *out)
{
    bool tunables = access("/etc/apparmor.d/tunables/global", F_OK) == 0;
    bool base = access("/etc/apparmor.d/abstractions/base", F_OK) == 0;
    dray_buf_addf(out, "%s\n", tunables ? "#include <tunables/global>" : "@{PROC}=/proc/");
    dray_buf_addf(out, "profile " DRAY_APPARMOR_DEFAULT
                       " flags=(attach_disconnected,mediate_deleted) {\n");
    if (base)
        dray_buf_addf(out, "  #include <abstractions/base>\n");
    if (strcmp(daemon, DRAY_APPARMOR_UNCONFINED) != 0)
        dray_buf_addf(out, "  signal (receive) peer=\"%s\",\n", daemon);
    dray_buf_addf(out, "%s}\n", rules);
}

static int compile(int source, struct dray_err *err)
{
    dray_autofd int said = memfd_create("apparmor_parser", MFD_CLOEXEC);
    const char *const argv[] = {parser(), "-K", "-r", NULL};
    const int fds[] = {source, said, said};
    pid_t pid = -1;
    if (said < 0)
        return dray_fail_errno(err, "memfd_create");
    if (!argv[0])
        return dray_fail(err, DRAY_E_NOTSUP, "apparmor_parser is not installed");
    int rc = dray_spawn(&(struct dray_spawn){.argv = argv, .fds = fds, .n_fds = 3}, &pid, err);
    if (rc != 0)
        return rc;
    int status = dray_spawn_wait(pid, PARSER_MS);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    DRAY_AUTO(dray_buf) b = {0};
    if (lseek(said, 0, SEEK_SET) == 0)
        (void)dray_fs_read_fd(said, 65536, &b, NULL);
    return dray_fail(err, DRAY_E_IO, "apparmor_parser: status %d: %.400s", status,
                     b.data ? b.data : "");
}

int dray_apparmor_ensure(struct dray_err *err)
{
    if (loaded())
        return 0;
    char daemon[256];
    DRAY_AUTO(dray_buf) text = {0};
    own_profile(daemon, sizeof daemon);
    dray_apparmor_source(daemon, &text);
    dray_autofd int fd = memfd_create("profile", MFD_CLOEXEC);
    if (fd < 0 || !text.data)
        return dray_fail_errno(err, "memfd_create");
    int rc = dray_fs_write_all(fd, text.data, text.len, err);
    if (rc == 0 && lseek(fd, 0, SEEK_SET) != 0)
        rc = dray_fail_errno(err, "seek");
    if (rc == 0)
        rc = compile(fd, err);
    if (rc != 0)
        return dray_err_note(err, "AppArmor enabled on system but the " DRAY_APPARMOR_DEFAULT
                                  " profile could not be loaded");
    return 0;
}
