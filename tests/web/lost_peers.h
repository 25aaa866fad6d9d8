/* SPDX-License-Identifier: MIT */
/* Peers behind a network that was cut: the requirements for every web server that detects them. */
#ifndef TESTS_WEB_LOST_PEERS_H
#define TESTS_WEB_LOST_PEERS_H

#include "testing/contract/server.h"

/* Returns the seconds until a peer that was cut off is LOST. It is cut off after `heartbeats` heartbeats, which should
 * take longer than lost_ms. bytes: the size of an event sent after the cut, larger than the kernel's buffers. The
 * server of the adapter listens at network_address. Skips the test where no network can be created. */
double lost_peers_seconds(const vestry_contract_adapter *adapter, const vestry_contract_settings *settings,
                          const vestry_connection_options *connection, unsigned heartbeats, size_t bytes);
/* A separate test: with heartbeats of 100 ms, a peer that was cut off is LOST no sooner than TCP would have
 * retransmitted. */
void lost_peers_leave_time_to_send_again(const vestry_contract_adapter *adapter);
/* Let time pass by waiting for this number of heartbeats of a stream. */
void lost_peers_wait_heartbeats(struct vsi_client *c, unsigned count);

#endif
