/* SPDX-License-Identifier: Apache-2.0 */
/* spec.c - reads config.json of a bundle. */
#include "spec.h"
#include "files.h"
#include "mount.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#define CONFIG_MAX ((size_t)16 << 20)

static int parse_root(struct rn_spec *s, struct dray_err *err)
{
    struct json_object *root = rn_json_obj(s->doc, "root");
    const char *path = rn_json_str(root, "path", "");
    if (!*path)
        return dray_fail(err, DRAY_E_INVAL, "config.json: root.path is missing");
    s->root = *path == '/' ? path : rn_arena_printf(&s->arena, "%s/%s", s->bundle, path);
    s->root_ro = rn_json_bool(root, "readonly", false);
    return s->root ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int parse_mount(struct rn_spec *s, struct json_object *o, struct rn_spec_mount *m,
                       struct dray_err *err)
{
    m->fd = -EBADF;
    m->dest = rn_json_str(o, "destination", "");
    m->type = rn_json_str(o, "type", "");
    m->source = rn_json_str(o, "source", "");
    if (!*m->dest)
        return dray_fail(err, DRAY_E_INVAL, "config.json: a mount without destination");
    int rc = rn_json_strv(rn_json_arr(o, "options"), &s->arena, 0, &m->options, err);
    if (rc == 0 && *m->source && *m->source != '/' && rn_mount_is_bind(m)) {
        m->source = rn_arena_printf(&s->arena, "%s/%s", s->bundle, m->source);
        if (!m->source)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    return rc;
}

static int parse_mounts(struct rn_spec *s, struct dray_err *err)
{
    struct json_object *list = rn_json_arr(s->doc, "mounts");
    size_t n = rn_json_len(list);
    s->mounts = rn_arena_alloc(&s->arena, (n + 1) * sizeof *s->mounts);
    if (!s->mounts)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        s->n_mounts = i + 1;
        int rc = parse_mount(s, json_object_array_get_idx(list, i), &s->mounts[i], err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static const struct {
    const char *type, *name;
    uint64_t flag;
} namespaces[] = {
    {"user", "user", CLONE_NEWUSER},       {"mount", "mnt", CLONE_NEWNS},
    {"pid", "pid", CLONE_NEWPID},          {"network", "net", CLONE_NEWNET},
    {"ipc", "ipc", CLONE_NEWIPC},          {"uts", "uts", CLONE_NEWUTS},
    {"cgroup", "cgroup", CLONE_NEWCGROUP}, {"time", "time", 0x80},
};
#define N_NAMESPACES (sizeof namespaces / sizeof namespaces[0])

/* CLONE_NEW* of an OCI namespace type, 0 if unknown. */
static uint64_t ns_flag(const char *type)
{
    for (size_t i = 0; i < N_NAMESPACES; i++)
        if (strcmp(namespaces[i].type, type) == 0)
            return namespaces[i].flag;
    return 0;
}

const char *rn_ns_name(uint64_t flag)
{
    for (size_t i = 0; i < N_NAMESPACES; i++)
        if (namespaces[i].flag == flag)
            return namespaces[i].name;
    return "?";
}

/* Can this kernel make namespaces of that kind? */
static bool ns_known(uint64_t flag)
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/ns/%s", rn_ns_name(flag));
    return access(path, F_OK) == 0;
}

static int parse_namespaces(struct rn_spec *s, struct json_object *linux_, struct dray_err *err)
{
    struct json_object *list = rn_json_arr(linux_, "namespaces");
    for (size_t i = 0; i < rn_json_len(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const char *type = rn_json_str(o, "type", "");
        const char *path = rn_json_str(o, "path", "");
        uint64_t flag = ns_flag(type);
        if (flag == 0)
            return dray_fail(err, DRAY_E_INVAL, "config.json: unknown namespace \"%s\"", type);
        if (!ns_known(flag))
            return dray_fail(err, DRAY_E_NOTSUP, "this kernel has no %s namespaces", type);
        if (!*path)
            s->ns_new |= flag;
        else if (s->n_join < sizeof s->join / sizeof s->join[0])
            s->join[s->n_join++] = (struct rn_join){.flag = flag, .path = path, .fd = -EBADF};
    }
    if (!(s->ns_new & CLONE_NEWNS))
        return dray_fail(err, DRAY_E_NOTSUP,
                         "a container without a mount namespace of its own is "
                         "not supported");
    return 0;
}

static int parse_idmaps(struct rn_spec *s, struct json_object *list, struct rn_idmap **out,
                        size_t *n_out, struct dray_err *err)
{
    size_t n = rn_json_len(list);
    *out = rn_arena_alloc(&s->arena, (n + 1) * sizeof **out);
    if (!*out)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        (*out)[i] = (struct rn_idmap){
            .inside = (uint32_t)rn_json_int(o, "containerID", 0),
            .outside = (uint32_t)rn_json_int(o, "hostID", 0),
            .count = (uint32_t)rn_json_int(o, "size", 0),
        };
    }
    *n_out = n;
    return 0;
}

static int parse_devices(struct rn_spec *s, struct json_object *linux_, struct dray_err *err)
{
    struct json_object *list = rn_json_arr(linux_, "devices");
    size_t n = rn_json_len(list);
    s->devices = rn_arena_alloc(&s->arena, (n + 1) * sizeof *s->devices);
    if (!s->devices)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const char *type = rn_json_str(o, "type", "");
        s->devices[i] = (struct rn_device){
            .path = rn_json_str(o, "path", ""),
            .type = *type == 'u' ? 'c' : *type,
            .major = (uint32_t)rn_json_int(o, "major", 0),
            .minor = (uint32_t)rn_json_int(o, "minor", 0),
            .mode = (mode_t)(rn_json_int(o, "fileMode", 0666) & 0777),
            .uid = (uint32_t)rn_json_int(o, "uid", 0),
            .gid = (uint32_t)rn_json_int(o, "gid", 0),
        };
        if (!strchr("cbp", s->devices[i].type) || !*type || *s->devices[i].path != '/')
            return dray_fail(err, DRAY_E_INVAL, "config.json: bad device \"%s\"",
                             s->devices[i].path);
    }
    s->n_devices = n;
    return 0;
}

static int parse_propagation(struct rn_spec *s, struct json_object *linux_, struct dray_err *err)
{
    static const struct {
        const char *name;
        unsigned long flags;
    } table[] = {
        {"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
        {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
        {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
        {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC},
    };
    const char *text = rn_json_str(linux_, "rootfsPropagation", "");
    for (size_t i = 0; *text && i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, text) == 0)
            s->root_propagation = table[i].flags;
    if (*text && s->root_propagation == 0)
        return dray_fail(err, DRAY_E_INVAL, "rootfsPropagation=%s is not supported", text);
    return 0;
}

static int parse_linux(struct rn_spec *s, struct dray_err *err)
{
    struct json_object *l = rn_json_obj(s->doc, "linux");
    int rc = parse_namespaces(s, l, err);
    if (rc == 0)
        rc = parse_idmaps(s, rn_json_arr(l, "uidMappings"), &s->uid_map, &s->n_uid_map, err);
    if (rc == 0)
        rc = parse_idmaps(s, rn_json_arr(l, "gidMappings"), &s->gid_map, &s->n_gid_map, err);
    if (rc == 0)
        rc = parse_devices(s, l, err);
    if (rc == 0)
        rc = parse_propagation(s, l, err);
    if (rc == 0)
        rc = rn_json_strv(rn_json_arr(l, "maskedPaths"), &s->arena, 0, &s->masked, err);
    if (rc == 0)
        rc = rn_json_strv(rn_json_arr(l, "readonlyPaths"), &s->arena, 0, &s->readonly, err);
    s->sysctl = rn_json_obj(l, "sysctl");
    s->resources = rn_json_obj(l, "resources");
    s->cgroups_path = rn_json_str(l, "cgroupsPath", NULL);
    return rc;
}

static int parse_hooks(struct rn_spec *s, struct dray_err *err)
{
    struct json_object *h = rn_json_obj(s->doc, "hooks");
    int rc = h ? rn_hooks_parse(h, "prestart", &s->arena, &s->prestart, err) : 0;
    if (!h || rc != 0)
        return rc;
    rc = rn_hooks_parse(h, "createRuntime", &s->arena, &s->create_runtime, err);
    if (rc == 0)
        rc = rn_hooks_parse(h, "createContainer", &s->arena, &s->create_container, err);
    if (rc == 0)
        rc = rn_hooks_parse(h, "startContainer", &s->arena, &s->start_container, err);
    if (rc == 0)
        rc = rn_hooks_parse(h, "poststart", &s->arena, &s->poststart, err);
    if (rc == 0)
        rc = rn_hooks_parse(h, "poststop", &s->arena, &s->poststop, err);
    return rc;
}

static int parse_doc(struct rn_spec *s, struct dray_err *err)
{
    struct json_object *process = rn_json_obj(s->doc, "process");
    if (!process)
        return dray_fail(err, DRAY_E_INVAL, "config.json: \"process\" is missing");
    int rc = parse_root(s, err);
    if (rc == 0)
        rc = rn_process_parse(process, &s->arena, &s->process, err);
    if (rc == 0)
        rc = parse_mounts(s, err);
    if (rc == 0)
        rc = parse_linux(s, err);
    if (rc == 0)
        rc = parse_hooks(s, err);
    const char *host = rn_json_str(s->doc, "hostname", "");
    const char *domain = rn_json_str(s->doc, "domainname", "");
    s->hostname = *host ? host : NULL;
    s->domainname = *domain ? domain : NULL;
    if (rc == 0 && (s->hostname || s->domainname) && !(s->ns_new & CLONE_NEWUTS)) {
        /* Docker's host UTS mode leaves the name in the document. */
        s->hostname = NULL;
        s->domainname = NULL;
    }
    return rc;
}

/** The filter's profile is most of the document, and needed only when its program is not in the
 *  cache: keep its text, and parse the rest alone. */
static int take_seccomp(struct rn_spec *s, size_t len, struct dray_err *err)
{
    size_t n = 0;
    const char *found = rn_json_find(s->text, len, "linux", "seccomp", &n);
    if (!found || n < 4 || *found != '{')
        return 0;
    char *copy = rn_arena_alloc(&s->arena, n + 1);
    if (!copy)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    memcpy(copy, found, n);
    s->seccomp = copy;
    s->seccomp_len = n;
    char *hole = s->text + (found - s->text);
    size_t rest = (size_t)(s->text + len - (hole + n));
    memcpy(hole, "null", 4);
    memmove(hole + 4, hole + n, rest + 1);
    return 0;
}

int rn_spec_load(const char *bundle, struct rn_spec *out, struct dray_err *err)
{
    __attribute__((cleanup(rn_spec_cleanup))) struct rn_spec s = {.bundle = bundle};
    dray_autofd int dir = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return dray_fail_errno(err, "open bundle %s", bundle);
    size_t len = 0;
    int rc = rn_read_whole(dir, "config.json", CONFIG_MAX, &s.text, &len, err);
    if (rc == 0)
        rc = take_seccomp(&s, len, err);
    if (rc == 0)
        rc = rn_json_parse(s.text, strlen(s.text), &s.doc, err);
    free(dray_steal(s.text));
    if (rc == 0)
        rc = parse_doc(&s, err);
    if (rc != 0)
        return dray_err_note(err, "bundle %s", bundle);
    struct json_object *left = rn_json_obj(rn_json_obj(s.doc, "linux"), "seccomp");
    if (left) {
        s.seccomp = json_object_to_json_string_ext(left, JSON_C_TO_STRING_PLAIN);
        s.seccomp_len = s.seccomp ? strlen(s.seccomp) : 0;
    }
    *out = s;
    s = (struct rn_spec){0};
    return 0;
}

void rn_spec_cleanup(struct rn_spec *s)
{
    for (size_t i = 0; i < s->n_mounts; i++)
        if (s->mounts[i].fd >= 0)
            (void)close(s->mounts[i].fd);
    for (size_t i = 0; i < s->n_join; i++)
        if (s->join[i].fd >= 0)
            (void)close(s->join[i].fd);
    (void)json_object_put(s->doc);
    free(s->text);
    rn_arena_cleanup(&s->arena);
    *s = (struct rn_spec){0};
}
