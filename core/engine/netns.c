/* SPDX-License-Identifier: Apache-2.0 */
/* netns.c - network namespaces of containers, some made ahead of time. */
#include "engine/netns.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/ident.h"
#include "base/logging.h"
#include "base/strlist.h"

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

struct dray_netns_pool {
    char *dir;
    unsigned keep;
    pthread_mutex_t lock; /* guards: spare, n_spare, closing, running. order: leaf */
    pthread_cond_t wake;
    char *spare[MOST_SPARES];
    unsigned n_spare;
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

static int make_namespace(struct dray_netns_pool *p, char **path_out, struct dray_err *err)
{
    char name[NAME_DIGITS + 1];
    dray_id_hex(name, NAME_DIGITS);
    dray_autofree char *path = dray_strf("%s/%s", p->dir, name);
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_autofd int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0)
        return dray_fail_errno(err, "create %s", path);
    struct make_job job = {.path = path};
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, make_thread, &job);
    if (rc == 0)
        pthread_join(thread, NULL);
    if (rc != 0 || job.saved_errno != 0) {
        unlink(path);
        errno = rc ? rc : job.saved_errno;
        return dray_fail_errno(err, "make a network namespace");
    }
    *path_out = dray_steal(path);
    return 0;
}

static void *keeper(void *arg)
{
    struct dray_netns_pool *p = arg;
    (void)setpriority(PRIO_PROCESS, 0,
                      KEEPER_NICE); /* of this thread alone, and of those it makes */
    pthread_mutex_lock(&p->lock);
    while (!p->closing) {
        if (p->n_spare >= p->keep) {
            pthread_cond_wait(&p->wake, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        char *path = NULL;
        struct dray_err err;
        int rc = make_namespace(p, &path, &err);
        pthread_mutex_lock(&p->lock);
        if (rc != 0) {
            dray_warn("%s", err.text);
            p->keep = 0; /* get() makes its own and reports */
        } else {
            p->spare[p->n_spare++] = path;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int dray_netns_open(const char *dir, unsigned keep, struct dray_netns_pool **out,
                    struct dray_err *err)
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
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
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
    for (unsigned i = 0; i < p->n_spare; i++) {
        dray_netns_drop(p, p->spare[i]);
        free(p->spare[i]);
    }
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->dir);
    free(p);
}

int dray_netns_get(struct dray_netns_pool *p, char **path_out, struct dray_err *err)
{
    pthread_mutex_lock(&p->lock);
    if (!p->running && !p->closing && p->keep > 0)
        p->running = pthread_create(&p->thread, NULL, keeper, p) == 0;
    char *path = p->n_spare > 0 ? p->spare[--p->n_spare] : NULL;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    if (path) {
        *path_out = path;
        return 0;
    }
    return make_namespace(p, path_out, err);
}

void dray_netns_drop(struct dray_netns_pool *p, const char *path)
{
    (void)p;
    if (!path)
        return;
    (void)umount2(path, MNT_DETACH);
    (void)unlink(path);
}

void dray_netns_collect(struct dray_netns_pool *p, struct dray_strs keep)
{
    DIR *dir = opendir(p->dir);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        dray_autofree char *path = dray_strf("%s/%s", p->dir, e->d_name);
        bool used = !path;
        for (uint64_t i = 0; !used && i < keep.n; i++)
            used = strcmp(keep.v[i], path) == 0;
        for (unsigned i = 0; !used && i < p->n_spare; i++)
            used = strcmp(p->spare[i], path) == 0;
        if (!used)
            dray_netns_drop(p, path);
    }
    closedir(dir);
}
