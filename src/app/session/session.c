/* SPDX-License-Identifier: MIT */
/* Finds the session of a request and its user: in memory, otherwise in the storage. A session
 * here is the record of a user who has logged in (vsi_session_user, also called record); an anonymous user has only an
 * id in the cookie. The hash of the id is the scope of the request: the owner of the keys that it uses. At the end, the
 * file registers its functions as an extension, which the instance calls for each request (instance/extension.h). */
#include "app/session/session.h"

#include <string.h>

#include "app/session/check.h"
#include "app/session/table.h"
#include "base/log.h"
#include "http/cookie.h"
#include "instance/instance.h"

enum { ADMIT_TRIES = 8, COOKIES_TRIED = 2 };

typedef vsi_session_user record;

/* ------------------------------------------------------------------------------------------ finding a session ---- */

/* Put a record into the table. Consumes the caller's reference. Returns a reference to the record, or to the one with
 * the same hash that is there already. NULL: an error. */
static record *admit(vsi_sessions *sessions, record *made, vestry_err *ret_error) {
  vestry_err error = VESTRY_EXISTS;
  record *there = NULL;
  /* The record that makes put return EXISTS may be evicted before the lookup; then there is room for this one. */
  for (int tries = 0; error == VESTRY_EXISTS && !there && tries < ADMIT_TRIES; tries++) {
    error = vsi_session_put(sessions, made, VESTRY_KEEP_REUSE);
    if (error == VESTRY_EXISTS) there = vsi_session_look(sessions, vsi_session_scope_of(made->hash));
  }
  if (!error) return made;
  vsi_session_record_unref(made);
  if (!there) *ret_error = error == VESTRY_EXISTS ? VESTRY_LIMIT : error;
  return there;
}

static bool is_over(const vsi_sessions *sessions, int64_t created_s, int64_t used_s) {
  int64_t now = vsi_session_now_s(sessions);
  return now - created_s >= vsi_session_seconds(sessions->options.lifetime_ms) ||
         now - used_s >= vsi_session_seconds(sessions->options.idle_ms);
}

/* Read the row of a session. Returns a new record, or NULL: there is no row, it is over, or an error. A session that is
 * over is not removed from the storage, which all nodes share and which removes it by its own clock, because the clock
 * of this node may be wrong. */
static record *read_row(vsi_sessions *sessions, const char *hash, vestry_err *ret_error) {
  vestry_session_record stored = {0};
  const vestry_session_storage_ops *ops = sessions->options.storage;
  vestry_err error = ops->load(sessions->options.storage_ctx, hash, &stored);
  if (error == VESTRY_NOT_FOUND) return NULL;
  *ret_error = error;
  stored.user[sizeof stored.user - 1] = '\0';
  if (error || !*stored.user) return NULL;
  const int64_t ahead_s = stored.now_s ? vsi_session_now_s(sessions) - stored.now_s : 0; /* of the storage's clock */
  if (is_over(sessions, stored.created_s + ahead_s, stored.used_s + ahead_s)) return NULL;
  record *made = vsi_session_record_create(sessions->host, hash, stored.user, stored.created_s + ahead_s);
  if (!made) *ret_error = VESTRY_NO_MEMORY;
  if (made) atomic_store_explicit(&made->saved_s, stored.used_s + ahead_s, memory_order_relaxed);
  return made;
}

/* Load a session from the storage. Returns a reference, or NULL: it has no user, it is over or has ended, or an error.
 * table.c has the order of the steps. */
static record *load(vsi_sessions *sessions, const char *hash, vestry_err *ret_error) {
  vsi_owed_pay(&sessions->owed);
  const uint64_t ends = vsi_session_ends(sessions);
  record *session = read_row(sessions, hash, ret_error);
  if (session && vsi_session_is_owed(sessions, session)) {
    vsi_session_record_unref(session);
    return NULL;
  }
  if (session) session = admit(sessions, session, ret_error);
  vestry_err error = session ? vsi_session_verify(sessions, session, ends) : VESTRY_OK;
  if (!error) return session;
  if (error != VESTRY_CLOSED) *ret_error = error;
  vsi_session_record_unref(session);
  return NULL;
}

/* Record the use of a session, at most once in a tenth of idle_ms. If the storage fails, try again after a minute,
 * because the user may not come back before the next tenth. Returns whether the cookie must be renewed. */
static bool note_use(vsi_sessions *sessions, record *session) {
  enum { AGAIN_S = 60 };
  int64_t now = vsi_session_now_s(sessions), saved = atomic_load_explicit(&session->saved_s, memory_order_relaxed);
  const int64_t apart = vsi_session_seconds(sessions->options.idle_ms) / 10;
  if (now - saved < apart) return false;
  /* Of several concurrent requests only one continues. */
  if (!atomic_compare_exchange_strong(&session->saved_s, &saved, now)) return false;
  if (sessions->options.storage) {
    const uint64_t ends = vsi_session_ends(sessions);
    vestry_session_record stored = {.created_s = session->created_s, .used_s = now};
    strcpy(stored.user, session->user);
    if (sessions->options.storage->save(sessions->options.storage_ctx, session->hash, &stored) && apart > AGAIN_S)
      atomic_store_explicit(&session->saved_s, now - apart + AGAIN_S, memory_order_relaxed);
    /* If the session ended meanwhile, its removal may have come before this save, which may have inserted the row
     * again. A session that was only evicted meanwhile, while another one ended, ends as well. */
    if (ends != vsi_session_ends(sessions) && vsi_session_record_has_ended(session))
      (void)vsi_session_remove_stored(sessions, session->user, session->hash);
  }
  return true;
}

/* --------------------------------------------------------------------------------- the session of a request ------- */

void vsi_session_set_scope(vestry_request *req, vestry_reply *reply) {
  char hash[VSI_TOKEN_HASH_LEN + 1];
  vsi_token_hash(vsi_session_of(req)->id, hash);
  memcpy(req->own->scope, hash, VSI_TOKEN_HASH_LEN);
  vsi_request_set_scope(req, VSI_TOKEN_HASH_LEN);
  reply->scope = req->scope;
}

/* Read the next valid cookie of a Cookie header. NULL is accepted. */
static bool read_cookie(const vsi_sessions *sessions, const char **header, vsi_token *ret_token) {
  vestry_slice value;
  while (*header && vsi_cookie_next(header, sessions->cookie, &value))
    if (vsi_token_read(value, ret_token)) return true;
  return false;
}

/* Find a session in memory that requests may use. Returns a reference, or NULL. */
static record *find_here(vsi_sessions *sessions, const char *hash) {
  record *session = vsi_session_look(sessions, vsi_session_scope_of(hash));
  if (!session || vsi_session_is_current(sessions, session)) return session;
  vsi_session_record_unref(session);
  return NULL;
}

/* Find the session of a token: in memory, or in the storage. own->user stays NULL if the session has no user. */
static vestry_err find(vsi_sessions *sessions, vsi_session *own, const vsi_token *token) {
  char hash[VSI_TOKEN_HASH_LEN + 1];
  vestry_err error = VESTRY_OK;
  vsi_token_hash(token->id, hash);
  record *session = token->is_anonymous ? NULL : find_here(sessions, hash);
  if (!session && !token->is_anonymous && sessions->options.storage) session = load(sessions, hash, &error);
  if (error) return error;
  own->user = session;
  if (session && note_use(sessions, session)) own->is_new = true;
  return VESTRY_OK;
}

/* Find the session of a request. Of several cookies, the first that is anonymous or has a user counts. Before it there
 * may be one of a session that has ended, or of another program, which looks like one of ours. Another program of the
 * domain can still put its cookie first, unless the name begins with __Host-. Returns as find. *ret_has false: there is
 * no valid cookie. */
static vestry_err find_by_cookies(vsi_sessions *sessions, vsi_session *own, const vestry_request *req,
                                  vsi_token *ret_token, bool *ret_has) {
  const char *header = vestry_request_header(req, "Cookie");
  vsi_token token;
  vestry_err error = VESTRY_OK;
  int tries = 0;
  *ret_token = (vsi_token){.is_anonymous = true};
  for (bool is_found = false; tries < COOKIES_TRIED && !error && !is_found; tries++) {
    if (!read_cookie(sessions, &header, &token)) break;
    error = find(sessions, own, &token);
    is_found = own->user || token.is_anonymous;
    if (!tries || is_found) *ret_token = token;
  }
  *ret_has = tries > 0;
  return error;
}

/* Find the guest of a request. If the session has no user, the guest's id becomes that of the session. Returns whether
 * it does. */
static bool find_guest(const vsi_sessions *sessions, vsi_session *own, const vestry_request *req) {
  char hash[VSI_TOKEN_HASH_LEN + 1];
  if (!sessions->guests.seals) return false;
  vsi_token_hash(own->id, hash);
  const vestry_scope bound = own->user ? vsi_session_scope_of(hash) : (vestry_scope){NULL, 0};
  if (!vsi_guest_find(&sessions->guests, bound, vsi_session_now_s(sessions), req, &own->guest) || own->user)
    return false;
  memcpy(own->id, own->guest.id, sizeof own->id);
  return true;
}

/* Determine the session of a request. Without a valid cookie the request gets a new id. */
static vestry_err begin(void *state, vestry_request *req, vestry_reply *reply) {
  vsi_sessions *sessions = state;
  vsi_session *own = vsi_session_of(req);
  vsi_token token;
  bool has_cookie;
  vestry_err error = find_by_cookies(sessions, own, req, &token, &has_cookie);
  if (has_cookie) {
    memcpy(own->id, token.id, sizeof token.id);
    /* The session had a user and has ended: its id is not used again. */
    bool is_over = !token.is_anonymous && !own->user;
    if (!error && is_over) error = vsi_token_id(sessions->host, own->id);
    own->is_new |= is_over;
  } else {
    error = vsi_token_id(sessions->host, own->id);
    own->is_new = true;
  }
  if (!error && find_guest(sessions, own, req)) own->is_new &= has_cookie;
  if (!error && own->user) error = vsi_session_record_enter(own->user, reply);
  if (!error) vsi_session_set_scope(req, reply);
  return error;
}

/* Return whether the reply is for a browser's window: a page, a redirect or a stream. */
static bool is_for_browsers(const vestry_reply *reply) {
  const vestry_header *type = vsi_reply_header_find(reply, "Content-Type");
  const char *content_type = type ? type->value : reply->has_body ? reply->body_type : "text/html";
  return strncmp(content_type, "text/html", 9) == 0 || vsi_reply_is_stream(reply);
}

/* Add the cookies to the response. After a login or logout every response sets them. A renewed cookie, or the id of an
 * anonymous user, is added only to a document, a redirect or a stream, and not to a document that a cache may give to
 * other users. Otherwise it waits for a later response. A handler that needs the user has called vestry_session_user
 * before, which makes its document personal. */
static void add_cookies(void *state, const vestry_request *req, vestry_reply *reply, bool was_done) {
  const vsi_sessions *sessions = state;
  const vsi_session *own = vsi_session_of(req);
  const record *session = own->user;
  (void)was_done;
  const bool waits =
      !is_for_browsers(reply) || (!req->own->is_personal && vsi_reply_caching(reply) == VSI_CACHING_KEPT);
  vsi_guest_add_cookie(&sessions->guests, &own->guest, session ? req->scope : (vestry_scope){NULL, 0},
                       vsi_session_now_s(sessions), reply, waits);
  if (!own->is_new || (waits && !own->was_changed)) return;
  vsi_token token = {.is_anonymous = !session};
  memcpy(token.id, own->id, sizeof token.id);
  char text[VSI_TOKEN_MAX_LEN + 1];
  vsi_token_write(&token, text);
  (void)vestry_reply_cookie(reply, &(vestry_cookie){
                                       .name = sessions->cookie,
                                       .value = text,
                                       .max_age_s = session ? vsi_session_seconds(sessions->options.lifetime_ms) : 0,
                                       .same_site = sessions->options.same_site,
                                       .insecure = sessions->options.insecure,
                                   });
}

static void end(void *state, vestry_request *req) {
  vsi_session *own = vsi_session_of(req);
  (void)state;
  if (own->guest.change == VSI_GUEST_BECOMES_USER) vsi_guest_close_streams(req->v, &own->guest, VESTRY_CAUSE_EXPIRED);
  vsi_session_record_unref(own->user);
  for (size_t i = 0; i < own->former_count; i++) vsi_session_record_unref(own->former[i]);
  own->user = NULL;
  own->former_count = 0;
}

/* ------------------------------------------------------------------------------- the sessions of an instance ------ */

static void destroy(vestry *v, void *state) {
  (void)v;
  vsi_session_checks_end(state);
  vsi_sessions_destroy(state);
}

const vsi_extension vsi_sessions_extension = {.name = "vestry_sessions_create",
                                              .destroy = destroy,
                                              .request_bytes = sizeof(vsi_session),
                                              .find_scope = begin,
                                              .conclude = add_cookies,
                                              .finish = end};

static vestry_err create_nothing(vestry *v, void **ret_state) {
  static char nothing;
  (void)v;
  *ret_state = &nothing;
  return VESTRY_OK;
}

/* A placeholder in the list of extensions. It records that an object was created on the assumption that the instance
 * has no sessions, such as a vestry_once. So sessions cannot be created afterwards. */
static const vsi_extension no_sessions = {.name = "no sessions", .create = create_nothing};

vestry_err vsi_sessions_settle(vestry *v, bool *ret_are_there) {
  void *nothing;
  *ret_are_there = vsi_sessions_of(v) != NULL;
  return *ret_are_there ? VESTRY_OK : vsi_extension_use(v, &no_sessions, &nothing);
}

vestry_err vestry_sessions_create(vestry *v, const vestry_session_options *options) {
  vsi_sessions *sessions;
  if (!v) return VESTRY_INVALID;
  if (vsi_sessions_of(v)) return vsi_extension_repeated(v, &vsi_sessions_extension);
  if (vsi_extension_find(v, &no_sessions))
    return vsi_mistake(v->host, "vestry_sessions_create",
                       "a vestry_once was created earlier, for an instance without sessions; create sessions first");
  vestry_err error = vsi_sessions_make(v, options, &sessions);
  if (error) return error;
  error = vsi_session_checks_begin(sessions);
  if (!error) error = vsi_extension_add(v, &vsi_sessions_extension, sessions);
  if (error) destroy(v, sessions);
  return error;
}

void vestry_session_stats_get(vestry *v, vestry_session_stats *ret_stats) {
  vestry_session_stats stats = {0};
  vsi_sessions *sessions = vsi_sessions_of(v);
  if (sessions) {
    vestry_store_stats table = {0};
    vestry_store_stats_get(sessions->table, &table);
    stats.live_count = table.live_count;
    stats.logins_count = atomic_load_explicit(&sessions->logins_ok, memory_order_relaxed);
    stats.failed_count = atomic_load_explicit(&sessions->logins_failed, memory_order_relaxed);
    stats.repeated_count = atomic_load_explicit(&sessions->repeated, memory_order_relaxed);
    stats.displaced_count = atomic_load_explicit(&sessions->displaced, memory_order_relaxed);
  }
  if (ret_stats) *ret_stats = stats;
}

const char *vestry_session_user(const vestry_request *req) {
  const record *user = vsi_session_user_of(req);
  vsi_request_mark_private(req);
  return user ? user->user : NULL;
}

bool vestry_session_is_anonymous(const vestry_request *req) {
  const vsi_session *own = vsi_session_of(req);
  vsi_request_mark_private(req);
  return own && !own->user;
}
