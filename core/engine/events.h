/* SPDX-License-Identifier: Apache-2.0 */
/* events.h - the event bus: a bounded history and any number of readers. */
#ifndef DRAY_ENGINE_EVENTS_H
#define DRAY_ENGINE_EVENTS_H

#include <dray/util.h>
#include <stdint.h>

struct json_object;
struct dray_events;
struct dray_event_reader;

int dray_events_open(struct dray_events **out, struct dray_err *err);
/** Wakes all readers with an end of stream, waits until they are closed, frees. */
void dray_events_close(struct dray_events *ev);

/**
 * Publish one event, e.g. ("container", "start", id, attrs). attrs is an object of strings, may be
 * NULL. Never blocks on a reader: a reader that is more than the history behind loses the oldest.
 */
void dray_events_emit(struct dray_events *ev, const char *type, const char *action,
                      const char *actor_id, struct json_object *attrs /* takes */);

/** A reader that begins with the history since since_ns (0: only what comes now). */
int dray_events_subscribe(struct dray_events *ev, int64_t since_ns, struct dray_event_reader **out,
                          struct dray_err *err);
/**
 * The next event as a new reference to an immutable object in the shape of GET /events. Waits until
 * deadline_ns (CLOCK_MONOTONIC; 0: no end): DRAY_E_TIMEOUT. History exhausted and nowait: TIMEOUT
 * at once when deadline_ns is 1. DRAY_E_CANCELED when the bus closes.
 */
int dray_events_next(struct dray_event_reader *r, int64_t deadline_ns, struct json_object **out);
/** Readable when dray_events_next() would not wait; for poll() together with a client socket. */
int dray_events_fd(const struct dray_event_reader *r);
void dray_events_unsubscribe(struct dray_event_reader *r);
/** How many events there have been. */
uint64_t dray_events_total(struct dray_events *ev);
/** How many readers there are. */
size_t dray_events_readers(struct dray_events *ev);

#endif
