/* SPDX-License-Identifier: Apache-2.0 */
/* filter.h - system call filters: compiled once, then kept as bytes. */
#ifndef RN_FILTER_H
#define RN_FILTER_H

#include <dray/util.h>

#include <linux/filter.h>

struct rn_filter {
    struct sock_filter *insns; /* NULL: no filter */
    size_t n;
    uint32_t flags; /* SECCOMP_FILTER_FLAG_* */
};

static inline void rn_filter_cleanup(struct rn_filter *f)
{
    free(f->insns);
    f->insns = NULL;
}

/** Compile the text of an OCI "seccomp" object. */
int rn_seccomp_compile(const char *text, size_t len, struct rn_filter *out, struct dray_err *err);

/** Make the program shorter and quicker, if that can be; what it answers stays the same. Only for
 *  programs whose jumps all lead forwards and inside, as the kernel asks. */
void rn_filter_compact(struct rn_filter *f);

/** Compile, or take from the cache in the folder run; then keep it as id_dir's filter. */
int rn_seccomp_get(int run, int id_dir, const char *text, size_t len, struct rn_filter *out,
                   struct dray_err *err);
/** The filter that a container was created with; none: success with insns NULL. */
int rn_seccomp_of(int id_dir, struct rn_filter *out, struct dray_err *err);
/** Put the filter on the calling process. */
int rn_seccomp_load(const struct rn_filter *f, struct dray_err *err);

#endif
