/* SPDX-License-Identifier: Apache-2.0 */
/* check.h - what the suites of dray-plugin check share: one plugin, its calls, the verdict. */
#ifndef DRAY_PLUGINTOOL_CHECK_H
#define DRAY_PLUGINTOOL_CHECK_H

#include "base/buf.h"
#include "plugin/card.h"
#include "plugin/driver.h"

#include <stdbool.h>

/** Seen by the process that watches: what is under way. */
struct ck_shared {
    char step[96];             /**< "volume.create", or "" between calls */
    _Atomic uint64_t since_ns; /**< CLOCK_MONOTONIC at its beginning; 0: between calls */
    uint32_t passed, failed, warned, skipped;
};

/** What the user wants. */
struct ck_request {
    const char *file;
    const char *instance;          /**< NULL: the name on the card */
    const struct dray_kv *options; /**< of the plugin, as in daemon.json */
    size_t n_options;
    const struct dray_kv *opts; /**< of the objects that are made: volumes, networks, logs */
    size_t n_opts;
    const char *repository, *tag; /**< an image that a registry driver can find, or NULL */
    const char *root;             /**< of operations that are run; NULL: one that is removed */
    bool load_only;
    bool here;          /**< in the network namespace of the caller */
    uint32_t timeout_s; /**< for each call */
};

struct ck {
    const struct ck_request *want;
    struct ck_shared *shared;
    struct dray_drivers *drivers;
    struct dray_driver *driver;
    const char *kind; /**< of the driver, in words */
    const char *work; /**< a folder, empty at first; the watching process removes it */
    bool root;        /**< namespaces of its own: mounts and links may be made */

    /* The call under way or the last one; its outputs live until the next one. */
    struct dray_call_scope scope;
    int rc;
    struct dray_err err;
    const char *op;
    struct dray_buf emitted; /**< "key=value\tkey=value\n" for each record */
};

/* open.c */

/** "NOTFOUND" of DRAY_E_NOTFOUND; "success" of 0. */
const char *ck_code_name(int rc);
/** The name that its drivers have. */
const char *ck_instance(const struct ck_request *want, const struct dray_card *card);
/** Load and open the plugin, with its folders in `work`. *out is to be closed even when err says
 *  why the plugin was refused. */
int ck_open(const struct ck_request *want, const struct dray_card *card, const char *work,
            struct dray_drivers **out, struct dray_err *err);

/* check.c */

/** Runs in a process of its own: load, open, all suites. */
void ck_run(const struct ck_request *want, struct ck_shared *shared, const char *work);
/** Begin a call on an object (NULL: none); ends the one before. Nonzero: it cannot be made. */
int ck_enter(struct ck *c, const char *op, const char *object, bool replay);
/** Until when a call that begins now may take (CLOCK_MONOTONIC). */
uint64_t ck_deadline(const struct ck *c);
/** Note a result. One that is no DRAY_E_*, or an error without words, is a failure of its own. */
int ck_result(struct ck *c, int rc);
bool ck_has(const struct ck *c, const char *op);
/** Is there an emitted record with this "key=value"? */
bool ck_emitted(const struct ck *c, const char *field);

/** One line of the verdict. Each gives whether it was passed. */
bool ck_true(struct ck *c, bool ok, const char *what);
/** The last call gave `want` (0 or a DRAY_E_*)? */
bool ck_expect(struct ck *c, int want, const char *what);
void ck_warn(struct ck *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ck_skip(struct ck *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ck_fail(struct ck *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Call an operation: CK(c, volume, remove, name, name). The second is the object it is about. */
#define CK_(c, replay, kind, op, object, ...)                                                      \
    __extension__({                                                                                \
        int ck_rc_ = ck_enter((c), #op, (object), (replay));                                       \
        if (!ck_rc_)                                                                               \
            ck_rc_ = ((const struct dray_##kind##_ops *)(c)->scope.ops)                            \
                         ->op((c)->scope.self, &(c)->scope.call, ##__VA_ARGS__, &(c)->err);        \
        ck_result((c), ck_rc_);                                                                    \
    })
#define CK(c, kind, op, object, ...) CK_(c, false, kind, op, object, ##__VA_ARGS__)
#define CK_REPLAY(c, kind, op, object, ...) CK_(c, true, kind, op, object, ##__VA_ARGS__)

/* One for each kind: suite_KIND.c. */

void ck_storage(struct ck *c);
void ck_network(struct ck *c);
void ck_ipam(struct ck *c);
void ck_volume(struct ck *c);
void ck_registry(struct ck *c);
void ck_runtime(struct ck *c);
void ck_log(struct ck *c);
void ck_builder(struct ck *c);
/** An engine for builders that answers NOTSUP to everything. */
const void *ck_build_iface(void);
void ck_authz(struct ck *c);
void ck_extension(struct ck *c);

/* run.c */

/** Call operations as the words name them, one after another until one fails, and print what each
 *  gave as a line of JSON. Without any, list what the plugin has. Gives the exit code. */
int ck_run_operations(const struct ck_request *want, char **words);

/* show.c */

/** Print the card and the table of options. Gives the exit code. */
int ck_show(const char *path);

/* object.c */

/** Look at the file as it is linked: flags, exported symbols, constructors. */
void ck_object(struct ck *c, int fd);

#endif
