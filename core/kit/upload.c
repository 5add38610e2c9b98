/* SPDX-License-Identifier: Apache-2.0 */
/* upload.c - a context that comes with a request of its own, before or after the build's. */
#include "base/clock.h"
#include "kit/job.h"

#include <poll.h>

#define WAIT_NS (300 * DRAY_NS_PER_S)
#define STEP_NS (100 * 1000 * 1000)

/** An upload that waits for its build. */
struct kit_upload {
    struct kit_upload *next;
    const char *id;
    int fd;
    struct kit_job *taken;
    bool done;
};

/* Sleep until something has changed, shortly; false when cancel_fd is readable. Lock held. */
static bool wait_change(struct dray_kit *k, int cancel_fd)
{
    int64_t until = dray_clock_mono() + STEP_NS;
    struct timespec ts = {.tv_sec = until / DRAY_NS_PER_S, .tv_nsec = until % DRAY_NS_PER_S};
    struct pollfd p = {.fd = cancel_fd, .events = POLLIN};
    (void)pthread_cond_clockwait(&k->changed, &k->lock, CLOCK_MONOTONIC, &ts);
    return poll(&p, 1, 0) <= 0;
}

int dray_kit_upload(struct dray_kit *k, const char *id, int fd, int cancel_fd, struct dray_err *err)
{
    struct kit_upload u = {.id = id, .fd = fd};
    int64_t end = dray_clock_mono() + WAIT_NS;
    int rc = 0;
    pthread_mutex_lock(&k->lock);
    u.next = k->uploads;
    /* cppcheck-suppress autoVariables ; taken off the list below */
    k->uploads = &u;
    pthread_cond_broadcast(&k->changed);
    /* Once it is taken fd is in use: the build's end is waited for, which comes soon when the
     * client has gone. */
    while (!rc && !u.done) {
        bool here = wait_change(k, cancel_fd);
        if (!u.taken && !here)
            rc = dray_fail(err, DRAY_E_CANCELED, "the client has gone");
        else if (!u.taken && dray_clock_mono() > end)
            rc = dray_fail(err, DRAY_E_TIMEOUT, "no build has asked for this context");
    }
    struct kit_upload **at = &k->uploads;
    while (*at != &u)
        at = &(*at)->next;
    *at = u.next;
    pthread_mutex_unlock(&k->lock);
    return rc;
}

int kit_upload_take(struct kit_job *j, int *fd_out, struct dray_err *err)
{
    struct dray_kit *k = j->kit;
    int64_t end = dray_clock_mono() + WAIT_NS;
    int rc = 0;
    *fd_out = -EBADF;
    pthread_mutex_lock(&k->lock);
    while (!rc && *fd_out < 0) {
        for (struct kit_upload *u = k->uploads; u && *fd_out < 0; u = u->next)
            if (!u->taken && strcmp(u->id, j->req->id) == 0) {
                u->taken = j;
                *fd_out = u->fd;
            }
        if (*fd_out < 0 && !wait_change(k, j->cancel))
            rc = dray_fail(err, DRAY_E_CANCELED, "canceled");
        else if (*fd_out < 0 && dray_clock_mono() > end)
            rc = dray_fail(err, DRAY_E_TIMEOUT, "the context was not uploaded");
    }
    pthread_mutex_unlock(&k->lock);
    return rc;
}

void kit_upload_done(struct kit_job *j)
{
    struct dray_kit *k = j->kit;
    pthread_mutex_lock(&k->lock);
    for (struct kit_upload *u = k->uploads; u; u = u->next)
        if (u->taken == j)
            u->done = true;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}
