/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - --log-opt of the driver "gelf". */
#include "gelf.h"

#define BEST_SPEED 1

static int read_address(const char *text, struct dray_send_addr *a, struct dray_err *err)
{
    static const char *const transports[] = {"tcp", "tcp+tls", "udp", "unix", "unixgram"};
    struct dray_send_url u;
    bool known = false;
    if (!*text)
        return dray_fail(err, DRAY_E_INVAL, "gelf-address is a required parameter");
    if (dray_send_url_parse(text, &u))
        for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++)
            known = known || strcmp(transports[i], u.scheme) == 0;
    if (!known)
        return dray_fail(err, DRAY_E_INVAL,
                         "gelf-address should be in form proto://address, got %s", text);
    bool udp = strcmp(u.scheme, "udp") == 0;
    if (!udp && strcmp(u.scheme, "tcp") != 0)
        return dray_fail(err, DRAY_E_INVAL, "gelf: endpoint needs to be TCP or UDP");
    if (!*u.port || u.bad_port)
        return dray_fail(err, DRAY_E_INVAL,
                         "gelf: please provide gelf-address as proto://host:port");
    a->transport = udp ? DRAY_SEND_UDP : DRAY_SEND_TCP;
    (void)snprintf(a->host, sizeof a->host, "%s", u.host);
    (void)snprintf(a->port, sizeof a->port, "%.7s", u.port);
    return 0;
}

static int refuse(const char *key, const char *value, struct dray_err *err)
{
    return dray_fail(err, DRAY_E_INVAL,
                     "unknown value \"%s\" for log opt \"%s\" for gelf log driver", value, key);
}

static int read_compression(const char *key, const char *value, struct gelf_options *o,
                            struct dray_err *err)
{
    static const char *const names[] = {
        [GELF_GZIP] = "gzip", [GELF_ZLIB] = "zlib", [GELF_NONE] = "none"};
    if (o->addr.transport != DRAY_SEND_UDP)
        return dray_fail(err, DRAY_E_INVAL, "compression is only supported on UDP");
    if (strcmp(key, "gelf-compression-level") == 0) {
        int64_t n = 0;
        if (dray_log_int_parse(value, &n, NULL) != 0 || n < -1 || n > 9)
            return refuse(key, value, err);
        o->level = (int)n;
        return 0;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], value) == 0) {
            o->pack = (enum gelf_pack)i;
            return 0;
        }
    }
    return refuse(key, value, err);
}

static int read_tcp(const char *key, const char *value, struct gelf_options *o,
                    struct dray_err *err)
{
    int64_t n = 0;
    if (o->addr.transport != DRAY_SEND_TCP)
        return dray_fail(err, DRAY_E_INVAL, "\"%s\" is only valid for TCP", key);
    if (dray_log_int_parse(value, &n, NULL) != 0 || n < 0)
        return dray_fail(err, DRAY_E_INVAL, "\"%s\" must be a positive integer", key);
    if (strstr(key, "max-reconnect"))
        o->reconnects = n;
    else
        o->delay_s = n;
    return 0;
}

int gelf_options_read(struct dray_kvs options, struct gelf_options *out, struct dray_err *err)
{
    *out = (struct gelf_options){.level = BEST_SPEED, .reconnects = 3, .delay_s = 1};
    int rc = read_address(dray_kvs_get(options, "gelf-address", ""), &out->addr, err);
    for (uint64_t i = 0; i < options.n && !rc; i++) {
        const char *key = options.v[i].key, *value = options.v[i].value;
        if (strncmp(key, "gelf-compression-", 17) == 0)
            rc = read_compression(key, value, out, err);
        else if (strncmp(key, "gelf-tcp-", 9) == 0)
            rc = read_tcp(key, value, out, err);
    }
    return rc;
}
