/* SPDX-License-Identifier: Apache-2.0 */
/* remap.h - which ids of the host containers get: "userns-remap", /etc/subuid, /etc/subgid. */
#ifndef DRAY_ENGINE_REMAP_H
#define DRAY_ENGINE_REMAP_H

#include <dray/util.h>
#include <stdbool.h>

/** Id 0 inside is `first` on the host, and so on for `count` ids. */
struct dray_idrange {
    uint32_t first, count;
};

struct dray_remap {
    char user[64]; /* whose subordinate ids they are */
    struct dray_idrange uid, gid;
};

/**
 * Resolve a setting ("default", "user", "user:group", "uid", "uid:gid") against the files of a
 * folder (/etc). For "default" the user dockremap and its ranges are made when they are missing.
 * *on_out: false for "", "host", and for root, who cannot be mapped to himself. INVAL: no such user
 * or group, no range or one below 65536 ids.
 */
int dray_remap_resolve(const char *setting, const char *etc, struct dray_remap *out, bool *on_out,
                       struct dray_err *err);

/** The id outside; -1 when it has none. */
static inline int64_t dray_idrange_out(struct dray_idrange r, int64_t inside)
{
    return inside >= 0 && inside < r.count ? r.first + inside : -1;
}

/** The id inside; of what does not belong to the range: the kernel's "nobody". */
static inline int64_t dray_idrange_in(struct dray_idrange r, int64_t outside)
{
    return outside >= r.first && outside - r.first < r.count ? outside - r.first : 65534;
}

#endif
