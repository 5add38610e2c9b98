/* SPDX-License-Identifier: Apache-2.0 */
/* job.h - one build, for the files that make ready what it needs and take away its result. */
#ifndef DRAY_KIT_JOB_H
#define DRAY_KIT_JOB_H

#include "kit/session.h"
#include "kit/trace.h"

struct kit_credentials;

struct kit_job {
    struct kit_job *next; /* kit's lock */
    struct dray_kit *kit;
    const struct dray_kit_build *req;
    int stop;   /* eventfd: readable once the build shall end */
    int cancel; /* epoll: readable once it shall end for any reason: stop, the request's client or
                   its session has gone */
    struct kit_session *session; /* or NULL: see kit_job_session() */
    struct kit_links *links;
    struct kit_trace trace;
    struct dray_build_spec spec;
    struct dray_buf dockerfile; /* its text */
    struct dray_build_result *result;

    pthread_mutex_t lock; /* guards: credentials, no_session, session unless it was found at the
                             beginning. order: leaf */
    struct kit_credentials *credentials;
    bool no_session; /* it was looked for in vain */

    struct dray_buf ignore; /* the text of its ignore file */
    struct dray_strlist excludes;
    int64_t fed; /* bytes of the context so far */
};

/** The session, which is looked for now unless the build has needed it from the beginning. NULL:
 * the client has none, or has ended it, which is no fault until something of it is needed. */
struct kit_session *kit_job_session(struct kit_job *j);

/** "docker.io/library/a:1" of "a:1"; owned, NULL without memory. */
char *kit_full_name(const char *tag);

/* --- source.c --- */

/** Fetch the Dockerfile and the ignore file, or the context when the Dockerfile is in it. */
int kit_source_open(struct kit_job *j, struct dray_err *err);
void kit_source_close(struct kit_job *j);
/** A lender's context() on a job. */
int kit_source_context(void *job, struct dray_strs paths, int *fd_out, struct dray_err *err);

/** A lender's folder() on a job: what its ignore file names stays away. */
int kit_source_folder(void *job, const char *name, int fd, struct dray_err *err);

/* --- upload.c --- */

/** Wait for dray_kit_upload() of this build: *fd_out is borrowed until kit_upload_done(). */
int kit_upload_take(struct kit_job *j, int *fd_out, struct dray_err *err);
void kit_upload_done(struct kit_job *j);

/* --- output.c --- */

/** Send what the result holds to a place of the client's. */
int kit_output_send(struct kit_job *j, const struct dray_kit_output *o,
                    const struct dray_build_result *result, struct dray_err *err);

#endif
