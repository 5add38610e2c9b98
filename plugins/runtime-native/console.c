/* SPDX-License-Identifier: Apache-2.0 */
/* console.c - pseudo terminals of containers. */
#include "console.h"
#include "files.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

/** Only the real multiplexer of a devpts counts: the root is not ours to trust. */
static bool is_ptmx(int fd)
{
    struct stat st;
    struct statfs fs;
    return fstat(fd, &st) == 0 && fstatfs(fd, &fs) == 0 && S_ISCHR(st.st_mode) &&
           st.st_rdev == makedev(5, 2) && fs.f_type == DEVPTS_SUPER_MAGIC;
}

int rn_console_open(int root, uint16_t rows, uint16_t cols, int *master_out, int *slave_out,
                    struct dray_err *err)
{
    dray_autofd int place = rn_open_in(root, "dev/pts/ptmx", O_PATH, 0);
    if (place < 0)
        return dray_fail_errno(err, "open /dev/pts/ptmx of the container");
    if (!is_ptmx(place))
        return dray_fail(err, DRAY_E_INVAL, "/dev/pts of the container is not a devpts");
    dray_autofd int master = rn_open_in(root, "dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK, 0);
    if (master < 0)
        return dray_fail_errno(err, "open a terminal");
    if (!is_ptmx(master) || fcntl(master, F_SETFL, O_RDWR) != 0)
        return dray_fail(err, DRAY_E_INVAL, "/dev/pts of the container is not a devpts");
    int lock = 0;
    if (ioctl(master, TIOCSPTLCK, &lock) != 0)
        return dray_fail_errno(err, "unlock a terminal");
    struct winsize size = {.ws_row = rows, .ws_col = cols};
    if (rows != 0 && cols != 0)
        (void)ioctl(master, TIOCSWINSZ, &size);
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return dray_fail_errno(err, "open the other side of a terminal");
    *slave_out = slave;
    *master_out = dray_steal_fd(&master);
    return 0;
}

int rn_console_control(int slave, struct dray_err *err)
{
    if (ioctl(slave, TIOCSCTTY, 0) != 0)
        return dray_fail_errno(err, "set the controlling terminal");
    return 0;
}
