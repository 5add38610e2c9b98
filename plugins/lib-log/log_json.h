/* SPDX-License-Identifier: Apache-2.0 */
/* log_json.h - escapes text for JSON. */
#ifndef DRAY_PLUGIN_LOG_JSON_H
#define DRAY_PLUGIN_LOG_JSON_H

#include <stddef.h>

/** Most bytes that n bytes of text take when escaped. */
#define DRAY_LOG_JSON_MAX(n) ((n)*6)

/** Write text escaped for a JSON string as Go's encoder with HTML escaping does; bytes that are no
 *  UTF-8 become \ufffd. Returns the end. */
char *dray_log_json_escape(char *out, const unsigned char *text, size_t len);

#endif
