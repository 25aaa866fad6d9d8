/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "chat.h"

/* The table `seen` has the read positions of all users and changes with each message. A page that read it normally
 * would be rendered for changes of adjacent rows in the file. Therefore pages read it aside, and a change refreshes the
 * topic of its user. Deleted messages (`gone`) affect the unread counts of all users, so their changes refresh all
 * pages. */
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
