/* SPDX-License-Identifier: Apache-2.0 */
/* hub.h - the parts of registry-hub: where to go, how to ask, what the answers mean. */
#ifndef DRAY_HUB_H
#define DRAY_HUB_H

#include <dray/host.h>
#include <dray/registry.h>
#include <dray/util.h>

#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>

#define HUB_REPO "docker.io"
#define HUB_HOST "registry-1.docker.io"
#define HUB_INDEX "https://index.docker.io"
#define ANSWER_MAX (8u << 20) /* largest answer that is kept in memory */

/** The instance. */
struct dray_self {
    const struct dray_host *host;
    pthread_mutex_t lock; /* guards: idle, tokens, schemes. order: leaf */
    struct hub_worker *idle;
    struct hub_token *tokens;
    struct hub_scheme *schemes;
};

/** Bytes that grow; zero is empty. */
struct hub_buf {
    char *data;
    size_t len, cap;
};
int hub_buf_add(struct hub_buf *b, const void *data, size_t len);

/* --- target.c ---------------------------------------------------------------------------------*/

/** One server to be tried for a repository. */
struct hub_target {
    char base[300]; /* "https://host[:port]" */
    char host[256]; /* "host[:port]" as the user names it, for certs.d and credentials */
    bool verify;    /* check its certificate */
    bool mirror;
    bool probe; /* may not be the right one: another target follows that is more likely to answer
                   than a second try of this one */
};
#define HUB_TARGETS 12

/** "docker.io/library/x" -> "library/x"; the path within the registry. */
const char *hub_path(const char *repo);
/** As the user would write it: without docker.io/ and library/. */
const char *hub_familiar(const char *repo);
/** Host without its port and path, "[::1]" without brackets. */
void hub_bare_host(const char *host, char *out, size_t size);
bool hub_is_loopback(const char *bare);
/** Servers for a repository, best first; mirrors only when reading. Returns how many. */
size_t hub_targets(struct dray_self *s, const char *repo, bool reading,
                   struct hub_target out[HUB_TARGETS]);
/** The server that a user names when logging in. */
size_t hub_server_targets(struct dray_self *s, const char *server,
                          struct hub_target out[HUB_TARGETS]);
/* --- scheme.c ---------------------------------------------------------------------------------*/

/** Remember by which scheme a host that may speak HTTP answered, or forget it. */
void hub_scheme_note(struct dray_self *s, const struct hub_target *t, bool works);
/** 1 https, 0 http, -1 not known. */
int hub_scheme_of(struct dray_self *s, const char *host);
void hub_schemes_free(struct dray_self *s);
/** `location` as an answer to `base_url` names it, absolute; owned, NULL when it is unusable. */
char *hub_url_join(const char *base_url, const char *location);
/** Do both URLs name the same scheme, host and port? Credentials go to no other. */
bool hub_same_origin(const char *a, const char *b);

/* --- request.c, answer.c ----------------------------------------------------------------------*/

/** Gets the body of a good answer; nonzero (DRAY_E_*) ends the transfer. */
typedef int (*hub_sink_fn)(void *ctx, const void *data, size_t len, struct dray_err *err);

struct hub_request {
    const struct dray_call *call;
    const char *method; /* "GET", "HEAD", "PUT", "POST", "DELETE" */
    const char *url;    /* absolute */
    const struct hub_target *target;
    const char *authorization; /* value of the header, or NULL */
    const char *accept, *content_type;
    uint64_t offset; /* ask for bytes from here on */
    int body_fd;     /* read by pread; -1: none */
    uint64_t body_from, body_len;
    const char *content_range;
    const char *form;                 /* a body of text instead */
    const char *basic;                /* "user:password" */
    const char *client;               /* User-Agent of whom it is for, or NULL */
    const struct dray_host *progress; /* tell how much of the body has gone out; or NULL */
    hub_sink_fn sink;                 /* NULL: the body is kept in the answer */
    void *sink_ctx;
};

struct hub_answer {
    long status;
    char type[160], digest[80], location[2048], challenge[2048], link[1024];
    long retry_after;  /* seconds, -1 when not said */
    int64_t length;    /* -1 unknown */
    int64_t range_end; /* last byte of an upload that is there, -1 when not said */
    bool elsewhere;    /* a redirect led to another server */
    uint64_t sunk;     /* bytes that went to the sink */
    struct hub_buf body;
};
/** Empty it, with what servers do not say as not said. */
void hub_answer_begin(struct hub_answer *a);
/** Take in one header, or the line with the status. */
void hub_answer_header(struct hub_answer *a, const char *line, size_t len);
void hub_answer_free(struct hub_answer *a);
static inline void hub_answer_cleanup(struct hub_answer *a)
{
    hub_answer_free(a);
}

/** One exchange. Any HTTP status is a success here; failures are of the transport (UNAVAIL,
 *  transient), the deadline (TIMEOUT), the caller (CANCELED) or the sink. */
int hub_exchange(struct dray_self *s, const struct hub_request *rq, struct hub_answer *out,
                 struct dray_err *err);
/** Wait before another try; CANCELED, TIMEOUT as above. */
int hub_pause(const struct dray_call *call, long ms, struct dray_err *err);
void hub_workers_free(struct dray_self *s);

/* --- auth.c -----------------------------------------------------------------------------------*/

/** What auth says of the client, or NULL; of hosts that know no such thing as well. */
const char *hub_client(const struct dray_auth *auth);
/** hub_exchange with what the server demands: tokens by scope, basic; one more try after 401. */
int hub_authorized(struct dray_self *s, struct hub_request *rq, const char *scope,
                   const struct dray_auth *auth, struct hub_answer *out, struct dray_err *err);
/** Ask the server's token service for a token; "" in token_out when the server wants none. */
int hub_token(struct dray_self *s, const struct hub_request *like, const char *challenge,
              const char *scope, const struct dray_auth *auth, char **token_out,
              struct dray_err *err);
/** Check credentials there; *identity_out is a token to use instead of the password, or NULL. */
int hub_token_login(struct dray_self *s, const struct hub_request *like, const char *challenge,
                    const struct dray_auth *auth, char **identity_out, struct dray_err *err);
void hub_tokens_free(struct dray_self *s);

/* --- words.c ----------------------------------------------------------------------------------*/

/** What a status means for a caller, worded as Docker does. `what` is the reference or digest. */
int hub_refused(const struct hub_answer *a, const char *repo, const char *what,
                struct dray_err *err);
/** The same of a token service; named: credentials were given. */
int hub_token_refused(const struct hub_answer *a, bool named, struct dray_err *err);
/** May the same request succeed later? */
bool hub_transient(long status);

/* --- call.c: a request on whichever server of a repository answers ----------------------------*/

#define HUB_ATTEMPTS 5
#define HUB_PAUSE_FIRST_MS 200

/** Where a call goes. */
struct hub_route {
    const char *repo;
    const char *scope; /* of the token */
    bool reading;      /* mirrors will do */
    const struct dray_auth *auth;
};
/** A request on the repository's servers in turn: path below /v2/<repo>/. Tries again what may
 *  pass, unless bytes went to the sink already. served (may be NULL) gets the server that answered.
 */
int hub_call(struct dray_self *s, const struct hub_route *route, const char *path,
             struct hub_request *rq, struct hub_target *served, struct hub_answer *out,
             struct dray_err *err);
/** The same for one URL of one server. */
int hub_try(struct dray_self *s, const struct hub_route *route, struct hub_request *rq,
            struct hub_answer *out, struct dray_err *err);
#define HUB_SCOPE_MAX 1400
/** "repository:<path>:<actions>". */
void hub_scope(char out[HUB_SCOPE_MAX], const char *repo, const char *actions);

/* --- pull.c, push.c, account.c: operations ----------------------------------------------------*/

bool hub_is_manifest(const char *media_type);

int32_t hub_match(struct dray_self *, const struct dray_call *, const char *repo);
int32_t hub_resolve(struct dray_self *, const struct dray_call *, const char *repo,
                    const char *tag_or_digest, const struct dray_auth *, struct dray_desc *out,
                    struct dray_err *);
int32_t hub_fetch(struct dray_self *, const struct dray_call *, const char *repo,
                  const struct dray_desc *, uint64_t offset, const struct dray_auth *,
                  struct dray_fd_borrow out, struct dray_err *);
int32_t hub_stat(struct dray_self *, const struct dray_call *, const char *repo,
                 const struct dray_desc *, const struct dray_auth *, struct dray_err *);
int32_t hub_tags(struct dray_self *, const struct dray_call *, const char *repo,
                 const struct dray_auth *, struct dray_err *);
int32_t hub_push(struct dray_self *, const struct dray_call *, const char *repo, const char *tag,
                 const struct dray_desc *, const struct dray_auth *, struct dray_fd_borrow in,
                 struct dray_err *);
int32_t hub_mount(struct dray_self *, const struct dray_call *, const char *repo,
                  const char *from_repo, const struct dray_desc *, const struct dray_auth *,
                  struct dray_err *);
int32_t hub_search(struct dray_self *, const struct dray_call *, const char *term, uint32_t limit,
                   const struct dray_auth *, struct dray_err *);
int32_t hub_login(struct dray_self *, const struct dray_call *, const struct dray_auth *,
                  const char **token_out, struct dray_err *);

#endif
