/* SPDX-License-Identifier: MIT */
/* A cluster in one process and on one thread: instances of the library over a broker with queues, in virtual time. Runs
 * with equal options are equal, unless CPU time counts (has_costs). */
#ifndef BENCH_SIMULATION_H
#define BENCH_SIMULATION_H

#include <vestry/cluster/cluster.h>
#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

enum { SIMULATION_NODES_MAX = 512 };

/* A message; a subject is that of all nodes, or the receiver's own. */
typedef struct simulation_parcel {
  size_t refs, len;
  bool is_to_all;
  unsigned char data[];
} simulation_parcel;

/* A call of a function of the broker's events. */
typedef struct simulation_arrival {
  uint64_t due_ns;
  simulation_parcel *parcel; /* NULL: a change of state */
  vestry_broker_state state;
} simulation_arrival;

typedef struct simulation_node {
  struct simulation *in;
  int index;
  char name[16];
  vestry_host host;
  vestry_runtime *runtime;
  vestry *v;
  vestry_cluster *cluster; /* NULL: the node is not running */
  /* Its part of the broker. */
  vestry_broker_events events;
  char subjects[2][VESTRY_SUBJECT_MAX_BYTES + 1]; /* its own; that of all nodes */
  uint64_t id;                                    /* the end of its own subject */
  simulation_arrival *queue;                      /* a ring of `room` places */
  size_t first, count, room;
  bool is_up, is_paused;
  unsigned part; /* nodes of two parts do not reach each other */
  uint64_t busy_until_ns;
  /* Streams, by a number of the caller. */
  vestry_memory_exchange **streams;
  size_t streams_count, streams_room; /* the highest number in use, plus 1; room for them */
  /* Reports of the cluster. */
  uint64_t gaps, gap_ns, deaths; /* gap_ns: time of the last one */
} simulation_node;

typedef struct simulation {
  /* Options. */
  int count;
  uint64_t latency_ns; /* of a message on average; messages to one node stay in order */
  uint64_t drop;       /* chance that a message to a receiver is lost, of 10,000 */
  bool has_costs;      /* a node that has worked is busy for as long in virtual time */
  uint64_t random;     /* the seed */
  /* State. */
  uint64_t now_ns;
  simulation_node all[SIMULATION_NODES_MAX];
  /* What was counted. */
  uint64_t published, deliveries, bytes, lost;
  uint64_t cpu_ns, longest_ns; /* the longest time that one step of a node, or one received message, took */
  int64_t held_bytes;
} simulation;

/* Set the options first. Starts `count` nodes. */
void simulation_begin(simulation *s);
void simulation_end(simulation *s);
/* Start a node, again after simulation_stop. */
void simulation_start(simulation *s, int index);
/* End a node; is_kill: without a word. Its streams are closed. */
void simulation_stop(simulation *s, int index, bool is_kill);
void simulation_pass_ms(simulation *s, uint64_t ms);
/* Let time pass until all running nodes know each other and all keys, at most most_ms. Returns the time in ms. */
uint64_t simulation_settle(simulation *s, uint64_t most_ms);
bool simulation_is_known(simulation *s);
/* Disconnect a node from the broker, and connect it again. */
void simulation_connect(simulation *s, int index, bool is_up);
/* Open a stream under ("k", place, key); channel: it joins ("c", key) instead. at: a free number of a stream. */
void simulation_open(simulation_node *of, size_t at, int place, uint64_t key, vestry_keep_policy policy, bool channel);
void simulation_close(simulation_node *of, size_t at);
vestry_cluster_stats simulation_stats(const simulation_node *of);
/* Return a number below a bound. */
uint64_t simulation_chance(simulation *s, uint64_t below);

#endif
