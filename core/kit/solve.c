/* SPDX-License-Identifier: Apache-2.0 */
/*
 * solve.c - a build in BuildKit's parts. Control.Solve names where its result shall go, and lasts
 * as long as the build; the bridge's Solve, of the same build id, builds; its Return says what the
 * result is; Control.Status hears of the progress.
 */
#include "base/clock.h"
#include "base/ident.h"
#include "engine/build/builds.h"
#include "kit/frontend.h"
#include "kit/server.h"

#define FIND_NS (10 * DRAY_NS_PER_S)
#define SOLVES_MAX 64u
#define DETAILS_MAX ((size_t)40 << 10) /* they go in a header */
#define WAITING_MAX ((size_t)4 << 20)  /* bytes of progress that nobody has taken */

/** A piece of progress. */
struct piece {
    struct piece *next;
    size_t len;
    char data[];
};

struct kit_solve {
    struct kit_solve *next;
    unsigned users;
    char *ref;
    struct kit_target target; /* constant once begun */
    bool returned, over;
    bool failed;
    struct dray_err err;
    struct dray_buf details; /* of the error: fields of google.rpc.Status */
    char image[72];
    char token[33];                   /* names the result to clients; "" without one */
    struct dray_build_result *result; /* or NULL */
    unsigned readers;
    struct piece *first, **last;
    size_t waiting;
};

/* ---- The table; all with the lock held ---- */

static void solve_free(struct kit_solve *v)
{
    while (v->first) {
        struct piece *next = v->first->next;
        free(v->first);
        v->first = next;
    }
    kit_target_fini(&v->target);
    dray_build_result_unref(v->result);
    dray_buf_free(&v->details);
    free(v->ref);
    free(v);
}

void kit_solves_free(struct kit_server *s)
{
    while (s->solves) {
        struct kit_solve *next = s->solves->next;
        solve_free(s->solves);
        s->solves = next;
    }
}

static struct kit_solve *find(struct kit_server *s, const char *ref)
{
    struct kit_solve *v = s->solves;
    while (v && strcmp(v->ref, ref) != 0)
        v = v->next;
    return v;
}

/* Make room: those that are over and used by nobody go, the oldest first. */
static bool sweep(struct kit_server *s)
{
    size_t n = 0;
    struct kit_solve **oldest = NULL;
    for (struct kit_solve **at = &s->solves; *at; at = &(*at)->next, n++)
        if ((*at)->over && (*at)->users == 0)
            oldest = at;
    if (n < SOLVES_MAX)
        return true;
    if (!oldest)
        return false;
    struct kit_solve *v = *oldest;
    *oldest = v->next;
    solve_free(v);
    return true;
}

/* ---- Control.Solve ---- */

static int enter(struct kit_server *s, struct kit_solve *v /* takes */, struct dray_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    if (find(s, v->ref))
        rc = dray_fail(err, DRAY_E_CONFLICT, "there is a build of the name %s", v->ref);
    else if (!sweep(s))
        rc = dray_fail(err, DRAY_E_LIMIT, "there are %u builds already", SOLVES_MAX);
    if (!rc) {
        v->next = s->solves;
        s->solves = v;
        v->users++;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    if (rc)
        solve_free(v);
    return rc;
}

static void answer_text(const struct kit_solve *v, struct dray_buf *out)
{
    dray_autofree char *names = kit_target_names(&v->target, true);
    if (!*v->image)
        return;
    pb_entry(out, 1, "containerimage.digest", v->image);
    pb_entry(out, 1, "containerimage.config.digest", v->image);
    if (names && *names)
        pb_entry(out, 1, "image.name", names);
}

static void pass_details(struct grpc_call *call, const struct dray_buf *status)
{
    struct pb m = pb_open(status->data, status->len);
    struct pb_field f;
    while (pb_next(&m, &f)) {
        DRAY_AUTO(dray_buf) any = {0};
        dray_buf_add(&any, f.data ? f.data : "", f.len);
        grpc_add_detail(call, &any);
    }
}

int kit_control_solve(struct kit_server *s, struct grpc_call *call, struct pb req,
                      struct dray_err *err)
{
    DRAY_AUTO(dray_buf) msg = {0};
    struct kit_solve *v = calloc(1, sizeof *v);
    if (!v)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    v->last = &v->first;
    int rc = kit_target_read(&req, &v->ref, &v->target, err);
    if (rc) {
        solve_free(v);
        return rc;
    }
    rc = enter(s, v, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&s->lock);
    while (!rc && !v->returned)
        if (!kit_server_wait(s, call))
            rc = dray_fail(err, DRAY_E_CANCELED, "context canceled");
    if (!rc && v->failed) {
        rc = v->err.code;
        *err = v->err;
        pass_details(call, &v->details);
    }
    if (!rc)
        answer_text(v, &msg);
    v->over = true;
    v->users--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return rc ? rc : kit_answer(call, &msg, err);
}

/* ---- Looking a build up ---- */

/* The build of a name, which may be on its way. It is in use until leave(). */
static int get(struct kit_server *s, const struct grpc_call *call, const char *ref,
               struct kit_solve **out, struct dray_err *err)
{
    int64_t end = dray_clock_mono() + FIND_NS;
    bool here = true;
    pthread_mutex_lock(&s->lock);
    while (!(*out = find(s, ref)) && here && dray_clock_mono() < end)
        here = kit_server_wait(s, call);
    if (*out)
        (*out)->users++;
    pthread_mutex_unlock(&s->lock);
    return *out ? 0 : dray_fail(err, DRAY_E_NOTFOUND, "no such job %s", ref);
}

static void leave(struct kit_server *s, struct kit_solve *v)
{
    pthread_mutex_lock(&s->lock);
    v->users--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* Calls of the bridge name their build in a header. */
static int get_named(struct kit_server *s, const struct grpc_call *call, struct kit_solve **out,
                     struct dray_err *err)
{
    const char *ref = grpc_metadata(call, "buildkit-controlapi-buildid");
    return ref ? get(s, call, ref, out, err)
               : dray_fail(err, DRAY_E_INVAL, "the call names no build");
}

/* ---- Progress ---- */

static struct piece *pop(struct kit_solve *v)
{
    struct piece *p = v->first;
    if (p) {
        v->first = p->next;
        v->last = v->first ? v->last : &v->first;
        v->waiting -= p->len;
    }
    return p;
}

/* A reader that is slow is waited for; without one the oldest are dropped. */
static int on_status(void *ctx, const void *message, size_t len)
{
    struct kit_build_ctx *b = ctx;
    struct kit_server *s = b->server;
    struct kit_solve *v = b->solve;
    struct piece *p = malloc(sizeof *p + len);
    if (!p)
        return DRAY_E_NOMEM;
    p->next = NULL;
    p->len = len;
    memcpy(p->data, message, len);
    pthread_mutex_lock(&s->lock);
    bool here = true;
    while (here && v->readers && v->waiting > WAITING_MAX)
        here = kit_server_wait(s, b->call);
    while (v->waiting > WAITING_MAX)
        free(pop(v));
    *v->last = p;
    v->last = &p->next;
    v->waiting += len;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return here ? 0 : DRAY_E_CANCELED;
}

int kit_control_status(struct kit_server *s, struct grpc_call *call, struct pb req,
                       struct dray_err *err)
{
    struct kit_solve *v = NULL;
    struct pb_field f;
    dray_autofree char *ref = NULL;
    while (pb_next(&req, &f))
        if (f.number == 1) {
            free(ref);
            ref = pb_dup(&f);
        }
    int rc = get(s, call, ref ? ref : "", &v, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&s->lock);
    v->readers++;
    while (!rc && (v->first || !v->over)) {
        dray_autofree struct piece *p = pop(v);
        if (!p) {
            if (!kit_server_wait(s, call))
                rc = dray_fail(err, DRAY_E_CANCELED, "context canceled");
            continue;
        }
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        rc = grpc_send(call, p->data, p->len, grpc_gone_fd(call), err);
        pthread_mutex_lock(&s->lock);
    }
    v->readers--;
    pthread_mutex_unlock(&s->lock);
    leave(s, v);
    if (!rc)
        grpc_finish(call, GRPC_OK, NULL);
    return rc;
}

/* ---- The bridge ---- */

static void add_caps(struct dray_buf *msg, unsigned field, const char *const *caps)
{
    for (; *caps; caps++) {
        DRAY_AUTO(dray_buf) cap = {0};
        pb_text(&cap, 1, *caps);
        pb_bool(&cap, 2, true);
        pb_message(msg, field, &cap);
    }
}

int kit_bridge_ping(struct kit_server *s, struct grpc_call *call, struct pb req,
                    struct dray_err *err)
{
    static const char *const frontend[] = {"solve.base",
                                           "return",
                                           "proto.refarray",
                                           "importcaches",
                                           "reference.output",
                                           "frontend.inputs",
                                           "frontend.caps",
                                           "gateway.solve.metadata",
                                           "gateway.evaluate",
                                           "gateway.solve.evaluate",
                                           NULL};
    static const char *const builder[] = {"source.image",
                                          "source.local",
                                          "source.local.sessionid",
                                          "source.local.includepatterns",
                                          "source.local.followpaths",
                                          "source.local.excludepatterns",
                                          "source.local.sharedkeyhint",
                                          "exporter.multiple",
                                          NULL};
    DRAY_AUTO(dray_buf) msg = {0};
    struct kit_solve *v = NULL;
    (void)req;
    int rc = get_named(s, call, &v, err);
    if (rc)
        return rc;
    leave(s, v);
    add_caps(&msg, 1, frontend);
    add_caps(&msg, 2, builder);
    return kit_answer(call, &msg, err);
}

/* SolveResponse with a Result that names what was built; token "" is the empty one. */
static void add_result(struct dray_buf *msg, const char *token, bool array,
                       const struct kit_lint *lint)
{
    DRAY_AUTO(dray_buf) result = {0};
    DRAY_AUTO(dray_buf) ref = {0};
    DRAY_AUTO(dray_buf) def = {0};
    if (*token)
        kit_input_write(token, &def);
    pb_text(&ref, 1, token);
    if (def.len)
        pb_message(&ref, 2, &def);
    if (array)
        pb_message(&result, 3, &ref);
    else
        pb_text(&result, 1, token);
    if (lint)
        kit_lint_answer(lint, &result);
    pb_message(msg, 3, &result);
}

/* The results that a request names; each is referred to. */
static int find_inputs(struct kit_server *s, const struct dray_kvlist *names,
                       struct dray_build_input *out, struct dray_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; !rc && i < names->n; i++) {
        struct kit_solve *v = s->solves;
        while (v && (!v->result || strcmp(v->token, names->v[i].value) != 0))
            v = v->next;
        out[i].name = names->v[i].key;
        out[i].result = v ? dray_build_result_ref(v->result) : NULL;
        if (!v)
            rc = dray_fail(err, DRAY_E_NOTFOUND, "input %s: no such result", names->v[i].key);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static int build(struct kit_server *s, struct kit_frontend *f, char image[72],
                 struct dray_build_result **result, struct dray_err *err)
{
    dray_autofree struct dray_build_input *inputs = calloc(f->inputs.n + 1, sizeof *inputs);
    if (!inputs)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = find_inputs(s, &f->inputs, inputs, err);
    f->build.inputs = inputs;
    f->build.n_inputs = f->inputs.n;
    f->build.result_out = result;
    if (!rc)
        rc = dray_kit_build(s->kit, &f->build, image, err);
    for (size_t i = 0; i < f->inputs.n; i++)
        dray_build_result_unref(inputs[i].result);
    return rc;
}

static void on_said(void *ctx, const char *kind, struct json_object *o)
{
    struct kit_build_ctx *b = ctx;
    DRAY_AUTO(dray_buf) any = {0};
    if (strcmp(kind, "place") != 0)
        kit_lint_take(b->lint, kind, o);
    else if (kit_place_detail(o, &any))
        grpc_add_detail(b->call, &any);
}

int kit_bridge_solve(struct kit_server *s, struct grpc_call *call, struct pb req,
                     struct dray_err *err)
{
    DRAY_AUTO(dray_buf) msg = {0};
    DRAY_AUTO(kit_frontend) f = {0};
    struct kit_solve *v = NULL;
    struct dray_build_result *result = NULL;
    char image[72] = "", token[33] = "";
    int rc = get_named(s, call, &v, err);
    if (rc)
        return rc;
    DRAY_AUTO(kit_lint) lint = {0};
    struct kit_build_ctx ctx = {.server = s, .solve = v, .call = call, .lint = &lint};
    rc = kit_frontend_read(&req, &f, err);
    if (!rc)
        rc = kit_frontend_prepare(&f, &v->target, err);
    if (!rc && f.list)
        kit_lint_list(&lint);
    if (!rc && *f.frontend && !f.list) {
        f.build.status = on_status;
        f.build.said = on_said;
        f.build.ctx = &ctx;
        f.build.cancel_fd = grpc_gone_fd(call);
        rc = build(s, &f, image, &result, err);
    }
    if (result)
        dray_id_hex(token, 32);
    pthread_mutex_lock(&s->lock);
    (void)snprintf(v->image, sizeof v->image, "%s", image);
    (void)snprintf(v->token, sizeof v->token, "%s", token);
    struct dray_build_result *old = v->result;
    v->result = result;
    pthread_mutex_unlock(&s->lock);
    dray_build_result_unref(old);
    leave(s, v);
    if (rc)
        return rc;
    add_result(&msg, token, f.array_ref, f.asks ? &lint : NULL);
    return kit_answer(call, &msg, err);
}

/* A result is there as soon as it is told of. */
int kit_bridge_evaluate(struct kit_server *s, struct grpc_call *call, struct pb req,
                        struct dray_err *err)
{
    DRAY_AUTO(dray_buf) msg = {0};
    struct kit_solve *v = NULL;
    (void)req;
    int rc = get_named(s, call, &v, err);
    if (rc)
        return rc;
    leave(s, v);
    return kit_answer(call, &msg, err);
}

/* google.rpc.Status */
static void read_failure(const struct pb_field *status, struct kit_solve *v)
{
    struct pb m = pb_open(status->data, status->len);
    struct pb_field f;
    dray_autofree char *text = NULL;
    while (pb_next(&m, &f))
        if (f.number == 2) {
            free(text);
            text = pb_dup(&f);
        } else if (f.number == 3 && f.data && v->details.len + f.len < DETAILS_MAX) {
            pb_bytes(&v->details, 3, f.data, f.len);
        }
    v->failed = true;
    (void)dray_fail(&v->err, DRAY_E_INTERNAL, "%s", text ? text : "the build has failed");
}

int kit_bridge_return(struct kit_server *s, struct grpc_call *call, struct pb req,
                      struct dray_err *err)
{
    DRAY_AUTO(dray_buf) msg = {0};
    struct kit_solve *v = NULL;
    struct pb_field f;
    int rc = get_named(s, call, &v, err);
    if (rc)
        return rc;
    pthread_mutex_lock(&s->lock);
    while (!v->returned && pb_next(&req, &f))
        if (f.number == 2 && f.data)
            read_failure(&f, v);
    v->returned = true;
    pthread_mutex_unlock(&s->lock);
    leave(s, v);
    return kit_answer(call, &msg, err);
}
