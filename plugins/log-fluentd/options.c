/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - --log-opt of the driver "fluentd". */
#include "fluentd.h"

#define PORT "24224"
#define LIMIT (1 << 20)
#define RETRY_MS 1000
#define RECONNECT_MIN_MS 100
#define RECONNECT_MAX_MS 10000

/* Go's durations: "1.5s", "300ms", "1m30s". */
static bool parse_duration(const char *text, int64_t *ms_out)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ns", 1e-6}, {"us", 1e-3}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    double sum = 0;
    const char *p = text;
    if (strcmp(text, "0") == 0) {
        *ms_out = 0;
        return true;
    }
    do {
        char *end = NULL;
        double v = strtod(p, &end);
        size_t n = strcspn(end, "0123456789.");
        if (end == p || v < 0)
            return false;
        size_t i = 0;
        while (i < 6 && (strlen(units[i].name) != n || memcmp(units[i].name, end, n) != 0))
            i++;
        if (i == 6)
            return false;
        sum += v * units[i].ms;
        p = end + n;
    } while (*p);
    *ms_out = (int64_t)sum;
    return sum < 1e15;
}

static int bad_address(const char *text, const char *why, struct dray_err *err)
{
    return dray_fail(err, DRAY_E_INVAL, "invalid fluentd-address (%s): %s", text, why);
}

static int set_address(const struct dray_send_url *u, const char *text, struct dray_send_addr *a,
                       struct dray_err *err)
{
    bool local = strcmp(u->scheme, "unix") == 0, tls = strcmp(u->scheme, "tls") == 0;
    if (local) {
        a->transport = DRAY_SEND_UNIX;
        (void)snprintf(a->host, sizeof a->host, "%s", u->path);
        return strspn(u->path, "/") == strlen(u->path) ? bad_address(text, "path is empty", err)
                                                       : 0;
    }
    if (!tls && strcmp(u->scheme, "tcp") != 0) {
        char why[48];
        (void)snprintf(why, sizeof why, "unsupported scheme: '%s'", u->scheme);
        return bad_address(text, why, err);
    }
    if (*u->path)
        return bad_address(text, "should not contain a path element", err);
    int64_t port = 0;
    if (*u->port &&
        (u->bad_port || dray_log_int_parse(u->port, &port, NULL) != 0 || port > 65535)) {
        char why[96];
        (void)snprintf(why, sizeof why, "invalid port: strconv.ParseUint: parsing \"%s\": %s",
                       u->port, u->bad_port ? "invalid syntax" : "value out of range");
        return bad_address(text, why, err);
    }
    a->transport = tls ? DRAY_SEND_TLS : DRAY_SEND_TCP;
    (void)snprintf(a->host, sizeof a->host, "%s", *u->host ? u->host : "127.0.0.1");
    (void)snprintf(a->port, sizeof a->port, "%.7s", *u->port ? u->port : PORT);
    return 0;
}

static int read_address(const char *text, struct dray_send_addr *a, struct dray_err *err)
{
    char full[600];
    struct dray_send_url u;
    (void)snprintf(full, sizeof full, "%s%s", strstr(text, "://") ? "" : "tcp://", text);
    if (!dray_send_url_parse(full, &u))
        return bad_address(text, "it is no address", err);
    return set_address(&u, text, a, err);
}

static int read_bool(struct dray_kvs options, const char *key, bool *out, struct dray_err *err)
{
    const char *text = dray_kvs_get(options, key, "");
    return *text ? dray_log_bool_parse(text, out, err) : 0;
}

static int read_duration(struct dray_kvs options, const char *key, int64_t *ms,
                         struct dray_err *err)
{
    const char *text = dray_kvs_get(options, key, "");
    if (*text && !parse_duration(text, ms))
        return dray_fail(err, DRAY_E_INVAL, "time: invalid duration \"%s\"", text);
    return 0;
}

static int read_numbers(struct dray_kvs options, struct fluentd_options *o, struct dray_err *err)
{
    const char *limit = dray_kvs_get(options, "fluentd-buffer-limit", "");
    const char *retries = dray_kvs_get(options, "fluentd-max-retries", "");
    if (*limit && (!dray_log_size_parse(limit, DRAY_LOG_BINARY, &o->limit) || o->limit < 0))
        return dray_fail(err, DRAY_E_INVAL, "invalid size: '%s'", limit);
    if (*retries && (dray_log_int_parse(retries, &o->max_retries, NULL) != 0 || o->max_retries < 0))
        return dray_fail(err, DRAY_E_INVAL, "strconv.ParseUint: parsing \"%s\": invalid syntax",
                         retries);
    int rc = read_duration(options, "fluentd-retry-wait", &o->retry_ms, err);
    if (!rc)
        rc = read_duration(options, "fluentd-write-timeout", &o->write_ms, err);
    if (!rc)
        rc = read_duration(options, "fluentd-async-reconnect-interval", &o->reconnect_ms, err);
    if (!rc && o->reconnect_ms &&
        (o->reconnect_ms < RECONNECT_MIN_MS || o->reconnect_ms > RECONNECT_MAX_MS))
        rc = dray_fail(err, DRAY_E_INVAL,
                       "invalid value for fluentd-async-reconnect-interval: value (%s) must be "
                       "between 100ms and 10s",
                       dray_kvs_get(options, "fluentd-async-reconnect-interval", ""));
    return rc;
}

int fluentd_options_read(struct dray_kvs options, struct fluentd_options *out, struct dray_err *err)
{
    *out = (struct fluentd_options){.limit = LIMIT, .max_retries = INT32_MAX, .retry_ms = RETRY_MS};
    int rc = read_address(dray_kvs_get(options, "fluentd-address", ""), &out->addr, err);
    if (!rc && dray_kvs_get(options, "fluentd-async", NULL) &&
        dray_kvs_get(options, "fluentd-async-connect", NULL))
        rc = dray_fail(err, DRAY_E_INVAL,
                       "conflicting options: cannot specify both 'fluentd-async' and "
                       "'fluentd-async-connect");
    if (!rc)
        rc = read_bool(options, "fluentd-async-connect", &out->async, err);
    if (!rc)
        rc = read_bool(options, "fluentd-async", &out->async, err);
    if (!rc)
        rc = read_bool(options, "fluentd-sub-second-precision", &out->sub_second, err);
    if (!rc)
        rc = read_bool(options, "fluentd-request-ack", &out->ack, err);
    return rc ? rc : read_numbers(options, out, err);
}
