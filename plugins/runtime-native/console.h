/* SPDX-License-Identifier: Apache-2.0 */
/* console.h - pseudo terminals of containers. */
#ifndef RN_CONSOLE_H
#define RN_CONSOLE_H

#include <dray/util.h>

/** Make a terminal in the devpts mounted in root; both ends O_CLOEXEC. */
int rn_console_open(int root, uint16_t rows, uint16_t cols, int *master_out, int *slave_out,
                    struct dray_err *err);
/** Make it the controlling terminal of the calling session leader. */
int rn_console_control(int slave, struct dray_err *err);

#endif
