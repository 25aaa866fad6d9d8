/* SPDX-License-Identifier: MIT */
/* An application whose pages show one room each, and the tabs of its pages. */
#ifndef TESTS_PAGE_ROOMS_H
#define TESTS_PAGE_ROOMS_H

#include "support/site.h"
#include "vestry/app/page.h"

typedef struct room {
  char text[20000];
  uint64_t version;
} room;

typedef struct suite {
  site on;
  vestry_page *page;
  room rooms[4];
  size_t calls, parts; /* of pages and of parts */
  bool versioned, denied;
  vestry_err unsure;         /* allow returns it */
  int status;                /* of the next renders */
  vestry_err error;          /* of the next renders */
  const char *refreshes;     /* topic that is refreshed inside the render, once */
  bool late_topic;           /* the topic is named after reading */
  bool has_no_topic;         /* parts name no topic */
  char order[64];            /* of renders: "p" a page, "l" a part */
  uint64_t page_ms, part_ms; /* duration of a render */
  size_t part_again;         /* how often the part's render refreshes the part */
} suite;

/* A tab with its document and its stream. */
typedef struct tab {
  vestry_memory_exchange *stream;
  char tag[400];
} tab;

room *rooms_at(suite *s, const char *name);
void rooms_begin(suite *s, const vestry_pages_options *options);
void rooms_put(suite *s, size_t at, const char *text);
void rooms_get(suite *s, const char *path, const char *query, const char *cookie, const char *had, bool datastar,
               vestry_memory_exchange **ret);
/* Copy the text between two texts. */
void rooms_between(const char *in, const char *from, const char *to, char *out, size_t out_room);
void rooms_open(suite *s, tab *t, const char *path, const char *query, const char *cookie);
void rooms_close(tab *t);
/* Return what was received, without the heartbeat and the retry delay. */
const char *rooms_since(tab *t);

#define ROOMS_CASE(name) TEST_CASE_WITH(name, suite, s, rooms_begin(s, NULL), site_end(&s->on))

#endif
