/* SPDX-License-Identifier: MIT */
/* Three nodes, each a process, a broker, and a proxy before each node; and the record of all messages and actions. One
 * thread does everything: time passes only in world_pass and WORLD_AWAIT, in which the proxies forward and the output
 * of nodes is read.
 *
 * Limits on times must account for the time in which a process did not run, because the machine has few processors that
 * others use, too. Nodes have a thread that only sleeps, the broker is sent a request every 10 ms, and the world
 * measures its own polls. A delay of more than 15 ms is a stall, and limits are extended by the stalls within them. */
#ifndef TESTS_ROUNDS_WORLD_H
#define TESTS_ROUNDS_WORLD_H

#include <stdio.h>
#include <sys/types.h>

#include "nats/server.h"
#include "rounds/proxy.h"
#include "vestry/error.h"

enum { PLACES = 3, LIVES_MOST = 256 };
#define MS       UINT64_C(1000000)
#define FOR_EVER UINT64_MAX

/* ----------------------------------------------------------------------------------------------- the record ------- */

typedef struct span {
  uint64_t from_ns, to_ns;
  unsigned places; /* the nodes concerned, one bit each */
} span;

typedef struct spans {
  span *all;
  size_t count;
} spans;

/* A stream of a node. */
typedef struct stream {
  int place, life;
  char kind;     /* K: under a key; C: member of a channel; P: a page */
  char name[96]; /* as in commands: escaped */
  bool replaces;
  uint64_t opened_ns, left_ns; /* 0: not yet. left: it has ended, or its node died */
  bool is_told_to_close;
  char cause[16]; /* "": it has not ended */
  int *last;      /* for each run of a sender: the last number received; PLACES * LIVES_MOST */
} stream;

/* A message that was sent. */
typedef struct message {
  char kind; /* D: dispatch, B: broadcast, P: publish, R: refresh */
  int place, life;
  char name[96];
  uint64_t sent_ns; /* 0: the node has not sent it yet */
  uint64_t answered_ns;
  unsigned times; /* number of answers */
  char error[24];
  unsigned count;
  int *got; /* streams */
  size_t got_count;
  uint64_t heard_ns[PLACES]; /* of P: when a running process received it there */
  int heard_life[PLACES];
  bool is_judged;
} message;

/* A gap, a render, or the state of a member, as reported by a node. */
typedef struct reported {
  char kind; /* G, R, M */
  int place, life;
  int of; /* the other node; -1: unknown */
  char state[12];
  uint64_t at_ns;
} reported;

typedef struct stats {
  size_t alive, unsynced;
  unsigned long long own, others, sent, over_budget, replaced, duplicates;
} stats;

typedef struct player {
  pid_t pid; /* 0: not running */
  int in, out;
  int life;
  bool is_up, is_stopped, has_gone; /* gone: in order */
  bool is_linked;                   /* to the broker, according to its log */
  uint64_t linked_ns;               /* since when */
  uint64_t up_ns, died_ns, stopped_ns, continued_ns;
  char *buffer;
  size_t len, room;
  stats stats;
  unsigned stats_count;
  unsigned long long marks;
  unsigned marks_count, held_count;
  char said[64]; /* its last other output */
} player;

typedef struct world {
  nats_server server;
  bool is_broker_up, is_broker_stopped;
  /* With ROUNDS_BUSY in the environment, the broker is paused from time to time; hold_ns: the time of the next
   * change. */
  bool is_busy, is_broker_held;
  uint64_t hold_ns;
  const char *broker_config;
  proxy proxies[PLACES];
  player players[PLACES];
  const char *const *settings; /* settings of nodes, terminated by NULL */
  uint64_t seed, state;
  stream *streams;
  size_t streams_count;
  message *messages;
  size_t messages_count;
  reported *reported;
  size_t reported_count;
  spans stalls, faults;
  /* The pending request to the broker. */
  int probe;
  uint64_t asked_ns, ask_ns;
  /* Receives all messages that are published. */
  char *heard;
  size_t heard_len, heard_room, heard_count, bad_subjects_count;
  size_t failures;
  char *story; /* record of this round, printed if it fails */
  size_t story_len;
  FILE *trace;
  bool talks;
} world;

/* -------------------------------------------------------------------------------------------- start and end ------- */

/* settings: "heartbeat_ms=50"… terminated by NULL. Starts no node. */
void world_begin(world *w, uint64_t seed, const char *const *settings);
void world_end(world *w);
/* Start all three, and wait until they know each other's keys. */
void world_start_all(world *w);

/* Print a failure with the seed; the record follows at the end of the round. */
void world_fail(world *w, const char *format, ...) VESTRY_PRINTF(2, 3);
void world_note(world *w, const char *format, ...) VESTRY_PRINTF(2, 3);
void world_forget_story(world *w);

void world_pass(world *w, uint64_t ms);
/* Poll once, until then at most. */
void world_poll(world *w, uint64_t until_ns);
#define WORLD_AWAIT(w, ms, done)                                                                                       \
  do {                                                                                                                 \
    uint64_t began_ = clock_ns();                                                                                      \
    while (!(done)) {                                                                                                  \
      if (clock_ns() > began_ + (ms)*MS + world_stalled_ns((w), began_, clock_ns())) fail_msg("in vain: %s", #done);   \
      world_poll((w), clock_ns() + 5 * MS);                                                                            \
    }                                                                                                                  \
  } while (0)

/* ------------------------------------------------------------------------------------- nodes and the broker ------- */

void world_start(world *w, int place, const char *const *settings);
void world_kill(world *w, int place);
void world_stop(world *w, int place, bool stopped);
/* Close a node in order, and wait for its end. */
void world_quit(world *w, int place);
void world_broker_kill(world *w);
void world_broker_launch(world *w);
void world_broker_stop(world *w, bool stopped);

void world_say(world *w, int place, const char *format, ...) VESTRY_PRINTF(3, 4);
/* Return the number of the stream, or of the message. */
int world_open(world *w, int place, const char *key, bool replaces);
int world_join(world *w, int place, const char *channel);
int world_show(world *w, int place);
void world_close(world *w, int number);
int world_send(world *w, int place, char kind, const char *name);
int world_tell(world *w, int place, const char *name); /* a dispatch with the function that waits */
/* Request the counters, and wait for them. */
stats world_stats(world *w, int place);

bool stream_is_open(const world *w, const stream *s);
bool message_got(const message *m, int stream);

/* ---------------------------------------------------------------------------------------------------- times ------- */

uint64_t world_stalled_ns(const world *w, uint64_t from_ns, uint64_t to_ns);
/* Begin a fault that concerns these nodes, one bit each, and return its number; end it. STOPS(place): no process there
 * responds. */
#define PLACE(place) (1U << (place))
#define STOPS(place) (1U << ((place) + 8))
size_t world_fault(world *w, unsigned places);
void world_healed(world *w, size_t fault);
/* Return when none of these nodes has had a fault for within_ns, from from_ns on at the earliest: work that takes this
 * long must be done by then. Stalls are included. */
uint64_t world_deadline_ns(const world *w, unsigned places, uint64_t from_ns, uint64_t within_ns);

#endif
