/* SPDX-License-Identifier: Apache-2.0 */
/* session.h - the sessions of clients, and what is asked of them. */
#ifndef DRAY_KIT_SESSION_H
#define DRAY_KIT_SESSION_H

#include "kit/grpc.h"
#include "kit/kit.h"

#include <pthread.h>

struct kit_session;
struct kit_job;

struct dray_kit {
    struct dray_engine *engine;
    pthread_mutex_t lock; /* guards all below. order: before none */
    pthread_cond_t changed;
    struct kit_session *sessions;
    struct kit_job *jobs;
    struct kit_upload *uploads;
};

/** Find a session, which may be on its way: some seconds are waited. *out is kept until
 *  kit_session_put(). NOTFOUND. */
int kit_session_get(struct dray_kit *k, const char *id, int cancel_fd, struct kit_session **out,
                    struct dray_err *err);
void kit_session_put(struct kit_session *s);
struct grpc_conn *kit_session_conn(struct kit_session *s);
/** Its shared key, or "". */
const char *kit_session_shared_key(const struct kit_session *s);
bool kit_session_serves(const struct kit_session *s, const char *method);

/** Wait until the client serves its session. One that is told of a failure before hangs: the docker
 *  CLI of 20.10. An error when the session has ended, or at cancel_fd. */
int kit_ask_ready(struct kit_session *s, int cancel_fd, struct dray_err *err);
/** Credentials for a registry: false when the client has none. */
bool kit_ask_credentials(struct kit_session *s, const char *host, char **user_out,
                         char **password_out, int cancel_fd);
/** A secret: 1, or 0 when the client has none of this id. */
int kit_ask_secret(struct kit_session *s, const char *id, struct dray_buf *out, int cancel_fd,
                   struct dray_err *err);
bool kit_ask_agent(struct kit_session *s, const char *id, int cancel_fd);

/** Pass bytes between a socket (borrowed) and a call of BytesMessages, until the peer has said all,
 *  the socket fails, or stop_fd is readable. */
void kit_pump(struct grpc_call *call, int sock, int stop_fd);

/** Connections to agents that are under way. */
struct kit_links;
struct kit_links *kit_links_new(void);
/** Connect fd with the client's agent; fd is closed when either side ends. False: it could not. */
bool kit_links_add(struct kit_links *l, struct kit_session *s, const char *id, int fd /* takes */);
/** End them all. */
void kit_links_free(struct kit_links *l);

#endif
