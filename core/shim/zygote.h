/* SPDX-License-Identifier: Apache-2.0 */
/* zygote.h - the process that shims are forked from. */
#ifndef DRAY_SHIM_ZYGOTE_H
#define DRAY_SHIM_ZYGOTE_H

/** Serve the daemon on descriptor DRAY_SHIM_FD until it closes its end. Returns the program's exit
 *  code; in a forked shim it does not return. */
int shim_zygote_main(void);

#endif
