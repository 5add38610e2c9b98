/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - --log-opt of the driver "syslog". */
#include "syslog.h"

#include <sys/stat.h>

#define DAEMON 3
#define FACILITIES 24

static const char *const FACILITY_NAMES[FACILITIES] = {
    "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
    "uucp",   "cron",   "authpriv", "ftp",    NULL,     NULL,     NULL,     NULL,
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};

static int read_facility(const char *text, int *out, struct dray_err *err)
{
    int64_t n = -1;
    *out = DAEMON;
    if (!*text)
        return 0;
    for (int i = 0; i < FACILITIES; i++)
        if (FACILITY_NAMES[i] && strcmp(FACILITY_NAMES[i], text) == 0)
            n = i;
    if (n < 0)
        (void)dray_log_int_parse(text, &n, NULL);
    if (n < 0 || n >= FACILITIES)
        return dray_fail(err, DRAY_E_INVAL, "invalid syslog facility");
    *out = (int)n;
    return 0;
}

static int read_format(const char *text, enum syslog_format *out, struct dray_err *err)
{
    static const struct {
        const char *name;
        enum syslog_format format;
    } formats[] = {{"", SYSLOG_UNIX},
                   {"rfc3164", SYSLOG_RFC3164},
                   {"rfc5424", SYSLOG_RFC5424},
                   {"rfc5424micro", SYSLOG_RFC5424MICRO}};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(formats[i].name, text) == 0) {
            *out = formats[i].format;
            return 0;
        }
    }
    return dray_fail(err, DRAY_E_INVAL, "Invalid syslog format");
}

static int unix_address(const char *path, struct dray_send_addr *a, struct dray_err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return dray_fail(err, DRAY_E_INVAL, "stat %s: %s", path,
                         errno == ENOENT ? "no such file or directory" : strerror(errno));
    (void)snprintf(a->host, sizeof a->host, "%s", path);
    return 0;
}

static int read_address(const char *text, struct syslog_options *o, struct dray_err *err)
{
    static const struct {
        const char *scheme;
        enum dray_send_transport transport;
    } schemes[] = {{"udp", DRAY_SEND_UDP},
                   {"tcp", DRAY_SEND_TCP},
                   {"tcp+tls", DRAY_SEND_TLS},
                   {"unix", DRAY_SEND_UNIX},
                   {"unixgram", DRAY_SEND_UNIXGRAM}};
    const size_t n = sizeof schemes / sizeof schemes[0];
    struct dray_send_url u;
    o->local = !*text;
    if (o->local)
        return 0;
    size_t i = 0;
    if (dray_send_url_parse(text, &u))
        while (i < n && strcmp(schemes[i].scheme, u.scheme) != 0)
            i++;
    else
        i = n;
    if (i == n)
        return dray_fail(err, DRAY_E_INVAL,
                         "syslog-address should be in form proto://address, got %s", text);
    o->addr.transport = schemes[i].transport;
    if (schemes[i].transport >= DRAY_SEND_UNIX)
        return unix_address(u.path, &o->addr, err);
    if (u.bad_port)
        return dray_fail(err, DRAY_E_INVAL, "parse \"%s\": invalid port \":%s\" after host", text,
                         u.port);
    (void)snprintf(o->addr.host, sizeof o->addr.host, "%s", u.host);
    (void)snprintf(o->addr.port, sizeof o->addr.port, "%.7s", *u.port ? u.port : "514");
    return 0;
}

int syslog_options_read(struct dray_kvs options, struct syslog_options *out, struct dray_err *err)
{
    *out = (struct syslog_options){
        .tls = {.ca = dray_kvs_get(options, "syslog-tls-ca-cert", ""),
                .cert = dray_kvs_get(options, "syslog-tls-cert", ""),
                .key = dray_kvs_get(options, "syslog-tls-key", ""),
                /* As with Docker, the key alone turns the check off, whatever its value. */
                .skip_verify = dray_kvs_get(options, "syslog-tls-skip-verify", NULL) != NULL},
    };
    int rc = read_address(dray_kvs_get(options, "syslog-address", ""), out, err);
    if (!rc)
        rc = read_facility(dray_kvs_get(options, "syslog-facility", ""), &out->facility, err);
    return rc ? rc : read_format(dray_kvs_get(options, "syslog-format", ""), &out->format, err);
}
