/* SPDX-License-Identifier: MIT */
#include "session/members.h"

#include "vestry/routes.h"

_Atomic(int64_t) members_clock_s;
void (*members_at_next_look)(void *ctx); /* called when the clock is read; NULL: nothing */
void *members_at_next_look_ctx;

int64_t members_now_s(void *ctx) {
  void (*fn)(void *) = members_at_next_look;
  if (fn) {
    members_at_next_look = NULL; /* only one thread runs then */
    fn(members_at_next_look_ctx);
  }
  return atomic_load(&members_clock_s);
}

static void call_once(shelf *s, void (**fn)(void *ctx)) {
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
  call_once(s, &s->after_save);
  return s->fails;
}

static vestry_err load(void *ctx, const char *hash, vestry_session_record *ret_record) {
  shelf *s = ctx;
  pthread_mutex_lock(&s->lock);
  s->loads++;
  int at = find_locked(s, hash);
  if (at >= 0) *ret_record = s->rows[at].record;
  ret_record->now_s = s->now_s;
  pthread_mutex_unlock(&s->lock);
  call_once(s, &s->after_load);
  return s->fails ? s->fails : at < 0 ? VESTRY_NOT_FOUND : VESTRY_OK;
}

static vestry_err forget(void *ctx, const char *hash) {
  shelf *s = ctx;
  call_once(s, &s->before_forget);
  const vestry_err error = s->fails ? s->fails : s->removals_fail;
  pthread_mutex_lock(&s->lock);
  int at = find_locked(s, hash);
  if (!error && at >= 0) *s->rows[at].hash = '\0';
  pthread_mutex_unlock(&s->lock);
  return error;
}

static vestry_err forget_user(void *ctx, const char *user) {
  shelf *s = ctx;
  vestry_err error = s->fails ? s->fails : s->removals_fail;
  if (!error && s->rejected && strcmp(s->rejected, user) == 0) error = VESTRY_INVALID;
  pthread_mutex_lock(&s->lock);
  for (int i = 0; i < 32 && !error; i++)
    if (strcmp(s->rows[i].record.user, user) == 0) *s->rows[i].hash = '\0';
  pthread_mutex_unlock(&s->lock);
  call_once(s, &s->after_forget_user);
  return error;
}

static vestry_err find_missing(void *ctx, const char *const *hashes, size_t count, bool *ret_missing) {
  shelf *s = ctx;
  pthread_mutex_lock(&s->lock);
  s->loads++;
  for (size_t i = 0; i < count; i++) ret_missing[i] = find_locked(s, hashes[i]) < 0;
  pthread_mutex_unlock(&s->lock);
  return s->fails;
}

const vestry_session_storage_ops shelf_ops = {
    .save = save, .load = load, .remove = forget, .remove_user = forget_user, .missing = find_missing};

vestry_err members_who(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *user = vestry_session_user(req);
  return vestry_reply_bodyf(reply, "%s", user ? user : "nobody");
}

vestry_err members_login(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *user = vestry_request_value(req, VESTRY_IN_QUERY, "user");
  vestry_err error = vestry_session_login(req, reply, user);
  return error ? error : vestry_reply_redirect(reply, 303, "/");
}

vestry_err members_logout(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *before = vestry_session_user(req);
  vestry_err error = vestry_session_logout(req, reply);
  if (before) assert_true(*before); /* logout has not freed the name */
  return error ? error : vestry_reply_bodyf(reply, "bye");
}

vestry_err members_live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("page"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

static vestry_err picture(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_body(reply, "image/png", "x", 1);
}

void members_begin(site *w, const vestry_session_options *options) {
  vestry_session_options made = *options;
  made.now_s = members_now_s;
  site_begin_with(w, (vestry_options){0}, (site_has){.sessions = &made});
  static const vestry_mounted routes[] = {{"GET", "/", members_who},
                                          {"POST", "/login", members_login},
                                          {"POST", "/logout", members_logout},
                                          {"GET", "/live", members_live},
                                          {"GET", "/picture", picture}};
  assert_int_equal(vestry_mount(w->v, "", routes, sizeof routes / sizeof *routes, NULL), VESTRY_OK);
}

/* r: with method and path set. */
void members_ask(site *w, browser *b, wire *r) {
  if (*b->cookie) r->headers[0] = (vestry_header){"Cookie", b->cookie};
  wire_request(w, r, NULL, NULL);
  if (!wire_value(r, "Set-Cookie", b->set, sizeof b->set)) return;
  assert_null(strstr(strstr(r->head, "Set-Cookie: ") + 1, "Set-Cookie: ")); /* at most one */
  (void)wire_keep_cookie(r, b->cookie, sizeof b->cookie);
}

int members_status(site *w, browser *b, const char *method, const char *path, const char *query) {
  wire r = {.method = method, .path = path, .query = query};
  members_ask(w, b, &r);
  wire_finish(&r);
  return r.status;
}

void members_assert_is(site *w, browser *b, const char *user) {
  wire r = {.path = "/"};
  members_ask(w, b, &r);
  assert_int_equal(r.status, 200);
  wire_assert_text(&r, user);
  wire_finish(&r);
}

void members_log_in(site *w, browser *b, const char *query) {
  assert_int_equal(members_status(w, b, "POST", "/login", query), 303);
}

vestry_session_options members_way(enum way way, shelf *s) {
  *s = (shelf){.lock = PTHREAD_MUTEX_INITIALIZER};
  vestry_session_options options = {.idle_ms = 1000 * 1000, .lifetime_ms = 5000 * 1000};
  if (way == STORED) {
    options.storage = &shelf_ops;
    options.storage_ctx = s;
  }
  return options;
}

size_t shelf_count(const shelf *s) {
  size_t count = 0;
  for (int i = 0; i < 32; i++) count += *s->rows[i].hash != '\0';
  return count;
}
