/* SPDX-License-Identifier: Apache-2.0 */
/* quota.c - project quotas by quotactl_fd(2). */
#include "quota.h"
#include "files.h"

#include <ctype.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/syscall.h>

#ifndef PRJQUOTA
#define PRJQUOTA 2
#endif
/* Ids that people give to projects of their own are small. */
#define FIRST_PROJECT 0x44520000u

struct dray_pl_quota {
    int fd;
    pthread_mutex_t lock; /* guards next */
    uint32_t next;
};

static long quotactl_at(int fd, unsigned command, uint32_t id, void *addr)
{
    return syscall(SYS_quotactl_fd, fd, command << SUBCMDSHIFT | PRJQUOTA, id, addr);
}

int dray_pl_quota_open(int dirfd, struct dray_pl_quota **out, struct dray_err *err)
{
    struct dqblk block = {0};
    *out = NULL;
    if (quotactl_at(dirfd, Q_GETQUOTA, 0, &block) < 0)
        return 0;
    struct dray_pl_quota *q = calloc(1, sizeof *q);
    if (!q)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    q->fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
    if (q->fd < 0) {
        free(q);
        return dray_fail_errno(err, "duplicate a descriptor");
    }
    (void)pthread_mutex_init(&q->lock, NULL);
    q->next = FIRST_PROJECT;
    *out = q;
    return 0;
}

void dray_pl_quota_close(struct dray_pl_quota *q)
{
    if (!q)
        return;
    (void)close(q->fd);
    (void)pthread_mutex_destroy(&q->lock);
    free(q);
}

/* An id without a limit and without content. */
static int take_project(struct dray_pl_quota *q, uint32_t *id_out, struct dray_err *err)
{
    int rc = 0;
    (void)pthread_mutex_lock(&q->lock);
    for (;; q->next++) {
        struct dqblk block = {0};
        if (q->next == UINT32_MAX) {
            rc = dray_fail(err, DRAY_E_LIMIT, "all project ids are taken");
            break;
        }
        bool free_id = quotactl_at(q->fd, Q_GETQUOTA, q->next, &block) < 0
                           ? errno == ENOENT || errno == ESRCH
                           : block.dqb_curinodes == 0;
        if (!free_id)
            continue;
        *id_out = q->next++;
        break;
    }
    (void)pthread_mutex_unlock(&q->lock);
    return rc;
}

static int set_project(int dir, uint32_t id, struct dray_err *err)
{
    struct fsxattr attr;
    if (ioctl(dir, FS_IOC_FSGETXATTR, &attr) < 0)
        return dray_fail_errno(err, "read the project of a folder");
    attr.fsx_projid = id;
    attr.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    if (ioctl(dir, FS_IOC_FSSETXATTR, &attr) < 0)
        return dray_fail_errno(err, "set the project of a folder");
    return 0;
}

/* The folder and those that are in it already, one level. */
static int set_project_below(int dir, uint32_t id, struct dray_err *err)
{
    DRAY_AUTO(dray_pl_dir) names = {0};
    int rc = set_project(dir, id, err);
    if (rc == 0)
        rc = dray_pl_dir_read(dir, false, &names, err);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        dray_autofd int child = dray_pl_subdir(dir, names.v[i].text);
        if (child >= 0)
            rc = set_project(child, id, err);
    }
    return rc;
}

int dray_pl_quota_limit(struct dray_pl_quota *q, int dir, uint64_t bytes, struct dray_err *err)
{
    uint32_t id = 0;
    int rc = take_project(q, &id, err);
    if (rc < 0)
        return rc;
    struct dqblk block = {.dqb_bhardlimit = (bytes + 1023) / 1024,
                          .dqb_bsoftlimit = (bytes + 1023) / 1024,
                          .dqb_valid = QIF_BLIMITS};
    if (quotactl_at(q->fd, Q_SETQUOTA, id, &block) < 0)
        return dray_fail_errno(err, "set a project quota");
    return set_project_below(dir, id, err);
}

int dray_pl_quota_parse(const char *text, uint64_t *bytes_out, struct dray_err *err)
{
    static const char units[] = "kmgtp";
    *bytes_out = 0;
    if (*text == '\0')
        return 0;
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    bool good = isdigit((unsigned char)text[0]) && errno == 0;
    while (*end == ' ')
        end++;
    const char *unit = *end != '\0' ? strchr(units, tolower((unsigned char)*end)) : NULL;
    if (unit) {
        for (const char *u = units; u <= unit; u++)
            value *= 1024;
        end++;
        if (*end == 'i' || *end == 'I')
            end++;
    }
    if (*end == 'b' || *end == 'B')
        end++;
    if (!good || *end != '\0' || value < 0 || value > 9e18)
        return dray_fail(err, DRAY_E_INVAL, "invalid size: '%s'", text);
    *bytes_out = (uint64_t)value;
    return 0;
}
