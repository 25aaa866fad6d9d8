/* SPDX-License-Identifier: MIT */
/* Watches, and clients that are lost. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "testing/contract/rules.h"
#include "testing/contract/server.h"
#include "testing/contract/suites.h"
#include "vestry/app/watch.h"

static vsi_server s;

/* The events that steps send, and the calls that they received. */
typedef struct feed {
  vestry_watch watch;
  const char *html; /* of each event; NULL: a number */
  size_t html_len;
  bool is_shared; /* used by several watches */
  int last;       /* the step that ends the watch; 0: none */
  _Atomic(int) steps, ends;
  _Atomic(int) cause;
} feed;

static vestry_err step(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  feed *f = ctx;
  int number = atomic_fetch_add(&f->steps, 1) + 1;
  if (!f->is_shared && atomic_load(&f->ends)) abort(); /* on a thread of the pool */
  if (number == f->last) vestry_watch_finish(watcher);
  return f->html ? vestry_connection_patch_elements(connection, f->html, f->html_len, NULL)
                 : vestry_connection_patch_signals(connection, VESTRY_OBJECT("n", number), NULL);
}

static void end(vestry_cause cause, void *ctx) {
  feed *f = ctx;
  atomic_store(&f->cause, cause);
  atomic_fetch_add(&f->ends, 1);
}

static vestry_err handler(const vestry_request *req, vestry_reply *reply, void *app) {
  feed *f = app;
  (void)req;
  f->watch.step = step;
  f->watch.end = end;
  f->watch.ctx = f;
  return vestry_reply_watch(reply, &f->watch);
}

static void start(const vestry_contract_settings *settings, const vestry_options *options, feed *f) {
  vsi_server_start(&s, settings, options);
  CHECK_ERROR(vestry_route(s.v, "GET", "/watch", handler, f), VESTRY_OK);
}

static void ask(vsi_client *c, const char *method) {
  vsi_client_ask(c, s.port, method, "/watch", "Datastar-Request: true\r\n");
}

static void wait_end(feed *f) {
  CHECK_UNTIL(atomic_load(&f->ends));
  CHECK_EQUAL(atomic_load(&f->ends), 1);
}

static void watch_sends_steps_until_it_ends(void) {
  feed f = {.watch = {.every_ms = 5}, .last = 4};
  vsi_client c;
  start(NULL, NULL, &f);
  ask(&c, "GET");
  vsi_client_expect(&c, "{\"n\":3}");
  vsi_client_read_all(&c);
  CHECK(c.complete);                      /* a clean end */
  CHECK_NOT(strstr(c.body, "{\"n\":4}")); /* the watch had ended before */
  wait_end(&f);
  CHECK_CAUSE(f.cause, VESTRY_CAUSE_CLOSED);
  vsi_client_close(&c);
  vsi_server_stop(&s);
  CHECK_EQUAL(f.ends, 1);
}

/* capability: E1 */
static void lost_client_ends_the_watch(void) {
  static void (*const leave[])(vsi_client *) = {vsi_client_close, vsi_client_abort, vsi_client_shut};
  for (size_t i = 0; i < sizeof leave / sizeof *leave; i++) {
    feed f = {.watch = {.every_ms = 3600000}}; /* nothing is written, so no write can fail */
    vsi_client c;
    start(NULL, &(vestry_options){.connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}}, &f);
    ask(&c, "GET");
    vsi_client_expect(&c, "{\"n\":1}");
    double since = vsi_seconds_now();
    leave[i](&c);
    wait_end(&f);
    double took = vsi_seconds_now() - since;
    printf("%s: ended after %.0f ms\n", vsi_adapter.name, took * 1e3);
    CHECK(took < VSI_PROMPT_S); /* at once, or within 0.25 s on an idle machine */
    CHECK_CAUSE(f.cause, VESTRY_CAUSE_HANGUP);
    CHECK_EQUAL(f.steps, 1);
    vsi_client_close(&c);
    vsi_server_stop(&s);
    CHECK_EQUAL(f.ends, 1);
  }
}

/* One client reads nothing: its watch pauses, while another watch continues. Then it reads all events in order. */
static void stalled_reader_pauses_its_own_watch_only(void) {
  enum { LARGE = 1 << 20 };
  char *html = malloc(LARGE + 1);
  memset(html, 'x', LARGE);
  memcpy(html, "<p id=\"a\">", 10);
  memcpy(html + LARGE - 4, "</p>", 5);
  feed slow = {.watch = {.every_ms = 1}, .html = html, .html_len = LARGE}, other = {.watch = {.every_ms = 1}};
  vsi_client c, d;
  const vestry_connection_options connection = {.max_queued_bytes = LARGE + 1000, .heartbeat_ms = 300000};
  start(&(vestry_contract_settings){.stalled_ms = 300000}, &(vestry_options){.connection = &connection}, &slow);
  CHECK_ERROR(vestry_route(s.v, "GET", "/quick", handler, &other), VESTRY_OK);
  vsi_client_connect(&c, s.port, true);
  vsi_client_sendf(&c, "GET /watch HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
  vsi_client_ask(&d, s.port, "GET", "/quick", "Datastar-Request: true\r\n");
  int before;
  do { /* until it pauses while the other one makes a hundred steps */
    before = atomic_load(&slow.steps);
    for (int until = atomic_load(&other.steps) + 100; atomic_load(&other.steps) < until;) vsi_client_read(&d);
  } while (!before || atomic_load(&slow.steps) != before);
  const vestry_stats stats = vsi_server_stats(&s);
  CHECK(stats.queued_peak_bytes < 2 * LARGE); /* one of its events, never a second one */
  CHECK_EQUAL(stats.refused_count, 0);
  while (atomic_load(&slow.steps) < before + 3) vsi_client_read(&c); /* it reads, and its watch continues */
  vsi_client_close(&c);
  vsi_client_close(&d);
  wait_end(&slow);
  wait_end(&other);
  vsi_server_stop(&s);
  free(html);
}

static void head_and_plain_requests_start_no_watch(void) {
  feed f = {.watch = {.every_ms = 1}, .is_shared = true};
  vsi_client c;
  start(NULL, NULL, &f);
  ask(&c, "HEAD");
  CHECK_EQUAL(vsi_client_status(&c), 204);
  vsi_client_close(&c);
  vsi_client_ask(&c, s.port, "GET", "/watch", ""); /* nor does a plain request */
  CHECK_EQUAL(vsi_client_status(&c), 204);
  vsi_client_close(&c);
  vsi_server_stop(&s);
  CHECK_EQUAL(f.ends, 2);
  CHECK_CAUSE(f.cause, VESTRY_CAUSE_NONE);
  CHECK_EQUAL(f.steps, 0);
}

/* capability: E1 */
static void stop_ends_all_watches(void) {
  enum { MANY = 16 };
  feed f = {.watch = {.every_ms = 1}, .is_shared = true};
  vsi_client clients[MANY];
  start(&(vestry_contract_settings){.max_streams = MANY}, NULL, &f);
  for (int i = 0; i < MANY; i++) {
    ask(&clients[i], "GET");
    CHECK_EQUAL(vsi_client_status(&clients[i]), 200);
  }
  vestry_watch_stats stats = {0};
  CHECK_UNTIL((vestry_watch_stats_get(s.v, &stats), stats.live_count == MANY && stats.steps_count >= 10 * MANY));
  vsi_server_stop_adapter(&s);
  if (!vsi_adapter.has_one_loop) CHECK_ERROR(vestry_stop(s.v, 10000), VESTRY_OK);
  vestry_watch_stats_get(s.v, &stats);
  CHECK_EQUAL(stats.live_count, 0);
  CHECK_EQUAL(stats.ended_count, MANY);
  CHECK_EQUAL(f.ends, MANY); /* before vestry_stop has returned */
  for (int i = 0; i < MANY; i++) vsi_client_close(&clients[i]);
  vsi_server_stop(&s);
}

static const vsi_case cases[] = {
    VSI_CASE_TLS(watch_sends_steps_until_it_ends, VSI_RULE_STEPS, NULL),
    VSI_CASE(lost_client_ends_the_watch, VSI_RULE_HANGUP, NULL),
    VSI_CASE(stalled_reader_pauses_its_own_watch_only, VSI_RULE_BOUND, NULL),
    VSI_CASE(head_and_plain_requests_start_no_watch, VSI_RULE_HEAD_METHOD, NULL),
    VSI_CASE(stop_ends_all_watches, VSI_RULE_STOP, NULL),
};

const vsi_suite vsi_watches_suite = VSI_SUITE("watches", cases);
