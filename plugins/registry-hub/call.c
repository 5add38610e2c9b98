/* SPDX-License-Identifier: Apache-2.0 */
/* call.c - puts a request to the servers of a repository in turn, as often as may help. */
#include "hub.h"

#define PAUSE_MOST_S 60

void hub_scope(char out[HUB_SCOPE_MAX], const char *repo, const char *actions)
{
    (void)snprintf(out, HUB_SCOPE_MAX, "repository:%s:%s", hub_path(repo), actions);
}

/** May the same request on the same server go better next time? */
static bool worth_again(const struct hub_request *rq, int rc, const struct dray_err *why,
                        const struct hub_answer *a)
{
    if (a->sunk > 0)
        return false; /* a body that went on its way cannot be taken back: the caller resumes */
    if (rc == DRAY_E_UNAVAIL || rc == DRAY_E_AGAIN)
        return (why->flags & DRAY_ERR_TRANSIENT) && !rq->target->probe;
    return rc == 0 && hub_transient(a->status) && !rq->target->mirror;
}

int hub_try(struct dray_self *s, const struct hub_route *route, struct hub_request *rq,
            struct hub_answer *out, struct dray_err *err)
{
    const struct dray_auth *auth = rq->target->mirror ? NULL : route->auth;
    long pause = HUB_PAUSE_FIRST_MS;
    rq->client = hub_client(route->auth);
    for (int attempt = 1;; attempt++) {
        struct dray_err why = {0};
        int rc = hub_authorized(s, rq, route->scope, auth, out, &why);
        bool again = worth_again(rq, rc, &why, out) && attempt < HUB_ATTEMPTS;
        long ms = rc == 0 && out->retry_after > 0 ? out->retry_after * 1000 : pause;
        if (!again || ms > PAUSE_MOST_S * 1000) {
            if (rc != 0 && err)
                *err = why;
            return rc;
        }
        rc = hub_pause(rq->call, ms, err);
        if (rc != 0)
            return rc;
        pause *= 2;
    }
}

/** Shall the next server be asked after this outcome? */
static bool pass_on(const struct hub_target *t, int rc, const struct hub_answer *a)
{
    if (a->sunk > 0 || rc == DRAY_E_CANCELED || rc == DRAY_E_TIMEOUT)
        return false;
    if (t->mirror)
        return rc != 0 || a->status >= 400;
    return rc == DRAY_E_UNAVAIL;
}

static int on_target(struct dray_self *s, const struct hub_route *route, const char *path,
                     const struct hub_target *t, struct hub_request *rq, struct hub_answer *out,
                     struct dray_err *err)
{
    dray_autofree char *url = NULL;
    if (asprintf(&url, "%s/v2/%s/%s", t->base, hub_path(route->repo), path) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    /* cppcheck-suppress autoVariables ; cleared below */
    rq->url = url;
    rq->target = t;
    int rc = hub_try(s, route, rq, out, err);
    rq->url = NULL;
    rq->target = NULL;
    if (rc == 0 || rc == DRAY_E_UNAVAIL)
        hub_scheme_note(s, t, rc == 0);
    return rc;
}

int hub_call(struct dray_self *s, const struct hub_route *route, const char *path,
             struct hub_request *rq, struct hub_target *served, struct hub_answer *out,
             struct dray_err *err)
{
    struct hub_target targets[HUB_TARGETS];
    size_t n = hub_targets(s, route->repo, route->reading, targets);
    struct dray_err first = {0};
    int rc = dray_fail(&first, DRAY_E_UNAVAIL, "no server for %s", route->repo);
    for (size_t i = 0; i < n; i++) {
        struct dray_err why = {0};
        rc = on_target(s, route, path, &targets[i], rq, out, &why);
        if (served)
            *served = targets[i];
        bool next = i + 1 < n && pass_on(&targets[i], rc, out);
        /* Of several failures the first says most, but for mirrors, which were only a try. */
        if (i == 0 || targets[i - 1].mirror || (rc != 0 && !next && rc != DRAY_E_UNAVAIL))
            first = why;
        if (!next)
            break;
    }
    if (rc != 0 && err)
        *err = first;
    return rc;
}
