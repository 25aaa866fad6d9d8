/* SPDX-License-Identifier: MIT */
/* Channels of a chat in a PostgreSQL database, and pages in this process that show them. */
#ifndef BENCH_COMMANDS_POSTGRES_H
#define BENCH_COMMANDS_POSTGRES_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vestry/data/postgres.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

enum { CHANNELS_SEEN = 20 };                /* rows with read positions, for each user */
#define POSTGRES_FOLLOWER "vestry-postgres" /* name of the follower's thread */

/* Options of the command. */
typedef struct channels_options {
  const char *url;
  uint64_t channels, messages; /* initial messages of each channel */
  uint64_t commits, turns, seconds, pages;
  uint64_t database_pid; /* first process of the server; 0: unknown */
} channels_options;

/* Let this process create and drop tables only in a separate schema of the database; other tables are never changed.
 * false: one line on stderr has the reason. */
bool channels_own_schema(const char *url);

/* Properties of the pages. */
typedef struct channels_way {
  uint32_t threads_count;  /* rendering threads; 0: the runtime is stepped */
  bool is_followed;        /* followed by vestry_postgres; otherwise pages read in READ COMMITTED without recording */
  bool has_topics;         /* pages name the topic of their channel, which is refreshed after each message */
  bool keeps_reads;        /* the program reads a channel once after each of its messages, and keeps its HTML */
  bool has_items;          /* page N shows one row of the table item instead, whose id is 2 N */
  bool has_seen;           /* a page also shows the read positions of its user: user N on page N */
  const vestry_host *host; /* host for the data of the database; NULL: the default */
} channels_way;

/* The HTML of a channel that the program keeps. */
typedef struct channels_kept {
  pthread_mutex_t lock;
  bool is_current; /* guarded by lock */
  vestry_html html;
} channels_kept;

/* Page N shows the last fifty messages of channel N modulo their number. */
typedef struct channels {
  const channels_options *is;
  channels_way way;
  PGconn *writer;
  vestry *v;
  vestry_pages *pages;
  vestry_sql_pool *pool;
  vestry_postgres *database; /* NULL: not followed */
  channels_kept *kept;       /* of each channel; NULL: none is kept */
  vestry_memory_exchange **tabs;
  uint64_t tabs_count, random, written;
  uint64_t channel;          /* of the last message */
  _Atomic(uint64_t) renders; /* relaxed: only a counter */
  /* A number that an item gets, and when a page has shown it; shown_ns 0: not yet. */
  _Atomic(uint64_t) awaited, shown_ns;
} channels;

/* Create the tables, with their rows. false, here and below: one line on stderr has the reason. */
bool channels_make(const channels_options *options);
/* Create an instance without tabs. Call close even after a failure. */
bool channels_open(channels *c, const channels_options *options, const channels_way *way);
void channels_close(channels *c);
/* Open a tab for each page, and render the pages. */
bool channels_show(channels *c, uint64_t pages);
/* Run a statement of the writer, with its own commit. */
bool channels_run(channels *c, const char *sql);
/* Insert a message into a random channel. */
bool channels_insert(channels *c);
/* Wait until all commits are shown. */
bool channels_settle(channels *c);
/* Render every page, and wait for it. */
bool channels_render_all(channels *c);
uint64_t channels_chance(channels *c, uint64_t below);
/* Open a connection that receives the WAL from now on, without a slot. NULL: one line on stderr has the reason. */
PGconn *channels_receive(const char *url);
/* Print a line on stderr with the failed operation. Returns false. */
bool channels_complain(const char *what);

/* The parts of the benchmark. Each prints one or more lines. */
bool channels_renders(const channels_options *options);
bool channels_delay(const channels_options *options);
bool channels_record(const channels_options *options);
bool channels_follower(const channels_options *options);
bool channels_many(const channels_options *options);
bool channels_polling(const channels_options *options);
/* Keep pages open and followed, from the output "ready" until stdin ends. */
bool channels_hold(const channels_options *options);
/* The least that a follower can cost: receive the WAL, and drop it unread, from the output "ready" until stdin ends. */
bool channels_drop(const channels_options *options);

#endif
