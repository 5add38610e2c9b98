/* SPDX-License-Identifier: Apache-2.0 */
/* source.c - the Dockerfile and the context that lie in folders of the client's. */
#include "base/fs.h"
#include "engine/build/builds.h"
#include "engine/engine.h"
#include "kit/fs.h"
#include "kit/job.h"
#include "kit/pb.h"

#include <dray/dockerignore.h>
#include <fcntl.h>

#define FILES_MAX 64u
#define TEXT_MAX ((size_t)2 << 20)
#define HOPS_MAX 10

/* ---- Small files, kept in memory ---- */

struct small {
    char *path, *link;
    struct dray_buf text;
};

struct smalls {
    struct small v[FILES_MAX];
    size_t n, bytes;
};

static void smalls_cleanup(struct smalls *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].path);
        free(s->v[i].link);
        dray_buf_free(&s->v[i].text);
    }
}

static int small_entry(void *ctx, const struct kit_fs_entry *e, struct dray_err *err)
{
    struct smalls *s = ctx;
    if (!S_ISREG(e->mode) && !S_ISLNK(e->mode))
        return 0;
    if (s->n == FILES_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "the client sends more files than were asked for");
    struct small *f = &s->v[s->n++];
    f->path = strdup(e->path);
    f->link = e->link && *e->link ? strdup(e->link) : NULL;
    return f->path ? 0 : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static int small_data(void *ctx, const void *data, size_t len, struct dray_err *err)
{
    struct smalls *s = ctx;
    s->bytes += len;
    if (s->n == 0 || s->bytes > TEXT_MAX)
        return dray_fail(err, DRAY_E_LIMIT, "the Dockerfile is larger than %zu bytes", TEXT_MAX);
    dray_buf_add(&s->v[s->n - 1].text, data, len);
    return 0;
}

/* What a path means, through symbolic links within the folder; NULL: nothing. */
static const struct small *small_find(const struct smalls *s, const char *path)
{
    dray_autofree char *at = strdup(path);
    for (int hop = 0; at && hop < HOPS_MAX; hop++) {
        const struct small *f = NULL;
        for (size_t i = 0; i < s->n && !f; i++)
            if (strcmp(s->v[i].path, at) == 0)
                f = &s->v[i];
        if (!f || !f->link)
            return f;
        const char *slash = strrchr(at, '/');
        char *to = *f->link == '/' || !slash ? strdup(f->link + (*f->link == '/'))
                                             : dray_strf("%.*s/%s", (int)(slash - at), at, f->link);
        free(at);
        at = to;
        if (at)
            dray_path_clean(at);
    }
    return NULL;
}

static int fetch(struct kit_job *j, const char *dir, struct dray_strs paths, struct smalls *out,
                 struct dray_err *err)
{
    const struct kit_fs_req req = {.dir = dir, .follow = paths};
    const struct kit_fs_sink sink = {.entry = small_entry, .data = small_data, .ctx = out};
    return kit_fs_receive(kit_session_conn(j->session), &req, &sink, j->cancel, err);
}

/* ---- The Dockerfile ---- */

static int load_dockerfile(struct kit_job *j, struct smalls *files, const char *ignore_name,
                           struct dray_err *err)
{
    const char *name = j->spec.dockerfile;
    bool usual = strcmp(name, "Dockerfile") == 0;
    const char *paths[] = {name, ignore_name, "dockerfile"};
    dray_autofree char *title = dray_strf("[internal] load build definition from %s", name);
    kit_trace_begin(&j->trace, KIT_TRACE_DOCKERFILE, title ? title : "");
    int rc = fetch(j, j->req->dockerfile_dir, (struct dray_strs){paths, usual ? 3 : 2}, files, err);
    const struct small *f = rc ? NULL : small_find(files, name);
    if (!rc && !f && usual)
        f = small_find(files, "dockerfile");
    if (!rc && !f)
        rc = dray_fail(err, DRAY_E_INVAL,
                       "failed to read dockerfile: open %s: no such file or directory", name);
    if (!rc && f->text.len == 0)
        rc = dray_fail(err, DRAY_E_INVAL, "the Dockerfile (%s) cannot be empty", name);
    if (!rc && memchr(f->text.data, '\0', f->text.len))
        rc = dray_fail(err, DRAY_E_INVAL, "the Dockerfile (%s) is no text", name);
    if (!rc) {
        dray_buf_add(&j->dockerfile, f->text.data, f->text.len);
        if (j->dockerfile.failed)
            rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
        j->spec.dockerfile_text = j->dockerfile.data;
        kit_trace_progress(&j->trace, KIT_TRACE_DOCKERFILE,
                           "transferring dockerfile:", (int64_t)f->text.len, 0, true);
    }
    return rc;
}

/* ---- What is left out of the context ---- */

static int read_ignore(struct dray_strlist *out, const struct small *f, struct dray_err *err)
{
    DRAY_AUTO(dray_ignore) ig = {0};
    int rc = f ? dray_ignore_parse(&ig, f->text.data ? f->text.data : "", f->text.len, err) : 0;
    for (size_t i = 0; !rc && i < ig.n; i++)
        if (!dray_strlist_addf(out, "%s%s", ig.v[i].negated ? "!" : "", ig.v[i].text))
            rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    return rc ? dray_err_note(err, "failed to read dockerignore patterns") : 0;
}

/* Fetch the ignore file of a folder; *out is NULL when it has none. */
static int fetch_ignore(struct kit_job *j, const char *dir, struct smalls *files,
                        const struct small **out, struct dray_err *err)
{
    static const char *const path[] = {".dockerignore"};
    int rc = fetch(j, dir, (struct dray_strs){path, 1}, files, err);
    *out = rc ? NULL : small_find(files, path[0]);
    return rc;
}

/* The Dockerfile's own ignore file goes before the folder's. */
static int load_ignore(struct kit_job *j, const struct smalls *beside, const char *own_name,
                       struct dray_err *err)
{
    struct smalls files __attribute__((cleanup(smalls_cleanup))) = {0};
    const struct small *f = small_find(beside, own_name);
    int rc = 0;
    kit_trace_begin(&j->trace, "ignore", "[internal] load .dockerignore");
    if (!f && j->req->context_dir)
        rc = fetch_ignore(j, j->req->context_dir, &files, &f, err);
    kit_trace_progress(&j->trace, "ignore", "transferring context:", f ? (int64_t)f->text.len : 0,
                       0, true);
    if (!rc)
        rc = read_ignore(&j->excludes, f, err);
    if (!rc && f)
        dray_buf_adds(&j->ignore, f->text.data ? f->text.data : "");
    if (!rc && j->ignore.failed)
        rc = dray_fail(err, DRAY_E_NOMEM, "out of memory");
    j->spec.ignore_text = f ? j->ignore.data : NULL;
    kit_trace_end(&j->trace, "ignore", rc && err ? err->text : NULL);
    return rc;
}

/* ---- The context ---- */

static void on_bytes(void *ctx, int64_t bytes)
{
    struct kit_job *j = ctx;
    j->fed = bytes;
    kit_trace_progress(&j->trace, "context", "transferring context:", bytes, 0, false);
}

/* What the folder is kept under: "" when the client does not say what it is. */
static char *kept_key(const struct kit_job *j, const char *dir)
{
    const char *shared = kit_session_shared_key(j->session);
    return *shared ? dray_strf("%s:%s", dir, shared) : strdup("");
}

static int fetch_folder(struct kit_job *j, struct dray_strs paths, int *fd_out,
                        struct dray_err *err)
{
    const char *dir = j->req->context_dir;
    dray_autofree char *key = kept_key(j, dir);
    const struct kit_fs_req req = {
        .dir = dir, .exclude = dray_strlist_view(&j->excludes), .follow = paths};
    return key ? kit_fs_receive_kept(kit_session_conn(j->session), &req, j->kit->engine->builds,
                                     key, on_bytes, j, j->cancel, fd_out, err)
               : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

/* What the client was given on its standard input: "http://HOST/PATH" within the session. */
static int fetch_url(struct kit_job *j, int fd, struct dray_err *err)
{
    DRAY_AUTO(dray_kvlist) md = {0};
    struct grpc_call *call = NULL;
    const char *host = strstr(j->req->context_url, "//"),
               *path = host ? strchr(host + 2, '/') : NULL;
    dray_autofree char *name = path ? strndup(host + 2, (size_t)(path - host - 2)) : NULL;
    if (!name || !dray_kvlist_add(&md, "urlpath", path) || !dray_kvlist_add(&md, "urlhost", name))
        return dray_fail(err, DRAY_E_INVAL, "invalid context %s", j->req->context_url);
    int rc = grpc_call_start(kit_session_conn(j->session), "/moby.upload.v1.Upload/Pull", &md,
                             &call, err);
    DRAY_AUTO(dray_buf) msg = {0};
    while (!rc && (rc = grpc_recv(call, &msg, j->cancel, err)) == 1) {
        struct pb m = pb_open(msg.data, msg.len);
        struct pb_field f;
        for (rc = 0; !rc && pb_next(&m, &f);)
            if (f.number == 1 && f.data) {
                rc = dray_fs_write_all(fd, f.data, f.len, err);
                on_bytes(j, j->fed + (int64_t)f.len);
            }
    }
    grpc_call_free(call);
    return rc;
}

static int fetch_upload(struct kit_job *j, int *fd_out, struct dray_err *err)
{
    dray_autofd int fd = -EBADF;
    int rc = dray_builds_kept_new(j->kit->engine->builds, &fd, err);
    if (!rc)
        rc = fetch_url(j, fd, err);
    if (!rc && lseek(fd, 0, SEEK_SET) != 0)
        rc = dray_fail_errno(err, "read the build context");
    if (!rc)
        *fd_out = dray_steal_fd(&fd);
    return rc;
}

int kit_source_context(void *job, struct dray_strs paths, int *fd_out, struct dray_err *err)
{
    struct kit_job *j = job;
    struct dray_err own = {0};
    if (!j->session || (!j->req->context_dir && !j->req->context_url))
        return dray_fail(err, DRAY_E_INVAL, "this build has no context of its client's");
    j->fed = 0;
    kit_trace_begin(&j->trace, "context", "[internal] load build context");
    int rc =
        j->req->context_dir ? fetch_folder(j, paths, fd_out, &own) : fetch_upload(j, fd_out, &own);
    if (!rc)
        kit_trace_progress(&j->trace, "context", "transferring context:", j->fed, 0, true);
    kit_trace_end(&j->trace, "context", rc ? own.text : NULL);
    if (rc && err)
        *err = own;
    return rc;
}

struct folder_trace {
    struct kit_job *job;
    const char *title;
    int64_t bytes;
};

static void on_folder_bytes(void *ctx, int64_t bytes)
{
    struct folder_trace *t = ctx;
    t->bytes = bytes;
    kit_trace_progress(&t->job->trace, t->title, "transferring files:", bytes, 0, false);
}

int kit_source_folder(void *job, const char *name, int fd, struct dray_err *err)
{
    struct kit_job *j = job;
    struct smalls files __attribute__((cleanup(smalls_cleanup))) = {0};
    DRAY_AUTO(dray_strlist) excludes = {0};
    const struct small *ignore = NULL;
    dray_autofree char *title = dray_strf("[context %s] load from client", name);
    if (!title)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (!kit_job_session(j))
        return dray_fail(err, DRAY_E_INVAL, "this build needs a session");
    dray_autofree char *dir = dray_strf("named:%s", name);
    dray_autofree char *key = dir ? kept_key(j, dir) : NULL;
    if (!key)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct folder_trace t = {.job = j, .title = title};
    kit_trace_begin(&j->trace, title, title);
    int rc = fetch_ignore(j, name, &files, &ignore, err);
    if (!rc)
        rc = read_ignore(&excludes, ignore, err);
    if (!rc) {
        const struct kit_fs_req req = {.dir = name, .exclude = dray_strlist_view(&excludes)};
        const struct kit_fs_keeping keeping = {
            .builds = j->kit->engine->builds, .key = key, .progress = on_folder_bytes, .ctx = &t};
        rc = kit_fs_receive_tar(kit_session_conn(j->session), &req, &keeping, fd, j->cancel, err);
    }
    if (!rc)
        kit_trace_progress(&j->trace, title, "transferring files:", t.bytes, 0, true);
    kit_trace_end(&j->trace, title, rc && err ? err->text : NULL);
    return rc;
}

/* A context that may be any kind of archive, or a Dockerfile, is looked into at once. */
int kit_source_open(struct kit_job *j, struct dray_err *err)
{
    struct smalls files __attribute__((cleanup(smalls_cleanup))) = {0};
    int rc = 0;
    if (j->req->dockerfile_dir) {
        dray_autofree char *ignore_name = dray_strf("%s.dockerignore", j->spec.dockerfile);
        if (!ignore_name)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        rc = load_dockerfile(j, &files, ignore_name, err);
        kit_trace_end(&j->trace, KIT_TRACE_DOCKERFILE, rc && err ? err->text : NULL);
        if (!rc)
            rc = load_ignore(j, &files, ignore_name, err);
    }
    if (!rc && j->req->context_url)
        rc = kit_source_context(j, (struct dray_strs){0}, &j->spec.context.fd, err);
    return rc;
}

void kit_source_close(struct kit_job *j)
{
    if (j->req->context_url)
        dray_cleanup_fd(&j->spec.context.fd);
}
