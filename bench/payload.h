/* SPDX-License-Identifier: MIT */
/* The data that vestry-bench load publishes, and the line of the resulting event. Messages of a chat. */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include "readers.h"

/* Signals: {"n":ROUND,"p":"xxx…"}, of `bytes` bytes. A page: rows of words and numbers, which change in ten places each
 * time. */
typedef struct payload {
  size_t bytes;
  size_t change_bytes; /* of a page; 0: signals */
  uint64_t random;
  bool is_socketio; /* the line is a Socket.IO packet: an event "v" whose argument is the body */
  char *body;       /* body of the POST */
  size_t len;
} payload;

/* Allocate the buffers. false: no memory. */
bool payload_create(payload *p);
void payload_destroy(payload *p);
/* Make the body of a round, and the resulting line. false: no memory. */
bool payload_make(payload *p, uint64_t round, readers_round *ret_round);

/* Write a message as an item of a list, with a NUL: at most PAYLOAD_MESSAGE_BYTES. Returns its length. */
enum { PAYLOAD_MESSAGE_BYTES = 400 };
size_t payload_message(char *to, uint64_t number, uint64_t *random);

#endif
