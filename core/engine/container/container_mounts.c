/* SPDX-License-Identifier: Apache-2.0 */
/* container_mounts.c - what is mounted into a container: resolving binds, mounts and volumes. */
#include "base/bounded.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/logging.h"
#include "engine/container/container.h"
#include "engine/image/images.h"
#include "engine/rootfs/rootfs.h"
#include "engine/volume/volumes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define DRAY_LOG_AREA "mounts"

/** The list under construction. */
struct points {
    struct dray_container *c;
    struct json_object *host; /* HostConfig */
    struct json_object *list;
    const char *volume_driver;
};

static struct json_object *find_point(struct json_object *list, const char *dest)
{
    for (size_t i = 0; i < dray_json_len(list); i++) {
        struct json_object *p = json_object_array_get_idx(list, i);
        if (strcmp(dray_json_str(p, "Destination", ""), dest) == 0)
            return p;
    }
    return NULL;
}

/** An absolute path without "." and "..", double and trailing slashes; lexical only. */
static char *clean_path(const char *path)
{
    DRAY_AUTO(dray_buf) out = {0};
    while (*path) {
        while (*path == '/')
            path++;
        size_t n = strcspn(path, "/");
        if (n == 2 && memcmp(path, "..", 2) == 0) {
            while (out.len > 0 && out.data[--out.len] != '/')
                ;
            if (out.data)
                out.data[out.len] = '\0';
        } else if (n > 0 && !(n == 1 && *path == '.')) {
            dray_buf_addc(&out, '/');
            dray_buf_add(&out, path, n);
        }
        path += n;
    }
    if (out.len == 0)
        dray_buf_addc(&out, '/');
    return dray_buf_steal(&out);
}

static int add_point(struct points *ps, struct json_object *p /* takes */, struct dray_err *err)
{
    json_object_array_add(ps->list, p);
    const char *dest = dray_json_str(p, "Destination", "");
    if (find_point(ps->list, dest) != p)
        return dray_fail(err, DRAY_E_INVAL, "Duplicate mount point: %s", dest);
    return 0;
}

static struct json_object *new_point(const char *type, const char *dest)
{
    struct json_object *p = json_object_new_object();
    dray_autofree char *clean = clean_path(dest);
    dray_json_add_str(p, "Type", type);
    dray_json_add_str(p, "Source", "");
    dray_json_add_str(p, "Destination", clean);
    dray_json_add_str(p, "Mode", "");
    dray_json_add_bool(p, "RW", true);
    dray_json_add_str(p, "Propagation", "");
    return p;
}

/* Volumes. */

static int resolve_volume(struct points *ps, struct json_object *p, const char *name,
                          const char *driver, struct json_object *options,
                          struct json_object *labels, struct dray_err *err)
{
    struct dray_volumes *vs = ps->c->set->engine->volumes;
    DRAY_AUTO(dray_kvlist) opts = {0};
    DRAY_AUTO(dray_kvlist) labs = {0};
    int rc = 0;
    if (options && (rc = dray_json_to_kvlist(options, &opts, err)) != 0)
        return rc;
    if (labels && (rc = dray_json_to_kvlist(labels, &labs, err)) != 0)
        return rc;
    struct dray_volume_req req = {.name = name,
                                  .driver = driver && *driver ? driver : NULL,
                                  .options = dray_kvlist_view(&opts),
                                  .labels = dray_kvlist_view(&labs)};
    dray_autojson *v = NULL;
    rc = dray_volumes_create(vs, &req, &v, err);
    if (rc != 0)
        return rc;
    const char *real = dray_json_str(v, "Name", "");
    rc = dray_volumes_hold(vs, real, ps->c->id, err);
    if (rc != 0)
        return rc;
    dray_json_add_str(p, "Name", real);
    dray_json_add_str(p, "Source", dray_json_str(v, "Mountpoint", ""));
    dray_json_add_str(p, "Driver", dray_json_str(v, "Driver", "local"));
    if (!name || !*name)
        dray_json_add_bool(p, "Anonymous", true);
    return 0;
}

/* "src:dst:mode" */

static bool is_propagation(const char *m)
{
    static const char *const names[] = {"private", "rprivate", "slave", "rslave",
                                        "shared",  "rshared",  NULL};
    for (const char *const *n = names; *n; n++)
        if (strcmp(m, *n) == 0)
            return true;
    return false;
}

static bool is_within(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && (n == 1 || !path[n] || path[n] == '/');
}

/* A bind mount is private unless it says otherwise. One that shows the daemon's own root would hold
 * the mounts there if it were: it takes part in what is unmounted, or is refused. */
static int settle_propagation(struct points *ps, struct json_object *p, struct dray_err *err)
{
    const char *root = ps->c->set->engine->config->data_root;
    const char *source = dray_json_str(p, "Source", ""),
               *given = dray_json_str(p, "Propagation", "");
    bool near = is_within(source, root) || is_within(root, source);
    if (!*given) {
        dray_json_add_str(p, "Propagation", near ? "rslave" : "rprivate");
        dray_json_add_bool(p, "PropagationDefault", near);
        return 0;
    }
    if (!near || strcmp(given, "rslave") == 0 || strcmp(given, "rshared") == 0)
        return 0;
    return dray_fail(err, DRAY_E_INVAL,
                     "invalid mount config: must use either propagation mode \"rslave\" or "
                     "\"rshared\" when mount source is within the daemon root, daemon root: "
                     "\"%s\", bind mount source: \"%s\", propagation: \"%s\"",
                     root, source, given);
}

/* Each kind of word once: access, propagation, label, copying, consistency. */
static unsigned mode_kind(const char *w)
{
    static const struct {
        const char *word;
        unsigned kind;
    } words[] = {{"ro", 1},     {"rw", 1},     {"z", 2},         {"Z", 2},
                 {"nocopy", 4}, {"cached", 8}, {"delegated", 8}, {"consistent", 8}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].word, w) == 0)
            return words[i].kind;
    return is_propagation(w) ? 16 : 0;
}

static int parse_mode(struct json_object *p, const char *mode, const char *spec,
                      struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) words = {0};
    dray_strlist_split(&words, mode, ',');
    bool bind = strcmp(dray_json_str(p, "Type", ""), "bind") == 0;
    unsigned had = 0;
    for (size_t i = 0; i < words.n; i++) {
        const char *w = words.v[i];
        unsigned kind = mode_kind(w);
        if (kind == 0 || (had & kind))
            return dray_fail(err, DRAY_E_INVAL,
                             "invalid volume specification: '%s': invalid mode: %s", spec, mode);
        had |= kind;
        if ((bind && strcmp(w, "nocopy") == 0) || (!bind && is_propagation(w)))
            return dray_fail(err, DRAY_E_INVAL,
                             "invalid volume specification: '%s': invalid mount config for type "
                             "\"%s\": field %s must not be specified",
                             spec, bind ? "bind" : "volume",
                             bind ? "VolumeOptions" : "BindOptions");
        if (strcmp(w, "ro") == 0)
            dray_json_add_bool(p, "RW", false);
        else if (strcmp(w, "nocopy") == 0)
            dray_json_add_bool(p, "NoCopy", true);
        else if (is_propagation(w))
            dray_json_add_str(p, "Propagation", w);
    }
    dray_json_add_str(p, "Mode", mode);
    return 0;
}

static int check_destination(const char *dest, const char *spec, struct dray_err *err)
{
    if (dest[0] != '/')
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid volume specification: '%s': invalid mount config for type "
                         "\"bind\": invalid mount path: '%s' mount path must be absolute",
                         spec, dest);
    dray_autofree char *clean = clean_path(dest);
    if (clean && strcmp(clean, "/") == 0)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid volume specification: '%s': invalid mount config for type "
                         "\"bind\": invalid specification: destination can't be '/'",
                         spec);
    return 0;
}

static int check_volume_name(const char *name, struct dray_err *err)
{
    if (dray_name_valid(name))
        return 0;
    if (strlen(name) == 1)
        return dray_fail(err, DRAY_E_INVAL,
                         "create %s: volume name is too short, names should be at least two "
                         "alphanumeric characters",
                         name);
    return dray_fail(err, DRAY_E_INVAL,
                     "create %s: \"%s\" includes invalid characters for a local volume name, only "
                     "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
                     "directory, use absolute path",
                     name, name);
}

static int add_bind(struct points *ps, const char *spec, struct dray_err *err)
{
    DRAY_AUTO(dray_strlist) part = {0};
    dray_strlist_split(&part, spec, ':');
    if (part.n < 1 || part.n > 3 || !*part.v[0] || (part.n > 1 && !*part.v[1]))
        return dray_fail(err, DRAY_E_INVAL, "invalid volume specification: '%s'", spec);
    const char *source = part.n > 1 ? part.v[0] : "";
    const char *dest = part.n > 1 ? part.v[1] : part.v[0];
    int rc = check_destination(dest, spec, err);
    if (rc != 0)
        return rc;
    bool bind = source[0] == '/';
    struct json_object *p = new_point(bind ? "bind" : "volume", dest);
    rc = part.n == 3 ? parse_mode(p, part.v[2], spec, err) : 0;
    if (rc == 0 && bind) {
        dray_autofree char *clean = clean_path(source);
        dray_json_add_str(p, "Source", clean);
        dray_json_add_bool(p, "CreateSource", true);
        rc = settle_propagation(ps, p, err);
    } else if (rc == 0) {
        rc = *source ? check_volume_name(source, err) : 0;
        if (part.n < 3)
            dray_json_add_str(p, "Mode", "z");
        if (rc == 0)
            rc = resolve_volume(ps, p, source, ps->volume_driver, NULL, NULL, err);
    }
    if (rc != 0) {
        json_object_put(p);
        return rc;
    }
    return add_point(ps, p, err);
}

/* HostConfig.Mounts */

static int mount_error(const char *type, const char *what, struct dray_err *err)
{
    return dray_fail(err, DRAY_E_INVAL, "invalid mount config for type \"%s\": %s", type, what);
}

/** What "read-only" shall cover: all mounts below too (where that can be), it alone, or all or
 *  nothing. */
static int check_read_only(struct json_object *m, struct dray_err *err)
{
    bool alone = dray_json_bool(m, "BindOptions.ReadOnlyNonRecursive", false);
    bool force = dray_json_bool(m, "BindOptions.ReadOnlyForceRecursive", false);
    const char *prop = dray_json_str(m, "BindOptions.Propagation", "");
    if (!alone && !force)
        return 0;
    if (!dray_json_bool(m, "ReadOnly", false))
        return mount_error("bind", "mount source is not read-only", err);
    if (alone && force)
        return mount_error(
            "bind", "ReadOnlyNonRecursive and ReadOnlyForceRecursive exclude each other", err);
    if (force && *prop && strcmp(prop, "rprivate") != 0)
        return mount_error("bind", "ReadOnlyForceRecursive requires the propagation rprivate", err);
    if (force && dray_json_bool(m, "BindOptions.NonRecursive", false))
        return mount_error("bind", "ReadOnlyForceRecursive and NonRecursive exclude each other",
                           err);
    return 0;
}

static int mount_bind(struct points *ps, struct json_object *m, struct json_object *p,
                      struct dray_err *err)
{
    const char *source = dray_json_str(m, "Source", "");
    if (!*source)
        return mount_error("bind", "field Source must not be empty", err);
    if (*source != '/')
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid mount config for type \"bind\": invalid mount path: '%s' mount "
                         "path must be absolute",
                         source);
    if (dray_json_obj(m, "VolumeOptions"))
        return mount_error("bind", "field VolumeOptions must not be specified", err);
    int rc = check_read_only(m, err);
    if (rc != 0)
        return rc;
    bool create = dray_json_bool(m, "BindOptions.CreateMountpoint", false);
    struct stat st;
    rc = create ? 0 : dray_bounded_stat(source, DRAY_BOUNDED_MS, &st, err);
    if (rc == DRAY_E_IO)
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid mount config for type \"bind\": bind source path does not exist: "
                         "%s",
                         source);
    if (rc != 0)
        return rc;
    const char *prop = dray_json_str(m, "BindOptions.Propagation", "");
    if (*prop && !is_propagation(prop))
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid mount config for type \"bind\": invalid propagation mode: %s",
                         prop);
    dray_autofree char *clean = clean_path(source);
    dray_json_add_str(p, "Source", clean);
    dray_json_add_str(p, "Propagation", prop);
    dray_json_add_bool(p, "CreateSource", create);
    dray_json_add_bool(p, "NonRecursive", dray_json_bool(m, "BindOptions.NonRecursive", false));
    dray_json_add_bool(p, "ReadOnlyNonRecursive",
                       dray_json_bool(m, "BindOptions.ReadOnlyNonRecursive", false));
    return settle_propagation(ps, p, err);
}

static int mount_volume(struct points *ps, struct json_object *m, struct json_object *p,
                        struct dray_err *err)
{
    const char *name = dray_json_str(m, "Source", "");
    int rc = *name ? check_volume_name(name, err) : 0;
    if (rc != 0)
        return rc;
    if (dray_json_obj(m, "BindOptions"))
        return mount_error("volume", "field BindOptions must not be specified", err);
    const char *subpath = dray_json_str(m, "VolumeOptions.Subpath", "");
    if (!*name && dray_json_bool(m, "ReadOnly", false))
        return mount_error("volume", "must not set ReadOnly mode when using anonymous volumes",
                           err);
    if (*subpath == '/' || strstr(subpath, ".."))
        return mount_error("volume", "subpath must be a relative path within the volume", err);
    dray_json_add_str(p, "Mode", "z");
    dray_json_add_bool(p, "NoCopy", dray_json_bool(m, "VolumeOptions.NoCopy", false));
    if (*subpath)
        dray_json_add_str(p, "Subpath", subpath);
    return resolve_volume(ps, p, name, dray_json_str(m, "VolumeOptions.DriverConfig.Name", NULL),
                          dray_json_obj(m, "VolumeOptions.DriverConfig.Options"),
                          dray_json_obj(m, "VolumeOptions.Labels"), err);
}

/** An image's files, read-only. The container uses the image as long as it is there. */
static int mount_image(struct points *ps, struct json_object *m, struct json_object *p,
                       struct dray_err *err)
{
    struct dray_images *images = ps->c->set->engine->images;
    const char *ref = dray_json_str(m, "Source", "");
    const char *subpath = dray_json_str(m, "ImageOptions.Subpath", "");
    if (!*ref)
        return mount_error("image", "field Source must not be empty", err);
    if (dray_json_obj(m, "BindOptions"))
        return mount_error("image", "field BindOptions must not be specified", err);
    if (dray_json_obj(m, "VolumeOptions"))
        return mount_error("image", "field VolumeOptions must not be specified", err);
    if (*subpath == '/' || strstr(subpath, ".."))
        return mount_error("image", "subpath must be a relative path within the volume", err);
    DRAY_AUTO(dray_image) image = {0};
    int rc = dray_images_get(images, ref, &image, err);
    if (rc == DRAY_E_NOTFOUND) /* 404 would tell the client to pull the container's image */
        return dray_fail(err, DRAY_E_INVAL, "No such image: %s", ref);
    if (rc == 0)
        rc = dray_images_hold(images, image.id, ps->c->id, err);
    if (rc != 0)
        return rc;
    dray_json_add_str(p, "Source", ref);
    dray_json_add_str(p, "ImageID", image.id);
    dray_json_add_bool(p, "RW", false);
    if (*subpath)
        dray_json_add_str(p, "Subpath", subpath);
    return 0;
}

static int mount_tmpfs(struct json_object *m, struct json_object *p, struct dray_err *err)
{
    if (*dray_json_str(m, "Source", ""))
        return mount_error("tmpfs", "field Source must not be specified", err);
    struct json_object *opts = dray_json_obj(m, "TmpfsOptions");
    if (dray_json_int(opts, "SizeBytes", 0) < 0)
        return mount_error("tmpfs", "SizeBytes must not be negative", err);
    if (opts)
        dray_json_add(p, "Tmpfs", dray_json_copy(opts));
    return 0;
}

static int add_mount(struct points *ps, struct json_object *m, struct dray_err *err)
{
    const char *type = dray_json_str(m, "Type", "");
    const char *dest = dray_json_str(m, "Target", "");
    if (!*dest)
        return mount_error(type, "field Target must not be empty", err);
    if (*dest != '/')
        return dray_fail(err, DRAY_E_INVAL,
                         "invalid mount config for type \"%s\": invalid mount path: '%s' mount "
                         "path must be absolute",
                         type, dest);
    struct json_object *p = new_point(type, dest);
    if (strcmp(dray_json_str(p, "Destination", ""), "/") == 0) {
        json_object_put(p);
        return mount_error(type, "invalid specification: destination can't be '/'", err);
    }
    if (dray_json_bool(m, "ReadOnly", false))
        dray_json_add_bool(p, "RW", false);
    dray_json_add_bool(p, "FromMounts", true);
    int rc;
    if (strcmp(type, "bind") == 0)
        rc = mount_bind(ps, m, p, err);
    else if (strcmp(type, "volume") == 0)
        rc = mount_volume(ps, m, p, err);
    else if (strcmp(type, "tmpfs") == 0)
        rc = mount_tmpfs(m, p, err);
    else if (strcmp(type, "image") == 0)
        rc = mount_image(ps, m, p, err);
    else
        rc = mount_error(type, "mount type unknown", err);
    if (rc != 0) {
        json_object_put(p);
        return rc;
    }
    return add_point(ps, p, err);
}

/* VolumesFrom and the image's volumes. */

static void drop_point(struct points *ps, struct json_object *p)
{
    dray_autofree char *volume = strdup(dray_json_str(p, "Name", ""));
    size_t at = 0, users = 0;
    for (size_t i = 0; i < dray_json_len(ps->list); i++) {
        struct json_object *q = json_object_array_get_idx(ps->list, i);
        at = q == p ? i : at;
        users += volume && *volume && strcmp(dray_json_str(q, "Name", ""), volume) == 0;
    }
    json_object_array_del_idx(ps->list, at, 1);
    if (users == 1)
        dray_volumes_unhold(ps->c->set->engine->volumes, volume, ps->c->id);
}

static int add_from(struct points *ps, const char *spec, struct dray_err *err)
{
    dray_autofree char *name = strdup(spec);
    char *mode = name ? strchr(name, ':') : NULL;
    if (mode)
        *mode++ = '\0';
    if (!name || !*name)
        return dray_fail(err, DRAY_E_INVAL, "malformed volumes-from specification: %s", spec);
    if (mode && strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0 && strcmp(mode, "z") != 0)
        return dray_fail(err, DRAY_E_INVAL, "invalid mode: %s", mode);
    dray_autocontainer *from = NULL;
    int rc = dray_container_find(ps->c->set, name, &from, err);
    if (rc == DRAY_E_NOTFOUND) /* 404 would tell the client to pull the image */
        return dray_fail(err, DRAY_E_INVAL, "No such container: %s", name);
    if (rc != 0)
        return rc;
    dray_autojson *points = dray_container_json(from, &from->mounts);
    for (size_t i = 0; i < dray_json_len(points) && rc == 0; i++) {
        struct json_object *p = dray_json_copy(json_object_array_get_idx(points, i));
        struct json_object *had = find_point(ps->list, dray_json_str(p, "Destination", ""));
        bool tmpfs = strcmp(dray_json_str(p, "Type", ""), "tmpfs") == 0;
        if (tmpfs || (had && !dray_json_bool(had, "FromOther", false))) {
            json_object_put(p);
            continue;
        }
        if (had) /* of two that are taken from others, the later one stands */
            drop_point(ps, had);
        dray_json_add_bool(p, "FromOther", true);
        dray_json_add_bool(p, "NoCopy", true);
        if (mode && strcmp(mode, "ro") == 0)
            dray_json_add_bool(p, "RW", false);
        const char *volume = dray_json_str(p, "Name", "");
        if (*volume)
            rc = dray_volumes_hold(ps->c->set->engine->volumes, volume, ps->c->id, err);
        json_object_array_add(ps->list, p);
    }
    return rc;
}

/* A place that is asked for twice. */
static int check_tmpfs(struct points *ps, struct json_object *host, struct dray_err *err)
{
    struct json_object *tmpfs = dray_json_obj(host, "Tmpfs");
    if (!tmpfs)
        return 0;
    json_object_object_foreach(tmpfs, dest, unused)
    {
        (void)unused;
        dray_autofree char *clean = clean_path(dest);
        struct json_object *p = clean ? find_point(ps->list, clean) : NULL;
        if (p && !dray_json_bool(p, "FromOther", false))
            return dray_fail(err, DRAY_E_INVAL, "Duplicate mount point: %s", clean);
    }
    return 0;
}

static int add_config_volumes(struct points *ps, struct json_object *config,
                              struct json_object *host, struct dray_err *err)
{
    struct json_object *volumes = dray_json_obj(config, "Volumes");
    struct json_object *tmpfs = dray_json_obj(host, "Tmpfs");
    if (!volumes)
        return 0;
    json_object_object_foreach(volumes, dest, unused)
    {
        (void)unused;
        /* Images may have relative ones: they are of the root. */
        dray_autofree char *clean = clean_path(dest);
        int rc = check_destination(clean ? clean : "", dest, err);
        if (rc != 0)
            return rc;
        if (!clean || find_point(ps->list, clean) ||
            (tmpfs && json_object_object_get_ex(tmpfs, clean, NULL)))
            continue;
        struct json_object *p = new_point("volume", clean);
        rc = resolve_volume(ps, p, "", ps->volume_driver, NULL, NULL, err);
        json_object_array_add(ps->list, p);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Copy-up: an empty volume begins with what the image has at its place. */

static bool folder_empty(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return false;
    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(dir)) != NULL;)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
                strcmp(e->d_name, "lost+found") == 0;
    closedir(dir);
    return empty;
}

static bool copies_image(struct json_object *p)
{
    return !dray_json_bool(p, "NoCopy", false);
}

/** The folder that the container has of a volume; DRAY_E_NOTFOUND: there is none yet. */
static int open_target(struct json_object *p, const char *path, int *fd_out, struct dray_err *err)
{
    const char *sub = dray_json_str(p, "Subpath", "");
    if (*sub)
        return dray_container_subpath(dray_json_str(p, "Name", ""), path, sub,
                                      O_RDONLY | O_DIRECTORY, fd_out, err);
    *fd_out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd_out >= 0 ? 0 : dray_fail(err, DRAY_E_NOTFOUND, "open %s", path);
}

/** A new volume belongs to the root of the container that is the first to have it. */
static int give_folder(struct dray_userns *u, int fd, struct dray_err *err)
{
    struct stat st;
    if (!u || fstat(fd, &st) != 0 || st.st_uid != 0 || st.st_gid != 0)
        return 0;
    return dray_container_userns_give(u, fd, err);
}

static int populate(struct points *ps, struct json_object *p, int root, struct dray_err *err)
{
    struct dray_volumes *vs = ps->c->set->engine->volumes;
    const char *name = dray_json_str(p, "Name", "");
    struct dray_userns *u = dray_container_userns(ps->c, ps->host);
    const char *dest = dray_json_str(p, "Destination", "/");
    dray_autofd int from =
        copies_image(p) ? dray_fs_open_in_root(root, dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)
                        : -EBADF;
    if (from < 0 && copies_image(p) && errno == ENOTDIR)
        return dray_fail(err, DRAY_E_INTERNAL,
                         "cannot mount volume over existing file, file exists %s", dest);
    if (from < 0 && !u)
        return 0;
    dray_autofree char *path = NULL;
    int rc = dray_volumes_mount(vs, name, ps->c->id, dest, true, &path, err);
    if (rc != 0)
        return rc;
    dray_autofd int to = -EBADF;
    rc = open_target(p, path, &to, err);
    if (rc == DRAY_E_NOTFOUND)
        rc = 0; /* the start tells what is missing */
    else if (rc == 0 && folder_empty(to)) {
        rc = give_folder(u, to, err);
        if (rc == 0 && from >= 0)
            rc = dray_tree_copy(from, to, err);
    }
    (void)dray_volumes_unmount(vs, name, ps->c->id, NULL);
    return rc == 0 ? 0 : dray_err_note(err, "copy the image's content into volume %s", name);
}

static int populate_all(struct points *ps, struct dray_err *err)
{
    dray_autofd int root = -EBADF;
    for (size_t i = 0; i < dray_json_len(ps->list); i++) {
        struct json_object *p = json_object_array_get_idx(ps->list, i);
        if (strcmp(dray_json_str(p, "Type", ""), "volume") != 0 ||
            !(copies_image(p) || dray_container_userns(ps->c, ps->host)))
            continue;
        int rc = root >= 0 ? 0 : dray_rootfs_open_layer(ps->c, true, &root, err);
        if (rc == 0)
            rc = populate(ps, p, root, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int dray_container_mounts_create(struct dray_container *c, struct json_object *config,
                                 struct json_object *host, struct json_object *image_config,
                                 struct json_object **out, struct dray_err *err)
{
    (void)image_config;
    struct points ps = {.c = c,
                        .host = host,
                        .list = json_object_new_array(),
                        .volume_driver = dray_json_str(host, "VolumeDriver", "")};
    struct json_object *from = dray_json_arr(host, "VolumesFrom");
    struct json_object *binds = dray_json_arr(host, "Binds");
    struct json_object *mounts = dray_json_arr(host, "Mounts");
    int rc = 0;
    for (size_t i = 0; i < dray_json_len(binds) && rc == 0; i++)
        rc = add_bind(&ps, json_object_get_string(json_object_array_get_idx(binds, i)), err);
    for (size_t i = 0; i < dray_json_len(mounts) && rc == 0; i++)
        rc = add_mount(&ps, json_object_array_get_idx(mounts, i), err);
    for (size_t i = 0; i < dray_json_len(from) && rc == 0; i++)
        rc = add_from(&ps, json_object_get_string(json_object_array_get_idx(from, i)), err);
    if (rc == 0)
        rc = check_tmpfs(&ps, host, err);
    if (rc == 0)
        rc = add_config_volumes(&ps, config, host, err);
    if (rc == 0)
        rc = populate_all(&ps, err);
    /* The container remembers what it holds also when this failed, so that a drop finds it. */
    pthread_mutex_lock(&c->lock);
    dray_container_set_text(&c->mounts, ps.list);
    pthread_mutex_unlock(&c->lock);
    if (rc != 0)
        json_object_put(ps.list);
    else
        *out = ps.list;
    return rc;
}

void dray_container_mounts_drop(struct dray_container *c, bool volumes)
{
    struct dray_volumes *vs = c->set->engine->volumes;
    dray_autojson *points = dray_container_json(c, &c->mounts);
    for (size_t i = 0; i < dray_json_len(points); i++) {
        struct json_object *p = json_object_array_get_idx(points, i);
        const char *name = dray_json_str(p, "Name", "");
        const char *image = dray_json_str(p, "ImageID", "");
        if (*image && strcmp(image, c->image_id) != 0)
            dray_images_unhold(c->set->engine->images, image, c->id);
        if (!*name)
            continue;
        dray_volumes_unhold(vs, name, c->id);
        struct dray_err why = {0};
        if (volumes && dray_json_bool(p, "Anonymous", false) &&
            dray_volumes_remove(vs, name, false, &why) != 0 && why.code != DRAY_E_CONFLICT &&
            why.code != DRAY_E_NOTFOUND)
            dray_warn("remove volume %s: %s", name, why.text);
    }
}
