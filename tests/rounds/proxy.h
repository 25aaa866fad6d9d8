/* SPDX-License-Identifier: MIT */
/* A proxy of the tests between one node and the broker. It parses the frames of NATS, so that it can duplicate or drop
 * whole messages to the node; data from the node is forwarded unchanged. One thread drives it, between polls. */
#ifndef TESTS_ROUNDS_PROXY_H
#define TESTS_ROUNDS_PROXY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROXY_LINKS_MOST = 16, PROXY_FDS_MOST = 1 + 2 * PROXY_LINKS_MOST };

/* Bytes in transit. */
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

/* One connection of the node. */
typedef struct proxy_link {
  int node, broker; /* sockets; -1: unused */
  way to_node, to_broker;
  char *raw; /* from the broker, not yet a whole frame */
  size_t raw_len, raw_room;
  bool node_ended, broker_ended;
} proxy_link;

typedef struct proxy {
  int listener, port, broker_port;
  char url[64];
  uint64_t *state; /* random state */
  /* Faults; all zero: none. */
  bool is_cut;              /* connections are closed */
  bool holds_in, holds_out; /* black hole: nothing is read or written, to the node, or to the broker */
  uint32_t delay_ms;        /* maximum for each direction, in order */
  uint32_t duplicate, drop; /* messages to the node, of 10,000 */
  proxy_link links[PROXY_LINKS_MOST];
  uint64_t messages_count, duplicated_count, dropped_count;
} proxy;

/* state: a random sequence that is shared with other users. */
void proxy_init(proxy *p, int broker_port, uint64_t *state);
void proxy_finish(proxy *p);
/* Close all connections now and, until it is set to false, each new one. */
void proxy_cut(proxy *p, bool is_cut);
/* End all faults. */
void proxy_heal(proxy *p);
size_t proxy_links_count(const proxy *p);

/* Fill fds, which has PROXY_FDS_MOST elements, with the sockets to poll, and return their number. Lowers *due_ns to the
 * time of the next send. */
size_t proxy_prepare(proxy *p, struct pollfd *fds, uint64_t *due_ns);
/* Forward after the poll. */
void proxy_carry(proxy *p, uint64_t now_ns);

/* Return the length of the first frame from a broker; 0: incomplete. */
size_t nats_frame_len(const char *raw, size_t len, bool *ret_is_message);
/* Return whether the subject of a message contains only a-z, 0-9 and '.'. */
bool nats_subject_is_plain(const char *frame);

uint64_t clock_ns(void);

#endif
