/* SPDX-License-Identifier: Apache-2.0 */
/* term.h - the terminal: its size, and raw mode that is always undone. */
#ifndef DRAY_CLIENT_TERM_H
#define DRAY_CLIENT_TERM_H

#include <stdbool.h>

/** Columns of the terminal at fd, or 0. */
int term_columns(int fd);
/** Rows and columns; false if fd is no terminal. */
bool term_size(int fd, int *rows, int *columns);
/** Put stdin into raw mode; undone by term_restore(), which also runs at exit. */
bool term_raw(void);
/** Safe in signal handlers, and any number of times. */
void term_restore(void);

#endif
