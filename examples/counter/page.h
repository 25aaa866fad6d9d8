/* SPDX-License-Identifier: MIT */
/* The counter's page: page.html with its {{names}} filled in. */
#ifndef COUNTER_PAGE_H
#define COUNTER_PAGE_H

#include "vestry/vestry.h"

struct page_state {
  int64_t counter;
  bool running;
  const char *client, *nonce; /* URL of the Datastar client, and the document's nonce: no user's text, nothing here is
                                 escaped */
  bool client_needs_eval;     /* it is one before 1.0.3 */
};

/* The page as an answer, with the headers that go with it. */
vestry_err page_reply(const struct page_state *state, vestry_reply *reply);

/* page.html, made into an array by the build. */
extern const unsigned char page_html[];
extern const size_t page_html_len;

#endif
