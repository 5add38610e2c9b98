/* SPDX-License-Identifier: Apache-2.0 */
/* plugin.c - the driver "runc", for every runtime with the command line of runc. */
#include "oci.h"

#include <fcntl.h>
#include <sys/stat.h>

DRAY_PLUGIN_CARD("{\"name\":\"runc\",\"version\":\"0.1.0\",\"abi\":\"0.1\","
                 "\"kinds\":[\"runtime\"],\"license\":\"Apache-2.0\"}");

#define FOLDERS "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The program's path; owned by the caller, NULL if there is none. */
static char *find_program(const char *name)
{
    if (strchr(name, '/'))
        return access(name, X_OK) == 0 ? strdup(name) : NULL;
    const char *env = getenv("PATH");
    dray_autofree char *folders = strdup(env && *env ? env : FOLDERS);
    char *save = NULL, *path = NULL;
    for (char *f = folders ? strtok_r(folders, ":", &save) : NULL; f;
         f = strtok_r(NULL, ":", &save)) {
        if (*f == '/' && asprintf(&path, "%s/%s", f, name) > 0 && access(path, X_OK) == 0)
            return path;
        free(dray_steal(path));
    }
    return NULL;
}

static int32_t oci_probe(const struct dray_host *host, struct dray_err *err)
{
    const char *name = host->opt_str(host, "program");
    dray_autofree char *path = find_program(name);
    return path ? 0
                : dray_fail(err, DRAY_E_NOTSUP, "exec: \"%s\": executable file not found in $PATH",
                            name);
}

static void oci_close(struct dray_self *self)
{
    rn_cg_layout_cleanup(&self->cgroups);
    dray_cleanup_fd(&self->run);
    free(self->program);
    free(self->root);
    free(self);
}

static int fill(struct dray_self *self, struct dray_err *err)
{
    const char *run = self->host->path(self->host, DRAY_PATH_RUN);
    self->program = find_program(self->host->opt_str(self->host, "program"));
    self->args = self->host->opt_list(self->host, "args");
    if (asprintf(&self->root, "%s/.state", run) < 0)
        self->root = NULL;
    if (!self->program || !self->root)
        return dray_fail(err, DRAY_E_NOTFOUND, "the runtime's program cannot be found");
    self->run = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (self->run < 0)
        return dray_fail_errno(err, "open %s", run);
    return rn_cg_layout_read(&self->cgroups, err);
}

static int32_t oci_open(const struct dray_host *host, const char *instance, struct dray_self **out,
                        struct dray_err *err)
{
    (void)instance;
    struct dray_self *self = calloc(1, sizeof *self);
    if (!self)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    self->host = host;
    self->run = -EBADF;
    int rc = fill(self, err);
    if (rc)
        oci_close(self);
    else
        *out = self;
    return rc;
}

static const struct dray_option options[] = {
    {.name = "program",
     .type = DRAY_OPT_STRING,
     .def = "runc",
     .help = "the runtime's program: a path, or a name that is looked for in $PATH"},
    {.name = "args",
     .type = DRAY_OPT_LIST,
     .help = "arguments of the program that go before its command"},
};

static const struct dray_runtime_ops ops = {
    .head = DRAY_TABLE(struct dray_runtime_ops, 0),
    .create = oci_create,
    .start = oci_start,
    .kill = oci_kill,
    .state = oci_state,
    .remove = oci_remove,
    .exec = oci_exec,
    .freeze = oci_freeze,
    .update = oci_update,
    .stats = oci_stats,
    .ps = oci_ps,
    .reattach = oci_reattach,
};

static const struct dray_iface ifaces[] = {
    {.kind = DRAY_KIND_RUNTIME, .threading = DRAY_THREAD_PARALLEL, .ops = &ops.head},
};

DRAY_PLUGIN_EXPORT const struct dray_plugin dray_plugin_v1 = {
    .magic = DRAY_PLUGIN_MAGIC,
    .head = DRAY_TABLE(struct dray_plugin, 0),
    .name = "runc",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .ifaces = ifaces,
    .n_ifaces = 1,
    .probe = oci_probe,
    .open = oci_open,
    .close = oci_close,
};
