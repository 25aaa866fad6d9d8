/* SPDX-License-Identifier: MIT */
/* Pages with their own heading and a list that is a part, and the tabs of browsers that show them. */
#ifndef TESTS_PAGE_TABS_H
#define TESTS_PAGE_TABS_H

#include "support/site.h"
#include "vestry/app/page.h"

enum { LONG = 1000000000 }; /* a heading with a long text */

/* A site whose pages have a heading and a part with a list. */
typedef struct suite {
  site on;
  int heading, which, lists[3]; /* which: the list that pages show */
  uint64_t version;
  size_t calls, parts;
  vestry_err error, part_error; /* of renders for streams */
  bool denied;
  void (*inside)(struct suite *s, vestry_render *render); /* called in a render for a stream */
} suite;

/* A tab of a browser: the content that it shows, and the tag that it sends. */
typedef struct tab {
  const char *path, *cookie;
  vestry_memory_exchange *stream; /* NULL: none */
  char id[400];
  int heading, item;
} tab;

vestry_err tabs_render(vestry_render *render, vestry_html *html, void *app);
vestry_err tabs_begin(suite *s);
vestry_err tabs_get(suite *s, const tab *t, bool datastar, vestry_memory_exchange **ret);
/* Apply a text, or the events received since, as a browser does. */
void tabs_take(tab *t, const char *text);
const char *tabs_read(tab *t);
bool tabs_load(suite *s, tab *t);
void tabs_stream(suite *s, tab *t);
void tabs_open(suite *s, tab *t, const char *path, const char *cookie);
void tabs_break_off(tab *t);
/* Break off, and let the server detect it. */
void tabs_leave(suite *s, tab *t);
void tabs_refresh(suite *s, const char *topic);
void tabs_check(suite *s, tab *t);
/* Begin with one tab of the private page; end both. */
void tabs_begin_one(suite *s, tab *t);
void tabs_end_one(suite *s, tab *t);

#define TABS_CASE(name) TEST_CASE_WITH(name, suite, s, tabs_begin(s), site_end(&s->on))

#endif
