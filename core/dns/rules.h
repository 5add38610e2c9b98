/* SPDX-License-Identifier: Apache-2.0 */
/* rules.h - the packet rules that lead port 53 of 127.0.0.11 to the resolver's own ports. */
#ifndef DRAY_DNS_RULES_H
#define DRAY_DNS_RULES_H

#include <dray/util.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * Put the table "dray_dns" into the calling thread's network namespace. Ports are in host order.
 * The ports are rewritten packet by packet, so that the namespace needs no connection tracking.
 * replace: a table of before goes in the same transaction.
 */
int dray_dns_rules_put(uint16_t udp_port, uint16_t tcp_port, bool replace, struct dray_err *err);

#endif
