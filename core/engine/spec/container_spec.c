/* SPDX-License-Identifier: Apache-2.0 */
/* container_spec.c - the OCI runtime-spec document of a container: process, mounts, namespaces. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "engine/container/container.h"
#include "engine/spec/apparmor.h"
#include "engine/spec/caps.h"
#include "engine/spec/container_spec.h"
#include "engine/spec/security.h"

#include <fcntl.h>

static void add_strings(struct json_object *array, const char *const *v)
{
    for (; *v; v++)
        json_object_array_add(array, json_object_new_string(*v));
}

static void append_array(struct json_object *to, struct json_object *from)
{
    for (size_t i = 0; i < dray_json_len(from); i++)
        json_object_array_add(to, dray_json_copy(json_object_array_get_idx(from, i)));
}

/* Mounts. */

struct fixed_mount {
    const char *dest, *type, *source;
    const char *options[8];
};

static const struct fixed_mount fixed_mounts[] = {
    {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
    {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
    {"/dev/pts",
     "devpts",
     "devpts",
     {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
    {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
    {"/sys/fs/cgroup", "cgroup", "cgroup", {"ro", "nosuid", "noexec", "nodev"}},
    {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
};

/* An OCI mount; options is NULL-terminated. */
static struct json_object *new_mount(const char *dest, const char *type, const char *source,
                                     const char *const *options)
{
    struct json_object *m = json_object_new_object();
    struct json_object *opts = json_object_new_array();
    dray_json_add_str(m, "destination", dest);
    dray_json_add_str(m, "type", type);
    dray_json_add_str(m, "source", source);
    add_strings(opts, options);
    dray_json_add(m, "options", opts);
    return m;
}

static bool user_mounts_at(const struct dray_spec_in *in, const char *dest)
{
    for (size_t i = 0; i < dray_json_len(in->points); i++)
        if (strcmp(dray_json_str(json_object_array_get_idx(in->points, i), "Destination", ""),
                   dest) == 0)
            return true;
    struct json_object *tmpfs = dray_json_obj(in->host, "Tmpfs");
    return tmpfs && json_object_object_get_ex(tmpfs, dest, NULL);
}

/** The host's message queues cannot be mounted anew by the root of a user namespace. */
static bool lacks_right(const struct dray_spec_in *in, const char *type)
{
    return in->userns && strcmp(type, "mqueue") == 0 &&
           strcmp(dray_json_str(in->host, "IpcMode", ""), "host") == 0;
}

/** Is the option "ro" of a fixed mount taken off? */
static bool is_writable(const struct fixed_mount *f, bool privileged,
                        const struct dray_security *sec)
{
    if (strcmp(f->type, "cgroup") == 0 && sec->cgroups != DRAY_CGROUPS_DEFAULT)
        return sec->cgroups == DRAY_CGROUPS_RW;
    return privileged;
}

static void add_fixed_mounts(const struct dray_spec_in *in, const struct dray_security *sec,
                             struct json_object *mounts)
{
    bool privileged = dray_json_bool(in->host, "Privileged", false);
    for (size_t i = 0; i < sizeof fixed_mounts / sizeof fixed_mounts[0]; i++) {
        const struct fixed_mount *f = &fixed_mounts[i];
        if (user_mounts_at(in, f->dest) || lacks_right(in, f->type))
            continue;
        const char *options[9] = {NULL};
        size_t n = 0;
        for (const char *const *o = f->options; *o; o++)
            if (strcmp(*o, "ro") != 0 || !is_writable(f, privileged, sec))
                options[n++] = *o;
        json_object_array_add(mounts, new_mount(f->dest, f->type, f->source, options));
    }
}

/** /dev/shm by IpcMode: of its own, the host's, another container's, or none. */
static int add_shm(const struct dray_spec_in *in, struct json_object *mounts, struct dray_err *err)
{
    const char *mode = dray_json_str(in->host, "IpcMode", "private");
    if (user_mounts_at(in, "/dev/shm") || strcmp(mode, "none") == 0)
        return 0;
    dray_autofree char *source = NULL;
    if (strcmp(mode, "host") == 0) {
        source = strdup("/dev/shm");
    } else if (dray_str_prefix(mode, "container:")) {
        dray_autocontainer *other = NULL;
        int rc = dray_container_find(in->c->set, mode + 10, &other, err);
        if (rc != 0)
            return rc;
        source =
            dray_strf("%s/containers/%s/shm", in->c->set->engine->config->exec_root, other->id);
        if (!source || access(source, F_OK) != 0)
            return dray_fail(err, DRAY_E_INVAL,
                             "can't join IPC of container %s: non-shareable IPC (hint: use "
                             "IpcMode:shareable for the donor container)",
                             other->id);
    } else if (strcmp(mode, "shareable") == 0) {
        source =
            dray_strf("%s/containers/%s/shm", in->c->set->engine->config->exec_root, in->c->id);
    }
    if (source) {
        const char *const options[] = {"rbind", "rprivate", NULL};
        json_object_array_add(mounts, new_mount("/dev/shm", "bind", source, options));
        return 0;
    }
    char size[32];
    (void)snprintf(size, sizeof size, "size=%lld",
                   (long long)dray_json_int(in->host, "ShmSize", 64 << 20));
    const char *const options[] = {"nosuid", "noexec", "nodev", "mode=1777", size, NULL};
    json_object_array_add(mounts, new_mount("/dev/shm", "tmpfs", "shm", options));
    return 0;
}

static void add_files(const struct dray_spec_in *in, struct json_object *mounts)
{
    static const char *const files[] = {"resolv.conf", "hostname", "hosts"};
    bool ro = dray_json_bool(in->host, "ReadonlyRootfs", false);
    for (size_t i = 0; i < 3; i++) {
        dray_autofree char *dest = dray_strf("/etc/%s", files[i]);
        dray_autofree char *source = dray_strf(
            "%s/containers/%s/%s", in->c->set->engine->config->data_root, in->c->id, files[i]);
        if (!dest || !source || user_mounts_at(in, dest) || access(source, F_OK) != 0)
            continue;
        const char *const options[] = {"rbind", "rprivate", ro ? "ro" : "rw", NULL};
        json_object_array_add(mounts, new_mount(dest, "bind", source, options));
    }
}

static void add_tmpfs(const struct dray_spec_in *in, struct json_object *mounts)
{
    struct json_object *tmpfs = dray_json_obj(in->host, "Tmpfs");
    if (!tmpfs)
        return;
    json_object_object_foreach(tmpfs, dest, value)
    {
        const char *const fixed[] = {"noexec", "nosuid", "nodev", NULL};
        struct json_object *m = new_mount(dest, "tmpfs", "tmpfs", fixed);
        DRAY_AUTO(dray_strlist) words = {0};
        const char *text = value ? json_object_get_string(value) : "";
        if (*text)
            dray_strlist_split(&words, text, ',');
        for (size_t i = 0; i < words.n; i++)
            json_object_array_add(dray_json_arr(m, "options"), json_object_new_string(words.v[i]));
        json_object_array_add(mounts, m);
    }
}

/* Parents before what is mounted below them, whoever asked for it. */
static int by_depth(const void *a, const void *b)
{
    struct json_object *const *x = a, *const *y = b;
    const char *p = dray_json_str(*x, "destination", ""), *q = dray_json_str(*y, "destination", "");
    int dx = 0, dy = 0;
    for (; *p; p++)
        dx += *p == '/';
    for (; *q; q++)
        dy += *q == '/';
    return dx - dy;
}

static int add_mounts(const struct dray_spec_in *in, const struct dray_security *sec,
                      struct json_object *spec, struct dray_err *err)
{
    struct json_object *mounts = json_object_new_array();
    dray_json_add(spec, "mounts", mounts);
    add_fixed_mounts(in, sec, mounts);
    int rc = add_shm(in, mounts, err);
    if (rc != 0)
        return rc;
    dray_autojson *own = json_object_new_array();
    add_files(in, own);
    add_tmpfs(in, own);
    if (dray_json_bool(in->host, "Init", in->c->set->engine->config->init)) {
        const char *const options[] = {"bind", "ro", "rprivate", NULL};
        json_object_array_add(own, new_mount("/sbin/docker-init", "bind",
                                             in->c->set->engine->config->init_path, options));
    }
    rc = dray_container_mounts_start(in->c, in->points, own, err);
    if (rc != 0)
        return rc;
    json_object_array_sort(own, by_depth);
    for (size_t i = 0; i < dray_json_len(own); i++)
        json_object_array_add(mounts, json_object_get(json_object_array_get_idx(own, i)));
    return 0;
}

/* Process. */

static void add_env(struct json_object *env, const char *entry)
{
    size_t len = strcspn(entry, "=");
    for (size_t i = 0; i < dray_json_len(env); i++) {
        const char *have = json_object_get_string(json_object_array_get_idx(env, i));
        if (strncmp(have, entry, len) != 0 || have[len] != '=')
            continue;
        if (entry[len] == '=')
            json_object_array_put_idx(env, i, json_object_new_string(entry));
        else
            json_object_array_del_idx(env, i, 1);
        return;
    }
    if (entry[len] == '=') /* a bare name asks for nothing here: it unsets the image's */
        json_object_array_add(env, json_object_new_string(entry));
}

/* Docker's own variables, those of links, and over them the container's. */
static struct json_object *make_env(struct dray_container *c, struct json_object *config,
                                    struct json_object *host_config, bool tty)
{
    struct json_object *env = json_object_new_array();
    add_env(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    dray_autofree char *host = dray_strf("HOSTNAME=%s", dray_json_str(config, "Hostname", ""));
    if (host)
        add_env(env, host);
    if (tty)
        add_env(env, "TERM=xterm");
    dray_autojson *links = dray_container_links_env(c, host_config);
    for (size_t i = 0; i < dray_json_len(links); i++)
        add_env(env, json_object_get_string(json_object_array_get_idx(links, i)));
    struct json_object *own = dray_json_arr(config, "Env");
    for (size_t i = 0; i < dray_json_len(own); i++)
        add_env(env, json_object_get_string(json_object_array_get_idx(own, i)));
    return env;
}

static struct json_object *make_user(const char *name, struct json_object *groups)
{
    struct json_object *user = json_object_new_object();
    dray_json_add_int(user, "uid", 0);
    dray_json_add_int(user, "gid", 0);
    /* Root by default, with the groups that the image gives it. */
    dray_json_add_str(user, "username", name && *name ? name : "0");
    if (dray_json_len(groups) > 0)
        dray_json_add(user, "additionalGroups", dray_json_copy(groups));
    return user;
}

static struct json_object *make_caps(uint64_t mask)
{
    static const char *const sets[] = {"bounding", "effective", "permitted"};
    struct json_object *caps = json_object_new_object();
    for (size_t i = 0; i < 3; i++)
        dray_json_add(caps, sets[i], dray_caps_names(mask));
    return caps;
}

static struct json_object *make_rlimits(struct json_object *host)
{
    struct json_object *list = json_object_new_array();
    struct json_object *ulimits = dray_json_arr(host, "Ulimits");
    for (size_t i = 0; i < dray_json_len(ulimits); i++) {
        struct json_object *u = json_object_array_get_idx(ulimits, i);
        char name[40];
        int n = snprintf(name, sizeof name, "RLIMIT_%s", dray_json_str(u, "Name", ""));
        for (int k = 0; k < n && k < (int)sizeof name; k++)
            name[k] = (char)(name[k] >= 'a' && name[k] <= 'z' ? name[k] - 'a' + 'A' : name[k]);
        struct json_object *r = json_object_new_object();
        dray_json_add_str(r, "type", name);
        dray_json_add(r, "soft", json_object_new_uint64((uint64_t)dray_json_int(u, "Soft", 0)));
        dray_json_add(r, "hard", json_object_new_uint64((uint64_t)dray_json_int(u, "Hard", 0)));
        json_object_array_add(list, r);
    }
    return list;
}

static void add_args(const struct dray_spec_in *in, struct json_object *process)
{
    struct json_object *args = json_object_new_array();
    if (dray_json_bool(in->host, "Init", in->c->set->engine->config->init)) {
        static const char *const init[] = {"/sbin/docker-init", "--", NULL};
        add_strings(args, init);
    }
    append_array(args, dray_json_arr(in->config, "Entrypoint"));
    append_array(args, dray_json_arr(in->config, "Cmd"));
    dray_json_add(process, "args", args);
}

static const char *working_dir(struct json_object *config)
{
    const char *dir = dray_json_str(config, "WorkingDir", "");
    return *dir ? dir : "/";
}

static struct json_object *make_process(const struct dray_spec_in *in, uint64_t caps,
                                        const struct dray_security *sec)
{
    struct json_object *p = json_object_new_object();
    bool tty = dray_json_bool(in->config, "Tty", false);
    dray_json_add_bool(p, "terminal", tty);
    struct json_object *size = dray_json_arr(in->host, "ConsoleSize");
    if (dray_json_len(size) == 2) {
        struct json_object *box = json_object_new_object();
        dray_json_add_int(box, "height", json_object_get_int(json_object_array_get_idx(size, 0)));
        dray_json_add_int(box, "width", json_object_get_int(json_object_array_get_idx(size, 1)));
        dray_json_add(p, "consoleSize", box);
    }
    dray_json_add(
        p, "user",
        make_user(dray_json_str(in->config, "User", ""), dray_json_arr(in->host, "GroupAdd")));
    add_args(in, p);
    dray_json_add(p, "env", make_env(in->c, in->config, in->host, tty));
    dray_json_add_str(p, "cwd", working_dir(in->config));
    dray_json_add(p, "capabilities", make_caps(caps));
    dray_json_add(p, "rlimits", make_rlimits(in->host));
    dray_json_add_bool(p, "noNewPrivileges", sec->no_new_privileges);
    dray_json_add_int(p, "oomScoreAdj", dray_json_int(in->host, "OomScoreAdj", 0));
    if (*sec->label)
        dray_json_add_str(p, "selinuxLabel", sec->label);
    return p;
}

/** Name the AppArmor profile of a process; the default one is loaded if the kernel lost it. */
static int add_apparmor(struct json_object *process, const struct dray_security *sec,
                        bool privileged, struct dray_err *err)
{
    const char *profile = dray_apparmor_profile(sec->apparmor, privileged);
    int rc = strcmp(profile, DRAY_APPARMOR_DEFAULT) == 0 ? dray_apparmor_ensure(err) : 0;
    if (rc == 0 && *profile)
        dray_json_add_str(process, "apparmorProfile", profile);
    return rc;
}

int dray_container_spec(const struct dray_spec_in *in, struct json_object **out,
                        struct dray_err *err)
{
    const struct dray_config *cfg = in->c->set->engine->config;
    bool privileged = dray_json_bool(in->host, "Privileged", false);
    DRAY_AUTO(dray_security) sec = {0};
    uint64_t caps = 0;
    int rc =
        dray_security_parse(dray_json_arr(in->host, "SecurityOpt"), privileged, cfg, &sec, err);
    if (rc == 0)
        rc = dray_caps_resolve(dray_json_arr(in->host, "CapAdd"),
                               dray_json_arr(in->host, "CapDrop"), privileged, &caps, err);
    if (rc == 0 && in->userns && sec.cgroups != DRAY_CGROUPS_DEFAULT)
        rc = dray_fail(err, DRAY_E_INVAL,
                       "option WritableCgroups conflicts with user namespaces and rootless mode");
    if (rc != 0)
        return rc;
    dray_autojson *spec = json_object_new_object();
    dray_json_add_str(spec, "ociVersion", "1.2.0");
    struct json_object *process = make_process(in, caps, &sec);
    dray_json_add(spec, "process", process);
    rc = add_apparmor(process, &sec, privileged, err);
    if (rc != 0)
        return rc;
    struct json_object *root = json_object_new_object();
    dray_json_add_str(root, "path", in->rootfs);
    dray_json_add_bool(root, "readonly", dray_json_bool(in->host, "ReadonlyRootfs", false));
    dray_json_add(spec, "root", root);
    dray_json_add_str(spec, "hostname", dray_json_str(in->config, "Hostname", ""));
    const char *domain = dray_json_str(in->config, "Domainname", "");
    if (*domain)
        dray_json_add_str(spec, "domainname", domain);
    struct json_object *notes = dray_json_obj(in->host, "Annotations");
    if (notes)
        dray_json_add(spec, "annotations", dray_json_copy(notes));
    rc = dray_spec_linux(in, caps, &sec, spec, err);
    if (rc == 0)
        rc = add_mounts(in, &sec, spec, err);
    if (rc == 0)
        *out = dray_steal(spec);
    return rc;
}

/* Execs. */

int dray_container_spec_exec(struct dray_container *c, struct json_object *exec_config,
                             struct json_object **out, struct dray_err *err)
{
    const struct dray_config *cfg = c->set->engine->config;
    dray_autojson *config = dray_container_json(c, &c->config);
    dray_autojson *host = dray_container_json(c, &c->host);
    bool privileged = dray_json_bool(exec_config, "Privileged", false) ||
                      dray_json_bool(host, "Privileged", false);
    DRAY_AUTO(dray_security) sec = {0};
    uint64_t caps = 0;
    int rc = dray_security_parse(dray_json_arr(host, "SecurityOpt"), privileged, cfg, &sec, err);
    if (rc == 0)
        rc = dray_caps_resolve(dray_json_arr(host, "CapAdd"), dray_json_arr(host, "CapDrop"),
                               privileged, &caps, err);
    if (rc != 0)
        return rc;
    bool tty = dray_json_bool(exec_config, "Tty", false);
    struct json_object *p = json_object_new_object();
    dray_json_add_bool(p, "terminal", tty);
    const char *user = dray_json_str(exec_config, "User", "");
    dray_json_add(p, "user",
                  make_user(*user ? user : dray_json_str(config, "User", ""),
                            *user ? NULL : dray_json_arr(host, "GroupAdd")));
    dray_json_add(p, "args", dray_json_copy(dray_json_arr(exec_config, "Cmd")));
    struct json_object *env = make_env(c, config, host, tty);
    struct json_object *more = dray_json_arr(exec_config, "Env");
    for (size_t i = 0; i < dray_json_len(more); i++)
        add_env(env, json_object_get_string(json_object_array_get_idx(more, i)));
    dray_json_add(p, "env", env);
    const char *dir = dray_json_str(exec_config, "WorkingDir", "");
    dray_json_add_str(p, "cwd", *dir ? dir : working_dir(config));
    dray_json_add(p, "capabilities", make_caps(caps));
    dray_json_add(p, "rlimits", make_rlimits(host));
    dray_json_add_bool(p, "noNewPrivileges", sec.no_new_privileges);
    /* As Docker: an exec with more privileges stays under the container's profile. */
    rc = add_apparmor(p, &sec, dray_json_bool(host, "Privileged", false), err);
    if (rc != 0)
        json_object_put(p);
    else
        *out = p;
    return rc;
}
