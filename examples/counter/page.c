/* SPDX-License-Identifier: MIT */
#include "page.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../shared/head.h"
#include "vestry/app/csp.h"

/* Return the value of a name of len bytes; NULL: unknown name. */
static const char *value_of(const struct page_state *state, const char *name, size_t len, char *buffer,
                            size_t capacity) {
  if (len == 7 && memcmp(name, "counter", len) == 0) {
    snprintf(buffer, capacity, "%" PRId64, state->counter);
    return buffer;
  }
  if (len == 7 && memcmp(name, "running", len) == 0) return state->running ? "true" : "false";
  if (len == 6 && memcmp(name, "client", len) == 0) return state->client;
  if (len == 5 && memcmp(name, "nonce", len) == 0) return state->nonce;
  if (len == 5 && memcmp(name, "style", len) == 0) return (const char *)style_css;
  if (len == 4 && memcmp(name, "head", len) == 0) return PAGE_VIEWPORT PAGE_HEAD;
  return NULL;
}

/* Return the page with its values, to be freed; NULL: out of memory. */
static char *fill(const struct page_state *state, size_t *ret_len) {
  char *page = NULL;
  FILE *out = open_memstream(&page, ret_len);
  if (!out) return NULL;
  const char *rest = (const char *)page_html, *end = rest + page_html_len;
  while (rest < end) {
    const char *open = memmem(rest, (size_t)(end - rest), "{{", 2);
    const char *close = open ? memmem(open, (size_t)(end - open), "}}", 2) : NULL;
    const char *next = close ? close + 2 : end;
    char number[24];
    const char *value = close ? value_of(state, open + 2, (size_t)(close - open - 2), number, sizeof number) : NULL;
    fwrite(rest, 1, (size_t)((value ? open : next) - rest), out);
    if (value) fputs(value, out);
    rest = next;
  }
  if (fclose(out) == 0) return page;
  free(page);
  return NULL;
}

/* The usual policy, but the page has no form that a browser may submit. */
#define POLICY                                                                                                         \
  "default-src 'none'; base-uri 'none'; connect-src 'self'; font-src 'self'; form-action 'none'; "                     \
  "frame-ancestors 'none'; img-src 'self' data:; script-src {client} {nonce}; style-src 'self' {nonce}"

vestry_err page_reply(const struct page_state *given, vestry_reply *reply) {
  struct page_state state = *given;
  vestry_err err = vestry_reply_csp(reply, &(vestry_csp){.client = state.client,
                                                         .client_needs_eval = state.client_needs_eval,
                                                         .trusted_types = !state.client_needs_eval,
                                                         .policy = POLICY});
  if (err) return err;
  state.nonce = vestry_reply_nonce(reply);
  size_t len = 0;
  char *page = fill(&state, &len);
  if (!page) return VESTRY_NO_MEMORY;
  vestry_reply_header(reply, "Cache-Control", "no-store"); /* it shows the current value */
  err = vestry_reply_body(reply, NULL, page, len);
  free(page);
  return err;
}
