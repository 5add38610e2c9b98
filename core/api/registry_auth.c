/* SPDX-License-Identifier: Apache-2.0 */
/* registry_auth.c - the credentials that clients send along, and how a registry's failure is
 * answered. */
#include "api/registry_auth.h"

#include "base/buf.h"
#include "base/json.h"

#include <openssl/evp.h>
#include <string.h>

/* Decode into out; what is no base64 leaves it empty. */
static int decode64(const char *text, struct dray_buf *out, struct dray_err *err)
{
    DRAY_AUTO(dray_buf) std = {0};
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == '=')
        len--;
    if (len == 0 || len % 4 == 1)
        return 0;
    for (size_t i = 0; i < len; i++)
        dray_buf_addc(&std, text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    size_t pad = (4 - len % 4) % 4;
    dray_buf_add(&std, "==", pad);
    char *room = dray_buf_room(out, std.len + 4);
    if (std.failed || !room)
        return dray_fail(err, DRAY_E_NOMEM, "out of memory");
    int n = EVP_DecodeBlock((unsigned char *)room, (unsigned char *)std.data, (int)std.len);
    if (n > (int)pad)
        out->len += (size_t)n - pad;
    return 0;
}

int dray_http_registry_header(struct dray_http *h, const char *name, struct json_object **out,
                              struct dray_err *err)
{
    const char *header = dray_http_header_in(h, name);
    DRAY_AUTO(dray_buf) text = {0};
    dray_autojson *doc = NULL;
    *out = NULL;
    int rc = header ? decode64(header, &text, err) : 0;
    if (rc == 0 && text.len > 0 && dray_json_parse(text.data, text.len, &doc, NULL) == 0 &&
        json_object_is_type(doc, json_type_object))
        *out = dray_steal(doc);
    return rc;
}

int dray_http_registry_code(int rc, struct dray_err *err)
{
    if (rc != DRAY_E_UNAVAIL && rc != DRAY_E_AGAIN)
        return rc;
    if (err)
        err->code = DRAY_E_INTERNAL;
    return DRAY_E_INTERNAL;
}
