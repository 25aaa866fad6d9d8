/* SPDX-License-Identifier: MIT */
/* Peers that go, each in its own way: as it must be with every web server. */
#ifndef TESTS_WEB_PEERS_CONTRACT_H
#define TESTS_WEB_PEERS_CONTRACT_H

#include "web/server.h"

/* Returns the number of failed tests. */
int peers_contract_run(const server_seam *seam);

/* How long until a peer that was cut off is LOST, in seconds. It is cut after so many heartbeats, which should be more
 * than lost_ms; bytes: it is sent so much when it is gone, more than the kernel takes. settings: all but the address.
 * Skips the test where no network can be made. */
double peers_seconds_until_lost(const server_seam *seam, const web_settings *settings, unsigned heartbeats,
                                size_t bytes);
/* A test of its own: heartbeats of 100 ms, and a peer that was cut off is LOST no sooner than TCP would have sent again
 * what was lost. For a server that listens at an address of the test's choice. */
void peers_leave_time_to_send_again(const server_seam *seam);
/* Let so much time pass by waiting for the heartbeats of a stream. */
void peers_wait_heartbeats(struct client *c, unsigned count);

#endif
