/* SPDX-License-Identifier: Apache-2.0 */
/* keeper.h - the process with privileges: opens sockets in namespaces, keeps documents, minds the
 * worker. */
#ifndef DRAY_DNS_KEEPER_H
#define DRAY_DNS_KEEPER_H

#include <dray/util.h>

/** Serve until told to leave. dir: folder of the documents; listener: DRAY_DNS_SOCKET, listening.
 *  Both are taken. Returns the exit status. */
int dray_dns_keeper_main(int dir /* takes */, int listener /* takes */);

#endif
