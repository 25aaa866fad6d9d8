/* SPDX-License-Identifier: MIT */
#include "web/watch_contract.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/test.h"
#include "support/until.h"
#include "vestry/app/watch.h"
#include "web/client.h"

static const server_seam *seam;
static server s;

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

static void start(const web_settings *settings, feed *f) {
  seam->start(&s, settings);
  assert_int_equal(vestry_route(s.v, "GET", "/watch", handler, f), VESTRY_OK);
}

static void ask(client *c, const char *method) {
  client_ask(c, s.port, method, "/watch", "Datastar-Request: true\r\n");
}

static void wait_end(feed *f) {
  WAIT_WHILE(!atomic_load(&f->ends));
  assert_int_equal(atomic_load(&f->ends), 1);
}

static void watch_sends_steps_until_it_ends(void **state) {
  (void)state;
  for (int tls = 0; tls <= seam->has_tls; tls++) {
    feed f = {.watch = {.every_ms = 5}, .last = 4};
    client c;
    start(&(web_settings){.tls = tls}, &f);
    ask(&c, "GET");
    client_expect(&c, "{\"n\":3}");
    client_read_all(&c);
    assert_true(c.complete);                  /* a clean end */
    assert_null(strstr(c.body, "{\"n\":4}")); /* the watch had ended before */
    wait_end(&f);
    assert_int_equal(f.cause, VESTRY_CAUSE_CLOSED);
    client_close(&c);
    server_stop(&s);
    assert_int_equal(f.ends, 1);
  }
}

/* capability: E1 */
static void lost_client_ends_the_watch(void **state) {
  (void)state;
  static void (*const leave[])(client *) = {client_close, client_abort, client_shut};
  for (size_t i = 0; i < sizeof leave / sizeof *leave; i++) {
    feed f = {.watch = {.every_ms = 3600000}}; /* nothing is written, so no write can fail */
    client c;
    start(&(web_settings){.options.connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}}, &f);
    ask(&c, "GET");
    client_expect(&c, "{\"n\":1}");
    double since = seconds_now();
    leave[i](&c);
    wait_end(&f);
    double took = seconds_now() - since;
    print_message("%s: ended after %.0f ms\n", seam->name, took * 1e3);
    assert_true(took < PROMPT_S); /* at once, or within 0.25 s on an idle machine */
    assert_int_equal(f.cause, VESTRY_CAUSE_HANGUP);
    assert_int_equal(f.steps, 1);
    client_close(&c);
    server_stop(&s);
    assert_int_equal(f.ends, 1);
  }
}

/* One client reads nothing: its watch pauses, while another watch continues. Then it reads all events in order. */
static void stalled_reader_pauses_its_own_watch_only(void **state) {
  (void)state;
  enum { LARGE = 1 << 20 };
  char *html = malloc(LARGE + 1);
  memset(html, 'x', LARGE);
  memcpy(html, "<p id=\"a\">", 10);
  memcpy(html + LARGE - 4, "</p>", 5);
  feed slow = {.watch = {.every_ms = 1}, .html = html, .html_len = LARGE}, other = {.watch = {.every_ms = 1}};
  client c, d;
  const vestry_connection_options connection = {.max_queued_bytes = LARGE + 1000, .heartbeat_ms = 300000};
  start(&(web_settings){.stalled_ms = 300000, .options.connection = &connection}, &slow);
  assert_int_equal(vestry_route(s.v, "GET", "/quick", handler, &other), VESTRY_OK);
  client_connect(&c, s.port, true);
  client_sendf(&c, "GET /watch HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
  client_ask(&d, s.port, "GET", "/quick", "Datastar-Request: true\r\n");
  int before;
  do { /* until it pauses while the other one makes a hundred steps */
    before = atomic_load(&slow.steps);
    for (int until = atomic_load(&other.steps) + 100; atomic_load(&other.steps) < until;) client_read(&d);
  } while (!before || atomic_load(&slow.steps) != before);
  vestry_stats stats = {0};
  vestry_stats_get(s.v, &stats);
  assert_true(stats.queued_peak_bytes < 2 * LARGE); /* one of its events, never a second one */
  assert_int_equal(stats.refused_count, 0);
  while (atomic_load(&slow.steps) < before + 3) client_read(&c); /* it reads, and its watch continues */
  client_close(&c);
  client_close(&d);
  wait_end(&slow);
  wait_end(&other);
  server_stop(&s);
  free(html);
}

static void head_and_plain_requests_start_no_watch(void **state) {
  (void)state;
  feed f = {.watch = {.every_ms = 1}, .is_shared = true};
  client c;
  start(NULL, &f);
  ask(&c, "HEAD");
  assert_int_equal(client_status(&c), 204);
  client_close(&c);
  client_ask(&c, s.port, "GET", "/watch", ""); /* nor does a plain request */
  assert_int_equal(client_status(&c), 204);
  client_close(&c);
  server_stop(&s);
  assert_int_equal(f.ends, 2);
  assert_int_equal(f.cause, VESTRY_CAUSE_NONE);
  assert_int_equal(f.steps, 0);
}

/* capability: E1 */
static void stop_ends_all_watches(void **state) {
  (void)state;
  enum { MANY = 16 };
  feed f = {.watch = {.every_ms = 1}, .is_shared = true};
  client clients[MANY];
  start(&(web_settings){.room = MANY}, &f);
  for (int i = 0; i < MANY; i++) {
    ask(&clients[i], "GET");
    assert_int_equal(client_status(&clients[i]), 200);
  }
  vestry_watch_stats stats = {0};
  UNTIL((vestry_watch_stats_get(s.v, &stats), stats.live_count == MANY && stats.steps_count >= 10 * MANY));
  server_stop_adapter(&s);
  assert_int_equal(vestry_stop(s.v, 10000), VESTRY_OK);
  vestry_watch_stats_get(s.v, &stats);
  assert_int_equal(stats.live_count, 0);
  assert_int_equal(stats.ended_count, MANY);
  assert_int_equal(f.ends, MANY); /* before vestry_stop has returned */
  for (int i = 0; i < MANY; i++) client_close(&clients[i]);
  server_stop(&s);
}

int watch_contract_run(const server_seam *tested) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(watch_sends_steps_until_it_ends),
      cmocka_unit_test(lost_client_ends_the_watch),
      cmocka_unit_test(stalled_reader_pauses_its_own_watch_only),
      cmocka_unit_test(head_and_plain_requests_start_no_watch),
      cmocka_unit_test(stop_ends_all_watches),
  };
  char name[80];
  seam = tested;
  snprintf(name, sizeof name, "%s, its watches", seam->name);
  return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
