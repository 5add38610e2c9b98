/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - columns of text, and lists printed by --format. */
#ifndef DRAY_CLIENT_TABLE_H
#define DRAY_CLIENT_TABLE_H

#include "client/cli.h"

#include <stdio.h>

/** Print text whose cells end in tabs, aligned in columns (Go's text/tabwriter). */
void table_align(FILE *out, const char *text, int min_width, int padding);

/** A field that a row may have, and its title. */
struct table_field {
    const char *name;
    const char *title;
};

/** What a list command prints. */
struct table_spec {
    const char *type;                 /**< Go's name for a row, in error texts */
    const char *layout;               /**< template of the default table, without "table " */
    const struct table_field *fields; /**< ends with a NULL name */
};

/**
 * Print rows (an array of objects with string fields) as `format` says: NULL or "table" for the
 * default, "table TEMPLATE", "json", or a template. 0, or -1 with the error kept.
 */
int table_list(struct cli *cli, const char *format, const struct table_spec *spec,
               struct json_object *rows);
/** Print one value by a template ("json" is known), with a newline. */
int table_value(struct cli *cli, const char *format, const char *type, struct json_object *value);
/** Append compact JSON laid out as Go's json.Indent does, with so many spaces a level. */
void table_indent(struct dray_buf *out, const char *json, int spaces);

#endif
