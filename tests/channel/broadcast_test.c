/* SPDX-License-Identifier: MIT */
/* K12: channels by key: their members, from joining to leaving, and the end of a channel. */
#include "vestry/channel.h"

#include "channel/channels.h"
#include "event/layout.h"
#include "serve/wire.h"
#include "vestry/dispatch.h"

#define BOARD VESTRY_KEY("board", 7)

static vsi_channels_stats channels_of(vestry *v) {
  vsi_channels_stats stats = {0};
  vsi_channels_stats_get(v->channels, &stats);
  assert_int_equal(stats.made_count, stats.live_count + stats.ended_count);
  return stats;
}

static vestry_event *event_of(const char *text) {
  vestry_event *event = NULL;
  assert_int_equal(vsi_event_comment(NULL, text, &event), VESTRY_OK);
  return event;
}

/* Broadcast a comment. Returns how many members accepted it. */
static size_t tell(vestry *v, vestry_scope scope, const vestry_key *key, const char *text) {
  size_t sent = 99;
  vestry_event *event = event_of(text);
  vestry_err error = vestry_broadcast(v, scope, key, event, &sent);
  vestry_event_unref(event);
  assert_int_equal(error, sent ? VESTRY_OK : VESTRY_NOT_FOUND);
  return sent;
}

/* The behaviour of a handler. */
typedef struct visit {
  const vestry_key *keys[20]; /* joined; until NULL */
  const vestry_scope *scope;
  vestry_keep_policy policy;
  const char *kept;    /* under ("room", kept); NULL: not stored */
  const char *effects; /* JSON; NULL: one signal */
  bool answers;        /* instead of a stream */
  bool ignores;        /* errors of joining */
  bool tells;          /* broadcasts to the channel after joining */
  test_host *fails;    /* the allocation of joining with the number `fail` fails; NULL: none */
  long fail;
  vestry_connection_hooks hooks;
  vestry_err error; /* of the last join */
  size_t joined;    /* joins without an error */
  site *w;
} visit;

static vestry_err come(const vestry_request *req, vestry_reply *reply, void *app) {
  visit *v = app;
  if (v->fails) test_host_fail_in(v->fails, v->fail);
  for (size_t i = 0; v->keys[i]; i++) {
    v->error = vestry_reply_join(reply, v->scope ? *v->scope : req->scope, v->keys[i]);
    v->joined += !v->error;
  }
  if (v->fails) test_host_fail_no_more(v->fails);
  if (v->error && !v->ignores) return v->error;
  if (v->tells) assert_int_equal(tell(v->w->v, NOWHERE, v->keys[0], "from the handler"), 0);
  if (v->answers) return vestry_reply_body(reply, NULL, "x", 1);
  vestry_reply_stream(reply, &(vestry_stream_options){.hooks = &v->hooks});
  if (v->kept) vestry_reply_key(reply, ROOM(v->kept));
  vestry_reply_keep(reply, v->kept ? v->policy : VESTRY_KEEP_REUSE, 0);
  if (!v->effects) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
  json_t *effects = json_loads(v->effects, 0, NULL);
  for (size_t i = 0; i < json_array_size(effects); i++)
    assert_int_equal(vestry_reply_effect(reply, VESTRY_VALUES(json_array_get(effects, i))), VESTRY_OK);
  json_decref(effects);
  return VESTRY_OK;
}

static void open_in(site *w, wire *r, const vestry_key *key) {
  *r = (wire){.datastar = true};
  wire_request(w, r, come, &(visit){.keys = {key}});
  assert_int_equal(r->status, 200);
}

static void close_all(site *w, wire *all[], size_t count) {
  site_close(w);
  for (size_t i = 0; i < count; i++) wire_finish(all[i]);
  test_host_assert_clean(&w->th);
}

/* ------------------------------------------------------------------------------------------------- members -------- */

/* capability: K12 */
TEST_CASE(channel_exists_while_it_has_members) {
  site w;
  wire a, b, c;
  site_begin(&w, (vestry_options){0});
  assert_int_equal(tell(w.v, NOWHERE, BOARD, "too early"), 0);
  assert_int_equal(channels_of(w.v).made_count, 0); /* publishing creates no channel */
  open_in(&w, &a, BOARD);
  open_in(&w, &b, BOARD);
  open_in(&w, &c, VESTRY_KEY("board", 8));
  assert_int_equal(channels_of(w.v).live_count, 2);
  assert_int_equal(tell(w.v, NOWHERE, BOARD, "both"), 2);
  assert_int_equal(tell(w.v, (vestry_scope){"ann", 3}, BOARD, "somebody else's"), 0);
  site_settle(&w);
  vsi_channel_stats stats = {0};
  assert_int_equal(channel_stats_get(w.v, NOWHERE, BOARD, &stats), VESTRY_OK);
  assert_int_equal(stats.members_count, 2);
  assert_int_equal(stats.published_count, 1);
  assert_int_equal(stats.accepted_count, 2);
  wire_hang_up(&w, &a);
  assert_int_equal(tell(w.v, NOWHERE, BOARD, "one is left"), 1);
  site_settle(&w);
  wire_hang_up(&w, &b);
  assert_int_equal(channels_of(w.v).live_count, 1);
  assert_int_equal(tell(w.v, NOWHERE, BOARD, "too late"), 0);
  assert_int_equal(channel_stats_get(w.v, NOWHERE, BOARD, &stats), VESTRY_NOT_FOUND);
  wire_finish(&a);
  open_in(&w, &a, BOARD); /* another channel with the same key */
  assert_int_equal(channel_stats_get(w.v, NOWHERE, BOARD, &stats), VESTRY_OK);
  assert_int_equal(stats.published_count, 0);
  assert_int_equal(channels_of(w.v).made_count, 3);
  assert_int_equal(wire_count(&b, ": both\n\n: one is left\n\n"), 1);
  assert_int_equal(wire_count(&b, "else") + wire_count(&b, "too"), 0);
  close_all(&w, (wire *[]){&a, &b, &c}, 3);
}

TEST_CASE(join_and_leave_check_membership) {
  site w, other;
  wire a, b, foreign;
  site_begin(&w, (vestry_options){0});
  site_begin(&other, (vestry_options){0});
  open_in(&w, &a, NULL);
  open_in(&w, &b, NULL);
  open_in(&other, &foreign, NULL);
  vestry_scope ann = {"ann", 3};
  vestry_event *event = event_of("x");
  assert_int_equal(vestry_leave(w.v, ann, BOARD, a.connection), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_join(w.v, ann, BOARD, a.connection), VESTRY_OK);
  assert_int_equal(vestry_join(w.v, ann, BOARD, a.connection), VESTRY_EXISTS);
  assert_int_equal(vestry_leave(w.v, ann, BOARD, b.connection), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_join(w.v, ann, BOARD, b.connection), VESTRY_OK);
  assert_int_equal(vestry_join(w.v, ann, VESTRY_KEY("other"), b.connection), VESTRY_OK);
  assert_int_equal(channels_of(w.v).live_count, 2);
  assert_int_equal(tell(w.v, ann, BOARD, "x"), 2);
  assert_int_equal(vestry_leave(w.v, ann, BOARD, a.connection), VESTRY_OK);
  assert_int_equal(tell(w.v, ann, BOARD, "x"), 1);
  assert_int_equal(vestry_leave(w.v, ann, BOARD, b.connection), VESTRY_OK);
  assert_int_equal(channels_of(w.v).live_count, 1);
  assert_int_equal(vestry_join(w.v, ann, BOARD, foreign.connection), VESTRY_INVALID);
  assert_non_null(strstr(w.th.last_log, "vestry_join: the connection is NULL, or belongs to another instance"));
  assert_int_equal(vestry_join(NULL, ann, BOARD, a.connection), VESTRY_INVALID);
  assert_int_equal(vestry_join(w.v, ann, BOARD, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_leave(w.v, ann, BOARD, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_leave(NULL, ann, BOARD, a.connection), VESTRY_INVALID);
  assert_int_equal(vestry_broadcast(NULL, ann, BOARD, event, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_broadcast(w.v, ann, BOARD, NULL, NULL), VESTRY_INVALID);
  wire_hang_up(&w, &a);
  assert_int_equal(vestry_join(w.v, ann, BOARD, a.connection), VESTRY_CLOSED);
  assert_int_equal(channels_of(w.v).live_count, 1); /* the failed calls leave nothing */
  vestry_close(w.v);
  assert_int_equal(vestry_broadcast(w.v, ann, VESTRY_KEY("other"), event, NULL), VESTRY_CLOSED);
  site_settle(&w);
  assert_int_equal(channels_of(w.v).live_count, 0);
  vestry_event_unref(event);
  close_all(&other, (wire *[]){&foreign}, 1);
  close_all(&w, (wire *[]){&a, &b}, 2);
}

/* One stream joins several channels, one of them twice; its end leaves all of them. */
TEST_CASE(reply_joins_several_channels) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {.datastar = true};
  visit v = {.keys = {BOARD, VESTRY_KEY("a"), BOARD}, .scope = &(vestry_scope){"ann", 3}};
  wire_request(&w, &r, come, &v);
  assert_int_equal(v.joined, 3);
  assert_int_equal(tell(w.v, (vestry_scope){"ann", 3}, BOARD, "once"), 1);
  assert_int_equal(tell(w.v, (vestry_scope){"ann", 3}, VESTRY_KEY("a"), "and once"), 1);
  site_settle(&w);
  assert_int_equal(wire_count(&r, "once"), 2);
  assert_int_equal(channels_of(w.v).made_count, 2);
  wire_hang_up(&w, &r);
  assert_int_equal(channels_of(w.v).live_count, 0);
  close_all(&w, (wire *[]){&r}, 1);
}

/* ---------------------------------------------------------------------------------------------------- when -------- */

/* ["tell", text] */
static vestry_err effect_tell(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  tell(vestry_context_info(context)->v, NOWHERE, BOARD, json_string_value(json_array_get(args, 0)));
  return VESTRY_OK;
}

/* The reply joins after the handler and before the reply's effects, as the header documents. */
/* capability: K12 */
TEST_CASE(reply_joins_between_handler_and_effects) {
  site w;
  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "tell", effect_tell, NULL), VESTRY_OK);
  wire r = {.datastar = true};
  visit v = {.keys = {BOARD},
             .tells = true,
             .w = &w,
             .effects = "[[\"patch-signals\",{\"n\":1}],[\"tell\",\"an effect\"],[\"patch-signals\",{\"n\":2}]]"};
  assert_int_equal(wire_serve(&w, &r, come, &v), VESTRY_OK);
  assert_false(r.head_written); /* it has not opened */
  assert_int_equal(tell(w.v, NOWHERE, BOARD, "before it opens"), 1);
  site_settle(&w);
  wire_assert_text(&r, "event: datastar-patch-signals\ndata: signals {\"n\":1}\n\n"
                       ": an effect\n\n"
                       "event: datastar-patch-signals\ndata: signals {\"n\":2}\n\n"
                       ": before it opens\n\n");
  close_all(&w, (wire *[]){&r}, 1);
}

/* Events that one thread sends by key, to a channel and to the stream arrive in that order. */
TEST_CASE(events_of_one_thread_arrive_in_order) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {.datastar = true};
  wire_request(&w, &r, come, &(visit){.keys = {BOARD}, .kept = "b", .policy = VESTRY_KEEP_MANY});
  char expected[2000] = "event: datastar-patch-signals\ndata: signals {\"n\":1}\n\n";
  for (int i = 0; i < 9; i++) {
    const char *effects[] = {"a", "b", "c"};
    if (i % 3 == 0) {
      assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("b"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 2))),
                       VESTRY_OK);
      strcat(expected, "event: datastar-patch-signals\ndata: signals {\"n\":2}\n\n");
      continue;
    }
    vestry_event *event = event_of(effects[i % 3]);
    assert_int_equal(i % 3 == 1 ? vestry_broadcast(w.v, NOWHERE, BOARD, event, NULL)
                                : vestry_connection_send(r.connection, event),
                     VESTRY_OK);
    vestry_event_unref(event);
    sprintf(expected + strlen(expected), ": %s\n\n", effects[i % 3]);
  }
  site_settle(&w);
  wire_assert_text(&r, expected);
  close_all(&w, (wire *[]){&r}, 1);
}

/* capability: K12 */
TEST_CASE(request_without_a_stream_joins_no_channel) {
  site w;
  wire stored;
  site_begin(&w, (vestry_options){0});
  stored = (wire){.datastar = true};
  wire_request(&w, &stored, come, &(visit){.kept = "b", .policy = VESTRY_KEEP_REUSE});
  const struct {
    wire r;
    visit v;
    int status;
  } rows[] = {
      {{.datastar = false}, {.keys = {BOARD}, .answers = true}, 200},
      {{.datastar = true, .open_error = VESTRY_LIMIT}, {.keys = {BOARD}}, 503},
      {{.datastar = true}, {.keys = {BOARD}, .kept = "b", .policy = VESTRY_KEEP_REUSE}, 204},
      {{.datastar = true}, {.keys = {BOARD}, .kept = "b", .policy = VESTRY_KEEP_REJECT}, 409},
      {{.datastar = true}, {.keys = {BOARD, VESTRY_KEY((const char *)NULL)}}, 500},
      {{.datastar = true, .open_io = VESTRY_IO_HANGUP}, {.keys = {BOARD}}, 0}, /* ended before it was opened */
  };
  wire all[6];
  for (size_t i = 0; i < 6; i++) {
    visit v = rows[i].v;
    all[i] = rows[i].r;
    wire_request(&w, &all[i], come, &v);
    if (all[i].status != rows[i].status && rows[i].status) fail_msg("row %zu: %d", i, all[i].status);
    assert_int_equal(v.joined, 1);
    assert_int_equal(tell(w.v, NOWHERE, BOARD, "nobody"), 0);
    assert_int_equal(channels_of(w.v).live_count, 0);
    assert_int_equal(channels_of(w.v).made_count, i + 1); /* the reply referenced it until its end */
  }
  close_all(&w, (wire *[]){&stored, &all[0], &all[1], &all[2], &all[3], &all[4], &all[5]}, 7);
}

/* The hooks of a stream that ends may broadcast to the remaining members, and may try to leave. */
static void say_goodbye(vestry_connection *connection, vestry_cause cause, void *ctx) {
  site *w = ctx;
  assert_int_equal(vestry_leave(w->v, NOWHERE, BOARD, connection), VESTRY_NOT_FOUND); /* it has left already */
  (void)tell(w->v, NOWHERE, BOARD, "goodbye");
}

TEST_CASE(hooks_may_broadcast) {
  site w;
  wire a = {.datastar = true}, b;
  site_begin(&w, (vestry_options){0});
  wire_request(&w, &a, come, &(visit){.keys = {BOARD}, .hooks = {.on_close = say_goodbye, .ctx = &w}});
  open_in(&w, &b, BOARD);
  wire_hang_up(&w, &a);
  site_settle(&w);
  assert_int_equal(wire_count(&b, ": goodbye"), 1);
  close_all(&w, (wire *[]){&a, &b}, 2);
}

/* -------------------------------------------------------------------------------------------------- bounds -------- */

/* capability: K12 */
TEST_CASE(channels_per_instance_are_limited) {
  site w;
  wire all[5];
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_channels_count = 2}});
  open_in(&w, &all[0], VESTRY_KEY(1));
  open_in(&w, &all[1], VESTRY_KEY(2));
  all[2] = (wire){.datastar = true};
  visit third = {.keys = {VESTRY_KEY(3)}};
  wire_request(&w, &all[2], come, &third);
  assert_int_equal(third.error, VESTRY_LIMIT);
  assert_int_equal(all[2].status, 503);
  open_in(&w, &all[3], VESTRY_KEY(2)); /* joining an existing channel needs no place */
  assert_int_equal(vestry_join(w.v, NOWHERE, VESTRY_KEY(3), all[0].connection), VESTRY_LIMIT);
  assert_int_equal(channels_of(w.v).refused_count, 2);
  assert_int_equal(channels_of(w.v).made_count, 2);
  wire_hang_up(&w, &all[0]);
  open_in(&w, &all[4], VESTRY_KEY(3));
  close_all(&w, (wire *[]){&all[0], &all[1], &all[2], &all[3], &all[4]}, 5);
}

TEST_CASE(joins_per_reply_are_limited) {
  site w;
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_per_stream_count = 16}});
  wire r = {.datastar = true};
  visit v = {.ignores = true};
  vestry_key keys[18];
  for (int i = 0; i < 18; i++) {
    keys[i] = vestry_key_integer(i);
    v.keys[i] = &keys[i];
  }
  wire_request(&w, &r, come, &v);
  assert_int_equal(v.error, VESTRY_LIMIT);
  assert_int_equal(v.joined, 16);
  assert_int_equal(channels_of(w.v).live_count, 16);
  wire_hang_up(&w, &r);
  assert_int_equal(channels_of(w.v).ended_count, 16);
  close_all(&w, (wire *[]){&r}, 1);
}

/* Thousands of channels are created and ended in mixed order: the table grows, and each channel is found under its
 * name. */
TEST_CASE(thousands_of_channels_are_distinct) {
  enum { COUNT = 5000 };
  site w;
  wire a, b;
  site_begin(&w, (vestry_options){0});
  open_in(&w, &a, NULL);
  open_in(&w, &b, NULL);
  for (int i = 0; i < COUNT; i++) {
    assert_int_equal(vestry_join(w.v, NOWHERE, VESTRY_KEY("doc", i), a.connection), VESTRY_OK);
    if (i % 3 == 0) assert_int_equal(vestry_join(w.v, NOWHERE, VESTRY_KEY("doc", i), b.connection), VESTRY_OK);
    if (i % 2 == 0) assert_int_equal(vestry_leave(w.v, NOWHERE, VESTRY_KEY("doc", i), a.connection), VESTRY_OK);
  }
  size_t live = 0;
  for (int i = 0; i < COUNT; i++) {
    vsi_channel_stats stats = {0};
    size_t expected = (size_t)(i % 3 == 0) + (size_t)(i % 2 != 0);
    vestry_err error = channel_stats_get(w.v, NOWHERE, VESTRY_KEY("doc", i), &stats);
    assert_int_equal(error, expected ? VESTRY_OK : VESTRY_NOT_FOUND);
    assert_int_equal(stats.members_count, expected);
    live += expected != 0;
  }
  assert_int_equal(channels_of(w.v).made_count, COUNT);
  assert_int_equal(channels_of(w.v).live_count, live);
  wire_hang_up(&w, &a);
  wire_hang_up(&w, &b);
  assert_int_equal(channels_of(w.v).ended_count, COUNT);
  close_all(&w, (wire *[]){&a, &b}, 2);
}

/* A key built from client input is either a distinct name or is refused. */
/* capability: K12 */
TEST_CASE(hostile_keys_are_distinct_or_refused) {
  site w;
  wire r;
  site_begin(&w, (vestry_options){0});
  open_in(&w, &r, NULL);
  static char large[70000];
  memset(large, 'a', sizeof large);
  vestry_key deep[VESTRY_KEY_MAX_DEPTH + 2];
  deep[0] = vestry_key_integer(1);
  for (size_t i = 1; i < sizeof deep / sizeof *deep; i++) deep[i] = vestry_key_tuple(&deep[i - 1], 1);
  const vestry_key long_one = vestry_key_bytes(large, 65000), too_long = vestry_key_bytes(large, 65536);
  const vestry_key nul = vestry_key_bytes("a\0b", 3), cut = vestry_key_bytes("a", 1), text = vestry_key_string("a");
  const vestry_key none = {.type = 99}, one = vestry_key_integer(1), least = vestry_key_integer(INT64_MIN);
  const struct {
    vestry_scope scope;
    const vestry_key *key;
    vestry_err error;
  } rows[] = {
      {{NULL, 0}, VESTRY_KEY("a", "bc"), VESTRY_OK},
      {{NULL, 0}, VESTRY_KEY("ab", "c"), VESTRY_OK},
      {{"a", 1}, VESTRY_KEY("bc"), VESTRY_OK},
      {{"ab", 2}, VESTRY_KEY("c"), VESTRY_OK},
      {{"a\0", 2}, VESTRY_KEY("bc"), VESTRY_OK},
      {{NULL, 0}, &nul, VESTRY_OK},
      {{NULL, 0}, &cut, VESTRY_OK},
      {{NULL, 0}, &text, VESTRY_OK},
      {{NULL, 0}, VESTRY_KEY("\xff\xfe\r\n\r\n"), VESTRY_OK},
      {{NULL, 0}, &one, VESTRY_OK},
      {{NULL, 0}, VESTRY_KEY("1"), VESTRY_OK},
      {{NULL, 0}, &least, VESTRY_OK},
      {{NULL, 0}, VESTRY_KEY(""), VESTRY_OK},
      {{large, VESTRY_SCOPE_MAX_BYTES}, &long_one, VESTRY_OK},
      {{NULL, 0}, &deep[VESTRY_KEY_MAX_DEPTH], VESTRY_OK},
      {{NULL, 0}, &deep[VESTRY_KEY_MAX_DEPTH + 1], VESTRY_TOO_LARGE},
      {{large, VESTRY_SCOPE_MAX_BYTES + 1}, &one, VESTRY_TOO_LARGE},
      {{NULL, 0}, &too_long, VESTRY_TOO_LARGE},
      {{NULL, 0}, NULL, VESTRY_INVALID},
      {{NULL, 0}, &none, VESTRY_INVALID},
      {{NULL, 0}, VESTRY_KEY((const char *)NULL), VESTRY_INVALID},
      {{NULL, 5}, &one, VESTRY_INVALID},
  };
  size_t good = 0;
  vestry_event *event = event_of("x");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vsi_channel_stats stats = {0};
    vestry_err error = vestry_join(w.v, rows[i].scope, rows[i].key, r.connection);
    if (error != rows[i].error) fail_msg("row %zu: %s", i, vestry_strerror(error));
    assert_int_equal(vestry_broadcast(w.v, rows[i].scope, rows[i].key, event, NULL), error);
    assert_int_equal(channel_stats_get(w.v, rows[i].scope, rows[i].key, &stats), error);
    assert_int_equal(vestry_join(w.v, rows[i].scope, rows[i].key, r.connection), error ? error : VESTRY_EXISTS);
    if (error) assert_int_equal(vestry_leave(w.v, rows[i].scope, rows[i].key, r.connection), error);
    if (!error) assert_int_equal(stats.published_count, 1);
    good += !error;
    visit v = {.keys = {rows[i].key}, .scope = &rows[i].scope, .answers = true};
    wire other = {.datastar = true};
    if (rows[i].key) wire_request(&w, &other, come, &v);
    if (rows[i].key) assert_int_equal(v.error, rows[i].error);
    wire_finish(&other);
  }
  assert_int_equal(channels_of(w.v).live_count, good);
  vestry_event_unref(event);
  site_settle(&w);
  assert_int_equal(wire_count(&r, ": x"), good);
  close_all(&w, (wire *[]){&r}, 1);
}

/* The costs that channel.h documents. */
TEST_CASE(channels_and_members_have_the_documented_size) {
  assert_true(sizeof(struct vsi_channel) + 16 * sizeof(void *) <= 1300);
  assert_true(sizeof(vsi_member) + 2 * sizeof(void *) <= 104);
}

/* ------------------------------------------------------------------------------------------- no memory ------------ */

TEST_CASE(failed_join_gets_500_without_a_stream) {
  site w;
  site_begin(&w, (vestry_options){0});
  for (long fail = 0;; fail++) {
    wire r = {.datastar = true};
    visit v = {.keys = {BOARD}, .fails = &w.th, .fail = fail, .ignores = true};
    wire_request(&w, &r, come, &v);
    assert_int_equal(r.status, v.error ? 500 : 200); /* no stream opens without its channel */
    assert_true(!v.error || v.error == VESTRY_NO_MEMORY);
    assert_int_equal(channels_of(w.v).live_count, v.error ? 0 : 1);
    if (r.connection) wire_hang_up(&w, &r);
    wire_finish(&r);
    if (!v.error) break;
    assert_true(fail < 10);
  }
  close_all(&w, NULL, 0);
}

static vestry_err one_life(test_host *th, void *ctx) {
  vestry *v;
  static char text[1000];
  vestry_event *event = NULL;
  memset(text, 'k', sizeof text - 1); /* a key that does not fit on the stack */
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  site w = {.v = v};
  wire r = {.datastar = true};
  visit come_in = {.keys = {BOARD}};
  (void)wire_serve(&w, &r, come, &come_in);
  error = come_in.error;
  if (!error && !r.connection) error = VESTRY_NO_MEMORY;
  if (!error) error = vsi_event_comment(&th->host, "x", &event);
  if (!error) error = vestry_broadcast(v, NOWHERE, BOARD, event, NULL);
  if (!error) error = vestry_join(v, NOWHERE, VESTRY_KEY((const char *)text), r.connection);
  if (!error) error = vestry_broadcast(v, NOWHERE, VESTRY_KEY((const char *)text), event, NULL);
  if (!error) error = vestry_leave(v, NOWHERE, VESTRY_KEY((const char *)text), r.connection);
  for (int i = 0; !error && i < 20; i++) error = vestry_join(v, NOWHERE, VESTRY_KEY(i), r.connection);
  vestry_event_unref(event);
  if (r.connection) vestry_connection_close(r.connection, VESTRY_CAUSE_HANGUP);
  site_settle(&w);
  assert_int_equal(channels_of(v).live_count, 0);
  wire_finish(&r);
  vestry_destroy(v);
  return error;
}

/* capability: K12 */
TEST_CASE(allocation_failure_returns_no_memory) {
  test_host_fail_each(one_life, NULL, true);
}
