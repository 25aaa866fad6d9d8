/* SPDX-License-Identifier: MIT */
/* Peers that are lost in different ways: the requirements for every web server. */
#ifndef TESTS_WEB_PEERS_CONTRACT_H
#define TESTS_WEB_PEERS_CONTRACT_H

#include "web/server.h"

/* Returns the number of failed tests. */
int peers_contract_run(const server_seam *seam);

/* Returns the seconds until a peer that was cut off is LOST. It is cut off after `heartbeats` heartbeats, which should
 * take longer than lost_ms. bytes: the size of an event sent after the cut, larger than the kernel's buffers. settings:
 * all but the address. Skips the test where no network can be created. */
double peers_seconds_until_lost(const server_seam *seam, const web_settings *settings, unsigned heartbeats,
                                size_t bytes);
/* A separate test: with heartbeats of 100 ms, a peer that was cut off is LOST no sooner than TCP would have
 * retransmitted. For a server that listens at an address chosen by the test. */
void peers_leave_time_to_send_again(const server_seam *seam);
/* Let time pass by waiting for this number of heartbeats of a stream. */
void peers_wait_heartbeats(struct client *c, unsigned count);

#endif
