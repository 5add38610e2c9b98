/* SPDX-License-Identifier: Apache-2.0 */
/* event.c - events of Splunk's HTTP event collector, as Docker's driver writes them. */
#include "splunk.h"

#include "log_json.h"

#include <ctype.h>
#include <json-c/json.h>

#define FIXED 160

static char *put(char *p, const char *text)
{
    return stpcpy(p, text);
}

static char *put_escaped(char *p, const void *text, size_t len)
{
    return dray_log_json_escape(p, text, len);
}

/* `"key":"value"`, with a comma in front unless it is the first. */
static char *put_member(char *p, bool *first, const char *key, const char *value)
{
    p = put(p, *first ? "\"" : ",\"");
    *first = false;
    p = put_escaped(p, key, strlen(key));
    p = put(p, "\":\"");
    p = put_escaped(p, value, strlen(value));
    return put(p, "\"");
}

static size_t attrs_room(const struct dray_log_attrs *a)
{
    size_t room = FIXED;
    for (size_t i = 0; i < a->n; i++)
        room += 8 + DRAY_LOG_JSON_MAX(strlen(a->v[i].key) + strlen(a->v[i].value));
    return room;
}

static char *make_head(const struct splunk_options *o)
{
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0)
        (void)snprintf(host, sizeof host, "localhost");
    const struct {
        const char *key, *value;
    } members[] = {{"source", o->source}, {"sourcetype", o->sourcetype}, {"index", o->index}};
    size_t room = FIXED + DRAY_LOG_JSON_MAX(strlen(host) + strlen(o->source) +
                                            strlen(o->sourcetype) + strlen(o->index));
    char *head = malloc(room);
    if (!head)
        return NULL;
    bool first = false;
    char *p = put_member(head, &first, "host", host);
    for (size_t i = 0; i < 3; i++)
        if (*members[i].value)
            p = put_member(p, &first, members[i].key, members[i].value);
    p = put(p, ",\"event\":");
    *p = '\0';
    return head;
}

/* `,"tag":"...","attrs":{...}}`: what follows a line and its source. */
static char *make_tail(const struct dray_send_opening *o)
{
    char *tail = malloc(attrs_room(&o->attrs) + DRAY_LOG_JSON_MAX(strlen(o->tag)));
    if (!tail)
        return NULL;
    bool first = false;
    char *p = tail;
    if (*o->tag)
        p = put_member(p, &first, "tag", o->tag);
    if (o->attrs.n) {
        p = put(p, ",\"attrs\":{");
        first = true;
        for (size_t i = 0; i < o->attrs.n; i++)
            p = put_member(p, &first, o->attrs.v[i].key, o->attrs.v[i].value);
        p = put(p, "}");
    }
    p = put(p, "}");
    *p = '\0';
    return tail;
}

/* "tag key=value ": what goes before a raw line. */
static char *make_raw(const struct dray_send_opening *o)
{
    char *raw = malloc(attrs_room(&o->attrs) + DRAY_LOG_JSON_MAX(strlen(o->tag)));
    if (!raw)
        return NULL;
    char *p = raw;
    if (*o->tag) {
        p = put_escaped(p, o->tag, strlen(o->tag));
        p = put(p, " ");
    }
    for (size_t i = 0; i < o->attrs.n; i++) {
        p = put_escaped(p, o->attrs.v[i].key, strlen(o->attrs.v[i].key));
        p = put(p, "=");
        p = put_escaped(p, o->attrs.v[i].value, strlen(o->attrs.v[i].value));
        p = put(p, " ");
    }
    *p = '\0';
    return raw;
}

int splunk_facts_make(const struct dray_send_opening *o, const struct splunk_options *opts,
                      struct splunk_facts *out, struct dray_err *err)
{
    *out = (struct splunk_facts){
        .head = make_head(opts), .tail = make_tail(o), .raw = make_raw(o), .format = opts->format};
    if (out->head && out->tail && out->raw)
        return 0;
    splunk_facts_free(out);
    return dray_fail(err, DRAY_E_NOMEM, "out of memory");
}

void splunk_facts_free(struct splunk_facts *f)
{
    free(f->head);
    free(f->tail);
    free(f->raw);
    *f = (struct splunk_facts){.head = NULL};
}

size_t splunk_event_room(const struct splunk_facts *f, size_t len)
{
    return FIXED + strlen(f->head) + strlen(f->tail) + strlen(f->raw) + DRAY_LOG_JSON_MAX(len);
}

/* An object or an array that the collector will be able to read. */
static bool is_json(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len && isspace((unsigned char)text[at]))
        at++;
    if (at == len || (text[at] != '{' && text[at] != '[') || len > INT32_MAX)
        return false;
    struct json_tokener *t = json_tokener_new();
    if (!t)
        return false;
    json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *o = json_tokener_parse_ex(t, text, (int)len);
    bool ok = o && json_tokener_get_error(t) == json_tokener_success;
    json_object_put(o);
    json_tokener_free(t);
    return ok;
}

static bool blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isspace((unsigned char)text[i]))
            return false;
    return true;
}

static char *put_line(char *p, const struct splunk_facts *f, const struct dray_log_record *r)
{
    if (f->format == SPLUNK_RAW) {
        p = put(p, "\"");
        p = put(p, f->raw);
        p = put_escaped(p, r->data, r->len);
        return put(p, "\"");
    }
    p = put(p, "{\"line\":");
    if (f->format == SPLUNK_JSON && is_json(r->data, r->len)) {
        memcpy(p, r->data, r->len);
        p += r->len;
    } else {
        p = put(p, "\"");
        p = put_escaped(p, r->data, r->len);
        p = put(p, "\"");
    }
    p = put(p, r->stream == DRAY_LOG_STDERR ? ",\"source\":\"stderr\"" : ",\"source\":\"stdout\"");
    return put(p, f->tail);
}

char *splunk_event_write(char *out, const struct splunk_facts *f, const struct dray_log_record *r)
{
    if (f->format == SPLUNK_RAW && blank(r->data, r->len)) /* the collector refuses them */
        return out;
    int n = snprintf(out, FIXED, "{\"time\":\"%lld.%06d\"", (long long)(r->time_ns / 1000000000),
                     (int)(r->time_ns % 1000000000 / 1000));
    char *p = put(out + n, f->head);
    p = put_line(p, f, r);
    return put(p, "}");
}
