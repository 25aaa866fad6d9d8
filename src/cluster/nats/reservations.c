/* SPDX-License-Identifier: MIT */
/* essay: a refused reservation, and the revision that the name has instead */
/* JetStream compares and sets: a write contains the revision that it expects. libnats reports a refusal without the
 * current revision, so it is read afterwards. The name may change once more in between, which does no harm: the
 * revision that is read belongs to another node in any case.
 *
 * The bucket can be deleted while the connection stays, by an administrator or because the server's storage was
 * replaced. Then no server responds to a write. If this lasts longer than after the creation of a bucket, the bucket is
 * opened or created again, once for each reservation.
 *
 * A reservation that fails refuses a stream. If the cause is the bucket, this goes on at all nodes until an
 * administrator removes it. So the first failure is logged with the server's reason, and the next success, too. With
 * some limits of a bucket, for example DiscardNewPerSubject, each second reservation fails. Therefore, each line
 * is logged once a minute. An outcome that was not logged does not count as known, so the outcome that lasts is logged
 * when the minute is over. */
#include "cluster/nats/reservations.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/wait.h"

enum { READY_MS = 20, WHY_BYTES = 160 };

/* Reasons of lines. */
enum { REOPENED = 1, GONE, SUCCEEDING, FAILING };

void vsi_nats_reservations_init(vsi_nats_reservations *reservations) {
  memset(reservations, 0, sizeof *reservations);
  vsi_mutex_init(&reservations->lock, VSI_LOCK_NATS_RESERVATIONS);
  pthread_cond_init(&reservations->changed, NULL);
}

void vsi_nats_reservations_finish(vsi_nats_reservations *reservations) {
  pthread_cond_destroy(&reservations->changed);
  vsi_mutex_finish(&reservations->lock);
}

void vsi_nats_reservations_attach(vsi_nats_reservations *reservations, natsConnection *connection) {
  vsi_mutex_lock(&reservations->lock);
  reservations->connection = connection;
  vsi_mutex_unlock(&reservations->lock);
}

static void drop_bucket_locked(vsi_nats_reservations *reservations) {
  kvStore_Destroy(reservations->bucket);
  jsCtx_Destroy(reservations->jetstream);
  reservations->bucket = NULL;
  reservations->jetstream = NULL;
}

void vsi_nats_reservations_detach(vsi_nats_reservations *reservations) {
  vsi_mutex_lock(&reservations->lock);
  while (reservations->users) vsi_mutex_wait(&reservations->lock, &reservations->changed);
  drop_bucket_locked(reservations);
  vsi_mutex_unlock(&reservations->lock);
}

/* ---- bucket ------------------------------------------------------------------------------------------------------ */

static natsStatus open_bucket(natsConnection *connection, const vsi_nats_settings *settings, jsCtx **ret_jetstream,
                              kvStore **ret_bucket) {
  jsOptions options;
  natsStatus s = jsOptions_Init(&options);
  options.Wait = (int64_t)settings->options.reservations_ms;
  if (!s) s = natsConnection_JetStream(ret_jetstream, connection, &options);
  if (!s) s = js_KeyValue(ret_bucket, *ret_jetstream, settings->reservations_bucket);
  if (s != NATS_NOT_FOUND) return s;
  kvConfig config;
  kvConfig_Init(&config);
  config.Bucket = settings->reservations_bucket;
  config.Replicas = (int)settings->options.reservations_replicas;
  s = js_CreateKeyValue(ret_bucket, *ret_jetstream, &config);
  if (s && js_KeyValue(ret_bucket, *ret_jetstream, settings->reservations_bucket) == NATS_OK)
    s = NATS_OK; /* another node has created it */
  return s;
}

/* Return whether this account has no JetStream. libnats itself only reports a failure. */
static bool is_without(jsCtx *jetstream) {
  jsAccountInfo *account = NULL;
  jsErrCode code = 0;
  natsStatus s = js_GetAccountInfo(&account, jetstream, NULL, &code);
  jsAccountInfo_Destroy(account);
  return s && (code == JSNotEnabledForAccountErr || code == JSNotEnabledErr || s == NATS_NO_RESPONDERS);
}

/* Get the bucket of the connection. It is opened once, with the lock released meanwhile. The caller must be counted in
 * users. */
static natsStatus bucket_locked(vsi_nats_reservations *reservations, const vsi_nats_settings *settings,
                                natsConnection *connection, kvStore **ret_bucket) {
  while (reservations->opening) vsi_mutex_wait(&reservations->lock, &reservations->changed);
  natsStatus s = NATS_OK;
  if (!reservations->bucket) {
    reservations->opening = true;
    vsi_mutex_unlock(&reservations->lock);
    jsCtx *jetstream = NULL;
    kvStore *bucket = NULL;
    s = open_bucket(connection, settings, &jetstream, &bucket);
    if (s) {
      if (jetstream && s == NATS_ERR && is_without(jetstream)) s = NATS_NO_RESPONDERS;
      jsCtx_Destroy(jetstream);
      jetstream = NULL;
    }
    vsi_mutex_lock(&reservations->lock);
    reservations->jetstream = jetstream;
    reservations->bucket = bucket;
    reservations->opening = false;
    pthread_cond_broadcast(&reservations->changed);
  }
  *ret_bucket = reservations->bucket;
  return s;
}

/* Drop the bucket that is gone, unless another thread has: lost_count is that of the time when the bucket was
 * got. */
static bool lose_bucket_locked(vsi_nats_reservations *reservations, uint64_t lost_count) {
  while (reservations->opening) vsi_mutex_wait(&reservations->lock, &reservations->changed);
  if (reservations->lost_count != lost_count) return false;
  reservations->opening = true; /* no other thread gets it */
  while (reservations->setters) vsi_mutex_wait(&reservations->lock, &reservations->changed);
  drop_bucket_locked(reservations);
  reservations->lost_count++;
  reservations->opening = false;
  pthread_cond_broadcast(&reservations->changed);
  return true;
}

/* ---- reservations ------------------------------------------------------------------------------------------------ */

/* The bucket, which exists while the caller is counted in setters. */
typedef struct opened {
  jsCtx *jetstream;
  kvStore *bucket;
} opened;

/* The arguments of vsi_nats_reservations_set, and its results. */
typedef struct reservation {
  const vsi_nats_settings *settings;
  const char *name;
  uint64_t expected;
  const void *data;
  int len;
  uint64_t revision;   /* of the name */
  uint64_t lost_count; /* of the time when the bucket was got */
  bool is_gone;        /* no server has that bucket */
  char why[WHY_BYTES]; /* reason of a failure; "": none */
} reservation;

/* Keep the text of an error that libnats has just returned on this thread, without the position in its source,
 * "(js.c:535): ". "": it has none. */
static void note_text(reservation *r) {
  const char *text = nats_GetLastError(NULL), *after = text && *text == '(' ? strstr(text, "): ") : NULL;
  snprintf(r->why, sizeof r->why, "%s", after ? after + 3 : text ? text : "");
}

static natsStatus revision_of(kvStore *bucket, const char *name, uint64_t *ret_revision) {
  kvEntry *entry = NULL;
  natsStatus s = kvStore_Get(&entry, bucket, name);
  *ret_revision = s ? 0 : kvEntry_Revision(entry);
  kvEntry_Destroy(entry);
  return s == NATS_NOT_FOUND ? NATS_OK : s;
}

/* Create a name without libnats's functions for key-value buckets, which lose the text of a refusal. */
static natsStatus create_plainly(jsCtx *jetstream, reservation *r) {
  char subject[VESTRY_SUBJECT_MAX_BYTES + 100];
  jsPubOptions options;
  jsPubAck *ack = NULL;
  jsPubOptions_Init(&options);
  options.ExpectNoMessage = true;
  snprintf(subject, sizeof subject, "$KV.%s.%s", r->settings->reservations_bucket, r->name);
  natsStatus s = js_Publish(&ack, jetstream, subject, r->data, r->len, &options, NULL);
  if (s)
    note_text(r);
  else
    r->revision = ack->Sequence;
  jsPubAck_Destroy(ack);
  return s;
}

/* Set a name. If there is no responder it is tried again for reservations_ms, because a new bucket may not listen
 * yet. */
static vestry_err set(opened in, reservation *r) {
  const uint64_t until_ns = vsi_monotonic_in_ms(r->settings->options.reservations_ms);
  natsStatus s;
  for (;; nats_Sleep(READY_MS)) {
    s = r->expected ? kvStore_Update(&r->revision, in.bucket, r->name, r->data, r->len, r->expected)
                    : kvStore_Create(&r->revision, in.bucket, r->name, r->data, r->len);
    if (s != NATS_NO_RESPONDERS || vsi_monotonic_ns() >= until_ns) break;
  }
  note_text(r);
  r->is_gone = s == NATS_NO_RESPONDERS; /* it was there when it was opened */
  if (r->is_gone) return VESTRY_IO;
  if (s != NATS_ERR) return vsi_nats_error(s); /* a refusal by the server is NATS_ERR */
  uint64_t revision;
  s = revision_of(in.bucket, r->name, &revision);
  r->is_gone = s == NATS_NO_RESPONDERS || s == NATS_TIMEOUT; /* it may have been replaced by one without AllowDirect */
  vestry_err error = vsi_nats_error(s);
  if (error) return error == VESTRY_TIMEOUT ? VESTRY_IO : error; /* not TIMEOUT, because the refusal is certain */
  if (revision == r->expected) {                                 /* refused for another reason */
    if (!revision) s = create_plainly(in.jetstream, r);
    return s == NATS_ERR ? VESTRY_IO : vsi_nats_error(s);
  }
  r->revision = revision;
  return VESTRY_EXISTS;
}

/* Set a name in the bucket of the connection. The lock is released meanwhile. */
static vestry_err set_locked(vsi_nats_reservations *reservations, natsConnection *connection, reservation *r) {
  kvStore *bucket = NULL;
  natsStatus s = bucket_locked(reservations, r->settings, connection, &bucket);
  const opened in = {reservations->jetstream, bucket};
  r->is_gone = false;
  r->lost_count = reservations->lost_count;
  if (s) snprintf(r->why, sizeof r->why, "the bucket cannot be opened: %s", natsStatus_GetText(s));
  if (s) return vsi_nats_error(s) == VESTRY_TIMEOUT ? VESTRY_IO : vsi_nats_error(s); /* nothing was set: not TIMEOUT */
  reservations->setters++;
  vsi_mutex_unlock(&reservations->lock);
  vestry_err error = set(in, r);
  vsi_mutex_lock(&reservations->lock);
  reservations->setters--;
  pthread_cond_broadcast(&reservations->changed);
  return error;
}

static bool is_failure(vestry_err error) {
  return error && error != VESTRY_EXISTS;
}

static bool log_lost(vsi_repeated_log *log, const reservation *r, vestry_err error) {
  const vestry_host *host = r->settings->host;
  const char *bucket = r->settings->reservations_bucket;
  if (!is_failure(error))
    return vsi_log_repeated(host, log, REOPENED, VESTRY_LOG_WARN,
                            "nats: the bucket %s of reservations was gone or replaced; it was opened again", bucket);
  return vsi_log_repeated(
      host, log, GONE, VESTRY_LOG_ERROR,
      "nats: the bucket %s of reservations is gone, and cannot be used again: %s; check JetStream of nats-server. If "
      "the stream KV_%s exists, it may be no bucket: delete it, and it is created again",
      bucket, *r->why ? r->why : vestry_err_name(error), bucket);
}

/* Return whether an outcome differs from the last one that was logged, or the bucket was dropped and opened again. The
 * end of the connection is not a failure of the bucket. */
static bool is_new_locked(const vsi_nats_reservations *reservations, vestry_err error, bool has_dropped) {
  const bool fails = is_failure(error);
  if ((fails && !reservations->connection) || error == VESTRY_NO_MEMORY) return false;
  return fails != reservations->fails || (!fails && has_dropped);
}

static bool log_outcome(vsi_repeated_log *log, const reservation *r, vestry_err error) {
  const vestry_host *host = r->settings->host;
  const char *bucket = r->settings->reservations_bucket;
  if (!is_failure(error))
    return vsi_log_repeated(host, log, SUCCEEDING, VESTRY_LOG_INFO, "nats: reservations in the bucket %s succeed again",
                            bucket);
  return vsi_log_repeated(
      host, log, FAILING, VESTRY_LOG_WARN,
      "nats: reservations in the bucket %s fail: %s; until they succeed, no stream of a strict key opens; check the "
      "bucket, the limits of JetStream, and this user's permissions ($JS.API.>, $KV.%s.>, _INBOX.>)",
      bucket, *r->why ? r->why : vestry_err_name(error), bucket);
}

/* Log an outcome, without the lock. One that was logged is the last one that is known. */
static void note_outcome(vsi_nats_reservations *reservations, const reservation *r, vestry_err error,
                         bool has_dropped) {
  vsi_repeated_log *log = &reservations->outcomes;
  if (!(has_dropped ? log_lost(log, r, error) : log_outcome(log, r, error))) return;
  vsi_mutex_lock(&reservations->lock);
  reservations->fails = is_failure(error);
  vsi_mutex_unlock(&reservations->lock);
}

vestry_err vsi_nats_reservations_set(vsi_nats_reservations *reservations, const vsi_nats_settings *settings,
                                     const char *name, uint64_t expected, const void *data, size_t len,
                                     uint64_t *ret_revision) {
  vsi_mutex_lock(&reservations->lock);
  natsConnection *connection = reservations->connection;
  if (!connection) {
    vsi_mutex_unlock(&reservations->lock);
    return VESTRY_IO;
  }
  reservations->users++;
  reservation r = {.settings = settings, .name = name, .expected = expected, .data = data, .len = (int)len};
  vestry_err error = set_locked(reservations, connection, &r);
  bool has_dropped = false;
  if (r.is_gone && reservations->connection) {
    has_dropped = lose_bucket_locked(reservations, r.lost_count);
    error = set_locked(reservations, connection, &r);
  }
  const bool is_new = is_new_locked(reservations, error, has_dropped);
  reservations->users--;
  pthread_cond_broadcast(&reservations->changed);
  vsi_mutex_unlock(&reservations->lock);
  if (is_new) note_outcome(reservations, &r, error, has_dropped);
  if (!error || error == VESTRY_EXISTS) *ret_revision = r.revision;
  return error;
}
