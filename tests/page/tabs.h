/* SPDX-License-Identifier: MIT */
/* Pages with a heading of each one's own and a list that is a part, and browsers' tabs that show them. */
#ifndef TESTS_PAGE_TABS_H
#define TESTS_PAGE_TABS_H

#include "support/site.h"
#include "vestry/app/page.h"

enum { LONG = 1000000000 }; /* a heading that comes with a lot */

/* A heading of each page's own, and a list that is a part. */
typedef struct suite {
  site on;
  int heading, which, lists[3]; /* which: the list that pages show */
  uint64_t version;
  size_t calls, parts;
  vestry_err error, part_error; /* of renders for streams */
  bool denied;
  void (*inside)(struct suite *s, vestry_render *render); /* of a render for a stream */
} suite;

/* A browser's tab: what it shows, and what it will say that it has. */
typedef struct tab {
  const char *path, *cookie;
  vestry_memory_exchange *stream; /* NULL: none */
  char id[400];
  int heading, item;
} tab;

vestry_err tabs_render(vestry_render *render, vestry_html *html, void *app);
vestry_err tabs_begin(suite *s);
vestry_err tabs_get(suite *s, const tab *t, bool datastar, vestry_memory_exchange **ret);
/* What came changes what it shows, as in a browser: some text, or what the stream brought since. */
void tabs_take(tab *t, const char *text);
const char *tabs_read(tab *t);
bool tabs_load(suite *s, tab *t);
void tabs_stream(suite *s, tab *t);
void tabs_open(suite *s, tab *t, const char *path, const char *cookie);
void tabs_break_off(tab *t);
/* Break off, and let the server notice. */
void tabs_leave(suite *s, tab *t);
void tabs_refresh(suite *s, const char *topic);
void tabs_check(suite *s, tab *t);
/* One tab of the private page, and the end of both. */
void tabs_begin_one(suite *s, tab *t);
void tabs_end_one(suite *s, tab *t);

#endif
