/* SPDX-License-Identifier: Apache-2.0 */
/* splunk.h - options, events and requests of the driver "splunk". */
#ifndef DRAY_LOG_SPLUNK_H
#define DRAY_LOG_SPLUNK_H

#include "send_driver.h"
#include "send_link.h"

enum splunk_format { SPLUNK_INLINE, SPLUNK_JSON, SPLUNK_RAW };

/** What --log-opt says; text points into the options. */
struct splunk_options {
    struct dray_send_addr addr;
    char authority[280]; /* "host:port" of the address, for the Host header */
    char path[256];      /* of the collector, "/services/collector/event/1.0" by default */
    const char *url, *token, *source, *sourcetype, *index;
    struct dray_send_tls_conf tls;
    enum splunk_format format;
    bool verify; /* ask the collector before the container starts */
    bool gzip;
    int level; /* of compression: -1 to 9 */
};

int splunk_options_read(struct dray_kvs options, struct splunk_options *out, struct dray_err *err);

/** What is the same in all events of a container; owned by the caller. */
struct splunk_facts {
    char *head; /* `,"host":..., ... "event":` */
    char *tail; /* of an event that is an object: `,"tag":...,"attrs":{...}}`; raw: `"` */
    char *raw;  /* what goes before a raw line, escaped */
    enum splunk_format format;
};
int splunk_facts_make(const struct dray_send_opening *o, const struct splunk_options *opts,
                      struct splunk_facts *out, struct dray_err *err);
void splunk_facts_free(struct splunk_facts *f);
/** Most bytes that an event takes. */
size_t splunk_event_room(const struct splunk_facts *f, size_t len);
/** Write one event at out; returns its end (out: nothing is to be sent). */
char *splunk_event_write(char *out, const struct splunk_facts *f, const struct dray_log_record *r);

/** A request to the collector. */
struct splunk_request {
    const char *method;
    const char *body; /* or NULL */
    size_t len;
    bool gzipped;
};
/** Send it and read the answer; a status of 400 and above is an error. */
int splunk_http(struct dray_send_link *link, const struct splunk_options *opts,
                const struct splunk_request *req, const struct dray_send_wait *wait,
                struct dray_err *err);

#endif
