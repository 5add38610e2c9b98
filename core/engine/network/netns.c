/* SPDX-License-Identifier: Apache-2.0 */
/* netns.c - network namespaces of containers, some made ahead of time. */
#include "engine/network/netns.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/ident.h"
#include "base/logging.h"
#include "base/strlist.h"
#include "engine/rootfs/userns.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DRAY_LOG_AREA "netns"
#define NAME_DIGITS 12
#define MOST_SPARES 8
#define KEEPER_NICE 5 /* the start that has just taken a spare goes first */
/* A namespace that belongs to a user namespace, and that one beside it. */
#define OWNED ".net"
#define OWNER ".user"
#define HOST "default" /* Docker's name for the host's own */

/* Spares of one kind. */
struct shelf {
    unsigned keep; /* 0 until the first use, and when they cannot be made */
    bool used;
    char *spare[MOST_SPARES];
    unsigned n_spare;
};

struct dray_netns_pool {
    char *dir;
    unsigned keep;
    struct dray_userns *userns; /* or NULL */
    pthread_mutex_t lock;       /* guards: shelves, closing, running. order: leaf */
    pthread_cond_t wake;
    struct shelf shelves[2]; /* the host's, and of user namespaces of their own */
    bool closing, running;
    pthread_t thread;
};

static void loopback_up(void)
{
    dray_autofd int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING};
    if (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &req) != 0)
        dray_warn("bring up loopback: %s", strerror(errno));
}

struct make_job {
    const char *path;
    int saved_errno;
};

/** Runs on a thread of its own, since it changes the thread's namespace for good. */
static void *make_thread(void *arg)
{
    struct make_job *job = arg;
    if (unshare(CLONE_NEWNET) != 0 ||
        mount("/proc/thread-self/ns/net", job->path, NULL, MS_BIND, NULL) != 0) {
        job->saved_errno = errno;
        return NULL;
    }
    loopback_up();
    return NULL;
}

static int run_thread(void *(*fn)(void *), struct make_job *job, struct dray_err *err)
{
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, fn, job);
    if (rc == 0)
        pthread_join(thread, NULL);
    if (rc == 0 && job->saved_errno == 0)
        return 0;
    errno = rc ? rc : job->saved_errno;
    return dray_fail_errno(err, "make a network namespace");
}

static int make_file(const char *path, struct dray_err *err)
{
    dray_autofd int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    return fd < 0 ? dray_fail_errno(err, "create %s", path) : 0;
}

static int make_namespace(struct dray_netns_pool *p, char **path_out, struct dray_err *err)
{
    char name[NAME_DIGITS + 1];
    dray_id_hex(name, NAME_DIGITS);
    dray_autofree char *path = dray_strf("%s/%s", p->dir, name);
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = make_file(path, err);
    if (rc != 0)
        return rc;
    struct make_job job = {.path = path};
    rc = run_thread(make_thread, &job, err);
    if (rc != 0)
        (void)unlink(path);
    else
        *path_out = dray_steal(path);
    return rc;
}

/** Runs on a thread of its own: it enters the namespace. */
static void *loopback_thread(void *arg)
{
    struct make_job *job = arg;
    dray_autofd int fd = open(job->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
        job->saved_errno = errno;
    else
        loopback_up();
    return NULL;
}

static int make_owned(struct dray_netns_pool *p, const char *within, char **path_out,
                      struct dray_err *err)
{
    char name[NAME_DIGITS + 1];
    dray_id_hex(name, NAME_DIGITS);
    dray_autofree char *net = dray_strf("%s/%s" OWNED, p->dir, name);
    dray_autofree char *user = dray_strf("%s/%s" OWNER, p->dir, name);
    if (!net || !user)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = make_file(net, err);
    if (rc == 0)
        rc = make_file(user, err);
    if (rc == 0)
        rc = dray_userns_pair(p->userns, within, user, net, err);
    struct make_job job = {.path = net};
    if (rc == 0)
        rc = run_thread(loopback_thread, &job, err);
    if (rc != 0)
        dray_netns_drop(p, net);
    else
        *path_out = dray_steal(net);
    return rc;
}

static struct shelf *to_fill(struct dray_netns_pool *p)
{
    for (size_t i = 0; i < 2; i++)
        if (p->shelves[i].n_spare < p->shelves[i].keep)
            return &p->shelves[i];
    return NULL;
}

static void *keeper(void *arg)
{
    struct dray_netns_pool *p = arg;
    (void)setpriority(PRIO_PROCESS, 0,
                      KEEPER_NICE); /* of this thread alone, and of those it makes */
    pthread_mutex_lock(&p->lock);
    while (!p->closing) {
        struct shelf *s = to_fill(p);
        if (!s) {
            pthread_cond_wait(&p->wake, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        char *path = NULL;
        struct dray_err err;
        int rc =
            s == p->shelves ? make_namespace(p, &path, &err) : make_owned(p, NULL, &path, &err);
        pthread_mutex_lock(&p->lock);
        if (rc != 0) {
            dray_warn("%s", err.text);
            s->keep = 0; /* get() makes its own and reports */
        } else {
            s->spare[s->n_spare++] = path;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/** A link, not a mount that would stay behind: to the namespace of the machine where that is ours.
 */
static void link_host(const char *dir)
{
    struct stat ours, first;
    bool same = stat("/proc/self/ns/net", &ours) == 0 && stat("/proc/1/ns/net", &first) == 0 &&
                ours.st_ino == first.st_ino && ours.st_dev == first.st_dev;
    dray_autofree char *path = dray_strf("%s/" HOST, dir);
    dray_autofree char *target = dray_strf("/proc/%d/ns/net", same ? 1 : (int)getpid());
    if (!path || !target)
        return;
    (void)unlink(path); /* it may name an earlier process */
    if (symlink(target, path) != 0)
        dray_warn("link %s: %s", path, strerror(errno));
}

int dray_netns_open(const char *dir, unsigned keep, struct dray_userns *userns,
                    struct dray_netns_pool **out, struct dray_err *err)
{
    int rc = dray_fs_mkdirs(AT_FDCWD, dir, 0711, err);
    if (rc != 0)
        return rc;
    struct dray_netns_pool *p = calloc(1, sizeof *p);
    if (!p || !(p->dir = strdup(dir))) {
        free(p);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    p->keep = keep < MOST_SPARES ? keep : MOST_SPARES;
    p->userns = userns;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    link_host(dir);
    *out = p;
    return 0;
}

void dray_netns_close(struct dray_netns_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    bool running = p->running;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    if (running)
        pthread_join(p->thread, NULL);
    for (size_t k = 0; k < 2; k++)
        for (unsigned i = 0; i < p->shelves[k].n_spare; i++) {
            dray_netns_drop(p, p->shelves[k].spare[i]);
            free(p->shelves[k].spare[i]);
        }
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->dir);
    free(p);
}

char *dray_netns_host(struct dray_netns_pool *p)
{
    return dray_strf("%s/" HOST, p->dir);
}

void dray_netns_sandbox_id(const char *path, const char *owner, char out[DRAY_ID_LEN])
{
    char digest[DRAY_DIGEST_LEN];
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t n = strspn(base, "0123456789abcdef");
    dray_autofree char *both = dray_strf("%s %s", base, owner);
    dray_digest_of(both ? both : "", both ? strlen(both) : 0, digest);
    n = n == NAME_DIGITS ? n : 0; /* the host's has no number */
    (void)snprintf(out, DRAY_ID_LEN, "%.*s%.*s", (int)n, base, (int)(DRAY_ID_LEN - 1 - n),
                   dray_digest_hex(digest));
}

/** One from the shelf, and from now on there are some. */
static char *take_spare(struct dray_netns_pool *p, struct shelf *s)
{
    pthread_mutex_lock(&p->lock);
    if (!s->used && !p->closing) {
        s->used = true;
        s->keep = p->keep;
    }
    if (!p->running && !p->closing && p->keep > 0)
        p->running = pthread_create(&p->thread, NULL, keeper, p) == 0;
    char *path = s->n_spare > 0 ? s->spare[--s->n_spare] : NULL;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    return path;
}

int dray_netns_get(struct dray_netns_pool *p, char **path_out, struct dray_err *err)
{
    char *path = take_spare(p, &p->shelves[0]);
    if (!path)
        return make_namespace(p, path_out, err);
    *path_out = path;
    return 0;
}

int dray_netns_get_owned(struct dray_netns_pool *p, const char *within, char **path_out,
                         struct dray_err *err)
{
    char *path = within ? NULL : take_spare(p, &p->shelves[1]);
    if (!path)
        return make_owned(p, within, path_out, err);
    *path_out = path;
    return 0;
}

static void drop_file(const char *path)
{
    (void)umount2(path, MNT_DETACH);
    (void)unlink(path);
}

char *dray_netns_owner(const char *path)
{
    if (!path || !dray_str_suffix(path, OWNED))
        return NULL;
    return dray_strf("%.*s" OWNER, (int)(strlen(path) - strlen(OWNED)), path);
}

void dray_netns_drop(struct dray_netns_pool *p, const char *path)
{
    (void)p;
    if (!path)
        return;
    dray_autofree char *owner = dray_netns_owner(path);
    drop_file(path);
    if (owner)
        drop_file(owner);
}

/** Is path the namespace, or its owner? */
static bool belongs_to(const char *path, const char *netns)
{
    dray_autofree char *owner = dray_netns_owner(netns);
    return strcmp(netns, path) == 0 || (owner && strcmp(owner, path) == 0);
}

static bool is_used(struct dray_netns_pool *p, struct dray_strs keep, const char *file)
{
    dray_autofree char *path = dray_strf("%s/%s", p->dir, file);
    bool used = !path;
    for (uint64_t i = 0; !used && i < keep.n; i++)
        used = belongs_to(path, keep.v[i]);
    pthread_mutex_lock(&p->lock);
    for (size_t k = 0; k < 2; k++)
        for (unsigned i = 0; !used && i < p->shelves[k].n_spare; i++)
            used = belongs_to(path, p->shelves[k].spare[i]);
    pthread_mutex_unlock(&p->lock);
    return used;
}

void dray_netns_collect(struct dray_netns_pool *p, struct dray_strs keep)
{
    DIR *dir = opendir(p->dir);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, HOST) == 0 || is_used(p, keep, e->d_name))
            continue;
        dray_autofree char *path = dray_strf("%s/%s", p->dir, e->d_name);
        if (path)
            drop_file(path);
    }
    closedir(dir);
}
