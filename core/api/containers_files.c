/* SPDX-License-Identifier: Apache-2.0 */
/* containers_files.c - export and archive: files out of and into containers. */
#include "api/containers.h"
#include "api/pipe_reply.h"
#include "base/json.h"
#include "engine/container/containers.h"
#include "engine/engine.h"

#include <openssl/evp.h>

struct source {
    struct dray_containers *cs;
    const char *name, *path;
};

static int write_export(void *ctx, int out_fd, struct dray_err *err)
{
    const struct source *s = ctx;
    return dray_containers_export(s->cs, s->name, out_fd, err);
}

static int write_archive(void *ctx, int out_fd, struct dray_err *err)
{
    const struct source *s = ctx;
    return dray_containers_archive_get(s->cs, s->name, s->path, out_fd, err);
}

int dray_api_export(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    struct source s = {.cs = e->containers, .name = dray_http_param(h, "name")};
    return dray_http_reply_pipe(h, "application/octet-stream", write_export, &s, err);
}

static int need_path(struct dray_http *h, const char **out, struct dray_err *err)
{
    *out = dray_http_query(h, "path");
    if (*out && **out)
        return 0;
    return dray_fail(err, DRAY_E_INVAL, "bad parameter: path: cannot be empty");
}

int dray_api_path_stat(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *path = NULL;
    dray_autojson *stat = NULL;
    int rc = need_path(h, &path, err);
    if (!rc)
        rc = dray_containers_stat_path(e->containers, dray_http_param(h, "name"), path, &stat, err);
    if (rc)
        return rc;
    const char *text = dray_json_text(stat);
    size_t n = text ? strlen(text) : 0;
    dray_autofree char *encoded = malloc((n + 2) / 3 * 4 + 1);
    if (!text || !encoded)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    union {
        const char *text;
        const unsigned char *bytes;
    } in = {.text = text};
    (void)EVP_EncodeBlock((unsigned char *)encoded, in.bytes, (int)n);
    dray_http_header(h, "X-Docker-Container-Path-Stat", encoded);
    return 0;
}

int dray_api_archive_get(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    int rc = dray_api_path_stat(h, e, err);
    if (rc)
        return rc;
    struct source s = {.cs = e->containers,
                       .name = dray_http_param(h, "name"),
                       .path = dray_http_query(h, "path")};
    return dray_http_reply_pipe(h, "application/x-tar", write_archive, &s, err);
}

int dray_api_archive_put(struct dray_http *h, struct dray_engine *e, struct dray_err *err)
{
    const char *path = NULL;
    int rc = need_path(h, &path, err);
    if (!rc)
        rc = dray_containers_archive_put(e->containers, dray_http_param(h, "name"), path,
                                         dray_http_query_bool(h, "noOverwriteDirNonDir", false),
                                         dray_http_query_bool(h, "copyUIDGID", false),
                                         dray_http_body_fd(h), err);
    return rc ? rc : dray_http_reply_empty(h, 200);
}
