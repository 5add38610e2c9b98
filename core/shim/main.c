/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - dray-shim: the parent of containers. */
#include "shim/zygote.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "zygote") == 0)
        return shim_zygote_main();
    (void)fputs("dray-shim is started by drayd, which talks to it on descriptor 3.\n", stderr);
    return 2;
}
