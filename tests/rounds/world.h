/* SPDX-License-Identifier: MIT */
/* Three nodes, each a process, a broker, and a proxy before each node; and the record of all that was said and done.
 * One thread does all of it: time passes in world_pass and WORLD_AWAIT alone, in which proxies carry and lines are
 * taken.
 *
 * Who judges by times must know how long nobody was run: the machine has few processors, and others use them. Nodes
 * have a thread that only sleeps, the broker is asked every 10 ms whether it is there, and the world looks at its own
 * polls; what comes late by more than 15 ms is a stall, and bounds are longer by the stalls that lie in them. */
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

/* ---- the record ---- */

typedef struct span {
  uint64_t from_ns, to_ns;
  unsigned places; /* whom it concerns, a bit each */
} span;

typedef struct spans {
  span *all;
  size_t count;
} spans;

/* A stream of a node's. */
typedef struct stream {
  int place, life;
  char kind;     /* K: under a key; C: member of a channel; P: a page */
  char name[96]; /* as in commands: escaped */
  bool replaces;
  uint64_t opened_ns, left_ns; /* 0: not yet. left: it has ended, or its node died */
  bool is_told_to_close;
  char cause[16]; /* "": it has not ended */
  int *last;      /* of a sender's life: the last number that came; PLACES * LIVES_MOST */
} stream;

/* Something that was sent. */
typedef struct message {
  char kind; /* D: dispatch, B: broadcast, P: publish, R: refresh */
  int place, life;
  char name[96];
  uint64_t sent_ns; /* 0: the node has not come to it */
  uint64_t answered_ns;
  unsigned times; /* how often it was answered */
  char error[24];
  unsigned count;
  int *got; /* streams */
  size_t got_count;
  uint64_t heard_ns[PLACES]; /* of P: when it was heard there by a life that lives */
  int heard_life[PLACES];
  bool is_judged;
} message;

/* A gap, a render, or how a member is, as a node was told. */
typedef struct told {
  char kind; /* G, R, M */
  int place, life;
  int of; /* whose; -1: not known */
  char state[12];
  uint64_t at_ns;
} told;

typedef struct stats {
  size_t alive, unsynced;
  unsigned long long own, others, sent, over_budget, replaced, duplicates;
} stats;

typedef struct player {
  pid_t pid; /* 0: it does not run */
  int in, out;
  int life;
  bool is_up, is_stopped, has_gone; /* gone: in order */
  bool is_linked;                   /* to the broker, as it says in its log */
  uint64_t linked_ns;               /* since when */
  uint64_t up_ns, died_ns, stopped_ns, continued_ns;
  char *buffer;
  size_t len, room;
  stats stats;
  unsigned stats_count;
  unsigned long long marks;
  unsigned marks_count, held_count;
  char said[64]; /* what else it said last */
} player;

typedef struct world {
  nats_server server;
  bool is_broker_up, is_broker_stopped;
  /* With ROUNDS_BUSY in the environment: the machine holds the broker up now and then; when that changes. */
  bool is_busy, is_broker_held;
  uint64_t hold_ns;
  const char *broker_config;
  proxy proxies[PLACES];
  player players[PLACES];
  const char *const *settings; /* of nodes, up to a NULL */
  uint64_t seed, state;
  stream *streams;
  size_t streams_count;
  message *messages;
  size_t messages_count;
  told *told;
  size_t told_count;
  spans stalls, faults;
  /* The question to the broker that is under way. */
  int probe;
  uint64_t asked_ns, ask_ns;
  /* It hears all that anybody publishes. */
  char *heard;
  size_t heard_len, heard_room, heard_count, bad_subjects_count;
  size_t failures;
  char *story; /* of this round; told if it fails */
  size_t story_len;
  FILE *trace;
  bool talks;
} world;

/* ---- life ---- */

/* settings: "heartbeat_ms=50"… up to a NULL. Nobody is started. */
void world_begin(world *w, uint64_t seed, const char *const *settings);
void world_end(world *w);
/* All three, and wait until they know each other's keys. */
void world_start_all(world *w);

/* What is wrong: printed with the seed; the story follows at the round's end. */
void world_fail(world *w, const char *format, ...) VESTRY_PRINTF(2, 3);
void world_note(world *w, const char *format, ...) VESTRY_PRINTF(2, 3);
void world_forget_story(world *w);

void world_pass(world *w, uint64_t ms);
/* One poll, until then at most. */
void world_poll(world *w, uint64_t until_ns);
#define WORLD_AWAIT(w, ms, done)                                                                                       \
  do {                                                                                                                 \
    uint64_t began_ = clock_ns();                                                                                      \
    while (!(done)) {                                                                                                  \
      if (clock_ns() > began_ + (ms)*MS + world_stalled_ns((w), began_, clock_ns())) fail_msg("in vain: %s", #done);   \
      world_poll((w), clock_ns() + 5 * MS);                                                                            \
    }                                                                                                                  \
  } while (0)

/* ---- nodes and the broker ---- */

void world_start(world *w, int place, const char *const *settings);
void world_kill(world *w, int place);
void world_stop(world *w, int place, bool stopped);
/* It closes in order; awaited. */
void world_quit(world *w, int place);
void world_broker_kill(world *w);
void world_broker_launch(world *w);
void world_broker_stop(world *w, bool stopped);

void world_say(world *w, int place, const char *format, ...) VESTRY_PRINTF(3, 4);
/* Numbers of the stream, of the message. */
int world_open(world *w, int place, const char *key, bool replaces);
int world_join(world *w, int place, const char *channel);
int world_show(world *w, int place);
void world_close(world *w, int number);
int world_send(world *w, int place, char kind, const char *name);
int world_tell(world *w, int place, const char *name); /* a dispatch by the function that waits */
/* Asked and awaited. */
stats world_stats(world *w, int place);

bool stream_is_open(const world *w, const stream *s);
bool message_got(const message *m, int stream);

/* ---- times ---- */

uint64_t world_stalled_ns(const world *w, uint64_t from_ns, uint64_t to_ns);
/* A fault begins, which concerns these places, a bit each; its number. It ends. STOPS(place): nobody there answers. */
#define PLACE(place) (1U << (place))
#define STOPS(place) (1U << ((place) + 8))
size_t world_fault(world *w, unsigned places);
void world_healed(world *w, size_t fault);
/* When nobody of these has had a fault for within_ns, from from_ns on at the earliest: what takes so long is to be done
 * by then. Stalls are reckoned in. */
uint64_t world_deadline_ns(const world *w, unsigned places, uint64_t from_ns, uint64_t within_ns);

#endif
