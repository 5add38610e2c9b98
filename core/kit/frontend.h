/* SPDX-License-Identifier: Apache-2.0 */
/* frontend.h - what a client asks of the Dockerfile frontend, as a build of ours. */
#ifndef DRAY_KIT_FRONTEND_H
#define DRAY_KIT_FRONTEND_H

#include "base/strlist.h"
#include "kit/kit.h"
#include "kit/pb.h"

struct grpc_call;
struct json_object;
struct kit_server;
struct kit_solve;

/** Where the result goes: of Control's SolveRequest. */
struct kit_target {
    char *session, *exporter;
    struct dray_kvlist attrs;
    struct dray_strlist entitlements;
};

int kit_target_read(struct pb *req, char **ref_out, struct kit_target *out, struct dray_err *err);
void kit_target_fini(struct kit_target *t);

/** The bridge's SolveRequest. */
struct kit_frontend {
    char *frontend;
    struct dray_kvlist opts;
    bool array_ref; /**< the client knows of results that are arrays */
    /* Made of it, for build: */
    struct dray_kit_build build;
    struct dray_kvlist args, labels, contexts;
    bool lint; /**< only mistakes are looked for */
    struct dray_strlist tags, cache_from;
    struct json_object *host;
};

int kit_frontend_read(struct pb *req, struct kit_frontend *out, struct dray_err *err);
/** Make build of the options; NOTSUP for what this engine has not. */
int kit_frontend_prepare(struct kit_frontend *f, const struct kit_target *target,
                         struct dray_err *err);
void kit_frontend_cleanup(struct kit_frontend *f);

/** pb.Range of lines, as JSON. */
struct json_object *kit_place_range(int64_t from, int64_t to);
/** google.protobuf.Any of a builder's "place" object; false: it is not to be had. */
bool kit_place_detail(struct json_object *place, struct dray_buf *any);

/** What a builder has found in a Dockerfile, collected of its "finding" and "check" objects. */
struct kit_lint {
    struct json_object *warnings; /**< as the answer has them */
    struct dray_buf text;         /**< for people */
    char *json;                   /**< the answer, once "check" has come */
    bool any;
};
void kit_lint_take(struct kit_lint *l, const char *kind, struct json_object *o);
/** The entries of Result's metadata: "result.json" and others. */
void kit_lint_answer(const struct kit_lint *l, struct dray_buf *result);
void kit_lint_cleanup(struct kit_lint *l);

/** What the progress of a build belongs to. */
struct kit_build_ctx {
    struct kit_server *server;
    struct kit_solve *solve;
    struct grpc_call *call;
    struct kit_lint *lint;
};

#endif
