/* SPDX-License-Identifier: MIT */
/* An application on a stepped runtime, and a browser of its user, with counted memory. */
#ifndef TESTS_APPLICATION_WORLD_H
#define TESTS_APPLICATION_WORLD_H

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/app/application.h"
#include "vestry/testing/browser.h"

typedef struct world {
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  vestry_browser_page *page; /* NULL: none */
} world;

/* Create an application of these options without TLS, with forms and a secret unless they are given, on a host. */
vestry_err world_create(test_host *th, vestry_application_options options, vestry_application **ret_app);
/* The same, with a browser, which opens the page of this path. NULL: none. */
void world_open(world *w, vestry_application_options options, const char *path);
/* Destroy all, and check that no memory leaks. */
void world_close(world *w);

/* Copy the text between `before` and the next character of `end`. */
void world_cut(const char *html, const char *before, const char *end, char *ret_text, size_t capacity);

/* The proofs of a form in a document. */
typedef struct world_proofs {
  char csrf[VESTRY_CSRF_TOKEN_BYTES], once[VESTRY_ONCE_NONCE_BYTES];
} world_proofs;
world_proofs world_proofs_in(const char *html);
/* The same, of the document at this path. */
world_proofs world_proofs_at(world *w, const char *path);

#endif
