/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the log driver "journald": entries for systemd's journal. */
#include "fields.h"
#include "log_time.h"
#include "send_driver.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

DRAY_PLUGIN_CARD("{\"name\":\"journald\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"log\"],\"license\":\"Apache-2.0\"}");

#define SOCKET "/run/systemd/journal/socket"
#define PRIORITY_ERR "3"
#define PRIORITY_INFO "6"
/* A journal that takes nothing for so long is given up. */
#define SEND_MS 30000
/* Datagrams that wait to be read, besides the kernel's own limit. */
#define SEND_BUFFER (8 << 20)

struct stream {
    int fd;
    struct sockaddr_un journal;
    struct fields facts; /* the same in all entries */
};

static void stream_close(void *stream)
{
    struct stream *s = stream;
    dray_cleanup_fd(&s->fd);
    fields_free(&s->facts);
    free(s);
}

static void put_facts(struct fields *f, const struct dray_send_opening *o)
{
    const struct dray_log_info *i = o->info;
    char id[13];
    (void)snprintf(id, sizeof id, "%s", i->container_id);
    fields_add_text(f, "CONTAINER_ID", id);
    fields_add_text(f, "CONTAINER_ID_FULL", i->container_id);
    fields_add_text(f, "CONTAINER_NAME", i->container_name);
    fields_add_text(f, "CONTAINER_TAG", o->tag);
    fields_add_text(f, "IMAGE_NAME", i->image_name);
    fields_add_text(f, "SYSLOG_IDENTIFIER", o->tag);
    for (size_t k = 0; k < o->attrs.n; k++) {
        char name[65]; /* longer names are refused by the journal */
        fields_name(o->attrs.v[k].key, name, sizeof name);
        if (*name)
            fields_add_text(f, name, o->attrs.v[k].value);
    }
}

static int stream_open(struct dray_send_opening *o, void **out, struct dray_err *err)
{
    const char *path = o->host->opt_str(o->host, "socket");
    struct stat st;
    if (!path || stat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return dray_fail(err, DRAY_E_IO, "journald is not enabled on this host");
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    s->journal.sun_family = AF_UNIX;
    (void)snprintf(s->journal.sun_path, sizeof s->journal.sun_path, "%s", path);
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    put_facts(&s->facts, o);
    int rc = s->fd < 0         ? dray_fail_errno(err, "make a socket")
             : s->facts.failed ? dray_fail(err, DRAY_E_NOMEM, "out of memory")
                               : 0;
    if (rc) {
        stream_close(s);
        return rc;
    }
    int size = SEND_BUFFER;
    (void)setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    *out = s;
    return 0;
}

static void put_part(struct fields *f, const struct dray_send_item *it)
{
    char ordinal[16];
    (void)snprintf(ordinal, sizeof ordinal, "%u", it->ordinal);
    fields_add_text(f, "CONTAINER_PARTIAL_ID", it->part_id);
    fields_add_text(f, "CONTAINER_PARTIAL_ORDINAL", ordinal);
    fields_add_text(f, "CONTAINER_PARTIAL_LAST", it->last ? "true" : "false");
    if (!it->last)
        fields_add_text(f, "CONTAINER_PARTIAL_MESSAGE", "true");
}

static void put_entry(struct fields *f, const struct stream *s, const struct dray_send_item *it)
{
    char when[DRAY_LOG_TIME_MAX];
    f->len = 0;
    fields_append(f, &s->facts);
    fields_add_text(f, "PRIORITY", it->r->stream == DRAY_LOG_STDERR ? PRIORITY_ERR : PRIORITY_INFO);
    fields_add(f, "SYSLOG_TIMESTAMP", when, dray_log_time_write(it->r->time_ns, when));
    if (it->part)
        put_part(f, it);
    fields_add(f, "MESSAGE", it->r->data, it->r->len);
}

static int send_packet(struct stream *s, struct msghdr *m, const struct dray_send_wait *wait,
                       struct dray_err *err)
{
    struct dray_send_wait w = dray_send_wait_within(wait, SEND_MS);
    m->msg_name = &s->journal;
    m->msg_namelen = sizeof s->journal;
    while (sendmsg(s->fd, m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != ENOBUFS)
            return dray_fail_errno(err, "send to the journal");
        /* POLLOUT tells of our own buffer alone, not of the reader's queue. */
        if (!dray_send_wait_sleep(&w, 1))
            return dray_fail(err, DRAY_E_TIMEOUT, "the journal takes no entries");
    }
    return 0;
}

/* What does not fit in a datagram is handed over as a sealed file. */
static int send_file(struct stream *s, const struct fields *f, const struct dray_send_wait *wait,
                     struct dray_err *err)
{
    dray_autofd int fd = memfd_create("journal-entry", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    if (fd < 0 || write(fd, f->data, f->len) != (ssize_t)f->len ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
        return dray_fail_errno(err, "make a file for the journal");
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
                          .cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    struct msghdr m = {.msg_control = &control, .msg_controllen = sizeof control};
    return send_packet(s, &m, wait, err);
}

static int stream_send(void *stream, const struct dray_send_item *items, size_t n,
                       const struct dray_send_wait *wait, struct dray_err *err)
{
    struct stream *s = stream;
    struct fields f = {.len = 0};
    int failed = 0;
    for (size_t i = 0; i < n && !f.failed; i++) {
        put_entry(&f, s, &items[i]);
        struct iovec io = {f.data, f.len};
        struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
        struct dray_err why = {.code = 0};
        int rc = send_packet(s, &m, wait, &why);
        if (rc && (why.os_errno == EMSGSIZE || why.os_errno == ENOBUFS))
            rc = send_file(s, &f, wait, &why);
        if (rc && !failed && err)
            *err = why;
        failed = failed ? failed : rc;
    }
    if (f.failed && !failed)
        failed = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    fields_free(&f);
    return failed;
}

static const char *const keys[] = {NULL};

static const struct dray_send_driver driver = {
    .name = "journald",
    .quote = '\'',
    .keys = keys,
    .open = stream_open,
    .send = stream_send,
    .close = stream_close,
};

static int32_t plugin_open(const struct dray_host *host, const char *instance,
                           struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    return dray_send_driver_new(&driver, host, out, err);
}

static const struct dray_option options[] = {
    {.name = "socket",
     .type = DRAY_OPT_PATH,
     .def = SOCKET,
     .help = "where the journal listens for entries"},
};
static const struct dray_log_ops ops = DRAY_SEND_DRIVER_OPS;

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_LOG, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "journald",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = plugin_open,
    .close = dray_send_driver_free,
};
