/* SPDX-License-Identifier: Apache-2.0 */
/* extensions.h - what extension plugins offer, and the events that they hear. */
#ifndef DRAY_ENGINE_EXTENSIONS_H
#define DRAY_ENGINE_EXTENSIONS_H

#include <dray/util.h>

struct dray_driver;
struct dray_engine;
struct dray_extensions;
struct json_object;

/** Ask each extension what it offers, in a thread of its own: none holds up the start. */
int dray_extensions_open(struct dray_engine *e, struct dray_extensions **out, struct dray_err *err);
void dray_extensions_close(struct dray_extensions *xs);

/**
 * The driver that serves a request; path begins with "/". NOTFOUND: no such extension, or it has no
 * such route. UNAVAIL: it has not said what it offers. Waits shortly for that.
 */
int dray_extensions_find(struct dray_extensions *xs, const char *name, const char *method,
                         const char *path, struct dray_driver **out, struct dray_err *err);
/** Array of {"Name", "Routes", "Topics", "Commands"}. */
int dray_extensions_list(struct dray_extensions *xs, struct json_object **out,
                         struct dray_err *err);

#endif
