/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "chat.h"

/* With each message somebody has read more, in a table of everybody's: a page that read it would be rendered for what
 * stands next to its rows in the file. So it is read aside, and refreshes whose it is. What is gone is counted with it,
 * and refreshes all. */
void say_topics(vestry_sqlite_change *change, const char *table, int64_t rowid, void *app) {
  char topic[VESTRY_PAGE_TOPIC_MAX_BYTES];
  (void)rowid, (void)app;
  if (strcmp(table, "gone") == 0) vestry_sqlite_topic(change, "gone");
  if (strcmp(table, "seen") != 0) return;
  sqlite3_value *user = vestry_sqlite_change_value(change, VESTRY_SQLITE_NEW, 0);
  if (!user) user = vestry_sqlite_change_value(change, VESTRY_SQLITE_OLD, 0);
  const char *name = user ? (const char *)sqlite3_value_text(user) : NULL;
  snprintf(topic, sizeof topic, "seen/%s", name ? name : "");
  vestry_sqlite_topic(change, topic);
}
