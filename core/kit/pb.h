/* SPDX-License-Identifier: Apache-2.0 */
/* pb.h - the wire format of protobuf messages: fields are written to and read from byte strings. */
#ifndef DRAY_KIT_PB_H
#define DRAY_KIT_PB_H

#include "base/buf.h"

#include <stdint.h>

struct dray_kvlist;

/* Writers append one field; as in proto3, what is zero or empty is left out unless said otherwise.
 */

void pb_uint(struct dray_buf *b, unsigned field, uint64_t value);
void pb_bool(struct dray_buf *b, unsigned field, bool value);
void pb_bytes(struct dray_buf *b, unsigned field, const void *data, size_t len);
/** text may be NULL. */
void pb_text(struct dray_buf *b, unsigned field, const char *text);
/** A message within the message, also when it is empty. */
void pb_message(struct dray_buf *b, unsigned field, const struct dray_buf *inner);
/** google.protobuf.Timestamp of nanoseconds since 1970; 0 is left out. */
void pb_time(struct dray_buf *b, unsigned field, int64_t ns);
/** An entry of map<string, string>. */
void pb_entry(struct dray_buf *b, unsigned field, const char *key, const char *value);

/** A message being read. */
struct pb {
    const char *at, *end;
    bool bad; /**< it is malformed: nothing more is read */
};

/** One field: value of a number, or data and len of bytes, a text or a message. */
struct pb_field {
    unsigned number;
    uint64_t value;
    const char *data; /**< NULL for numbers */
    size_t len;
};

struct pb pb_open(const void *data, size_t len);
/** The next field; false at the end, or when the rest is malformed. */
bool pb_next(struct pb *m, struct pb_field *out);
/** A copy of a text, owned by the caller; NULL when it has a NUL byte in it, or without memory. */
char *pb_dup(const struct pb_field *f);
/** Take over an entry of map<string, string>; false when it is malformed. */
bool pb_read_entry(const struct pb_field *f, struct dray_kvlist *out);

#endif
