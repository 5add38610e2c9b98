/* SPDX-License-Identifier: Apache-2.0 */
/* text.h - strings, JSON and digests for the files of this plugin. */
#ifndef BUILDER_TEXT_H
#define BUILDER_TEXT_H

#include <dray/util.h>
#include <json-c/json.h>
#include <stdbool.h>

/** "sha256:", 64 digits, NUL. */
#define BD_DIGEST_LEN 72
#define BD_SUM_LEN 32

/** A growing string; zero is empty. text is NUL-terminated once it is not NULL. */
struct bd_buf {
    char *text;
    size_t len, cap;
    bool failed;
};
void bd_add(struct bd_buf *b, const void *data, size_t n);
void bd_adds(struct bd_buf *b, const char *text);
void bd_addf(struct bd_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** As Go's %q writes a string. */
void bd_addq(struct bd_buf *b, const char *text);
static inline const char *bd_text(const struct bd_buf *b)
{
    return b->text ? b->text : "";
}
static inline void bd_buf_cleanup(struct bd_buf *b)
{
    free(b->text);
}
/** asprintf; NULL without memory. */
char *bd_strf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
bool bd_prefix(const char *text, const char *prefix);

/** A list of owned strings; zero is empty. */
struct bd_list {
    char **v;
    size_t n;
};
bool bd_list_add(struct bd_list *l, const char *text);
bool bd_list_take(struct bd_list *l, char *text /* takes */);
void bd_list_free(struct bd_list *l);
static inline void bd_list_cleanup(struct bd_list *l)
{
    bd_list_free(l);
}
void bd_list_sort(struct bd_list *l);

/* Digests. */

struct bd_sum; /* a SHA-256 under way */
struct bd_sum *bd_sum_new(void);
void bd_sum_free(struct bd_sum *s);
static inline void bd_sum_cleanup(struct bd_sum **s)
{
    bd_sum_free(*s);
}
#define bd_autosum __attribute__((cleanup(bd_sum_cleanup))) struct bd_sum
void bd_sum_add(struct bd_sum *s, const void *data, size_t n);
/** The text and its NUL, so that parts cannot run into each other. NULL is unlike "". */
void bd_sum_text(struct bd_sum *s, const char *text);
void bd_sum_num(struct bd_sum *s, int64_t n);
/** The digest; the sum begins anew. */
void bd_sum_end(struct bd_sum *s, char out[BD_DIGEST_LEN]);
void bd_sum_end_raw(struct bd_sum *s, unsigned char out[BD_SUM_LEN]);
/** "sha256:..." */
void bd_sum_name(const unsigned char raw[BD_SUM_LEN], char out[BD_DIGEST_LEN]);

/* JSON. */

static inline void bd_json_cleanup(struct json_object **o)
{
    json_object_put(*o);
}
#define bd_autojson __attribute__((cleanup(bd_json_cleanup))) struct json_object
int bd_json_parse(const char *text, struct json_object **out, struct dray_err *err);
/** Compact, without escaped slashes: the form whose digest is an image's id. */
const char *bd_json_text(struct json_object *o);
const char *bd_json_str(struct json_object *o, const char *key, const char *def);
struct json_object *bd_json_get(struct json_object *o, const char *key);
void bd_json_set(struct json_object *o, const char *key, const char *value);
struct json_object *bd_json_copy(struct json_object *o);
/** An array of strings from a list. */
struct json_object *bd_json_strs(struct dray_strs list);

/** "2006-01-02T15:04:05.999999999Z" of ns since 1970. */
void bd_time_text(int64_t ns, char out[40]);
int64_t bd_now(void);

#endif
