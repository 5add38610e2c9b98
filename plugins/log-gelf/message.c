/* SPDX-License-Identifier: Apache-2.0 */
/* message.c - messages of GELF 1.1 (go2docs.graylog.org, "GELF Payload Specification"). */
#include "gelf.h"
#include "log_json.h"
#include "log_time.h"

#define LEVEL_ERR 3
#define LEVEL_INFO 6

static char *put(char *out, const char *text, size_t len)
{
    memcpy(out, text, len);
    return out + len;
}
#define PUT(out, literal) put((out), (literal), sizeof(literal) - 1)

static char *put_escaped(char *out, const char *text)
{
    return dray_log_json_escape(out, (const unsigned char *)text, strlen(text));
}

/* `,"_key":"value"` */
static char *put_extra(char *out, const char *key, const char *value)
{
    out = PUT(out, ",\"_");
    out = put_escaped(out, key);
    out = PUT(out, "\":\"");
    out = put_escaped(out, value);
    return PUT(out, "\"");
}

char *gelf_facts(const struct dray_send_opening *o)
{
    const struct dray_log_info *i = o->info;
    char created[DRAY_LOG_TIME_MAX + 1];
    created[dray_log_time_write(i->created_ns, created)] = '\0';
    const struct dray_kv facts[] = {
        {"container_id", i->container_id},
        {"container_name", i->container_name},
        {"image_id", i->image_id},
        {"image_name", i->image_name},
        {"command", i->command},
        {"tag", o->tag},
        {"created", created},
    };
    const size_t n = sizeof facts / sizeof facts[0];
    size_t room = 4;
    for (size_t k = 0; k < n; k++)
        room += 8 + DRAY_LOG_JSON_MAX(strlen(facts[k].key) + strlen(facts[k].value));
    for (size_t k = 0; k < o->attrs.n; k++)
        room += 8 + DRAY_LOG_JSON_MAX(strlen(o->attrs.v[k].key) + strlen(o->attrs.v[k].value));
    char *text = malloc(room);
    if (!text)
        return NULL;
    char *p = text;
    for (size_t k = 0; k < n; k++)
        p = put_extra(p, facts[k].key, facts[k].value);
    for (size_t k = 0; k < o->attrs.n; k++)
        p = put_extra(p, o->attrs.v[k].key, o->attrs.v[k].value);
    p = PUT(p, "}");
    *p = '\0';
    return text;
}

char *gelf_write(char *out, const char *host, const char *facts, size_t facts_len,
                 const struct dray_log_record *r)
{
    char tail[96];
    int64_t ms = r->time_ns / 1000000;
    int n = snprintf(tail, sizeof tail, "\",\"timestamp\":%lld.%03d,\"level\":%d",
                     (long long)(ms / 1000), (int)(ms % 1000),
                     r->stream == DRAY_LOG_STDERR ? LEVEL_ERR : LEVEL_INFO);
    out = PUT(out, "{\"version\":\"1.1\",\"host\":\"");
    out = put(out, host, strlen(host));
    out = PUT(out, "\",\"short_message\":\"");
    out = dray_log_json_escape(out, r->data, r->len);
    out = put(out, tail, (size_t)n);
    return put(out, facts, facts_len);
}
