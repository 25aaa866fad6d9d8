/* SPDX-License-Identifier: MIT */
/* Statistics of a program over a database, in the footer of its page: its nodes, tabs, renders per commit, bytes, and
 * the time from a commit to the screen. Each node writes its row of a table once per second, and pages show all rows. A
 * node that does not write is shown as unplugged. The program creates the table:
 *
 *    CREATE TABLE node(number INTEGER PRIMARY KEY, beat_ms BIGINT, tabs BIGINT, renders BIGINT, commits BIGINT,
 *      bytes BIGINT); */
#ifndef EXAMPLES_HOUSE_H
#define EXAMPLES_HOUSE_H

#include <stdatomic.h>

#include "../shared/database.h"
#include "nodes.h"
#include "vestry/app/clock.h"

enum { HOUSE_SEEN_COUNT = 512 };

struct house {
  vestry *v;
  vestry_pages *pages;
  struct database *db;
  struct node node;
  vestry_timer *timer;
  uint64_t renders, commits, bytes;                  /* at the last beat; used by its thread only */
  atomic_uint seen_ms[HOUSE_SEEN_COUNT], seen_count; /* the last delays, plus 1 */
};

/* Begin to write the node's row, on a timer of clerk, a runtime that may block; and receive the reports of pages at
 * POST /seen/{at}. The members of house are borrowed until house_end. After that, its pages must not be rendered. */
vestry_err house_begin(struct house *house, vestry_runtime *clerk);
void house_end(struct house *house);

/* Render function of a part (vestry/app/page.h); its app is the struct house. */
vestry_err house_part(vestry_render *render, vestry_html *html, void *house);
/* Append an element, outside of the content, that reports when a change is visible on the screen, at most once per
 * second. The signal _at is the time (vestry_clock_ms) of the last write that the page shows. */
vestry_err house_put_seen(vestry_html *html);

#endif
