/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.h - where images come from and go to.
 *
 * A repository is named canonically, "docker.io/library/busybox". The host decides what to fetch,
 * verifies every digest and stores the bytes; a driver only moves them. Contents are addressed by
 * OCI descriptors (OCI image-spec 1.1 "Content Descriptors", distribution-spec 1.1).
 */
#ifndef DRAY_REGISTRY_H
#define DRAY_REGISTRY_H

#include <dray/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Credentials of one request; "" where there are none. Secrets: never logged. */
struct dray_auth {
    uint32_t size;
    uint32_t reserved;
    const char *username;
    const char *password;
    const char *identity_token;
    const char *registry_token;
    const char *server; /**< as the user wrote it */
    const char *client; /**< User-Agent of the API's client; NULL or "" when there is none. No secret */
};

/** A content descriptor. Strings live in the call when they are outputs. */
struct dray_desc {
    uint32_t size;
    uint32_t reserved;
    const char *media_type;
    const char *digest; /**< "sha256:<hex>" */
    uint64_t length;    /**< bytes; UINT64_MAX when unknown */
    struct dray_strs urls; /**< foreign layers */
};

struct dray_registry_ops {
    struct dray_head head;

    /** How well this driver serves a canonical repository: 0 not at all, 100 made for it. */
    int32_t (*match)(struct dray_self *, const struct dray_call *, const char *repo);
    /** Find what a tag or digest points to. Unknown: NOTFOUND ("manifest for X not found");
     *  refused: UNAUTH or DENIED. */
    int32_t (*resolve)(struct dray_self *, const struct dray_call *, const char *repo,
                       const char *tag_or_digest, const struct dray_auth *, struct dray_desc *out,
                       struct dray_err *);
    /**
     * Write the content from byte `offset` on into out (a file or pipe). A manifest or index is
     * told by its media type. The digest is all that names it: the tag that led to it is not told,
     * and resolve() may have been called in an earlier life of the driver. The driver retries and resumes on its own until the deadline; when
     * it gives up with DRAY_ERR_TRANSIENT the host may call again with a later offset. A server
     * that cannot continue at offset: CONFLICT, nothing written.
     */
    int32_t (*fetch)(struct dray_self *, const struct dray_call *, const char *repo,
                     const struct dray_desc *, uint64_t offset, const struct dray_auth *,
                     struct dray_fd_borrow out, struct dray_err *);

    /* Optional. */

    /** Does the repository hold this blob or manifest? NOTFOUND if not. */
    int32_t (*stat)(struct dray_self *, const struct dray_call *, const char *repo,
                    const struct dray_desc *, const struct dray_auth *, struct dray_err *);
    /** Upload a blob, or a manifest under `tag` ("" for a blob or by digest), read from `in`
     *  (a seekable file, so that the driver can try again). */
    int32_t (*push)(struct dray_self *, const struct dray_call *, const char *repo,
                    const char *tag, const struct dray_desc *, const struct dray_auth *,
                    struct dray_fd_borrow in, struct dray_err *);
    /** Have a blob of another repository of the same registry linked here; NOTFOUND if it must be
     *  uploaded. */
    int32_t (*mount)(struct dray_self *, const struct dray_call *, const char *repo,
                     const char *from_repo, const struct dray_desc *, const struct dray_auth *,
                     struct dray_err *);
    /** Emit DRAY_REC_ITEM {"tag"}. */
    int32_t (*tags)(struct dray_self *, const struct dray_call *, const char *repo,
                    const struct dray_auth *, struct dray_err *);
    /** Emit DRAY_REC_ITEM {"name", "description", "stars", "official"}. term is as the user wrote
     *  it: it may begin with a registry, "host:5000/word". */
    int32_t (*search)(struct dray_self *, const struct dray_call *, const char *term,
                      uint32_t limit, const struct dray_auth *, struct dray_err *);
    /** Check credentials; *token_out is an identity token or "". */
    int32_t (*login)(struct dray_self *, const struct dray_call *, const struct dray_auth *,
                     const char **token_out, struct dray_err *);
};

#ifdef __cplusplus
}
#endif
#endif
