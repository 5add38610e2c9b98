/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - strings, JSON and digests for the files of this plugin. */
#include "text.h"

#include <openssl/evp.h>
#include <time.h>

/* --- strings -----------------------------------------------------------------------------------*/

static bool make_room(struct bd_buf *b, size_t n)
{
    if (b->failed)
        return false;
    if (b->len + n + 1 <= b->cap)
        return true;
    size_t want = b->cap ? b->cap : 64;
    while (want < b->len + n + 1)
        want *= 2;
    char *grown = realloc(b->text, want);
    if (!grown) {
        b->failed = true;
        return false;
    }
    b->text = grown;
    b->cap = want;
    return true;
}

void bd_add(struct bd_buf *b, const void *data, size_t n)
{
    if (!make_room(b, n))
        return;
    if (n)
        memcpy(b->text + b->len, data, n);
    b->len += n;
    b->text[b->len] = '\0';
}

void bd_adds(struct bd_buf *b, const char *text)
{
    bd_add(b, text, strlen(text));
}

void bd_addf(struct bd_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !make_room(b, (size_t)n))
        return;
    va_start(ap, fmt);
    (void)vsnprintf(b->text + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void bd_addq(struct bd_buf *b, const char *text)
{
    static const char plain[] = "abfnrtv";
    static const char bytes[] = "\a\b\f\n\r\t\v";
    bd_adds(b, "\"");
    for (const char *p = text; *p; p++) {
        const char *special = strchr(bytes, *p);
        if (*p == '"' || *p == '\\')
            bd_addf(b, "\\%c", *p);
        else if (special)
            bd_addf(b, "\\%c", plain[special - bytes]);
        else if ((unsigned char)*p < 0x20 || *p == 0x7f)
            bd_addf(b, "\\x%02x", (unsigned char)*p);
        else
            bd_add(b, p, 1);
    }
    bd_adds(b, "\"");
}

char *bd_strf(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return n < 0 ? NULL : text;
}

bool bd_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool bd_list_take(struct bd_list *l, char *text /* takes */)
{
    /* Grows at powers of two, so that the capacity need not be kept. */
    if (text && (l->n & (l->n - 1)) == 0) {
        char **grown = reallocarray(l->v, l->n ? l->n * 2 : 1, sizeof *grown);
        if (!grown) {
            free(text);
            return false;
        }
        l->v = grown;
    }
    if (text)
        l->v[l->n++] = text;
    return text != NULL;
}

bool bd_list_add(struct bd_list *l, const char *text)
{
    return bd_list_take(l, strdup(text));
}

void bd_list_free(struct bd_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (struct bd_list){0};
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void bd_list_sort(struct bd_list *l)
{
    if (l->n > 1)
        qsort(l->v, l->n, sizeof *l->v, by_text);
}

/* --- digests -----------------------------------------------------------------------------------*/

struct bd_sum {
    EVP_MD_CTX *ctx;
};

struct bd_sum *bd_sum_new(void)
{
    struct bd_sum *s = calloc(1, sizeof *s);
    if (s)
        s->ctx = EVP_MD_CTX_new();
    if (!s || !s->ctx || EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) != 1) {
        bd_sum_free(s);
        return NULL;
    }
    return s;
}

void bd_sum_free(struct bd_sum *s)
{
    if (s)
        EVP_MD_CTX_free(s->ctx);
    free(s);
}

void bd_sum_add(struct bd_sum *s, const void *data, size_t n)
{
    (void)EVP_DigestUpdate(s->ctx, data, n);
}

void bd_sum_text(struct bd_sum *s, const char *text)
{
    if (text)
        bd_sum_add(s, text, strlen(text) + 1);
    else
        bd_sum_add(s, "\1", 2);
}

void bd_sum_num(struct bd_sum *s, int64_t n)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)n);
    bd_sum_text(s, text);
}

void bd_sum_end_raw(struct bd_sum *s, unsigned char out[BD_SUM_LEN])
{
    unsigned char md[EVP_MAX_MD_SIZE] = {0};
    unsigned n = 0;
    (void)EVP_DigestFinal_ex(s->ctx, md, &n);
    (void)EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL);
    memcpy(out, md, BD_SUM_LEN);
}

void bd_sum_name(const unsigned char raw[BD_SUM_LEN], char out[BD_DIGEST_LEN])
{
    static const char hex[] = "0123456789abcdef";
    memcpy(out, "sha256:", 8);
    for (size_t i = 0; i < BD_SUM_LEN; i++) {
        out[7 + i * 2] = hex[raw[i] >> 4];
        out[8 + i * 2] = hex[raw[i] & 15];
    }
    out[BD_DIGEST_LEN - 1] = '\0';
}

void bd_sum_end(struct bd_sum *s, char out[BD_DIGEST_LEN])
{
    unsigned char raw[BD_SUM_LEN];
    bd_sum_end_raw(s, raw);
    bd_sum_name(raw, out);
}

/* --- JSON --------------------------------------------------------------------------------------*/

int bd_json_parse(const char *text, struct json_object **out, struct dray_err *err)
{
    *out = json_tokener_parse(text);
    return *out ? 0 : dray_fail(err, DRAY_E_CORRUPT, "malformed JSON: %.60s", text);
}

const char *bd_json_text(struct json_object *o)
{
    return json_object_to_json_string_ext(o,
                                          JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

struct json_object *bd_json_get(struct json_object *o, const char *key)
{
    struct json_object *v = NULL;
    if (json_object_is_type(o, json_type_object))
        (void)json_object_object_get_ex(o, key, &v);
    return v;
}

const char *bd_json_str(struct json_object *o, const char *key, const char *def)
{
    struct json_object *v = bd_json_get(o, key);
    return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : def;
}

void bd_json_set(struct json_object *o, const char *key, const char *value)
{
    (void)json_object_object_add(o, key, value ? json_object_new_string(value) : NULL);
}

struct json_object *bd_json_copy(struct json_object *o)
{
    struct json_object *copy = NULL;
    return o && json_object_deep_copy(o, &copy, NULL) == 0 ? copy : NULL;
}

struct json_object *bd_json_strs(struct dray_strs list)
{
    struct json_object *a = json_object_new_array();
    for (uint64_t i = 0; i < list.n; i++)
        json_object_array_add(a, json_object_new_string(list.v[i]));
    return a;
}

/* --- time --------------------------------------------------------------------------------------*/

int64_t bd_now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Go drops zeros at the end of the fraction. */
void bd_time_text(int64_t ns, char out[40])
{
    time_t s = (time_t)(ns / 1000000000);
    struct tm tm;
    (void)gmtime_r(&s, &tm);
    size_t n = strftime(out, 40, "%Y-%m-%dT%H:%M:%S", &tm);
    int64_t rest = ns % 1000000000;
    if (rest > 0) {
        n += (size_t)snprintf(out + n, 40 - n, ".%09lld", (long long)rest);
        while (out[n - 1] == '0')
            n--;
    }
    out[n] = 'Z';
    out[n + 1] = '\0';
}
