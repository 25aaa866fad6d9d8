/* SPDX-License-Identifier: MIT */
/* The functions of the broker interface. publish adds a part to the send queue; flush calls libnats. */
#include "cluster/nats/broker.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/thread.h"
#include "ops/observe/metric_rows.h"
#include "vestry/cluster/nats.h"

enum { GUESSED_PAYLOAD = 1 << 20 }; /* default of nats-server */

/* Return whether libnats holds no reference. From then on it does not use the host. */
static bool is_alone(vsi_nats_broker *broker) {
  vsi_mutex_lock(&broker->lock);
  bool alone = broker->refs == 1;
  vsi_mutex_unlock(&broker->lock);
  return alone;
}

/* ---- start and stop ---------------------------------------------------------------------------------------------- */

static vestry_err take_subjects(vsi_nats_broker *broker, const char *const *subjects, size_t count) {
  uint64_t number;
  broker->subjects = vsi_calloc(broker->host, count + 1, sizeof *broker->subjects);
  broker->subs = vsi_calloc(broker->host, count + 1, sizeof(natsSubscription *));
  if (!broker->subjects || !broker->subs) return VESTRY_NO_MEMORY;
  for (size_t i = 0; i < count; i++) strcpy(broker->subjects[i], subjects[i]);
  if (broker->host->random(broker->host->ctx, &number, sizeof number)) return VESTRY_IO;
  /* The subject of the pings is below the first one, because a user of the server may have no rights to others. */
  const bool has_room = count && strlen(subjects[0]) + 1 + 2 * sizeof number <= VESTRY_SUBJECT_MAX_BYTES;
  snprintf(broker->subjects[count], sizeof *broker->subjects, "%.47s.%016llx", has_room ? subjects[0] : "vestry",
           (unsigned long long)number);
  broker->subjects_count = count + 1;
  return VESTRY_OK;
}

static vestry_err start_thread(vsi_nats_broker *broker) {
  broker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (broker->wake_fd < 0) {
    vsi_log(broker->host, VESTRY_LOG_ERROR, "nats: no descriptor is left; raise RLIMIT_NOFILE (ulimit -n)");
    return VESTRY_IO;
  }
  return vsi_thread_start(broker->host, &broker->thread, "vestry-nats", vsi_nats_link_run, broker);
}

static vestry_err start(void *self, const char *const *subjects, size_t count, const vestry_broker_events *given) {
  vsi_nats_broker *broker = self;
  if (broker->started || broker->stopped || !vestry_subjects_are_valid(subjects, count)) return VESTRY_INVALID;
  if (given) broker->events = *given;
  vestry_err error = take_subjects(broker, subjects, count);
  if (!error) error = start_thread(broker);
  broker->started = !error;
  broker->stopped = !broker->started;
  return error;
}

static void stop(void *self) {
  vsi_nats_broker *broker = self;
  if (broker->started && !broker->stopped) {
    atomic_store(&broker->stops, true);
    vsi_nats_receiver_wake(broker);
    pthread_join(broker->thread, NULL);
  }
  broker->stopped = true;
}

static void destroy(void *self) {
  vsi_nats_broker *broker = self;
  if (!broker) return;
  stop(broker);
  const vestry_host *host = broker->host;
  if (!is_alone(broker)) { /* a handler of the application blocks libnats's thread, or libnats had no memory for its
                              callback */
    vsi_log(host, VESTRY_LOG_ERROR, "nats: libnats still uses a broker, so the broker's memory is not freed");
    return;
  }
  if (broker->wake_fd >= 0) (void)close(broker->wake_fd);
  vsi_free(host, broker->subjects);
  vsi_free(host, broker->subs);
  vsi_mutex_finish(&broker->lock);
  vsi_mutex_finish(&broker->io);
  vsi_nats_settings_finish(&broker->settings);
  vsi_free(host, broker);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static vestry_broker_state state(void *self) {
  vsi_nats_broker *broker = self;
  /* acquire pairs with the release of the broker's thread: its subscriptions are active */
  return atomic_load_explicit(&broker->is_up, memory_order_acquire) ? VESTRY_BROKER_UP : VESTRY_BROKER_DOWN;
}

static size_t max_payload(void *self) {
  return atomic_load(&((vsi_nats_broker *)self)->max_payload);
}

static vestry_err publish(void *self, const char *subject, const void *data, size_t len) {
  vsi_nats_broker *broker = self;
  if (!vestry_subject_is_valid(subject) || (len && !data)) return VESTRY_INVALID;
  size_t max = max_payload(broker);
  if (len > max) return VESTRY_TOO_LARGE;
  vestry_err error = VESTRY_IO;
  vsi_mutex_lock(&broker->lock);
  if (atomic_load_explicit(&broker->is_up, memory_order_relaxed))
    error = vsi_nats_send_queue_add(&broker->send_queue, subject, data, len, max);
  broker->stats.published_count += !error;
  vsi_mutex_unlock(&broker->lock);
  return error;
}

static bool has_more(void *self) {
  return ((vsi_nats_broker *)self)->has_more;
}

static void flush(void *self, bool at_once) {
  vsi_nats_broker *broker = self;
  if (vsi_nats_here == broker) return; /* it writes after it has passed on the received messages */
  if (at_once && !broker->settings.tls)
    vsi_nats_receiver_write(broker);
  else
    vsi_nats_receiver_wake(broker);
}

/* ---- creation ---------------------------------------------------------------------------------------------------- */

static const vestry_broker_ops ops = {start, stop, publish, flush, state, max_payload, destroy, has_more};

vestry_err vestry_nats_create(const vestry_nats_options *options, vestry_broker *ret_broker) {
  if (!ret_broker) return vsi_mistake(vestry_host_default(), "vestry_nats_create", "ret_broker is NULL");
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
  broker->wake_fd = broker->socket = -1;
  vsi_mutex_init(&broker->io, VSI_LOCK_NATS_IO);
  vsi_mutex_init(&broker->lock, VSI_LOCK_NATS);
  vsi_nats_send_queue_init(&broker->send_queue, host, settings.options.max_send_queue_bytes);
  *ret_broker = (vestry_broker){&ops, broker};
  return VESTRY_OK;
}

void vsi_nats_stats_get(const vestry_broker *from, vsi_nats_stats *ret_stats) {
  if (!from || from->ops != &ops) return;
  vsi_nats_broker *broker = from->broker;
  vsi_mutex_lock(&broker->lock);
  *ret_stats = broker->stats;
  ret_stats->send_queue_bytes = broker->send_queue.bytes;
  vsi_mutex_unlock(&broker->lock);
  ret_stats->received_count = atomic_load(&broker->received_count);
}

/* Metrics of a NATS broker. */

vestry_err vestry_nats_metrics(vestry_metrics *metrics, void *broker) {
  vsi_nats_stats stats = {0};
  if (!metrics || !broker) return VESTRY_INVALID;
  vsi_nats_stats_get(broker, &stats);
  const vsi_metric_row rows[] = {
      {"vestry_nats_published", "Messages accepted by the send queue.", NULL, NULL, 0, stats.published_count},
      {"vestry_nats_written", "Messages written to the socket.", NULL, NULL, 0, stats.written_count},
      {"vestry_nats_discarded", "Messages dropped because the connection ended.", NULL, NULL, 0, stats.discarded_count},
      {"vestry_nats_received", "Messages received from the server.", NULL, NULL, 0, stats.received_count},
      {"vestry_nats_connects", "Successful connections.", NULL, NULL, 0, stats.connections_count},
      {"vestry_nats_attempts", "Attempts to connect.", NULL, NULL, 0, stats.attempts_count},
      {"vestry_nats_send_queue_bytes", "Bytes in the send queue.", NULL, NULL, VESTRY_METRIC_GAUGE,
       stats.send_queue_bytes},
  };
  return VSI_METRIC_ROWS_ADD(metrics, rows);
}
