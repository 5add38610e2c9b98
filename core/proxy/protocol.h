/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol.h - how drayd talks to dray-proxy, which carries connections to published ports that the
 * kernel's translation cannot: those of another family of addresses than the container's.
 *
 * dray-proxy is a helper (base/helper.h): it outlives the daemon, listens in the exec root at
 * DRAY_PROXY_SOCKET (SOCK_SEQPACKET, base/sockmsg.h) and keeps one document an endpoint in the
 * folder DRAY_PROXY_DIR. Requests, each answered by {"code":0} or {"code":DRAY_E_*,"error":TEXT}:
 *
 *   {"op":"set","doc":DOC}: the endpoint has these ports from now on; all or none. What it had
 *       before goes, unless it is the same: then connections live on. The answer has
 *       "ports":[PORT,...], what was chosen for each. A port that is taken is DRAY_E_CONFLICT, and
 *       "taken" is its index.
 *   {"op":"drop","id":ID}: close the endpoint's ports and connections.
 *   {"op":"keep","ids":[ID,...]}: drop all others.
 *   {"op":"same","dev":N,"ino":N}: DRAY_E_CONFLICT if the program that runs is another file.
 *   {"op":"leave","always":bool}: end if there is no endpoint. always: close the ports at once and
 *       end when the last connection has; documents stay.
 *
 * DOC: {"id":ID,"ports":[{"proto":"tcp"|"udp","listen":ADDR,"port":N,"last":N,
 *                         "to":ADDR,"to_port":N},...]}
 * port 0 asks for any; a range port..last for the first that is free. "twin":true: this one gets
 * the number of the one before it, which is chosen so that it is free for both.
 */
#ifndef DRAY_PROXY_PROTOCOL_H
#define DRAY_PROXY_PROTOCOL_H

#define DRAY_PROXY_SOCKET "proxy.sock"
#define DRAY_PROXY_DIR "proxy"

#endif
