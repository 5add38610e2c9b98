/* SPDX-License-Identifier: Apache-2.0 */
/* copy.h - the local end of cp: a tar stream into our files, our files into a tar stream. */
#ifndef DRAY_CLIENT_COPY_H
#define DRAY_CLIENT_COPY_H

#include "client/tar.h"

/** A tar stream of one file or tree, and what its top is. */
struct copy_in {
    tar_read_fn read;
    void *arg;
    bool is_dir;
    const char *name;   /**< of the top entry */
    const char *rename; /**< what the top is called in an existing folder; NULL: the same */
    bool keep_owner;
    int64_t bytes; /**< counted while extracting */
};

/** Extract to `to` by cp's rules: into an existing folder, else under the new name. Nothing is
 *  written outside, whatever names and links the stream holds. */
int copy_extract(struct copy_in *in, const char *to, struct dray_err *err);
/** Write the file or tree `from` as tar, its top named `name` (NULL: its own name; "path/." gives
 *  the content alone). A failing write gives DRAY_E_IO, a local failure another code. */
int copy_pack(const char *from, const char *name, bool follow, tar_write_fn write, void *arg,
              struct dray_err *err);

#endif
