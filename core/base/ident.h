/* SPDX-License-Identifier: Apache-2.0 */
/* ident.h - random ids and the grammar of names. */
#ifndef DRAY_BASE_IDENT_H
#define DRAY_BASE_IDENT_H

#include <stdbool.h>
#include <stddef.h>

#define DRAY_ID_LEN 65 /**< 64 hex digits and NUL */

/** A new random id. Not all decimal digits in its first 12, as Docker does. */
void dray_id_new(char out[DRAY_ID_LEN]);
/** n random hex digits and NUL. */
void dray_id_hex(char *out, size_t n);
bool dray_id_is_hex(const char *text, size_t min, size_t max);
/** Names of containers and volumes: [a-zA-Z0-9][a-zA-Z0-9_.-]+ */
bool dray_name_valid(const char *name);
/** A name for a container that was given none, "left_right"; retry > 0 adds a digit. */
void dray_name_random(char out[64], int retry);

#endif
