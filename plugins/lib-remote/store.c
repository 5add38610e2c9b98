/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - small documents that a bridge keeps in its folder across restarts of its host. */
#include "remote.h"

#include <fcntl.h>

#define MAX_DOC (1 << 20)

static char *path_of(const struct dray_remote *r, const char *file, const char *suffix)
{
    char *path = NULL;
    const char *dir = r->host->path(r->host, DRAY_PATH_DATA);
    return asprintf(&path, "%s/%s%s", dir, file, suffix) < 0 ? NULL : path;
}

struct json_object *dray_remote_load(const struct dray_remote *r, const char *file)
{
    dray_autofree char *path = path_of(r, file, "");
    dray_autofd int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -EBADF;
    dray_autofree char *text = fd >= 0 ? calloc(1, MAX_DOC + 1) : NULL;
    ssize_t n = text ? read(fd, text, MAX_DOC) : -1;
    struct json_object *doc = n > 0 ? json_tokener_parse(text) : NULL;
    if (json_object_is_type(doc, json_type_object))
        return doc;
    json_object_put(doc);
    return json_object_new_object();
}

static int write_all(int fd, const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        }
    }
    return fsync(fd);
}

int dray_remote_save(const struct dray_remote *r, const char *file, struct json_object *doc,
                     struct dray_err *err)
{
    dray_autofree char *path = path_of(r, file, "");
    dray_autofree char *temp = path_of(r, file, ".tmp");
    const char *text = json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PLAIN);
    if (!path || !temp || !text)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    dray_autofd int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write_all(fd, text) < 0 || rename(temp, path) < 0)
        return dray_fail_errno(err, "write %s", path);
    return 0;
}

void dray_remote_forget(const struct dray_remote *r, const char *file)
{
    dray_autofree char *path = path_of(r, file, "");
    if (path)
        (void)unlink(path);
}
