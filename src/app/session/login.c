/* SPDX-License-Identifier: MIT */
/* Logging in and out, and the end of all sessions of a user. table.c has the order of their steps. */
#include <string.h>

#include "app/session/session.h"
#include "app/session/table.h"
#include "base/log.h"
#include "base/utf8.h"
#include "instance/instance.h"

typedef vsi_session_user record;

/* Continue the request in another session. Consumes the record; NULL: a session without a user. Names that the handler
 * has got remain valid. */
static void change(vestry_request *req, vestry_reply *reply, const char *id, record *session) {
  vsi_session *own = vsi_session_of(req);
  vsi_guest_leave(&own->guest, session && !own->user);
  if (own->user) own->former[own->former_count++] = own->user;
  own->user = session;
  own->is_new = own->was_changed = true;
  memcpy(own->id, id, sizeof own->id);
  vsi_session_set_scope(req, reply);
}

/* Return whether a text has a character that is not shown, so that two names would look alike (RFC 8264, section 9.13:
 * the default ignorable code points of Unicode). The joiners U+200C and U+200D are part of words in some scripts, so
 * they are allowed between two characters beyond ASCII. text: valid UTF-8 */
static bool has_hidden(const char *text) {
  static const uint32_t ranges[][2] = {
      {0xAD, 0xAD},     {0x34F, 0x34F},   {0x61C, 0x61C},   {0x115F, 0x1160},   {0x17B4, 0x17B5},   {0x180B, 0x180F},
      {0x200B, 0x200B}, {0x200E, 0x200F}, {0x202A, 0x202E}, {0x2060, 0x206F},   {0x3164, 0x3164},   {0xFE00, 0xFE0F},
      {0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB}, {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF}};
  uint32_t before = 0;
  for (const char *at = text; *at;) {
    const uint32_t code = vsi_utf8_take(&at);
    const bool is_joiner = code == 0x200C || code == 0x200D;
    if (is_joiner && (before < 0x80 || (unsigned char)*at < 0x80)) return true;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
      if (code >= ranges[i][0] && code <= ranges[i][1]) return true;
    before = is_joiner ? 0 : code;
  }
  return false;
}

static bool is_user(const char *user) {
  size_t len = user ? strlen(user) : 0;
  return len && len <= VESTRY_SESSION_USER_MAX_BYTES && vsi_is_utf8(user, len) && !vsi_has_control(user, len) &&
         !has_hidden(user);
}

/* Return why the session cannot be changed now; NULL: it can be. */
static const char *why_closed(const vestry_request *req, const vestry_reply *reply) {
  const vsi_session *own = vsi_session_of(req);
  if (!own) return "cannot log in or out: the instance has no sessions (vestry_sessions_create)";
  if (!own->id[0] || req->error) return "cannot log in or out in an error page, or without a session";
  if (reply->key || reply->more_keys_count)
    return "cannot log in or out after a key was set: do it before vestry_reply_key";
  return own->former_count < VSI_SESSION_CHANGES_MAX ? NULL : "too many logins and logouts in one request";
}

/* Create a session in the storage and in the table. Returns a reference. */
static vestry_err create_session(vsi_sessions *sessions, const char *id, const char *user, record **ret_session) {
  const vestry_session_options *options = &sessions->options;
  char hash[VSI_TOKEN_HASH_LEN + 1];
  vsi_token_hash(id, hash);
  record *made = vsi_session_record_create(sessions->host, hash, user, vsi_session_now_s(sessions));
  if (!made) return VESTRY_NO_MEMORY;
  vestry_err error = options->storage ? vsi_session_settle_removals(sessions, user) : VESTRY_OK;
  const uint64_t ends = vsi_session_ends(sessions);
  if (!error && options->storage) {
    vestry_session_record stored = {.created_s = made->created_s, .used_s = made->created_s};
    strcpy(stored.user, user);
    error = options->storage->save(options->storage_ctx, hash, &stored);
  }
  if (!error) error = vsi_session_put(sessions, made, VESTRY_KEEP_REPLACE);
  if (!error) error = vsi_session_verify(sessions, made, ends);
  if (error)
    vsi_session_record_unref(made);
  else
    *ret_session = made;
  return error;
}

/* Remove a session that was just created, before any response contains its id. */
static void uncreate_session(vsi_sessions *sessions, const char *id) {
  char hash[VSI_TOKEN_HASH_LEN + 1];
  vsi_token_hash(id, hash);
  vsi_session_remove(sessions, hash, VESTRY_CAUSE_CLOSED);
  if (sessions->options.storage) (void)sessions->options.storage->remove(sessions->options.storage_ctx, hash);
}

/* End the request's session, and continue in a new one with this id and no user. This happens even if the end fails,
 * because from now on the request must not read or open anything with the rights of the user. */
static vestry_err leave_session(vestry_request *req, vestry_reply *reply, const char *id) {
  record *user = vsi_session_user_of(req);
  vestry_err error = vsi_session_end_everywhere(vsi_sessions_of(req->v), user);
  vsi_session_record_detach(user, reply);
  change(req, reply, id, NULL);
  return error;
}

/* Log in: continue in a new session of the user. The previous session, if it had a user, ends first. */
static vestry_err log_in(vestry_request *req, vestry_reply *reply, const char *user) {
  vsi_sessions *sessions = vsi_sessions_of(req->v);
  /* Two ids, because the id of a failed login may remain in the storage. */
  char id[VSI_TOKEN_ID_LEN + 1], anonymous_id[VSI_TOKEN_ID_LEN + 1];
  record *made = NULL;
  vestry_err error = vsi_token_id(sessions->host, id);
  if (!error && vsi_session_user_of(req)) {
    error = vsi_token_id(sessions->host, anonymous_id);
    if (!error) error = leave_session(req, reply, anonymous_id);
  }
  if (error) return error;
  error = create_session(sessions, id, user, &made);
  if (!error && *vsi_session_of(req)->guest.name && sessions->guests.moved)
    error = sessions->guests.moved(req, vsi_session_of(req)->guest.name, user, sessions->guests.ctx);
  if (!error) error = vsi_session_record_enter(made, reply);
  if (error) {
    uncreate_session(sessions, id);
    vsi_session_record_unref(made);
    return error;
  }
  change(req, reply, id, made);
  return VESTRY_OK;
}

vestry_err vestry_session_login(const vestry_request *given, vestry_reply *reply, const char *user) {
  vestry_request *req = (vestry_request *)(uintptr_t)given; /* the request whose session it changes */
  vsi_sessions *sessions = vsi_sessions_of(req->v);
  const char *why = why_closed(req, reply);
  if (!why && !is_user(user))
    why = "cannot log in: the user is NULL, empty, longer than 255 bytes, or not a text without control and hidden "
          "characters";
  record *other = why ? NULL : vsi_session_look_of(sessions, user);
  vestry_err error = why ? vsi_reply_refuse(reply, VESTRY_INVALID, why) : log_in(req, reply, user);
  if (sessions) {
    atomic_fetch_add_explicit(error ? &sessions->logins_failed : &sessions->logins_ok, 1, memory_order_relaxed);
    if (!error && other) atomic_fetch_add_explicit(&sessions->repeated, 1, memory_order_relaxed);
  }
  vsi_session_record_unref(other);
  return error;
}

vestry_err vestry_session_logout(const vestry_request *given, vestry_reply *reply) {
  vestry_request *req = (vestry_request *)(uintptr_t)given; /* the request whose session it changes */
  const char *why = why_closed(req, reply);
  if (why) return vsi_reply_refuse(reply, VESTRY_INVALID, why);
  const vsi_session *own = vsi_session_of(req);
  if (!own->user && !*own->guest.name) return VESTRY_OK;
  char id[VSI_TOKEN_ID_LEN + 1];
  vestry_err error = vsi_token_id(req->v->host, id);
  if (error) return error;
  if (own->user) return leave_session(req, reply, id);
  vsi_guest_close_streams(req->v, &own->guest, VESTRY_CAUSE_CLOSED);
  change(req, reply, id, NULL);
  return VESTRY_OK;
}

typedef struct sweep {
  vsi_sessions *sessions;
  const char *user;
  vestry_err error;
} sweep;

static void end_if_users(const vestry_listed *listed, void *ctx) {
  sweep *s = ctx;
  record *session = vsi_session_look(s->sessions, listed->scope);
  if (session && strcmp(session->user, s->user) == 0) {
    vestry_err error = vsi_session_end_everywhere(s->sessions, session);
    if (error) s->error = error;
  }
  vsi_session_record_unref(session);
}

vestry_err vestry_session_end_user(struct vestry *v, const char *user) {
  vsi_sessions *sessions = v ? vsi_sessions_of(v) : NULL;
  if (!v) return VESTRY_INVALID;
  if (!sessions || !is_user(user))
    return vsi_mistake(v->host, "vestry_session_end_user",
                       "the instance has no sessions, or the user is no name that vestry_session_login accepts");
  vestry_err of_storage = vsi_session_remove_stored(sessions, user, NULL);
  sweep s = {sessions, user, VESTRY_OK};
  vestry_list_cursor cursor = {0};
  vestry_err of_list = VESTRY_OK;
  while (!cursor.done && !of_list) of_list = vestry_store_list(sessions->table, NULL, 256, &cursor, end_if_users, &s);
  return of_list ? of_list : of_storage ? of_storage : s.error;
}
