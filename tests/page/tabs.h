/* SPDX-License-Identifier: MIT */
/* Pages with a heading of each one's own and a list that is a part, and browsers' tabs that show them. */
#ifndef TESTS_PAGE_TABS_H
#define TESTS_PAGE_TABS_H

#include "page/site.h"

enum { LONG = 1000000000 }; /* a heading that comes with a lot */

/* A heading of each page's own, and a list that is a part. */
typedef struct site {
  page_site on;
  int heading, which, lists[3]; /* which: the list that pages show */
  uint64_t version;
  size_t calls, parts;
  vestry_err error, part_error; /* of renders for streams */
  bool denied;
  void (*inside)(struct site *s, vestry_render *render); /* of a render for a stream */
} site;

/* A browser's tab: what it shows, and what it will say that it has. */
typedef struct tab {
  const char *path, *cookie;
  vestry_memory_exchange *stream; /* NULL: none */
  char id[400];
  int heading, item;
} tab;

vestry_err tabs_render(vestry_render *render, vestry_html *html, void *app);
vestry_err tabs_begin(site *s);
vestry_err tabs_get(site *s, const tab *t, bool datastar, vestry_memory_exchange **ret);
/* What came changes what it shows, as in a browser. */
const char *tabs_read(tab *t);
bool tabs_load(site *s, tab *t);
void tabs_stream(site *s, tab *t);
void tabs_open(site *s, tab *t, const char *path, const char *cookie);
void tabs_break_off(tab *t);
/* Break off, and let the server notice. */
void tabs_leave(site *s, tab *t);
void tabs_settle(site *s);
void tabs_pass(site *s, uint64_t ms);
void tabs_refresh(site *s, const char *topic);
void tabs_check(site *s, tab *t);
/* One tab of the private page, and the end of both. */
void tabs_begin_one(site *s, tab *t);
void tabs_end_one(site *s, tab *t);

#endif
