/* SPDX-License-Identifier: Apache-2.0 */
/* trace.h - the progress of a build in BuildKit's shape: vertexes, what they say, how far they are.
 */
#ifndef DRAY_KIT_TRACE_H
#define DRAY_KIT_TRACE_H

#include "base/digest.h"
#include "kit/kit.h"

#include <pthread.h>
#include <stdint.h>

struct json_object;
struct kit_vertex;

/** The step of ours that reads the Dockerfile, which warnings belong to. */
#define KIT_TRACE_DOCKERFILE "dockerfile"

struct kit_trace {
    dray_kit_status_fn status;
    void *ctx;
    char build[40];       /**< random: makes the digests of this build its own */
    pthread_mutex_t lock; /**< guards all below, and orders what is sent. order: leaf */
    struct kit_vertex *vertexes;
};

void kit_trace_init(struct kit_trace *t, dray_kit_status_fn status, void *ctx);
/** What is still open ends with the error, or well when it is NULL. */
void kit_trace_fini(struct kit_trace *t, const char *error);

/** A step of ours begins, has got so far (of total, 0: unknown), has ended. id is ours, unique
 *  within the build; what: "transferring context:". */
void kit_trace_begin(struct kit_trace *t, const char *id, const char *name);
void kit_trace_progress(struct kit_trace *t, const char *id, const char *what, int64_t current,
                        int64_t total, bool done);
void kit_trace_end(struct kit_trace *t, const char *id, const char *error);

/** The words of BuildKit for what a builder says of a command that has failed. */
void kit_trace_words(const char *text, char *out, size_t room);

/** An object of a builder's stream with DRAY_BUILD_TRACE, as the builder ABI has it. 0, or what the
 *  status function said. */
int kit_trace_line(struct kit_trace *t, struct json_object *line);

#endif
