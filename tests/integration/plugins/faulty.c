/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faulty.c - a volume driver that breaks one promise of its kind, for dray-plugin check to find.
 *
 * FAULT says which: none, forgets, mute, odd, hangs, crashes, exits, stays, ignores, unlisted,
 * late, links.
 */
#include <dray/plugin.h>
#include <dray/util.h>
#include <dray/volume.h>

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

DRAY_PLUGIN_CARD("{\"name\":\"faulty\",\"version\":\"1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"volume\"],\"license\":\"MIT\"}");

#define IS(fault) (strcmp(FAULT, fault) == 0)

struct dray_self {
    const struct dray_host *host;
    char made[80]; /* the one volume that there can be, or "" */
};

static const char *place(struct dray_self *self, const struct dray_call *call)
{
    return dray_call_printf(self->host, call, "%s", self->host->path(self->host, DRAY_PATH_DATA));
}

static int32_t create(struct dray_self *self, const struct dray_call *call, const char *name,
                      struct dray_kvs opts, struct dray_err *err)
{
    (void)call;
    if (opts.n && !IS("ignores"))
        return dray_fail(err, DRAY_E_INVAL, "unknown option \"%s\"", opts.v[0].key);
    if (IS("forgets") && strcmp(self->made, name) == 0)
        return dray_fail(err, DRAY_E_CONFLICT, "volume %s exists", name);
    (void)snprintf(self->made, sizeof self->made, "%s", name);
    return IS("odd") ? 5 : 0;
}

static int32_t remove_volume(struct dray_self *self, const struct dray_call *call, const char *name,
                             struct dray_err *err)
{
    (void)call, (void)err;
    if (strcmp(self->made, name) == 0 && !IS("stays"))
        self->made[0] = '\0';
    return 0;
}

static int32_t inspect(struct dray_self *self, const struct dray_call *call, const char *name,
                       struct dray_volume_info *out, struct dray_err *err)
{
    if (strcmp(self->made, name) != 0)
        return IS("mute") ? DRAY_E_NOTFOUND
                          : dray_fail(err, DRAY_E_NOTFOUND, "no such volume: %s", name);
    if (IS("crashes"))
        abort();
    if (IS("exits"))
        exit(3);
    out->mountpoint = place(self, call);
    return 0;
}

static int32_t list(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    (void)err;
    const struct dray_kv f[] = {{"name", self->made}, {"mountpoint", ""}};
    const struct dray_record rec = {sizeof rec, DRAY_REC_ITEM, {f, 2}};
    return self->made[0] && !IS("unlisted") ? self->host->emit(call, &rec) : 0;
}

static int32_t mount_volume(struct dray_self *self, const struct dray_call *call, const char *name,
                            const char *user, const char **path_out, struct dray_err *err)
{
    (void)name, (void)user;
    while (IS("hangs"))
        pause();
    if (IS("late")) { /* but it minds its deadline */
        struct timespec end = {(time_t)(call->deadline_ns / 1000000000), 0};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
            ;
        return dray_fail(err, DRAY_E_TIMEOUT, "the time is over");
    }
    if (IS("links")) { /* it wants to be alone with the loopback */
        struct dirent **names = NULL;
        int n = scandir("/sys/class/net", &names, NULL, NULL); /* with . and .. */
        for (int i = 0; i < n; i++)
            free(names[i]);
        free(names);
        if (n != 3)
            return dray_fail(err, DRAY_E_CONFLICT, "/sys/class/net has %d links", n - 2);
    }
    *path_out = place(self, call);
    return 0;
}

static int32_t unmount_volume(struct dray_self *self, const struct dray_call *call,
                              const char *name, const char *user, struct dray_err *err)
{
    (void)self, (void)call, (void)name, (void)user, (void)err;
    return 0;
}

static const struct dray_volume_ops ops = {
    .head = DRAY_TABLE(struct dray_volume_ops, 0),
    .create = create,
    .remove = remove_volume,
    .inspect = inspect,
    .list = list,
    .mount = mount_volume,
    .unmount = unmount_volume,
};

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    (void)instance, (void)err;
    static struct dray_self self;
    self.host = host;
    *out = &self;
    return 0;
}

static void close_self(struct dray_self *self)
{
    (void)self;
}

static const struct dray_iface ifaces[] = {{DRAY_KIND_VOLUME, DRAY_THREAD_SERIAL, &ops.head}};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "faulty",
    .version = "1.0",
    .license = "MIT",
    .ifaces = ifaces,
    .n_ifaces = 1,
    .open = open_self,
    .close = close_self,
};
