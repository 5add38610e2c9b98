/* SPDX-License-Identifier: Apache-2.0 */
/*
 * misbehave.c - a driver of many kinds that hangs and crashes when it is told to.
 *
 * Before each operation it looks into the folder of its option "dir": while there is a file
 * hang.KIND.OP it does not go on, whatever the deadline; with a file crash.KIND.OP it removes that
 * file and aborts.
 */
#include <dray/authz.h>
#include <dray/builder.h>
#include <dray/extension.h>
#include <dray/ipam.h>
#include <dray/log.h>
#include <dray/network.h>
#include <dray/plugin.h>
#include <dray/registry.h>
#include <dray/runtime.h>
#include <dray/util.h>
#include <dray/volume.h>

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

/* Some kinds cannot run in a process of their own. */
#ifdef ISOLABLE
#define MORE_KINDS ""
#else
#define MORE_KINDS ",\"runtime\",\"builder\""
#endif

DRAY_PLUGIN_CARD(
    "{\"name\":\"misbehave\",\"version\":\"1.0.0\",\"abi\":\"0.1\",\"kinds\":[\"volume\","
    "\"network\",\"ipam\",\"authz\",\"extension\",\"registry\",\"log\"" MORE_KINDS "],"
    "\"license\":\"Apache-2.0\"}");

struct dray_self {
    const struct dray_host *host;
    char *dir, *data;
    unsigned next; /* last byte of the next address */
    unsigned events;
};

static int is_there(const char *dir, const char *what, const char *op)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s.%s", dir, what, op);
    return access(path, F_OK) == 0;
}

static void gate(struct dray_self *self, const char *op)
{
    const struct timespec nap = {.tv_nsec = 20000000};
    char path[300];
    (void)snprintf(path, sizeof path, "%s/crash.%s", self->dir, op);
    if (unlink(path) == 0)
        abort();
    while (is_there(self->dir, "hang", op))
        (void)nanosleep(&nap, NULL);
}

/* --- volume: folders ---------------------------------------------------------------------------*/

static char *path_of(struct dray_self *self, const struct dray_call *call, const char *name)
{
    return dray_call_printf(self->host, call, "%s/%s", self->data, name);
}

static int32_t vol_create(struct dray_self *self, const struct dray_call *call, const char *name,
                          struct dray_kvs opts, struct dray_err *err)
{
    gate(self, "volume.create");
    if (dray_kvs_get(opts, "bad", NULL))
        return dray_fail(err, DRAY_E_INVAL, "bad is not an option");
    if (mkdir(path_of(self, call, name), 0755) != 0 && errno != EEXIST)
        return dray_fail_errno(err, "make volume %s", name);
    return 0;
}

static int32_t vol_remove(struct dray_self *self, const struct dray_call *call, const char *name,
                          struct dray_err *err)
{
    gate(self, "volume.remove");
    if (rmdir(path_of(self, call, name)) != 0 && errno != ENOENT)
        return dray_fail_errno(err, "remove volume %s", name);
    return 0;
}

static int32_t vol_inspect(struct dray_self *self, const struct dray_call *call, const char *name,
                           struct dray_volume_info *out, struct dray_err *err)
{
    gate(self, "volume.inspect");
    struct dray_kv *status = (struct dray_kv *)self->host->alloc(call, 2 * sizeof *status);
    out->mountpoint = path_of(self, call, name);
    if (!status || access(out->mountpoint, F_OK) != 0)
        return dray_fail(err, DRAY_E_NOTFOUND, "no volume %s", name);
    status[0] = (struct dray_kv){"pid", dray_call_printf(self->host, call, "%d", (int)getpid())};
    status[1] = (struct dray_kv){"request", call->request_id};
    out->status = (struct dray_kvs){status, 2};
    return 0;
}

static int32_t vol_list(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    gate(self, "volume.list");
    DIR *d = opendir(self->data);
    int32_t rc = d ? 0 : dray_fail_errno(err, "list volumes");
    for (struct dirent *e; d && !rc && (e = readdir(d));) {
        struct dray_kv field = {"name", e->d_name};
        struct dray_record rec = {sizeof rec, DRAY_REC_ITEM, {&field, 1}};
        if (e->d_name[0] != '.')
            rc = self->host->emit(call, &rec);
    }
    if (d)
        closedir(d);
    return rc;
}

static int32_t vol_mount(struct dray_self *self, const struct dray_call *call, const char *name,
                         const char *user, const char **path_out, struct dray_err *err)
{
    (void)user, (void)err;
    gate(self, "volume.mount");
    *path_out = path_of(self, call, name);
    return 0;
}

static int32_t vol_unmount(struct dray_self *self, const struct dray_call *call, const char *name,
                           const char *user, struct dray_err *err)
{
    (void)call, (void)name, (void)user, (void)err;
    gate(self, "volume.unmount");
    return 0;
}

static int32_t vol_restore(struct dray_self *self, const struct dray_call *call, const char *name,
                           struct dray_strs users, struct dray_err *err)
{
    (void)call, (void)err;
    gate(self, "volume.restore");
    for (uint64_t i = 0; i < users.n; i++)
        dray_host_logf(self->host, DRAY_LOG_INFO, "restore %s for %s", name, users.v[i]);
    return 0;
}

static const struct dray_volume_ops volume_ops = {
    .head = DRAY_TABLE(struct dray_volume_ops, 0),
    .create = vol_create,
    .remove = vol_remove,
    .inspect = vol_inspect,
    .list = vol_list,
    .mount = vol_mount,
    .unmount = vol_unmount,
    .restore = vol_restore,
};

/* --- network: nothing, but it says yes
 * -----------------------------------------------------------*/

static int32_t net_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                          const struct dray_net_spec *spec, struct dray_err *err)
{
    (void)call, (void)net_id, (void)spec, (void)err;
    gate(self, "network.net_create");
    return 0;
}

static int32_t net_remove(struct dray_self *self, const struct dray_call *call, const char *net_id,
                          struct dray_err *err)
{
    (void)call, (void)net_id, (void)err;
    gate(self, "network.net_remove");
    return 0;
}

static int32_t ep_create(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, const struct dray_ep_spec *spec, const char **mac_out,
                         struct dray_err *err)
{
    (void)net_id, (void)ep_id, (void)err;
    gate(self, "network.ep_create");
    *mac_out = dray_call_strdup(self->host, call, *spec->mac ? spec->mac : "02:01:02:03:04:05");
    return 0;
}

static int32_t ep_remove(struct dray_self *self, const struct dray_call *call, const char *net_id,
                         const char *ep_id, struct dray_err *err)
{
    (void)call, (void)net_id, (void)ep_id, (void)err;
    gate(self, "network.ep_remove");
    return 0;
}

static int32_t join(struct dray_self *self, const struct dray_call *call, const char *net_id,
                    const char *ep_id, struct dray_fd_borrow netns, const char *ifname_hint,
                    uint32_t set_default, struct dray_ep_join *out, struct dray_err *err)
{
    (void)net_id, (void)ep_id, (void)ifname_hint, (void)set_default, (void)call;
    struct stat st;
    gate(self, "network.join");
    if (fstat(netns.fd, &st) != 0)
        return dray_fail_errno(err, "look at the namespace");
    out->ifname = out->mac = out->gateway4 = out->gateway6 = "";
    return 0;
}

static int32_t leave(struct dray_self *self, const struct dray_call *call, const char *net_id,
                     const char *ep_id, struct dray_fd_borrow netns, struct dray_err *err)
{
    (void)call, (void)net_id, (void)ep_id, (void)netns, (void)err;
    gate(self, "network.leave");
    return 0;
}

static const struct dray_network_ops network_ops = {
    .head = DRAY_TABLE(struct dray_network_ops, 0),
    .net_create = net_create,
    .net_remove = net_remove,
    .ep_create = ep_create,
    .ep_remove = ep_remove,
    .join = join,
    .leave = leave,
};

/* --- ipam: counts upwards in a /24
 * ----------------------------------------------------------------*/

static int32_t pool_request(struct dray_self *self, const struct dray_call *call,
                            const struct dray_pool_spec *spec, const char **pool_out,
                            const char **subnet_out, struct dray_err *err)
{
    (void)err;
    gate(self, "ipam.pool_request");
    const char *subnet = *spec->subnet ? spec->subnet : "10.66.0.0/24";
    *pool_out = *subnet_out = dray_call_strdup(self->host, call, subnet);
    return 0;
}

static int32_t pool_release(struct dray_self *self, const struct dray_call *call, const char *pool,
                            struct dray_err *err)
{
    (void)call, (void)pool, (void)err;
    gate(self, "ipam.pool_release");
    return 0;
}

static int32_t addr_request(struct dray_self *self, const struct dray_call *call, const char *pool,
                            const struct dray_addr_spec *spec, const char **addr_out,
                            struct dray_err *err)
{
    (void)err;
    gate(self, "ipam.addr_request");
    const char *slash = strchr(pool, '/');
    int stem = (int)(strrchr(pool, '.') - pool);
    *addr_out =
        *spec->addr
            ? dray_call_printf(self->host, call, "%s%s", spec->addr, slash)
            : dray_call_printf(self->host, call, "%.*s.%u%s", stem, pool, ++self->next, slash);
    return 0;
}

static int32_t addr_release(struct dray_self *self, const struct dray_call *call, const char *pool,
                            const char *addr, struct dray_err *err)
{
    (void)call, (void)pool, (void)addr, (void)err;
    gate(self, "ipam.addr_release");
    return 0;
}

static const struct dray_ipam_ops ipam_ops = {
    .head = DRAY_TABLE(struct dray_ipam_ops, 0),
    .pool_request = pool_request,
    .pool_release = pool_release,
    .addr_request = addr_request,
    .addr_release = addr_release,
};

/* --- authz: allows all but what has the word FORBIDDEN
 * --------------------------------------------*/

static int32_t request(struct dray_self *self, const struct dray_call *call,
                       const struct dray_authz_exchange *x, struct dray_err *err)
{
    (void)call;
    gate(self, "authz.request");
    if (strstr(x->uri, "FORBIDDEN") ||
        (x->body.len && memmem(x->body.data, x->body.len, "FORBIDDEN", 9)))
        return dray_fail(err, DRAY_E_DENIED, "%s with the forbidden word", x->method);
    return 0;
}

static int32_t response(struct dray_self *self, const struct dray_call *call,
                        const struct dray_authz_exchange *x, struct dray_err *err)
{
    (void)call, (void)x, (void)err;
    gate(self, "authz.response");
    return 0;
}

static const struct dray_authz_ops authz_ops = {
    .head = DRAY_TABLE(struct dray_authz_ops, 0),
    .request = request,
    .response = response,
};

/* --- extension: says what it was asked
 * -------------------------------------------------------------*/

static int32_t describe(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    static const struct dray_kv offers[] = {{"route", "GET /"},
                                            {"route", "GET /say/*"},
                                            {"route", "POST /echo"},
                                            {"topic", "volume"},
                                            {"route", "GET /fd"}};
    (void)err;
    gate(self, "extension.describe");
    static const struct dray_kv command[] = {
        {"command", "say"}, {"help", "Tell what was asked"}, {"route", "GET /say/args"}};
    const struct dray_record said = {sizeof said, DRAY_REC_ITEM, {command, 3}};
    int32_t rc = self->host->emit(call, &said);
    for (size_t i = 0; !rc && i < sizeof offers / sizeof *offers; i++) {
        struct dray_record rec = {sizeof rec, DRAY_REC_ITEM, {&offers[i], 1}};
        rc = self->host->emit(call, &rec);
    }
    return rc;
}

/* A descriptor with the bytes of the request's body, or of a text. */
static int answer_fd(const struct dray_ext_request *req)
{
    FILE *f = tmpfile();
    char buf[4096];
    ssize_t n;
    if (!f)
        return -1;
    if (req->body.fd < 0)
        (void)fputs("from a descriptor\n", f);
    while (req->body.fd >= 0 && (n = read(req->body.fd, buf, sizeof buf)) > 0)
        (void)fwrite(buf, 1, (size_t)n, f);
    (void)fflush(f);
    int fd = dup(fileno(f));
    (void)fclose(f);
    (void)lseek(fd, 0, SEEK_SET);
    return fd;
}

static int32_t handle(struct dray_self *self, const struct dray_call *call,
                      const struct dray_ext_request *req, struct dray_ext_response *out,
                      struct dray_err *err)
{
    static const struct dray_kv headers[] = {{"X-Made-By", "misbehave"}};
    const char *args = "";
    gate(self, "extension.handle");
    out->status = 200;
    out->content_type = "text/plain";
    out->headers = (struct dray_kvs){headers, 1};
    out->body_fd.fd = -1;
    if (strcmp(req->method, "POST") == 0 || strcmp(req->path, "/fd") == 0) {
        out->body_fd.fd = answer_fd(req);
        return 0;
    }
    for (uint64_t i = 0; i < req->query.n; i++)
        if (strcmp(req->query.v[i].key, "arg") == 0)
            args = dray_call_printf(self->host, call, "%s <%s>", args, req->query.v[i].value);
    if (dray_kvs_get(req->query, "fail", NULL))
        return dray_fail(err, DRAY_E_CONFLICT, "it shall fail");
    char *text = dray_call_printf(self->host, call, "%s %s q=%s h=%s events=%u%s\n", req->method,
                                  req->path, dray_kvs_get(req->query, "q", ""),
                                  dray_kvs_get(req->headers, "X-Test", ""), self->events, args);
    out->body = (struct dray_span){text, strlen(text)};
    return 0;
}

static int32_t event(struct dray_self *self, const struct dray_call *call, const char *json,
                     struct dray_err *err)
{
    (void)call, (void)err;
    gate(self, "extension.event");
    self->events += strstr(json, "\"Type\":\"volume\"") != NULL;
    return 0;
}

static const struct dray_extension_ops extension_ops = {
    .head = DRAY_TABLE(struct dray_extension_ops, 0),
    .describe = describe,
    .handle = handle,
    .event = event,
};

/* --- registry: knows nothing
 * ------------------------------------------------------------------------*/

static int32_t match(struct dray_self *self, const struct dray_call *call, const char *repo)
{
    (void)call;
    gate(self, "registry.match");
    return strncmp(repo, "misbehave.test/", 15) == 0 ? 100 : 0;
}

static int32_t resolve(struct dray_self *self, const struct dray_call *call, const char *repo,
                       const char *ref, const struct dray_auth *auth, struct dray_desc *out,
                       struct dray_err *err)
{
    (void)call, (void)ref, (void)auth, (void)out;
    gate(self, "registry.resolve");
    return dray_fail(err, DRAY_E_NOTFOUND, "manifest for %s not found", repo);
}

static int32_t fetch(struct dray_self *self, const struct dray_call *call, const char *repo,
                     const struct dray_desc *d, uint64_t offset, const struct dray_auth *auth,
                     struct dray_fd_borrow out, struct dray_err *err)
{
    (void)call, (void)d, (void)auth, (void)offset, (void)out;
    gate(self, "registry.fetch");
    return dray_fail(err, DRAY_E_NOTFOUND, "no blobs in %s", repo);
}

static const struct dray_registry_ops registry_ops = {
    .head = DRAY_TABLE(struct dray_registry_ops, 0),
    .match = match,
    .resolve = resolve,
    .fetch = fetch,
};

/* --- log: forgets all --------------------------------------------------------------------------*/

static int32_t log_open(struct dray_self *self, const struct dray_call *call,
                        const struct dray_log_info *info, struct dray_err *err)
{
    (void)call, (void)info, (void)err;
    gate(self, "log.open");
    return 0;
}

static int32_t log_write(struct dray_self *self, const struct dray_call *call, const char *id,
                         const struct dray_log_record *records, uint64_t n, struct dray_err *err)
{
    (void)call, (void)id, (void)records, (void)n, (void)err;
    gate(self, "log.write");
    return 0;
}

static int32_t log_close(struct dray_self *self, const struct dray_call *call, const char *id,
                         struct dray_err *err)
{
    (void)call, (void)id, (void)err;
    gate(self, "log.close");
    return 0;
}

static const struct dray_log_ops log_ops = {
    .head = DRAY_TABLE(struct dray_log_ops, 0),
    .open = log_open,
    .write = log_write,
    .close = log_close,
};

/* --- builder: builds nothing, from a Dockerfile called "misbehave" ----------------------------*/

static int32_t detect(struct dray_self *self, const struct dray_call *call,
                      const struct dray_build_spec *spec)
{
    (void)call;
    gate(self, "builder.detect");
    return strcmp(spec->dockerfile, "misbehave") == 0 ? 100 : 0;
}

static int32_t build(struct dray_self *self, const struct dray_call *call,
                     const struct dray_build_spec *spec, const char **image_out,
                     struct dray_err *err)
{
    (void)call, (void)spec, (void)image_out;
    gate(self, "builder.build");
    return dray_fail(err, DRAY_E_NOTSUP, "this builder builds nothing");
}

__attribute__((unused)) static const struct dray_builder_ops builder_ops = {
    .head = DRAY_TABLE(struct dray_builder_ops, 0),
    .detect = detect,
    .build = build,
};

/* --- runtime: runs nothing
 * ----------------------------------------------------------------------------*/

static int32_t run_create(struct dray_self *self, const struct dray_call *call, const char *id,
                          const struct dray_run_spec *spec, struct dray_proc *out,
                          struct dray_err *err)
{
    (void)call, (void)spec, (void)out;
    gate(self, "runtime.create");
    return dray_fail(err, DRAY_E_NOTSUP, "%.12s: this runtime runs nothing", id);
}

static int32_t run_none(struct dray_self *self, const struct dray_call *call, const char *id,
                        struct dray_err *err)
{
    (void)self, (void)call, (void)id, (void)err;
    return 0;
}

static int32_t run_kill(struct dray_self *self, const struct dray_call *call, const char *id,
                        int32_t signal, uint32_t flags, struct dray_err *err)
{
    (void)signal, (void)flags;
    return run_none(self, call, id, err);
}

static int32_t run_state(struct dray_self *self, const struct dray_call *call, const char *id,
                         struct dray_runtime_state *out, struct dray_err *err)
{
    out->status = DRAY_RUNTIME_STOPPED;
    return run_none(self, call, id, err);
}

static int32_t run_exec(struct dray_self *self, const struct dray_call *call, const char *id,
                        const struct dray_exec_spec *spec, struct dray_proc *out,
                        struct dray_err *err)
{
    (void)self, (void)call, (void)spec, (void)out;
    return dray_fail(err, DRAY_E_NOTSUP, "%.12s: this runtime runs nothing", id);
}

__attribute__((unused)) static const struct dray_runtime_ops runtime_ops = {
    .head = DRAY_TABLE(struct dray_runtime_ops, 0),
    .create = run_create,
    .start = run_none,
    .kill = run_kill,
    .state = run_state,
    .remove = run_none,
    .exec = run_exec,
};

/* --- the plugin
 * ----------------------------------------------------------------------------------------*/

static int32_t open_self(const struct dray_host *host, const char *instance, struct dray_self **out,
                         struct dray_err *err)
{
    struct dray_self *self = (struct dray_self *)calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->dir = strdup(host->opt_str(host, "dir"));
    self->data = strdup(host->path(host, DRAY_PATH_DATA));
    dray_host_logf(host, DRAY_LOG_INFO, "%s is open in process %d", instance, (int)getpid());
    *out = self;
    return 0;
}

static int32_t health(struct dray_self *self, struct dray_err *err)
{
    return is_there(self->dir, "ill", "") ? dray_fail(err, DRAY_E_UNAVAIL, "ill") : 0;
}

static void close_self(struct dray_self *self)
{
    free(self->dir);
    free(self->data);
    free(self);
}

static const struct dray_option options[] = {
    {"dir", DRAY_OPT_PATH, DRAY_OPT_F_REQUIRED, NULL, 0, 0, NULL, "folder with its orders"},
};
static const struct dray_iface ifaces[] = {
    {DRAY_KIND_VOLUME, DRAY_THREAD_PARALLEL, &volume_ops.head},
    {DRAY_KIND_NETWORK, DRAY_THREAD_PARALLEL, &network_ops.head},
    {DRAY_KIND_IPAM, DRAY_THREAD_PARALLEL, &ipam_ops.head},
    {DRAY_KIND_AUTHZ, DRAY_THREAD_PARALLEL, &authz_ops.head},
    {DRAY_KIND_EXTENSION, DRAY_THREAD_PARALLEL, &extension_ops.head},
    {DRAY_KIND_REGISTRY, DRAY_THREAD_PARALLEL, &registry_ops.head},
    {DRAY_KIND_LOG, DRAY_THREAD_PARALLEL, &log_ops.head},
#ifndef ISOLABLE
    {DRAY_KIND_RUNTIME, DRAY_THREAD_PARALLEL, &runtime_ops.head},
    {DRAY_KIND_BUILDER, DRAY_THREAD_PARALLEL, &builder_ops.head},
#endif
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "misbehave",
    .version = "1.0.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .ifaces = ifaces,
    .n_ifaces = sizeof ifaces / sizeof *ifaces,
    .open = open_self,
    .health = health,
    .close = close_self,
};
