/* SPDX-License-Identifier: MIT */
/* essay: a session that has ended does not return */
/* Each session with a user has a record in `table`, a store that bounds and expires records. A record that leaves this
 * store, for any cause, passes through leave_table, which ends its streams.
 *
 * Records are in another container, too: in `of_users`, the earliest session of a user is evicted when the user has too
 * many. A record enters the table, then of_users, and then checks whether it has ended meanwhile. leave_table first
 * marks the record as ended and then removes it from of_users. So at least one of the threads removes it.
 *
 * A storage is the truth, and the table is its cache. A removal that the storage rejects is kept and tried again
 * (app/session/owed.h), and until then the session counts as removed. Three invariants:
 *
 * I1 No request gets a user from a session whose end has returned. An end removes the row, or keeps the removal that
 *    the storage owes; then it increments `ends`; then it removes the session from the table. A request that loads a
 *    session reads `ends`, then the row, then whether its removal is owed; it puts the record into the table, and reads
 *    `ends` again (vsi_session_verify). If the put came before the end's removal from the table, that removal has found
 *    the record. If it came later, the request sees another number, unless it has read the first one after the end had
 *    changed the storage, so that the row was missing or owed. If the numbers differ, the row is read once more. Other
 *    requests use the record only when it is verified. An owed removal that succeeds is an end, too, because a request
 *    may have read the row before it.
 * I2 No stream outlives its session (app/session/record.c).
 * I3 Memory holds at most max_count records, and max_count owed removals.
 *
 * A login is a load whose first step writes the row. If all sessions of its user end meanwhile, it fails, or its
 * session ends, or it counts as later than the end.
 *
 * A session in memory ends by the host's clock, which no one sets (app/session/check.h). Times in the storage are those
 * of the system's clock, which counts when a session is loaded. */
#include "app/session/table.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "instance/instance.h"
#include "store/store.h"

enum { MAX_COUNT = 100000, MAX_PER_USER = 100 };
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

static void leave_user_list(record *session, vestry_handle of_user) {
  if (of_user) (void)vestry_store_remove_if(session->sessions->of_users, of_user, VESTRY_CAUSE_REMOVED);
}

/* Called when a session has left the table. Its browsers reconnect, unless the cause is CLOSED (a logout). */
static void leave_table(void *value, vestry_cause cause) {
  record *session = value;
  leave_user_list(session, vsi_session_record_end(session, cause));
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

/* Return the end of a session's lifetime on the host's clock. The lifetime begins with the login. */
static uint64_t ends_ns(const vsi_sessions *sessions, const record *session) {
  int64_t now = vsi_session_now_s(sessions);
  uint64_t lifetime_ms = sessions->options.lifetime_ms;
  uint64_t lived_ms = now > session->created_s ? vsi_ms_to_ns((uint64_t)(now - session->created_s)) / 1000 : 0;
  if (lifetime_ms == VESTRY_NEVER_MS) return UINT64_MAX;
  return vsi_add_saturating(vsi_now_ns(sessions->host),
                            lifetime_ms > lived_ms ? vsi_ms_to_ns(lifetime_ms - lived_ms) : 0);
}

/* Enter a session of the table into of_users. */
static vestry_err enter_user_list(vsi_sessions *sessions, record *session) {
  vestry_put_result result = {0};
  vestry_err error = vestry_store_put(sessions->of_users, all_users(), VESTRY_KEY(session->user), session,
                                      VESTRY_KEEP_MANY, sessions->options.max_per_user_count, &result);
  vsi_spin_lock_take(&session->lock, VSI_LOCK_SESSION);
  session->of_user = result.handle;
  bool has_ended = session->has_ended;
  vsi_spin_lock_give(&session->lock);
  if (has_ended) leave_user_list(session, result.handle);
  return error;
}

vestry_err vsi_session_put(vsi_sessions *sessions, record *session, vestry_keep_policy policy) {
  vestry_put_result result = {0};
  const vestry_scope scope = vsi_session_scope_of(session->hash);
  session->sessions = sessions;
  session->checks = &sessions->checks;
  session->ends_ns = ends_ns(sessions, session);
  vestry_err error = vestry_store_put(sessions->table, scope, VSI_SESSION_KEY, session, policy, 0, &result);
  if (error) return error;
  session->handle = result.handle;
  error = enter_user_list(sessions, session);
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

/* Count an end: I1. Sequentially consistent with the table's changes before and after it. */
static void count_end(vsi_sessions *sessions) {
  atomic_fetch_add_explicit(&sessions->ends, 1, memory_order_seq_cst); /* pairs with vsi_session_ends */
}

uint64_t vsi_session_ends(const vsi_sessions *sessions) {
  return atomic_load_explicit(&sessions->ends, memory_order_seq_cst); /* pairs with count_end */
}

static vestry_err make_removal(void *ctx, const vsi_owed_call *call) {
  const removal *of = VSI_OWED_OWNER(call, removal, call);
  vestry_err error = remove_stored(ctx, of->name, of->is_user);
  if (!error) count_end(ctx); /* before the call leaves the list */
  return error;
}

static void drop_removal(void *ctx, vsi_owed_call *call) {
  const vsi_sessions *sessions = ctx;
  vsi_free(sessions->host, VSI_OWED_OWNER(call, removal, call));
}

static bool is_of_all(const vsi_owed_call *call, const void *user) {
  const removal *of = VSI_OWED_OWNER(call, removal, call);
  return of->is_user && strcmp(of->name, user) == 0;
}

static bool is_of_session(const vsi_owed_call *call, const void *key) {
  const removal *of = VSI_OWED_OWNER(call, removal, call);
  const record *session = key;
  return strcmp(of->name, of->is_user ? session->user : session->hash) == 0;
}

static uint64_t hash_user(const vsi_sessions *sessions, const char *user) {
  return vsi_siphash_1_3(sessions->owed_key, user, strlen(user));
}

/* Select the removals of all sessions of a user. */
static vsi_owed_key all_of(const vsi_sessions *sessions, const char *user) {
  return (vsi_owed_key){hash_user(sessions, user), is_of_all, user};
}

bool vsi_session_is_owed(vsi_sessions *sessions, const record *session) {
  return vsi_owed_has(&sessions->owed, &(vsi_owed_key){hash_user(sessions, session->user), is_of_session, session},
                      true);
}

static const vsi_owed_ops removals = {.make = make_removal,
                                      .drop = drop_removal,
                                      .who = "sessions",
                                      .what = "the removal of sessions that have ended",
                                      .lost = "these sessions may be valid again after a restart or at other nodes, so "
                                              "end the sessions of their users (vestry_session_end_user)"};

/* Keep a removal that has failed. */
static void owe(vsi_sessions *sessions, const char *name, bool is_user, uint64_t user_hash, vestry_err why) {
  const size_t len = strlen(name) + 1;
  removal *kept = vsi_calloc(sessions->host, 1, sizeof *kept + len);
  if (kept) {
    kept->call.hash = user_hash;
    kept->is_user = is_user;
    memcpy(kept->name, name, len);
  }
  vsi_owed_add(&sessions->owed, kept ? &kept->call : NULL, why);
}

vestry_err vsi_session_remove_stored(vsi_sessions *sessions, const char *user, const char *hash) {
  if (!sessions->options.storage) return VESTRY_OK;
  const vsi_owed_key all = all_of(sessions, user);
  vestry_err error = remove_stored(sessions, hash ? hash : user, !hash);
  if (!error)
    vsi_owed_worked(&sessions->owed);
  else if (hash || !vsi_owed_has(&sessions->owed, &all, false))
    owe(sessions, hash ? hash : user, !hash, all.hash, error);
  count_end(sessions);
  return error;
}

vestry_err vsi_session_settle_removals(vsi_sessions *sessions, const char *user) {
  const vsi_owed_key all = all_of(sessions, user);
  vsi_owed_pay(&sessions->owed);
  return vsi_owed_settle(&sessions->owed, &all);
}

/* ----------------------------------------------------------------------------------------------------- ends ------- */

vestry_err vsi_session_find_row(vsi_sessions *sessions, const record *session) {
  const vestry_session_options *options = &sessions->options;
  vestry_session_record stored = {0};
  vestry_err error = options->storage->load(options->storage_ctx, session->hash, &stored);
  return error == VESTRY_NOT_FOUND || (!error && vsi_session_is_owed(sessions, session)) ? VESTRY_CLOSED : error;
}

void vsi_session_end_here(vsi_sessions *sessions, record *session) {
  vsi_session_remove(sessions, session->hash, VESTRY_CAUSE_CLOSED);
  (void)vsi_session_record_end(session, VESTRY_CAUSE_CLOSED); /* in case that it had left the table before */
}

vestry_err vsi_session_verify(vsi_sessions *sessions, record *session, uint64_t ends) {
  const uint64_t now_ns = vsi_now_ns(sessions->host);
  const bool is_stored = sessions->options.storage != NULL;
  vestry_err error =
      is_stored && ends != vsi_session_ends(sessions) ? vsi_session_find_row(sessions, session) : VESTRY_OK;
  if (error == VESTRY_CLOSED) vsi_session_end_here(sessions, session);
  if (!error) vsi_session_record_note_check(session, now_ns);
  return error;
}

vestry_err vsi_session_end_everywhere(vsi_sessions *sessions, record *session) {
  vsi_session_end_here(sessions, session); /* first, because the storage may block */
  vestry_err error = vsi_session_remove_stored(sessions, session->user, session->hash);
  vsi_session_remove(sessions, session->hash, VESTRY_CAUSE_CLOSED); /* a request may have loaded it meanwhile */
  return error;
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
  vestry_err error = make_store(sessions, "lru", leave_table, live, &sessions->table);
  return error ? error : make_store(sessions, "hash", leave_user, (vestry_store_options){0}, &sessions->of_users);
}

static bool ops_are_whole(const vestry_session_storage_ops *ops) {
  return ops->save && ops->load && ops->remove && ops->remove_user;
}

void vsi_sessions_destroy(vsi_sessions *sessions) {
  if (sessions->options.storage) vsi_owed_finish(&sessions->owed);
  vsi_session_checks *checks = &sessions->checks;
  for (record *first; (first = TAILQ_FIRST(&checks->open));) {
    TAILQ_REMOVE(&checks->open, first, at_check);
    vsi_session_record_unref(first);
  }
  vsi_mutex_finish(&checks->checks_lock);
  (void)vestry_store_drive(sessions->table, NULL); /* first, because a session that expires leaves of_users, too */
  if (sessions->table) vsi_store_close(sessions->table); /* this also empties of_users */
  vestry_store_destroy(sessions->table);
  vestry_store_destroy(sessions->of_users);
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
  return error ? error : vestry_store_drive(sessions->table, sessions->v->runtime);
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
  vsi_mutex_init(&sessions->checks.checks_lock, VSI_LOCK_SESSION_CHECKS);
  TAILQ_INIT(&sessions->checks.open);
  vestry_err error = fill(sessions, &options);
  if (error)
    vsi_sessions_destroy(sessions);
  else
    *ret_sessions = sessions;
  return error;
}
