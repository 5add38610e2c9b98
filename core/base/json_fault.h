/* SPDX-License-Identifier: Apache-2.0 */
/* json_fault.h - says where and why a text is not JSON, in the words that Docker's clients know. */
#ifndef DRAY_BASE_JSON_FAULT_H
#define DRAY_BASE_JSON_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Put the reason why text is not one JSON value into out, as Go's encoding/json words it ("invalid
 * character 'i' looking for beginning of object key string", "unexpected EOF"). False, and an empty
 * out, if the grammar has nothing against the first value of it; *rest_out is then where it ends.
 */
bool dray_json_fault(const char *text, size_t len, char *out, size_t size, size_t *rest_out);

#endif
