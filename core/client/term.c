/* SPDX-License-Identifier: Apache-2.0 */
/* term.c - the terminal: its size, and raw mode that is always undone. */
#include "client/term.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* One terminal per process; exit handlers and signal handlers must reach its old state. */
static struct termios saved;
static volatile bool is_raw;

bool term_size(int fd, int *rows, int *columns)
{
    struct winsize w;
    if (ioctl(fd, TIOCGWINSZ, &w) != 0)
        return false;
    *rows = w.ws_row;
    *columns = w.ws_col;
    return true;
}

int term_columns(int fd)
{
    int rows = 0, columns = 0;
    return term_size(fd, &rows, &columns) ? columns : 0;
}

bool term_raw(void)
{
    if (is_raw)
        return true;
    if (tcgetattr(STDIN_FILENO, &saved) != 0)
        return false;
    struct termios t = saved;
    t.c_iflag &= (tcflag_t) ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t.c_oflag &= (tcflag_t)~OPOST;
    t.c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    t.c_cflag = (t.c_cflag & (tcflag_t) ~(CSIZE | PARENB)) | CS8;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &t) != 0)
        return false;
    is_raw = true;
    (void)atexit(term_restore);
    return true;
}

void term_restore(void)
{
    if (!is_raw)
        return;
    is_raw = false;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}
