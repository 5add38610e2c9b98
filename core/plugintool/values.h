/* SPDX-License-Identifier: Apache-2.0 */
/* values.h - arguments of operations as people write them, results as JSON. */
#ifndef DRAY_PLUGINTOOL_VALUES_H
#define DRAY_PLUGINTOOL_VALUES_H

#include "plugin/wire.h"

struct json_object;

#define CK_VALUES_FDS 16

/** What the values of one call keep. Zero-initialised is empty. */
struct ck_values {
    struct dray_wire_arena memory;
    int fds[CK_VALUES_FDS];
    size_t n_fds;
};

void ck_values_cleanup(struct ck_values *v);
/** Fill the arguments of an operation from words, up to the end or a lone ",". *words is moved
 *  behind those that were used; left-over and missing words are INVAL. */
int ck_values_read(struct ck_values *v, const struct dray_wire_op *op, char ***words,
                   struct dray_wire_slots *out, struct dray_err *err);
/** The outputs of a call, by name where they are structs: an object; NULL when there are none. */
struct json_object *ck_values_outputs(const struct dray_wire_op *op,
                                      const struct dray_wire_slots *slots);
/** "NAME SIZE=.. FILE": what words an operation takes. */
void ck_values_usage(const struct dray_wire_op *op, struct dray_buf *out);

#endif
