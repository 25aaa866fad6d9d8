/* SPDX-License-Identifier: MIT */
/* What a program over a database says of itself at the foot of its page: its nodes, tabs, renders a commit, bytes, and
 * how long it takes from a commit to a screen. Each node writes its row of a table once a second, and pages show all
 * rows; a node that is silent is shown as unplugged. The table is the program's:
 *
 *    CREATE TABLE node(number INTEGER PRIMARY KEY, beat_ms BIGINT, tabs BIGINT, renders BIGINT, commits BIGINT,
 *      bytes BIGINT); */
#ifndef EXAMPLES_HOUSE_H
#define EXAMPLES_HOUSE_H

#include <stdatomic.h>

#include "database.h"
#include "nodes.h"

enum { HOUSE_SEEN_COUNT = 512 };

struct house {
  vestry *v;
  vestry_pages *pages;
  struct database *db;
  struct node node;
  vestry_timer *timer;
  uint64_t renders, commits, bytes;                  /* at the last beat, whose thread alone uses them */
  atomic_uint seen_ms[HOUSE_SEEN_COUNT], seen_count; /* of the last ones, + 1 */
};

/* Milliseconds since 1970. */
int64_t now_ms(void);

/* Begin to write, by a timer of the clerk's, a runtime that may block; and take what pages say they have shown, at POST
 * /seen/{at}. What the house has been given is borrowed until house_end, after which its pages are rendered no more. */
vestry_err house_begin(struct house *house, vestry_runtime *clerk);
void house_end(struct house *house);

/* A part's render (vestry/app/page.h); its app is the house. */
vestry_err house_part(vestry_render *render, vestry_html *html, void *house);
/* Append an element, outside of the content, that says what the page has shown when that is on the screen, once a
 * second at most: the signal _at is the time of the last write that the page shows, as now_ms. */
vestry_err house_put_seen(vestry_html *html);

#endif
