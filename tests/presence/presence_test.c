/* SPDX-License-Identifier: MIT */
/* capability: D23 */
/* Presence: the members of each place, with changes reported once and in order, and exact counts in the end. */
#include "serve/wire.h"
#include "vestry/app/presence.h"
#include "vestry/app/session.h"

/* The reported changes, and checks of each. */
typedef struct reported {
  _Atomic(size_t) count;
  char text[4096]; /* "+ada@1 -bob@0 …": the member, and the number of members after it */
  vestry_presence *presence;
  _Atomic(bool) is_inside;
} reported;

static void note(const vestry_presence_change *change, void *ctx) {
  reported *t = ctx;
  assert_false(atomic_exchange(&t->is_inside, true)); /* one call at a time */
  if (strlen(t->text) < sizeof t->text - 300)
    sprintf(t->text + strlen(t->text), "%c%s@%zu ", change->here ? '+' : '-', change->user, change->here_count);
  atomic_fetch_add(&t->count, 1);
  atomic_store(&t->is_inside, false);
}

typedef struct visit {
  vestry_presence *presence;
  const vestry_key *place;
  const char *user, *other; /* other: a second member at the same place; NULL: none */
  vestry_err error;
  bool answers;     /* with a body instead of a stream */
  bool ignores;     /* ignores the error */
  test_host *fails; /* lets allocations of vestry_reply_present fail; NULL: none */
} visit;

static vestry_err be_present(const vestry_request *req, vestry_reply *reply, void *app) {
  visit *v = app;
  if (v->fails) test_host_fail_in(v->fails, 0);
  v->error = v->presence ? vestry_reply_present(reply, v->presence, v->place, v->user) : VESTRY_OK;
  if (v->fails) test_host_fail_no_more(v->fails);
  if (v->other) (void)vestry_reply_present(reply, v->presence, v->place, v->other);
  if (v->error && !v->ignores) return v->error;
  if (v->answers) return vestry_reply_body(reply, NULL, "x", 1);
  vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
}

static vestry_err be_present_without_presence(const vestry_request *req, vestry_reply *reply, void *app) {
  visit *v = app;
  return v->error = vestry_reply_present(reply, NULL, v->place, v->user);
}

/* Sixteen places, and one more. */
static vestry_err be_present_everywhere(const vestry_request *req, vestry_reply *reply, void *app) {
  visit *v = app;
  for (int i = 0; i < 16; i++)
    assert_int_equal(vestry_reply_present(reply, v->presence, VESTRY_KEY("p", i), v->user), VESTRY_OK);
  v->error = vestry_reply_present(reply, v->presence, VESTRY_KEY("p", 16), v->user);
  vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
}

static vestry_err log_in_and_be_present_everywhere(const vestry_request *req, vestry_reply *reply, void *app) {
  assert_int_equal(vestry_session_login(req, reply, "ada"), VESTRY_OK);
  return be_present_everywhere(req, reply, app);
}

static void open_at(site *w, wire *r, vestry_presence *presence, const vestry_key *place, const char *user) {
  *r = (wire){.datastar = true};
  wire_request(w, r, be_present, &(visit){.presence = presence, .place = place, .user = user});
}

static void close_at(site *w, wire *r) {
  wire_hang_up(w, r);
  site_settle(w);
}

static vestry_presence *create(site *w, reported *t, uint64_t grace_ms, size_t max_count) {
  vestry_presence *presence;
  *t = (reported){.count = 0};
  const vestry_presence_options options = {.grace_ms = grace_ms, .max_count = max_count, .on_change = note, .ctx = t};
  assert_int_equal(vestry_presence_create(w->v, &options, &presence), VESTRY_OK);
  return t->presence = presence;
}

static void list(const char *user, size_t streams_count, void *ctx) {
  sprintf((char *)ctx + strlen(ctx), "%s:%zu ", user, streams_count);
}

static void assert_here(vestry_presence *presence, const vestry_key *place, const char *expected) {
  char text[512] = "";
  assert_int_equal(vestry_presence_each(presence, place, list, text), VESTRY_OK);
  assert_string_equal(text, expected);
}

#define BOARD VESTRY_KEY("board", 7)

/* ---------------------------------------------------------------------------------- arrivals and departures ------- */

/* capability: K3 */
TEST_CASE(members_arrive_and_leave_after_grace_time) {
  site w;
  reported t;
  site_begin(&w, (vestry_options){0});
  vestry_presence *presence = create(&w, &t, 0, 0);
  wire ada, tab, bob, elsewhere;
  open_at(&w, &ada, presence, BOARD, "ada");
  open_at(&w, &tab, presence, BOARD, "ada"); /* a second tab is not reported */
  open_at(&w, &bob, presence, BOARD, "bob");
  open_at(&w, &elsewhere, presence, VESTRY_KEY("board", 8), "ada");
  assert_string_equal(t.text, "+ada@1 +bob@2 +ada@1 ");
  assert_here(presence, BOARD, "ada:2 bob:1 ");
  assert_int_equal(vestry_presence_count(presence, BOARD), 2);
  assert_true(vestry_presence_is(presence, BOARD, "bob"));
  assert_false(vestry_presence_is(presence, BOARD, "bo"));
  assert_false(vestry_presence_is(presence, BOARD, NULL));
  assert_int_equal(vestry_presence_count(presence, NULL), 0);
  close_at(&w, &ada);
  site_pass_ms(&w, 5000);
  assert_here(presence, BOARD, "ada:1 bob:1 ");
  close_at(&w, &tab);
  assert_here(presence, BOARD, "ada:0 bob:1 "); /* the grace time */
  site_pass_ms(&w, 1999);
  assert_int_equal(t.count, 3);
  site_pass_ms(&w, 2);
  assert_string_equal(t.text, "+ada@1 +bob@2 +ada@1 -ada@1 ");
  assert_here(presence, BOARD, "bob:1 ");
  close_at(&w, &bob);
  close_at(&w, &elsewhere);
  site_pass_ms(&w, 2001);
  assert_string_equal(t.text, "+ada@1 +bob@2 +ada@1 -ada@1 -bob@0 -ada@0 ");
  assert_here(presence, BOARD, "");
  vestry_presence_destroy(presence);
  wires_end(&w, &ada, &tab, &bob, &elsewhere);
}

/* capability: K3 */
TEST_CASE(reload_within_grace_time_is_not_reported) {
  site w;
  reported t;
  site_begin(&w, (vestry_options){0});
  vestry_presence *presence = create(&w, &t, 100, 0);
  wire r;
  open_at(&w, &r, presence, NULL, "ada");
  for (int i = 0; i < 50; i++) {
    close_at(&w, &r);
    wire_finish(&r);
    site_pass_ms(&w, 99);
    open_at(&w, &r, presence, NULL, "ada");
  }
  site_pass_ms(&w, 1000);
  assert_string_equal(t.text, "+ada@1 ");
  close_at(&w, &r);
  site_pass_ms(&w, 101);
  wire_finish(&r);
  open_at(&w, &r, presence, NULL, "ada");
  assert_string_equal(t.text, "+ada@1 -ada@0 +ada@1 ");
  vestry_presence_destroy(presence);
  wires_end(&w, &r);
}

/* capability: K3 */
TEST_CASE(request_without_stream_adds_no_member) {
  site w;
  reported t;
  site_begin(&w, (vestry_options){0});
  vestry_presence *presence = create(&w, &t, 0, 0);
  wire plain = {0}, answered = {.datastar = true}, refused = {.datastar = true, .open_error = VESTRY_LIMIT};
  visit v = {.presence = presence, .place = BOARD, .user = "ada"}, answers = v;
  answers.answers = true;
  wire_request(&w, &plain, be_present, &v);
  assert_int_equal(plain.status, 204);
  wire_request(&w, &refused, be_present, &v);
  assert_int_equal(refused.status, 503);
  answered.datastar = false;
  wire_request(&w, &answered, be_present, &answers);
  assert_int_equal(answered.status, 200);
  wire brief = {.datastar = true, .open_io = VESTRY_IO_HANGUP}; /* hung up before it began */
  wire_request(&w, &brief, be_present, &v);
  site_pass_ms(&w, 5000);
  assert_here(presence, BOARD, "");
  assert_true(strcmp(t.text, "") == 0 || strcmp(t.text, "+ada@1 -ada@0 ") == 0);
  vestry_presence_destroy(presence);
  wires_end(&w, &plain, &answered, &refused, &brief);
}

TEST_CASE(stream_adds_several_members) {
  site w;
  reported t;
  site_begin(&w, (vestry_options){0});
  vestry_presence *presence = create(&w, &t, 0, 0);
  wire r = {.datastar = true};
  wire_request(&w, &r, be_present, &(visit){.presence = presence, .place = BOARD, .user = "ada", .other = "bob"});
  assert_here(presence, BOARD, "ada:1 bob:1 ");
  close_at(&w, &r);
  site_pass_ms(&w, 2001);
  assert_string_equal(t.text, "+ada@1 +bob@2 -ada@1 -bob@0 ");
  vestry_presence_destroy(presence);
  wires_end(&w, &r);
}

/* --------------------------------------------------------------------------------------------------- limits ------- */

TEST_CASE(invalid_member_or_place_is_refused) {
  site w;
  reported t;
  site_begin(&w, (vestry_options){0});
  vestry_presence *presence = create(&w, &t, 0, 2);
  char name[300];
  memset(name, 'a', sizeof name);
  name[256] = '\0';
  const struct {
    const vestry_key *place;
    const char *user;
    int status;
  } rows[] = {
      {BOARD, "", 500},     {BOARD, NULL, 500},
      {BOARD, name, 500},   {BOARD, name + 1, 200}, /* 255 bytes */
      {BOARD, "\xff", 500}, {VESTRY_KEY((const char *)NULL), "a", 500},
      {BOARD, "b", 200},    {BOARD, "c", 503}, /* max_count */
  };
  wire all[8];
  for (size_t i = 0; i < 8; i++) {
    open_at(&w, &all[i], presence, rows[i].place, rows[i].user);
    if (all[i].status != rows[i].status) fail_msg("row %zu: %d", i, all[i].status);
  }
  assert_int_equal(vestry_presence_create(w.v, &(vestry_presence_options){.grace_ms = 86400001}, &presence),
                   VESTRY_INVALID);
  assert_int_equal(vestry_presence_create(NULL, NULL, &presence), VESTRY_INVALID);
  vestry_presence_destroy(presence);
  vestry_presence_destroy(NULL);
  wires_end_array(&w, all, 8);
}

/* This many extensions of a stream are for presence: a session of the stream counts separately. */
/* capability: K3 */
TEST_CASE(stream_is_present_at_16_places_at_most) {
  for (int in_session = 0; in_session < 2; in_session++) {
    site w;
    reported t;
    site_begin_with(&w, (vestry_options){.bounds = &(vestry_bounds){.max_per_stream_count = 16}},
                    (site_has){.sessions = &(vestry_session_options){.insecure = true}});
    vestry_presence *presence = create(&w, &t, 0, 0);
    visit v = {.presence = presence, .user = "ada"};
    wire r = {.datastar = true};
    wire_request(&w, &r, in_session ? log_in_and_be_present_everywhere : be_present_everywhere, &v);
    assert_int_equal(v.error, VESTRY_LIMIT);
    assert_int_equal(r.status, 200);
    for (int i = 0; i < 17; i++) assert_int_equal(vestry_presence_is(presence, VESTRY_KEY("p", i), "ada"), i < 16);
    vestry_presence_destroy(presence);
    wires_end(&w, &r);
  }
}

/* A member needs no room: a reload, or another tab, is accepted even at the limit. */
/* capability: K3 */
TEST_CASE(present_member_is_accepted_at_max_count) {
  site w;
  reported t;
  site_begin(&w, (vestry_options){0});
  vestry_presence *presence = create(&w, &t, 0, 1);
  wire ada, tab, again, bob;
  open_at(&w, &ada, presence, BOARD, "ada");
  open_at(&w, &tab, presence, BOARD, "ada");
  assert_int_equal(tab.status, 200);
  close_at(&w, &ada);
  close_at(&w, &tab);
  open_at(&w, &again, presence, BOARD, "ada");
  assert_int_equal(again.status, 200);
  open_at(&w, &bob, presence, BOARD, "bob");
  assert_int_equal(bob.status, 503);
  close_at(&w, &again);
  site_pass_ms(&w, 2001);
  assert_string_equal(t.text, "+ada@1 -ada@0 ");
  wire_finish(&bob);
  open_at(&w, &bob, presence, BOARD, "bob");
  assert_int_equal(bob.status, 200);
  vestry_presence_destroy(presence);
  wires_end(&w, &ada, &tab, &again, &bob);
}

/* A client that opens and ends a stream under each of many names shuts nobody out. */
/* capability: K3 */
TEST_CASE(members_without_a_stream_make_room_before_their_grace_time_is_over) {
  site w;
  reported t;
  wire ada, bob, one;
  char name[16];
  site_begin(&w, (vestry_options){0});
  vestry_presence *presence = create(&w, &t, 86400000, 32);
  open_at(&w, &ada, presence, BOARD, "ada");
  for (int i = 0; i < 100; i++) {
    snprintf(name, sizeof name, "n%d", i);
    open_at(&w, &one, presence, BOARD, name);
    assert_int_equal(one.status, 200);
    close_at(&w, &one);
    wire_finish(&one);
  }
  open_at(&w, &bob, presence, BOARD, "bob");
  assert_int_equal(bob.status, 200);
  assert_true(vestry_presence_is(presence, BOARD, "ada"));
  assert_true(vestry_presence_is(presence, BOARD, "n99")); /* its grace time goes on */
  assert_false(vestry_presence_is(presence, BOARD, "n0"));
  vestry_presence_destroy(presence);
  wires_end(&w, &ada, &bob);
}

/* An open stream has a fixed cost: if member and place exist, it needs one allocation more than without presence. */
TEST_CASE(open_stream_needs_one_allocation_for_presence) {
  site w;
  reported t;
  site_begin(&w, (vestry_options){0});
  vestry_presence *presence = create(&w, &t, 0, 0);
  wire all[4] = {{0}};
  long live[4];
  for (size_t i = 0; i < 4; i++) {
    long before = w.th.live;
    open_at(&w, &all[i], i == 1 ? NULL : presence, BOARD, i < 3 ? "ada" : "bob");
    live[i] = w.th.live - before;
  }
  assert_int_equal(live[2], live[1] + 1); /* the arrival */
  assert_int_equal(live[3], live[1] + 2); /* and the member's stay */
  vestry_presence_destroy(presence);
  wires_end_array(&w, all, 4);
}

/* A handler may ignore errors of presence, as of other reply functions: no stream opens without its presence. */
TEST_CASE(ignored_error_refuses_the_stream) {
  site w;
  reported t;
  site_begin(&w, (vestry_options){0});
  vestry_presence *presence = create(&w, &t, 0, 1);
  wire r = {.datastar = true}, large = r;
  visit v = {.presence = presence, .place = BOARD, .user = "ada", .fails = &w.th, .ignores = true};
  wire_request(&w, &r, be_present, &v);
  assert_int_equal(v.error, VESTRY_NO_MEMORY);
  assert_int_equal(r.status, 500);
  static char bytes[70000];
  memset(bytes, 'a', sizeof bytes - 1);
  v = (visit){.presence = presence, .place = VESTRY_KEY((const char *)bytes), .user = "ada"};
  wire_request(&w, &large, be_present, &v);
  assert_int_equal(v.error, VESTRY_TOO_LARGE);
  assert_int_equal(large.status, 500); /* not an error of the client */
  vestry_presence_destroy(presence);
  wires_end(&w, &r, &large);
}

/* Functions return defined results for a missing presence and invalid arguments. */
TEST_CASE(missing_presence_or_arguments_are_refused) {
  site w;
  reported t;
  site_begin(&w, (vestry_options){0});
  vestry_presence *presence = create(&w, &t, 0, 0);
  wire r;
  open_at(&w, &r, presence, BOARD, "ada");
  assert_int_equal(vestry_presence_count(NULL, BOARD), 0);
  assert_int_equal(vestry_presence_count(presence, VESTRY_KEY((const char *)NULL)), 0);
  assert_false(vestry_presence_is(NULL, BOARD, "ada"));
  assert_false(vestry_presence_is(presence, BOARD, NULL));
  assert_false(vestry_presence_is(presence, VESTRY_KEY((const char *)NULL), "ada"));
  assert_int_equal(vestry_presence_each(NULL, BOARD, list, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_presence_each(presence, BOARD, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_presence_each(presence, VESTRY_KEY((const char *)NULL), list, NULL), VESTRY_INVALID);
  visit v = {.place = BOARD, .user = "ada"};
  wire none = {.datastar = true};
  wire_request(&w, &none, be_present_without_presence, &v);
  assert_int_equal(v.error, VESTRY_INVALID);
  assert_int_equal(none.status, 500);
  vestry_presence_destroy(presence);
  wires_end(&w, &r, &none);
}

/* The presence's own runtime may outlive the instance. It then reports nothing, and frees what is left. */
/* capability: K3 */
TEST_CASE(own_runtime_may_outlive_the_instance) {
  for (int steps = 0; steps < 3; steps++) { /* how much it has run */
    site w;
    reported t;
    vestry_runtime *own;
    vestry_presence *presence;
    site_begin(&w, (vestry_options){0});
    const vestry_runtime_options stepped = {.host = &w.th.host, .threads_count = VESTRY_THREADS_NONE};
    assert_int_equal(vestry_runtime_create(&stepped, &own), VESTRY_OK);
    const vestry_presence_options options = {.on_change = note, .ctx = &t, .runtime = own};
    t = (reported){.count = 0};
    assert_int_equal(vestry_presence_create(w.v, &options, &presence), VESTRY_OK);
    wire ada, bob;
    open_at(&w, &ada, presence, BOARD, "ada");
    open_at(&w, &bob, presence, BOARD, "bob");
    assert_int_equal(t.count, 0); /* not on the runtime of the instance */
    assert_true(vestry_presence_is(presence, BOARD, "ada"));
    if (steps > 0) assert_true(vestry_runtime_step(own));
    if (steps > 1) vestry_runtime_stop(own);
    assert_string_equal(t.text, steps ? "+ada@1 +bob@2 " : "");
    close_at(&w, &ada);
    vestry_presence_destroy(presence);
    site_close(&w);
    vestry_runtime_destroy(own);
    assert_string_equal(t.text, steps ? "+ada@1 +bob@2 " : "");
    wire_finish(&ada), wire_finish(&bob);
    test_host_assert_clean(&w.th);
  }
}

static vestry_err one_stay(test_host *th, void *ctx) {
  vestry *v;
  vestry_presence *presence = NULL;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  reported t = {.count = 0};
  error = vestry_presence_create(v, &(vestry_presence_options){.on_change = note, .ctx = &t}, &presence);
  if (!error) {
    site w = {.v = v};
    wire r = {.datastar = true};
    visit came = {.presence = presence, .place = VESTRY_KEY("board", "x", VESTRY_KEY(1, "y")), .user = "ada"};
    (void)wire_serve(&w, &r, be_present, &came);
    error = came.error;
    if (!error && !r.connection) error = VESTRY_NO_MEMORY;
    if (r.connection) vestry_connection_close(r.connection, VESTRY_CAUSE_HANGUP);
    site_settle(&w);
    wire_finish(&r);
  }
  vestry_presence_destroy(presence);
  vestry_destroy(v);
  return error;
}

TEST_CASE(failed_allocation_is_reported) {
  test_host_fail_each(one_stay, NULL, true);
}

/* The key of a place arrives unchanged: all parts and texts. */
static void places_come_whole(const vestry_presence_change *change, void *ctx) {
  unsigned char a[256], b[256];
  size_t a_len, b_len;
  assert_int_equal(vestry_key_encode(change->place, a, sizeof a, &a_len), VESTRY_OK);
  assert_int_equal(
      vestry_key_encode(VESTRY_KEY("board", -5, VESTRY_KEY("x", VESTRY_KEY("deep")), ""), b, sizeof b, &b_len),
      VESTRY_OK);
  assert_int_equal(a_len, b_len);
  assert_memory_equal(a, b, a_len);
  ++*(int *)ctx;
}

TEST_CASE(key_of_place_is_reported_unchanged) {
  site w;
  int calls = 0;
  vestry_presence *presence;
  site_begin(&w, (vestry_options){0});
  assert_int_equal(
      vestry_presence_create(w.v, &(vestry_presence_options){.on_change = places_come_whole, .ctx = &calls}, &presence),
      VESTRY_OK);
  wire r;
  open_at(&w, &r, presence, VESTRY_KEY("board", -5, VESTRY_KEY("x", VESTRY_KEY("deep")), ""), "ada");
  assert_int_equal(calls, 1);
  close_at(&w, &r);
  site_pass_ms(&w, 2001);
  assert_int_equal(calls, 2);
  vestry_presence_destroy(presence);
  wires_end(&w, &r);
}

/* After the end of a presence nothing is reported, whatever streams do. */
TEST_CASE(destroyed_presence_reports_nothing) {
  site w;
  reported t;
  site_begin(&w, (vestry_options){0});
  vestry_presence *presence = create(&w, &t, 0, 0);
  wire r, other = {.datastar = true};
  r = other;
  assert_int_equal(wire_serve(&w, &r, be_present, &(visit){.presence = presence, .place = BOARD, .user = "ada"}),
                   VESTRY_OK);
  vestry_presence_destroy(presence); /* an arrival is pending */
  site_settle(&w);
  assert_int_equal(t.count, 0);
  close_at(&w, &r);
  site_pass_ms(&w, 5000);
  assert_int_equal(t.count, 0);
  wires_end(&w, &r);
}
