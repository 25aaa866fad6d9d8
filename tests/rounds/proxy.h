/* SPDX-License-Identifier: MIT */
/* A proxy of the tests' own between one node and the broker. It knows NATS's frames well enough to repeat or to lose
 * whole messages to the node; what the node says is carried as it is. One thread drives it, between polls. */
#ifndef TESTS_ROUNDS_PROXY_H
#define TESTS_ROUNDS_PROXY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROXY_LINKS_MOST = 16, PROXY_FDS_MOST = 1 + 2 * PROXY_LINKS_MOST };

/* Some bytes on their way. */
typedef struct parcel {
  struct parcel *next;
  uint64_t due_ns;
  size_t len, sent;
  char data[];
} parcel;

typedef struct way {
  parcel *first; /* by due_ns */
  uint64_t last_due_ns;
} way;

/* One connection of the node's. */
typedef struct proxy_link {
  int node, broker; /* sockets; -1: the place is free */
  way to_node, to_broker;
  char *raw; /* from the broker, not yet a whole frame */
  size_t raw_len, raw_room;
  bool node_ended, broker_ended;
} proxy_link;

typedef struct proxy {
  int listener, port, broker_port;
  char url[64];
  uint64_t *state; /* of chance */
  /* What goes wrong; all zero: nothing. */
  bool is_cut;              /* connections are closed */
  bool holds_in, holds_out; /* black-holed: nothing is read or written, to the node, or to the broker */
  uint32_t delay_ms;        /* each way, up to so long, in order */
  uint32_t duplicate, drop; /* messages to the node, of 10,000 */
  proxy_link links[PROXY_LINKS_MOST];
  uint64_t messages_count, duplicated_count, dropped_count;
} proxy;

/* state: of a random sequence that is shared with whoever else draws from it. */
void proxy_init(proxy *p, int broker_port, uint64_t *state);
void proxy_finish(proxy *p);
/* Close all connections now, and, until it is set to false, each new one. */
void proxy_cut(proxy *p, bool is_cut);
/* Nothing goes wrong any more. */
void proxy_heal(proxy *p);
size_t proxy_links_count(const proxy *p);

/* What is to be polled: fills fds, which have PROXY_FDS_MOST places, and returns how many. *due_ns is lowered to when
 * something is to be sent on. */
size_t proxy_prepare(proxy *p, struct pollfd *fds, uint64_t *due_ns);
/* After the poll: carry what can be carried. */
void proxy_carry(proxy *p, uint64_t now_ns);

/* Bytes of the first frame of what a broker sends; 0: it is not whole yet. */
size_t nats_frame_len(const char *raw, size_t len, bool *ret_is_message);
/* Whether a message's subject holds nothing but a-z, 0-9 and '.'. */
bool nats_subject_is_plain(const char *frame);

uint64_t clock_ns(void);

#endif
