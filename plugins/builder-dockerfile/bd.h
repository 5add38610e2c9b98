/* SPDX-License-Identifier: Apache-2.0 */
/* bd.h - one build and its stages, for the files of this plugin. */
#ifndef BUILDER_BD_H
#define BUILDER_BD_H

#include "dockerfile.h"
#include "tree.h"

#include <dray/builder.h>
#include <dray/host.h>

#include <pthread.h>
#include <stdatomic.h>

#define BD_PLATFORM_ARGS 8

struct dray_self {
    const struct dray_host *host;
    const struct dray_build_host *engine;
};

enum bd_stage_state { BD_WAITING, BD_RUNNING, BD_DONE, BD_FAILED };

/** Variables of a scope, in the order of their declaration. */
struct bd_vars {
    struct dray_kv *v; /**< owned; value NULL: declared without a value */
    size_t n;
};

struct bd_build;

/** One stage: what it has come to, and where its output waits. */
struct bd_stage {
    struct bd_build *build;
    const struct dray_df_stage *df;
    bool needed;
    bool late;  /**< not needed, but a base's ONBUILD has named it; build->lock */
    bool *deps; /**< by index: stages that must be there first */
    unsigned first_step, steps;

    pthread_t thread;
    bool started;
    enum bd_stage_state state; /**< build->lock */
    struct bd_buf output;      /**< held back until its turn; build->lock */
    unsigned traced;           /**< steps that the client was told of; build->lock */
    bool trace_open, trace_cached;
    unsigned trace_total;       /**< steps of its kind */
    struct dray_df_where where; /**< of the instruction that is under way */

    /* Its own thread's until it is done. */
    struct dray_df_arena arena;
    struct json_object *config;  /**< a container's Config */
    struct json_object *history; /**< array */
    struct json_object *words;   /**< array: by what caches know each of the history's steps */
    struct json_object *diffs;   /**< array of diff ids */
    struct bd_vars args;
    struct bd_vars over; /**< BuildKit: ARGs that hide an ENV before them, until the next ENV */
    char *arch, *os, *variant, *author;
    const char *layer; /**< the host's string */
    const char *base_layer;
    size_t base_layers;          /**< of the base image: so many diff ids */
    char id[BD_DIGEST_LEN];      /**< of the image as it stands, "" for scratch */
    char base_id[BD_DIGEST_LEN]; /**< of the image it started from, or "" */
    int64_t created_ns;
    bool cmd_set;
    bool from_scratch;
    bool no_cache;  /**< its steps are all run */
    bool triggered; /**< an ONBUILD is under way */
    unsigned step;
    struct bd_tree *root; /**< view of layer `root_layer`, opened on demand */
    const char *root_layer;
    const char *last_key; /**< cache key of the last step, arena */
    struct dray_err err;
};

/** A context that is asked for when the first step needs it. */
struct bd_late {
    enum bd_stage_state state; /**< build->lock; what follows is constant once it is over */
    struct bd_tree *tree;
    struct dray_err err;
};

struct bd_build {
    struct dray_self *self;
    const struct dray_host *host;
    const struct dray_build_host *engine;
    const struct dray_call *call;
    const struct dray_build_spec *spec;
    struct bd_tree *context; /**< NULL: the host has it yet */
    struct bd_late late[2];  /**< what has come of that: of the Dockerfile's paths, all */
    struct bd_far *far;      /**< named contexts that were fetched; lock */
    struct dray_df_file *file;
    char platform[BD_PLATFORM_ARGS][96]; /**< predefined ARGs */
    struct bd_vars globals;              /**< ARGs before the first FROM */
    struct bd_stage *stages;
    uint32_t n_stages;
    struct bd_stage *target;
    unsigned total_steps;
    int64_t epoch_s;                /**< SOURCE_DATE_EPOCH, or -1 */
    int cancel_fd;                  /**< readable: the client has gone, or a stage has failed */
    int stop_fd;                    /**< eventfd: makes cancel_fd so */
    bool *arg_used;                 /**< by index of spec->args; build->lock */
    struct json_object *cache_from; /**< configs of --cache-from's images; constant with stages */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t shown; /**< the stage whose output goes to the client at once */
    bool failed;
};

/* --- screen.c
 * ------------------------------------------------------------------------------------*/

/** Text for a person; waits while an earlier stage talks. */
void bd_say(struct bd_stage *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bd_say_text(struct bd_stage *s, const char *text, size_t n);
/** One object of the stream at once; takes line. */
int bd_emit_json(struct bd_build *b, struct json_object *line /* takes */);
int bd_emit_text(struct bd_build *b, const char *text);
/** The stage has ended: let the next one talk. build->lock is held. */
void bd_screen_next(struct bd_build *b);

/** The longest prefix that does not end amid a UTF-8 character. */
size_t bd_whole_characters(const char *text, size_t n);

/* --- trace.c
 * -------------------------------------------------------------------------------------*/

/** Does the client want (DRAY_BUILD_TRACE) "step" objects in place of the classic lines? Without
 *  it the others do nothing. */
bool bd_tracing(const struct bd_build *b);
/** Is such an instruction a step to people? Others only change the config. */
bool bd_trace_counts(enum dray_df_kind kind);
/** Does the client want (DRAY_BUILD_KIT) what BuildKit makes of a Dockerfile? */
bool bd_kit(const struct bd_build *b);
/** A step of the stage begins, was in the cache, is done. */
void bd_trace_step(struct bd_stage *s, const char *text);
void bd_trace_cached(struct bd_stage *s);
void bd_trace_done(struct bd_stage *s);
/** The step that is open, if any, has ended; err is NULL when it is well. build->lock is held. */
void bd_trace_end(struct bd_stage *s, const struct dray_err *err);
/** Send what the step has said; `last`: also half a character. build->lock is held. */
void bd_trace_output(struct bd_stage *s, bool last);
/** A step beside the stages: begins, has ended. The same id is the same step. */
void bd_trace_begin(struct bd_build *b, const char *id, const char *name);
void bd_trace_finish(struct bd_build *b, const char *id, const struct dray_err *err);
/** Tell in a "place" object where in the Dockerfile's text the build has failed. */
void bd_trace_place(struct bd_build *b, const char *text, size_t len,
                    const struct dray_df_where *where);

/* --- check.c
 * -------------------------------------------------------------------------------------*/

/** Look for mistakes in the Dockerfile: emits "finding" objects and a "check" at the end. */
int bd_check(struct bd_build *b, struct dray_err *err);
/** Fail when findings shall fail the build ("# check=error=true"). */
int bd_check_gate(struct bd_build *b, struct dray_err *err);
/** Tell a client that wants steps of the findings, as "warning" objects. */
void bd_check_warn(struct bd_build *b);
/** The same when the base image, which is there now, is of another platform than was wanted. */
void bd_check_base(struct bd_stage *s, const char *image, const char *platform);
/** Take the Dockerfile and the ignore file out of the context when .dockerignore names them: the
 *  client sends them in any case. */
int bd_context_hide(struct bd_build *b, struct dray_err *err);

/* --- describe.c
 * -----------------------------------------------------------------------------------*/

/** Emit the "described" object that spec->request asks for. After the plan was made. */
int bd_describe(struct bd_build *b, struct dray_err *err);

/* --- vars.c
 * --------------------------------------------------------------------------------------*/

bool bd_vars_set(struct bd_vars *vars, const char *name, const char *value);
/** NULL when it is not declared or has no value. */
const char *bd_vars_get(const struct bd_vars *vars, const char *name);
void bd_vars_free(struct bd_vars *vars);
/** Value of a --build-arg, noted as used; NULL. */
const char *bd_build_arg(struct bd_build *b, const char *name);
/** Work out BUILDPLATFORM, TARGETARCH, ...; the value of one of them, or NULL. */
void bd_platform_init(struct bd_build *b);
const char *bd_platform_arg(const struct bd_build *b, const char *name);
/** What words of an instruction of the stage may name. */
struct dray_df_env bd_stage_env(struct bd_stage *s);
struct dray_df_env bd_global_env(struct bd_build *b);
/** Evaluate the ARGs before the first FROM. */
int bd_globals_init(struct bd_build *b, struct dray_df_arena *arena, struct dray_err *err);
/** Values that a RUN gets beside ENV: "NAME=value" sorted. `shown`: those that count for cache and
 *  history. */
int bd_run_args(struct bd_stage *s, struct bd_list *all, struct bd_list *shown,
                struct dray_err *err);
/** "NAME=value" of each ARG of the stage, as BuildKit's history names them. */
int bd_run_args_kit(struct bd_stage *s, struct bd_list *out, struct dray_err *err);
/** "[Warning] One or more build-args ..." unless all were used; the same of cache-from. */
void bd_warn_unused(struct bd_build *b);

/* --- config.c
 * ------------------------------------------------------------------------------------*/

/** The Config of an image, with every field that Docker's builder writes. */
struct json_object *bd_config_new(struct json_object *image_config);
const char *bd_config_env(struct json_object *config, const char *name);
void bd_config_set_env(struct json_object *config, const char *name, const char *value);
/** argv of a command; the shell form is wrapped in the stage's shell. */
struct json_object *bd_command_json(struct json_object *config, const struct dray_df_command *c);
/** ENV, LABEL, EXPOSE, ...: change the config; *classic and *kit are what the history of the two
 * builders says, owned. *kit is NULL for what is no step there. */
int bd_config_apply(struct bd_stage *s, const struct dray_df_instr *in, char **classic, char **kit,
                    struct dray_err *err);

/* --- commit.c
 * ------------------------------------------------------------------------------------*/

/** Text of the image as it stands; its digest is the id. Owned by *doc. */
const char *bd_image_text(struct bd_stage *s, struct json_object **doc);
/** What histories say of a step. */
struct bd_said {
    const char *classic; /**< the classic builder's words, by which caches know the step */
    const char *kit;     /**< BuildKit's, for its clients; NULL: there it is no step */
};
/** A step is done: note it in the history, and compute the id. made is NULL without a layer. */
int bd_commit(struct bd_stage *s, struct bd_said said, const struct dray_build_layer *made,
              int64_t created_ns, struct dray_err *err);
/** The array of `words` of an image's document, owned: see bd_image_text(). */
struct json_object *bd_image_words(struct json_object *doc);
/** The time that a new step gets. */
int64_t bd_step_time(const struct bd_build *b);
/** "/bin/sh -c #(nop) " and more, owned. */
char *bd_nop(struct bd_stage *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** A remembered layer: what a cached step gives. */
struct bd_hit {
    struct dray_build_layer layer;
    int64_t created_ns;
    const char *hash; /**< of COPY's sources, or "" */
};
/** Look for a step's result, in the cache and then in --cache-from's images, which know it by what
 *  the history says; false: there is none, or the cache is not to be used. */
bool bd_cache_find(struct bd_stage *s, const char *key, const char *created_by, struct bd_hit *out);
int bd_cache_keep(struct bd_stage *s, const char *key, const struct bd_hit *hit,
                  const char *description, struct dray_err *err);

/* --- cache_from.c
 * -------------------------------------------------------------------------------*/

/** Make the images of --cache-from present. What cannot be had is told of, and no error. */
void bd_cache_from_open(struct bd_build *b);
bool bd_cache_from_find(struct bd_stage *s, const char *by, struct bd_hit *out);

/* --- stage.c
 * -------------------------------------------------------------------------------------*/

/** Build the stage. */
int bd_stage_run(struct bd_stage *s, struct dray_err *err);
void bd_stage_free(struct bd_stage *s);
/** View of the stage's layer. */
int bd_stage_root(struct bd_stage *s, struct bd_tree **out, struct dray_err *err);
/** "Using cache". */
void bd_say_cached(struct bd_stage *s);

/* --- build.c
 * -------------------------------------------------------------------------------------*/

/** Until a stage before this one, which a base's ONBUILD names, is there: nobody may have known
 * that it is needed. */
int bd_stage_await(struct bd_stage *s, uint32_t index, struct dray_err *err);

/* --- layer.c
 * -------------------------------------------------------------------------------------*/

struct bd_tarout;
struct bd_tar_entry;
/** Writes the entries of a layer; root shows what is below it. On a thread of its own. */
typedef int (*bd_layer_write_fn)(void *ctx, struct bd_tarout *t, struct bd_tree *root,
                                 struct dray_err *err);
/** Make a layer on top of the stage's. */
int bd_layer_write(struct bd_stage *s, bd_layer_write_fn fn, void *ctx,
                   struct dray_build_layer *out, struct dray_err *err);
/** The same on top of parent, which root shows. */
int bd_layer_write_on(struct bd_build *b, const char *parent, struct bd_tree *root,
                      bd_layer_write_fn fn, void *ctx, struct dray_build_layer *out,
                      struct dray_err *err);
/** Write an entry's head with the extended attributes that it has in `from` (or NULL). */
int bd_layer_entry(struct bd_tarout *t, struct bd_tree *from, const char *path,
                   struct bd_tar_entry *e, struct dray_err *err);
/** Write what is missing of a path of folders; links in it are followed. Nothing when it exists. */
int bd_layer_folders(struct bd_tarout *t, struct bd_tree *root, const char *path, uid_t uid,
                     gid_t gid, int64_t now_s, struct dray_err *err);
/** Write the folders above a resolved path, each once: as they are in root, or new ones. `itself`:
 *  the last one as well. */
int bd_layer_parents(struct bd_tarout *t, struct bd_tree *root, const char *path, bool itself,
                     uid_t uid, gid_t gid, int64_t now_s, struct dray_err *err);

/* --- copy.c, add.c
 * -------------------------------------------------------------------------------*/

int bd_copy(struct bd_stage *s, const struct dray_df_instr *in, struct dray_err *err);
/** A here-document as an executable file in a layer of its own, at *path (owned by the caller). */
int bd_copy_script(struct bd_stage *s, const struct dray_df_heredoc *script, const char **layer,
                   char **path, struct dray_err *err);
/** Digest of a path's content, as COPY sees it; from NULL: of the context. */
int bd_copy_sum(struct bd_stage *s, const char *from, const char *source,
                char hash[BD_DIGEST_LEN + 8], struct dray_err *err);
/** A path of the context as a layer of its own, in which it is at *path (owned by the caller). */
int bd_copy_context(struct bd_stage *s, const char *source, const char **layer, char **path,
                    struct dray_err *err);

/* --- run.c
 * ---------------------------------------------------------------------------------------*/

int bd_run(struct bd_stage *s, const struct dray_df_instr *in, struct dray_err *err);
/** Make the WORKDIR in the layer when it is missing. */
int bd_workdir(struct bd_stage *s, const struct dray_df_instr *in, struct dray_err *err);

/* --- run_mounts.c
 * --------------------------------------------------------------------------------*/

struct bd_sum;
/** What the mounts of a RUN mean for its key. */
int bd_mounts_sum(struct bd_stage *s, const struct dray_df_mounts *mounts, struct bd_sum *sum,
                  struct dray_err *err);
/** The mounts for the host; *n as many. Texts live in the stage's arena. */
int bd_mounts_make(struct bd_stage *s, const struct dray_df_mounts *mounts,
                   struct dray_build_mount **out, struct dray_err *err);

/* --- far.c
 * ---------------------------------------------------------------------------------------*/

/** What a named context at a URL holds, as an image without an id: fetched once a build. */
int bd_far_image(struct bd_stage *s, const char *name, const char *url,
                 struct dray_build_image *out, struct dray_err *err);
void bd_far_free(struct bd_build *b);

/* --- source.c
 * ------------------------------------------------------------------------------------*/

/** Layer of what --from names: a stage that is done, or an image. *layer lives as long as the
 *  build. *folder (or NULL) becomes true when the client gives a folder in place of the image: its
 * layer has another name with each build, so that only its content tells whether it has changed. */
/** The stage before the given index that a name means, or -1: none, or the client gives something
 *  else under the stage's name, which then takes the name's place. */
int bd_stage_named(struct bd_build *b, const char **name, uint32_t before);
int bd_from(struct bd_stage *s, const char *from, const char **layer, bool *folder,
            struct dray_err *err);
/** Make an image present, as a step that people see. */
int bd_image(struct bd_stage *s, const char *ref, const char *platform,
             struct dray_build_image *out, struct dray_err *err);
/** Does the name mean the empty image in this build? */
bool bd_is_scratch(struct bd_build *b, const char *name);
/** "docker.io/library/busybox:latest" of "busybox", the URL of a named context. The host's, or ref.
 */
const char *bd_image_name(struct bd_build *b, const char *ref);
/** A tree of a layer; the caller frees it. */
int bd_layer_tree(struct bd_build *b, const char *layer, struct bd_tree **out,
                  struct dray_err *err);

/* --- context.c
 * -----------------------------------------------------------------------------------*/

/** The context as a step of the stage sees it; borrowed. */
int bd_context(struct bd_stage *s, struct bd_tree **out, struct dray_err *err);
void bd_context_free(struct bd_build *b);
/** Read the context and the Dockerfile. */
int bd_context_open(struct bd_build *b, struct bd_buf *dockerfile, struct dray_err *err);
/** An unnamed file in the plugin's folder. */
int bd_spool(struct bd_build *b, int *fd_out, struct dray_err *err);

/* --- owner.c
 * -------------------------------------------------------------------------------------*/

/** "user:group" by name or number, looked up in the root. */
int bd_owner(struct bd_tree *root, const char *text, uid_t *uid, gid_t *gid, struct dray_err *err);
/** Mode from "0644" or "u=rwX,go=rX" for a file of the mode. */
int bd_chmod(const char *text, mode_t old, mode_t *out, struct dray_err *err);

#endif
