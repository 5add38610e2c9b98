/* SPDX-License-Identifier: Apache-2.0 */
/* ops.c - the operations of the local volume driver. */
#include "local.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Names become folders: Docker's grammar, which has no room for "..", "/" or a leading dot. */
static int check_name(const char *name, struct dray_err *err)
{
    static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t len = strlen(name);
    if (len < 2)
        return dray_fail(err, DRAY_E_INVAL,
                         "volume name is too short, names should be at least two alphanumeric "
                         "characters");
    size_t good = strspn(name, alnum);
    for (; good > 0 && name[good] != '\0'; good++)
        if (!strchr(alnum, name[good]) && !strchr("_.-", name[good]))
            break;
    if (good != len || len > VOLUME_NAME_MAX)
        return dray_fail(err, DRAY_E_INVAL,
                         "\"%.255s\" includes invalid characters for a local volume name, only "
                         "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a "
                         "host directory, use absolute path",
                         name);
    return 0;
}

static int open_volume(const struct dray_self *self, const char *name, int *fd_out,
                       struct dray_err *err)
{
    int rc = check_name(name, err);
    if (rc < 0)
        return rc;
    dray_autofd int fd =
        openat(self->root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || dray_local_state(fd) == DRAY_LOCAL_ABSENT)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? dray_fail(err, DRAY_E_NOTFOUND, "get %s: no such volume", name)
                   : dray_fail_errno(err, "open volume %s", name);
    *fd_out = dray_steal_fd(&fd);
    return 0;
}

static int data_path(const struct dray_self *self, const char *name, char **out,
                     struct dray_err *err)
{
    if (asprintf(out, "%s/%s/_data", self->root, name) >= 0)
        return 0;
    *out = NULL;
    return dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* --- users ------------------------------------------------------------------------------------*/

static struct volume_use *find_use(struct dray_self *self, const char *name, bool make)
{
    (void)pthread_mutex_lock(&self->lock);
    struct volume_use *use = self->uses;
    while (use && strcmp(use->name, name) != 0)
        use = use->next;
    size_t len = strlen(name) + 1;
    if (!use && make && (use = calloc(1, sizeof *use + len))) {
        memcpy(use->name, name, len);
        use->next = self->uses;
        self->uses = use;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return use;
}

static void drop_use(struct dray_self *self, struct volume_use *use)
{
    (void)pthread_mutex_lock(&self->lock);
    struct volume_use **at = &self->uses;
    while (*at != use)
        at = &(*at)->next;
    *at = use->next;
    (void)pthread_mutex_unlock(&self->lock);
    for (size_t i = 0; i < use->n_users; i++)
        free(use->users[i]);
    free(use->users);
    free(use);
}

static bool has_user(const struct volume_use *use, const char *user)
{
    for (size_t i = 0; i < use->n_users; i++)
        if (strcmp(use->users[i], user) == 0)
            return true;
    return false;
}

static int add_user(struct volume_use *use, const char *user, struct dray_err *err)
{
    if (has_user(use, user))
        return 0;
    char **more = realloc(use->users, (use->n_users + 1) * sizeof *more);
    char *copy = strdup(user);
    if (more)
        use->users = more;
    if (!more || !copy) {
        free(copy);
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    }
    use->users[use->n_users++] = copy;
    return 0;
}

static void remove_user(struct volume_use *use, const char *user)
{
    for (size_t i = 0; i < use->n_users; i++) {
        if (strcmp(use->users[i], user) != 0)
            continue;
        free(use->users[i]);
        use->users[i] = use->users[--use->n_users];
        return;
    }
}

/* --- create and remove ------------------------------------------------------------------------*/

static int check_existing(int dir, const char *name, const struct local_opts *opts,
                          struct dray_err *err)
{
    DRAY_AUTO(local_opts) have = {0};
    int rc = dray_local_opts_load(dir, &have, err);
    if (rc < 0 || dray_local_opts_equal(&have, opts))
        return rc;
    return dray_fail(err, DRAY_E_CONFLICT, "a volume named %s already exists with other options",
                     name);
}

static int make_data(struct dray_self *self, int dir, const struct local_opts *opts,
                     struct dray_err *err)
{
    int rc = dray_local_opts_empty(opts) ? 0 : dray_local_opts_save(dir, opts, err);
    if (rc < 0)
        return rc;
    /* A name of its own until the quota is on it: _data is what makes the volume exist. */
    dray_autofd int data = -EBADF;
    rc = dray_pl_open_dir(dir, "_data.new", 0755, &data, err);
    if (rc == 0 && fchmod(data, 0755) < 0)
        rc = dray_fail_errno(err, "set the mode of a volume");
    if (rc == 0 && opts->size > 0)
        rc = dray_pl_quota_limit(self->quota, data, opts->size, err);
    if (rc == 0 && renameat(dir, "_data.new", dir, "_data") < 0)
        rc = dray_fail_errno(err, "make the folder of a volume");
    return rc;
}

static int32_t op_create(struct dray_self *self, const struct dray_call *call, const char *name,
                         struct dray_kvs kvs, struct dray_err *err)
{
    (void)call;
    DRAY_AUTO(local_opts) opts = {0};
    int rc = check_name(name, err);
    if (rc == 0)
        rc = dray_local_opts_parse(self, kvs, &opts, err);
    if (rc < 0)
        return rc;
    dray_autofd int dir = -EBADF;
    if (open_volume(self, name, &dir, NULL) == 0)
        return check_existing(dir, name, &opts, err);
    rc = dray_pl_open_dir(self->root_fd, name, 0701, &dir, err);
    if (rc == 0)
        rc = make_data(self, dir, &opts, err);
    if (rc < 0)
        (void)dray_pl_trash_put(self->trash, self->root_fd, name, NULL);
    return rc;
}

static int32_t op_remove(struct dray_self *self, const struct dray_call *call, const char *name,
                         struct dray_err *err)
{
    (void)call;
    int rc = check_name(name, err);
    if (rc < 0)
        return rc;
    struct volume_use *use = find_use(self, name, false);
    if (use && use->n_users > 0)
        return dray_fail(err, DRAY_E_CONFLICT, "remove %s: volume is in use - [%s]", name,
                         use->users[0]);
    dray_autofree char *path = NULL;
    rc = data_path(self, name, &path, err);
    if (rc == 0)
        rc = dray_local_detach(path, err);
    if (rc == 0)
        rc = dray_pl_trash_put(self->trash, self->root_fd, name, err);
    if (rc == 0 && use)
        drop_use(self, use);
    return rc;
}

/* --- looking ----------------------------------------------------------------------------------*/

static int64_t created_at(int dir)
{
    struct statx st;
    if (statx(dir, "", AT_EMPTY_PATH, STATX_BTIME | STATX_CTIME, &st) < 0)
        return 0;
    return st.stx_mask & STATX_BTIME ? st.stx_btime.tv_sec : st.stx_ctime.tv_sec;
}

static int32_t op_inspect(struct dray_self *self, const struct dray_call *call, const char *name,
                          struct dray_volume_info *out, struct dray_err *err)
{
    dray_autofd int dir = -EBADF;
    int rc = open_volume(self, name, &dir, err);
    if (rc < 0)
        return rc;
    out->mountpoint = dray_call_printf(self->host, call, "%s/%s/_data", self->root, name);
    if (!out->mountpoint)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    out->created_s = created_at(dir);
    out->status = (struct dray_kvs){NULL, 0};
    return 0;
}

static int emit_volume(struct dray_self *self, const struct dray_call *call, const char *name)
{
    dray_autofd int dir = -EBADF;
    dray_autofree char *path = NULL;
    if (open_volume(self, name, &dir, NULL) < 0 || data_path(self, name, &path, NULL) < 0)
        return 0; /* half made, or none of ours */
    char created[24];
    (void)snprintf(created, sizeof created, "%lld", (long long)created_at(dir));
    const struct dray_kv fields[] = {{"name", name}, {"mountpoint", path}, {"created", created}};
    const struct dray_record record = {
        .size = sizeof record, .type = DRAY_REC_ITEM, .fields = {fields, 3}};
    return self->host->emit(call, &record);
}

static int32_t op_list(struct dray_self *self, const struct dray_call *call, struct dray_err *err)
{
    DRAY_AUTO(dray_pl_dir) dir = {0};
    dray_autofd int fd = openat(self->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return dray_fail_errno(err, "open %s", self->root);
    int rc = dray_pl_dir_read(fd, true, &dir, err);
    for (size_t i = 0; rc == 0 && i < dir.n; i++)
        rc = emit_volume(self, call, dir.v[i].text);
    return rc;
}

static int32_t op_usage(struct dray_self *self, const struct dray_call *call, const char *name,
                        uint64_t *bytes_out, struct dray_err *err)
{
    (void)call;
    DRAY_AUTO(local_opts) opts = {0};
    dray_autofd int dir = -EBADF;
    int rc = open_volume(self, name, &dir, err);
    if (rc == 0)
        rc = dray_local_opts_load(dir, &opts, err);
    if (rc < 0)
        return rc;
    if (dray_local_opts_mounts(&opts))
        return dray_fail(err, DRAY_E_NOTSUP, "volume %s is a mount: its size is not ours", name);
    dray_autofd int data = dray_pl_subdir(dir, "_data");
    if (data < 0)
        return dray_fail_errno(err, "open volume %s", name);
    return dray_pl_usage(data, bytes_out, NULL, err);
}

/* --- mount ------------------------------------------------------------------------------------*/

/* Mount what the options name unless it is there already, perhaps since before a restart. */
static int attach(struct dray_self *self, const char *name, const char *path, struct dray_err *err)
{
    DRAY_AUTO(local_opts) opts = {0};
    dray_autofd int dir = -EBADF;
    int rc = open_volume(self, name, &dir, err);
    if (rc == 0)
        rc = dray_local_opts_load(dir, &opts, err);
    if (rc < 0 || !dray_local_opts_mounts(&opts) || dray_local_state(dir) == DRAY_LOCAL_MOUNTED)
        return rc;
    return dray_local_attach(&opts, path, err);
}

static int32_t op_mount(struct dray_self *self, const struct dray_call *call, const char *name,
                        const char *user, const char **path_out, struct dray_err *err)
{
    int rc = check_name(name, err);
    if (rc < 0)
        return rc;
    char *path = dray_call_printf(self->host, call, "%s/%s/_data", self->root, name);
    if (!path)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    rc = attach(self, name, path, err);
    if (rc < 0)
        return rc;
    struct volume_use *use = find_use(self, name, true);
    rc = use ? add_user(use, user, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (rc == 0)
        *path_out = path;
    return rc;
}

static int32_t op_unmount(struct dray_self *self, const struct dray_call *call, const char *name,
                          const char *user, struct dray_err *err)
{
    (void)call;
    int rc = check_name(name, err);
    struct volume_use *use = rc == 0 ? find_use(self, name, false) : NULL;
    if (!use)
        return rc;
    remove_user(use, user);
    if (use->n_users > 0)
        return 0;
    dray_autofree char *path = NULL;
    rc = data_path(self, name, &path, err);
    if (rc == 0)
        rc = dray_local_detach(path, err);
    if (rc == 0)
        drop_use(self, use);
    return rc;
}

static int32_t op_restore(struct dray_self *self, const struct dray_call *call, const char *name,
                          struct dray_strs users, struct dray_err *err)
{
    (void)call;
    dray_autofree char *path = NULL;
    int rc = check_name(name, err);
    if (rc == 0)
        rc = data_path(self, name, &path, err);
    struct volume_use *use = rc == 0 ? find_use(self, name, false) : NULL;
    if (use)
        drop_use(self, use);
    if (rc < 0)
        return rc;
    if (users.n == 0)
        return dray_local_detach(path, err);
    rc = attach(self, name, path, err);
    use = rc == 0 ? find_use(self, name, true) : NULL;
    if (rc == 0 && !use)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    for (uint64_t i = 0; rc == 0 && i < users.n; i++)
        rc = add_user(use, users.v[i], err);
    return rc;
}

const struct dray_volume_ops dray_local_ops = {
    .head = DRAY_TABLE(struct dray_volume_ops, 0),
    .create = op_create,
    .remove = op_remove,
    .inspect = op_inspect,
    .list = op_list,
    .mount = op_mount,
    .unmount = op_unmount,
    .restore = op_restore,
    .usage = op_usage,
};
