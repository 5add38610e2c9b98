/*
 * myvol.c - a volume driver to start from: each volume is a folder.
 *
 * Replace "myvol" everywhere, then make the functions do what your volumes need.
 */
#include <dray/plugin.h>
#include <dray/util.h>
#include <dray/volume.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

/* Read by the host before any of this code runs. */
DRAY_PLUGIN_CARD("{\"name\":\"myvol\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"volume\"],\"license\":\"MIT\"}");

/* One opened instance. The interface is declared SERIAL below, so no lock is needed. */
struct dray_self {
    const struct dray_host *host;
    const char *root; /* holds one folder for each volume */
    int root_fd;
};

/* Names come from the host, which checks them; a driver that makes paths of them looks again. */
static int check_name(const char *name, struct dray_err *err)
{
    if (!*name || *name == '.' || strchr(name, '/'))
        return dray_fail(err, DRAY_E_INVAL, "\"%s\" is no name for a volume", name);
    return 0;
}

/* Making what exists, with equal options, is a success. */
static int32_t create(struct dray_self *self, const struct dray_call *call, const char *name,
                      struct dray_kvs opts, struct dray_err *err)
{
    (void)call;
    if (opts.n)
        return dray_fail(err, DRAY_E_INVAL, "myvol: unknown option \"%s\"", opts.v[0].key);
    int rc = check_name(name, err);
    if (rc)
        return rc;
    if (mkdirat(self->root_fd, name, 0755) != 0 && errno != EEXIST)
        return dray_fail_errno(err, "create volume %s", name);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

/* Its data goes with it. Removing what is not there is a success. */
static int32_t remove_volume(struct dray_self *self, const struct dray_call *call, const char *name,
                             struct dray_err *err)
{
    int rc = check_name(name, err);
    if (rc)
        return rc;
    char *path = dray_call_printf(self->host, call, "%s/%s", self->root, name);
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0 && errno != ENOENT)
        return dray_fail_errno(err, "remove volume %s", name);
    return 0;
}

/* Outputs live in the call: they come from host->alloc(), here by dray_call_printf(). */
static int32_t inspect(struct dray_self *self, const struct dray_call *call, const char *name,
                       struct dray_volume_info *out, struct dray_err *err)
{
    struct stat st;
    int rc = check_name(name, err);
    if (rc)
        return rc;
    if (fstatat(self->root_fd, name, &st, 0) != 0)
        return dray_fail(err, DRAY_E_NOTFOUND, "no such volume: %s", name);
    out->mountpoint = dray_call_printf(self->host, call, "%s/%s", self->root, name);
    out->created_s = st.st_ctim.tv_sec;
    return out->mountpoint ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* Lists are emitted, one record for each thing. */
static int32_t list(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    DIR *d = opendir(self->root);
    if (!d)
        return dray_fail_errno(err, "list volumes");
    int32_t rc = 0;
    for (struct dirent *e; !rc && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        struct dray_kv fields[] = {
            {"name", e->d_name},
            {"mountpoint", dray_call_printf(self->host, call, "%s/%s", self->root, e->d_name)},
        };
        struct dray_record rec = {sizeof rec, DRAY_REC_ITEM, {fields, 2}};
        if (!fields[1].value)
            rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
        else
            rc = self->host->emit(call, &rec);
    }
    closedir(d);
    return rc;
}

static int32_t mount_volume(struct dray_self *self, const struct dray_call *call, const char *name,
                            const char *user, const char **path_out, struct dray_err *err)
{
    struct dray_volume_info info = {.size = sizeof info};
    int rc = inspect(self, call, name, &info, err);
    if (rc)
        return rc;
    dray_host_logf(self->host, DRAY_LOG_DEBUG, "volume %s is used by %s", name, user);
    *path_out = info.mountpoint;
    return 0;
}

static int32_t unmount_volume(struct dray_self *self, const struct dray_call *call,
                              const char *name, const char *user, struct dray_err *err)
{
    (void)self;
    (void)call;
    (void)name;
    (void)user;
    (void)err;
    return 0;
}

static const struct dray_volume_ops volume_ops = {
    .head = DRAY_TABLE(struct dray_volume_ops, 0),
    .create = create,
    .remove = remove_volume,
    .inspect = inspect,
    .list = list,
    .mount = mount_volume,
    .unmount = unmount_volume,
};

/* The host checks options, applies defaults, and refuses what is not declared. */
static const struct dray_option options[] = {
    {.name = "root", .type = DRAY_OPT_PATH, .help = "folder of the volumes"},
};

static int32_t open_instance(const struct dray_host *host, const char *instance,
                             struct dray_self **out, struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = (struct dray_self *)calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    const char *root = host->opt_str(host, "root");
    self->host = host;
    self->root = root ? root : host->path(host, DRAY_PATH_DATA);
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

static const struct dray_iface ifaces[] = {
    {DRAY_KIND_VOLUME, DRAY_THREAD_SERIAL, &volume_ops.head},
};

/* The one symbol that a plugin exports. */
DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "myvol",
    .version = "0.1.0",
    .license = "MIT",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof ifaces[0],
    .open = open_instance,
    .close = close_instance,
};
