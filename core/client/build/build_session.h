/* SPDX-License-Identifier: Apache-2.0 */
/* build_session.h - what a build may ask of us while it runs: secrets, the ssh agent. */
#ifndef DRAY_CLIENT_BUILD_SESSION_H
#define DRAY_CLIENT_BUILD_SESSION_H

#include "client/cli.h"

struct build_session;

/** From --secret and --ssh; *out NULL when there are none. Errors are kept in cli. */
int build_session_new(struct cli *cli, const struct dray_strlist *secrets,
                      const struct dray_strlist *agents, struct build_session **out);
/** Send the secrets, and have connections to the agents ready until build_session_free(). */
int build_session_start(struct build_session *s, struct cli *cli);
/** For POST /build?session=. */
const char *build_session_id(const struct build_session *s);
/** NULL is nothing. */
void build_session_free(struct build_session *s);

/** Checks of the flags' values. */
int build_secret_check(const char *text, struct dray_err *err);
int build_ssh_check(const char *text, struct dray_err *err);

#endif
