/* SPDX-License-Identifier: Apache-2.0 */
/* account.c - what concerns a user of a registry: login, search. */
#include "hub.h"

#include <json-c/json.h>
#include <strings.h>

static int login_at(struct dray_self *s, const struct dray_call *call, struct hub_target *t,
                    const struct dray_auth *auth, char **identity_out, struct dray_err *err)
{
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    dray_autofree char *url = NULL;
    if (asprintf(&url, "%s/v2/", t->base) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct hub_request rq = {.call = call,
                             .method = "GET",
                             .url = url,
                             .target = t,
                             .client = hub_client(auth),
                             .body_fd = -1};
    int rc = hub_exchange(s, &rq, &a, err);
    if (rc != 0 || a.status == 200)
        return rc;
    hub_scheme_note(s, t, true);
    if (a.status == 401 && strncasecmp(a.challenge, "Bearer", 6) == 0) {
        rc = hub_token_login(s, &rq, a.challenge, auth, identity_out, err);
        if (rc == DRAY_E_UNAUTH)
            (void)dray_err_note(err, "Get \"%s\"", url);
        return rc;
    }
    if (a.status == 401) {
        rc = hub_authorized(s, &rq, "", auth, &a, err);
        if (rc != 0 || a.status == 200)
            return rc;
    }
    if (a.status == 401 || a.status == 403)
        return dray_fail(err, DRAY_E_UNAUTH, "login attempt to %s failed with status: %ld %s", url,
                         a.status, a.status == 401 ? "Unauthorized" : "Forbidden");
    return dray_fail(err, DRAY_E_UNAVAIL, "login attempt to %s failed with status: %ld", url,
                     a.status);
}

int32_t hub_login(struct dray_self *s, const struct dray_call *call, const struct dray_auth *auth,
                  const char **token_out, struct dray_err *err)
{
    struct hub_target targets[HUB_TARGETS];
    size_t n = hub_server_targets(s, auth->server, targets);
    int rc = DRAY_E_UNAVAIL;
    dray_autofree char *identity = NULL;
    for (size_t i = 0; i < n && rc == DRAY_E_UNAVAIL; i++)
        rc = login_at(s, call, &targets[i], auth, &identity, err);
    *token_out = identity ? dray_call_strdup(s->host, call, identity) : "";
    return rc || *token_out ? rc : dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

static const char *field(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    const char *text =
        json_object_object_get_ex(o, key, &v) && v ? json_object_get_string(v) : NULL;
    return text ? text : "";
}

static int emit_results(struct dray_self *s, const struct dray_call *call, struct json_object *doc)
{
    struct json_object *list = NULL;
    int rc = 0;
    if (!json_object_object_get_ex(doc, "results", &list) ||
        !json_object_is_type(list, json_type_array))
        return 0;
    for (size_t i = 0; rc == 0 && i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (!json_object_is_type(o, json_type_object))
            continue;
        struct dray_kv kv[] = {{"name", field(o, "name")},
                               {"description", field(o, "description")},
                               {"stars", field(o, "star_count")},
                               {"official", field(o, "is_official")}};
        struct dray_record rec = {sizeof rec, DRAY_REC_ITEM, {kv, 4}};
        rc = s->host->emit(call, &rec);
    }
    return rc;
}

/* Does a term begin with a registry, as "host:5000/word" does? Returns the length of its name. */
static size_t term_host(const char *term)
{
    size_t n = strcspn(term, "/");
    bool named = term[n] == '/' && (memchr(term, '.', n) || memchr(term, ':', n) ||
                                    (n == 9 && memcmp(term, "localhost", n) == 0));
    bool hub = (n == 9 && memcmp(term, HUB_REPO, n) == 0) ||
               (n == 15 && memcmp(term, "index.docker.io", n) == 0);
    return named && !hub ? n : 0;
}

/* The servers to ask, and what for. */
static size_t search_targets(struct dray_self *s, const char **term,
                             struct hub_target out[HUB_TARGETS])
{
    static const char library[] = "library/";
    char host[256];
    size_t n = term_host(*term);
    if (n > 0 && n < sizeof host) {
        (void)snprintf(host, sizeof host, "%.*s", (int)n, *term);
        *term += n + 1;
        return hub_server_targets(s, host, out);
    }
    if (strncmp(*term, library, sizeof library - 1) == 0)
        *term += sizeof library - 1;
    out[0] = (struct hub_target){.base = HUB_INDEX, .host = "index.docker.io", .verify = true};
    return 1;
}

/* The search of the registry API's first version, which a registry may lack. */
static int search_at(struct dray_self *s, const struct dray_call *call, const struct hub_target *t,
                     const char *query, const struct dray_auth *auth, struct hub_answer *a,
                     struct dray_err *err)
{
    dray_autofree char *url = NULL;
    dray_autofree char *basic = NULL;
    if (asprintf(&url, "%s/v1/search?%s", t->base, query) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    if (auth && *auth->username && asprintf(&basic, "%s:%s", auth->username, auth->password) < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    struct hub_request rq = {.call = call,
                             .method = "GET",
                             .url = url,
                             .target = t,
                             .client = hub_client(auth),
                             .basic = strcmp(t->base, HUB_INDEX) == 0 ? NULL : basic,
                             .body_fd = -1};
    int rc = hub_exchange(s, &rq, a, err);
    if (rc == 0 && a->status != 200)
        rc = dray_fail(err, DRAY_E_INTERNAL, "Unexpected status code %ld", a->status);
    return rc;
}

int32_t hub_search(struct dray_self *s, const struct dray_call *call, const char *term,
                   uint32_t limit, const struct dray_auth *auth, struct dray_err *err)
{
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    struct hub_target targets[HUB_TARGETS];
    size_t n = search_targets(s, &term, targets);
    char *escaped = curl_easy_escape(NULL, term, 0);
    dray_autofree char *query = NULL;
    int len = asprintf(&query, "q=%s&n=%u", escaped ? escaped : "", limit ? limit : 25);
    curl_free(escaped);
    if (len < 0)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int rc = DRAY_E_UNAVAIL;
    for (size_t i = 0; i < n && rc == DRAY_E_UNAVAIL; i++)
        rc = search_at(s, call, &targets[i], query, auth, &a, err);
    if (rc != 0)
        return rc;
    struct json_object *doc = a.body.data ? json_tokener_parse(a.body.data) : NULL;
    rc = json_object_is_type(doc, json_type_object)
             ? emit_results(s, call, doc)
             : dray_fail(err, DRAY_E_CORRUPT, "the search's answer is not JSON");
    if (doc)
        json_object_put(doc);
    return rc;
}
