/* SPDX-License-Identifier: MIT */
/* Requests and pages of tabs that write, read and show their states, for any database. */
#ifndef TESTS_GUARD_TAB_ACTS_H
#define TESTS_GUARD_TAB_ACTS_H

#include "support/site.h"
#include "vestry/app/page.h"
#include "vestry/app/tab.h"

enum { TAB_TOKEN_BYTES = 100, TAB_READ_BYTES = 300 };

/* A site over a database, and the functions with which its handlers and renders use states. ctx: for get and set. */
typedef struct tab_node {
  site *on;
  void *ctx;
  vestry_err (*get)(void *ctx, const vestry_request *req, vestry_render *render, void *buffer, size_t capacity,
                    size_t *ret_len);
  vestry_err (*set)(void *ctx, const vestry_request *req, const void *data, size_t len);
  const char *peer; /* the address of its clients; NULL: none */
} tab_node;

/* One request of a tab's handler. */
typedef struct tab_act {
  const tab_node *node;
  vestry_err error;
  const char *write; /* NULL: read */
  size_t write_len;
  char read[TAB_READ_BYTES];
  size_t read_len, capacity;
  char token[TAB_TOKEN_BYTES]; /* of a new tab: the value of its signal */
} tab_act;

/* Send a request of a tab. token: the value of its signal; "": its first request. */
void tab_ask(tab_act *a, const char *cookie, const char *token);
vestry_err tab_write(const tab_node *s, const char *cookie, const char *token, const void *data, size_t len);
/* Return the state as text, valid until the next call. The read must succeed. */
const char *tab_read(const tab_node *s, const char *cookie, const char *token);
/* Send a tab's first request, and return its token. */
void tab_begin(const tab_node *s, const char *cookie, char token[TAB_TOKEN_BYTES]);

/* A page that shows the state of its tab, open in two tabs of one scope. */
typedef struct tab_shown {
  tab_node s;
  vestry_page *page;
  size_t renders[2]; /* since the last check */
  char texts[2][TAB_READ_BYTES];
  vestry_memory_exchange *tabs[2];
} tab_shown;

/* Serve the page at /shown, and open it in two tabs. */
void tab_show(tab_shown *w, const tab_node *s, char one[TAB_TOKEN_BYTES], char other[TAB_TOKEN_BYTES]);
void tab_show_no_more(tab_shown *w);
/* Check the number of renders in each tab since the last check. Each commit must have been followed. */
void tab_check_renders(tab_shown *w, size_t one, size_t other);

#endif
