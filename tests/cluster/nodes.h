/* SPDX-License-Identifier: MIT */
/* Several nodes of one cluster in one process: instances on one stepped runtime, with a memory network between them and
 * a clock that is turned by hand. The same seed, the same run. */
#ifndef TESTS_CLUSTER_NODES_H
#define TESTS_CLUSTER_NODES_H

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/app/page.h"
#include "vestry/app/presence.h"
#include "vestry/cluster/cluster.h"
#include "vestry/testing/memory.h"
#include "vestry/testing/memory_network.h"
#include "vestry/vestry.h"

enum { NODES_MOST = 4, STREAMS_MOST = 64, PLACES_MOST = 3, PEOPLE_MOST = 6, GRACE_MS = 200 };

typedef struct node {
  struct nodes *in;
  size_t index; /* by the order of joining the network, which a divided network goes by */
  const char *name;
  vestry *v;
  vestry_broker broker;
  vestry_broker_ops ops;       /* of the broker: those of the network, but for some */
  vestry_broker_events events; /* what the cluster hears by */
  vestry_pages *pages;
  vestry_page *page;
  vestry_cluster *cluster;                       /* NULL: it is not there */
  size_t gaps, lost, renders, effects, replaced; /* replaced: streams that were closed as such */
  vestry_member_state told[NODES_MOST];          /* what on_member said last, by the other's place */
  vestry_memory_exchange *streams[STREAMS_MOST];
  size_t streams_count;
  vestry_presence *presence;               /* of the name "here"; NULL: none */
  bool believes[PLACES_MOST][PEOPLE_MOST]; /* what on_change has said */
  size_t comings, leavings;
} node;

typedef struct nodes {
  test_host th;
  vestry_runtime *runtime;
  vestry_memory_network *network;
  size_t joined;
  unsigned on_broker; /* inside of an event of a broker's: no hook of the application's is called there */
  bool have_presence; /* nodes that start have one */
  size_t max_present;
  vestry_err (*reserve)(void *broker, const char *name, uint64_t expected, const void *data, size_t len,
                        uint64_t *ret_revision); /* the broker's, of nodes that start; NULL: its own */
  node all[NODES_MOST];
  size_t count;
} nodes;

extern const char nodes_secret[32];

/* count nodes, named a, b, c, d, that have met. options: NULL: no faults. */
void nodes_begin(nodes *n, size_t count, const vestry_memory_network_options *options);
/* The same, without the nodes: start them one by one. */
void nodes_prepare(nodes *n, const vestry_memory_network_options *options);
/* Start a node, whose place is free. options: node, secret, pages and callbacks are set; NULL: the defaults. */
node *node_start(nodes *n, size_t place, const char *name, const vestry_cluster_options *options);
vestry_err node_try(nodes *n, size_t place, const char *name, const vestry_cluster_options *options);
/* It dies without a word; or in order. */
void node_kill(node *of);
void node_stop(node *of);
/* End those that are there; counters add up, no memory is left. */
void nodes_end(nodes *n);

void nodes_settle(nodes *n);
void nodes_pass_ms(nodes *n, uint64_t ms);
/* Divide the network by places, "aab": who has the same message hears each other; '-': cut off, and knows it; NULL:
 * whole again. */
void nodes_divide(nodes *n, const char *parts);

/* Open a stream. kept: under ("room", key); joined: it joins the channel ("board", key). */
vestry_memory_exchange *node_open(node *of, const char *key, vestry_keep_policy policy);
vestry_memory_exchange *node_join(node *of, const char *key);
/* A page that depends on the topic "room". */
vestry_memory_exchange *node_show(node *of);
/* Somebody, "p0" and so on, is at ("place", place) as long as it is open. */
vestry_memory_exchange *node_present(node *of, int place, int who);
/* A presence of the name "here", from now on; no more. */
void node_presence_begin(node *of);
void node_presence_end(node *of);
bool node_has(const node *of, int place, int who);
vestry_presence_stats node_presence_stats(const node *of);
/* It hangs up, now. */
void node_close(node *of, vestry_memory_exchange *stream);
size_t count_in(vestry_memory_exchange *stream, const char *text);

/* ["patch-signals", {"s": text}] to ("room", key): how it was answered, and how many have it. */
vestry_err node_tell(node *from, const char *key, const char *text, uint32_t *ret_count);
/* A comment to the channel. */
vestry_err node_broadcast(node *from, const char *key, const char *text);
/* An answer, when it comes. */
typedef struct answer {
  size_t times;
  vestry_err error;
  uint32_t count;
} answer;
void node_ask(node *from, const char *key, const char *effects, answer *ret);

vestry_cluster_stats node_stats(const node *of);

#endif
