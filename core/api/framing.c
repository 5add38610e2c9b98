/* SPDX-License-Identifier: Apache-2.0 */
/* framing.c - is it certain where a request ends, and whom it is for? */
#include "http_priv.h"

#include <microhttpd.h>
#include <strings.h>

/* How often the headers are there that say where a request ends and whom it is for. */
struct framing {
    unsigned hosts, lengths, codings;
    bool chunked;
};

static enum MHD_Result note_framing(void *arg, enum MHD_ValueKind kind, const char *key,
                                    const char *value)
{
    struct framing *f = arg;
    (void)kind;
    f->hosts += strcasecmp(key, "Host") == 0;
    f->lengths += strcasecmp(key, "Content-Length") == 0;
    if (strcasecmp(key, "Transfer-Encoding") == 0) {
        f->codings++;
        f->chunked = value && strcasecmp(value, "chunked") == 0;
    }
    return MHD_YES;
}

int dray_request_framing(struct dray_http *h, struct dray_err *err)
{
    struct framing f = {0};
    (void)MHD_get_connection_values(h->conn, MHD_HEADER_KIND, note_framing, &f);
    if (f.hosts > 1)
        return dray_fail(err, DRAY_E_INVAL, "too many Host headers");
    if (f.lengths > 1)
        return dray_fail(err, DRAY_E_INVAL, "too many Content-Length headers");
    if (f.codings > 1 || (f.codings && !f.chunked))
        return dray_fail(err, DRAY_E_INVAL, "unsupported transfer encoding");
    return 0;
}
