/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_priv.h - the insides of the image store, for the files image_*.c.
 *
 * One lock guards all tables; it is held for memory work only. Images refer to their blobs and to
 * their top layer, a layer to its parent; what nobody refers to any more is removed by the thread
 * that let go of it. Work under way refers to what it uses in the same way, so nothing that is used
 * is ever removed.
 */
#ifndef DRAY_ENGINE_IMAGE_PRIV_H
#define DRAY_ENGINE_IMAGE_PRIV_H

#include "base/json.h"
#include "base/strlist.h"
#include "engine/engine.h"
#include "engine/image/image_ref.h"
#include "engine/image/images.h"
#include "engine/layer/blob_store.h"
#include "engine/layer/inflate.h"
#include "plugin/driver.h"

#include <json-c/linkhash.h>
#include <pthread.h>
#include <stdatomic.h>

#define MANIFEST_MAX (4u << 20) /**< largest manifest, index or config accepted */
#define CONFIG_MAX (16u << 20)

#define MT_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MT_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define MT_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define MT_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar.gzip"
#define MT_DOCKER_LAYER_TAR "application/vnd.docker.image.rootfs.diff.tar"
#define MT_DOCKER_FOREIGN "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
#define MT_DOCKER_V1 "application/vnd.docker.distribution.manifest.v1"
#define MT_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MT_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MT_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MT_OCI_LAYER_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"

/** Diff id of a tar without entries (1024 zeros). A layer of it alone is kept for good: it stands
 *  under the containers of images without layers. */
#define IMG_EMPTY_DIFF "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

/** A blob that is there or comes in. */
struct img_blob {
    char digest[DRAY_DIGEST_LEN];
    unsigned refs;
    bool present;              /**< also while it is removed, see img_blob_here() */
    bool busy;                 /**< somebody fetches or removes it */
    _Atomic uint64_t progress; /**< bytes so far, while it is fetched */
    uint64_t size;
};

/** Is it complete, and does nobody remove it? Call with the store's lock held. */
static inline bool img_blob_here(const struct img_blob *b)
{
    return b->present && !b->busy;
}

enum img_layer_state { LAYER_ABSENT, LAYER_BUILDING, LAYER_READY, LAYER_REMOVING };

/** An unpacked layer in one storage driver. */
struct img_layer {
    char *key; /**< "<driver>-<hex of chain>" */
    char chain[DRAY_DIGEST_LEN], diff[DRAY_DIGEST_LEN];
    struct dray_driver *driver;
    struct img_layer *parent; /**< referred to */
    char id[40];              /**< in the driver */
    char init_id[40];         /**< layer for containers on top of it, or "" */
    bool init_busy;
    uint64_t size;
    uint64_t tar_size; /**< of the plain tar it was unpacked from; 0: not known */
    unsigned refs;
    enum img_layer_state state;
    bool flushed;    /**< it is on the disk */
    unsigned faults; /**< img_flush_faults() when it was begun */
};

/**
 * A layer as an image has it. A layer that was unpacked here of a plain tar may be without a blob
 * ("loose"): its digest is its diff id then, and img_settle() makes a blob of it when it is needed.
 */
struct img_part {
    char digest[DRAY_DIGEST_LEN]; /**< of the blob, as it came */
    char diff[DRAY_DIGEST_LEN];   /**< of the plain tar */
    char chain[DRAY_DIGEST_LEN];
    uint64_t size; /**< of the blob */
    char *media_type;
    struct json_object *urls; /**< of foreign layers, or NULL */
};

struct img {
    char id[DRAY_DIGEST_LEN];
    char manifest[DRAY_DIGEST_LEN];
    char *manifest_type;
    uint64_t manifest_size;
    char index[DRAY_DIGEST_LEN]; /**< the index it was chosen from, or "" */
    struct dray_strlist others;  /**< digests of content of other platforms of the index, kept */
    char parent[DRAY_DIGEST_LEN];
    char *os, *arch, *variant;
    int64_t created_ns, tagged_ns;
    uint64_t size;              /**< of the unpacked layers */
    struct json_object *labels; /**< or NULL; copied, never shared */
    struct img_part *parts;
    size_t n_parts;
    struct img_layer *top;     /**< referred to; NULL: no layers, or not unpacked in this driver */
    struct dray_strlist holds; /**< containers */
    bool deleted;              /**< kept for its containers only */
    bool settling;             /**< its missing blobs are being made */
};

/** A reference: a key "repo:tag" or "repo@digest" and what it names. */
struct img_ref {
    char *key;
    char id[DRAY_DIGEST_LEN];
};

struct dray_images {
    struct dray_engine *engine;
    struct dray_blobs *blobs;
    int images_fd, layers_fd, data_fd;

    pthread_mutex_t lock;   /**< guards all below. order: leaf */
    pthread_cond_t changed; /**< a layer or blob is no longer busy, a slot came free */
    struct lh_table *by_id, *refs, *layers, *blob_table;
    unsigned downloads, uploads;       /**< under way */
    struct json_object *layer_parents; /**< while the store is opened */
    struct json_object *lost_refs;     /**< of images whose document cannot be read; constant */

    struct img_flusher *flusher;

    pthread_mutex_t refs_io; /**< orders the writers of references.json. order: before lock */
};

/* --- image_flush.c ----------------------------------------------------------------------------*/

int img_flusher_open(struct dray_images *im, struct dray_err *err);
void img_flusher_close(struct img_flusher *f);
/** Flush blobs, documents and layers to the disk: once for all of an image. */
int img_flush(struct dray_images *im, struct dray_err *err);
/** How many flushes were told of a failed write. What was begun when there were fewer, and is not
 *  known to be on the disk, may be what was not written. */
unsigned img_flush_faults(struct dray_images *im);
/** len more bytes of blobs or layers were made. They are sent to the disk now and then, in the
 *  background and without a promise, so that img_flush() has little left to do. Any thread. */
void img_flush_early(struct dray_images *im, size_t len);

/* --- image_store.c, image_doc.c: tables and documents ------------------------------------------*/

struct img *img_find(struct dray_images *im, const char *id); /* lock held */
void img_free(struct img *g);
void img_chain_next(const char *parent, const char *diff, char out[DRAY_DIGEST_LEN]);
/**
 * Make the image known: blobs and layers of g are there. Syncs the store, writes the documents and
 * lists it. takes g; an image of that id that exists already is kept, with its index updated.
 */
int img_register(struct dray_images *im, struct img *g /* takes */, struct dray_err *err);
/** The document of an image; of a listed one with the lock held. Owned; NULL without memory. */
char *img_doc_text(const struct img *g);
int img_save(struct dray_images *im, const char *id, const char *text, bool sync,
             struct dray_err *err);
struct img *img_load(struct dray_images *im, const char *name);
void img_unlink_doc(struct dray_images *im, const char *id);
/** Read config and manifest facts (created, labels, platform) into g from the config's JSON. */
int img_from_config(struct img *g, struct json_object *config, struct dray_err *err);
/** Resolve what a user wrote to an image id, lock held. key_out (may be NULL): the reference that
 *  matched, borrowed until the lock is released; NULL for an id. */
struct img *img_lookup(struct dray_images *im, const char *text, const char **key_out,
                       struct dray_err *err);
/** Remove an image's document and all that only it used. The image has no references left. */
void img_forget(struct dray_images *im, const char *id);

/** Was another image made from it? Lock held. */
bool img_has_children(struct dray_images *im, const char *id);
/** Array of keys to arrays of what users see: tags, and digests. */
void img_split_refs(struct json_object *keys, struct json_object **tags_out,
                    struct json_object **digests_out);

/* References. */
/** May an image be given that name? */
int img_tag_check(const struct dray_ref *ref, struct dray_err *err);
/** tagged: somebody gives the name now, which an image remembers. */
int img_ref_set(struct dray_images *im, const char *key, const char *id, bool tagged,
                struct dray_err *err);
int img_ref_drop(struct dray_images *im, const struct dray_strlist *keys, struct dray_err *err);
int img_refs_load(struct dray_images *im, struct dray_err *err);
void img_refs_free(struct dray_images *im);
/** Id of a key, lock held, or NULL. */
const char *img_ref_get(struct dray_images *im, const char *key);
/** Append the keys of an image in order, lock held. */
void img_refs_of(struct dray_images *im, const char *id, struct dray_strlist *out);

/** Remove what loads left that a dead daemon did not end. Before any load begins. */
void img_drop_spools(struct dray_images *im);
/** Remove blobs of pulls that never ended, which came before the time. */
void img_drop_orphans(struct dray_images *im, int64_t before_ns);
void img_event(struct dray_images *im, const char *actor, const char *name, const char *action);
/** The event that ends a prune, with the bytes that it freed. */
void img_event_pruned(struct dray_images *im, int64_t bytes);

/* --- image_layers.c: blobs and layers with their users -----------------------------------------*/

/** Refer to a blob, known or not; NULL without memory. Lock held / not held. */
struct img_blob *img_blob_ref_locked(struct dray_images *im, const char *digest);
struct img_blob *img_blob_ref(struct dray_images *im, const char *digest);
/** Let go. The last one removes the blob unless keep. */
void img_blob_unref(struct dray_images *im, struct img_blob *b, bool keep);
/** Become the one that fetches it: false when it is present. Waits for others, polling abort_fd. */
int img_blob_claim(struct dray_images *im, struct img_blob *b, int abort_fd, bool *mine_out,
                   struct dray_err *err);
/** The claimed blob is there, or not. */
void img_blob_done(struct dray_images *im, struct img_blob *b, bool present, uint64_t size);
/** Put bytes and refer to them. */
int img_blob_put(struct dray_images *im, const void *data, size_t len, struct img_blob **out,
                 struct dray_err *err);

/**
 * Refer to the layer of a chain. READY: *mine_out is false. Absent: it is BUILDING now, exists
 * empty in the driver, and must be ended with img_layer_done(). Another's: waits; abort_fd.
 */
int img_layer_claim(struct dray_images *im, struct img_layer *parent, const char *diff,
                    int abort_fd, struct img_layer **out, bool *mine_out, struct dray_err *err);
/** Can it be filled before its parent is complete? If not, a claimed layer on top of one that is
 *  BUILDING has no id yet, and is made with img_layer_create() once the parent is complete. */
bool img_layer_parallel(const struct img_layer *l);
/** It is complete (writes its document, unsynced) or failed (the driver's layer is removed). */
int img_layer_done(struct dray_images *im, struct img_layer *l, bool ok, uint64_t size,
                   struct dray_err *err);
/** A layer whose chain is not known yet: exists empty in the driver, in no table. */
int img_layer_anon(struct dray_images *im, struct img_layer *parent, struct img_layer **out,
                   struct dray_err *err);
/** Its content is complete: list it, or drop it for the one that is there. *out is referred to. */
int img_layer_anon_done(struct dray_images *im, struct img_layer *l /* takes */, const char *diff,
                        uint64_t size, struct img_layer **out, struct dray_err *err);
void img_layer_anon_drop(struct dray_images *im, struct img_layer *l);
/** Can the engine's driver fill layers before it is known what they stand on? */
bool img_layers_float(const struct dray_images *im);
/** As img_layer_anon(), but it stands on nothing until img_layer_land(). */
int img_layer_afloat(struct dray_images *im, struct img_layer **out, struct dray_err *err);
/** Its content is complete: put it on top of parent (or NULL). After a failure it may be dropped.
 */
int img_layer_land(struct dray_images *im, struct img_layer *l, struct img_layer *parent,
                   struct dray_err *err);
/** Write the document again. */
int img_layer_save(struct dray_images *im, const struct img_layer *l, struct dray_err *err);
int img_layer_create(struct dray_images *im, struct img_layer *l, struct dray_err *err);
struct img_layer *img_layer_find(struct dray_images *im, const char *chain); /* lock held */
/** The complete layer of a diff on top of parent (or NULL), referred to; NULL: there is none. */
struct img_layer *img_layer_known(struct dray_images *im, const struct img_layer *parent,
                                  const char *diff);
void img_layer_ref_locked(struct img_layer *l);
/** Let go; the last one removes it, and so on with its parents. NULL is allowed. */
void img_layer_unref(struct dray_images *im, struct img_layer *l);
void img_layers_load(struct dray_images *im);
/** Wait at most 100 ms for a change; CANCELED once abort_fd is readable. Lock held. */
int img_wait(struct dray_images *im, int abort_fd, struct dray_err *err);
bool img_fd_ready(int fd);
/** Take, give back one of max slots (counter is im->downloads or im->uploads). */
int img_slot_take(struct dray_images *im, unsigned *counter, unsigned max, int abort_fd,
                  struct dray_err *err);
void img_slot_give(struct dray_images *im, unsigned *counter);

/* --- image_unpack.c: from a stream to a layer --------------------------------------------------*/

/** A stream on its way into a layer: inflated, hashed, handed to the driver. */
struct img_unpack;
/** layer NULL: only hash. compressed_size: what the stream will have, for the limit of bombs;
 *  UINT64_MAX unknown. */
int img_unpack_begin(struct dray_images *im, struct img_layer *layer, uint64_t compressed_size,
                     int abort_fd, struct img_unpack **out, struct dray_err *err);
int img_unpack_feed(void *unpack, const void *data, size_t len, struct dray_err *err);
/** Bytes of the plain tar so far. */
uint64_t img_unpack_total(const struct img_unpack *u);
enum dray_compression img_unpack_kind(const struct img_unpack *u);
/** End of the stream; frees u in any case. */
int img_unpack_end(struct img_unpack *u, char diff_out[DRAY_DIGEST_LEN], uint64_t *size_out,
                   struct dray_err *err);
/** Give up; frees. NULL is allowed. */
void img_unpack_abort(struct img_unpack *u);
/** CORRUPT unless they are equal. */
int img_check_diff(const char *want, const char *got, struct dray_err *err);
/** Unpack a blob that is here, whatever its diff id is. */
int img_unpack_any(struct dray_images *im, struct img_layer *layer, const char *digest,
                   int abort_fd, _Atomic uint64_t *progress, char diff_out[DRAY_DIGEST_LEN],
                   uint64_t *size_out, struct dray_err *err);
/** Unpack a blob that is here; CORRUPT when its diff id is another. */
int img_unpack_blob(struct dray_images *im, struct img_layer *layer, const char *digest,
                    const char *diff, int abort_fd, _Atomic uint64_t *progress, uint64_t *size_out,
                    struct dray_err *err);
/** Unpack all layers of an image into the engine's driver; *top_out is referred to. */
int img_unpack_image(struct dray_images *im, const struct img_part *parts, size_t n, int abort_fd,
                     struct img_layer **top_out, struct dray_err *err);

/** What is kept of a stream that becomes a layer, beside the layer. */
enum img_keep {
    IMG_KEEP_BLOB, /**< a blob: as it came, or compressed when it came plain */
    IMG_KEEP_MAP,  /**< of a plain tar a map (layer_map.h), of a compressed one the blob */
    IMG_KEEP_NONE, /**< nothing: the driver's diff gives it again */
};

/** A new layer from a stream of a tar, plain or compressed, fed in pieces, unpacked at once. */
struct img_intake;
int img_intake_begin(struct dray_images *im, struct img_layer *parent, enum img_keep keep,
                     int abort_fd, struct img_intake **out, struct dray_err *err);
int img_intake_feed(void *intake, const void *data, size_t len, struct dray_err *err);
/** What came out; blob and layer are referred to. Frees. */
struct img_intake_result {
    struct img_blob *blob;
    struct img_layer *layer;
    char digest[DRAY_DIGEST_LEN], diff[DRAY_DIGEST_LEN];
    uint64_t blob_size;
    const char *media_type;
    bool repacked; /**< the tar could not be mapped: diff and blob are of the driver's diff */
};
/** All of it from a descriptor. From a file it is never repacked. */
int img_intake_fd(struct dray_images *im, struct img_layer *parent, int fd, int abort_fd,
                  struct img_intake_result *out, struct dray_err *err);
int img_intake_end(struct img_intake *in, struct img_intake_result *out, struct dray_err *err);
void img_intake_abort(struct img_intake *in);
/**
 * A layer whose parent is known later, where img_layers_float(). What img_intake_end_afloat() gives
 * has no layer yet; NOTSUP: the tar cannot be mapped, so it must be read once more as part of its
 * image. Neither frees; img_intake_land() puts the layer into out and frees.
 */
int img_intake_afloat(struct dray_images *im, int abort_fd, struct img_intake **out,
                      struct dray_err *err);
int img_intake_end_afloat(struct img_intake *in, struct img_intake_result *out,
                          struct dray_err *err);
int img_intake_land(struct img_intake *in, struct img_layer *parent, struct img_intake_result *out,
                    struct dray_err *err);

/* --- image_ahead.c: layers of an archive, unpacked while it comes in
 * ----------------------------*/

/** Unpacks what an archive's layers seem to be, before it is known what they are layers of. */
struct img_ahead;
/** *out NULL without error: the storage driver cannot. */
int img_ahead_open(struct dray_images *im, struct img_ahead **out, struct dray_err *err);
/** Begin with a blob that is here, unless it was begun with, is no layer, or the disk is too full
 *  for what may turn out to be of no use. The caller refers to the blob until img_ahead_close(). */
void img_ahead_blob(struct img_ahead *a, const char *digest);
/** The same of a file, under a name of the caller's. takes fd. */
void img_ahead_file(struct img_ahead *a, const char *name, int fd /* takes */);
/**
 * The layer of a blob, on top of parent, referred to; waits for it, polling abort_fd.
 * NOTFOUND: there is none of that diff id, whatever the reason: unpack it as usual.
 */
int img_ahead_take_blob(struct img_ahead *a, const char *digest, struct img_layer *parent,
                        const char *diff, int abort_fd, struct img_layer **out,
                        struct dray_err *err);
/** The same of a file: as img_intake_fd() would have it. */
int img_ahead_take_file(struct img_ahead *a, const char *name, struct img_layer *parent,
                        const char *diff, int abort_fd, struct img_intake_result *out,
                        struct dray_err *err);
/** Stop; what was not taken goes. NULL is allowed. */
void img_ahead_close(struct img_ahead *a);

/* --- image_settle.c: blobs of layers that were made here ---------------------------------------*/

/** Run a driver's diff on a thread of its own, into a pipe that take reads to its end. */
int img_diff_run(struct dray_driver *driver, const char *layer, const char *parent, int abort_fd,
                 int (*take)(void *ctx, int fd, struct dray_err *err), void *ctx,
                 struct dray_err *err);
/** Does the driver give the same diff of a layer on top of parent whenever it is asked? */
bool img_diff_stable(struct dray_driver *driver, const struct img_layer *parent);
/** Is the layer of a part here without a blob? Lock held. */
bool img_is_loose(struct dray_images *im, const struct img_part *part);
/** The layer of a chain in any driver, or NULL. Lock held. */
struct img_layer *img_layer_any(struct dray_images *im, const char *chain);
/** The tar of a layer, as its map or its driver gives it. The caller verifies its digest. */
int img_layer_tar(struct dray_images *im, const struct img_layer *layer, int abort_fd,
                  dray_sink_fn sink, void *ctx, struct dray_err *err);
/** Compress the tar of a layer, as its map or its driver gives it, into a blob, referred to. */
int img_squeeze(struct dray_images *im, const struct img_layer *layer, int abort_fd,
                char diff_out[DRAY_DIGEST_LEN], struct img_blob **out, struct dray_err *err);
/** Make the blobs that an image lacks and give it a manifest with them. Before blobs of its layers
 *  are read. Waits for another that is at it. */
int img_settle(struct dray_images *im, const char *id, int abort_fd, struct dray_err *err);

/* --- image_plain.c: layers as plain tars -------------------------------------------------------*/

/** The plain tar's size. What of the part counts: diff, chain, digest and size. */
int img_plain_size(struct dray_images *im, const struct img_part *part, uint64_t *size_out,
                   struct dray_err *err);
/** The plain tar, of the blob or, for a layer without one, of its files. Not verified. */
int img_plain_write(struct dray_images *im, const struct img_part *part, dray_sink_fn sink,
                    void *ctx, struct dray_err *err);
/** Is it still what its digest says? Reads what img_plain_write() reads, and may do so beside it.
 */
int img_plain_check(struct dray_images *im, const struct img_part *part, int abort_fd,
                    struct dray_err *err);

/* --- image_make.c: images made here ------------------------------------------------------------*/

/**
 * Parts (without diff and chain), as many as the config has diff ids, become an image: config and
 * manifest are stored, the image is registered. The caller refers to the parts' blobs and to top
 * until this returns. parent: id of the image it was made from, or "".
 */
int img_make(struct dray_images *im, struct json_object *config, const struct img_part *parts,
             size_t n, struct img_layer *top, const char *parent, char id_out[DRAY_DIGEST_LEN],
             struct dray_err *err);
/** Manifest of a config and layers, as the Docker or, with zstd layers, the OCI type. */
struct json_object *img_manifest(const char *config_digest, size_t config_size,
                                 const struct img_part *parts, size_t n, const char **type_out);
/** "amd64", ... of this machine, as Go names it. */
const char *img_host_arch(void);
/** Split "os[/arch[/variant]]"; the defaults are this machine's. Buffers of 32 bytes. */
struct img_platform {
    char os[32], arch[32], variant[32];
};
/** As a config or an index tells it. */
void img_platform_read(struct json_object *o, struct img_platform *out);
/** One name for what has several, such as amd64 for x86_64, and the usual variant where none is
 * said. */
void img_platform_normal(struct img_platform *p);
int img_platform_parse(const char *text, struct img_platform *out, struct dray_err *err);
/** An entry of "history". */
struct json_object *img_history(const char *created, const char *created_by, const char *author,
                                const char *comment, bool empty);
int img_read_config(struct dray_images *im, const char *id, struct json_object **out,
                    struct dray_err *err);

/* --- image_assemble.c --------------------------------------------------------------------------*/

/** Store a blob read from fd, verified; *out is referred to. One that is here is not read. */
int img_blob_take_fd(struct dray_images *im, const char *digest, int fd, struct img_blob **out,
                     struct dray_err *err);
/** A blob that is one JSON object. */
int img_read_json(struct dray_images *im, const char *digest, size_t most, struct json_object **out,
                  struct dray_err *err);
/** All blobs of the manifest are here and referred to by the caller: unpack, register. top: the
 *  layers are unpacked, this is the topmost, their blobs may be loose; or NULL. */
int img_assemble(struct dray_images *im, const char *manifest_digest, const char *index_digest,
                 struct img_layer *top, int abort_fd, char id_out[DRAY_DIGEST_LEN],
                 struct dray_err *err);

/* --- layer_view.c ------------------------------------------------------------------------------*/

/** A detached read-only mount of a layer; lives as long as the descriptor. */
int dray_layer_view(struct dray_driver *d, const char *id, int *fd_out, struct dray_err *err);
/** The same for files that the layer itself brings: what is below may be missing. */
int dray_layer_view_own(struct dray_driver *d, const char *id, int *fd_out, struct dray_err *err);
/** As dray_layer_view() of a writable layer, to be written to unless rdonly. What is written is not
 *  flushed. Ids are as containers in the user namespace need them; u NULL: as they are. */
int dray_layer_mount(struct dray_driver *d, const char *id, bool rdonly, struct dray_userns *u,
                     int *fd_out, struct dray_err *err);

#endif
