/* SPDX-License-Identifier: MIT */
/* Each session with a user has a record in `table`, a store that bounds and expires records. A record that leaves this
 * store, for any cause, passes through leave_table, which ends its streams.
 *
 * Records are in two more containers. In `of_users`, the earliest session of a user is evicted when the user has too
 * many. The lifetimes end a session on time, even if it was loaded late in its life. A record enters the table, then
 * the other two, and then checks whether it has ended meanwhile. leave_table first marks the record as ended and then
 * removes it from the other two. So at least one of the threads removes it.
 *
 * A session that ended by logout must not return through a request that has just loaded it from the storage. Therefore
 * a tombstone in `ended` keeps its hash until the cookie expires. A request that loads a session puts the record into
 * the table first, and looks for a tombstone afterwards.
 * A session in memory ends by the host's clock, which no one sets. Times in the storage are those of the
 * system's clock, which counts when a session is loaded.
 *
 * The number of tombstones is bounded for each user, so that a user who logs in and out all day cannot evict the
 * tombstones of others.
 *
 * A removal that the storage rejects is kept and tried again (app/session/owed.h). Otherwise the session would return
 * after a restart and at other nodes, and could not be ended, because its user has no session any more. */
#include "app/session/table.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "instance/instance.h"
#include "store/store.h"

enum { MAX_COUNT = 100000, MAX_PER_USER = 100, GRAVES_A_SESSION = 10 };
#define IDLE_MS     (UINT64_C(7) * 86400000)
#define LIFETIME_MS (UINT64_C(30) * 86400000)

typedef vsi_session_user record;

vestry_scope vsi_session_scope_of(const char *hash) {
  return (vestry_scope){hash, strlen(hash)};
}

/* Return the scope of the stores whose keys are users. */
static vestry_scope all_users(void) {
  return (vestry_scope){NULL, 0};
}

static int64_t system_s(void *ctx) {
  (void)ctx;
  return (int64_t)time(NULL);
}

int64_t vsi_session_now_s(const vsi_sessions *sessions) {
  return sessions->options.now_s(sessions->options.now_ctx);
}

int64_t vsi_session_seconds(uint64_t ms) {
  return (int64_t)(ms / 1000 < INT64_MAX ? ms / 1000 : INT64_MAX);
}

/* -------------------------------------------------------------------------------------- entering and leaving ------ */

/* Remove a session from the two containers beside the table. */
static void leave_lists(record *session, vestry_handle of_user) {
  vsi_sessions *sessions = session->sessions;
  if (of_user) (void)vestry_store_remove_if(sessions->of_users, of_user, VESTRY_CAUSE_REMOVED);
  vsi_session_lifetimes_remove(&sessions->lifetimes, session);
}

/* Called when a session has left the table. Its browsers reconnect, unless the cause is CLOSED (a logout). */
static void leave_table(void *value, vestry_cause cause) {
  record *session = value;
  leave_lists(session, vsi_session_record_end(session, cause));
}

/* Called when a session has left of_users: a newer session of the user replaced it, or it has left the table. */
static void leave_user(void *value, vestry_cause cause) {
  record *session = value;
  if (cause != VESTRY_CAUSE_REPLACED) return;
  vsi_sessions *sessions = session->sessions;
  atomic_fetch_add_explicit(&sessions->displaced, 1, memory_order_relaxed);
  vsi_session_remove_this(sessions, session, VESTRY_CAUSE_SIZE); /* its browser reconnects, and needs a login */
  (void)vsi_session_end_everywhere(sessions, session);
}

static void leave_tombstone(void *value, vestry_cause cause) {
  (void)value, (void)cause;
}

static void end_by_time(record *session) {
  vsi_session_remove_this(session->sessions, session, VESTRY_CAUSE_EXPIRED);
}

/* Return the end of a session's lifetime on the host's clock. The lifetime begins with the login. */
static uint64_t ends_ns(const vsi_sessions *sessions, const record *session) {
  int64_t now = vsi_session_now_s(sessions);
  uint64_t lifetime_ms = sessions->options.lifetime_ms;
  uint64_t lived_ms = now > session->created_s ? vsi_ms_to_ns((uint64_t)(now - session->created_s)) / 1000 : 0;
  if (lifetime_ms == VESTRY_NEVER_MS) return UINT64_MAX;
  return vsi_add_saturating(vsi_now_ns(sessions->host),
                            lifetime_ms > lived_ms ? vsi_ms_to_ns(lifetime_ms - lived_ms) : 0);
}

/* Enter a session of the table into the two other containers. */
static vestry_err enter_lists(vsi_sessions *sessions, record *session) {
  vestry_put_result result = {0};
  uint64_t ends = ends_ns(sessions, session);
  vestry_err error = ends == UINT64_MAX ? VESTRY_OK : vsi_session_lifetimes_add(&sessions->lifetimes, session, ends);
  if (!error)
    error = vestry_store_put(sessions->of_users, all_users(), VESTRY_KEY(session->user), session, VESTRY_KEEP_MANY,
                             sessions->options.max_per_user_count, &result);
  vsi_spin_lock_take(&session->lock, VSI_LOCK_SESSION);
  session->of_user = result.handle;
  bool has_ended = session->has_ended;
  vsi_spin_lock_give(&session->lock);
  if (has_ended) leave_lists(session, result.handle);
  return error;
}

vestry_err vsi_session_put(vsi_sessions *sessions, record *session, vestry_keep_policy policy) {
  vestry_put_result result = {0};
  const vestry_scope scope = vsi_session_scope_of(session->hash);
  session->sessions = sessions;
  vestry_err error = vestry_store_put(sessions->table, scope, VSI_SESSION_KEY, session, policy, 0, &result);
  if (error) return error;
  session->handle = result.handle;
  error = enter_lists(sessions, session);
  if (error) vsi_session_remove_this(sessions, session, VESTRY_CAUSE_CLOSED);
  return error;
}

void vsi_session_remove_this(vsi_sessions *sessions, const record *session, vestry_cause cause) {
  (void)vestry_store_remove_if(sessions->table, session->handle, cause);
}

void vsi_session_remove(vsi_sessions *sessions, const char *hash, vestry_cause cause) {
  (void)vestry_store_remove(sessions->table, vsi_session_scope_of(hash), VSI_SESSION_KEY, cause, NULL);
}

static void take(void *value, void *ctx) {
  record **found = ctx;
  if (*found) return;
  vsi_session_record_ref(value);
  *found = value;
}

/* Find a record. Returns a reference, or NULL. */
static record *look(vestry_store *store, vestry_scope scope, const vestry_key *key) {
  record *found = NULL;
  (void)vestry_store_with(store, scope, key, take, &found);
  return found;
}

record *vsi_session_look(const vsi_sessions *sessions, vestry_scope scope) {
  return look(sessions->table, scope, VSI_SESSION_KEY);
}

record *vsi_session_look_of(const vsi_sessions *sessions, const char *user) {
  return look(sessions->of_users, all_users(), VESTRY_KEY(user));
}

/* ----------------------------------------------------------------------------------------------- tombstones ------- */

bool vsi_session_is_buried(const vsi_sessions *sessions, const record *session) {
  record *by_hash = look(sessions->ended, vsi_session_scope_of(session->user), VESTRY_KEY(session->hash));
  record *by_user = look(sessions->ended_users, all_users(), VESTRY_KEY(session->user));
  bool is_buried = by_hash || (by_user && by_user->created_s >= session->created_s);
  vsi_session_record_unref(by_hash);
  vsi_session_record_unref(by_user);
  return is_buried;
}

int64_t vsi_session_created_s(const vsi_sessions *sessions, const char *user) {
  record *by_user = look(sessions->ended_users, all_users(), VESTRY_KEY(user));
  const int64_t now = vsi_session_now_s(sessions);
  const int64_t created = by_user && by_user->created_s >= now ? by_user->created_s + 1 : now;
  vsi_session_record_unref(by_user);
  return created;
}

static vestry_err bury(vsi_sessions *sessions, vestry_store *tombstones, vestry_scope scope, const vestry_key *key) {
  record *tombstone = vsi_session_record_create(sessions->host, "", "", vsi_session_now_s(sessions));
  if (!tombstone) return VESTRY_NO_MEMORY;
  vestry_err error = vestry_store_put(tombstones, scope, key, tombstone, VESTRY_KEEP_REPLACE, 0, NULL);
  vsi_session_record_unref(tombstone);
  return error;
}

vestry_err vsi_session_bury_user(vsi_sessions *sessions, const char *user) {
  return bury(sessions, sessions->ended_users, all_users(), VESTRY_KEY(user));
}

vestry_err vsi_session_end_here(vsi_sessions *sessions, record *session) {
  vestry_err error = VESTRY_OK;
  /* The tombstone comes first: a request that puts the session back meanwhile looks for a tombstone afterwards. */
  if (sessions->options.storage)
    error = bury(sessions, sessions->ended, vsi_session_scope_of(session->user), VESTRY_KEY(session->hash));
  vsi_session_remove(sessions, session->hash, VESTRY_CAUSE_CLOSED);
  (void)vsi_session_record_end(session, VESTRY_CAUSE_CLOSED); /* in case that it had left the table before */
  return error;
}

vestry_err vsi_session_end_everywhere(vsi_sessions *sessions, record *session) {
  vestry_err error = vsi_session_end_here(sessions, session);
  vestry_err of_storage = vsi_session_remove_stored(sessions, session->user, session->hash);
  return error ? error : of_storage;
}

/* ------------------------------------------------------------------------------- removals from the storage -------- */

/* A removal that the storage has not performed. */
typedef struct removal {
  vsi_owed_call call;
  bool is_user; /* name: a user, all of whose sessions are removed; otherwise the hash of a session */
  char name[];
} removal;

static vestry_err remove_stored(const vsi_sessions *sessions, const char *name, bool is_user) {
  const vestry_session_storage_ops *ops = sessions->options.storage;
  vestry_err error = (is_user ? ops->remove_user : ops->remove)(sessions->options.storage_ctx, name);
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error;
}

static vestry_err make_removal(void *ctx, const vsi_owed_call *call) {
  const removal *of = VSI_OWED_OWNER(call, removal, call);
  return remove_stored(ctx, of->name, of->is_user);
}

static void drop_removal(void *ctx, vsi_owed_call *call) {
  const vsi_sessions *sessions = ctx;
  vsi_free(sessions->host, VSI_OWED_OWNER(call, removal, call));
}

static bool is_of_all(const vsi_owed_call *call, const void *user) {
  const removal *of = VSI_OWED_OWNER(call, removal, call);
  return of->is_user && strcmp(of->name, user) == 0;
}

/* Select the removals of all sessions of a user. */
static vsi_owed_key all_of(const vsi_sessions *sessions, const char *user) {
  return (vsi_owed_key){vsi_siphash_1_3(sessions->owed_key, user, strlen(user)), is_of_all, user};
}

static const vsi_owed_ops removals = {.make = make_removal,
                                      .drop = drop_removal,
                                      .who = "sessions",
                                      .what = "the removal of sessions that have ended",
                                      .lost = "these sessions may be valid again after a restart or at other nodes, so "
                                              "end the sessions of their users (vestry_session_end_user)"};

vestry_err vsi_session_remove_stored(vsi_sessions *sessions, const char *user, const char *hash) {
  const char *name = hash ? hash : user;
  const size_t len = strlen(name) + 1;
  if (!sessions->options.storage) return VESTRY_OK;
  vestry_err error = remove_stored(sessions, name, !hash);
  if (!error) vsi_owed_worked(&sessions->owed);
  const vsi_owed_key all = all_of(sessions, user);
  if (!error || (!hash && vsi_owed_has(&sessions->owed, &all))) return error;
  removal *kept = vsi_calloc(sessions->host, 1, sizeof *kept + len);
  if (kept) {
    kept->call.owner = kept->call.hash = all.hash;
    kept->is_user = !hash;
    memcpy(kept->name, name, len);
  }
  vsi_owed_add(&sessions->owed, kept ? &kept->call : NULL, error);
  return error;
}

vestry_err vsi_session_settle_removals(vsi_sessions *sessions, const char *user) {
  const vsi_owed_key all = all_of(sessions, user);
  vsi_owed_pay(&sessions->owed);
  return vsi_owed_settle(&sessions->owed, &all);
}

/* -------------------------------------------------------------------------------------- create and destroy ------- */

static vestry_err make_store(const vsi_sessions *sessions, const char *type, void (*leave)(void *, vestry_cause),
                             vestry_store_options options, vestry_store **ret_store) {
  const vestry_value_ops value = {.ref = vsi_session_record_ref, .unref = vsi_session_record_unref, .close = leave};
  options.host = sessions->host;
  options.value = &value;
  return vestry_store_create(type, &options, ret_store);
}

static vestry_err make_stores(vsi_sessions *sessions) {
  const vestry_session_options *given = &sessions->options;
  vestry_store_options live = {
      .max_count = given->max_count, .idle_ms = given->idle_ms, .lifetime_ms = VESTRY_NEVER_MS};
  vestry_store_options users_tombstones = {
      .max_count = given->max_count, .idle_ms = VESTRY_NEVER_MS, .lifetime_ms = given->lifetime_ms};
  vestry_store_options tombstones = users_tombstones;
  tombstones.max_per_scope_count =
      given->max_per_user_count > SIZE_MAX / GRAVES_A_SESSION ? SIZE_MAX : given->max_per_user_count * GRAVES_A_SESSION;
  vestry_err error = make_store(sessions, "lru", leave_table, live, &sessions->table);
  if (!error) error = make_store(sessions, "hash", leave_user, (vestry_store_options){0}, &sessions->of_users);
  if (!error) error = make_store(sessions, "lru", leave_tombstone, tombstones, &sessions->ended);
  if (!error) error = make_store(sessions, "lru", leave_tombstone, users_tombstones, &sessions->ended_users);
  return error;
}

static vestry_err make_drivers(vsi_sessions *sessions) {
  vestry_runtime *runtime = sessions->v->runtime;
  vestry_err error = vestry_store_drive(sessions->table, runtime);
  if (!error) error = vestry_store_drive(sessions->ended, runtime);
  if (!error) error = vestry_store_drive(sessions->ended_users, runtime);
  return error ? error : vsi_session_lifetimes_init(&sessions->lifetimes, sessions->host, runtime, end_by_time);
}

static bool ops_are_whole(const vestry_session_storage_ops *ops) {
  return ops->save && ops->load && ops->remove && ops->remove_user;
}

void vsi_sessions_destroy(vsi_sessions *sessions) {
  vestry_store *const stores[] = {sessions->table, sessions->of_users, sessions->ended, sessions->ended_users};
  const size_t stores_count = sizeof stores / sizeof *stores;
  if (sessions->options.storage) vsi_owed_finish(&sessions->owed);
  /* Before the others are closed or freed, because a session that expires leaves of_users and the lifetimes, too. */
  for (size_t i = 0; i < stores_count; i++) (void)vestry_store_drive(stores[i], NULL);
  if (sessions->table) vsi_store_close(sessions->table); /* this also empties of_users and the lifetimes */
  vsi_session_lifetimes_finish(&sessions->lifetimes);
  for (size_t i = 0; i < stores_count; i++) vestry_store_destroy(stores[i]);
  vsi_free(sessions->host, sessions);
}

static void set_defaults(vestry_session_options *options) {
  if (!options->cookie) options->cookie = options->insecure ? "session" : "__Host-session";
  if (!options->idle_ms) options->idle_ms = IDLE_MS;
  if (!options->lifetime_ms) options->lifetime_ms = LIFETIME_MS;
  if (!options->max_count) options->max_count = MAX_COUNT;
  if (!options->max_per_user_count) options->max_per_user_count = MAX_PER_USER;
  if (!options->now_s) options->now_s = system_s;
}

/* Return the mistake in the options, as a text for the log; NULL: they are valid. */
static const char *find_mistake(const vestry *v, const vestry_session_options *options) {
  if (v->scope) return "vestry_options.scope is set, but sessions determine the scope";
  if (strlen(options->cookie) >= sizeof((vsi_sessions *)0)->cookie) return "the cookie's name is too long";
  return options->storage && !ops_are_whole(options->storage) ? "a storage needs all four functions" : NULL;
}

static vestry_err make_owed(vsi_sessions *sessions) {
  vestry_err error = vsi_owed_init(&sessions->owed, sessions->host, sessions->v->runtime, &removals, sessions,
                                   sessions->options.max_count);
  return error ? error : vsi_siphash_key_random(sessions->host, &sessions->owed_key);
}

static vestry_err fill(vsi_sessions *sessions, const vestry_session_options *options) {
  sessions->options = *options;
  strcpy(sessions->cookie, options->cookie);
  vestry_err error = options->storage ? make_owed(sessions) : VESTRY_OK;
  if (!error) error = make_stores(sessions);
  return error ? error : make_drivers(sessions);
}

vestry_err vsi_sessions_make(vestry *v, const vestry_session_options *given, vsi_sessions **ret_sessions) {
  vestry_session_options options = given ? *given : (vestry_session_options){0};
  set_defaults(&options);
  const char *mistake = find_mistake(v, &options);
  if (mistake) return vsi_mistake(v->host, "vestry_sessions_create", mistake);
  vsi_sessions *sessions = vsi_calloc(v->host, 1, sizeof *sessions);
  if (!sessions) return VESTRY_NO_MEMORY;
  sessions->v = v;
  sessions->host = v->host;
  vestry_err error = fill(sessions, &options);
  if (error)
    vsi_sessions_destroy(sessions);
  else
    *ret_sessions = sessions;
  return error;
}
