/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol.h - how drayd talks to dray-dns, the resolver of user-defined networks.
 *
 * dray-dns outlives the daemon. It listens in the exec root at DRAY_DNS_SOCKET (SOCK_SEQPACKET,
 * base/sockmsg.h) and keeps one document a container in the folder DRAY_DNS_DIR beside it, from
 * which it goes on after a crash. Operations of a connection are done in the order of arrival:
 *
 *   {"op":"open","id":ID} + descriptor of the container's network namespace: open sockets there;
 *       no answer, so that a start can go on meanwhile. "set" of the same container follows.
 *   {"op":"set","doc":DOC} + optionally that descriptor: the container is as DOC says from now on.
 *   {"op":"drop","id":ID}: the container answers to nothing any more; its sockets are closed.
 *   {"op":"keep","ids":[ID,...]}: drop all others.
 *   {"op":"same","dev":N,"ino":N}: DRAY_E_CONFLICT if the program that runs is another file.
 *   {"op":"leave","always":bool}: end if there is no container (or always; documents stay).
 *
 * All but "open" are answered by {"code":0} or {"code":DRAY_E_*,"error":TEXT}; "set" once the new
 * names can be asked for.
 *
 * DOC: {"id":ID,"netns":PATH,"forward":bool,"ndots":bool,
 *       "servers":[{"addr":"10.0.0.1","host":bool},...],
 *       "eps":[{"net":ID,"netname":NAME,"v4":ADDR,"v6":ADDR,"names":[NAME,...],
 *               "links":{ALIAS:NAME,...}},...]}
 * The first of names is the container's own and answers reverse questions. host: the server is
 * asked from the host's namespace. ndots: the user chose "ndots", so single labels are not
 * forwarded. forward: questions may leave the machine.
 */
#ifndef DRAY_DNS_PROTOCOL_H
#define DRAY_DNS_PROTOCOL_H

#define DRAY_DNS_SOCKET "dns.sock"
#define DRAY_DNS_DIR "dns"
#define DRAY_DNS_ADDRESS "127.0.0.11"
#define DRAY_DNS_SERVERS 8 /**< most servers of one container that are used */

#endif
