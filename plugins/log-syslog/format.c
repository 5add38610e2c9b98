/* SPDX-License-Identifier: Apache-2.0 */
/* format.c - messages of RFC 3164 and RFC 5424, as Docker's driver writes them. */
#include "syslog.h"

#include <time.h>

#define SEVERITY_ERR 3
#define SEVERITY_INFO 6
#define NS_PER_S INT64_C(1000000000)

/* RFC 3339 in local time; digits of the fraction: 0 or 6. */
static void put_rfc3339(char *out, size_t size, const struct tm *tm, int64_t ns, int digits)
{
    char base[32], fraction[16] = "", zone[8] = "Z";
    (void)strftime(base, sizeof base, "%Y-%m-%dT%H:%M:%S", tm);
    if (digits)
        (void)snprintf(fraction, sizeof fraction, ".%06d", (int)(ns / 1000));
    long off = tm->tm_gmtoff / 60;
    long minutes = off < 0 ? -off : off;
    if (off)
        (void)snprintf(zone, sizeof zone, "%c%02d:%02d", off < 0 ? '-' : '+',
                       (int)(minutes / 60 % 100), (int)(minutes % 60));
    (void)snprintf(out, size, "%s%s%s", base, fraction, zone);
}

/* Everything in front of the line. */
static int put_head(char *out, size_t size, const struct syslog_facts *f,
                    const struct dray_log_record *r)
{
    int pri = f->facility << 3 | (r->stream == DRAY_LOG_STDERR ? SEVERITY_ERR : SEVERITY_INFO);
    time_t s = (time_t)(r->time_ns / NS_PER_S);
    struct tm tm = {.tm_mday = 1};
    char when[64];
    (void)localtime_r(&s, &tm);
    if (f->format >= SYSLOG_RFC5424) {
        put_rfc3339(when, sizeof when, &tm, r->time_ns % NS_PER_S,
                    f->format == SYSLOG_RFC5424MICRO ? 6 : 0);
        return snprintf(out, size, "<%d>1 %s %s %s %d %s - ", pri, when, f->host, f->tag, f->pid,
                        f->tag);
    }
    (void)strftime(when, sizeof when, "%b %e %H:%M:%S", &tm);
    if (f->format == SYSLOG_RFC3164)
        return snprintf(out, size, "<%d>%s %s %s[%d]: ", pri, when, f->host, f->tag, f->pid);
    return snprintf(out, size, "<%d>%s %s[%d]: ", pri, when, f->tag, f->pid);
}

char *syslog_write(char *out, const struct syslog_facts *f, const struct dray_log_record *r)
{
    const size_t room = SYSLOG_ROOM(f);
    const size_t frame = f->framed ? 24 : 0;
    int head = put_head(out + frame, room - frame, f, r);
    size_t len = head < 0 ? 0 : (size_t)head;
    if (f->framed) {
        char count[24];
        int n = snprintf(count, sizeof count, "%zu ", len + r->len + 1);
        memmove(out + n, out + frame, len);
        memcpy(out, count, (size_t)n);
        len += (size_t)n;
    }
    memcpy(out + len, r->data, r->len);
    out += len + r->len;
    *out++ = '\n';
    return out;
}
