/* SPDX-License-Identifier: Apache-2.0 */
/* log_json.c - escapes text for JSON, eight plain bytes at a time. */
#include "log_json.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LOW UINT64_C(0x0101010101010101)
#define HIGH UINT64_C(0x8080808080808080)

/* Has any of the eight bytes the value c? (bytes below 0x80) */
static inline uint64_t has(uint64_t v, unsigned char c)
{
    uint64_t x = v ^ (LOW * c);
    return (x - LOW) & ~x & HIGH;
}

/* Is any of the eight bytes one that cannot stand as it is? */
static inline uint64_t special(uint64_t v)
{
    return (v & HIGH) | ((v - LOW * 0x20) & ~v & HIGH) | has(v, '"') | has(v, '\\') | has(v, '<') |
           has(v, '>') | has(v, '&');
}

static inline bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* Length of the well-formed UTF-8 sequence at p (Unicode 15, table 3-7), or 0. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    unsigned char c = p[0];
    size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || n < len)
        return 0;
    unsigned char lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

static inline char *put_hex(char *out, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    memcpy(out, "\\u00", 4);
    out[4] = digits[c >> 4];
    out[5] = digits[c & 15];
    return out + 6;
}

/* One ASCII character that is not plain. */
static inline char *put_ascii(char *out, unsigned char c)
{
    if (c != '"' && c != '\\' && c != '\n' && c != '\r')
        return put_hex(out, c);
    *out++ = '\\';
    *out++ = c == '\n' ? 'n' : c == '\r' ? 'r' : (char)c;
    return out;
}

/* One character that is no ASCII. *used: its bytes. */
static char *put_wide(char *out, const unsigned char *p, size_t n, size_t *used)
{
    *used = 1;
    size_t len = utf8_len(p, n);
    if (len == 0) {
        memcpy(out, "\\ufffd", 6);
        return out + 6;
    }
    *used = len;
    if (len == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9)) {
        memcpy(out, p[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
        return out + 6;
    }
    memcpy(out, p, len);
    return out + len;
}

char *dray_log_json_escape(char *out, const unsigned char *text, size_t len)
{
    size_t i = 0;
    while (i < len) {
        uint64_t v;
        while (len - i >= sizeof v) {
            memcpy(&v, text + i, sizeof v);
            if (special(v))
                break;
            memcpy(out, &v, sizeof v);
            out += sizeof v;
            i += sizeof v;
        }
        while (i < len && plain(text[i]))
            *out++ = (char)text[i++];
        while (i < len && text[i] < 0x80 && !plain(text[i]))
            out = put_ascii(out, text[i++]);
        while (i < len && text[i] >= 0x80) {
            size_t used;
            out = put_wide(out, text + i, len - i, &used);
            i += used;
        }
    }
    return out;
}
