/* SPDX-License-Identifier: Apache-2.0 */
/* fields.h - entries in the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). */
#ifndef DRAY_LOG_FIELDS_H
#define DRAY_LOG_FIELDS_H

#include <dray/util.h>

#include <stdbool.h>

/** Fields, one after the other. Zero-initialised is empty. */
struct fields {
    char *data; /* owned */
    size_t len, cap;
    bool failed; /* no memory */
};

/** A field whose value may hold anything. */
void fields_add(struct fields *f, const char *name, const void *value, size_t len);
void fields_add_text(struct fields *f, const char *name, const char *text);
/** Append what another list holds. */
void fields_append(struct fields *f, const struct fields *more);
/** The name that a label's or variable's key becomes; "" if nothing is left of it. */
void fields_name(const char *key, char *out, size_t size);
void fields_free(struct fields *f);

#endif
