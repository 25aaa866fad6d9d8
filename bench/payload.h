/* SPDX-License-Identifier: MIT */
/* What vestry-bench load publishes, and the line of the event that readers must see for it. */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include "readers.h"

/* Signals: {"n":ROUND,"p":"xxx…"}, of so many bytes. A page: rows of words and numbers, some of which change in ten
 * places each time. */
typedef struct payload {
  size_t bytes;
  size_t change_bytes; /* of a page; 0: signals */
  uint64_t random;
  bool is_socketio; /* the line is a packet of Socket.IO: an event "v" whose argument is the body */
  char *body;       /* what is to be posted */
  size_t len;
} payload;

/* Make room. false: no memory. */
bool payload_create(payload *p);
void payload_destroy(payload *p);
/* Make the body of this round, and the line that comes of it. false: no memory. */
bool payload_make(payload *p, uint64_t round, readers_round *ret_round);

#endif
