/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - what is remembered of a container in the driver's folder. */
#include "state.h"
#include "files.h"
#include "namespaces.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#define STATE_FILE "state"
#define STARTED_FILE "started"
#define SECCOMP_FILE "seccomp"
#define VERSION 1

int rn_state_check_id(const char *id, struct dray_err *err)
{
    size_t n = strlen(id);
    size_t good = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    /* "seccomp" is the folder of cached filters. */
    if (n == 0 || n > 128 || good != n || *id == '.' || strcmp(id, SECCOMP_FILE) == 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid container id \"%.140s\"", id);
    return 0;
}

void rn_state_cleanup(struct rn_state *s)
{
    free(s->cgroup);
    free(s->bundle);
    if (s->dir >= 0)
        (void)close(s->dir);
    *s = (struct rn_state){.dir = -EBADF};
}

uint64_t rn_proc_start_time(pid_t pid)
{
    char path[40], buf[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (rn_read_at(AT_FDCWD, path, buf, sizeof buf) <= 0)
        return 0;
    /* The name may hold anything, so count fields from its last parenthesis: state is the 3rd. */
    char *p = strrchr(buf, ')');
    if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
        return 0;
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p ? strtoull(p + 1, NULL, 10) : 0;
}

bool rn_state_alive(const struct rn_state *s)
{
    return s->pid > 0 && s->start != 0 && rn_proc_start_time(s->pid) == s->start;
}

int rn_state_pidfd(const struct rn_state *s, const char *id, int *pidfd_out, struct dray_err *err)
{
    dray_autofd int fd = s->pid > 0 ? rn_pidfd_open(s->pid) : -1;
    if (fd < 0 || !rn_state_alive(s))
        return dray_fail(err, DRAY_E_CONFLICT, "container %s is not running", id);
    *pidfd_out = dray_steal_fd(&fd);
    return 0;
}

int rn_state_new(struct dray_self *self, const char *id, int *dir_out, struct dray_err *err)
{
    int rc = rn_state_check_id(id, err);
    if (rc != 0)
        return rc;
    if (mkdirat(self->run, id, 0700) != 0) {
        if (errno != EEXIST)
            return dray_fail_errno(err, "make the state folder of %s", id);
        __attribute__((cleanup(rn_state_cleanup))) struct rn_state old = {.dir = -EBADF};
        if (rn_state_read(self, id, &old, NULL) == 0 && rn_state_alive(&old))
            return dray_fail(err, DRAY_E_CONFLICT, "container %s already exists", id);
        rc = rn_remove(self, NULL, id, err);
        if (rc != 0)
            return rc;
        if (mkdirat(self->run, id, 0700) != 0)
            return dray_fail_errno(err, "make the state folder of %s", id);
    }
    int dir = openat(self->run, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return dray_fail_errno(err, "open the state folder of %s", id);
    *dir_out = dir;
    return 0;
}

int rn_state_write(const struct rn_state *s, struct dray_err *err)
{
    char text[2 * PATH_MAX + 256];
    if (strchr(s->cgroup, '\n') || strchr(s->bundle, '\n'))
        return dray_fail(err, DRAY_E_INVAL, "a path contains a line break");
    int n = snprintf(text, sizeof text,
                     "version %d\npid %d\nstart %llu\nnamespaces %llx\nhooks %u\ncgroup %s\n"
                     "bundle %s\n",
                     VERSION, (int)s->pid, (unsigned long long)s->start,
                     (unsigned long long)s->namespaces, s->hooks, s->cgroup, s->bundle);
    if (n < 0 || (size_t)n >= sizeof text)
        return dray_fail(err, DRAY_E_INVAL, "a path is too long");
    dray_autofd int fd =
        openat(s->dir, STATE_FILE ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || rn_write_all(fd, text, (size_t)n) != 0 ||
        renameat(s->dir, STATE_FILE ".new", s->dir, STATE_FILE) != 0)
        return dray_fail_errno(err, "write the container's state");
    return 0;
}

int rn_state_mark_started(const struct rn_state *s, struct dray_err *err)
{
    dray_autofd int fd = openat(s->dir, STARTED_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? dray_fail_errno(err, "write the container's state") : 0;
}

static int parse(char *text, struct rn_state *s)
{
    char *save = NULL;
    int version = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, ' ');
        if (!value)
            return -1;
        *value++ = '\0';
        if (strcmp(line, "version") == 0)
            version = atoi(value);
        else if (strcmp(line, "pid") == 0)
            s->pid = atoi(value);
        else if (strcmp(line, "start") == 0)
            s->start = strtoull(value, NULL, 10);
        else if (strcmp(line, "namespaces") == 0)
            s->namespaces = strtoull(value, NULL, 16);
        else if (strcmp(line, "hooks") == 0)
            s->hooks = (unsigned)atoi(value);
        else if (strcmp(line, "cgroup") == 0)
            s->cgroup = strdup(value);
        else if (strcmp(line, "bundle") == 0)
            s->bundle = strdup(value);
    }
    return version == VERSION && s->cgroup && s->bundle ? 0 : -1;
}

int rn_state_read(struct dray_self *self, const char *id, struct rn_state *out,
                  struct dray_err *err)
{
    int rc = rn_state_check_id(id, err);
    if (rc != 0)
        return rc;
    __attribute__((cleanup(rn_state_cleanup))) struct rn_state s = {.dir = -EBADF};
    s.dir = openat(self->run, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char text[2 * PATH_MAX + 256];
    if (s.dir < 0 || rn_read_at(s.dir, STATE_FILE, text, sizeof text) < 0)
        return errno == ENOENT ? dray_fail(err, DRAY_E_NOTFOUND, "container %s does not exist", id)
                               : dray_fail_errno(err, "read the state of %s", id);
    if (parse(text, &s) != 0)
        return dray_fail(err, DRAY_E_CORRUPT, "the state file of %s cannot be understood", id);
    s.started = faccessat(s.dir, STARTED_FILE, F_OK, 0) == 0;
    *out = s;
    s = (struct rn_state){.dir = -EBADF};
    return 0;
}

int rn_state_remove(struct dray_self *self, const char *id, struct dray_err *err)
{
    static const char *const files[] = {STATE_FILE, STATE_FILE ".new", STARTED_FILE, SECCOMP_FILE};
    dray_autofd int dir = openat(self->run, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? 0 : dray_fail_errno(err, "open the state folder of %s", id);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        (void)unlinkat(dir, files[i], 0);
    if (unlinkat(self->run, id, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return dray_fail_errno(err, "remove the state folder of %s", id);
    return 0;
}
