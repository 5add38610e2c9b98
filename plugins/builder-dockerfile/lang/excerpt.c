/* SPDX-License-Identifier: Apache-2.0 */
/* excerpt.c - shows the lines of the file around a place. */
#include "lang_priv.h"

/** Lines shown before and after, and how much of a long one. */
#define AROUND 2u
#define WIDTH 400
#define NARROW 120

/* Bytes to show of a line: no half characters. */
static int shown(const char *line, size_t len, size_t width)
{
    while (len && (line[len - 1] == '\r' || line[len - 1] == '\n'))
        len--;
    if (len <= width)
        return (int)len;
    len = width;
    while (len && ((unsigned char)line[len] & 0xc0) == 0x80)
        len--;
    return (int)len;
}

/* path: with the line, as it is to be shown; around: lines before and after; most: marked lines
 * after the first at most. */
static char *excerpt(const char *text, size_t len, const char *path,
                     const struct dray_df_where *where, uint32_t around, size_t width)
{
    uint32_t most = around * 8;
    uint32_t first = where->line > around ? where->line - around : 1, n = 1;
    uint32_t last = where->end_line > where->line ? where->end_line : where->line;
    uint32_t mark = last < where->line + most ? last : where->line + most;
    const char *rule = "--------------------\n", *at = text, *end = text + len;
    DRAY_AUTO(dray_df_buf) b = {0};
    dray_df_buf_adds(&b, path);
    dray_df_buf_adds(&b, "\n");
    dray_df_buf_adds(&b, rule);
    for (; at < end && n <= mark + around; n++) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t size = nl ? (size_t)(nl - at) : (size_t)(end - at);
        char line[WIDTH + 64];
        bool marked = n >= where->line && n <= mark;
        (void)snprintf(line, sizeof line, "%4u | %s %.*s\n", n, marked ? ">>>" : "   ",
                       shown(at, size, width), at);
        if (n >= first)
            dray_df_buf_adds(&b, line);
        at += size + (nl != NULL);
    }
    dray_df_buf_adds(&b, rule);
    char *out = b.failed ? NULL : b.data;
    if (out)
        b.data = NULL;
    return out;
}

char *dray_df_excerpt(const char *text, size_t len, const char *path,
                      const struct dray_df_where *where, bool column)
{
    char place[512];
    int n = snprintf(place, sizeof place, "%.480s:%u", path, where->line);
    if (column && where->column)
        (void)snprintf(place + n, sizeof place - (size_t)n, ":%u", where->column);
    return excerpt(text, len, place, where, AROUND, WIDTH);
}

void dray_df_explain(const char *text, size_t len, const char *path,
                     const struct dray_df_where *where, struct dray_err *err)
{
    size_t have = strlen(err->text), room = sizeof err->text - 1;
    char place[512];
    if (where->line == 0)
        return;
    (void)snprintf(place, sizeof place, "%.200s:%u:%u", path, where->line, where->column);
    for (uint32_t around = AROUND + 1; around-- > 0;) {
        dray_autofree char *shown =
            excerpt(text, len, place, where, around, around ? WIDTH : NARROW);
        if (!shown || have + 1 + strlen(shown) > room)
            continue;
        shown[strlen(shown) - 1] = '\0'; /* the last newline */
        (void)snprintf(err->text + have, sizeof err->text - have, "\n%s", shown);
        return;
    }
}
