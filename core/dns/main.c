/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - dray-dns: the resolver of user-defined networks, for all containers of a daemon. */
#include "base/helper.h"
#include "base/logging.h"
#include "dns/keeper.h"
#include "dns/protocol.h"

#define DRAY_LOG_AREA "dns"

int main(int argc, char **argv)
{
    int dir = -EBADF, listener = -EBADF, status = 0;
    struct dray_err err = {0};
    if (argc != 2) {
        (void)fputs("usage: dray-dns EXEC_ROOT\nIt is started by drayd.\n", stderr);
        return 2;
    }
    dray_log_setup(DRAY_LOG_INFO, true);
    if (dray_helper_open(argv[1], DRAY_DNS_DIR, DRAY_DNS_SOCKET, &dir, &listener, &err)) {
        dray_error("%s", err.text);
        return 1;
    }
    /* Whoever started us may connect now; we go on without it. */
    if (!dray_helper_detach(&status))
        return status;
    (void)
        dray_helper_raise_limit(); /* three descriptors a container, and one a forwarded question */
    return dray_dns_keeper_main(dir, listener);
}
