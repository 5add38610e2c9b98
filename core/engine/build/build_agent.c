/* SPDX-License-Identifier: Apache-2.0 */
/* build_agent.c - a socket in a build's container behind which is the client's ssh agent. */
#include "engine/build/build_priv.h"

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct build_agent {
    struct build *b;
    char *id;
    int sock, stop;
    pthread_t thread;
};

static void *agent_main(void *arg)
{
    struct build_agent *a = arg;
    for (;;) {
        struct pollfd p[2] = {{.fd = a->sock, .events = POLLIN}, {.fd = a->stop, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (p[1].revents)
            return NULL;
        if (!p[0].revents)
            continue;
        int fd = accept4(a->sock, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            (void)build_client_agent(a->b, a->id, fd, a->stop);
    }
}

static int listen_at(const struct dray_build_mount *m, const char *path, int *out,
                     struct dray_err *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof to.sun_path)
        return dray_fail(err, DRAY_E_INVAL, "the path of a socket is too long: %s", path);
    memcpy(to.sun_path, path, strlen(path) + 1);
    dray_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&to, sizeof to) != 0 || listen(fd, 16) != 0 ||
        chmod(path, m->mode) != 0 || chown(path, m->uid, m->gid) != 0)
        return dray_fail_errno(err, "make the socket of ssh agent %s", m->id);
    *out = dray_steal_fd(&fd);
    return 0;
}

int build_agent_open(struct build *b, const struct dray_build_mount *m, const char *path,
                     struct build_agent **out, struct dray_err *err)
{
    struct build_agent *a = calloc(1, sizeof *a);
    if (!a)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    *a = (struct build_agent){.b = b, .sock = -EBADF, .stop = eventfd(0, EFD_CLOEXEC)};
    a->id = strdup(m->id);
    int rc = a->stop < 0 || !a->id ? dray_fail(err, DRAY_E_NOMEM, "out of memory")
                                   : listen_at(m, path, &a->sock, err);
    if (!rc && pthread_create(&a->thread, NULL, agent_main, a) != 0)
        rc = dray_fail(err, DRAY_E_NOMEM, "start a thread");
    if (rc) {
        dray_cleanup_fd(&a->sock);
        dray_cleanup_fd(&a->stop);
        free(a->id);
        free(a);
        return rc;
    }
    *out = a;
    return 0;
}

void build_agent_close(struct build_agent *a)
{
    (void)eventfd_write(a->stop, 1);
    (void)pthread_join(a->thread, NULL);
    (void)close(a->sock);
    (void)close(a->stop);
    free(a->id);
    free(a);
}
