/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - a family of volume drivers: each server of Docker's volume plugin protocol is one. */
#include "remote.h"

#include <dray/volume.h>
#include <time.h>

struct dray_self {
    const struct dray_host *host;
    struct dray_remote *remote;
};

static struct json_object *named(const char *name)
{
    struct json_object *o = json_object_new_object();
    dray_remote_add(o, "Name", name);
    return o;
}

static struct json_object *used(const char *name, const char *user)
{
    struct json_object *o = named(name);
    dray_remote_add(o, "ID", user);
    return o;
}

/* As Docker does, what the server has already is taken as it is. */
static int32_t create(struct dray_self *self, const struct dray_call *call, const char *name,
                      struct dray_kvs opts, struct dray_err *err)
{
    struct dray_err why = {0};
    dray_remote_auto *got = NULL;
    int rc = dray_remote_call(self->remote, call, "Get", named(name), &got, &why);
    if (!rc && dray_remote_obj(got, "Volume"))
        return 0;
    if (rc && !dray_remote_refused(rc)) {
        if (err)
            *err = why;
        return rc;
    }
    struct json_object *body = named(name);
    (void)json_object_object_add(body, "Opts", dray_remote_kvs(opts));
    return dray_remote_call(self->remote, call, "Create", body, NULL, err);
}

static int32_t remove_volume(struct dray_self *self, const struct dray_call *call, const char *name,
                             struct dray_err *err)
{
    int rc = dray_remote_call(self->remote, call, "Remove", named(name), NULL, err);
    return rc == DRAY_E_NOTFOUND ? 0 : rc;
}

static char *copy(const struct dray_self *self, const struct dray_call *call, const char *text)
{
    return dray_call_strdup(self->host, call, text);
}

/* "2006-01-02T15:04:05Z07:00"; 0 for what is no time. */
static int64_t parse_time(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!end)
        return 0;
    if (*end == '.')
        end += 1 + strspn(end + 1, "0123456789");
    struct tm zone = {0};
    if (*end != 'Z' && !strptime(end, "%z", &zone))
        return 0;
    return (int64_t)timegm(&tm) - zone.tm_gmtoff;
}

static int fill_status(const struct dray_self *self, const struct dray_call *call,
                       struct json_object *status, struct dray_kvs *out, struct dray_err *err)
{
    if (!json_object_is_type(status, json_type_object) || !json_object_object_length(status))
        return 0;
    size_t n = (size_t)json_object_object_length(status);
    struct dray_kv *v = self->host->alloc(call, n * sizeof *v);
    if (!v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    json_object_object_foreach(status, key, value)
    {
        v[out->n] = (struct dray_kv){copy(self, call, key),
                                     copy(self, call, value ? json_object_get_string(value) : "")};
        if (!v[out->n].key || !v[out->n].value)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        out->n++;
    }
    out->v = v;
    return 0;
}

/* Where it is, for a server that does not say so in Get. */
static char *ask_path(const struct dray_self *self, const struct dray_call *call, const char *name)
{
    dray_remote_auto *got = NULL;
    (void)dray_remote_call(self->remote, call, "Path", named(name), &got, NULL);
    return copy(self, call, dray_remote_str(got, "Mountpoint"));
}

static int32_t inspect(struct dray_self *self, const struct dray_call *call, const char *name,
                       struct dray_volume_info *out, struct dray_err *err)
{
    dray_remote_auto *got = NULL;
    int rc = dray_remote_call(self->remote, call, "Get", named(name), &got, err);
    if (rc)
        return rc;
    struct json_object *v = dray_remote_obj(got, "Volume");
    if (!json_object_is_type(v, json_type_object))
        return dray_fail(err, DRAY_E_NOTFOUND, "the plugin \"%s\" has no volume %s",
                         self->remote->name, name);
    const char *mountpoint = dray_remote_str(v, "Mountpoint");
    out->mountpoint = *mountpoint ? copy(self, call, mountpoint) : ask_path(self, call, name);
    out->created_s = parse_time(dray_remote_str(v, "CreatedAt"));
    if (!out->mountpoint)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return fill_status(self, call, dray_remote_obj(v, "Status"), &out->status, err);
}

static int32_t list(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    dray_remote_auto *got = NULL;
    int32_t rc = dray_remote_call(self->remote, call, "List", NULL, &got, err);
    struct json_object *all = rc ? NULL : dray_remote_obj(got, "Volumes");
    size_t n = json_object_is_type(all, json_type_array) ? json_object_array_length(all) : 0;
    for (size_t i = 0; !rc && i < n; i++) {
        struct json_object *v = json_object_array_get_idx(all, i);
        const char *name = dray_remote_str(v, "Name");
        char created[24];
        (void)snprintf(created, sizeof created, "%lld",
                       (long long)parse_time(dray_remote_str(v, "CreatedAt")));
        struct dray_kv fields[] = {
            {"name", name}, {"mountpoint", dray_remote_str(v, "Mountpoint")}, {"created", created}};
        struct dray_record rec = {sizeof rec, DRAY_REC_ITEM, {fields, 3}};
        if (*name)
            rc = self->host->emit(call, &rec);
    }
    return rc;
}

static int32_t mount(struct dray_self *self, const struct dray_call *call, const char *name,
                     const char *user, const char **path_out, struct dray_err *err)
{
    dray_remote_auto *got = NULL;
    int rc = dray_remote_call(self->remote, call, "Mount", used(name, user), &got, err);
    if (rc)
        return rc;
    const char *path = dray_remote_str(got, "Mountpoint");
    if (*path != '/')
        return dray_fail(err, DRAY_E_IO,
                         "the plugin \"%s\" gave no absolute path in VolumeDriver.Mount",
                         self->remote->name);
    *path_out = copy(self, call, path);
    return *path_out ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int32_t unmount(struct dray_self *self, const struct dray_call *call, const char *name,
                       const char *user, struct dray_err *err)
{
    return dray_remote_call(self->remote, call, "Unmount", used(name, user), NULL, err);
}

/* Servers without this call are local. */
static int32_t capabilities(struct dray_self *self, const struct dray_call *call,
                            uint64_t *features_out, struct dray_err *err)
{
    dray_remote_auto *got = NULL;
    int rc = dray_remote_call(self->remote, call, "Capabilities", NULL, &got, err);
    if (rc && !dray_remote_refused(rc))
        return rc;
    const char *scope = dray_remote_str(dray_remote_obj(got, "Capabilities"), "Scope");
    *features_out = strcmp(scope, "global") == 0 ? DRAY_VOLUME_F_GLOBAL : 0;
    return 0;
}

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    int rc = dray_remote_open(host, instance, "VolumeDriver", &self->remote, err);
    if (rc)
        free(self);
    else
        *out = self;
    return rc;
}

static void close_self(struct dray_self *self)
{
    dray_remote_close(self->remote);
    free(self);
}

static const struct dray_volume_ops ops = {
    .head = DRAY_TABLE(struct dray_volume_ops, DRAY_VOLUME_F_FOREIGN),
    .create = create,
    .remove = remove_volume,
    .inspect = inspect,
    .list = list,
    .mount = mount,
    .unmount = unmount,
    .capabilities = capabilities,
};
static const struct dray_option options[] = {DRAY_REMOTE_OPTIONS};
static const struct dray_iface ifaces[] = {
    {DRAY_KIND_VOLUME, DRAY_THREAD_PER_OBJECT, &ops.head},
};

DRAY_PLUGIN_CARD("{\"name\":\"remote\",\"version\":\"0.1.0\",\"abi\":\"0.1\",\"family\":true,"
                 "\"kinds\":[\"volume\"],\"license\":\"Apache-2.0\"}");

DRAY_PLUGIN_EXPORT extern const struct dray_plugin dray_plugin_v1;
const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "remote",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof *ifaces,
    .open = open_self,
    .close = close_self,
    .claim = dray_remote_claim,
};
