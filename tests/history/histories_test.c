/* SPDX-License-Identifier: MIT */
/* G12: streams that break and miss no event. A tab is a model of the client: it applies each event that it receives,
 * and stores an id as soon as its line was received. On the stepped runtime. */
#include "vestry/app/history.h"

#include <stdlib.h>

#include "app/history/histories.h"
#include "channel/channels.h"
#include "channel/log_tab.h"
#include "event/layout.h"
#include "instance/instance.h"
#include "support/site.h"

typedef struct suite {
  site on;
  uint64_t last;      /* number of lines: the state */
  unsigned states;    /* states sent */
  vestry_err fails;   /* result of on_resume */
  uint64_t meanwhile; /* lines written while a gap is answered: as many before its state as after it */
  vestry_connection_options stream;
  bool has_no_state;
  vestry_resumed latest; /* the last one */
} suite;

#define LOG     VESTRY_KEY("log")
#define NOWHERE ((vestry_scope){NULL, 0})

static vestry_err write_line(suite *s) {
  return log_write(s->on.v, LOG, ++s->last);
}

static vestry_err show(vestry_connection *connection, const vestry_resumed *resumed, void *ctx) {
  suite *s = ctx;
  s->latest = *resumed;
  if (s->fails) return s->fails;
  if (resumed->answer != VESTRY_RESUME_FRESH && resumed->answer != VESTRY_RESUME_GAP) return VESTRY_OK;
  s->states++;
  for (uint64_t i = 0; i < s->meanwhile; i++) write_line(s);
  vestry_err error = log_send_state(connection, s->last);
  for (uint64_t i = 0; i < s->meanwhile; i++) write_line(s);
  return error;
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  vestry_reply_stream(reply, &(vestry_stream_options){.connection = &s->stream});
  return vestry_reply_resume(reply, req->scope, LOG, s->has_no_state ? NULL : show, s);
}

static void begin(suite *s, const vestry_history_options *options) {
  memset(s, 0, sizeof *s);
  site_begin(&s->on, (vestry_options){0});
  assert_int_equal(vestry_history_begin(s->on.v, NOWHERE, LOG, options), VESTRY_OK);
}

static vestry_history_stats stats_of(suite *s) {
  vestry_history_stats stats = {0};
  assert_int_equal(vestry_history_stats_get(s->on.v, NOWHERE, LOG, &stats), VESTRY_OK);
  assert_int_equal(stats.recorded_count, stats.kept_count + stats.dropped_count);
  return stats;
}

static void connect(suite *s, log_tab *t) {
  log_tab_connect(t, s->on.v, live, s);
  site_settle(&s->on);
}

/* Let the tab read everything, and assert that it has every line exactly once and in order. */
static void assert_whole(suite *s, log_tab *t) {
  site_settle(&s->on);
  log_tab_read(t, SIZE_MAX);
  assert_int_equal(t->wrong, 0);
  assert_int_equal(t->broken, 0);
  assert_int_equal(t->last, s->last);
}

/* -------------------------------------------------------------------------------------------------- answers ------- */

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s, NULL), site_end(&s->on))

/* capability: G12 */
SUITE_CASE(g12_stream_resumes_where_it_broke) {
  log_tab t = {0};
  for (int i = 0; i < 3; i++) assert_int_equal(write_line(s), VESTRY_OK); /* kept without any stream */
  connect(s, &t);
  assert_int_equal(s->latest.answer, VESTRY_RESUME_FRESH);
  assert_whole(s, &t);
  write_line(s);
  assert_whole(s, &t);
  log_tab_cut(&t);
  site_settle(&s->on);
  for (int i = 0; i < 5; i++) write_line(s);
  connect(s, &t);
  assert_int_equal(s->latest.answer, VESTRY_RESUME_REPLAYED);
  assert_int_equal(s->latest.replayed_count, 5);
  assert_whole(s, &t);
  write_line(s);
  assert_whole(s, &t);
  log_tab_cut(&t);
  connect(s, &t);
  assert_int_equal(s->latest.answer, VESTRY_RESUME_CURRENT);
  assert_int_equal(vestry_memory_look(t.stream).received.len, 0); /* not a single byte */
  assert_whole(s, &t);
  assert_int_equal(s->states, 1);
  vestry_history_stats stats = stats_of(s);
  assert_int_equal(stats.fresh_count, 1);
  assert_int_equal(stats.replayed_count, 1);
  assert_int_equal(stats.current_count, 1);
  assert_int_equal(stats.replayed_events_count, 5);
  assert_int_equal(stats.published_count, 10);
  assert_int_equal(stats.last_seq, 10);
  log_tab_end(&t);
}

/* A tab that has received the state and no event since then is current. */
/* capability: G12 */
SUITE_CASE(g12_tab_with_only_the_state_is_current) {
  log_tab t = {0};
  connect(s, &t);
  assert_whole(s, &t);
  log_tab_cut(&t);
  connect(s, &t);
  assert_int_equal(s->latest.answer, VESTRY_RESUME_CURRENT);
  log_tab_cut(&t);
  write_line(s);
  connect(s, &t);
  assert_int_equal(s->latest.answer, VESTRY_RESUME_REPLAYED);
  assert_whole(s, &t);
  assert_int_equal(s->states, 1);
  log_tab_end(&t);
}

/* capability: G12 */
TEST_CASE(g12_unknown_id_is_a_gap) {
  static const char *const ids[] = {
      "gap", "x", "0123456789abcdef.1", "0123456789abcdef.", "700102dd0e5f676a.99999999999", "4318e255"};
  static char endless[100000];
  memset(endless, '1', sizeof endless - 1);
  suite s;
  begin(&s, NULL);
  write_line(&s);
  for (size_t i = 0; i <= sizeof ids / sizeof *ids; i++) {
    log_tab t = {0};
    const char *id = i < sizeof ids / sizeof *ids ? ids[i] : endless;
    t.given = id;
    connect(&s, &t);
    assert_int_equal(vestry_memory_look(t.stream).status, 200); /* the client retries after no other status */
    assert_int_equal(s.latest.answer, VESTRY_RESUME_GAP);
    assert_whole(&s, &t);
    log_tab_end(&t);
  }
  assert_int_equal(stats_of(&s).gap_count, sizeof ids / sizeof *ids + 1);
  site_end(&s.on);
}

/* capability: G12 */
SUITE_CASE(g12_id_of_an_ended_history_is_a_gap) {
  log_tab t = {0};
  connect(s, &t);
  write_line(s);
  assert_whole(s, &t);
  log_tab_cut(&t);
  assert_int_equal(vestry_history_end(s->on.v, NOWHERE, LOG), VESTRY_OK);
  assert_int_equal(vestry_history_end(s->on.v, NOWHERE, LOG), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_history_begin(s->on.v, NOWHERE, LOG, NULL), VESTRY_OK);
  assert_int_equal(vestry_history_begin(s->on.v, NOWHERE, LOG, NULL), VESTRY_EXISTS);
  write_line(s); /* the tab has already seen this seq */
  connect(s, &t);
  assert_int_equal(s->latest.answer, VESTRY_RESUME_GAP);
  assert_whole(s, &t);
  /* Members stay when a history ends, and receive events without ids. */
  assert_int_equal(vestry_history_end(s->on.v, NOWHERE, LOG), VESTRY_OK);
  write_line(s);
  assert_whole(s, &t);
  log_tab_cut(&t);
  assert_int_equal(vestry_history_begin(s->on.v, NOWHERE, LOG, NULL), VESTRY_OK);
  connect(s, &t);
  assert_int_equal(s->latest.answer, VESTRY_RESUME_GAP);
  assert_whole(s, &t);
  log_tab_end(&t);
}

/* capability: G12 */
TEST_CASE(g12_expired_events_are_freed_and_are_a_gap) {
  suite s;
  log_tab t = {0}, stays = {0};
  begin(&s, &(vestry_history_options){.max_age_ms = 1000});
  connect(&s, &stays);
  connect(&s, &t);
  write_line(&s);
  assert_whole(&s, &t);
  log_tab_cut(&t);
  site_settle(&s.on);
  write_line(&s);
  assert_int_equal(stats_of(&s).kept_count, 2);
  for (int i = 0; i < 1001; i++) site_pass_ms(&s.on, 1); /* without traffic, its memory is freed */
  assert_int_equal(stats_of(&s).kept_count, 0);
  assert_int_equal(stats_of(&s).kept_bytes, 0);
  connect(&s, &t);
  assert_int_equal(s.latest.answer, VESTRY_RESUME_GAP);
  assert_whole(&s, &t);
  assert_whole(&s, &stays);
  log_tab_end(&t);
  log_tab_end(&stays);
  site_end(&s.on);
}

/* capability: G12 */
TEST_CASE(g12_unused_history_ends) {
  suite s;
  log_tab t = {0};
  vestry_histories_stats all = {0};
  vsi_channels_stats channels = {0};
  begin(&s, &(vestry_history_options){.max_age_ms = 1000});
  assert_int_equal(vestry_history_begin(s.on.v, NOWHERE, VESTRY_KEY("for ever"),
                                        &(vestry_history_options){.max_age_ms = VESTRY_NEVER_MS}),
                   VESTRY_OK);
  connect(&s, &t);
  for (int i = 0; i < 5000; i++) site_pass_ms(&s.on, 1); /* a stream is connected */
  vestry_histories_stats_get(s.on.v, &all);
  assert_int_equal(all.live_count, 2);
  log_tab_end(&t);
  for (int i = 0; i < 2010; i++) site_pass_ms(&s.on, 1);
  vestry_histories_stats_get(s.on.v, &all);
  assert_int_equal(all.live_count, 1);
  assert_int_equal(all.begun_count, 2);
  vsi_channels_stats_get(s.on.v->channels, &channels);
  assert_int_equal(channels.live_count, 1);
  assert_int_equal(write_line(&s), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_resume(s.on.v, NOWHERE, LOG, NULL, NULL, NULL, NULL), VESTRY_INVALID);
  assert_non_null(strstr(s.on.th.last_log, "vestry_resume: the connection is NULL"));
  site_end(&s.on);
}

/* ------------------------------------------------------------------------------------------- broken streams ------- */

/* The state is sent while lines are written before and after it, and the stream is cut at every byte. */
/* capability: G12 */
TEST_CASE(g12_gap_is_filled_after_a_cut_at_any_byte) {
  for (size_t cut = 0;; cut++) {
    suite s;
    log_tab t = {0};
    begin(&s, NULL);
    write_line(&s);
    t.given = "0123456789abcdef.7"; /* of an earlier history */
    s.meanwhile = 2;
    connect(&s, &t);
    s.meanwhile = 0;
    write_line(&s);
    site_settle(&s.on);
    size_t all = vestry_memory_look(t.stream).received.len;
    log_tab_read(&t, cut);
    log_tab_cut(&t);
    write_line(&s);
    connect(&s, &t);
    site_settle(&s.on);
    log_tab_read(&t, SIZE_MAX);
    assert_int_equal(t.last, s.last);
    assert_int_equal(t.wrong, 0);
    log_tab_end(&t);
    site_end(&s.on);
    if (cut > all) break;
  }
}

/* A line that is in the state but never arrives, as the cluster reports. Connected tabs receive the state. */
static void lose_line(suite *s, log_tab *tabs, size_t count) {
  s->last++;
  vsi_histories_lose(s->on.v);
  for (size_t i = 0; i < count; i++) {
    vestry_connection *connection = tabs[i].stream ? vestry_memory_look(tabs[i].stream).connection : NULL;
    if (connection && log_send_state(connection, s->last)) vestry_connection_close(connection, VESTRY_CAUSE_ERROR);
  }
}

/* Lines are written, time passes and streams break, as a seed determines. */
static void run_seed(unsigned seed) {
  enum { TABS = 3, STEPS = 120 };
  suite s;
  log_tab tabs[TABS];
  memset(tabs, 0, sizeof tabs);
  unsigned random = seed;
  const vestry_history_options options = {.max_count = 5 + (uint32_t)rand_r(&random) % 20,
                                          .max_age_ms = 200 + (uint64_t)(rand_r(&random) % 2000)};
  begin(&s, &options);
  s.stream = (vestry_connection_options){.max_queued_count = 8, .full = 1 + (vestry_full_policy)(seed % 3)};
  for (int step = 0; step < STEPS; step++) {
    log_tab *t = &tabs[rand_r(&random) % TABS];
    switch (rand_r(&random) % 12) {
    case 0:
    case 1:
      if (!t->stream) log_tab_connect(t, s.on.v, live, &s);
      break;
    case 2:
      if (!t->stream) break;
      log_tab_read(t, (size_t)(rand_r(&random) % 300)); /* the rest is lost in transit */
      log_tab_cut(t);
      break;
    case 3:
      if (t->stream) vestry_memory_mode_set(t->stream, VESTRY_MEMORY_BLOCKS);
      break;
    case 4:
      if (t->stream) vestry_memory_mode_set(t->stream, VESTRY_MEMORY_READS);
      break;
    case 5: test_host_advance_ms(&s.on.th, (uint64_t)(rand_r(&random) % 300)); break;
    case 6:
      if (rand_r(&random) % 4 == 0) lose_line(&s, tabs, TABS);
      break;
    case 7:
      if (rand_r(&random) % 8 == 0) (void)vestry_history_end(s.on.v, NOWHERE, LOG);
      break;
    case 8: s.meanwhile = (uint64_t)(rand_r(&random) % 3); break;
    case 9: site_settle(&s.on); break;
    default: write_line(&s);
    }
    vestry_err error = vestry_history_begin(s.on.v, NOWHERE, LOG, &options);
    assert_true(error == VESTRY_OK || error == VESTRY_EXISTS);
  }
  s.meanwhile = 0;
  for (int i = 0; i < TABS; i++) {
    if (tabs[i].stream) vestry_memory_mode_set(tabs[i].stream, VESTRY_MEMORY_READS);
    site_settle(&s.on);
    if (tabs[i].stream) log_tab_read(&tabs[i], SIZE_MAX);
    /* the queue was full: reconnect */
    if (tabs[i].stream && vestry_memory_look(tabs[i].stream).ended) log_tab_cut(&tabs[i]);
    if (!tabs[i].stream) connect(&s, &tabs[i]);
    site_settle(&s.on);
    log_tab_read(&tabs[i], SIZE_MAX);
    if (tabs[i].last != s.last || tabs[i].wrong || tabs[i].broken)
      fail_msg("seed %u, tab %d: last %llu of %llu, wrong %u, broken %u", seed, i, (unsigned long long)tabs[i].last,
               (unsigned long long)s.last, tabs[i].wrong, tabs[i].broken);
    log_tab_end(&tabs[i]);
  }
  site_end(&s.on);
}

/* capability: G12 */
TEST_CASE(g12_no_line_is_lost_in_random_schedules) {
  for (unsigned seed = 1; seed <= 3000; seed++) run_seed(seed);
}

/* --------------------------------------------------------------------------------------------------- limits ------- */

/* A stream that cannot take an event must not stay and cover it by the id of the next one. */
/* capability: G12 */
TEST_CASE(g12_full_stream_ends_and_resumes) {
  static const vestry_full_policy policies[] = {VESTRY_FULL_CLOSE, VESTRY_FULL_DROP};
  for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
    suite s;
    log_tab t = {0};
    begin(&s, NULL);
    s.stream = (vestry_connection_options){.max_queued_count = 4, .full = policies[i]};
    connect(&s, &t);
    assert_whole(&s, &t);
    vestry_memory_mode_set(t.stream, VESTRY_MEMORY_BLOCKS);
    for (int k = 0; k < 4; k++) assert_int_equal(write_line(&s), VESTRY_OK);
    assert_int_equal(write_line(&s), VESTRY_OK);
    assert_int_equal(vestry_connection_look(vestry_memory_look(t.stream).connection).cause, VESTRY_CAUSE_FULL);
    vestry_memory_mode_set(t.stream, VESTRY_MEMORY_READS);
    site_settle(&s.on);
    log_tab_read(&t, SIZE_MAX);
    log_tab_cut(&t);
    connect(&s, &t);
    assert_int_equal(s.latest.answer, VESTRY_RESUME_REPLAYED);
    assert_whole(&s, &t);
    assert_int_equal(s.states, 1);
    log_tab_end(&t);
    site_end(&s.on);
  }
}

/* capability: G12 */
SUITE_CASE(g12_replay_over_queue_limit_is_a_gap) {
  log_tab t = {0};
  s->stream = (vestry_connection_options){.max_queued_bytes = 1000};
  connect(s, &t);
  assert_whole(s, &t);
  log_tab_cut(&t);
  for (int i = 0; i < 100; i++) write_line(s);
  connect(s, &t);
  assert_int_equal(s->latest.answer, VESTRY_RESUME_GAP);
  assert_whole(s, &t);
  assert_int_equal(stats_of(s).gap_count, 1);
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(vestry_memory_look(t.stream).connection, &stats);
  assert_int_equal(stats.refused_count, 0);
  log_tab_end(&t);
}

/* Broadcast events of about a kilobyte to another channel. */
static void write_others(suite *s, const vestry_key *key, int count) {
  char text[1000];
  vestry_event *event = NULL;
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  assert_int_equal(vsi_event_comment(NULL, text, &event), VESTRY_OK);
  for (int i = 0; i < count; i++) assert_int_equal(vestry_broadcast(s->on.v, NOWHERE, key, event, NULL), VESTRY_OK);
  vestry_event_unref(event);
}

/* One history takes the bytes of all, and falls silent: the others keep their events nevertheless. */
/* capability: G12 */
TEST_CASE(g12_full_history_leaves_room_for_others) {
  static const uint64_t ages_ms[] = {0, VESTRY_NEVER_MS};
  const vestry_key *const full = VESTRY_KEY("full");
  for (size_t i = 0; i < 2; i++) {
    suite s = {.last = 0};
    log_tab t = {0};
    vestry_histories_stats all = {0};
    vestry_history_stats of_full = {0};
    site_begin(&s.on, (vestry_options){0});
    assert_int_equal(vestry_histories_create(s.on.v, 65536), VESTRY_OK);
    assert_int_equal(vestry_history_begin(s.on.v, NOWHERE, full, &(vestry_history_options){.max_age_ms = ages_ms[i]}),
                     VESTRY_OK);
    assert_int_equal(vestry_history_begin(s.on.v, NOWHERE, LOG, NULL), VESTRY_OK);
    write_others(&s, full, 100);
    assert_int_equal(vestry_history_stats_get(s.on.v, NOWHERE, full, &of_full), VESTRY_OK);
    assert_true(of_full.kept_bytes > 64000);
    connect(&s, &t);
    for (int k = 0; k < 3; k++) write_line(&s);
    assert_whole(&s, &t);
    log_tab_cut(&t);
    site_settle(&s.on);
    for (int k = 0; k < 30; k++) write_line(&s); /* more than the rest that full leaves */
    write_others(&s, full, 100);                 /* it takes nothing from a smaller history */
    connect(&s, &t);
    assert_int_equal(s.latest.answer, VESTRY_RESUME_REPLAYED);
    assert_int_equal(s.latest.replayed_count, 30);
    assert_whole(&s, &t);
    assert_int_equal(stats_of(&s).losses_count, 0);
    assert_int_equal(stats_of(&s).kept_count, 33);
    assert_int_equal(vestry_history_stats_get(s.on.v, NOWHERE, full, &of_full), VESTRY_OK);
    assert_int_equal(of_full.losses_count, 0);
    vestry_histories_stats_get(s.on.v, &all);
    assert_true(all.peak_bytes <= 65536);
    log_tab_end(&t);
    site_end(&s.on);
  }
}

/* Many histories share the room. None loses an event, and an event that is larger than each of them is stored, too. */
/* capability: G12 */
TEST_CASE(g12_event_takes_the_room_of_several_histories) {
  enum { OTHERS = 40 };
  suite s = {.last = 0};
  site_begin(&s.on, (vestry_options){0});
  assert_int_equal(vestry_histories_create(s.on.v, 65536), VESTRY_OK);
  for (int i = 0; i < OTHERS; i++) {
    assert_int_equal(vestry_history_begin(s.on.v, NOWHERE, VESTRY_KEY("other", i), NULL), VESTRY_OK);
    write_others(&s, VESTRY_KEY("other", i), 10);
  }
  for (int i = 0; i < OTHERS; i++) {
    vestry_history_stats stats = {0};
    assert_int_equal(vestry_history_stats_get(s.on.v, NOWHERE, VESTRY_KEY("other", i), &stats), VESTRY_OK);
    assert_int_equal(stats.losses_count, 0);
    assert_int_equal(stats.recorded_count, 10);
  }
  char *text = calloc(1, 10001);
  vestry_event *event = NULL;
  memset(text, 'x', 10000);
  assert_int_equal(vsi_event_comment(NULL, text, &event), VESTRY_OK);
  assert_int_equal(vestry_history_begin(s.on.v, NOWHERE, LOG, NULL), VESTRY_OK);
  assert_int_equal(vestry_broadcast(s.on.v, NOWHERE, LOG, event, NULL), VESTRY_OK);
  assert_int_equal(stats_of(&s).kept_count, 1);
  assert_int_equal(stats_of(&s).losses_count, 0);
  vestry_event_unref(event);
  free(text);
  site_end(&s.on);
}

/* The state of a gap arrives, but its id does not: kept events must not follow it, even if they fit now. */
/* capability: G12 */
TEST_CASE(g12_gap_remains_until_its_id_arrives) {
  for (size_t cut = 0, all = SIZE_MAX; cut <= all; cut++) {
    suite s;
    log_tab t = {0};
    begin(&s, NULL);
    connect(&s, &t);
    assert_whole(&s, &t);
    log_tab_cut(&t);
    for (int i = 0; i < 20; i++) write_line(&s);
    s.stream = (vestry_connection_options){.max_queued_bytes = 1000};
    connect(&s, &t);
    assert_int_equal(s.latest.answer, VESTRY_RESUME_GAP);
    all = vestry_memory_look(t.stream).received.len;
    log_tab_read(&t, cut);
    log_tab_cut(&t);
    s.stream = (vestry_connection_options){0};
    connect(&s, &t);
    assert_whole(&s, &t);
    log_tab_end(&t);
    site_end(&s.on);
  }
}

/* If a later event of another sender replaced it, it would come after an id that covers it. */
/* capability: G12 */
SUITE_CASE(g12_kept_events_are_not_superseded) {
  log_tab t = {0};
  s->stream = (vestry_connection_options){.max_queued_count = 4};
  connect(s, &t);
  assert_whole(s, &t);
  vestry_memory_mode_set(t.stream, VESTRY_MEMORY_BLOCKS);
  vestry_connection *connection = vestry_memory_look(t.stream).connection;
  static const char html[] = "<div id=\"x\">1</div>";
  static const vestry_elements_options shows = {.state = "x"};
  write_line(s); /* it is being written, so it stays */
  site_settle(&s->on);
  assert_int_equal(
      vestry_broadcast_effect(s->on.v, NOWHERE, LOG, VESTRY_LIST("patch-elements", html, VESTRY_OBJECT("state", "x"))),
      VESTRY_OK);
  for (int i = 0; i < 3; i++) /* the second and third replace one, the first none */
    assert_int_equal(vestry_connection_patch_elements(connection, html, sizeof html - 1, &shows), VESTRY_OK);
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  assert_int_equal(stats.conflated_count, 2);
  vestry_memory_mode_set(t.stream, VESTRY_MEMORY_READS);
  site_settle(&s->on);
  assert_non_null(strstr(vestry_memory_look(t.stream).received.data, ".2\n\n"));
  assert_whole(s, &t);
  log_tab_end(&t);
}

/* Each allocation between the break and the end fails in turn: no event is lost without a report. */
/* capability: G12 */
TEST_CASE(g12_failed_allocation_loses_no_line) {
  for (long fail = 0;; fail++) {
    suite s;
    log_tab t = {0};
    begin(&s, NULL);
    connect(&s, &t);
    write_line(&s);
    assert_whole(&s, &t);
    log_tab_cut(&t);
    site_settle(&s.on);
    test_host_fail_in(&s.on.th, fail);
    write_line(&s);
    write_line(&s);
    log_tab_try(&t, s.on.v, live, &s);
    site_settle(&s.on);
    write_line(&s);
    site_settle(&s.on);
    bool has_failed = test_host_has_failed(&s.on.th);
    for (int again = 0; again < 3; again++) { /* the tab reconnects until it is accepted */
      site_settle(&s.on);
      if (t.stream) log_tab_read(&t, SIZE_MAX);
      if (t.stream && !vestry_memory_look(t.stream).ended && vestry_memory_look(t.stream).connection) break;
      log_tab_cut(&t);
      connect(&s, &t);
    }
    write_line(&s); /* an event whose creation failed is lost here; the next one reveals that */
    site_settle(&s.on);
    log_tab_read(&t, SIZE_MAX);
    if (t.last != s.last) fail_msg("allocation %ld", fail);
    log_tab_end(&t);
    site_end(&s.on);
    if (!has_failed) break;
  }
}

/* --------------------------------------------------------------------------------- resuming without a reply ------- */

static vestry_err without_history(const vestry_request *req, vestry_reply *reply, void *app) {
  assert_int_equal(vestry_reply_resume(reply, req->scope, VESTRY_KEY("none"), NULL, NULL), VESTRY_NOT_FOUND);
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

SUITE_CASE(g12_resume_works_without_a_reply) {
  log_tab t = {0};
  write_line(s);
  log_tab_connect(&t, s->on.v, without_history, NULL);
  site_settle(&s->on);
  vestry_connection *connection = vestry_memory_look(t.stream).connection;
  assert_int_equal(vestry_resume(s->on.v, NOWHERE, VESTRY_KEY("none"), connection, NULL, show, s), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_resume(s->on.v, NOWHERE, LOG, connection, "nonsense", show, s), VESTRY_OK);
  assert_int_equal(s->latest.answer, VESTRY_RESUME_GAP);
  assert_int_equal(vestry_resume(s->on.v, NOWHERE, LOG, connection, NULL, show, s), VESTRY_EXISTS);
  assert_whole(s, &t);
  assert_int_equal(s->states, 1);
  assert_int_equal(vestry_leave(s->on.v, NOWHERE, LOG, connection), VESTRY_OK);
  write_line(s);
  assert_int_equal(vestry_resume(s->on.v, NOWHERE, LOG, connection, t.id, show, s), VESTRY_OK);
  assert_int_equal(s->latest.answer, VESTRY_RESUME_REPLAYED);
  assert_whole(s, &t);
  /* A stream that cannot receive the state reconnects. */
  assert_int_equal(vestry_leave(s->on.v, NOWHERE, LOG, connection), VESTRY_OK);
  s->fails = VESTRY_FAILED;
  assert_int_equal(vestry_resume(s->on.v, NOWHERE, LOG, connection, NULL, show, s), VESTRY_FAILED);
  assert_int_equal(vestry_connection_look(connection).cause, VESTRY_CAUSE_ERROR);
  s->fails = VESTRY_OK;
  site_settle(&s->on);
  assert_int_equal(vestry_resume(s->on.v, NOWHERE, LOG, connection, NULL, show, s), VESTRY_CLOSED);
  log_tab_end(&t);
}

/* Without a state, a gap ends at once: later events are not lost. */
SUITE_CASE(g12_history_without_state_resumes) {
  log_tab t = {0};
  s->has_no_state = true;
  write_line(s);
  t.last = 1;
  connect(s, &t);
  t.awaits = false;
  log_tab_read(&t, SIZE_MAX);
  log_tab_cut(&t);
  write_line(s);
  connect(s, &t);
  assert_whole(s, &t);
  assert_int_equal(s->states, 0);
  assert_int_equal(stats_of(s).replayed_count, 1);
  log_tab_end(&t);
}
