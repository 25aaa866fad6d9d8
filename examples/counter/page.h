/* SPDX-License-Identifier: MIT */
/* The counter's page: page.html with its {{names}} filled in. */
#ifndef COUNTER_PAGE_H
#define COUNTER_PAGE_H

#include "vestry/vestry.h"

struct page_state {
  int64_t counter;
  bool running;
  /* URL of the Datastar client, and the document's nonce: inserted without escaping, because they contain no text of
   * users */
  const char *client, *nonce;
  bool client_needs_eval; /* the client is older than 1.0.3 */
};

/* Answer with the page and its headers. */
vestry_err page_reply(const struct page_state *state, vestry_reply *reply);

/* page.html, converted to an array by the build. */
extern const unsigned char page_html[];
extern const size_t page_html_len;

#endif
