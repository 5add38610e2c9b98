/* SPDX-License-Identifier: Apache-2.0 */
/* program.c - finds the file of a command in a container. */
#include "program.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

static int fail(const char *name, int why, struct dray_err *err)
{
    if (why == ENOENT || why == ENOTDIR)
        return dray_fail(err, DRAY_E_NOCMD, "exec: \"%s\": stat %s: %s", name, name,
                         why == ENOENT ? "no such file or directory" : "not a directory");
    if (why == EACCES)
        return dray_fail(err, DRAY_E_NOEXEC, "exec: \"%s\": permission denied", name);
    if (why == EISDIR)
        return dray_fail(err, DRAY_E_NOEXEC, "exec: \"%s\": is a directory", name);
    errno = why;
    char buf[96];
    return dray_fail(err, DRAY_E_NOEXEC, "exec: \"%s\": stat %s: %s", name, name,
                     strerror_r(why, buf, sizeof buf));
}

/** 0, or why the file cannot be run. */
static int check(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return errno;
    if (S_ISDIR(st.st_mode))
        return EISDIR;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : EACCES;
}

static const char *search_path(const char *const *env)
{
    const char *found = "";
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            found = *env + 5;
    return found;
}

static int search(const char *name, const char *path, char out[PATH_MAX], struct dray_err *err)
{
    int denied = 0;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, ":");
        int len = snprintf(out, PATH_MAX, "%.*s/%s", (int)(n ? n : 1), n ? p : ".", name);
        p += n + (p[n] == ':');
        if (len < 0 || len >= PATH_MAX)
            continue;
        int why = check(out);
        if (why == 0)
            return 0;
        if (why == EACCES)
            denied = 1;
    }
    if (denied)
        return dray_fail(err, DRAY_E_NOEXEC, "exec: \"%s\": permission denied", name);
    return dray_fail(err, DRAY_E_NOCMD, "exec: \"%s\": executable file not found in $PATH", name);
}

int rn_program_find(const char *name, const char *const *env, char out[PATH_MAX],
                    struct dray_err *err)
{
    if (!strchr(name, '/')) {
        if (!*name)
            return dray_fail(err, DRAY_E_NOCMD, "exec: \"\": executable file not found in $PATH");
        return search(name, search_path(env), out, err);
    }
    if (snprintf(out, PATH_MAX, "%s", name) >= PATH_MAX)
        return fail(name, ENAMETOOLONG, err);
    int why = check(out);
    return why == 0 ? 0 : fail(name, why, err);
}

int rn_program_fail(const char *path, int why, struct dray_err *err)
{
    /* ENOENT here is a missing interpreter: the file itself was found before. */
    char buf[96];
    return dray_fail(err, why == ENOENT ? DRAY_E_NOCMD : DRAY_E_NOEXEC, "exec %s: %s", path,
                     why == ENOENT    ? "no such file or directory"
                     : why == ENOEXEC ? "exec format error"
                     : why == EACCES  ? "permission denied"
                                      : strerror_r(why, buf, sizeof buf));
}

/** Read "#!" of a script: the interpreter's path into out. */
static bool interpreter(int fd, char out[PATH_MAX])
{
    char head[258];
    ssize_t n = pread(fd, head, sizeof head - 1, 0);
    if (n < 3 || head[0] != '#' || head[1] != '!')
        return false;
    head[n] = '\0';
    char *p = head + 2 + strspn(head + 2, " \t");
    p[strcspn(p, " \t\n")] = '\0';
    (void)snprintf(out, PATH_MAX, "%s", p);
    return *p != '\0';
}

int rn_program_guard(const char *path, uint64_t dev, uint64_t ino, struct dray_err *err)
{
    char next[PATH_MAX];
    (void)snprintf(next, sizeof next, "%s", path);
    for (int depth = 0; depth < 6; depth++) {
        dray_autofd int fd = open(next, O_PATH | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) != 0)
            return 0; /* execve will say why */
        if ((uint64_t)st.st_dev == dev && (uint64_t)st.st_ino == ino)
            return dray_fail(err, DRAY_E_NOEXEC, "exec: \"%s\": permission denied", path);
        if (!S_ISREG(st.st_mode))
            return 0;
        dray_autofd int text = open(next, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (text < 0 || !interpreter(text, next))
            return 0;
    }
    return 0;
}
