/* A log-in is a record, in a store of vestry's own: bounded, and emptied by time. Whoever leaves that store, for
 * whatever cause, comes by one door (close_record), and his streams end.
 *
 * No stream outlives its session. A stream is entered into its record when it opens, under the record's lock, unless
 * the record has ended; an end says so under the same lock, and then closes the streams that are entered. One of the
 * two sees the other. A stream holds its record, and leaves it when it ends.
 *
 * A session that has ended by log-out must not come back by a cookie that is still good, a signed one, or by what a
 * request has just loaded from storage: `ended` keeps its hash until the cookie is good no more. A request that loads
 * looks there after it has put the record.
 *
 * A log-in must not survive an end of all of its user's sessions that comes when storage has it and the table has not,
 * or the other way round. By their seconds the two cannot be told apart: who changes a password ends all sessions and
 * logs in again at once. So log-ins and ends that are under way stand in two lists, and each tells those of the other
 * kind that it finds there, of the same user: a log-in that has met an end fails. One that has not was in both places
 * before the end began, and is found there; or begins after it is over. */
#include "registry/session/session.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/utf8.h"
#include "registry/instance/instance.h"
#include "registry/request/cookie.h"
#include "store/store.h"
#include "stream/connection.h"

enum { MAX_COUNT = 100000, SECRET_LEAST_BYTES = 32, ADMIT_TRIES = 8 };
#define IDLE_MS     (UINT64_C(7) * 86400000)
#define LIFETIME_MS (UINT64_C(30) * 86400000)

typedef struct entered entered;

/* Who has logged in. */
struct vsi_session_user {
  const vestry_host *host;
  _Atomic(uint32_t) refs;
  vsi_spin_lock lock;
  entered *streams;         /* guarded by lock */
  bool has_ended;           /* guarded by lock */
  _Atomic(int64_t) saved_s; /* when its use was last noted: in storage, in the cookie */
  int64_t created_s;
  char hash[VSI_TOKEN_HASH_LEN + 1];
  char user[];
};
typedef struct vsi_session_user record;

/* A stream of a session. */
struct entered {
  vsi_attachment attachment;     /* first */
  record *session;               /* a reference */
  vestry_connection *connection; /* borrowed: it is entered no longer than that lives */
  entered *next, *prev;          /* guarded by the session's lock; in it while connection is not NULL */
};

/* A log-in, or an end of a user's sessions, that is under way. On the stack of who does it. */
typedef struct under_way {
  const char *user;
  bool has_met; /* of a log-in: an end of that user's sessions */
  struct under_way *next;
} under_way;

struct vsi_sessions {
  vestry *v;
  const vestry_host *host;
  vestry_session_options options;
  char cookie[64];
  bool is_signed, has_previous;
  vsi_secret secret, previous;
  vestry_store *table; /* of records, by their hash */
  vestry_store *ended; /* hashes and users that came to an end; its values are records too */
  vestry_store_driver *table_driver, *ended_driver;
  vsi_spin_lock under_way_lock;
  under_way *logins, *ends; /* guarded by under_way_lock */
};

#define RECORD VESTRY_KEY("session")

/* -------------------------------------------------------------------------------------------------- records ------- */

static record *create_record(const vestry_host *host, const char *hash, const char *user, int64_t created_s) {
  size_t len = strlen(user) + 1;
  record *made = vsi_calloc(host, 1, sizeof *made + len);
  if (!made) return NULL;
  made->host = host;
  atomic_init(&made->refs, 1);
  made->created_s = created_s;
  atomic_init(&made->saved_s, created_s);
  memcpy(made->hash, hash, sizeof made->hash);
  memcpy(made->user, user, len);
  return made;
}

static void ref_record(void *value) {
  atomic_fetch_add_explicit(&((record *)value)->refs, 1, memory_order_relaxed); /* who holds holds one already */
}

static void unref_record(void *value) {
  record *held = value;
  /* acq_rel: the last one frees what the others have written */
  if (held && atomic_fetch_sub_explicit(&held->refs, 1, memory_order_acq_rel) == 1) vsi_free(held->host, held);
}

struct vsi_session_user *vsi_session_user_ref(struct vsi_session_user *user) {
  if (user) ref_record(user);
  return user;
}

void vsi_session_user_unref(struct vsi_session_user *user) {
  unref_record(user);
}

/* It has left the table. Its browsers come back, unless it was logged out. */
static void close_record(void *value, vestry_cause cause) {
  record *ends = value;
  vsi_spin_lock_take(&ends->lock);
  ends->has_ended = true;
  for (;;) {
    entered *first = ends->streams;
    if (!first) break;
    ends->streams = first->next;
    if (first->next) first->next->prev = NULL;
    first->prev = first->next = NULL;
    vestry_connection *connection = vestry_connection_ref(first->connection);
    first->connection = NULL;
    vsi_spin_lock_give(&ends->lock);
    vestry_connection_close(connection, cause);
    vestry_connection_unref(connection);
    vsi_spin_lock_take(&ends->lock);
  }
  vsi_spin_lock_give(&ends->lock);
}

static void close_nothing(void *value, vestry_cause cause) {
  (void)value, (void)cause;
}

/* -------------------------------------------------------------------------------------------------- streams ------- */

static void free_entered(entered *stream) {
  const vestry_host *host = stream->session->host;
  unref_record(stream->session);
  vsi_free(host, stream);
}

static void drop_stream(vsi_attachment *attachment) {
  free_entered((entered *)attachment);
}

static void stream_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  entered *stream = (entered *)(void *)node;
  record *session = stream->session;
  (void)connection, (void)cause;
  vsi_spin_lock_take(&session->lock);
  if (stream->connection) {
    if (stream->prev)
      stream->prev->next = stream->next;
    else
      session->streams = stream->next;
    if (stream->next) stream->next->prev = stream->prev;
  }
  vsi_spin_lock_give(&session->lock);
  free_entered(stream);
}

static void begin_stream(vsi_attachment *attachment, vestry_connection *connection) {
  entered *stream = (entered *)attachment;
  record *session = stream->session;
  vsi_spin_lock_take(&session->lock);
  bool has_ended = session->has_ended;
  if (!has_ended) {
    stream->connection = connection;
    stream->next = session->streams;
    if (stream->next) stream->next->prev = stream;
    session->streams = stream;
  }
  vsi_spin_lock_give(&session->lock);
  if (has_ended) {
    vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
    free_entered(stream);
    return;
  }
  vsi_close_node_init(&stream->attachment.node, stream_ended);
  /* One that has ended already tells nobody any more. */
  if (vsi_connection_at_close(connection, &stream->attachment.node))
    stream_ended(&stream->attachment.node, connection, VESTRY_CAUSE_NONE);
}

static vestry_err enter(vestry_reply *reply, record *session) {
  entered *stream = vsi_calloc(session->host, 1, sizeof *stream);
  if (!stream) return VESTRY_NO_MEMORY;
  stream->attachment.begin = begin_stream;
  stream->attachment.drop = drop_stream;
  stream->session = session;
  ref_record(session);
  vsi_attachments_add(&reply->attachments, &stream->attachment);
  return VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------------- making ------- */

static int64_t system_s(void *ctx) {
  (void)ctx;
  return (int64_t)time(NULL);
}

static int64_t now_s(const vsi_sessions *sessions) {
  return sessions->options.now_s(sessions->options.now_ctx);
}

static int64_t seconds(uint64_t ms) {
  return (int64_t)(ms / 1000 < INT64_MAX ? ms / 1000 : INT64_MAX);
}

static vestry_err make_store(vsi_sessions *sessions, void (*close)(void *, vestry_cause), uint64_t idle_ms,
                             vestry_store **ret_store, vestry_store_driver **ret_driver) {
  const vestry_value_ops value = {.ref = ref_record, .unref = unref_record, .close = close};
  vestry_err error = vestry_store_create(NULL, "lru",
                                         &(vestry_store_options){.host = sessions->host,
                                                                 .value = &value,
                                                                 .max_count = sessions->options.max_count,
                                                                 .idle_ms = idle_ms,
                                                                 .lifetime_ms = sessions->options.lifetime_ms},
                                         ret_store);
  return error ? error : vestry_store_driver_create(*ret_store, sessions->v->runtime, ret_driver);
}

static bool ops_are_whole(const vestry_session_storage_ops *ops) {
  return VSI_OPS_ARE_KNOWN(ops) && ops->save && ops->load && ops->remove && ops->remove_user;
}

vestry_err vsi_sessions_create(vestry *v, const vestry_session_options *given, vsi_sessions **ret_sessions) {
  vestry_session_options options;
  if (VSI_OPTIONS_TAKE(options, given)) return VESTRY_INVALID;
  if (!options.cookie) options.cookie = options.insecure ? "session" : "__Host-session";
  if (!options.idle_ms) options.idle_ms = IDLE_MS;
  if (!options.lifetime_ms) options.lifetime_ms = LIFETIME_MS;
  if (!options.max_count) options.max_count = MAX_COUNT;
  if (!options.now_s) options.now_s = system_s;
  if (strlen(options.cookie) >= sizeof((vsi_sessions *)0)->cookie) return VESTRY_INVALID;
  bool secrets_are_good =
      (!options.secret || options.secret_len >= SECRET_LEAST_BYTES) &&
      (!options.previous_secret || (options.secret && options.previous_secret_len >= SECRET_LEAST_BYTES));
  bool storage_is_good = !options.storage || (!options.secret && ops_are_whole(options.storage));
  if (!secrets_are_good || !storage_is_good) {
    vsi_log(v->host, VESTRY_LOG_ERROR, "sessions: %s",
            secrets_are_good ? "a storage has all of its four functions, and goes without a secret"
                             : "a secret has 32 bytes or more, and so has the one before it");
    return VESTRY_INVALID;
  }
  vsi_sessions *sessions = vsi_calloc(v->host, 1, sizeof *sessions);
  if (!sessions) return VESTRY_NO_MEMORY;
  sessions->v = v;
  sessions->host = v->host;
  sessions->options = options;
  strcpy(sessions->cookie, options.cookie);
  sessions->is_signed = options.secret != NULL;
  sessions->has_previous = options.previous_secret != NULL;
  if (options.secret) vsi_secret_init(&sessions->secret, options.secret, options.secret_len);
  if (options.previous_secret)
    vsi_secret_init(&sessions->previous, options.previous_secret, options.previous_secret_len);
  vestry_err error = make_store(sessions, close_record, options.idle_ms, &sessions->table, &sessions->table_driver);
  if (!error) error = make_store(sessions, close_nothing, VESTRY_NEVER_MS, &sessions->ended, &sessions->ended_driver);
  if (error) {
    vsi_sessions_destroy(sessions);
    return error;
  }
  *ret_sessions = sessions;
  return VESTRY_OK;
}

void vsi_sessions_destroy(vsi_sessions *sessions) {
  if (!sessions) return;
  vestry_store_driver_destroy(sessions->table_driver);
  vestry_store_driver_destroy(sessions->ended_driver);
  if (sessions->table) vestry_store_destroy(sessions->table);
  if (sessions->ended) vestry_store_destroy(sessions->ended);
  vsi_free(sessions->host, sessions);
}

/* -------------------------------------------------------------------------------------------------- finding ------- */

static vestry_scope scope_of(const char *hash) {
  return (vestry_scope){hash, strlen(hash)};
}

static void take(void *value, void *ctx) {
  record **found = ctx;
  if (*found) return;
  ref_record(value);
  *found = value;
}

/* A reference; NULL: it is not there. */
static record *look(vestry_store *store, vestry_scope scope, const vestry_key *key) {
  record *found = NULL;
  (void)vestry_store_with(store, scope, key, take, &found);
  return found;
}

/* Whether it was ended by its hash, or by its user after it was made. */
static bool has_ended(const vsi_sessions *sessions, const record *session) {
  record *by_hash = look(sessions->ended, scope_of(session->hash), RECORD);
  record *by_user = look(sessions->ended, (vestry_scope){NULL, 0}, VESTRY_KEY(session->user));
  bool ended = by_hash || (by_user && by_user->created_s >= session->created_s);
  unref_record(by_hash);
  unref_record(by_user);
  return ended;
}

/* Put a record into the table, unless another is there already or it has ended. Takes it. A reference, or NULL: it has
 * ended, or an error. */
static record *admit(vsi_sessions *sessions, record *made, vestry_err *ret_error) {
  const vestry_scope scope = scope_of(made->hash);
  vestry_put_result result = {0};
  vestry_err error = VESTRY_EXISTS;
  record *there = NULL;
  /* What is there may be evicted before it is looked up: then there is room for this one. */
  for (int tries = 0; error == VESTRY_EXISTS && !there && tries < ADMIT_TRIES; tries++) {
    error = vestry_store_put(sessions->table, scope, RECORD, made, VESTRY_PUT_REUSE, 0, &result);
    if (error == VESTRY_EXISTS) there = look(sessions->table, scope, RECORD);
  }
  if (there) {
    unref_record(made);
    return there;
  }
  if (!error && !has_ended(sessions, made)) return made;
  if (!error) vestry_store_remove_if(sessions->table, result.handle, VESTRY_CAUSE_CLOSED);
  *ret_error = error == VESTRY_EXISTS ? VESTRY_LIMIT : error;
  unref_record(made);
  return NULL;
}

static bool is_over(const vsi_sessions *sessions, int64_t created_s, int64_t used_s) {
  int64_t now = now_s(sessions);
  return now - created_s >= seconds(sessions->options.lifetime_ms) ||
         now - used_s >= seconds(sessions->options.idle_ms);
}

/* From storage. A reference, or NULL: nobody has logged in, or an error. */
static record *load(vsi_sessions *sessions, const char *hash, vestry_err *ret_error) {
  vestry_session_record stored = {.size = sizeof stored};
  const vestry_session_storage_ops *ops = sessions->options.storage;
  vestry_err error = ops->load(sessions->options.storage_ctx, hash, &stored);
  if (error == VESTRY_NOT_FOUND) return NULL;
  *ret_error = error;
  stored.user[sizeof stored.user - 1] = '\0';
  if (error || !*stored.user) return NULL;
  if (is_over(sessions, stored.created_s, stored.used_s)) {
    (void)ops->remove(sessions->options.storage_ctx, hash);
    return NULL;
  }
  record *made = create_record(sessions->host, hash, stored.user, stored.created_s);
  if (!made) *ret_error = VESTRY_NO_MEMORY;
  if (!made) return NULL;
  atomic_store_explicit(&made->saved_s, stored.used_s, memory_order_relaxed);
  return admit(sessions, made, ret_error);
}

/* By a signed cookie. Likewise. */
static record *believe(vsi_sessions *sessions, const vsi_token *token, const char *hash, vestry_err *ret_error) {
  if (is_over(sessions, token->created_s, token->issued_s)) return NULL;
  record *made = create_record(sessions->host, hash, token->user, token->created_s);
  if (!made) *ret_error = VESTRY_NO_MEMORY;
  if (!made) return NULL;
  atomic_store_explicit(&made->saved_s, token->issued_s, memory_order_relaxed);
  return admit(sessions, made, ret_error);
}

/* Note now and then that it is used. Whether the cookie is to say so. */
static bool note_use(vsi_sessions *sessions, record *session) {
  int64_t now = now_s(sessions), saved = atomic_load_explicit(&session->saved_s, memory_order_relaxed);
  if (now - saved < seconds(sessions->options.idle_ms) / 10) return false;
  /* One of several requests does it. */
  if (!atomic_compare_exchange_strong(&session->saved_s, &saved, now)) return false;
  if (sessions->options.storage) {
    vestry_session_record stored = {.size = sizeof stored, .created_s = session->created_s, .used_s = now};
    strcpy(stored.user, session->user);
    (void)sessions->options.storage->save(sessions->options.storage_ctx, session->hash, &stored);
    /* An end that came meanwhile may have removed it before it was saved: it must not come back with a restart. */
    vsi_spin_lock_take(&session->lock);
    bool ended = session->has_ended;
    vsi_spin_lock_give(&session->lock);
    if (ended && has_ended(sessions, session))
      (void)sessions->options.storage->remove(sessions->options.storage_ctx, session->hash);
  }
  return true;
}

/* -------------------------------------------------------------------------------------------- a request's --------- */

static void set_scope(vestry_request *req, vestry_reply *reply) {
  char hash[VSI_TOKEN_HASH_LEN + 1];
  vsi_token_hash(req->session.id, hash);
  memcpy(req->scope, hash, VSI_TOKEN_HASH_LEN);
  req->scope_len = VSI_TOKEN_HASH_LEN;
  req->tab_is_known = false;
  reply->scope = vestry_request_scope(req);
}

static bool read_cookie(const vsi_sessions *sessions, const vestry_request *req, vsi_token *ret_token) {
  const char *header = vestry_request_header(req, "Cookie");
  vestry_slice value;
  return header && !vsi_cookie_find(header, sessions->cookie, &value) &&
         vsi_token_read(value, sessions->is_signed ? &sessions->secret : NULL,
                        sessions->has_previous ? &sessions->previous : NULL, ret_token);
}

static vestry_err find(vsi_sessions *sessions, vestry_request *req, const vsi_token *token) {
  char hash[VSI_TOKEN_HASH_LEN + 1];
  vestry_err error = VESTRY_OK;
  vsi_token_hash(token->id, hash);
  record *session = token->is_visitor ? NULL : look(sessions->table, scope_of(hash), RECORD);
  if (session && now_s(sessions) - session->created_s >= seconds(sessions->options.lifetime_ms)) {
    unref_record(session);
    session = NULL;
    (void)vestry_store_remove(sessions->table, scope_of(hash), RECORD, VESTRY_CAUSE_EXPIRED, NULL);
  }
  if (!session && token->is_signed) session = believe(sessions, token, hash, &error);
  if (!session && !token->is_visitor && sessions->options.storage) session = load(sessions, hash, &error);
  if (error) return error;
  req->session.user = session;
  if (session && note_use(sessions, session)) req->session.is_new = true;
  return VESTRY_OK;
}

vestry_err vsi_session_begin(vestry_request *req, vestry_reply *reply) {
  vsi_sessions *sessions = req->v->sessions;
  vsi_token token;
  vestry_err error = VESTRY_OK;
  if (read_cookie(sessions, req, &token)) {
    error = find(sessions, req, &token);
    memcpy(req->session.id, token.id, sizeof token.id);
    /* One that somebody had logged in to, and that is over: its id is not used again. */
    bool is_over = !token.is_visitor && !req->session.user;
    if (!error && is_over) error = vsi_token_id(sessions->host, req->session.id);
    req->session.is_new |= is_over;
  } else {
    error = vsi_token_id(sessions->host, req->session.id);
    req->session.is_new = true;
  }
  if (!error && req->session.user) error = enter(reply, req->session.user);
  if (!error) set_scope(req, reply);
  return error;
}

/* A page, a redirect or a stream: what a browser shows. Others may be kept by caches, for everybody. */
static bool is_for_browsers(const vestry_reply *reply) {
  const vestry_header *type = vsi_reply_header_find(reply, "Content-Type");
  const char *said = type ? type->value : reply->has_body ? reply->body_type : "text/html";
  return strncmp(said, "text/html", 9) == 0 || vsi_reply_is_stream(reply);
}

void vsi_session_tell(const vestry_request *req, vestry_reply *reply) {
  const vsi_sessions *sessions = req->v->sessions;
  const record *session = req->session.user;
  if (!req->session.is_new || (!session && !req->session.was_changed && !is_for_browsers(reply))) return;
  vsi_token token = {.is_visitor = !session, .is_signed = session && sessions->is_signed};
  memcpy(token.id, req->session.id, sizeof token.id);
  if (token.is_signed) {
    token.created_s = session->created_s;
    token.issued_s = atomic_load_explicit(&session->saved_s, memory_order_relaxed);
    strcpy(token.user, session->user);
  }
  char text[VSI_TOKEN_MAX_LEN + 1];
  vsi_token_write(&token, &sessions->secret, text);
  (void)vestry_reply_cookie(reply, &(vestry_cookie){
                                       .name = sessions->cookie,
                                       .value = text,
                                       .max_age_s = session ? seconds(sessions->options.lifetime_ms) : 0,
                                       .same_site = sessions->options.same_site,
                                       .insecure = sessions->options.insecure,
                                   });
}

void vsi_session_end(vestry_request *req) {
  unref_record(req->session.user);
  for (size_t i = 0; i < req->session.former_count; i++) unref_record(req->session.former[i]);
  req->session.user = NULL;
  req->session.former_count = 0;
}

/* --------------------------------------------------------------------------------------- log-in and log-out ------- */

const char *vestry_session_user(const vestry_request *req) {
  return req->session.user ? req->session.user->user : NULL;
}

/* Remember that it has ended, so that it does not come back. */
static vestry_err bury(vsi_sessions *sessions, vestry_scope scope, const vestry_key *key, const char *hash) {
  record *grave = create_record(sessions->host, hash, "", now_s(sessions));
  if (!grave) return VESTRY_NO_MEMORY;
  vestry_err error = vestry_store_put(sessions->ended, scope, key, grave, VESTRY_PUT_REPLACE, 0, NULL);
  unref_record(grave);
  return error;
}

/* In memory. */
static vestry_err end_here(vsi_sessions *sessions, record *session) {
  vestry_err error = VESTRY_OK;
  /* First the grave: who puts it back meanwhile looks there afterwards. */
  if (sessions->is_signed || sessions->options.storage)
    error = bury(sessions, scope_of(session->hash), RECORD, session->hash);
  (void)vestry_store_remove(sessions->table, scope_of(session->hash), RECORD, VESTRY_CAUSE_CLOSED, NULL);
  close_record(session, VESTRY_CAUSE_CLOSED); /* one that had left the table before */
  return error;
}

static vestry_err end_session(vsi_sessions *sessions, record *session) {
  vestry_err error = end_here(sessions, session), of_storage = VESTRY_OK;
  if (sessions->options.storage)
    of_storage = sessions->options.storage->remove(sessions->options.storage_ctx, session->hash);
  return error ? error : of_storage;
}

/* The request goes on in another session. Takes it; NULL: nobody's. What the handler was told stays valid. */
static void change(vestry_request *req, vestry_reply *reply, const char *id, record *session) {
  if (req->session.user) req->session.former[req->session.former_count++] = req->session.user;
  req->session.user = session;
  req->session.is_new = req->session.was_changed = true;
  memcpy(req->session.id, id, sizeof req->session.id);
  set_scope(req, reply);
}

/* The stream of this reply is not to be that session's. */
static void detach(vestry_reply *reply, const record *session) {
  vsi_attachment **at = &reply->attachments.first, *found;
  while (*at && ((*at)->begin != begin_stream || ((entered *)*at)->session != session)) at = &(*at)->next;
  found = *at;
  if (!found) return;
  *at = found->next;
  found->drop(found);
}

static void meet_locked(under_way *logins, const char *user) {
  for (; logins; logins = logins->next) logins->has_met |= strcmp(logins->user, user) == 0;
}

/* Put it into one of the lists, having looked at the other. */
static void set_out(vsi_sessions *sessions, under_way **list, under_way *one) {
  vsi_spin_lock_take(&sessions->under_way_lock);
  if (list == &sessions->ends)
    meet_locked(sessions->logins, one->user);
  else
    for (const under_way *end = sessions->ends; end; end = end->next) one->has_met |= strcmp(end->user, one->user) == 0;
  one->next = *list;
  *list = one;
  vsi_spin_lock_give(&sessions->under_way_lock);
}

/* Take it out. Whether it has met what it must not. */
static bool arrive(vsi_sessions *sessions, under_way **list, const under_way *one) {
  vsi_spin_lock_take(&sessions->under_way_lock);
  while (*list != one) list = &(*list)->next;
  *list = one->next;
  bool has_met = one->has_met;
  vsi_spin_lock_give(&sessions->under_way_lock);
  return has_met;
}

static bool is_user(const char *user) {
  size_t len = user ? strlen(user) : 0;
  if (!len || len > VESTRY_SESSION_USER_MAX_BYTES || !vsi_is_utf8(user, len)) return false;
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)user[i] < 0x20 || user[i] == 0x7f) return false;
  return true;
}

/* Why the session cannot be changed here; NULL: it can. */
static const char *why_closed(const vestry_request *req, const vestry_reply *reply) {
  if (!req->v->sessions) return "a log-in or log-out, but the instance has no sessions (vestry_options.sessions)";
  if (!req->session.id[0] || req->error) return "a log-in or log-out in an error page, or without a session";
  if (reply->key || reply->more_keys_count) return "a log-in or log-out behind a key: it comes before keys are named";
  return req->session.former_count < VSI_SESSION_CHANGES_MAX ? NULL : "too many log-ins and log-outs of one request";
}

/* Into storage and the table. A reference. */
static vestry_err create_session(vsi_sessions *sessions, const char *id, const char *user, record **ret_session) {
  char hash[VSI_TOKEN_HASH_LEN + 1];
  vestry_err error = VESTRY_OK;
  under_way login = {.user = user};
  vsi_token_hash(id, hash);
  set_out(sessions, &sessions->logins, &login);
  record *made = create_record(sessions->host, hash, user, now_s(sessions));
  if (!made) error = VESTRY_NO_MEMORY;
  if (!error && sessions->options.storage) {
    vestry_session_record stored = {.size = sizeof stored, .created_s = made->created_s, .used_s = made->created_s};
    strcpy(stored.user, user);
    error = sessions->options.storage->save(sessions->options.storage_ctx, hash, &stored);
  }
  if (!error) error = vestry_store_put(sessions->table, scope_of(hash), RECORD, made, VESTRY_PUT_REPLACE, 0, NULL);
  if (arrive(sessions, &sessions->logins, &login) && !error) error = VESTRY_CLOSED;
  if (error)
    unref_record(made);
  else
    *ret_session = made;
  return error;
}

/* It is nobody's, and shall never have been. */
static void uncreate_session(vsi_sessions *sessions, const char *id) {
  char hash[VSI_TOKEN_HASH_LEN + 1];
  vsi_token_hash(id, hash);
  (void)vestry_store_remove(sessions->table, scope_of(hash), RECORD, VESTRY_CAUSE_CLOSED, NULL);
  if (sessions->options.storage) (void)sessions->options.storage->remove(sessions->options.storage_ctx, hash);
}

/* End the request's session: it goes on in a new one, of that id, that nobody has logged in to. Whatever fails, and
 * whoever may come back by it, the request is not his any more: what it says and opens must not be what he may see. */
static vestry_err leave_session(vestry_request *req, vestry_reply *reply, const char *id) {
  vestry_err error = end_session(req->v->sessions, req->session.user);
  detach(reply, req->session.user);
  change(req, reply, id, NULL);
  return error;
}

vestry_err vestry_session_login(const vestry_request *asked, vestry_reply *reply, const char *user) {
  vestry_request *req = (vestry_request *)(uintptr_t)asked; /* whose session it is to change */
  const char *why = why_closed(req, reply);
  if (!why && !is_user(user)) why = "a log-in: the user is NULL, empty, longer than 255 bytes, or no text";
  if (why) return vsi_reply_refuse(reply, VESTRY_INVALID, why);
  vsi_sessions *sessions = req->v->sessions;
  /* Two ids: that of a log-in that fails may be left in storage. */
  char id[VSI_TOKEN_ID_LEN + 1], nobodys[VSI_TOKEN_ID_LEN + 1];
  record *made = NULL;
  vestry_err error = vsi_token_id(sessions->host, id);
  if (!error && req->session.user) {
    error = vsi_token_id(sessions->host, nobodys);
    if (!error) error = leave_session(req, reply, nobodys);
  }
  if (error) return error;
  error = create_session(sessions, id, user, &made);
  if (!error) error = enter(reply, made);
  if (error) {
    uncreate_session(sessions, id);
    unref_record(made);
    return error;
  }
  change(req, reply, id, made);
  return VESTRY_OK;
}

vestry_err vestry_session_logout(const vestry_request *asked, vestry_reply *reply) {
  vestry_request *req = (vestry_request *)(uintptr_t)asked; /* as above */
  const char *why = why_closed(req, reply);
  if (why) return vsi_reply_refuse(reply, VESTRY_INVALID, why);
  if (!req->session.user) return VESTRY_OK;
  char id[VSI_TOKEN_ID_LEN + 1];
  vestry_err error = vsi_token_id(req->v->sessions->host, id);
  if (error) return error;
  return leave_session(req, reply, id);
}

typedef struct sweep {
  vsi_sessions *sessions;
  const char *user;
  vestry_err error;
} sweep;

static void end_if_users(const vestry_listed *listed, void *ctx) {
  sweep *s = ctx;
  record *session = look(s->sessions->table, listed->scope, RECORD);
  if (session && strcmp(session->user, s->user) == 0) {
    vestry_err error = end_session(s->sessions, session);
    if (error) s->error = error;
  }
  unref_record(session);
}

vestry_err vestry_session_end_user(struct vestry *v, const char *user) {
  if (!v || !v->sessions || !is_user(user)) return VESTRY_INVALID;
  vsi_sessions *sessions = v->sessions;
  const vestry_session_storage_ops *storage = sessions->options.storage;
  char none[VSI_TOKEN_HASH_LEN + 1] = "";
  under_way end = {.user = user};
  set_out(sessions, &sessions->ends, &end);
  vestry_err error = bury(sessions, (vestry_scope){NULL, 0}, VESTRY_KEY(user), none);
  vestry_err of_storage = storage ? storage->remove_user(sessions->options.storage_ctx, user) : VESTRY_OK;
  sweep s = {sessions, user, VESTRY_OK};
  vestry_list_cursor cursor = {0};
  vestry_err of_list = VESTRY_OK;
  while (!cursor.done && !of_list) of_list = vestry_store_list(sessions->table, NULL, 256, &cursor, end_if_users, &s);
  (void)arrive(sessions, &sessions->ends, &end);
  return error ? error : of_list ? of_list : of_storage ? of_storage : s.error;
}

typedef struct check {
  vsi_sessions *sessions;
  vestry_err error;
} check;

/* A log-in is in storage before it is in the table: who is in the table and not in storage is there no more. */
static void check_one(check *c, vestry_scope scope) {
  const vestry_session_options *options = &c->sessions->options;
  vestry_session_record stored = {.size = sizeof stored};
  record *session = look(c->sessions->table, scope, RECORD);
  if (!session) return;
  vestry_err error = options->storage->load(options->storage_ctx, session->hash, &stored);
  if (error == VESTRY_NOT_FOUND) error = end_here(c->sessions, session);
  if (error) c->error = error;
  unref_record(session);
}

static void check_listed(const vestry_listed *listed, void *ctx) {
  check_one(ctx, listed->scope);
}

vestry_err vestry_session_check(struct vestry *v, const vestry_scope *scope) {
  if (!v || !v->sessions || !v->sessions->options.storage) return VESTRY_INVALID;
  check c = {v->sessions, VESTRY_OK};
  vestry_list_cursor cursor = {0};
  vestry_err error = VESTRY_OK;
  if (scope) check_one(&c, *scope);
  while (!scope && !cursor.done && !error)
    error = vestry_store_list(c.sessions->table, NULL, 256, &cursor, check_listed, &c);
  return error ? error : c.error;
}
