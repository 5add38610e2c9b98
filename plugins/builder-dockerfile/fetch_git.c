/* SPDX-License-Identifier: Apache-2.0 */
/* fetch_git.c - loads a repository through the git program. */
#include "fetch.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SAID_MAX 2048u
#define CHECKOUT "git-" /* and what makes the name of a folder its own */

bool bd_is_git(const char *url)
{
    size_t n = strcspn(url, "#?");
    if (bd_prefix(url, "git@") || bd_prefix(url, "git://") || bd_prefix(url, "ssh://"))
        return true;
    if (bd_prefix(url, "github.com/"))
        return true;
    return (bd_prefix(url, "http://") || bd_prefix(url, "https://")) && n > 4 &&
           strncmp(url + n - 4, ".git", 4) == 0;
}

/* --- the program -------------------------------------------------------------------------------*/

static int spawn_git(char *const argv[], int said, pid_t *pid, struct dray_err *err)
{
    static char *const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                "GIT_TERMINAL_PROMPT=0",
                                "GIT_ASKPASS=true",
                                "LC_ALL=C",
                                "GIT_CONFIG_NOSYSTEM=1",
                                "HOME=/nonexistent",
                                "GIT_SSH_COMMAND=ssh -o BatchMode=yes",
                                NULL};
    posix_spawn_file_actions_t acts;
    posix_spawnattr_t attr;
    (void)posix_spawn_file_actions_init(&acts);
    (void)posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&acts, 1, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&acts, said, 2);
    (void)posix_spawnattr_init(&attr);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    int rc = posix_spawnp(pid, "git", &acts, &attr, argv, env);
    (void)posix_spawn_file_actions_destroy(&acts);
    (void)posix_spawnattr_destroy(&attr);
    errno = rc;
    return rc ? dray_fail_errno(err, "run git, which fetches repositories") : 0;
}

/* Read what it says until it ends; a build that is given up kills it. */
static bool hear(struct bd_build *b, int fd, pid_t pid, struct bd_buf *said)
{
    bool canceled = false;
    for (;;) {
        char buf[512];
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                              {.fd = canceled ? -1 : b->cancel_fd, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return canceled;
        if (p[1].revents) {
            canceled = true;
            (void)kill(-pid, SIGKILL);
        }
        if (!p[0].revents)
            continue;
        ssize_t n = read(fd, buf, sizeof buf);
        if (n == 0 || (n < 0 && errno != EINTR))
            return canceled;
        if (n > 0 && said->len < SAID_MAX)
            bd_add(said, buf, (size_t)n);
    }
}

static int git(struct bd_build *b, char *const argv[], struct dray_err *err)
{
    DRAY_AUTO(bd_buf) said = {0};
    int fds[2], status = 0;
    pid_t pid = 0;
    if (pipe2(fds, O_CLOEXEC) != 0)
        return dray_fail_errno(err, "make a pipe");
    int rc = spawn_git(argv, fds[1], &pid, err);
    (void)close(fds[1]);
    bool canceled = !rc && hear(b, fds[0], pid, &said);
    (void)close(fds[0]);
    if (rc)
        return rc;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (canceled)
        return dray_fail(err, DRAY_E_CANCELED, "the build was canceled");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return dray_fail(err, DRAY_E_INVAL, "unable to prepare the repository: git: %.300s",
                         bd_text(&said));
    return 0;
}

/* --- a checkout --------------------------------------------------------------------------------*/

struct place {
    char *url, *ref, *folder;
};

static void place_cleanup(struct place *p)
{
    free(p->url);
    free(p->ref);
    free(p->folder);
}

/* "URL#ref:folder" */
static int split(const char *text, struct place *p, struct dray_err *err)
{
    const char *hash = strchr(text, '#');
    const char *ref = hash ? hash + 1 : "";
    size_t n = strcspn(ref, ":");
    const char *base = bd_prefix(text, "github.com/") ? "https://" : "";
    p->url = bd_strf("%s%.*s", base, (int)(hash ? hash - text : (long)strlen(text)), text);
    p->ref = n ? strndup(ref, n) : strdup("HEAD");
    p->folder = bd_path_clean(ref[n] ? ref + n + 1 : "");
    if (!p->url || !p->ref || !p->folder)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (p->url[0] == '-' || p->ref[0] == '-')
        return dray_fail(err, DRAY_E_INVAL, "invalid repository: %s", text);
    return 0;
}

static int check_out(struct bd_build *b, const struct place *p, char *dir, struct dray_err *err)
{
    char *init[] = {"git", "init", "-q", dir, NULL};
    char *shallow[] = {"git",
                       "-C",
                       dir,
                       "-c",
                       "protocol.file.allow=never",
                       "-c",
                       "protocol.ext.allow=never",
                       "fetch",
                       "-q",
                       "--depth",
                       "1",
                       "--",
                       p->url,
                       p->ref,
                       NULL};
    char *full[] = {"git",
                    "-C",
                    dir,
                    "-c",
                    "protocol.file.allow=never",
                    "-c",
                    "protocol.ext.allow=never",
                    "fetch",
                    "-q",
                    "--",
                    p->url,
                    p->ref,
                    NULL};
    char *checkout[] = {"git", "-C", dir, "checkout", "-q", "FETCH_HEAD", NULL};
    char *modules[] = {"git",       "-C", dir,      "-c",     "protocol.file.allow=never",
                       "submodule", "-q", "update", "--init", "--recursive",
                       "--depth",   "1",  NULL};
    int rc = git(b, init, err);
    if (!rc && git(b, shallow, err) != 0) /* some servers have no shallow copies */
        rc = git(b, full, err);
    if (!rc)
        rc = git(b, checkout, err);
    return rc ? rc : git(b, modules, err);
}

static int take(struct bd_tree *from, const char *path, bool keep_git_dir, struct bd_tree *into,
                const char *to, struct dray_err *err)
{
    DRAY_AUTO(bd_list) names = {0};
    int rc = from->ops->list(from, path, &names, err);
    for (size_t i = 0; !rc && i < names.n; i++) {
        dray_autofree char *child = bd_path_join(path, names.v[i]);
        dray_autofree char *there = bd_path_join(to, names.v[i]);
        struct bd_entry e;
        if (!child || !there)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        if (!keep_git_dir && strcmp(names.v[i], ".git") == 0)
            continue;
        rc = from->ops->stat(from, child, &e, err);
        if (!rc)
            rc = bd_tree_tar_take(into, there, from, child, &e, err);
        if (!rc && S_ISDIR(e.mode))
            rc = take(from, child, keep_git_dir, into, there, err);
    }
    return rc;
}

static int take_folder(const char *dir, const struct place *p, bool keep_git_dir,
                       struct bd_tree *into, struct dray_err *err)
{
    struct bd_tree *tree = NULL;
    dray_autofree char *real = NULL;
    struct bd_entry e;
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? dray_fail_errno(err, "open %s", dir) : bd_tree_dir(fd, &tree, err);
    if (!rc)
        rc = bd_tree_resolve(tree, p->folder, true, &real, &e, err);
    if (!rc && !S_ISDIR(e.mode))
        rc = dray_fail(err, DRAY_E_INVAL, "%s is no folder of the repository", p->folder);
    if (!rc)
        rc = take(tree, real, keep_git_dir, into, "", err);
    bd_tree_free(tree);
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    (void)remove(path);
    return 0;
}

void bd_fetch_sweep(const struct dray_host *host)
{
    const char *data = host->path(host, DRAY_PATH_DATA);
    DIR *dir = opendir(data);
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        dray_autofree char *path =
            bd_prefix(e->d_name, CHECKOUT) ? bd_strf("%s/%s", data, e->d_name) : NULL;
        if (path)
            (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    if (dir)
        (void)closedir(dir);
}

int bd_fetch_git(struct bd_build *b, const char *url, bool keep_git_dir, struct bd_tree *into,
                 struct dray_err *err)
{
    DRAY_AUTO(place) p = {NULL, NULL, NULL};
    dray_autofree char *dir =
        bd_strf("%s/" CHECKOUT "XXXXXX", b->host->path(b->host, DRAY_PATH_DATA));
    int rc = split(url, &p, err);
    if (!rc && (!dir || !mkdtemp(dir)))
        rc = dray_fail_errno(err, "make a folder for a repository");
    if (rc)
        return rc;
    rc = check_out(b, &p, dir, err);
    if (!rc)
        rc = take_folder(dir, &p, keep_git_dir, into, err);
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return rc;
}
