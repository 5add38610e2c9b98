/* SPDX-License-Identifier: Apache-2.0 */
/* job.c - a build for a client that speaks BuildKit's protocol: what it is given, what it tells. */
#include "kit/job.h"

#include "base/json.h"
#include "engine/build/builds.h"
#include "engine/engine.h"
#include "engine/image/image_ref.h"

#include <dray/registry.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/** What the client has for one registry. */
struct kit_credentials {
    struct kit_credentials *next;
    char *host, *user, *password;
    struct dray_auth auth;
};

/* ---- What the builder is lent ---- */

static int lend_secret(void *ctx, const char *id, struct dray_buf *out, struct dray_err *err)
{
    struct kit_job *j = ctx;
    struct kit_session *s = kit_job_session(j);
    return s ? kit_ask_secret(s, id, out, j->cancel, err) : 0;
}

static bool lend_has_agent(void *ctx, const char *id)
{
    struct kit_job *j = ctx;
    struct kit_session *s = kit_job_session(j);
    return s && kit_ask_agent(s, id, j->cancel);
}

static bool lend_agent(void *ctx, const char *id, int fd /* takes */)
{
    struct kit_job *j = ctx;
    struct kit_session *s = kit_job_session(j);
    if (!s)
        (void)close(fd);
    return s && kit_links_add(j->links, s, id, fd);
}

static const struct dray_build_lender lender = {.secret = lend_secret,
                                                .has_agent = lend_has_agent,
                                                .agent = lend_agent,
                                                .folder = kit_source_folder,
                                                .context = kit_source_context};

static void credentials_free(struct kit_credentials *c)
{
    free(c->host);
    free(c->user);
    if (c->password)
        explicit_bzero(c->password, strlen(c->password));
    free(c->password);
    free(c);
}

static const struct dray_auth *on_auth(void *ctx, const char *host)
{
    struct kit_job *j = ctx;
    struct kit_session *s = kit_job_session(j);
    struct kit_credentials *c = s ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return NULL;
    c->host = strdup(host);
    if (!c->host || !kit_ask_credentials(s, host, &c->user, &c->password, j->cancel)) {
        credentials_free(c);
        return NULL;
    }
    /* Without a name the secret is an identity token. */
    bool token = !c->user || !*c->user;
    c->auth = (struct dray_auth){.size = sizeof c->auth,
                                 .username = token ? "" : c->user,
                                 .password = token ? "" : c->password,
                                 .identity_token = token ? c->password : "",
                                 .registry_token = "",
                                 .server = c->host};
    pthread_mutex_lock(&j->lock);
    c->next = j->credentials;
    j->credentials = c;
    pthread_mutex_unlock(&j->lock);
    return *c->password ? &c->auth : NULL;
}

static int on_line(void *ctx, const char *json, size_t len)
{
    static const char *const kinds[] = {"place", "finding", "check", "described"};
    struct kit_job *j = ctx;
    dray_autojson *line = NULL;
    if (dray_json_parse(json, len, &line, NULL) != 0)
        return 0;
    for (size_t i = 0; j->req->said && i < sizeof kinds / sizeof *kinds; i++) {
        struct json_object *o = dray_json_obj(line, kinds[i]);
        if (o)
            j->req->said(j->req->ctx, kinds[i], o);
    }
    return kit_trace_line(&j->trace, line);
}

/* ---- Begin and end ---- */

static bool watch(int set, int fd)
{
    struct epoll_event e = {.events = EPOLLIN};
    return fd < 0 || epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0;
}

/* Does the build need the session at once, and end with it? */
static bool needs_session(const struct dray_kit_build *q)
{
    return q->context_dir || q->dockerfile_dir || q->context_url || q->n_outputs > 0;
}

static int find_session(struct kit_job *j, struct dray_err *err)
{
    if (!needs_session(j->req))
        return 0;
    if (!*j->req->session)
        return dray_fail(err, DRAY_E_INVAL, "this build needs a session");
    int rc = kit_session_get(j->kit, j->req->session, j->req->cancel_fd, &j->session, err);
    if (!rc && !watch(j->cancel, grpc_conn_dead_fd(kit_session_conn(j->session))))
        rc = dray_fail_errno(err, "watch the session");
    return rc ? rc : kit_ask_ready(j->session, j->cancel, err);
}

struct kit_session *kit_job_session(struct kit_job *j)
{
    struct kit_session *found = NULL;
    pthread_mutex_lock(&j->lock);
    struct kit_session *s = j->session;
    bool look = !s && !j->no_session && *j->req->session;
    pthread_mutex_unlock(&j->lock);
    if (!look)
        return s;
    if (kit_session_get(j->kit, j->req->session, j->cancel, &found, NULL) == 0)
        (void)kit_ask_ready(found, j->cancel, NULL);
    pthread_mutex_lock(&j->lock);
    if (!j->session)
        j->session = dray_steal(found);
    j->no_session = !j->session;
    s = j->session;
    pthread_mutex_unlock(&j->lock);
    kit_session_put(found);
    return s;
}

static int job_open(struct kit_job *j, struct dray_err *err)
{
    pthread_mutex_init(&j->lock, NULL);
    j->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    j->cancel = epoll_create1(EPOLL_CLOEXEC);
    j->links = kit_links_new();
    kit_trace_init(&j->trace, j->req->status, j->req->ctx);
    if (j->stop < 0 || j->cancel < 0 || !j->links || !watch(j->cancel, j->stop) ||
        !watch(j->cancel, j->req->cancel_fd))
        return dray_fail_errno(err, "begin a build");
    pthread_mutex_lock(&j->kit->lock);
    j->next = j->kit->jobs;
    j->kit->jobs = j;
    pthread_mutex_unlock(&j->kit->lock);
    return 0;
}

static void job_leave(struct kit_job *j)
{
    pthread_mutex_lock(&j->kit->lock);
    for (struct kit_job **at = &j->kit->jobs; *at; at = &(*at)->next)
        if (*at == j) {
            *at = j->next;
            break;
        }
    pthread_mutex_unlock(&j->kit->lock);
}

static void job_close(struct kit_job *j, const char *error)
{
    job_leave(j);
    kit_links_free(j->links);
    kit_trace_fini(&j->trace, error);
    while (j->credentials) {
        struct kit_credentials *next = j->credentials->next;
        credentials_free(j->credentials);
        j->credentials = next;
    }
    kit_session_put(j->session);
    dray_build_result_unref(j->result);
    dray_strlist_free(&j->excludes);
    dray_buf_free(&j->dockerfile);
    dray_buf_free(&j->ignore);
    dray_cleanup_fd(&j->cancel);
    dray_cleanup_fd(&j->stop);
    pthread_mutex_destroy(&j->lock);
}

/* ---- The build ---- */

static int run(struct kit_job *j, char image_out[72], struct dray_err *err)
{
    const struct dray_kit_build *q = j->req;
    int rc = kit_source_open(j, err);
    if (!rc && q->upload)
        rc = kit_upload_take(j, &j->spec.context.fd, err);
    if (!rc) {
        j->spec.flags |= DRAY_BUILD_TRACE | DRAY_BUILD_KIT;
        j->spec.contexts = q->contexts;
        const struct dray_build_req req = {.spec = j->spec,
                                           .line = on_line,
                                           .auth = on_auth,
                                           .ctx = j,
                                           .lender = &lender,
                                           .contexts = q->contexts,
                                           .inputs = q->inputs,
                                           .n_inputs = q->n_inputs,
                                           .result_out = &j->result,
                                           .unlisted = q->unlisted,
                                           .allow_insecure = q->allow_insecure,
                                           .allow_host_network = q->allow_host_network,
                                           .cancel_fd = j->cancel};
        rc = dray_builds_run(j->kit->engine->builds, &req, image_out, err);
    }
    kit_source_close(j);
    if (q->upload)
        kit_upload_done(j);
    return rc;
}

/* "docker.io/library/a:1" of "a:1". */
char *kit_full_name(const char *tag)
{
    DRAY_AUTO(dray_ref) r = {0};
    if (dray_ref_parse(tag, &r, NULL) != 0)
        return strdup(tag);
    return r.tag || r.digest ? dray_ref_key(&r) : strdup(r.repo);
}

static void tell_image(struct kit_job *j, const char *image)
{
    dray_autofree char *text = dray_strf("writing image %s", image);
    kit_trace_begin(&j->trace, "export", "exporting to image");
    kit_trace_progress(&j->trace, "export", "exporting layers", 0, 0, true);
    if (text)
        kit_trace_progress(&j->trace, "export", text, 0, 0, true);
    for (uint64_t i = 0; i < j->spec.tags.n; i++) {
        dray_autofree char *full = kit_full_name(j->spec.tags.v[i]);
        dray_autofree char *name = full ? dray_strf("naming to %s", full) : NULL;
        if (name)
            kit_trace_progress(&j->trace, "export", name, 0, 0, true);
    }
    kit_trace_end(&j->trace, "export", NULL);
}

static int check_outputs(const struct dray_kit_build *req, struct dray_err *err)
{
    for (size_t i = 0; i < req->n_outputs; i++) {
        const char *type = req->outputs[i].type;
        if (strcmp(type, "local") != 0 && strcmp(type, "tar") != 0)
            return dray_fail(err, DRAY_E_INVAL, "exporter \"%s\" could not be found", type);
    }
    return 0;
}

static int send_outputs(struct kit_job *j, struct dray_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && j->result && i < j->req->n_outputs; i++)
        rc = kit_output_send(j, &j->req->outputs[i], j->result, err);
    return rc;
}

int dray_kit_build(struct dray_kit *k, const struct dray_kit_build *req, char image_out[72],
                   struct dray_err *err)
{
    struct kit_job j = {.kit = k, .req = req, .spec = req->spec, .stop = -EBADF, .cancel = -EBADF};
    struct dray_err own = {0};
    int rc = job_open(&j, &own);
    if (!rc)
        rc = find_session(&j, &own);
    if (!rc)
        rc = check_outputs(req, &own);
    if (!rc)
        rc = run(&j, image_out, &own);
    if (!rc && req->unlisted)
        *image_out = '\0';
    else if (!rc && *image_out)
        tell_image(&j, image_out);
    if (!rc)
        rc = send_outputs(&j, &own);
    if (!rc && req->result_out)
        *req->result_out = dray_steal(j.result);
    job_close(&j, rc ? own.text : NULL);
    if (rc && err) {
        *err = own;
        kit_trace_words(own.text, err->text, sizeof err->text);
    }
    return rc;
}

void dray_kit_cancel(struct dray_kit *k, const char *id)
{
    pthread_mutex_lock(&k->lock);
    for (struct kit_job *j = k->jobs; j; j = j->next)
        if (*id && strcmp(j->req->id, id) == 0)
            (void)eventfd_write(j->stop, 1);
    pthread_mutex_unlock(&k->lock);
}
