/* SPDX-License-Identifier: MIT */
/* A network between a program and a server: a port of the loopback whose connections lead to another port, until it is
 * held, as by a cable that was pulled, or cut. */
#ifndef TESTS_POSTGRES_RELAY_H
#define TESTS_POSTGRES_RELAY_H

#include <stdbool.h>

typedef struct relay relay;

/* to: a port of the loopback. */
relay *relay_open(int to);
void relay_close(relay *r);
/* Where it is reached. */
int relay_port(const relay *r);
/* Held: connections stay, and nothing goes through, either way. Not any more: what waited goes through. */
void relay_hold(relay *r, bool is_held);
/* All connections end. When it returns they have. */
void relay_cut(relay *r);

#endif
