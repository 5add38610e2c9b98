/* SPDX-License-Identifier: Apache-2.0 */
/* attach.c - mounts what a volume's options name, and unmounts it. */
#include "local.h"
#include "mounts.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netdb.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define OPTIONS_MAX 64u

struct attachment {
    char *o;      /* cut into options */
    char *device; /* with its host resolved */
    char *addr;   /* "addr=1.2.3.4" in place of a name */
    const char *options[OPTIONS_MAX];
    uint64_t n;
    bool loop;
    char loop_device[32];
};

static void attachment_cleanup(struct attachment *a)
{
    free(a->o);
    free(a->device);
    free(a->addr);
}

/* Crossing into the mount of a dead server would hang; being told not to is answered at once. */
enum dray_local_state dray_local_state(int dir)
{
    dray_autofd int fd =
        dray_pl_openat2(dir, "_data", O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
    if (fd >= 0)
        return DRAY_LOCAL_PLAIN;
    return errno == EXDEV ? DRAY_LOCAL_MOUNTED : DRAY_LOCAL_ABSENT;
}

static bool is_mounted(const char *path)
{
    const char *slash = strrchr(path, '/');
    dray_autofree char *parent = strndup(path, (size_t)(slash - path));
    dray_autofd int dir = parent ? open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
    return dir >= 0 && dray_local_state(dir) == DRAY_LOCAL_MOUNTED;
}

/* --- network names ----------------------------------------------------------------------------*/

static bool is_address(const char *text)
{
    unsigned char buf[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, text, buf) == 1 || inet_pton(AF_INET6, text, buf) == 1;
}

/* The kernel's nfs and cifs want addresses, not names. */
static int resolve(const char *name, char out[INET6_ADDRSTRLEN], struct dray_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(name, NULL, &hints, &list);
    if (rc != 0)
        return dray_fail(err, DRAY_E_UNAVAIL,
                         "error resolving passed in network volume address: lookup %s: %s", name,
                         gai_strerror(rc));
    rc = getnameinfo(list->ai_addr, list->ai_addrlen, out, INET6_ADDRSTRLEN, NULL, 0,
                     NI_NUMERICHOST);
    freeaddrinfo(list);
    return rc == 0 ? 0 : dray_fail(err, DRAY_E_UNAVAIL, "%s: %s", name, gai_strerror(rc));
}

static int resolve_nfs(struct attachment *a, struct dray_err *err)
{
    char address[INET6_ADDRSTRLEN];
    for (uint64_t i = 0; i < a->n; i++) {
        if (strncmp(a->options[i], "addr=", 5) != 0 || is_address(a->options[i] + 5))
            continue;
        int rc = resolve(a->options[i] + 5, address, err);
        if (rc < 0)
            return rc;
        if (asprintf(&a->addr, "addr=%s", address) < 0)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        a->options[i] = a->addr;
        return 0;
    }
    return 0;
}

/* "//server/share" */
static int resolve_cifs(struct attachment *a, struct dray_err *err)
{
    char name[256], address[INET6_ADDRSTRLEN];
    if (strncmp(a->device, "//", 2) != 0)
        return 0;
    size_t len = strcspn(a->device + 2, "/");
    if (len == 0 || len >= sizeof name)
        return 0;
    memcpy(name, a->device + 2, len);
    name[len] = '\0';
    if (is_address(name))
        return 0;
    int rc = resolve(name, address, err);
    if (rc < 0)
        return rc;
    char *device;
    if (asprintf(&device, "//%s%s", address, a->device + 2 + len) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    free(a->device);
    a->device = device;
    return 0;
}

/* --- mounting ---------------------------------------------------------------------------------*/

static int prepare(struct attachment *a, const struct local_opts *opts, struct dray_err *err)
{
    a->o = strdup(opts->o ? opts->o : "");
    a->device = strdup(opts->device);
    if (!a->o || !a->device)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (char *rest = a->o, *one; (one = strsep(&rest, ","));) {
        if (*one == '\0')
            continue;
        if (strcmp(one, "loop") == 0) {
            a->loop = true;
            continue;
        }
        if (a->n == OPTIONS_MAX)
            return dray_fail(err, DRAY_E_INVAL, "more than %u mount options", OPTIONS_MAX);
        a->options[a->n++] = one;
    }
    if (strncmp(opts->type, "nfs", 3) == 0)
        return resolve_nfs(a, err);
    return strcmp(opts->type, "cifs") == 0 ? resolve_cifs(a, err) : 0;
}

/* Docker's words, but without the password of a share. */
static int attach_failed(const struct dray_mount *m, const char *path, struct dray_err *err)
{
    DRAY_AUTO(dray_pl_mount_opts) opts = {0};
    char flags[32] = "", data[200] = "";
    int error = errno;
    if (dray_pl_mount_parse(m->options, &opts, NULL) == 0) {
        if (opts.flags != 0)
            (void)snprintf(flags, sizeof flags, ", flags: 0x%lx", opts.flags);
        char *secret = strstr(opts.data, "password=");
        if (secret)
            (void)snprintf(data, sizeof data, ", data: %.*spassword=****%s",
                           (int)(secret - opts.data), opts.data, strchrnul(secret, ','));
        else if (opts.data[0] != '\0')
            (void)snprintf(data, sizeof data, ", data: %s", opts.data);
    }
    /* Go writes what the kernel says in small letters. */
    char buf[96];
    const char *why = strerror_r(error, buf, sizeof buf);
    int rc = dray_fail(err, DRAY_E_IO, "failed to mount local volume: mount %s:%s%s%s: %c%s",
                       m->source, path, flags, data, tolower((unsigned char)why[0]), why + 1);
    if (err)
        err->os_errno = error;
    return rc;
}

int dray_local_attach(const struct local_opts *opts, const char *path, struct dray_err *err)
{
    if (!opts->device || opts->device[0] == '\0')
        return dray_fail(err, DRAY_E_INVAL, "missing device in volume options");
    DRAY_AUTO(attachment) a = {0};
    dray_autofd int loop = -EBADF;
    int rc = prepare(&a, opts, err);
    struct dray_mount m = {.size = sizeof m,
                           .type = opts->type,
                           .source = a.device,
                           .target = "",
                           .options = {a.options, a.n}};
    if (rc == 0 && a.loop) {
        struct dray_pl_mount_opts parsed;
        rc = dray_pl_mount_parse(m.options, &parsed, err);
        if (rc == 0) {
            rc = dray_local_loop(a.device, (parsed.flags & MS_RDONLY) != 0, a.loop_device, &loop,
                                 err);
            dray_pl_mount_opts_cleanup(&parsed);
        }
        m.source = a.loop_device;
    }
    if (rc < 0)
        return rc;
    struct dray_err why = {0};
    rc = dray_pl_mount_at(&m, path, &why);
    if (rc == 0)
        return 0;
    errno = why.os_errno;
    return attach_failed(&m, path, err);
}

int dray_local_detach(const char *path, struct dray_err *err)
{
    while (is_mounted(path))
        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0) {
            if (errno == EINVAL || errno == ENOENT)
                return 0;
            return dray_fail_errno(err, "unmount %s", path);
        }
    return 0;
}
