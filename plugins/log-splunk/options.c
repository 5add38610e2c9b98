/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - --log-opt of the driver "splunk". */
#include "splunk.h"

#define COLLECTOR "/services/collector/event/1.0"

static int bad_url(struct dray_err *err)
{
    return dray_fail(err, DRAY_E_INVAL,
                     "splunk: expected format scheme://dns_name_or_ip:port for splunk-url");
}

static int read_url(const char *text, struct splunk_options *o, struct dray_err *err)
{
    struct dray_send_url u;
    if (!dray_send_url_parse(text, &u) || !*u.host || u.bad_port)
        return bad_url(err);
    bool tls = strcmp(u.scheme, "https") == 0;
    if (!tls && strcmp(u.scheme, "http") != 0)
        return bad_url(err);
    if ((*u.path && strcmp(u.path, "/") != 0) || strpbrk(u.host, "?#@"))
        return bad_url(err);
    o->addr.transport = tls ? DRAY_SEND_TLS : DRAY_SEND_TCP;
    (void)snprintf(o->addr.host, sizeof o->addr.host, "%s", u.host);
    (void)snprintf(o->addr.port, sizeof o->addr.port, "%.7s",
                   *u.port ? u.port
                   : tls   ? "443"
                           : "80");
    (void)dray_send_addr_text(&o->addr, o->authority, sizeof o->authority);
    return 0;
}

static int read_bool(struct dray_kvs options, const char *key, bool *out, struct dray_err *err)
{
    const char *text = dray_kvs_get(options, key, NULL);
    return text ? dray_log_bool_parse(text, out, err) : 0;
}

static int read_level(const char *text, int *out, struct dray_err *err)
{
    int64_t n = -1;
    if (!text)
        return 0;
    int rc = dray_log_int_parse(text, &n, err);
    if (!rc && (n < -1 || n > 9))
        rc = dray_fail(err, DRAY_E_INVAL,
                       "not supported level '%s' for splunk-gzip-level (supported values between "
                       "-1 and 9)",
                       text);
    *out = (int)n;
    return rc;
}

static int read_format(const char *text, enum splunk_format *out, struct dray_err *err)
{
    static const char *const names[] = {
        [SPLUNK_INLINE] = "inline", [SPLUNK_JSON] = "json", [SPLUNK_RAW] = "raw"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!text || strcmp(names[i], text) == 0) {
            *out = (enum splunk_format)i;
            return 0;
        }
    }
    return dray_fail(err, DRAY_E_INVAL,
                     "unknown format specified %s, supported formats are inline, json and raw",
                     text);
}

int splunk_options_read(struct dray_kvs options, struct splunk_options *out, struct dray_err *err)
{
    *out = (struct splunk_options){
        .url = dray_kvs_get(options, "splunk-url", ""),
        .token = dray_kvs_get(options, "splunk-token", ""),
        .source = dray_kvs_get(options, "splunk-source", ""),
        .sourcetype = dray_kvs_get(options, "splunk-sourcetype", ""),
        .index = dray_kvs_get(options, "splunk-index", ""),
        .tls = {.ca = dray_kvs_get(options, "splunk-capath", ""),
                .name = dray_kvs_get(options, "splunk-caname", "")},
        .verify = true,
        .level = -1,
    };
    const char *path = dray_kvs_get(options, "splunk-url-path", "");
    if (!*out->url)
        return dray_fail(err, DRAY_E_INVAL, "splunk: splunk-url is expected");
    if (!*out->token)
        return dray_fail(err, DRAY_E_INVAL, "splunk: splunk-token is expected");
    if (*path && *path != '/')
        return dray_fail(err, DRAY_E_INVAL, "splunk: expected format /path for splunk-url-path");
    (void)snprintf(out->path, sizeof out->path, "%s", *path ? path : COLLECTOR);
    int rc = read_url(out->url, out, err);
    if (!rc)
        rc = read_bool(options, "splunk-insecureskipverify", &out->tls.skip_verify, err);
    if (!rc)
        rc = read_bool(options, "splunk-verify-connection", &out->verify, err);
    if (!rc)
        rc = read_bool(options, "splunk-gzip", &out->gzip, err);
    if (!rc)
        rc = read_level(dray_kvs_get(options, "splunk-gzip-level", NULL), &out->level, err);
    return rc ? rc : read_format(dray_kvs_get(options, "splunk-format", NULL), &out->format, err);
}
