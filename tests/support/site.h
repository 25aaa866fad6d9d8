/* SPDX-License-Identifier: MIT */
/* The setup for suites of the modules above coding: an instance on a stepped runtime, with a clock that the test
 * advances and counted memory; optionally with pages. A suite has it as its member `on`, beside its own state. */
#ifndef TESTS_SUPPORT_SITE_H
#define TESTS_SUPPORT_SITE_H

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/app/page.h"
#include "vestry/app/session.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

typedef struct site {
  test_host th;
  vestry *v;
  vestry_pages *pages; /* NULL: none */
} site;

/* The extensions of an instance. */
typedef struct site_has {
  const vestry_session_options *sessions; /* NULL: none */
  const char *secret;                     /* terminated; NULL: none */
} site_has;

/* options: the site sets the host, and the runtime unless it or a number of threads is given. */
void site_begin(site *s, vestry_options options);
void site_begin_pages(site *s, vestry_options options, const vestry_pages_options *pages);
void site_add_pages(site *s, const vestry_pages_options *pages);
void site_begin_with(site *s, vestry_options options, site_has has);
/* site_begin_with without the assertion, on an initialized test host. On failure s->v is NULL. */
vestry_err site_try(site *s, vestry_options options, site_has has);
/* Add the extensions to an instance. */
vestry_err site_give(vestry *v, site_has has);
/* A scope for each text of the Cookie header, for options. */
vestry_err site_by_cookie(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx);

/* Run everything that is ready. */
void site_settle(site *s);
/* Advance the clock, and run everything that is ready. */
void site_pass_ms(site *s, uint64_t ms);
/* Run until each page has been rendered as often as needed. */
void site_settle_pages(site *s);
/* Refresh a topic, or all with NULL, and run the renders of its pages. */
void site_refresh(site *s, const char *topic);
/* Send a request to a route. The caller destroys the exchange. */
vestry_memory_exchange *site_request(site *s, const vestry_memory_call *call);

vestry_store_stats store_stats_of(vestry *v);
vestry_pages_stats site_pages_stats(const site *s);
/* Check that the counters of pages add up. */
void site_check_pages(const site *s);
/* Check the counters of a stopped instance: opened = open + closed, put = live + removed, accepted = written +
 * discarded + conflated. */
void site_check_stopped(vestry *v);

/* Stop, check that all counters add up and no stream is left, and destroy. Objects that the test still references may
 * hold memory. */
void site_close(site *s);
/* The same, and check that no memory leaks. */
void site_end(site *s);

/* A case with a site of default options. */
#define SITE_CASE(name) TEST_CASE_WITH(name, site, w, site_begin(w, (vestry_options){0}), site_end(w))

#endif
