/* SPDX-License-Identifier: Apache-2.0 */
/* signals.h - signals as users write them. */
#ifndef DRAY_ENGINE_SIGNALS_H
#define DRAY_ENGINE_SIGNALS_H

#include <dray/util.h>

/** "TERM", "SIGTERM", "15", "RTMIN+3"; empty or NULL gives def. Else DRAY_E_INVAL,
 *  in the words of Docker for a name that is none, and for a number that no signal has. */
int dray_signal_parse(const char *text, int def, int *out, struct dray_err *err);

#endif
