/* Sessions: who somebody is, from cookie to cookie, and streams that end with it. */
#include "registry/session/token.h"
#include "registry/world.h"
#include "vestry/dispatch.h"
#include "vestry/presence.h"
#include "vestry/routes.h"
#include "vestry/session.h"

/* ------------------------------------------------------------------------------------------------- a site --------- */

static _Atomic(int64_t) clock_s;
static void (*at_next_look)(void *ctx); /* at the clock; NULL: nothing */
static void *at_next_look_ctx;

static int64_t now_s(void *ctx) {
  void (*fn)(void *) = at_next_look;
  (void)ctx;
  if (fn) {
    at_next_look = NULL; /* there is one thread then */
    fn(at_next_look_ctx);
  }
  return atomic_load(&clock_s);
}

/* What storage holds; each call can fail. */
typedef struct shelf {
  pthread_mutex_t lock;
  struct {
    char hash[40];
    vestry_session_record record;
  } rows[32];
  int saves, loads;
  vestry_err fails;
  vestry *ends_before_save; /* all sessions of the user end in the middle of a save; NULL: not */
  /* Called once, in the middle; NULL: not. */
  void (*after_save)(void *ctx), (*after_load)(void *ctx), (*after_forget_user)(void *ctx);
  void *ctx;
} shelf;

static void meanwhile(shelf *s, void (**fn)(void *ctx)) {
  void (*call)(void *) = *fn;
  if (!call) return;
  *fn = NULL;
  call(s->ctx);
}

static int find_locked(const shelf *s, const char *hash) {
  for (int i = 0; i < 32; i++)
    if (strcmp(s->rows[i].hash, hash) == 0) return i;
  return -1;
}

static vestry_err save(void *ctx, const char *hash, const vestry_session_record *record) {
  shelf *s = ctx;
  vestry *v = s->ends_before_save;
  s->ends_before_save = NULL;
  if (v) assert_int_equal(vestry_session_end_user(v, record->user), VESTRY_OK);
  pthread_mutex_lock(&s->lock);
  s->saves++;
  int at = find_locked(s, hash);
  if (at < 0) at = find_locked(s, "");
  if (!s->fails && at >= 0) {
    strcpy(s->rows[at].hash, hash);
    s->rows[at].record = *record;
  }
  pthread_mutex_unlock(&s->lock);
  meanwhile(s, &s->after_save);
  return s->fails;
}

static vestry_err load(void *ctx, const char *hash, vestry_session_record *ret_record) {
  shelf *s = ctx;
  pthread_mutex_lock(&s->lock);
  s->loads++;
  int at = find_locked(s, hash);
  if (at >= 0) *ret_record = s->rows[at].record;
  pthread_mutex_unlock(&s->lock);
  meanwhile(s, &s->after_load);
  return s->fails ? s->fails : at < 0 ? VESTRY_NOT_FOUND : VESTRY_OK;
}

static vestry_err forget(void *ctx, const char *hash) {
  shelf *s = ctx;
  pthread_mutex_lock(&s->lock);
  int at = find_locked(s, hash);
  if (at >= 0) *s->rows[at].hash = '\0';
  pthread_mutex_unlock(&s->lock);
  return s->fails;
}

static vestry_err forget_user(void *ctx, const char *user) {
  shelf *s = ctx;
  pthread_mutex_lock(&s->lock);
  for (int i = 0; i < 32; i++)
    if (strcmp(s->rows[i].record.user, user) == 0) *s->rows[i].hash = '\0';
  pthread_mutex_unlock(&s->lock);
  meanwhile(s, &s->after_forget_user);
  return s->fails;
}

static const vestry_session_storage_ops shelf_ops = {
    .save = save, .load = load, .remove = forget, .remove_user = forget_user};

static vestry_err who(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *user = vestry_session_user(req);
  (void)app;
  return vestry_reply_bodyf(reply, "%s", user ? user : "nobody");
}

static vestry_err login(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *user = vestry_request_value(req, VESTRY_IN_QUERY, "user");
  vestry_err error = vestry_session_login(req, reply, user);
  (void)app;
  return error ? error : vestry_reply_redirect(reply, 303, "/");
}

static vestry_err logout(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *before = vestry_session_user(req);
  vestry_err error = vestry_session_logout(req, reply);
  (void)app;
  if (before) assert_true(*before); /* still there */
  return error ? error : vestry_reply_bodyf(reply, "bye");
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  vestry_reply_key(reply, VESTRY_KEY("page"));
  return vestry_reply_keep(reply, VESTRY_PUT_MANY, 0);
}

static vestry_err picture(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_body(reply, "image/png", "x", 1);
}

typedef struct browser {
  char cookie[2 * VSI_TOKEN_MAX_LEN]; /* "name=value"; "": none */
  char set[2 * VSI_TOKEN_MAX_LEN];    /* what the last answer's Set-Cookie said; "": nothing */
} browser;

static void begin(world *w, const vestry_session_options *options) {
  vestry_session_options made = *options;
  made.now_s = now_s;
  world_begin(w, (vestry_options){.sessions = &made});
  static const vestry_mounted routes[] = {{"GET", "/", who},
                                          {"POST", "/login", login},
                                          {"POST", "/logout", logout},
                                          {"GET", "/live", live},
                                          {"GET", "/picture", picture}};
  assert_int_equal(vestry_mount(w->v, "", routes, sizeof routes / sizeof *routes, NULL), VESTRY_OK);
}

static void end(world *w) {
  world_end(w);
  test_host_assert_clean(&w->th);
}

/* r: with method and path. */
static void ask(world *w, browser *b, wire *r) {
  if (*b->cookie) r->headers[0] = (vestry_header){"Cookie", b->cookie};
  wire_request(w, r, NULL, NULL);
  *b->set = '\0';
  const char *set = strstr(r->head, "Set-Cookie: ");
  if (!set) return;
  set += strlen("Set-Cookie: ");
  assert_null(strstr(set, "Set-Cookie: ")); /* one at most */
  snprintf(b->set, sizeof b->set, "%.*s", (int)strcspn(set, "\n"), set);
  snprintf(b->cookie, sizeof b->cookie, "%.*s", (int)strcspn(b->set, ";"), b->set);
}

static int status_of(world *w, browser *b, const char *method, const char *path, const char *query) {
  wire r = {.method = method, .path = path, .query = query};
  ask(w, b, &r);
  wire_finish(&r);
  return r.status;
}

static void assert_is(world *w, browser *b, const char *user) {
  wire r = {.path = "/"};
  ask(w, b, &r);
  assert_int_equal(r.status, 200);
  wire_assert_text(&r, user);
  wire_finish(&r);
}

static void log_in(world *w, browser *b, const char *query) {
  assert_int_equal(status_of(w, b, "POST", "/login", query), 303);
}

/* ------------------------------------------------------------------------------------- in all three ways ---------- */

enum way { IN_MEMORY, STORED, SIGNED };
static const char secret[] = "thirty-two bytes that nobody knows";

static vestry_session_options way_of(enum way way, shelf *s) {
  *s = (shelf){.lock = PTHREAD_MUTEX_INITIALIZER};
  vestry_session_options options = {.idle_ms = 1000 * 1000, .lifetime_ms = 5000 * 1000};
  if (way == STORED) {
    options.storage = &shelf_ops;
    options.storage_ctx = s;
  }
  if (way == SIGNED) {
    options.secret = secret;
    options.secret_len = sizeof secret - 1;
  }
  return options;
}

static void a_session_from_its_beginning_to_its_end(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    world w;
    shelf s;
    vestry_session_options options = way_of(way, &s);
    atomic_store(&clock_s, 1000000);
    begin(&w, &options);
    browser b = {.cookie = ""};
    assert_is(&w, &b, "nobody");
    assert_non_null(strstr(b.set, "; Path=/; Secure; HttpOnly; SameSite=Lax"));
    assert_null(strstr(b.set, "Max-Age"));
    assert_memory_equal(b.set, "__Host-session=", 15);
    char first[sizeof b.cookie];
    strcpy(first, b.cookie);
    assert_is(&w, &b, "nobody");
    assert_string_equal(b.set, ""); /* once */
    log_in(&w, &b, "user=ada+l%c3%b8vlace");
    assert_string_not_equal(b.cookie, first);
    assert_non_null(strstr(b.set, "; Max-Age=5000"));
    assert_is(&w, &b, "ada l\xc3\xb8vlace");
    assert_string_equal(b.set, "");
    browser planter = {.cookie = ""};
    strcpy(planter.cookie, first);
    assert_is(&w, &planter, "nobody"); /* the id that was there before is nobody's */
    strcpy(first, b.cookie);
    assert_int_equal(status_of(&w, &b, "POST", "/logout", NULL), 200);
    assert_string_not_equal(b.set, "");
    assert_is(&w, &b, "nobody");
    browser thief = {.cookie = ""};
    strcpy(thief.cookie, first); /* the old cookie is worth nothing */
    assert_is(&w, &thief, "nobody");
    assert_int_equal(status_of(&w, &b, "POST", "/logout", NULL), 200); /* nobody is logged in */
    end(&w);
  }
}

static void it_ends_by_time(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    world w;
    shelf s;
    vestry_session_options options = way_of(way, &s);
    atomic_store(&clock_s, 1000000);
    begin(&w, &options);
    browser b = {.cookie = ""}, idle = {.cookie = ""};
    log_in(&w, &b, "user=a");
    log_in(&w, &idle, "user=idle");
    for (int i = 0; i < 9; i++) { /* 4,500 s, each less than idle */
      atomic_fetch_add(&clock_s, 500);
      test_host_advance_ms(&w.th, 500 * 1000);
      world_settle(&w);
      assert_is(&w, &b, "a");
      if (way == SIGNED) assert_string_not_equal(b.set, ""); /* the cookie says when it was used */
    }
    assert_is(&w, &idle, "nobody");
    atomic_fetch_add(&clock_s, 499);
    test_host_advance_ms(&w.th, 499 * 1000);
    world_settle(&w);
    assert_is(&w, &b, "a");
    atomic_fetch_add(&clock_s, 1);
    test_host_advance_ms(&w.th, 1000);
    world_settle(&w);
    assert_is(&w, &b, "nobody");
    end(&w);
  }
}

static void what_a_restart_keeps(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    world w;
    shelf s;
    vestry_session_options options = way_of(way, &s);
    begin(&w, &options);
    browser b = {.cookie = ""};
    log_in(&w, &b, "user=a");
    end(&w);
    begin(&w, &options);
    assert_is(&w, &b, way == IN_MEMORY ? "nobody" : "a");
    assert_is(&w, &b, way == IN_MEMORY ? "nobody" : "a");
    if (way == STORED) assert_int_equal(s.loads, 1); /* then memory knows */
    end(&w);
  }
}

static void storage_knows_no_ids(void **state) {
  (void)state;
  world w;
  shelf s;
  vestry_session_options options = way_of(STORED, &s);
  begin(&w, &options);
  browser b = {.cookie = ""};
  log_in(&w, &b, "user=a");
  const char *id = strchr(b.cookie, '=') + 1;
  for (int i = 0; i < 32; i++) assert_null(strstr(s.rows[i].hash, id));
  snprintf(b.cookie, sizeof b.cookie, "__Host-session=%s", s.rows[0].hash);
  assert_is(&w, &b, "nobody");
  end(&w);
}

/* ------------------------------------------------------------------------------------------------- streams -------- */

static void a_log_out_ends_the_streams_of_all_tabs(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    world w;
    shelf s;
    vestry_session_options options = way_of(way, &s);
    begin(&w, &options);
    browser a = {.cookie = ""}, other = {.cookie = ""}, visitor = {.cookie = ""};
    log_in(&w, &a, "user=a");
    log_in(&w, &other, "user=a");
    wire tabs[5];
    for (int i = 0; i < 5; i++) {
      tabs[i] = (wire){.path = "/live", .datastar = true};
      ask(&w, i < 3 ? &a : i == 3 ? &other : &visitor, &tabs[i]);
      assert_non_null(tabs[i].connection);
    }
    wire_hang_up(&w, &tabs[1]);
    assert_int_equal(status_of(&w, &a, "POST", "/logout", NULL), 200);
    world_settle(&w);
    for (int i = 0; i < 5; i++) {
      bool ends = i < 3;
      assert_int_equal(vestry_connection_is_open(tabs[i].connection), !ends);
      if (ends) assert_int_equal(tabs[i].clean, i != 1);
    }
    assert_int_equal(vestry_session_end_user(w.v, "a"), VESTRY_OK);
    world_settle(&w);
    assert_false(vestry_connection_is_open(tabs[3].connection));
    assert_true(vestry_connection_is_open(tabs[4].connection));
    assert_is(&w, &other, "nobody");
    world_end(&w);
    for (int i = 0; i < 5; i++) wire_finish(&tabs[i]);
    test_host_assert_clean(&w.th);
  }
}

static vestry_err login_and_live(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  assert_int_equal(vestry_session_login(req, reply, "b"), VESTRY_OK);
  assert_string_equal(vestry_session_user(req), "b");
  vestry_reply_key(reply, VESTRY_KEY("page"));
  assert_int_equal(vestry_session_login(req, reply, "c"), VESTRY_INVALID); /* the key was of b's session */
  return vestry_reply_keep(reply, VESTRY_PUT_MANY, 0);
}

/* Two processes, one storage. */
static void a_log_out_elsewhere_ends_it_here_too(void **state) {
  (void)state;
  world here, there;
  shelf s;
  vestry_session_options options = way_of(STORED, &s);
  begin(&here, &options);
  begin(&there, &options);
  browser a = {.cookie = ""}, other = {.cookie = ""};
  log_in(&here, &a, "user=a");
  log_in(&here, &other, "user=a"); /* the processes' random numbers are the same */
  char hash[40];
  snprintf(hash, sizeof hash, "%s", s.rows[0].hash);
  const vestry_scope scope = {hash, strlen(hash)}, unknown = {"nobody's", 8};
  wire tabs[3];
  for (int i = 0; i < 3; i++) {
    tabs[i] = (wire){.path = "/live", .datastar = true};
    ask(i < 2 ? &here : &there, i == 1 ? &other : &a, &tabs[i]);
    assert_non_null(tabs[i].connection);
  }
  browser out = a; /* its cookie stays */
  assert_int_equal(status_of(&there, &out, "POST", "/logout", NULL), 200);
  assert_is(&there, &out, "nobody");
  assert_is(&here, &a, "a"); /* memory believes in it */
  world_settle(&there);
  assert_false(vestry_connection_is_open(tabs[2].connection));
  assert_true(vestry_connection_is_open(tabs[0].connection));
  /* Of whom storage cannot say goes on. */
  s.fails = VESTRY_IO;
  assert_int_equal(vestry_session_check(here.v, &scope), VESTRY_IO);
  assert_int_equal(vestry_session_check(here.v, NULL), VESTRY_IO);
  s.fails = VESTRY_OK;
  assert_int_equal(vestry_session_check(here.v, &unknown), VESTRY_OK);
  world_settle(&here);
  assert_true(vestry_connection_is_open(tabs[0].connection));
  assert_int_equal(vestry_session_check(here.v, &scope), VESTRY_OK);
  world_settle(&here);
  assert_false(vestry_connection_is_open(tabs[0].connection));
  assert_true(tabs[0].clean);
  assert_true(vestry_connection_is_open(tabs[1].connection)); /* another session of the same user's */
  /* All at once. */
  assert_int_equal(status_of(&there, &other, "POST", "/logout", NULL), 200);
  assert_int_equal(vestry_session_check(here.v, NULL), VESTRY_OK);
  world_settle(&here);
  assert_false(vestry_connection_is_open(tabs[1].connection));
  int loads = s.loads;
  assert_int_equal(vestry_session_check(here.v, NULL), VESTRY_OK); /* memory holds none */
  assert_int_equal(s.loads, loads);
  assert_int_equal(vestry_session_check(NULL, NULL), VESTRY_INVALID);
  world_end(&here);
  world_end(&there);
  for (int i = 0; i < 3; i++) wire_finish(&tabs[i]);
  test_host_assert_clean(&here.th);
  test_host_assert_clean(&there.th);
  options = way_of(IN_MEMORY, &s);
  begin(&here, &options);
  assert_int_equal(vestry_session_check(here.v, NULL), VESTRY_INVALID); /* no storage */
  end(&here);
}

static void a_log_in_ends_the_session_before(void **state) {
  (void)state;
  world w;
  begin(&w, &(vestry_session_options){.insecure = true});
  assert_int_equal(vestry_route(w.v, "GET", "/both", login_and_live, NULL), VESTRY_OK);
  browser b = {.cookie = ""};
  log_in(&w, &b, "user=a");
  wire before = {.path = "/live", .datastar = true}, after = {.path = "/both", .datastar = true};
  ask(&w, &b, &before);
  ask(&w, &b, &after);
  world_settle(&w);
  assert_true(vestry_connection_is_open(after.connection));
  assert_false(vestry_connection_is_open(before.connection));
  world_end(&w);
  wire_finish(&before);
  wire_finish(&after);
  test_host_assert_clean(&w.th);
}

static vestry_err only_login_and_live(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  vestry_err error = vestry_session_login(req, reply, "b");
  return error ? error : live(req, reply, app);
}

static void a_stream_may_begin_with_its_log_in(void **state) {
  (void)state;
  world w;
  begin(&w, &(vestry_session_options){.insecure = true});
  assert_int_equal(vestry_route(w.v, "GET", "/both", only_login_and_live, NULL), VESTRY_OK);
  browser b = {.cookie = ""};
  log_in(&w, &b, "user=a");
  wire r = {.path = "/both", .datastar = true};
  ask(&w, &b, &r);
  assert_true(vestry_connection_is_open(r.connection));
  assert_memory_equal(b.set, "session=", 8);
  assert_null(strstr(b.set, "Secure"));
  assert_is(&w, &b, "b");
  char scope[VSI_TOKEN_HASH_LEN + 1];
  vsi_token_hash(strchr(b.cookie, '=') + 1, scope);
  const vestry_scope of = {scope, VSI_TOKEN_HASH_LEN};
  assert_int_equal(vestry_dispatch(w.v, of, VESTRY_KEY("page"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))),
                   VESTRY_OK);
  world_settle(&w);
  assert_int_equal(wire_count(&r, "\"n\":1"), 1);
  assert_int_equal(status_of(&w, &b, "POST", "/logout", NULL), 200);
  world_settle(&w);
  assert_false(vestry_connection_is_open(r.connection));
  wire_finish(&r);
  end(&w);
}

/* What else the stream is a part of may have been said before. */
static vestry_err present_in_out_and_live(const vestry_request *req, vestry_reply *reply, void *app) {
  assert_int_equal(vestry_reply_present(reply, app, NULL, "somebody"), VESTRY_OK);
  assert_int_equal(vestry_session_login(req, reply, "b"), VESTRY_OK);
  assert_int_equal(vestry_session_logout(req, reply), VESTRY_OK);
  return live(req, reply, NULL);
}

static void a_stream_leaves_the_session_that_its_request_has_left(void **state) {
  (void)state;
  world w;
  begin(&w, &(vestry_session_options){.insecure = true});
  vestry_presence *presence;
  assert_int_equal(vestry_presence_create(w.v, NULL, &presence), VESTRY_OK);
  assert_int_equal(vestry_route(w.v, "GET", "/through", present_in_out_and_live, presence), VESTRY_OK);
  browser b = {.cookie = ""};
  wire r = {.path = "/through", .datastar = true};
  ask(&w, &b, &r);
  assert_true(vestry_connection_is_open(r.connection));
  assert_true(vestry_presence_is(presence, NULL, "somebody"));
  vestry_presence_destroy(presence);
  world_end(&w);
  wire_finish(&r);
  test_host_assert_clean(&w.th);
}

typedef struct short_of_memory {
  world w;
  long fail_at; /* of the log-in's allocations */
  vestry_err error;
  char user[16]; /* who it was then */
} short_of_memory;

/* Whatever became of the log-in, the page is told who it is now. */
static vestry_err try_login_and_say_who(const vestry_request *req, vestry_reply *reply, void *app) {
  short_of_memory *s = app;
  atomic_store(&s->w.th.fail_at, atomic_load(&s->w.th.allocations) + s->fail_at);
  s->error = vestry_session_login(req, reply, "b");
  atomic_store(&s->w.th.fail_at, -1);
  const char *user = vestry_session_user(req);
  snprintf(s->user, sizeof s->user, "%s", user ? user : "nobody");
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("user", s->user));
  return live(req, reply, NULL);
}

static void who_it_is_after_a_log_in_that_failed(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    short_of_memory s = {.error = VESTRY_NO_MEMORY};
    size_t ended_count = 0;
    for (; s.error; s.fail_at++) {
      shelf stored;
      vestry_session_options options = way_of(way, &stored);
      begin(&s.w, &options);
      assert_int_equal(vestry_route(s.w.v, "GET", "/try", try_login_and_say_who, &s), VESTRY_OK);
      browser b = {.cookie = ""};
      log_in(&s.w, &b, "user=a");
      wire before = {.path = "/live", .datastar = true}, r = {.path = "/try", .datastar = true};
      ask(&s.w, &b, &before);
      ask(&s.w, &b, &r);
      world_settle(&s.w);
      assert_true(s.error == VESTRY_OK || s.error == VESTRY_NO_MEMORY);
      bool is_nobodys = strcmp(s.user, "nobody") == 0;
      ended_count += is_nobodys;
      if (s.error) assert_string_not_equal(s.user, "b");
      assert_int_equal(vestry_connection_is_open(before.connection), strcmp(s.user, "a") == 0);
      /* the message arrives, the next request is whose the handler said, and the stream is theirs */
      assert_true(vestry_connection_is_open(r.connection));
      assert_int_equal(wire_count(&r, s.user), 1);
      assert_is(&s.w, &b, s.user);
      assert_int_equal(vestry_session_end_user(s.w.v, "a"), VESTRY_OK);
      assert_int_equal(vestry_session_end_user(s.w.v, "b"), VESTRY_OK);
      world_settle(&s.w);
      assert_int_equal(vestry_connection_is_open(r.connection), is_nobodys);
      world_end(&s.w);
      wire_finish(&before), wire_finish(&r);
      test_host_assert_clean(&s.w.th);
    }
    assert_true(s.fail_at > 1 && ended_count > 0);
  }
}

/* Nor is it the one before if ending that, or storing the new one, failed. */
static vestry_err login_or_say(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_login(req, reply, "b");
  const char *user = vestry_session_user(req);
  (void)app;
  if (error) vestry_reply_status(reply, 503);
  return vestry_reply_bodyf(reply, "%s, it is %s", error ? "sorry" : "welcome", user ? user : "nobody");
}

static void an_error_page_is_of_nobody(void **state) {
  (void)state;
  world w;
  shelf s;
  vestry_session_options options = way_of(STORED, &s);
  begin(&w, &options);
  assert_int_equal(vestry_route(w.v, "POST", "/try", login_or_say, NULL), VESTRY_OK);
  browser b = {.cookie = ""};
  log_in(&w, &b, "user=a");
  s.fails = VESTRY_LIMIT;
  wire r = {.method = "POST", .path = "/try"}, again = r;
  ask(&w, &b, &r);
  assert_int_equal(r.status, 503);
  wire_assert_text(&r, "sorry, it is nobody");
  assert_string_not_equal(b.set, ""); /* the browser is told so, too */
  s.fails = VESTRY_OK;
  assert_is(&w, &b, "nobody");
  ask(&w, &b, &again);
  wire_assert_text(&again, "welcome, it is b");
  wire_finish(&r), wire_finish(&again);
  end(&w);
}

/* ------------------------------------------------------------------------------------- cookies of others ---------- */

static void cookies_that_were_not_written_here(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    world w;
    shelf s;
    vestry_session_options options = way_of(way, &s);
    begin(&w, &options);
    browser b = {.cookie = ""};
    log_in(&w, &b, "user=ada");
    size_t len = strlen(b.cookie);
    for (size_t i = 15; i < len; i++) { /* each character, another one, and none */
      browser bad = b;
      bad.cookie[i] = bad.cookie[i] == 'a' ? 'b' : 'a';
      assert_is(&w, &bad, "nobody");
      bad = b;
      bad.cookie[i] = '\0';
      assert_is(&w, &bad, "nobody");
      bad = b;
      if (bad.cookie[i] >= 'a' && bad.cookie[i] <= 'f') bad.cookie[i] -= 'a' - 'A';
      assert_is(&w, &bad, strcmp(bad.cookie, b.cookie) == 0 ? "ada" : "nobody");
    }
    browser more = b;
    strcat(more.cookie, "0");
    assert_is(&w, &more, "nobody");
    snprintf(more.cookie, sizeof more.cookie, "x=1; __Host-session=\"no\"; %s; %s", b.cookie, "__Host-session=0");
    assert_is(&w, &more, "nobody"); /* of several the first */
    snprintf(more.cookie, sizeof more.cookie, "x=1; %s; __Host-session=0", b.cookie);
    assert_is(&w, &more, "ada");
    end(&w);
  }
}

static void a_secret_can_be_changed(void **state) {
  (void)state;
  world w;
  shelf s;
  vestry_session_options options = way_of(SIGNED, &s);
  begin(&w, &options);
  browser b = {.cookie = ""};
  log_in(&w, &b, "user=ada");
  end(&w);
  static const char other[] = "another one, of which nobody has heard";
  options.previous_secret = options.secret;
  options.previous_secret_len = options.secret_len;
  options.secret = other;
  options.secret_len = sizeof other - 1;
  begin(&w, &options);
  assert_is(&w, &b, "ada");
  end(&w);
  options.previous_secret = NULL;
  begin(&w, &options);
  assert_is(&w, &b, "nobody");
  end(&w);
}

static void what_caches_may_keep_has_no_cookie(void **state) {
  (void)state;
  world w;
  begin(&w, &(vestry_session_options){.insecure = true});
  browser b = {.cookie = ""};
  assert_int_equal(status_of(&w, &b, "GET", "/picture", NULL), 200);
  assert_string_equal(b.set, "");
  assert_int_equal(status_of(&w, &b, "GET", "/nowhere", NULL), 404);
  assert_string_equal(b.set, "");
  wire r = {.path = "/live", .datastar = true};
  ask(&w, &b, &r);
  assert_string_not_equal(b.set, "");
  world_end(&w);
  wire_finish(&r);
}

/* --------------------------------------------------------------------------------------------- what fails --------- */

static void storage_that_fails(void **state) {
  (void)state;
  world w;
  shelf s;
  vestry_session_options options = way_of(STORED, &s);
  begin(&w, &options);
  browser b = {.cookie = ""};
  assert_is(&w, &b, "nobody");
  s.fails = VESTRY_LIMIT;
  assert_int_equal(status_of(&w, &b, "POST", "/login", "user=a"), 503);
  s.fails = VESTRY_OK;
  assert_is(&w, &b, "nobody");
  log_in(&w, &b, "user=a");
  wire r = {.path = "/live", .datastar = true};
  ask(&w, &b, &r);
  s.fails = VESTRY_LIMIT;
  assert_int_equal(status_of(&w, &b, "POST", "/logout", NULL), 503);
  world_settle(&w);
  assert_false(vestry_connection_is_open(r.connection)); /* it has ended all the same */
  s.fails = VESTRY_OK;
  assert_is(&w, &b, "nobody");
  wire_finish(&r);
  end(&w);
}

/* A use is noted while the session ends: the row that is written last must not stay. */
static void a_late_save_brings_nobody_back(void **state) {
  (void)state;
  world w;
  shelf s;
  vestry_session_options options = way_of(STORED, &s);
  atomic_store(&clock_s, 1000000);
  begin(&w, &options);
  browser b = {.cookie = ""};
  log_in(&w, &b, "user=a");
  atomic_fetch_add(&clock_s, 200);
  s.ends_before_save = w.v;
  char cookie[sizeof b.cookie];
  strcpy(cookie, b.cookie);
  (void)status_of(&w, &b, "GET", "/", NULL);
  assert_int_equal(s.saves, 2);
  for (int i = 0; i < 32; i++) assert_string_equal(s.rows[i].hash, "");
  end(&w);
  begin(&w, &options);
  strcpy(b.cookie, cookie);
  assert_is(&w, &b, "nobody");
  end(&w);
}

/* ---------------------------------------------------------------------------------- what meets in the middle ------ */

typedef struct meeting {
  world w;
  shelf s;
  browser b;
  const char *user; /* whose sessions end */
  const char *query;
  int status;
} meeting;

static void end_all(void *ctx) {
  meeting *m = ctx;
  assert_int_equal(vestry_session_end_user(m->w.v, m->user), VESTRY_OK);
}

static void log_in_meanwhile(void *ctx) {
  meeting *m = ctx;
  m->status = status_of(&m->w, &m->b, "POST", "/login", m->query);
}

static void log_out_meanwhile(void *ctx) {
  meeting *m = ctx;
  browser other = m->b;
  assert_int_equal(status_of(&m->w, &other, "POST", "/logout", NULL), 200);
}

static size_t rows_count(const shelf *s) {
  size_t count = 0;
  for (int i = 0; i < 32; i++) count += *s->rows[i].hash != '\0';
  return count;
}

/* Between storage and the table there is a moment in which an end would find a log-in in the one and not in the other;
 * and the same between what an end does first and what it does last. */
static void a_log_in_does_not_survive_the_end_that_it_meets(void **state) {
  (void)state;
  enum { BEFORE_SAVE, AFTER_SAVE, IN_THE_END, MOMENTS };
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    for (int moment = BEFORE_SAVE; moment < MOMENTS; moment++) {
      for (int is_same = 0; is_same < 2; is_same++) {
        if (way != STORED && moment != BEFORE_SAVE) continue;
        meeting m = {.user = is_same ? "a" : "c", .query = "user=a"};
        vestry_session_options options = way_of(way, &m.s);
        atomic_store(&clock_s, 1000000);
        begin(&m.w, &options);
        m.s.ctx = at_next_look_ctx = &m;
        if (moment == BEFORE_SAVE) at_next_look = end_all;
        if (moment == AFTER_SAVE) m.s.after_save = end_all;
        if (moment == IN_THE_END) {
          m.s.after_forget_user = log_in_meanwhile;
          end_all(&m);
        } else {
          log_in_meanwhile(&m);
        }
        assert_null(at_next_look);
        assert_int_equal(m.status, is_same ? 500 : 303);
        assert_is(&m.w, &m.b, is_same ? "nobody" : "a");
        assert_int_equal(rows_count(&m.s), way == STORED && !is_same);
        log_in(&m.w, &m.b, "user=a"); /* in the same second, but after it */
        assert_is(&m.w, &m.b, "a");
        end(&m.w);
      }
    }
  }
}

static vestry_err change_password(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_end_user(app, "a");
  if (!error) error = vestry_session_login(req, reply, "a");
  return error ? error : vestry_reply_redirect(reply, 303, "/");
}

/* All sessions end, and one begins, in one second. */
static void who_changes_a_password_stays(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    world w;
    shelf s;
    vestry_session_options options = way_of(way, &s);
    begin(&w, &options);
    assert_int_equal(vestry_route(w.v, "POST", "/change", change_password, w.v), VESTRY_OK);
    browser here = {.cookie = ""}, there = {.cookie = ""};
    log_in(&w, &here, "user=a");
    log_in(&w, &there, "user=a");
    assert_int_equal(status_of(&w, &here, "POST", "/change", NULL), 303);
    assert_is(&w, &here, "a");
    assert_is(&w, &there, "nobody");
    end(&w);
  }
}

/* A session that ends while a request loads it is not let in: neither is the request, nor is its stream the user's. */
static void what_ends_while_it_is_loaded_is_not_let_in(void **state) {
  (void)state;
  for (int by_user = 0; by_user < 2; by_user++) {
    meeting m = {.user = "a"};
    vestry_session_options options = way_of(STORED, &m.s);
    begin(&m.w, &options);
    m.s.ctx = &m;
    log_in(&m.w, &m.b, "user=a");
    char cookie[sizeof m.b.cookie];
    strcpy(cookie, m.b.cookie);
    end(&m.w);
    begin(&m.w, &options); /* memory is empty: it is loaded */
    wire r = {.path = "/live", .datastar = true};
    m.s.after_load = by_user ? end_all : log_out_meanwhile;
    ask(&m.w, &m.b, &r);
    assert_null(m.s.after_load);
    assert_true(vestry_connection_is_open(r.connection)); /* a visitor's: under another id */
    assert_string_not_equal(m.b.set, "");
    assert_string_not_equal(m.b.cookie, cookie);
    assert_is(&m.w, &m.b, "nobody");
    strcpy(m.b.cookie, cookie);
    assert_is(&m.w, &m.b, "nobody");
    assert_int_equal(rows_count(&m.s), 0);
    world_end(&m.w);
    wire_finish(&r);
    test_host_assert_clean(&m.w.th);
  }
}

static void open_meanwhile(void *ctx) {
  meeting *m = ctx;
  m->status = status_of(&m->w, &m->b, "GET", "/", NULL);
}

/* Two requests that load one session have one. */
static void what_is_loaded_twice_is_one_session(void **state) {
  (void)state;
  meeting m = {.user = "a"};
  vestry_session_options options = way_of(STORED, &m.s);
  begin(&m.w, &options);
  m.s.ctx = &m;
  log_in(&m.w, &m.b, "user=a");
  end(&m.w);
  begin(&m.w, &options);
  wire r = {.path = "/live", .datastar = true};
  m.s.after_load = open_meanwhile;
  ask(&m.w, &m.b, &r);
  assert_int_equal(m.status, 200);
  assert_int_equal(m.s.loads, 2);
  assert_int_equal(status_of(&m.w, &m.b, "POST", "/logout", NULL), 200);
  world_settle(&m.w);
  assert_false(vestry_connection_is_open(r.connection));
  world_end(&m.w);
  wire_finish(&r);
  test_host_assert_clean(&m.w.th);
}

typedef struct coming_back {
  const vestry_session_options *options;
  char *cookie;
} coming_back;

static vestry_err come_back(test_host *th, void *ctx) {
  const coming_back *c = ctx;
  vestry *v;
  vestry_err error = vestry_create(
      &(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE, .sessions = c->options}, &v);
  if (error) return error;
  error = vestry_route(v, "GET", "/", who, NULL);
  if (!error) {
    wire r = {.path = "/", .headers = {{"Cookie", c->cookie}}};
    world w = {.v = v};
    (void)wire_serve(&w, &r, NULL, NULL);
    error = r.status == 200 ? VESTRY_OK : VESTRY_NO_MEMORY;
    if (!error) wire_assert_text(&r, "a"); /* never nobody */
    wire_finish(&r);
  }
  vestry_destroy(v);
  return error;
}

static void without_memory_nobody_is_another(void **state) {
  (void)state;
  for (enum way way = STORED; way <= SIGNED; way++) {
    world w;
    shelf s;
    vestry_session_options options = way_of(way, &s);
    begin(&w, &options);
    browser b = {.cookie = ""};
    log_in(&w, &b, "user=a");
    end(&w);
    options.now_s = now_s;
    coming_back c = {&options, b.cookie};
    test_host_fail_each(come_back, &c, true);
  }
}

static void a_log_in_that_cannot_end_the_session_before_fails(void **state) {
  (void)state;
  world w;
  shelf s;
  vestry_session_options options = way_of(STORED, &s);
  begin(&w, &options);
  browser b = {.cookie = ""};
  log_in(&w, &b, "user=a");
  s.fails = VESTRY_LIMIT;
  assert_int_equal(status_of(&w, &b, "POST", "/login", "user=b"), 503);
  s.fails = VESTRY_OK;
  assert_is(&w, &b, "nobody");
  end(&w);
}

/* Strangers cost no look into the database. */
static void visitors_are_not_looked_up(void **state) {
  (void)state;
  world w;
  shelf s;
  vestry_session_options options = way_of(STORED, &s);
  begin(&w, &options);
  browser b = {.cookie = ""};
  assert_is(&w, &b, "nobody");
  for (int i = 0; i < 5; i++) assert_is(&w, &b, "nobody");
  assert_int_equal(s.loads, 0);
  end(&w);
}

static void bad_options_and_users(void **state) {
  (void)state;
  static const vestry_session_storage_ops half = {.save = save};
  static const vestry_session_options bad[] = {
      {.secret = "short", .secret_len = 5},
      {.previous_secret = secret, .previous_secret_len = 34},
      {.secret = secret, .secret_len = 34, .previous_secret = "x", .previous_secret_len = 1},
      {.secret = secret, .secret_len = 34, .storage = &shelf_ops},
      {.storage = &half},
      {.cookie = "a-name-that-is-much-too-long-for-a-cookie-of-ours-to-have-at-all-"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    world w;
    test_host_init(&w.th);
    assert_int_equal(world_try(&w, (vestry_options){.sessions = &bad[i]}), VESTRY_INVALID);
    test_host_assert_clean(&w.th);
  }
  world w;
  begin(&w, &(vestry_session_options){.insecure = true});
  browser b = {.cookie = ""};
  static const char *const users[] = {"", "user=", "user=%0a", "user=%7f"};
  for (size_t i = 0; i < sizeof users / sizeof *users; i++)
    assert_int_equal(status_of(&w, &b, "POST", "/login", users[i]), 500);
  char query[300] = "user=";
  memset(query + 5, 'a', 255);
  log_in(&w, &b, query);
  query[260] = 'a';
  assert_int_equal(status_of(&w, &b, "POST", "/login", query), 500);
  assert_int_equal(vestry_session_end_user(w.v, ""), VESTRY_INVALID);
  assert_int_equal(vestry_session_end_user(NULL, "a"), VESTRY_INVALID);
  end(&w);
}

static vestry_err log_in_and_out(test_host *th, void *ctx) {
  const vestry_session_options *options = ctx;
  vestry *v;
  vestry_err error = vestry_create(
      &(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE, .sessions = options}, &v);
  if (error) return error;
  error = vestry_route(v, "POST", "/login", login, NULL);
  if (!error) error = vestry_route(v, "POST", "/logout", logout, NULL);
  if (!error) {
    wire r = {.method = "POST", .path = "/login", .query = "user=a"};
    world w = {.v = v};
    char cookie[2 * VSI_TOKEN_MAX_LEN] = "";
    (void)wire_serve(&w, &r, NULL, NULL);
    error = r.status == 303 ? VESTRY_OK : r.status == 500 || r.status == 0 ? VESTRY_NO_MEMORY : VESTRY_FAILED;
    const char *set = strstr(r.head, "Set-Cookie: ");
    if (set) snprintf(cookie, sizeof cookie, "%.*s", (int)strcspn(set + 12, ";"), set + 12);
    wire_finish(&r);
    wire out = {.method = "POST", .path = "/logout", .headers = {{"Cookie", cookie}}};
    if (!error) {
      (void)wire_serve(&w, &out, NULL, NULL);
      error = out.status == 200 ? VESTRY_OK : VESTRY_NO_MEMORY;
      wire_finish(&out);
    }
  }
  vestry_destroy(v);
  return error;
}

static void no_memory_is_an_error(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    shelf s;
    vestry_session_options options = way_of(way, &s);
    test_host_fail_each(log_in_and_out, &options, true);
  }
}

/* --------------------------------------------------------------------------------------------------- races -------- */

typedef struct rush {
  world *w;
  const browser *b;
  _Atomic(bool) go;
  wire streams[40];
} rush;

static void *open_streams(void *ctx) {
  rush *all = ctx;
  while (!atomic_load(&all->go)) sched_yield();
  for (int i = 0; i < 40; i++) {
    all->streams[i] = (wire){.path = "/live", .datastar = true, .headers = {{"Cookie", all->b->cookie}}};
    assert_int_equal(wire_serve(all->w, &all->streams[i], NULL, NULL), VESTRY_OK);
  }
  return NULL;
}

/* Whoever opened a stream with the old cookie while it was logged out: no such stream stays, of that user. */
static void no_stream_outlives_its_session(void **state) {
  (void)state;
  for (int round = 0; round < 60; round++) {
    world w;
    shelf s;
    vestry_session_options options = way_of((enum way)(round % 3), &s);
    begin(&w, &options);
    browser b = {.cookie = ""}, out;
    log_in(&w, &b, "user=a");
    out = b;
    rush all = {.w = &w, .b = &b};
    pthread_t opener;
    assert_int_equal(pthread_create(&opener, NULL, open_streams, &all), 0);
    atomic_store(&all.go, true);
    for (int i = 0; i < round % 7; i++) sched_yield();
    wire r = {.method = "POST", .path = "/logout", .headers = {{"Cookie", out.cookie}}};
    assert_int_equal(wire_serve(&w, &r, NULL, NULL), VESTRY_OK);
    assert_int_equal(r.status, 200);
    wire_finish(&r);
    pthread_join(opener, NULL);
    world_settle(&w);
    /* Those that are open came when the cookie was nobody's any more: a new visitor's, or the old id's without a
     * user. */
    vestry_stats stats = {.size = sizeof stats};
    vestry_stats_get(w.v, &stats);
    size_t open = 0;
    for (int i = 0; i < 40; i++)
      open += all.streams[i].connection && vestry_connection_is_open(all.streams[i].connection);
    assert_int_equal(open, stats.open_count);
    for (int i = 0; i < 39; i++) { /* once one was nobody's, all that follow are */
      bool ended = all.streams[i].connection && !vestry_connection_is_open(all.streams[i].connection);
      bool next_ended = all.streams[i + 1].connection && !vestry_connection_is_open(all.streams[i + 1].connection);
      if (next_ended && !ended) assert_false(all.streams[i].connection != NULL);
    }
    world_end(&w);
    for (int i = 0; i < 40; i++) wire_finish(&all.streams[i]);
    test_host_assert_clean(&w.th);
  }
}

/* ------------------------------------------------------------------------------------------ one among many -------- */

static vestry_session_options crowd_of(enum way way, shelf *s) {
  vestry_session_options options = way_of(way, s);
  options.max_count = 20;
  options.max_per_user_count = 5;
  return options;
}

static size_t rows_of(const shelf *s) {
  size_t count = 0;
  for (int i = 0; i < 32; i++) count += *s->rows[i].hash != '\0';
  return count;
}

/* Where there is room for twenty sessions, one user logs in two hundred times. */
static void one_users_log_ins_end_nobody_elses_session(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    world w;
    shelf s;
    vestry_session_options options = crowd_of(way, &s);
    begin(&w, &options);
    browser ann = {.cookie = ""}, bob[10];
    log_in(&w, &ann, "user=ann");
    wire anns = {.path = "/live", .datastar = true}, bobs = anns;
    ask(&w, &ann, &anns);
    for (int i = 0; i < 200; i++) {
      browser *b = &bob[i % 10];
      *b->cookie = '\0';
      log_in(&w, b, "user=bob");
      if (i == 192) ask(&w, b, &bobs); /* one of the last ten, and not of the last five */
    }
    world_settle(&w);
    assert_true(vestry_connection_is_open(anns.connection));
    assert_false(vestry_connection_is_open(bobs.connection));
    assert_false(bobs.clean); /* it comes back, to log in */
    assert_is(&w, &ann, "ann");
    for (int i = 0; i < 10; i++) {
      browser copy = bob[i];
      assert_is(&w, &copy, i < 5 ? "nobody" : "bob");
    }
    if (way == STORED) assert_int_equal(rows_of(&s), 6);
    vestry_stats stats = {.size = sizeof stats};
    vestry_stats_get(w.v, &stats);
    assert_int_equal(stats.sessions_live_count, 6);
    assert_int_equal(stats.logins_count, 201);
    assert_int_equal(stats.logins_repeated_count, 199);
    assert_int_equal(stats.sessions_displaced_count, 195);
    assert_int_equal(stats.logins_failed_count, 0);
    assert_int_equal(status_of(&w, &ann, "POST", "/login", "user="), 500);
    vestry_stats_get(w.v, &stats);
    assert_int_equal(stats.logins_failed_count, 1);
    world_end(&w);
    wire_finish(&anns);
    wire_finish(&bobs);
    test_host_assert_clean(&w.th);
  }
}

/* Nor does who logs in and out all day long make it forgotten that others have logged out. */
static void one_users_log_outs_bring_nobody_else_back(void **state) {
  (void)state;
  world w;
  shelf s;
  vestry_session_options options = crowd_of(SIGNED, &s);
  options.max_count = 200;
  begin(&w, &options);
  browser ann = {.cookie = ""}, bob = {.cookie = ""}, eve = {.cookie = ""}, thief;
  log_in(&w, &ann, "user=ann");
  thief = ann;
  assert_int_equal(status_of(&w, &ann, "POST", "/logout", NULL), 200);
  log_in(&w, &eve, "user=eve");
  assert_int_equal(vestry_session_end_user(w.v, "eve"), VESTRY_OK);
  for (int i = 0; i < 1000; i++) {
    log_in(&w, &bob, "user=bob");
    assert_int_equal(status_of(&w, &bob, "POST", "/logout", NULL), 200);
  }
  assert_is(&w, &thief, "nobody");
  assert_is(&w, &eve, "nobody");
  end(&w);
}

typedef struct entrant {
  world *w;
  const char *user;
  pthread_t thread;
} entrant;

static void *log_in_often(void *ctx) {
  entrant *e = ctx;
  for (int i = 0; i < 100; i++) {
    wire r = {.method = "POST", .path = "/login", .query = e->user};
    assert_int_equal(wire_serve(e->w, &r, NULL, NULL), VESTRY_OK);
    assert_int_equal(r.status, 303);
    wire_finish(&r);
  }
  return NULL;
}

static void users_that_log_in_at_once_are_bounded(void **state) {
  (void)state;
  world w;
  shelf s;
  vestry_session_options options = crowd_of(IN_MEMORY, &s);
  begin(&w, &options);
  static const char *const users[] = {"user=a", "user=b", "user=a", "user=b", "user=a", "user=c"};
  entrant entrants[6];
  for (int i = 0; i < 6; i++) {
    entrants[i] = (entrant){.w = &w, .user = users[i]};
    assert_int_equal(pthread_create(&entrants[i].thread, NULL, log_in_often, &entrants[i]), 0);
  }
  for (int i = 0; i < 6; i++) pthread_join(entrants[i].thread, NULL);
  vestry_stats stats = {.size = sizeof stats};
  vestry_stats_get(w.v, &stats);
  assert_int_equal(stats.logins_count, 600);
  assert_int_equal(stats.sessions_live_count, 15);
  assert_int_equal(stats.sessions_displaced_count, 585);
  end(&w);
}

/* Whoever has a stream open when the lifetime is over, which a restart does not begin anew. */
static void a_restart_gives_no_second_life(void **state) {
  (void)state;
  for (enum way way = STORED; way <= SIGNED; way++) {
    world w;
    shelf s;
    vestry_session_options options = way_of(way, &s);
    options.idle_ms = options.lifetime_ms;
    atomic_store(&clock_s, 1000000);
    begin(&w, &options);
    browser b[3] = {{.cookie = ""}, {.cookie = ""}, {.cookie = ""}};
    for (int i = 0; i < 3; i++) {
      log_in(&w, &b[i], "user=a");
      atomic_fetch_add(&clock_s, 100);
    }
    end(&w);
    atomic_fetch_add(&clock_s, 3700); /* 4,000 of 5,000 s of the first */
    begin(&w, &options);
    wire streams[3];
    for (int i = 2; i >= 0; i--) {
      streams[i] = (wire){.path = "/live", .datastar = true};
      ask(&w, &b[i], &streams[i]);
      assert_non_null(streams[i].connection);
    }
    for (int i = 0; i < 3; i++) {
      atomic_fetch_add(&clock_s, i ? 99 : 999);
      test_host_advance_ms(&w.th, (i ? 99 : 999) * 1000);
      world_settle(&w);
      assert_true(vestry_connection_is_open(streams[i].connection));
      atomic_fetch_add(&clock_s, 1);
      test_host_advance_ms(&w.th, 1000);
      world_settle(&w);
      assert_false(vestry_connection_is_open(streams[i].connection));
      assert_is(&w, &b[i], "nobody");
    }
    world_end(&w);
    for (int i = 0; i < 3; i++) wire_finish(&streams[i]);
    test_host_assert_clean(&w.th);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_session_from_its_beginning_to_its_end),
      cmocka_unit_test(it_ends_by_time),
      cmocka_unit_test(what_a_restart_keeps),
      cmocka_unit_test(storage_knows_no_ids),
      cmocka_unit_test(a_log_out_ends_the_streams_of_all_tabs),
      cmocka_unit_test(a_log_out_elsewhere_ends_it_here_too),
      cmocka_unit_test(a_log_in_ends_the_session_before),
      cmocka_unit_test(a_stream_may_begin_with_its_log_in),
      cmocka_unit_test(a_stream_leaves_the_session_that_its_request_has_left),
      cmocka_unit_test(who_it_is_after_a_log_in_that_failed),
      cmocka_unit_test(an_error_page_is_of_nobody),
      cmocka_unit_test(cookies_that_were_not_written_here),
      cmocka_unit_test(a_secret_can_be_changed),
      cmocka_unit_test(what_caches_may_keep_has_no_cookie),
      cmocka_unit_test(storage_that_fails),
      cmocka_unit_test(a_late_save_brings_nobody_back),
      cmocka_unit_test(a_log_in_does_not_survive_the_end_that_it_meets),
      cmocka_unit_test(who_changes_a_password_stays),
      cmocka_unit_test(what_ends_while_it_is_loaded_is_not_let_in),
      cmocka_unit_test(what_is_loaded_twice_is_one_session),
      cmocka_unit_test(without_memory_nobody_is_another),
      cmocka_unit_test(a_log_in_that_cannot_end_the_session_before_fails),
      cmocka_unit_test(visitors_are_not_looked_up),
      cmocka_unit_test(bad_options_and_users),
      cmocka_unit_test(no_memory_is_an_error),
      cmocka_unit_test(no_stream_outlives_its_session),
      cmocka_unit_test(one_users_log_ins_end_nobody_elses_session),
      cmocka_unit_test(one_users_log_outs_bring_nobody_else_back),
      cmocka_unit_test(users_that_log_in_at_once_are_bounded),
      cmocka_unit_test(a_restart_gives_no_second_life),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
