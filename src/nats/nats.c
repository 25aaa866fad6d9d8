/* What the broker's seam asks for. publish leaves a letter in the outbox; of these functions claim alone speaks to
 * libnats. */
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/thread.h"
#include "base/wait.h"
#include "nats/broker.h"
#include "nats/link.h"

enum { GUESSED_PAYLOAD = 1 << 20 }; /* nats-server's default */

/* Until libnats has no reference any more: then nothing of the host's is used any more. */
static bool is_alone(vsi_nats_broker *broker) {
  uint64_t until_ns = vsi_monotonic_in_ms(VSI_NATS_COMPLETE_MS);
  pthread_mutex_lock(&broker->lock);
  while (broker->refs > 1 && vsi_wait_until(&broker->changed, &broker->lock, until_ns)) continue;
  bool alone = broker->refs == 1;
  pthread_mutex_unlock(&broker->lock);
  return alone;
}

/* ---- start and stop ---------------------------------------------------------------------------------------------- */

static vestry_err start(void *self, const vestry_broker_events *given) {
  vsi_nats_broker *broker = self;
  vestry_broker_events events;
  if (VSI_OPTIONS_TAKE(events, given) || broker->started || broker->stopped) return VESTRY_INVALID;
  vestry_err error = vsi_nats_inbox_start(&broker->inbox, &events);
  if (error) return error;
  error = vsi_thread_start(broker->host, &broker->link, "vestry-nats-out", vsi_nats_link_run, broker);
  if (error)
    vsi_nats_inbox_stop(&broker->inbox);
  else
    broker->started = true;
  broker->stopped = !broker->started;
  return error;
}

static void stop(void *self) {
  vsi_nats_broker *broker = self;
  if (broker->started && !broker->stopped) {
    pthread_mutex_lock(&broker->lock);
    broker->stops = true;
    pthread_cond_broadcast(&broker->changed);
    pthread_mutex_unlock(&broker->lock);
    vsi_nats_inbox_close(&broker->inbox);
    pthread_join(broker->link, NULL);
    vsi_nats_inbox_stop(&broker->inbox);
  }
  broker->stopped = true;
}

static void destroy(void *self) {
  vsi_nats_broker *broker = self;
  if (!broker) return;
  stop(broker);
  const vestry_host *host = broker->host;
  if (!is_alone(broker)) { /* an application's handler holds up libnats's thread, or libnats had no memory to call
                              back */
    vsi_log_line(host, VESTRY_LOG_ERROR, "nats: libnats does not let go of a broker: it is not freed");
    return;
  }
  vsi_nats_inbox_finish(&broker->inbox);
  vsi_nats_interests_finish(&broker->interests);
  vsi_nats_claims_finish(&broker->claims);
  pthread_cond_destroy(&broker->changed);
  pthread_mutex_destroy(&broker->lock);
  vsi_nats_settings_finish(&broker->settings);
  vsi_free(host, broker);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static vestry_broker_state state(void *self) {
  vsi_nats_broker *broker = self;
  /* acquire pairs with the release of the link's thread: its subscriptions stand */
  return atomic_load_explicit(&broker->is_up, memory_order_acquire) ? VESTRY_BROKER_UP : VESTRY_BROKER_DOWN;
}

static size_t max_payload(void *self) {
  return atomic_load(&((vsi_nats_broker *)self)->max_payload);
}

static vestry_err post(vsi_nats_broker *broker, vsi_nats_letter *letter) {
  size_t bytes = vsi_nats_letter_bytes(letter->len);
  vestry_err error = VESTRY_OK;
  pthread_mutex_lock(&broker->lock);
  if (!atomic_load_explicit(&broker->is_up, memory_order_relaxed)) {
    error = VESTRY_IO;
  } else if (bytes > broker->outbox.max_bytes - broker->outbox.bytes) {
    error = VESTRY_FULL;
  } else {
    broker->outbox.bytes += bytes;
    broker->published_count++;
    if (!broker->outbox.first) pthread_cond_broadcast(&broker->changed);
    vsi_nats_outbox_add(&broker->outbox, &letter->item);
  }
  pthread_mutex_unlock(&broker->lock);
  return error;
}

static vestry_err publish(void *self, const char *subject, const void *data, size_t len) {
  vsi_nats_broker *broker = self;
  if (!vestry_subject_is_valid(subject) || (len && !data)) return VESTRY_INVALID;
  if (len > max_payload(broker)) return VESTRY_TOO_LARGE;
  if (state(broker) != VESTRY_BROKER_UP) return VESTRY_IO;
  vsi_nats_letter *letter = vsi_nats_letter_new(broker->host, subject, data, len);
  if (!letter) return VESTRY_NO_MEMORY;
  vestry_err error = post(broker, letter);
  if (error) vsi_free(broker->host, letter);
  return error;
}

/* ---- subjects ---------------------------------------------------------------------------------------------------- */

static vestry_err subscribe(void *self, const char *subject) {
  vsi_nats_broker *broker = self;
  if (!vestry_subject_is_valid(subject)) return VESTRY_INVALID;
  pthread_mutex_lock(&broker->lock);
  vsi_nats_interest *interest = vsi_nats_interests_find(&broker->interests, subject);
  if (!interest) interest = vsi_nats_interests_add(&broker->interests, subject, broker);
  if (interest && !atomic_load_explicit(&interest->wanted, memory_order_relaxed)) {
    atomic_store_explicit(&interest->wanted, true, memory_order_release);
    broker->interests.wanted_count++;
    vsi_nats_broker_queue_locked(broker, interest);
  }
  pthread_mutex_unlock(&broker->lock);
  return interest ? VESTRY_OK : VESTRY_NO_MEMORY;
}

static vestry_err unsubscribe(void *self, const char *subject) {
  vsi_nats_broker *broker = self;
  if (!vestry_subject_is_valid(subject)) return VESTRY_INVALID;
  pthread_mutex_lock(&broker->lock);
  vsi_nats_interest *interest = vsi_nats_interests_find(&broker->interests, subject);
  if (interest && atomic_load_explicit(&interest->wanted, memory_order_relaxed)) {
    atomic_store_explicit(&interest->wanted, false, memory_order_release); /* pairs with the inbox's acquire */
    broker->interests.wanted_count--;
    vsi_nats_broker_queue_locked(broker, interest);
  }
  pthread_mutex_unlock(&broker->lock);
  return VESTRY_OK;
}

/* ---- claims ------------------------------------------------------------------------------------------------------ */

static vestry_err claim(void *self, const char *name, uint64_t expected, const void *data, size_t len,
                        uint64_t *ret_revision) {
  vsi_nats_broker *broker = self;
  if (!vestry_subject_is_valid(name) || (len && !data) || !ret_revision) return VESTRY_INVALID;
  if (len > max_payload(broker)) return VESTRY_TOO_LARGE;
  return vsi_nats_claims_set(&broker->claims, &broker->settings, name, expected, data, len, ret_revision);
}

/* ---- making one -------------------------------------------------------------------------------------------------- */

#define OPS                                                                                                            \
  .size = sizeof(vestry_broker_ops), .start = start, .stop = stop, .publish = publish, .subscribe = subscribe,         \
  .unsubscribe = unsubscribe, .state = state, .max_payload = max_payload, .destroy = destroy

static const vestry_broker_ops ops = {OPS}, ops_with_claims = {OPS, .claim = claim};

vestry_err vestry_nats_create(const vestry_nats_options *options, vestry_broker *ret_broker) {
  if (!ret_broker) return VESTRY_INVALID;
  vsi_nats_settings settings;
  vestry_err error = vsi_nats_settings_init(&settings, options);
  if (error) return error;
  const vestry_host *host = settings.host;
  vsi_nats_broker *broker = vsi_calloc(host, 1, sizeof *broker);
  if (!broker) {
    vsi_nats_settings_finish(&settings);
    return VESTRY_NO_MEMORY;
  }
  broker->host = host;
  broker->settings = settings;
  broker->refs = 1;
  atomic_init(&broker->max_payload, GUESSED_PAYLOAD);
  pthread_mutex_init(&broker->lock, NULL);
  pthread_cond_init(&broker->changed, NULL);
  vsi_nats_outbox_init(&broker->outbox, settings.options.max_out_bytes);
  vsi_nats_interests_init(&broker->interests, host);
  vsi_nats_inbox_init(&broker->inbox, host, settings.options.max_in_bytes, settings.options.max_in_count);
  vsi_nats_claims_init(&broker->claims);
  *ret_broker = (vestry_broker){settings.claims_bucket ? &ops_with_claims : &ops, broker};
  return VESTRY_OK;
}

void vestry_nats_stats_get(const vestry_broker *from, vestry_nats_stats *ret_stats) {
  if (!from || (from->ops != &ops && from->ops != &ops_with_claims)) return;
  vsi_nats_broker *broker = from->broker;
  vestry_nats_stats stats = {0};
  pthread_mutex_lock(&broker->lock);
  stats.published_count = broker->published_count;
  stats.written_count = broker->written_count;
  stats.discarded_count = broker->discarded_count;
  stats.connections_count = broker->connections_count;
  stats.attempts_count = broker->attempts_count;
  stats.out_bytes = broker->outbox.bytes;
  stats.subscriptions_count = broker->interests.wanted_count;
  pthread_mutex_lock(&broker->inbox.lock);
  stats.received_count = broker->inbox.received_count;
  stats.delivered_count = broker->inbox.delivered_count;
  stats.dropped_count = broker->inbox.dropped_count;
  stats.in_bytes = broker->inbox.bytes;
  pthread_mutex_unlock(&broker->inbox.lock);
  pthread_mutex_unlock(&broker->lock);
  VSI_RESULT_GIVE(ret_stats, stats);
}
