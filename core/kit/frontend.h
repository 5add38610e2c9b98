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

#define KIT_EXPORTERS_MAX 16u

/** One of the places that the result goes to. */
struct kit_exporter {
    char *type;
    struct dray_kvlist attrs;
    char id[12]; /**< its number, as the client knows it */
};

/** Where the result goes: of Control's SolveRequest. */
struct kit_target {
    char *session;
    struct kit_exporter exporters[KIT_EXPORTERS_MAX];
    size_t n_exporters;
    struct dray_strlist entitlements;
};

int kit_target_read(struct pb *req, char **ref_out, struct kit_target *out, struct dray_err *err);
void kit_target_fini(struct kit_target *t);
/** The names that the image gets, whole ("docker.io/library/a:1") or as given: commas between them.
 *  Owned; NULL without memory. */
char *kit_target_names(const struct kit_target *t, bool whole);

/** The bridge's SolveRequest. */
struct kit_frontend {
    char *frontend;
    struct dray_kvlist opts;
    struct dray_kvlist inputs; /**< names, and what kit_input_write() was given */
    bool array_ref;            /**< the client knows of results that are arrays */
    /* Made of it, for build: */
    struct dray_kit_build build;
    struct dray_kvlist args, labels, contexts;
    bool asks; /**< nothing is built, the Dockerfile is told of */
    bool list; /**< only what can be asked for */
    struct dray_strlist tags, cache_from, no_cache;
    struct json_object *host;
    struct dray_kit_output outputs[KIT_EXPORTERS_MAX];
};

int kit_frontend_read(struct pb *req, struct kit_frontend *out, struct dray_err *err);
/** Make build of the options; NOTSUP for what this engine has not. */
int kit_frontend_prepare(struct kit_frontend *f, const struct kit_target *target,
                         struct dray_err *err);
void kit_frontend_cleanup(struct kit_frontend *f);

/** The fields of a pb.Definition that stands for a result, which token names. */
void kit_input_write(const char *token, struct dray_buf *def);
/** Read an entry of map<string, pb.Definition>: add its name and its token. */
int kit_input_read(const struct pb_field *entry, struct dray_kvlist *out, struct dray_err *err);

/** pb.Range of lines, as JSON. */
struct json_object *kit_place_range(int64_t from, int64_t to);
/** google.protobuf.Any of a builder's "place" object; false: it is not to be had. */
bool kit_place_detail(struct json_object *place, struct dray_buf *any);

/** What a builder tells of a Dockerfile, collected of its "finding" and "check" objects, or of the
 *  one "described". */
struct kit_lint {
    struct json_object *warnings; /**< as the answer has them */
    struct dray_buf text;         /**< for people */
    char *json;                   /**< the answer, once "check" has come */
    bool any;
};
void kit_lint_take(struct kit_lint *l, const char *kind, struct json_object *o);
/** The entries of Result's metadata: "result.json" and others. */
void kit_lint_answer(const struct kit_lint *l, struct dray_buf *result);
/** Tell what a frontend can be asked for. */
void kit_lint_list(struct kit_lint *l);
/** Is it a request that the builder answers? *out is what it calls that, or NULL for a lint. */
bool kit_lint_request(const char *id, const char **out);
void kit_lint_cleanup(struct kit_lint *l);

/** What the progress of a build belongs to. */
struct kit_build_ctx {
    struct kit_server *server;
    struct kit_solve *solve;
    struct grpc_call *call;
    struct kit_lint *lint;
};

#endif
