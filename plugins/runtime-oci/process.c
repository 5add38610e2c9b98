/* SPDX-License-Identifier: Apache-2.0 */
/* process.c - fits the engine's documents to programs that know OCI 1.0 alone. */
#include "oci.h"

#include "files.h"
#include "userdb.h"

#include <fcntl.h>

#define CONFIG_MAX ((size_t)64 << 20)
#define OCI_VERSION "1.0.2"

static void put_numbers(struct json_object *user, const struct rn_ids *ids)
{
    struct json_object *gids = json_object_new_array();
    for (size_t i = 0; i < ids->n_groups; i++)
        (void)json_object_array_add(gids, json_object_new_int64(ids->groups[i]));
    (void)json_object_object_add(user, "uid", json_object_new_int64(ids->uid));
    (void)json_object_object_add(user, "gid", json_object_new_int64(ids->gid));
    (void)json_object_object_add(user, "additionalGids", gids);
    json_object_object_del(user, "username");
    json_object_object_del(user, "additionalGroups");
}

int oci_process_user(int root, struct json_object *process, struct dray_err *err)
{
    struct json_object *user = rn_json_obj(process, "user");
    struct rn_arena arena = {0};
    struct rn_user u = {0};
    struct rn_ids ids = {0};
    if (!user)
        return 0;
    int rc = rn_user_parse(user, &arena, &u, err);
    if (!rc)
        rc = rn_userdb_find(root, &u, &ids, err);
    if (!rc)
        put_numbers(user, &ids);
    rn_arena_cleanup(&arena);
    return rc;
}

static int write_config(const char *path, struct json_object *o, struct dray_err *err)
{
    const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
    dray_autofd int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (fd < 0 || rn_write_all(fd, text, strlen(text)) != 0)
        return dray_fail_errno(err, "write %s", path);
    return 0;
}

int oci_config_adapt(const char *bundle, const char *root, struct dray_err *err)
{
    char path[PATH_MAX];
    dray_autofree char *text = NULL;
    size_t len = 0;
    rn_autojson *o = NULL;
    (void)snprintf(path, sizeof path, "%s/config.json", bundle);
    dray_autofd int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return dray_fail_errno(err, "open %s", root);
    int rc = rn_read_whole(AT_FDCWD, path, CONFIG_MAX, &text, &len, err);
    if (!rc)
        rc = rn_json_parse(text, len, &o, err);
    if (!rc)
        rc = oci_process_user(dir, rn_json_obj(o, "process"), err);
    if (rc)
        return rc;
    (void)json_object_object_add(o, "ociVersion", json_object_new_string(OCI_VERSION));
    return write_config(path, o, err);
}
