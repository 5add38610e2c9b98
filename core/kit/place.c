/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - where a build has failed, as a detail of the error: clients show the lines. */
#include "base/json.h"
#include "kit/frontend.h"

#include <openssl/evp.h>

#define TYPE "github.com/moby/buildkit/errdefs.Source+json"
#define AROUND 6             /* lines that clients may want before and after */
#define TEXT_MAX (24u << 10) /* it goes in a header */

/* The lines around the place; those before are empty, so that the numbers are right. */
static void add_lines(struct dray_buf *out, const char *text, int64_t from, int64_t to)
{
    int64_t n = 1;
    for (const char *at = text; *at && n <= to + AROUND; n++) {
        size_t len = strcspn(at, "\n");
        if (n >= from - AROUND)
            dray_buf_add(out, at, len);
        at += len;
        if (*at)
            dray_buf_addc(out, *at++);
    }
}

static struct json_object *position(int64_t line)
{
    struct json_object *o = json_object_new_object();
    dray_json_add_int(o, "line", line);
    return o;
}

struct json_object *kit_place_range(int64_t from, int64_t to)
{
    struct json_object *o = json_object_new_object();
    dray_json_add(o, "start", position(from));
    dray_json_add(o, "end", position(to));
    return o;
}

bool kit_place_detail(struct json_object *place, struct dray_buf *any)
{
    DRAY_AUTO(dray_buf) lines = {0};
    DRAY_AUTO(dray_buf) coded = {0};
    int64_t from = dray_json_int(place, "line", 0), to = dray_json_int(place, "end_line", 0);
    add_lines(&lines, dray_json_str(place, "text", ""), from, to);
    if (lines.failed || lines.len == 0 || lines.len > TEXT_MAX)
        return false;
    char *room = dray_buf_room(&coded, 4 * (lines.len / 3 + 1) + 4);
    if (!room)
        return false;
    (void)EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)lines.data, (int)lines.len);
    dray_autojson *source = json_object_new_object();
    struct json_object *info = json_object_new_object(), *ranges = json_object_new_array();
    dray_json_add_str(info, "filename", dray_json_str(place, "file", "Dockerfile"));
    dray_json_add_str(info, "data", room);
    dray_json_add_str(info, "language", "Dockerfile");
    json_object_array_add(ranges, kit_place_range(from, to));
    dray_json_add(source, "info", info);
    dray_json_add(source, "ranges", ranges);
    pb_text(any, 1, TYPE);
    pb_text(any, 2, dray_json_text(source));
    return !any->failed;
}
