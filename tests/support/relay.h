/* SPDX-License-Identifier: MIT */
/* A network between a program and a server: a loopback port that forwards to another port. It can be held, as if a
 * cable was pulled, or cut. */
#ifndef TESTS_SUPPORT_RELAY_H
#define TESTS_SUPPORT_RELAY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct relay relay;

/* to: a loopback port. */
relay *relay_open(int to);
/* The same over a distance: each byte arrives way_ms later, and each direction of a connection passes so many bytes a
 * second, in pieces of any length. */
relay *relay_open_far(int to, unsigned way_ms, uint64_t bytes_a_second);
void relay_close(relay *r);
/* The port to connect to. */
int relay_port(const relay *r);
/* Hold the relay: connections stay open, and no byte passes in either direction. Released, the waiting bytes pass. */
void relay_hold(relay *r, bool is_held);
/* The same for the bytes to the server only. */
void relay_hold_requests(relay *r, bool are_held);
/* End all connections; they have ended when this returns. */
void relay_cut(relay *r);

#endif
