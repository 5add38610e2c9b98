/* SPDX-License-Identifier: Apache-2.0 */
/* decode.c - reads the lines of json-file logs, ours fast and any other JSON of that shape. */
#include "json_line.h"

#include <dray/util.h>

#define HEAD "{\"log\":\""
#define HEAD_LEN 8

/* A position in a line. */
struct cursor {
    const char *p, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r'))
        c->p++;
}

static bool take(struct cursor *c, char what)
{
    skip_space(c);
    if (c->p >= c->end || *c->p != what)
        return false;
    c->p++;
    return true;
}

static bool starts(const struct cursor *c, const char *text, size_t len)
{
    return (size_t)(c->end - c->p) >= len && memcmp(c->p, text, len) == 0;
}

/* Behind the opening quote: find the closing one. *escaped: backslashes are in between. */
static const char *string_end(const struct cursor *c, const char **first_escape)
{
    const char *quote = c->p;
    *first_escape = NULL;
    for (;;) {
        quote = memchr(quote, '"', (size_t)(c->end - quote));
        if (!quote)
            return NULL;
        if (!*first_escape)
            *first_escape = memchr(c->p, '\\', (size_t)(quote - c->p));
        const char *slash = quote;
        while (slash > c->p && slash[-1] == '\\')
            slash--;
        if ((quote - slash) % 2 == 0)
            return quote;
        quote++;
    }
}

static bool hex4(const char *p, const char *end, uint32_t *out)
{
    if (end - p < 4)
        return false;
    *out = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        uint32_t d = c >= '0' && c <= '9'                     ? (uint32_t)(c - '0')
                     : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (uint32_t)((c | 0x20) - 'a' + 10)
                                                              : 16;
        if (d > 15)
            return false;
        *out = *out << 4 | d;
    }
    return true;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    *out++ = (char)(uint8_t)(lead[more] | (c >> (6 * more)));
    while (more-- > 0)
        *out++ = (char)(uint8_t)(0x80 | ((c >> (6 * more)) & 0x3f));
    return out;
}

/* \uXXXX at p (behind the u). Returns what follows it. */
static const char *unescape_u(const char *p, const char *end, char **out)
{
    uint32_t c = 0xfffd, low = 0;
    if (!hex4(p, end, &c))
        return p;
    p += 4;
    bool high = c >= 0xd800 && c < 0xdc00;
    if (high && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && hex4(p + 2, end, &low) &&
        low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    } else if (c >= 0xd800 && c < 0xe000) {
        c = 0xfffd;
    }
    *out = put_utf8(*out, c);
    return p;
}

static char unescape_one(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    default:
        return c;
    }
}

/* Undo escapes in [p, end) into out, which is at least as long. Returns the length. */
static size_t unescape(const char *p, const char *end, char *out)
{
    char *start = out;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t n = (size_t)((slash ? slash : end) - p);
        memcpy(out, p, n);
        out += n;
        p += n;
        if (!slash || ++p >= end)
            break;
        char c = *p++;
        if (c == 'u')
            p = unescape_u(p, end, &out);
        else
            *out++ = unescape_one(c);
    }
    return (size_t)(out - start);
}

static bool make_room(char **buf, size_t *cap, size_t need)
{
    if (need <= *cap)
        return true;
    char *grown = realloc(*buf, need + 4096);
    if (!grown)
        return false;
    *buf = grown;
    *cap = need + 4096;
    return true;
}

/* A string value as bytes; without escapes it stays where it is. */
static bool read_string(struct cursor *c, char **buf, size_t *cap, const char **text, size_t *len)
{
    const char *escape;
    const char *end = string_end(c, &escape);
    if (!end)
        return false;
    *text = c->p;
    *len = (size_t)(end - c->p);
    if (escape) {
        if (!make_room(buf, cap, *len))
            return false;
        *len = unescape(c->p, end, *buf);
        *text = *buf;
    }
    c->p = end + 1;
    return true;
}

/* The "log" string: nearly always plain text and the escape for its newline. */
static bool read_text(struct json_scanner *s, struct cursor *c, struct dray_log_item *it)
{
    const char *escape;
    const char *end = string_end(c, &escape);
    if (!end)
        return false;
    size_t len = (size_t)(end - c->p);
    it->text = c->p;
    if (escape && escape == end - 2 && escape[1] == 'n') {
        it->len = (uint32_t)(len - 2);
        it->flags = 0;
        c->p = end + 1;
        return true;
    }
    if (!read_string(c, &s->text, &s->text_cap, &it->text, &len))
        return false;
    bool whole = len > 0 && it->text[len - 1] == '\n';
    it->len = (uint32_t)(len - (whole ? 1 : 0));
    it->flags = whole ? 0 : (uint8_t)DRAY_LOG_PARTIAL;
    return true;
}

static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

/* As Go's url.QueryEscape, which is how `docker logs --details` shows attributes. */
static size_t query_escape(char *out, const char *text, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (unreserved(c)) {
            out[n++] = c;
        } else if (c == ' ') {
            out[n++] = '+';
        } else {
            out[n++] = '%';
            out[n++] = digits[(uint8_t)c >> 4];
            out[n++] = digits[c & 15];
        }
    }
    return n;
}

/* Behind "attrs": an object of strings, in the order of the file (which is that of the keys). */
static bool read_attrs(struct json_scanner *s, struct cursor *c, struct dray_log_item *it)
{
    size_t used = 0;
    if (!take(c, '{'))
        return false;
    while (!take(c, '}')) {
        if (used && !take(c, ','))
            return false;
        for (int part = 0; part < 2; part++) {
            const char *text;
            size_t len;
            if (!take(c, '"') || !read_string(c, &s->text, &s->text_cap, &text, &len) ||
                !make_room(&s->attrs, &s->attrs_cap, used + 3 * len + 2))
                return false;
            if (part == 0 && used)
                s->attrs[used++] = ',';
            used += query_escape(s->attrs + used, text, len);
            if (part == 0) {
                s->attrs[used++] = '=';
                if (!take(c, ':'))
                    return false;
            }
        }
    }
    it->attrs = s->attrs ? s->attrs : "";
    it->attrs_len = used <= UINT16_MAX ? (uint16_t)used : 0;
    return true;
}

static bool read_time(struct json_scanner *s, struct cursor *c, struct dray_log_item *it)
{
    const char *escape;
    const char *end = string_end(c, &escape);
    if (!end || !dray_log_time_read(&s->clock, c->p, (size_t)(end - c->p), &it->time_ns))
        return false;
    c->p = end + 1;
    return true;
}

/* Behind "stream":" */
static bool read_stream(struct cursor *c, struct dray_log_item *it)
{
    if (starts(c, "stdout\"", 7))
        it->stream = DRAY_LOG_STDOUT;
    else if (starts(c, "stderr\"", 7))
        it->stream = DRAY_LOG_STDERR;
    else
        return false;
    c->p += 7;
    return true;
}

/* Lines as we and Docker write them. */
static bool read_known(struct json_scanner *s, struct cursor c, struct dray_log_item *it)
{
    if (!starts(&c, HEAD, HEAD_LEN))
        return false;
    c.p += HEAD_LEN;
    if (!read_text(s, &c, it) || !starts(&c, ",\"stream\":\"", 11))
        return false;
    c.p += 11;
    if (!read_stream(&c, it) || !starts(&c, ",\"time\":\"", 9))
        return false;
    c.p += 9;
    return read_time(s, &c, it) && c.end - c.p == 1 && *c.p == '}';
}

/* A value that is of no interest. */
static bool skip_value(struct cursor *c)
{
    const char *escape;
    int depth = 0;
    do {
        skip_space(c);
        if (c->p >= c->end)
            return false;
        char ch = *c->p++;
        if (ch == '"') {
            const char *end = string_end(c, &escape);
            if (!end)
                return false;
            c->p = end + 1;
        } else if (ch == '{' || ch == '[') {
            depth++;
        } else if (ch == '}' || ch == ']') {
            depth--;
        }
        skip_space(c);
    } while (depth > 0 || (c->p < c->end && *c->p != ',' && *c->p != '}'));
    return depth == 0;
}

/* Any order of keys, any spaces. The text is read last: attributes use the same room. */
static bool read_any(struct json_scanner *s, struct cursor c, struct dray_log_item *it)
{
    struct cursor text = {0};
    bool more = take(&c, '{'), has_time = false;
    it->stream = DRAY_LOG_STDOUT;
    while (more) {
        const char *key, *escape;
        if (!take(&c, '"') || !(key = string_end(&c, &escape)))
            return false;
        struct cursor name = {c.p, key};
        c.p = key + 1;
        if (!take(&c, ':'))
            return false;
        skip_space(&c);
        bool ok;
        if (name.end - name.p == 3 && starts(&name, "log", 3)) {
            text = c;
            ok = skip_value(&c);
        } else if (name.end - name.p == 5 && starts(&name, "attrs", 5)) {
            ok = read_attrs(s, &c, it);
        } else if (name.end - name.p == 6 && starts(&name, "stream", 6)) {
            ok = take(&c, '"') && read_stream(&c, it);
        } else if (name.end - name.p == 4 && starts(&name, "time", 4)) {
            ok = has_time = take(&c, '"') && read_time(s, &c, it);
        } else {
            ok = skip_value(&c);
        }
        if (!ok)
            return false;
        more = take(&c, ',');
    }
    return has_time && text.p && take(&text, '"') && read_text(s, &text, it);
}

static size_t next(void *state, const char *data, size_t len, struct dray_log_item *it)
{
    const char *nl = memchr(data, '\n', len);
    *it = (struct dray_log_item){.attrs = ""};
    if (!nl)
        return 0;
    struct json_scanner *s = state;
    struct cursor c = {data, nl};
    it->valid = read_known(s, c, it) || read_any(s, c, it);
    return (size_t)(nl - data) + 1;
}

static size_t prev(const char *data, size_t len, bool whole)
{
    const char *nl = memrchr(data, '\n', len - 1);
    if (nl)
        return len - (size_t)(nl - data) - 1;
    return whole ? len : 0;
}

void json_scanner_fini(struct json_scanner *s)
{
    free(s->text);
    free(s->attrs);
}

const struct dray_log_format json_line_format = {.next = next, .prev = prev};
