/* SPDX-License-Identifier: Apache-2.0 */
/* buf.h - a growing byte string. */
#ifndef DRAY_BASE_BUF_H
#define DRAY_BASE_BUF_H

#include <dray/util.h>

#include <stdbool.h>
#include <stddef.h>

/** Zero-initialised is empty. data is NUL terminated whenever it is not NULL. */
struct dray_buf {
    char *data;
    size_t len;
    size_t cap;
    bool failed; /**< memory ran out or the limit was passed; later writes are ignored */
};

/** Append n bytes. On lack of memory the buffer is marked failed. */
void dray_buf_add(struct dray_buf *b, const void *data, size_t n);
void dray_buf_adds(struct dray_buf *b, const char *text);
void dray_buf_addc(struct dray_buf *b, char c);
void dray_buf_addf(struct dray_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Make room for n more bytes and return where they go, or NULL; then raise len. */
char *dray_buf_room(struct dray_buf *b, size_t n);
void dray_buf_reset(struct dray_buf *b);
void dray_buf_free(struct dray_buf *b);
/** The text, owned by the caller; never NULL unless failed. The buffer is empty again. */
char *dray_buf_steal(struct dray_buf *b);

static inline void dray_buf_cleanup(struct dray_buf *b)
{
    dray_buf_free(b);
}

/** asprintf that returns NULL without memory. */
char *dray_strf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool dray_str_prefix(const char *text, const char *prefix);
/** A copy of an address without its user and password, which Docker shows as "xxxxx:xxxxx@"; NULL
 *  without memory. */
char *dray_str_masked(const char *url);
bool dray_str_suffix(const char *text, const char *suffix);
/** A word for yes or no, as Go's strconv.ParseBool knows them; false: it is none. */
bool dray_str_bool(const char *text, bool *out);

#endif
