/* SPDX-License-Identifier: MIT */
/* Several nodes of one cluster in one process: instances on one stepped runtime, with a memory network between them and
 * a manual clock. Equal seeds give equal runs. */
#ifndef TESTS_CLUSTER_NODES_H
#define TESTS_CLUSTER_NODES_H

#include <sys/queue.h>

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/app/page.h"
#include "vestry/app/presence.h"
#include "vestry/cluster/cluster.h"
#include "vestry/testing/memory.h"
#include "vestry/testing/memory_network.h"
#include "vestry/vestry.h"

enum { NODES_MOST = 4, STREAMS_MOST = 64, PLACES_MOST = 3, PEOPLE_MOST = 6, GRACE_MS = 200 };

/* An event of the broker for a node that stands still. */
typedef struct held {
  STAILQ_ENTRY(held) at;
  vestry_broker_state state; /* of on_state */
  char *subject;             /* of on_message; NULL: on_state */
  size_t len;
  unsigned char data[];
} held;

typedef struct node {
  struct nodes *in;
  size_t index; /* order of joining the network, by which partitions are numbered */
  const char *name;
  vestry *v;
  vestry_host host;        /* that of all nodes; its clock is behind by behind_ns */
  vestry_runtime *runtime; /* of all nodes; its own if nodes can stand still */
  bool is_paused;          /* it stands still */
  bool has_stopped_clock;  /* its clock, too */
  uint64_t paused_ns, behind_ns;
  STAILQ_HEAD(, held) held;
  vestry_broker broker;
  vestry_broker_ops ops;       /* the network's operations, some of them replaced */
  vestry_broker_events events; /* functions that the cluster passed to the broker */
  vestry_pages *pages;
  vestry_page *page;
  vestry_cluster *cluster;                       /* NULL: the node is not running */
  size_t gaps, lost, renders, effects, replaced; /* replaced: streams closed with this cause */
  vestry_member_state reported[NODES_MOST]; /* the last state reported by on_member, by the index of the other node */
  vestry_memory_exchange *streams[STREAMS_MOST];
  size_t streams_count;
  vestry_presence *presence;               /* named "here"; NULL: none */
  bool believes[PLACES_MOST][PEOPLE_MOST]; /* as reported by on_change */
  size_t comings, leavings;
} node;

typedef struct nodes {
  test_host th;
  vestry_runtime *runtime;
  vestry_memory_network *network;
  size_t joined;
  unsigned on_broker; /* inside of an event of a broker, where no hook of the application may be called */
  char topic[8];      /* that pages depend on */
  bool can_pause;     /* nodes that start can stand still */
  bool have_presence; /* nodes have a presence when they start */
  size_t max_present;
  node all[NODES_MOST];
  size_t count;
} nodes;

extern const char nodes_secret[32];

/* Start count nodes, named a, b, c, d, and wait until they are members. options: NULL: no faults. */
void nodes_begin(nodes *n, size_t count, const vestry_memory_network_options *options);
/* The same, without nodes: start them one by one. */
void nodes_prepare(nodes *n, const vestry_memory_network_options *options);
/* Start a node at a free index. options: node, secret, pages and callbacks are set; NULL: the defaults. */
node *node_start(nodes *n, size_t place, const char *name, const vestry_cluster_options *options);
vestry_err node_try(nodes *n, size_t place, const char *name, const vestry_cluster_options *options);
/* End a node without a goodbye; end it in order. */
void node_kill(node *of);
void node_stop(node *of);
/* End the running nodes, and check that counters are consistent and no memory is left. */
void nodes_end(nodes *n);

void nodes_settle(nodes *n);
void nodes_pass_ms(nodes *n, uint64_t ms);
/* Let time pass without stepping through each millisecond. */
void nodes_skip_ms(nodes *n, uint64_t ms);
/* Let a node stand still, as a stopped process does, or, if stops_clock, as a machine that was suspended. Let it go on:
 * events of the broker have waited. timers_first: it handles its timers before them. */
void node_pause(node *of, bool stops_clock);
void node_wake(node *of, bool timers_first);
/* Divide the network by index, "aab": nodes with the same letter are connected; '-': disconnected from the broker;
 * NULL: whole again. */
void nodes_divide(nodes *n, const char *parts);

/* Open a stream. kept: stored under ("room", key); joined: it joins the channel ("board", key). */
vestry_memory_exchange *node_open(node *of, const char *key, vestry_keep_policy policy);
vestry_memory_exchange *node_join(node *of, const char *key);
/* Open a page that depends on nodes.topic, which is "room" at first. */
vestry_memory_exchange *node_show(node *of);
/* Open a stream that adds the member "p0" and so on to ("place", place) while it is open. */
vestry_memory_exchange *node_present(node *of, int place, int user);
/* Begin the presence "here"; end it. */
void node_presence_begin(node *of);
void node_presence_end(node *of);
bool node_has(const node *of, int place, int user);
vestry_presence_stats node_presence_stats(const node *of);
/* The stream hangs up at once. */
void node_close(node *of, vestry_memory_exchange *stream);
size_t count_in(vestry_memory_exchange *stream, const char *text);

/* Dispatch ["patch-signals", {"s": text}] to ("room", key). Returns the result; ret_count: the number of streams
 * reached. */
vestry_err node_dispatch(node *from, const char *key, const char *text, uint32_t *ret_count);
/* Broadcast a comment to the channel. */
vestry_err node_broadcast(node *from, const char *key, const char *text);
/* The answer of a dispatch, when it arrives. */
typedef struct answer {
  size_t times;
  vestry_err error;
  uint32_t count;
} answer;
void node_ask(node *from, const char *key, const char *effects, answer *ret);

vestry_cluster_stats node_stats(const node *of);

#endif
