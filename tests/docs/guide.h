/* SPDX-License-Identifier: MIT */
/* The browser in the hidden parts of the guide's pages: an instance with a clock that the page advances, and exchanges
 * that print the bytes that they receive. docs/guide/testing.md describes the technique. */
#ifndef TESTS_DOCS_GUIDE_H
#define TESTS_DOCS_GUIDE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vestry/app/csrf.h"
#include "vestry/app/once.h"
#include "vestry/app/secret.h"
#include "vestry/app/session.h"
#include "vestry/app/stream.h"
#include "vestry/app/tab.h"
#include "vestry/testing/browser.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

/* End the program with a message if the call fails. */
#define GUIDE_MUST(call)                                                                                               \
  do {                                                                                                                 \
    vestry_err guide_error_ = (call);                                                                                  \
    if (guide_error_) {                                                                                                \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, vestry_strerror(guide_error_));                    \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

static uint64_t guide_now_ns_ = 1000000000;

static inline uint64_t guide_clock_(void *ctx) {
  (void)ctx;
  return guide_now_ns_;
}

/* Return the host of the instances, with the clock that the page advances. */
static inline const vestry_host *guide_host(void) {
  static vestry_host host;
  host = *vestry_host_default();
  host.now_ns = guide_clock_;
  host.coarse_ns = NULL;
  return &host;
}

/* Create an instance that the page steps. */
static inline vestry *guide_start(vestry_options options) {
  options.host = guide_host();
  options.threads_count = VESTRY_THREADS_NONE;
  vestry *v;
  GUIDE_MUST(vestry_create(&options, &v));
  return v;
}

static inline void guide_pass_ms(vestry *v, uint64_t ms) {
  guide_now_ns_ += ms * 1000000;
  vestry_memory_settle(v);
}

/* Send a request as the Datastar client. signals: JSON, as a body; NULL: none. cookie: the value of the header; NULL:
 * none. */
static inline vestry_memory_exchange *guide_request(vestry *v, const char *method, const char *path,
                                                    const char *signals, const char *cookie, vestry_handler_fn handler,
                                                    void *app) {
  vestry_header header = {"Cookie", cookie};
  vestry_memory_call call = {.method = method,
                             .path = path,
                             .datastar = true,
                             .headers = &header,
                             .headers_count = cookie ? 1 : 0,
                             .body = signals,
                             .body_len = signals ? strlen(signals) : 0};
  vestry_memory_exchange *exchange;
  GUIDE_MUST(vestry_memory_request(v, &call, handler, app, &exchange));
  vestry_memory_settle(v);
  return exchange;
}

/* Print the bytes that the exchange has received after the first *shown bytes, line by line, each after a name. An
 * answer begins with its status. */
static inline void guide_show(const char *who, vestry_memory_exchange *exchange, size_t *shown) {
  if (*shown == 0 && !vestry_memory_look(exchange).connection)
    printf("%s | %d\n", who, vestry_memory_look(exchange).status);
  vestry_slice got = vestry_memory_look(exchange).received;
  const char *text = got.data;
  for (size_t at = *shown; at < got.len;) {
    size_t len = strcspn(text + at, "\n");
    if (len) printf("%s | %.*s\n", who, (int)len, text + at);
    at += len + 1;
  }
  *shown = got.len;
}

/* The same, and destroy the exchange. */
static inline void guide_finish(const char *who, vestry_memory_exchange *exchange) {
  size_t shown = 0;
  guide_show(who, exchange, &shown);
  vestry_memory_destroy(exchange);
}

#endif
