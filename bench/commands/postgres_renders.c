/* SPDX-License-Identifier: MIT */
/* The number of pages that a commit renders: an insert, an update of one of the last ten messages of a channel, an
 * upsert of a user's read position. The exact number is one, because there is one page for each channel and each
 * user. */
#include <stdio.h>

#include "postgres.h"

enum { SQL_BYTES = 512, NEAR = 10 };

static bool update(channels *c) {
  char sql[SQL_BYTES];
  snprintf(
      sql, sizeof sql,
      "UPDATE message SET body = body || '!' WHERE (channel, id) = (SELECT channel, id FROM message WHERE channel = %u "
      "ORDER BY id DESC OFFSET %u LIMIT 1)",
      (unsigned)channels_chance(c, c->is->channels), (unsigned)channels_chance(c, NEAR));
  return channels_run(c, sql);
}

static bool upsert(channels *c) {
  char sql[SQL_BYTES];
  snprintf(sql, sizeof sql,
           "INSERT INTO seen VALUES(%u, %u, %u) ON CONFLICT(person, channel) DO UPDATE SET id = excluded.id",
           (unsigned)channels_chance(c, c->is->channels), (unsigned)channels_chance(c, CHANNELS_SEEN),
           (unsigned)++c->written);
  return channels_run(c, sql);
}

static const struct {
  const char *name;
  bool has_seen;
  bool (*commit)(channels *c);
} changes[] = {{"insert", false, channels_insert},
               {"update", false, update},
               {"insert+seen", true, channels_insert},
               {"upsert", true, upsert}};
enum { CHANGES_COUNT = sizeof changes / sizeof *changes };

static bool measure(channels *c, size_t change) {
  const uint64_t commits = c->is->commits;
  atomic_store_explicit(&c->renders, 0, memory_order_relaxed);
  for (uint64_t i = 0; i < commits; i++)
    if (!changes[change].commit(c) || !channels_settle(c)) return false;
  vestry_postgres_stats stats = {0};
  vestry_postgres_stats_get(c->database, &stats);
  printf("renders change=%s pages=%llu a_commit=%.3f by_row=%llu by_leaf=%llu by_table=%llu overtaken=%llu "
         "promoted=%llu recorded=%llu\n",
         changes[change].name, (unsigned long long)c->tabs_count,
         (double)atomic_load_explicit(&c->renders, memory_order_relaxed) / (double)commits,
         (unsigned long long)stats.refreshed_by_row, (unsigned long long)stats.refreshed_by_leaf,
         (unsigned long long)stats.refreshed_by_table, (unsigned long long)stats.overtaken_count,
         (unsigned long long)stats.promoted_count, (unsigned long long)stats.recorded_count);
  return true;
}

bool channels_renders(const channels_options *options) {
  bool is_done = true;
  for (size_t i = 0; is_done && i < CHANGES_COUNT; i++) {
    channels c;
    is_done = channels_open(&c, options, &(channels_way){.is_followed = true, .has_seen = changes[i].has_seen}) &&
              channels_show(&c, options->channels) && measure(&c, i);
    channels_close(&c);
  }
  return is_done;
}
