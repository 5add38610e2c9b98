/* SPDX-License-Identifier: Apache-2.0 */
/* volume.h - named data that outlives containers. */
#ifndef DRAY_VOLUME_H
#define DRAY_VOLUME_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Volumes of this driver exist on every machine ("global" scope instead of "local"). */
#define DRAY_VOLUME_F_GLOBAL UINT64_C(1)
/** There may be volumes that this daemon has not made: it asks list() for them, and inspect() by names
 *  that it does not know, in requests of all clients. Such a driver must keep to deadlines. */
#define DRAY_VOLUME_F_FOREIGN UINT64_C(2)

/** Strings live in the call. */
struct dray_volume_info {
    uint32_t size;
    uint32_t reserved;
    const char *mountpoint; /**< absolute, or "" while it is not known */
    int64_t created_s;      /**< Unix time, or 0 */
    struct dray_kvs status; /**< for inspect's "Status" */
};

struct dray_volume_ops {
    struct dray_head head;

    /** Make a volume. Existing with equal options: success; with other ones: CONFLICT. */
    int32_t (*create)(struct dray_self *, const struct dray_call *, const char *name,
                      struct dray_kvs opts, struct dray_err *);
    /** Remove it and its data. Absent: success. */
    int32_t (*remove)(struct dray_self *, const struct dray_call *, const char *name,
                      struct dray_err *);
    int32_t (*inspect)(struct dray_self *, const struct dray_call *, const char *name,
                       struct dray_volume_info *out, struct dray_err *);
    /** Emit DRAY_REC_ITEM {"name", "mountpoint", "created" (Unix time)} for each volume. */
    int32_t (*list)(struct dray_self *, const struct dray_call *, struct dray_err *);
    /**
     * Make the data reachable at *path_out for `user` (a container id). Called once per user;
     * repeated calls with the same user succeed. *path_out lives in the call.
     */
    int32_t (*mount)(struct dray_self *, const struct dray_call *, const char *name,
                     const char *user, const char **path_out, struct dray_err *);
    /** The user no longer needs it. Unknown users are no error. */
    int32_t (*unmount)(struct dray_self *, const struct dray_call *, const char *name,
                       const char *user, struct dray_err *);

    /* Optional. */

    /** After a restart: exactly these users hold the volume. */
    int32_t (*restore)(struct dray_self *, const struct dray_call *, const char *name,
                       struct dray_strs users, struct dray_err *);
    /** Bytes of content. */
    int32_t (*usage)(struct dray_self *, const struct dray_call *, const char *name,
                     uint64_t *bytes_out, struct dray_err *);
    /** DRAY_VOLUME_F_* bits, when they depend on what is behind the instance. Asked when a volume
     *  is made. Without this operation those of the table count. */
    int32_t (*capabilities)(struct dray_self *, const struct dray_call *, uint64_t *features_out,
                            struct dray_err *);
};

#ifdef __cplusplus
}
#endif
#endif
