/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c - loop devices for volumes that live in an image file. */
#include "local.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

static int configure(int device, int image, const char *path, bool rdonly)
{
    struct loop_config config = {.fd = (uint32_t)image};
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (rdonly ? LO_FLAGS_READ_ONLY : 0u);
    (void)snprintf((char *)config.info.lo_file_name, sizeof config.info.lo_file_name, "%s", path);
    return ioctl(device, LOOP_CONFIGURE, &config);
}

int dray_local_loop(const char *path, bool rdonly, char device[32], int *fd_out,
                    struct dray_err *err)
{
    int mode = (rdonly ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    dray_autofd int image = open(path, mode);
    if (image < 0)
        return dray_fail_errno(err, "open %s", path);
    dray_autofd int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return dray_fail_errno(err, "open /dev/loop-control");
    for (unsigned try = 0; try < 64; try++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            return dray_fail_errno(err, "find a free loop device");
        (void)snprintf(device, 32, "/dev/loop%d", number);
        dray_autofd int fd = open(device, mode);
        if (fd < 0)
            return dray_fail_errno(err, "open %s", device);
        if (configure(fd, image, path, rdonly) == 0) {
            *fd_out = dray_steal_fd(&fd);
            return 0;
        }
        if (errno != EBUSY) /* another one was faster */
            return dray_fail_errno(err, "set up %s for %s", device, path);
    }
    return dray_fail(err, DRAY_E_BUSY, "no loop device stays free for %s", path);
}
