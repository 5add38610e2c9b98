/* SPDX-License-Identifier: Apache-2.0 */
/* auth.c - credentials: bearer tokens by scope (distribution-spec token authentication), basic. */
#include "hub.h"

#include <json-c/json.h>
#include <strings.h>
#include <time.h>

#define TOKEN_LIFE_S 60   /* when the service does not say */
#define TOKEN_MARGIN_S 10 /* not used in its last seconds */
#define SCOPE_MAX 700

struct hub_token {
    struct hub_token *next;
    char *key, *value;
    time_t expires; /* CLOCK_MONOTONIC seconds */
};

static time_t mono(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec;
}

void hub_tokens_free(struct dray_self *s)
{
    while (s->tokens) {
        struct hub_token *t = s->tokens;
        s->tokens = t->next;
        free(t->key);
        free(t->value);
        free(t);
    }
}

static const char *text(const char *s)
{
    return s ? s : "";
}

static char *token_key(const char *host, const char *scope, const struct dray_auth *auth)
{
    char *key = NULL;
    if (asprintf(&key, "%s|%s|%s|%s", host, scope, auth ? text(auth->username) : "",
                 auth ? text(auth->identity_token) : "") < 0)
        return NULL;
    return key;
}

static char *cached_token(struct dray_self *s, const char *key)
{
    char *found = NULL;
    time_t now = mono();
    pthread_mutex_lock(&s->lock);
    for (struct hub_token **at = &s->tokens; *at;) {
        struct hub_token *t = *at;
        if (t->expires <= now) {
            *at = t->next;
            free(t->key);
            free(t->value);
            free(t);
            continue;
        }
        if (!found && strcmp(t->key, key) == 0)
            found = strdup(t->value);
        at = &t->next;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

static void keep_token(struct dray_self *s, const char *key, const char *value, int64_t life)
{
    struct hub_token *t = calloc(1, sizeof *t);
    if (!t)
        return;
    t->key = strdup(key);
    t->value = strdup(value);
    t->expires = mono() + (time_t)(life > 0 ? life : TOKEN_LIFE_S) - TOKEN_MARGIN_S;
    pthread_mutex_lock(&s->lock);
    t->next = s->tokens;
    s->tokens = t;
    pthread_mutex_unlock(&s->lock);
}

/** One parameter of a challenge: realm="...". */
static bool parameter(const char *challenge, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);
    for (const char *p = challenge; (p = strcasestr(p, name)) != NULL; p += n) {
        if ((p > challenge && p[-1] != ' ' && p[-1] != ',') || p[n] != '=')
            continue;
        p += n + 1;
        bool quoted = *p == '"';
        p += quoted;
        (void)snprintf(out, size, "%.*s", (int)strcspn(p, quoted ? "\"" : ", "), p);
        return true;
    }
    return false;
}

static void append_param(struct hub_buf *b, const char *key, const char *value)
{
    char *escaped = curl_easy_escape(NULL, value, 0);
    if (!escaped)
        return;
    if (b->len > 0)
        (void)hub_buf_add(b, "&", 1);
    (void)hub_buf_add(b, key, strlen(key));
    (void)hub_buf_add(b, "=", 1);
    (void)hub_buf_add(b, escaped, strlen(escaped));
    curl_free(escaped);
}

static int read_token(const struct hub_answer *a, char **token_out, int64_t *life_out,
                      struct dray_err *err)
{
    struct json_object *doc = a->body.data ? json_tokener_parse(a->body.data) : NULL;
    struct json_object *v = NULL;
    const char *token = NULL;
    if (json_object_is_type(doc, json_type_object)) {
        if (json_object_object_get_ex(doc, "token", &v) ||
            json_object_object_get_ex(doc, "access_token", &v))
            token = json_object_get_string(v);
        *life_out = json_object_object_get_ex(doc, "expires_in", &v) ? json_object_get_int64(v) : 0;
    }
    *token_out = token && *token ? strdup(token) : NULL;
    if (doc)
        json_object_put(doc);
    return *token_out
               ? 0
               : dray_fail(err, DRAY_E_UNAUTH, "the authorization server did not give a token");
}

/** GET with basic credentials, or POST with an identity token (OAuth2). */
static int ask_service(struct dray_self *s, const struct hub_request *like, const char *realm,
                       const char *service, const char *scope, const struct dray_auth *auth,
                       struct hub_answer *a, struct dray_err *err)
{
    bool oauth = auth && *text(auth->identity_token);
    struct hub_buf query = {0}, url = {0}, basic = {0};
    if (*service)
        append_param(&query, "service", service);
    if (*scope)
        append_param(&query, "scope", scope);
    if (oauth) {
        append_param(&query, "grant_type", "refresh_token");
        append_param(&query, "refresh_token", auth->identity_token);
        append_param(&query, "client_id", "dray");
    } else if (auth && *text(auth->username)) {
        append_param(&query, "account", auth->username);
        (void)hub_buf_add(&basic, auth->username, strlen(auth->username));
        (void)hub_buf_add(&basic, ":", 1);
        (void)hub_buf_add(&basic, text(auth->password), strlen(text(auth->password)));
    }
    (void)hub_buf_add(&url, realm, strlen(realm));
    if (!oauth && query.len > 0) {
        (void)hub_buf_add(&url, strchr(realm, '?') ? "&" : "?", 1);
        (void)hub_buf_add(&url, query.data, query.len);
    }
    struct hub_request rq = {.call = like->call,
                             .method = oauth ? "POST" : "GET",
                             .url = url.data,
                             .target = like->target,
                             .accept = "application/json",
                             .content_type = oauth ? "application/x-www-form-urlencoded" : NULL,
                             .form = oauth ? query.data : NULL,
                             .basic = basic.data,
                             .body_fd = -1};
    int rc =
        url.data ? hub_exchange(s, &rq, a, err) : dray_fail(err, DRAY_E_NOMEM, "out of memory");
    free(query.data);
    free(url.data);
    free(basic.data);
    return rc;
}

int hub_token(struct dray_self *s, const struct hub_request *like, const char *challenge,
              const char *scope, const struct dray_auth *auth, bool fresh, char **token_out,
              struct dray_err *err)
{
    char realm[1024] = "", service[256] = "", asked[SCOPE_MAX] = "";
    (void)parameter(challenge, "realm", realm, sizeof realm);
    (void)parameter(challenge, "service", service, sizeof service);
    if (!*scope && parameter(challenge, "scope", asked, sizeof asked))
        scope = asked;
    if (strncmp(realm, "https://", 8) != 0 && strncmp(realm, "http://", 7) != 0)
        return dray_fail(err, DRAY_E_UNAUTH, "unauthorized: unusable token realm \"%s\"", realm);
    dray_autofree char *key = token_key(like->target->host, scope, auth);
    if (key && !fresh && (*token_out = cached_token(s, key)) != NULL)
        return 0;
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    int rc = ask_service(s, like, realm, service, scope, auth, &a, err);
    if (rc != 0)
        return rc;
    if (a.status == 401 || a.status == 403)
        return dray_fail(err, DRAY_E_UNAUTH, "unauthorized: incorrect username or password");
    if (a.status != 200)
        return dray_fail(err, DRAY_E_UNAVAIL, "the authorization server answered %ld", a.status);
    int64_t life = 0;
    rc = read_token(&a, token_out, &life, err);
    if (rc == 0 && key)
        keep_token(s, key, *token_out, life);
    return rc;
}

/** The token that served this scope last, before the server has asked for one. */
static char *known_token(struct dray_self *s, const struct hub_request *rq, const char *scope,
                         const struct dray_auth *auth)
{
    dray_autofree char *key = token_key(rq->target->host, scope, auth);
    return key ? cached_token(s, key) : NULL;
}

static char *bearer(const char *token)
{
    char *value = NULL;
    return asprintf(&value, "Bearer %s", token) < 0 ? NULL : value;
}

static int answer_challenge(struct dray_self *s, struct hub_request *rq, const char *challenge,
                            const char *scope, const struct dray_auth *auth, struct hub_answer *out,
                            struct dray_err *err)
{
    dray_autofree char *value = NULL;
    dray_autofree char *basic = NULL;
    if (strncasecmp(challenge, "Bearer", 6) == 0) {
        dray_autofree char *token = NULL;
        int rc = hub_token(s, rq, challenge, scope, auth, true, &token, err);
        if (rc != 0)
            return rc;
        value = bearer(token);
        rq->authorization = value;
    } else if (strncasecmp(challenge, "Basic", 5) == 0 && auth && *text(auth->username)) {
        if (asprintf(&basic, "%s:%s", auth->username, text(auth->password)) < 0)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        rq->authorization = NULL;
        rq->basic = basic;
    } else {
        return 0; /* nothing to offer: the 401 stands */
    }
    int rc = hub_exchange(s, rq, out, err);
    rq->authorization = rq->basic = NULL;
    return rc;
}

int hub_authorized(struct dray_self *s, struct hub_request *rq, const char *scope,
                   const struct dray_auth *auth, struct hub_answer *out, struct dray_err *err)
{
    dray_autofree char *token = auth && *text(auth->registry_token)
                                    ? strdup(auth->registry_token)
                                    : known_token(s, rq, scope, auth);
    dray_autofree char *value = token ? bearer(token) : NULL;
    rq->authorization = value;
    int rc = hub_exchange(s, rq, out, err);
    rq->authorization = NULL;
    if (rc != 0 || out->status != 401 || !out->challenge[0])
        return rc;
    char challenge[sizeof out->challenge];
    memcpy(challenge, out->challenge, sizeof challenge);
    return answer_challenge(s, rq, challenge, scope, auth, out, err);
}
