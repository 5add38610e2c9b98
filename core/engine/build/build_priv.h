/* SPDX-License-Identifier: Apache-2.0 */
/* build_priv.h - the insides of builds, for the files build_*.c. */
#ifndef DRAY_ENGINE_BUILD_PRIV_H
#define DRAY_ENGINE_BUILD_PRIV_H

#include "engine/build/builds.h"
#include "engine/image/image_priv.h"

/** What is known of a layer beside its content: enough to list it in a manifest. */
struct build_part {
    char chain[DRAY_DIGEST_LEN], diff[DRAY_DIGEST_LEN];
    char digest[DRAY_DIGEST_LEN]; /**< of the blob */
    uint64_t size;                /**< of the blob */
    char media_type[96];
};

/** A layer that is kept while a build or a record needs it. */
struct build_pin {
    struct img_layer *layer; /**< referred to */
    struct img_blob *blob;   /**< referred to; NULL for layers of images, which keep theirs */
    struct build_part part;
};

/** One remembered result. */
struct build_record {
    char *key, *value, *description, *parent;
    char id[33]; /**< name of its file, and what people see */
    struct build_pin pin;
    int64_t created_ns, used_ns;
    int64_t saved_ns; /**< use that its file tells of */
    int64_t times;
    unsigned users; /**< builds that rely on it now */
};

/** A folder of cache mounts. Guarded by the lock of the builds. */
struct build_cache_dir {
    struct build_cache_dir *next;
    char name[72]; /**< below DATA/build/mounts */
    char *id;      /**< as the Dockerfile has it */
    int64_t created_ns, used_ns, times;
    unsigned users;
    bool exclusive; /**< its user shares it with nobody */
    bool fresh;     /**< has no folder yet */
    bool filling, going;
};

struct dray_builds {
    struct dray_engine *engine;
    int dir;               /**< DATA/build */
    int cache_dir;         /**< DATA/build/cache */
    int mounts_dir;        /**< DATA/build/mounts */
    int kept_dir;          /**< DATA/build/contexts */
    pthread_mutex_t prune; /**< one prune at a time; records are replaced under it. order: first */
    pthread_mutex_t lock;  /**< guards all below. order: before the image store's */
    struct lh_table *records;
    struct build_cache_dir *mounts; /**< folders of cache mounts */
    struct build_client *clients;
    struct build_policy *policy; /**< constant */
    pthread_cond_t mount_free;   /**< a cache folder or an agent's connection has come free */
};

/** One build under way. */
struct build {
    struct dray_builds *set;
    struct dray_engine *e;
    const struct dray_build_req *req;
    char id[33];
    pthread_mutex_t lock; /**< guards all below. order: before set->lock */
    struct build_pin *pins;
    size_t n_pins, cap_pins;
    char **texts; /**< strings that were handed out */
    size_t n_texts, cap_texts;
    struct build_record **used;
    size_t n_used;
    struct build_folder *folders; /**< named contexts */
    pthread_cond_t folder_done;
    struct build_client *client; /**< set->lock; constant during the build */
    pthread_mutex_t out;         /**< orders the lines to the client. order: leaf */
};

/* --- build_session.c
 * -----------------------------------------------------------------------------*/

/** The build that a call belongs to, or NULL with an error. */
struct build *build_of(const struct dray_call *call, struct dray_err *err);
/** A copy that lives as long as the build; NULL without memory. */
const char *build_text(struct build *b, const char *text);
/** Keep a layer until the end of the build. Takes the references of pin in any case; a layer that
 *  is kept already is not kept twice. */
int build_pin_add(struct build *b, struct build_pin *pin /* takes */, struct dray_err *err);
/** Find the layer that a name means; *out NULL for "". Borrowed from the build. */
int build_layer_find(struct build *b, const char *name, struct img_layer **out,
                     struct dray_err *err);
/** Copy the pin of a layer that the build keeps, with references of its own. */
int build_pin_copy(struct build *b, const char *chain, struct build_pin *out,
                   void (*copy)(struct dray_images *im, const struct build_pin *from,
                                struct build_pin *to),
                   struct dray_err *err);
bool build_part_find(struct build *b, const char *chain, struct build_part *out);
void build_pin_drop(struct dray_images *im, struct build_pin *pin);
/** Send an object to the client. */
int build_send(struct build *b, struct json_object *line /* takes */);
int build_cancel_fd(const struct build *b);

/* --- build_layer.c
 * -------------------------------------------------------------------------------*/

int32_t build_layer_make(const struct dray_call *call, const char *parent,
                         struct dray_fd_borrow tar, struct dray_build_layer *out,
                         struct dray_err *err);
int32_t build_layer_squash(const struct dray_call *call, const char *top, const char *base,
                           struct dray_build_layer *out, struct dray_err *err);
int32_t build_layer_open(const struct dray_call *call, const char *layer,
                         struct dray_fd_take *root_out, struct dray_err *err);
/** A layer on top of parent (or NULL) from a tar that is read to its end. */
int build_layer_take(struct build *b, struct img_layer *parent, int fd,
                     struct dray_build_layer *out, struct dray_err *err);
/** The changes of a writable layer `id`, which was made on top of `below` (an init layer), become
 *  a layer on top of parent. `id` is gone afterwards in any case. */
int build_layer_commit(struct build *b, struct img_layer *parent, const char *below, const char *id,
                       struct dray_build_layer *out, struct dray_err *err);

/** The same, and the writable layer stays as it is. */
int build_layer_copy(struct build *b, struct img_layer *parent, const char *below, const char *id,
                     struct dray_build_layer *out, struct dray_err *err);

/* --- build_mounts.c
 * ------------------------------------------------------------------------------*/

struct build_mounts;
/** Make ready what a command mounts: folders of caches, views of layers, files of secrets. */
int build_mounts_open(struct build *b, const struct dray_build_run *run, struct build_mounts **out,
                      struct dray_err *err);
/** Add them to a container's body and HostConfig. */
int build_mounts_add(struct build_mounts *m, struct json_object *body, struct json_object *host,
                     struct dray_err *err);
/** The command has ended: take mount points out of the writable layer that only the mounts needed,
 *  and set back times later than clamp_s (-1: none). */
int build_mounts_clean(struct build_mounts *m, const char *layer, int64_t clamp_s,
                       struct dray_err *err);
void build_mounts_close(struct build_mounts *m);

/** Remove what a killed daemon left below EXEC_ROOT/builds. */
void build_mounts_sweep(struct dray_builds *bs);

/* --- build_cachedir.c
 * ----------------------------------------------------------------------------*/

void build_cache_dirs_load(struct dray_builds *bs);
void build_cache_dirs_free(struct dray_builds *bs);
/** Give a file of a mount to the owner that it names, an id of the container; 0, or -1 with errno.
 */
int build_mount_own(struct build *b, const struct dray_build_mount *m, int fd);
/** Take the folder of a cache mount as its sharing wants; waits for a locked one. */
int build_cache_dir_take(struct build *b, const struct dray_build_mount *m, int cancel_fd,
                         struct build_cache_dir **out, char **path_out, struct dray_err *err);
void build_cache_dir_give(struct dray_builds *bs, struct build_cache_dir *d);
/** Remove an idle one with its content; false: it is in use. */
bool build_cache_dir_remove(struct dray_builds *bs, struct build_cache_dir *d);

/* --- build_kept.c
 * --------------------------------------------------------------------------------*/

/** A context that is kept. */
struct build_kept {
    char name[33]; /**< of its file */
    int64_t bytes, used_ns;
};
/** Tell of each (fn may be NULL); how many there are. */
int build_kept_each(struct dray_builds *bs, void (*fn)(void *ctx, const struct build_kept *k),
                    void *ctx);
bool build_kept_remove(struct dray_builds *bs, const char *name);
/** Remove what a killed daemon left half named. */
void build_kept_sweep(struct dray_builds *bs);

/* --- build_agent.c
 * -------------------------------------------------------------------------------*/

struct build_agent;
int build_agent_open(struct build *b, const struct dray_build_mount *m, const char *path,
                     struct build_agent **out, struct dray_err *err);
void build_agent_close(struct build_agent *a);

/* --- build_client.c
 * ------------------------------------------------------------------------------*/

void build_client_begin(struct build *b);
void build_client_end(struct build *b);
void build_clients_free(struct dray_builds *bs);
/** A secret of the client's: 1, 0 when it has none of this id, or an error. */
int build_client_secret(struct build *b, const char *id, struct dray_buf *out,
                        struct dray_err *err);
bool build_client_has_agent(struct build *b, const char *id);
/** Hand a connection to the client's agent over; gives up when stop_fd is readable. */
bool build_client_agent(struct build *b, const char *id, int fd /* takes */, int stop_fd);

/* --- build_run.c
 * ---------------------------------------------------------------------------------*/

int32_t build_run(const struct dray_call *call, const struct dray_build_run *run,
                  struct dray_build_ran *out, struct dray_err *err);

/* --- build_image.c
 * -------------------------------------------------------------------------------*/

int32_t build_image_get(const struct dray_call *call, const char *ref, const char *platform,
                        uint32_t flags, struct dray_build_image *out, struct dray_err *err);
int32_t build_image_put(const struct dray_call *call, const char *config, const char *top,
                        const char *parent, struct dray_strs tags, const char **id_out,
                        struct dray_err *err);

int32_t build_context_fetch(const struct dray_call *call, struct dray_strs paths,
                            struct dray_fd_take *tar_out, struct dray_err *err);

int32_t build_image_tag(const struct dray_call *call, const char *id, struct dray_strs tags,
                        const char **id_out, struct dray_err *err);
int32_t build_image_name(const struct dray_call *call, const char *ref, const char **name_out,
                         struct dray_err *err);

/* --- build_context.c
 * -----------------------------------------------------------------------------*/

/** The image that a name means in this build: that of a named context, or ref itself. */
const char *build_context_image(const struct build *b, const char *ref);
/** The client's name of the folder that a name means in this build, or NULL. */
const char *build_context_folder(const struct build *b, const char *ref);
/** The URL of what a name means in this build, or NULL. */
const char *build_context_url(const struct build *b, const char *ref);
/** The folder as a base: without an id. */
int build_context_get(struct build *b, const char *dir, struct dray_build_image *out,
                      struct dray_err *err);
void build_contexts_free(struct build *b);

/** The result that a name means in this build, or NULL. */
const struct dray_build_result *build_context_input(const struct build *b, const char *ref);

/* --- build_result.c
 * ------------------------------------------------------------------------------*/

/** Put what the build has come to into the request's result_out. */
int build_result_keep(struct build *b, const char *id, struct json_object *config,
                      struct img_layer *top, struct dray_err *err);
/** A result as a base: its layers are kept for the build. */
int build_result_use(struct build *b, const struct dray_build_result *r,
                     struct dray_build_image *out, struct dray_err *err);

/* --- build_cache.c
 * -------------------------------------------------------------------------------*/

int build_cache_load(struct dray_builds *bs, struct dray_err *err);
void build_cache_free(struct dray_builds *bs);
int32_t build_cache_get(const struct dray_call *call, const char *key,
                        struct dray_build_record *out, struct dray_err *err);
int32_t build_cache_put(const struct dray_call *call, const char *key,
                        const struct dray_build_record *rec, struct dray_err *err);
/** Take an idle record out of the table and free it, with its file; false: it is in use. */
bool build_cache_drop(struct dray_builds *bs, struct build_record *r);
/** All that was remembered before the time has been flushed to the disk. */
void build_cache_flushed(struct dray_builds *bs, int64_t when_ns);
/** The build ends: its records may be pruned again. */
void build_cache_release(struct build *b);

#endif
