/* SPDX-License-Identifier: Apache-2.0 */
/* listen.c - opens the sockets that -H names: unix, tcp, and those of systemd. */
#include "api/http_priv.h"

#include "base/logging.h"

#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define DRAY_LOG_AREA "api"
#define BACKLOG 1024
#define FIRST_SYSTEMD_FD 3

/* The group that may use the socket, or -1 when neither the named one nor the usual ones exist. */
static gid_t socket_group(const char *wanted)
{
    const char *names[] = {wanted ? wanted : "dray", wanted ? NULL : "docker"};
    for (size_t i = 0; i < 2 && names[i]; i++) {
        char buf[4096];
        struct group g, *found = NULL;
        if (getgrnam_r(names[i], &g, buf, sizeof buf, &found) == 0 && found)
            return found->gr_gid;
        char *end = NULL;
        unsigned long id = strtoul(names[i], &end, 10);
        if (wanted && *wanted && !*end)
            return (gid_t)id;
    }
    return (gid_t)-1;
}

/* Remove what is at the path if it is a socket that nobody answers on. */
static int clear_stale(const struct sockaddr_un *sa, struct dray_err *err)
{
    struct stat st;
    if (lstat(sa->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : dray_fail_errno(err, "listen on %s", sa->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return dray_fail(err, DRAY_E_CONFLICT, "listen on %s: the file exists and is no socket",
                         sa->sun_path);
    dray_autofd int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return dray_fail_errno(err, "listen on %s", sa->sun_path);
    if (connect(probe, (const struct sockaddr *)sa, sizeof *sa) == 0 || errno == EAGAIN)
        return dray_fail(err, DRAY_E_CONFLICT, "listen on %s: another daemon answers there",
                         sa->sun_path);
    if (unlink(sa->sun_path) < 0 && errno != ENOENT)
        return dray_fail_errno(err, "remove %s", sa->sun_path);
    return 0;
}

static int open_unix(const char *path, const char *group, int *fd_out, struct dray_err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof sa.sun_path)
        return dray_fail(err, DRAY_E_INVAL, "listen on %s: the path is longer than %zu bytes", path,
                         sizeof sa.sun_path - 1);
    memcpy(sa.sun_path, path, strlen(path) + 1);
    int rc = clear_stale(&sa, err);
    if (rc)
        return rc;
    dray_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return dray_fail_errno(err, "listen on %s", path);
    /* Nobody can connect between bind and listen, so the mode is right before the first client. */
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        return dray_fail_errno(err, "listen on %s", path);
    gid_t gid = socket_group(group);
    if (gid == (gid_t)-1 && group)
        dray_warn("group %s not found: %s stays with root", group, path);
    if (lchown(path, 0, gid == (gid_t)-1 ? 0 : gid) < 0 && errno != EPERM)
        return dray_fail_errno(err, "change the group of %s", path);
    if (chmod(path, 0660) < 0 || listen(fd, BACKLOG) < 0)
        return dray_fail_errno(err, "listen on %s", path);
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

static int listen_tcp(const struct addrinfo *ai, const char *host, int *fd_out,
                      struct dray_err *err)
{
    dray_autofd int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return dray_fail_errno(err, "listen on tcp://%s", host);
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

/* "addr:port", "[v6]:port", ":port", "addr". */
static int open_tcp(const char *host, bool tls, int *fd_out, struct dray_err *err)
{
    dray_autofree char *name = strdup(host);
    if (!name)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    name[strcspn(name, "/")] = '\0';
    char *colon = strrchr(name, ':');
    char *bracket = strrchr(name, ']');
    const char *port = tls ? "2376" : "2375";
    if (colon && (!bracket || colon > bracket)) {
        *colon = '\0';
        port = colon[1] ? colon + 1 : port;
    }
    char *addr = name;
    if (*addr == '[' && bracket) {
        addr++;
        *bracket = '\0';
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list = NULL;
    int gai = getaddrinfo(*addr ? addr : "0.0.0.0", port, &hints, &list);
    if (gai)
        return dray_fail(err, DRAY_E_INVAL, "listen on tcp://%s: %s", host, gai_strerror(gai));
    int rc = listen_tcp(list, host, fd_out, err);
    freeaddrinfo(list);
    return rc;
}

int dray_listen_tcp(const char *host, int *fd_out, struct dray_err *err)
{
    return open_tcp(host, false, fd_out, err);
}

/* sd_listen_fds(3) without the library. */
static int take_systemd(int *fds, size_t max, size_t *n_out, struct dray_err *err)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    long n = count ? strtol(count, NULL, 10) : 0;
    if (!pid || strtol(pid, NULL, 10) != (long)getpid() || n < 1)
        return dray_fail(err, DRAY_E_INVAL,
                         "-H fd:// is for socket activation, and systemd has passed no sockets");
    for (long i = 0; i < n && *n_out < max; i++) {
        int fd = FIRST_SYSTEMD_FD + (int)i;
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
            fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
            return dray_fail_errno(err, "socket %d of systemd", fd);
        fds[(*n_out)++] = fd;
    }
    return 0;
}

static void warn_plain(const char *host)
{
    dray_warn("API is accessible on http://%s WITHOUT ENCRYPTION AND AUTHENTICATION", host);
    dray_warn("Everybody who can reach %s has root access to this machine.", host);
    dray_warn("Use --tlsverify with --tlscacert, --tlscert and --tlskey, or a unix socket.");
}

int dray_listen_open(const struct dray_listen *l, int *fds, size_t max, size_t *n_out,
                     struct dray_err *err)
{
    *n_out = 0;
    if (strncmp(l->host, "fd://", 5) == 0)
        return take_systemd(fds, max, n_out, err);
    int rc = 0;
    if (strncmp(l->host, "unix://", 7) == 0 || l->host[0] == '/') {
        const char *path = l->host[0] == '/' ? l->host : l->host + 7;
        rc = open_unix(*path ? path : "/run/dray.sock", l->group, &fds[0], err);
    } else if (strncmp(l->host, "tcp://", 6) == 0) {
        rc = open_tcp(l->host + 6, l->tls, &fds[0], err);
        if (!rc && !l->tls)
            warn_plain(l->host + 6);
    } else {
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid bind address (%s): use unix://, tcp:// or fd://", l->host);
    }
    *n_out = rc ? 0 : 1;
    return rc;
}
