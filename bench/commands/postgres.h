/* SPDX-License-Identifier: MIT */
/* Channels of a chat in a database of PostgreSQL, and pages that show them, in this process. */
#ifndef BENCH_COMMANDS_POSTGRES_H
#define BENCH_COMMANDS_POSTGRES_H

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vestry/data/postgres.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

enum { CHANNELS_SEEN = 20 }; /* of each user: rows that say how far that user has read */

/* What the command was told. */
typedef struct channels_options {
  const char *url;
  uint64_t channels, messages; /* messages of each channel, before anything is measured */
  uint64_t commits, turns, seconds, pages;
  uint64_t database_pid; /* of the server's first process; 0: not known */
} channels_options;

/* From now on this process makes, and drops, tables of a schema of its own in the database. Those of others stay as
 * they are, however they are called. false: one line on stderr says why. */
bool channels_own_schema(const char *url);

/* How pages are made. */
typedef struct channels_way {
  uint32_t threads_count;  /* that render; 0: the runtime is stepped */
  bool is_followed;        /* by vestry_postgres; otherwise they read in READ COMMITTED, and nothing is recorded */
  bool has_seen;           /* a page shows how far its user has read, too: user N on page N */
  const vestry_host *host; /* of what is kept for the database; NULL: the default */
} channels_way;

/* Page N shows the last fifty messages of channel N modulo their number. */
typedef struct channels {
  const channels_options *is;
  channels_way way;
  PGconn *writer;
  vestry *v;
  vestry_pages *pages;
  vestry_sql_pool *pool;
  vestry_postgres *database; /* NULL: they are not followed */
  vestry_memory_exchange **tabs;
  uint64_t tabs_count, random, written;
  _Atomic(uint64_t) renders; /* relaxed: a count */
} channels;

/* Make the tables, with their rows. false, here and below: one line on stderr says why. */
bool channels_make(const channels_options *options);
/* An instance without a tab. Close it all the same when it fails. */
bool channels_open(channels *c, const channels_options *options, const channels_way *way);
void channels_close(channels *c);
/* A tab for each of so many pages, that are rendered. */
bool channels_show(channels *c, uint64_t pages);
/* A statement of the writer's, which commits by itself. */
bool channels_run(channels *c, const char *sql);
/* A message of a channel by chance. */
bool channels_insert(channels *c);
/* Wait until all that is committed is shown. */
bool channels_settle(channels *c);
/* Render every page, and wait for it. */
bool channels_render_all(channels *c);
uint64_t channels_chance(channels *c, uint64_t below);
/* false, after a line on stderr: what failed. */
bool channels_complain(const char *what);

/* The parts: each prints a line or more. */
bool channels_renders(const channels_options *options);
bool channels_delay(const channels_options *options);
bool channels_record(const channels_options *options);
bool channels_follower(const channels_options *options);
bool channels_polling(const channels_options *options);
/* Pages are open, and followed, from the line "ready" on, until stdin ends. */
bool channels_hold(const channels_options *options);

#endif
