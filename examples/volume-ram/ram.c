/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ram.c - a volume driver for Dray: each volume is a tmpfs with a size limit.
 *
 * A volume NAME is the folder DATA/NAME with the file "opts" (how it was made), the folder "users"
 * (a file for each container that uses it) and the folder "data", where the tmpfs is mounted. All
 * that the driver knows lies there, so that it needs no memory of its own across restarts.
 */
#include <dray/plugin.h>
#include <dray/util.h>
#include <dray/volume.h>

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#define TMPFS_MAGIC_NUMBER 0x01021994

DRAY_PLUGIN_CARD("{\"name\":\"ram\",\"version\":\"1.0.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"volume\"],\"license\":\"Apache-2.0\"}");

struct dray_self {
    const struct dray_host *host;
    const char *root;
    int root_fd;
};

/* How a volume was made; the text of the "opts" file. */
struct spec {
    long long size;
    unsigned mode;
    int keep;
};

/* --- options of a volume ---------------------------------------------------------------------- */

/* "64m" and the like; -1 for what is no size. */
static long long parse_size(const char *text)
{
    static const char units[] = "kmgt";
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || errno || v <= 0)
        return -1;
    const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
    if (*end && (!unit || end[1]))
        return -1;
    for (const char *u = units; unit && u <= unit; u++)
        if (__builtin_mul_overflow(v, 1024, &v))
            return -1;
    return v;
}

static int parse_spec(struct dray_self *self, struct dray_kvs opts, struct spec *out,
                      struct dray_err *err)
{
    long long most = self->host->opt_int(self->host, "max-size");
    *out = (struct spec){.size = most, .mode = 01777};
    for (uint64_t i = 0; i < opts.n; i++) {
        const char *key = opts.v[i].key, *value = opts.v[i].value;
        char *end = NULL;
        if (strcmp(key, "size") == 0) {
            out->size = parse_size(value);
            if (out->size <= 0 || out->size > most)
                return dray_fail(err, DRAY_E_INVAL, "ram: size \"%s\" must be from 1 to %lld bytes",
                                 value, most);
        } else if (strcmp(key, "mode") == 0) {
            out->mode = (unsigned)strtoul(value, &end, 8);
            if (*value == '\0' || *end || out->mode > 07777)
                return dray_fail(err, DRAY_E_INVAL, "ram: mode \"%s\" must be octal", value);
        } else if (strcmp(key, "keep") == 0) {
            out->keep = strcmp(value, "true") == 0;
        } else {
            return dray_fail(err, DRAY_E_INVAL,
                             "ram: unknown option \"%s\"; there are size, mode and keep", key);
        }
    }
    return 0;
}

static int same_spec(const struct spec *a, const struct spec *b)
{
    return a->size == b->size && a->mode == b->mode && a->keep == b->keep;
}

/* --- folders of a volume ---------------------------------------------------------------------- */

/* The volume's folder, or NOTFOUND. Names were checked by the host; slashes would lead elsewhere.
 */
static int open_volume(struct dray_self *self, const char *name, int *fd_out, struct dray_err *err)
{
    if (!*name || *name == '.' || strchr(name, '/'))
        return dray_fail(err, DRAY_E_INVAL, "\"%s\" is no name for a volume", name);
    *fd_out = openat(self->root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*fd_out >= 0)
        return 0;
    if (errno == ENOENT)
        return dray_fail(err, DRAY_E_NOTFOUND, "no such volume: %s", name);
    return dray_fail_errno(err, "open volume %s", name);
}

static int read_spec(int dir, struct spec *out, struct dray_err *err)
{
    char text[96];
    dray_autofd int fd = openat(dir, "opts", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0)
        return dray_fail_errno(err, "read options");
    text[n] = '\0';
    if (sscanf(text, "%lld %o %d", &out->size, &out->mode, &out->keep) != 3)
        return dray_fail(err, DRAY_E_CORRUPT, "options are damaged");
    return 0;
}

/* A file that is there whole or not at all. */
static int write_spec(int dir, const struct spec *s, struct dray_err *err)
{
    char text[96];
    int len = snprintf(text, sizeof text, "%lld %o %d\n", s->size, s->mode, s->keep);
    dray_autofd int fd = openat(dir, "opts.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, (size_t)len) != len || fsync(fd) != 0 ||
        renameat(dir, "opts.new", dir, "opts") != 0)
        return dray_fail_errno(err, "write options");
    return 0;
}

static char *data_path(struct dray_self *self, const struct dray_call *call, const char *name)
{
    return dray_call_printf(self->host, call, "%s/%s/data", self->root, name);
}

static int is_mounted(int dir)
{
    struct statfs fs;
    dray_autofd int fd = openat(dir, "data", O_PATH | O_CLOEXEC);
    return fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC_NUMBER;
}

static int count_users(int dir)
{
    int n = 0;
    int fd = openat(dir, "users", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

/* --- operations ------------------------------------------------------------------------------- */

static int32_t create(struct dray_self *self, const struct dray_call *call, const char *name,
                      struct dray_kvs opts, struct dray_err *err)
{
    struct spec want, have;
    dray_autofd int dir = -EBADF;
    (void)call;
    int rc = parse_spec(self, opts, &want, err);
    if (rc)
        return rc;
    rc = open_volume(self, name, &dir, err);
    if (rc == 0 && read_spec(dir, &have, NULL) == 0)
        return same_spec(&want, &have)
                   ? 0
                   : dray_fail(err, DRAY_E_CONFLICT, "volume %s exists with other options", name);
    if (rc && rc != DRAY_E_NOTFOUND)
        return rc;
    /* New, or left half made by a crash: "opts" is written last. */
    if (rc && mkdirat(self->root_fd, name, 0700) != 0)
        return dray_fail_errno(err, "create volume %s", name);
    if (dir < 0 && (rc = open_volume(self, name, &dir, err)))
        return rc;
    if ((mkdirat(dir, "data", 0700) != 0 && errno != EEXIST) ||
        (mkdirat(dir, "users", 0700) != 0 && errno != EEXIST))
        return dray_fail_errno(err, "create volume %s", name);
    return write_spec(dir, &want, err);
}

static int32_t remove_volume(struct dray_self *self, const struct dray_call *call, const char *name,
                             struct dray_err *err)
{
    dray_autofd int dir = -EBADF;
    int rc = open_volume(self, name, &dir, NULL);
    if (rc == DRAY_E_NOTFOUND)
        return 0;
    if (rc)
        return open_volume(self, name, &dir, err);
    if (count_users(dir) > 0)
        return dray_fail(err, DRAY_E_CONFLICT, "volume %s is in use", name);
    const char *path = data_path(self, call, name);
    if (path && is_mounted(dir) && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
        return dray_fail_errno(err, "unmount volume %s", name);
    static const char *const files[] = {"opts", "opts.new"};
    for (int i = 0; i < 2; i++)
        (void)unlinkat(dir, files[i], 0);
    (void)unlinkat(dir, "users", AT_REMOVEDIR);
    (void)unlinkat(dir, "data", AT_REMOVEDIR);
    if (unlinkat(self->root_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return dray_fail_errno(err, "remove volume %s", name);
    return 0;
}

static int32_t inspect(struct dray_self *self, const struct dray_call *call, const char *name,
                       struct dray_volume_info *out, struct dray_err *err)
{
    struct spec spec;
    struct stat st;
    dray_autofd int dir = -EBADF;
    int rc = open_volume(self, name, &dir, err);
    if (!rc)
        rc = read_spec(dir, &spec, err);
    if (rc)
        return rc;
    struct dray_kv *status = (struct dray_kv *)self->host->alloc(call, 2 * sizeof *status);
    out->mountpoint = data_path(self, call, name);
    if (!status || !out->mountpoint || fstatat(dir, "opts", &st, 0) != 0)
        return dray_fail(err, DRAY_E_NOMEM, "inspect volume %s: out of memory", name);
    out->created_s = st.st_mtim.tv_sec;
    status[0].key = "size";
    status[0].value = dray_call_printf(self->host, call, "%lld", spec.size);
    status[1].key = "mounted";
    status[1].value = is_mounted(dir) ? "true" : "false";
    out->status.v = status;
    out->status.n = status[0].value ? 2 : 0;
    return 0;
}

static int32_t list(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    DIR *d = opendir(self->root);
    if (!d)
        return dray_fail_errno(err, "list volumes");
    int32_t rc = 0;
    for (struct dirent *e; !rc && (e = readdir(d));) {
        struct dray_volume_info info = {.size = sizeof info};
        if (e->d_name[0] == '.' || inspect(self, call, e->d_name, &info, NULL) != 0)
            continue; /* half made volumes are not shown */
        struct dray_kv fields[] = {
            {"name", e->d_name},
            {"mountpoint", info.mountpoint},
            {"created", dray_call_printf(self->host, call, "%lld", (long long)info.created_s)},
        };
        struct dray_record rec = {sizeof rec, DRAY_REC_ITEM, {fields, fields[2].value ? 3 : 2}};
        rc = self->host->emit(call, &rec);
    }
    closedir(d);
    return rc;
}

static int mount_tmpfs(const char *path, const struct spec *spec, struct dray_err *err)
{
    char options[96];
    (void)snprintf(options, sizeof options, "size=%lld,mode=%o", spec->size, spec->mode);
    if (mount("ram", path, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
        return dray_fail_errno(err, "mount tmpfs (%s)", options);
    return 0;
}

static int32_t mount_volume(struct dray_self *self, const struct dray_call *call, const char *name,
                            const char *user, const char **path_out, struct dray_err *err)
{
    struct spec spec;
    dray_autofd int dir = -EBADF;
    int rc = open_volume(self, name, &dir, err);
    if (!rc)
        rc = read_spec(dir, &spec, err);
    if (rc)
        return rc;
    const char *path = data_path(self, call, name);
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_autofd int users = openat(dir, "users", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dray_autofd int mark = openat(users, user, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (users < 0 || mark < 0)
        return dray_fail_errno(err, "note the user %s of volume %s", user, name);
    if (!is_mounted(dir) && (rc = mount_tmpfs(path, &spec, err))) {
        (void)unlinkat(users, user, 0);
        return rc;
    }
    *path_out = path;
    return 0;
}

static int32_t unmount_volume(struct dray_self *self, const struct dray_call *call,
                              const char *name, const char *user, struct dray_err *err)
{
    struct spec spec;
    dray_autofd int dir = -EBADF;
    if (open_volume(self, name, &dir, NULL) != 0 || read_spec(dir, &spec, NULL) != 0)
        return 0;
    dray_autofd int users = openat(dir, "users", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (users >= 0 && unlinkat(users, user, 0) != 0 && errno != ENOENT)
        return dray_fail_errno(err, "forget the user %s of volume %s", user, name);
    if (spec.keep || count_users(dir) > 0 || !is_mounted(dir))
        return 0;
    const char *path = data_path(self, call, name);
    if (!path || umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
        return dray_fail_errno(err, "unmount volume %s", name);
    return 0;
}

/* Exactly these containers use the volume: forget those that ended while nobody looked. */
static int32_t restore(struct dray_self *self, const struct dray_call *call, const char *name,
                       struct dray_strs alive, struct dray_err *err)
{
    dray_autofd int dir = -EBADF;
    int rc = open_volume(self, name, &dir, err);
    if (rc)
        return rc;
    int fd = openat(dir, "users", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; !rc && d && (e = readdir(d));) {
        uint64_t i = 0;
        while (i < alive.n && strcmp(alive.v[i], e->d_name) != 0)
            i++;
        if (i == alive.n && e->d_name[0] != '.')
            rc = unmount_volume(self, call, name, e->d_name, err);
    }
    if (d)
        closedir(d);
    return rc;
}

static int32_t usage(struct dray_self *self, const struct dray_call *call, const char *name,
                     uint64_t *bytes_out, struct dray_err *err)
{
    struct statfs fs;
    dray_autofd int dir = -EBADF;
    (void)call;
    int rc = open_volume(self, name, &dir, err);
    if (rc)
        return rc;
    dray_autofd int data = openat(dir, "data", O_PATH | O_CLOEXEC);
    *bytes_out = 0;
    if (is_mounted(dir) && fstatfs(data, &fs) == 0)
        *bytes_out = (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
    return 0;
}

/* --- the plugin ------------------------------------------------------------------------------- */

static const struct dray_volume_ops volume_ops = {
    .head = DRAY_TABLE(struct dray_volume_ops, 0),
    .create = create,
    .remove = remove_volume,
    .inspect = inspect,
    .list = list,
    .mount = mount_volume,
    .unmount = unmount_volume,
    .restore = restore,
    .usage = usage,
};

static const struct dray_option options[] = {
    {.name = "max-size",
     .type = DRAY_OPT_SIZE,
     .def = "256m",
     .min = 4096,
     .max = INT64_C(1) << 40,
     .help = "largest size of a volume, and the default"},
};

static int32_t open_instance(const struct dray_host *host, const char *instance,
                             struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = (struct dray_self *)calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->root = host->path(host, DRAY_PATH_DATA);
    self->root_fd = open(self->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->root_fd < 0) {
        int rc = dray_fail_errno(err, "open %s", self->root);
        free(self);
        return rc;
    }
    *out = self;
    return 0;
}

static void close_instance(struct dray_self *self)
{
    close(self->root_fd);
    free(self);
}

/* Calls about different volumes touch different folders. */
static const struct dray_iface ifaces[] = {
    {DRAY_KIND_VOLUME, DRAY_THREAD_PER_OBJECT, &volume_ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "ram",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof ifaces[0],
    .open = open_instance,
    .close = close_instance,
};
