/* SPDX-License-Identifier: Apache-2.0 */
/* auth.c - credentials: bearer tokens by scope (distribution-spec token authentication), basic. */
#include "hub.h"

#include <json-c/json.h>
#include <openssl/evp.h>
#include <strings.h>
#include <time.h>

#define TOKEN_LIFE_S 60   /* when the service does not say */
#define TOKEN_MARGIN_S 10 /* not used in its last seconds */
#define TOKEN_LIFE_MOST_S 86400

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

static void free_token(struct hub_token *t)
{
    if (!t)
        return;
    free(t->key);
    free(t->value);
    free(t);
}

void hub_tokens_free(struct dray_self *s)
{
    while (s->tokens) {
        struct hub_token *t = s->tokens;
        s->tokens = t->next;
        free_token(t);
    }
}

static const char *text(const char *s)
{
    return s ? s : "";
}

const char *hub_client(const struct dray_auth *auth)
{
    return auth && auth->size >= offsetof(struct dray_auth, client) + sizeof auth->client
               ? auth->client
               : NULL;
}

/** Whose token for what: other credentials never get it, so secrets are part of it, as a digest. */
static char *token_key(const char *host, const char *scope, const struct dray_auth *auth)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    dray_autofree char *who = NULL;
    char *key = NULL;
    if (asprintf(&who, "%s\n%s\n%s", auth ? text(auth->username) : "",
                 auth ? text(auth->password) : "", auth ? text(auth->identity_token) : "") < 0 ||
        EVP_Digest(who, strlen(who), sum, &len, EVP_sha256(), NULL) != 1)
        return NULL;
    char hex[2 * 16 + 1];
    for (size_t i = 0; i < 16; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    return asprintf(&key, "%s|%s|%s", host, scope, hex) < 0 ? NULL : key;
}

/** A token that is good for a while, copied. Forgets what has expired, and `key` itself if asked.
 */
static char *cached_token(struct dray_self *s, const char *key, bool forget)
{
    char *found = NULL;
    time_t now = mono();
    pthread_mutex_lock(&s->lock);
    for (struct hub_token **at = &s->tokens; *at;) {
        struct hub_token *t = *at;
        if (t->expires <= now || (forget && strcmp(t->key, key) == 0)) {
            *at = t->next;
            free_token(t);
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
    free(cached_token(s, key, true));
    if (!t || !(t->key = strdup(key)) || !(t->value = strdup(value))) {
        free_token(t);
        return;
    }
    if (life <= 0 || life > TOKEN_LIFE_MOST_S)
        life = life <= 0 ? TOKEN_LIFE_S : TOKEN_LIFE_MOST_S;
    t->expires = mono() + (time_t)life - TOKEN_MARGIN_S;
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

/** What a token service says. */
struct token_answer {
    char *token, *refresh;
    int64_t life;
};

static int read_token(const struct hub_answer *a, struct token_answer *out, struct dray_err *err)
{
    struct json_object *doc = a->body.data ? json_tokener_parse(a->body.data) : NULL;
    struct json_object *v = NULL;
    const char *token = NULL, *refresh = NULL;
    if (json_object_is_type(doc, json_type_object)) {
        if (json_object_object_get_ex(doc, "token", &v) ||
            json_object_object_get_ex(doc, "access_token", &v))
            token = json_object_get_string(v);
        if (json_object_object_get_ex(doc, "refresh_token", &v))
            refresh = json_object_get_string(v);
        out->life = json_object_object_get_ex(doc, "expires_in", &v) ? json_object_get_int64(v) : 0;
    }
    out->token = token && *token ? strdup(token) : NULL;
    out->refresh = refresh && *refresh ? strdup(refresh) : NULL;
    if (doc)
        json_object_put(doc);
    return out->token ? 0
                      : dray_fail(err, DRAY_E_UNAUTH,
                                  "authorization server did not include a token in the response");
}

/** Where tokens are to be had, as a challenge tells. */
struct service {
    char realm[1024], name[256], scope[HUB_SCOPE_MAX];
    bool offline; /* ask for an identity token as well */
};

/** Each scope is a parameter of its own. */
static void append_scopes(struct hub_buf *query, const char *scope)
{
    char one[HUB_SCOPE_MAX];
    while (*scope) {
        size_t n = strcspn(scope, " ");
        (void)snprintf(one, sizeof one, "%.*s", (int)n, scope);
        if (n > 0)
            append_param(query, "scope", one);
        scope += n + (scope[n] == ' ');
    }
}

static void fill_query(const struct service *at, const struct dray_auth *auth, bool oauth,
                       struct hub_buf *query, struct hub_buf *basic)
{
    if (*at->name)
        append_param(query, "service", at->name);
    if (oauth && *at->scope)
        append_param(query, "scope", at->scope);
    else
        append_scopes(query, at->scope);
    if (oauth) {
        append_param(query, "grant_type", "refresh_token");
        append_param(query, "refresh_token", auth->identity_token);
        append_param(query, "client_id", "dray");
    } else if (auth && *text(auth->username)) {
        append_param(query, "account", auth->username);
        if (at->offline) {
            append_param(query, "offline_token", "true");
            append_param(query, "client_id", "dray");
        }
        (void)hub_buf_add(basic, auth->username, strlen(auth->username));
        (void)hub_buf_add(basic, ":", 1);
        (void)hub_buf_add(basic, text(auth->password), strlen(text(auth->password)));
    }
}

/** GET with basic credentials, or POST with an identity token (OAuth2). */
static int ask_service(struct dray_self *s, const struct hub_request *like,
                       const struct service *at, const struct dray_auth *auth, struct hub_answer *a,
                       struct dray_err *err)
{
    bool oauth = auth && *text(auth->identity_token);
    struct hub_buf query = {0}, url = {0}, basic = {0};
    fill_query(at, auth, oauth, &query, &basic);
    (void)hub_buf_add(&url, at->realm, strlen(at->realm));
    if (!oauth && query.len > 0) {
        (void)hub_buf_add(&url, strchr(at->realm, '?') ? "&" : "?", 1);
        (void)hub_buf_add(&url, query.data, query.len);
    }
    struct hub_request rq = {.call = like->call,
                             .client = like->client,
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

static int read_challenge(const char *challenge, const char *scope, struct service *out,
                          struct dray_err *err)
{
    *out = (struct service){0};
    (void)parameter(challenge, "realm", out->realm, sizeof out->realm);
    (void)parameter(challenge, "service", out->name, sizeof out->name);
    if (*scope)
        (void)snprintf(out->scope, sizeof out->scope, "%s", scope);
    else
        (void)parameter(challenge, "scope", out->scope, sizeof out->scope);
    if (strncmp(out->realm, "https://", 8) != 0 && strncmp(out->realm, "http://", 7) != 0)
        return dray_fail(err, DRAY_E_UNAUTH, "unauthorized: unusable token realm \"%s\"",
                         out->realm);
    return 0;
}

/** A token service that is busy is asked again, as a registry is. */
static int get_token(struct dray_self *s, const struct hub_request *like, const struct service *at,
                     const struct dray_auth *auth, struct token_answer *out, struct dray_err *err)
{
    __attribute__((cleanup(hub_answer_cleanup))) struct hub_answer a = {0};
    int rc = ask_service(s, like, at, auth, &a, err);
    if (rc == 0 && a.status == 404 && auth && *text(auth->identity_token))
        return dray_fail(err, DRAY_E_UNAUTH,
                         "unauthorized: the authorization server takes no identity tokens");
    if (rc != 0)
        return rc;
    if (a.status != 200)
        return hub_token_refused(&a, auth && *text(auth->username), err);
    return read_token(&a, out, err);
}

int hub_token(struct dray_self *s, const struct hub_request *like, const char *challenge,
              const char *scope, const struct dray_auth *auth, char **token_out,
              struct dray_err *err)
{
    struct service at;
    struct token_answer got = {0};
    int rc = read_challenge(challenge, scope, &at, err);
    if (rc == 0)
        rc = get_token(s, like, &at, auth, &got, err);
    free(got.refresh);
    if (rc != 0)
        return rc;
    dray_autofree char *key = token_key(like->target->host, at.scope, auth);
    if (key)
        keep_token(s, key, got.token, got.life);
    *token_out = got.token;
    return 0;
}

int hub_token_login(struct dray_self *s, const struct hub_request *like, const char *challenge,
                    const struct dray_auth *auth, char **identity_out, struct dray_err *err)
{
    struct service at;
    struct token_answer got = {0};
    int rc = read_challenge(challenge, "", &at, err);
    at.offline = true;
    if (rc == 0)
        rc = get_token(s, like, &at, auth, &got, err);
    free(got.token);
    *identity_out = got.refresh;
    return rc;
}

/** The token that served this scope last, before the server has asked for one. */
static char *known_token(struct dray_self *s, const struct hub_request *rq, const char *scope,
                         const struct dray_auth *auth)
{
    dray_autofree char *key = token_key(rq->target->host, scope, auth);
    return key ? cached_token(s, key, false) : NULL;
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
        int rc = hub_token(s, rq, challenge, scope, auth, &token, err);
        if (rc != 0)
            return rc;
        value = bearer(token);
        rq->authorization = value;
    } else if (strncasecmp(challenge, "Basic", 5) == 0 && auth && *text(auth->username)) {
        if (asprintf(&basic, "%s:%s", auth->username, text(auth->password)) < 0)
            return dray_fail(err, DRAY_E_NOMEM, "out of memory");
        rq->authorization = NULL;
        rq->basic = basic;
    } else if (strncasecmp(challenge, "Basic", 5) == 0) {
        return dray_fail(err, DRAY_E_UNAUTH, "%c%s \"%s\": no basic auth credentials",
                         rq->method[0], strcmp(rq->method, "HEAD") == 0 ? "ead" : "et", rq->url);
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
    if (!hub_same_origin(rq->url, rq->target->base))
        return hub_exchange(s, rq, out, err); /* somewhere else, where nobody knows us */
    dray_autofree char *token = auth && *text(auth->registry_token)
                                    ? strdup(auth->registry_token)
                                    : known_token(s, rq, scope, auth);
    dray_autofree char *value = token ? bearer(token) : NULL;
    rq->authorization = value;
    int rc = hub_exchange(s, rq, out, err);
    rq->authorization = NULL;
    if (rc != 0 || out->status != 401 || !out->challenge[0] || out->elsewhere)
        return rc;
    char challenge[sizeof out->challenge];
    memcpy(challenge, out->challenge, sizeof challenge);
    return answer_challenge(s, rq, challenge, scope, auth, out, err);
}
