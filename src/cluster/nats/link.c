/* SPDX-License-Identifier: MIT */
/* essay: connections to NATS that leave no state behind */
/* The thread that makes connections. While one is up, it sleeps, and checks periodically whether the server responds.
 *
 * Connections are not reused: each is made, used and freed, and no state passes to the next. UP is reported when the
 * server has responded after all subscriptions. DOWN is reported as soon as the end of the connection is known: a read
 * or a write has failed, or the server does not respond. If the server removes a subscription or refuses a message, for
 * example because its configuration gives the user fewer rights now, libnats keeps the connection, and nothing arrives
 * any more. The connection is then ended here, and attempts fail until the server accepts all subscriptions, and a
 * probe to the subject of the refused message. The server checks no right to publish before a message comes; without
 * the probe, the broker would be UP for a moment after each attempt. Messages that wait at the end of a connection are
 * dropped, because they must not arrive late.
 *
 * Until libnats has reported that a connection is closed, it calls back, and holds a reference to the broker. The next
 * connection waits for that report. If it does not arrive within VSI_NATS_COMPLETE_MS (libnats cannot send it without
 * memory), the thread continues; the broker's memory is freed only after the report. */

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/wait.h"
#include "cluster/nats/broker.h"

enum { LAST_MESSAGES_MS = 1000, ANSWER_MS = 250, PONGLESS_PINGS = 10, DOWN = 1, UNREACHABLE };

/* ---- callbacks --------------------------------------------------------------------------------------------------- */

/* Called on a thread of libnats, exactly once for each connection that was made. */
static void on_closed(natsConnection *connection, void *ctx) {
  (void)connection;
  vsi_nats_broker *broker = ctx;
  vsi_mutex_lock(&broker->lock);
  broker->is_closed = true;
  broker->refs--;
  pthread_cond_broadcast(&broker->changed);
  vsi_mutex_unlock(&broker->lock);
}

/* Note an error of a connection if it refuses a subscription or a message, whose subject libnats's text quotes. */
static bool note_refusal(vsi_nats_broker *broker, natsStatus status, const char *text) {
  static const char published[] = "Publish to \"";
  if (status != NATS_NOT_PERMITTED) return false;
  const char *subject = text ? strstr(text, published) : NULL;
  const size_t len = subject ? strcspn(subject += sizeof published - 1, "\"") : 0;
  vsi_mutex_lock(&broker->lock);
  if (len && len < sizeof broker->refused) snprintf(broker->refused, sizeof broker->refused, "%.*s", (int)len, subject);
  broker->is_refused = true;
  pthread_cond_broadcast(&broker->changed);
  vsi_mutex_unlock(&broker->lock);
  return true;
}

/* Called on the same thread. */
static void on_error(natsConnection *connection, natsSubscription *sub, natsStatus status, void *ctx) {
  (void)connection, (void)sub;
  vsi_nats_broker *broker = ctx;
  const char *text = nats_GetLastError(NULL); /* of this error */
  if (!note_refusal(broker, status, text))
    vsi_log_repeated(broker->host, &broker->complaints, 0, VESTRY_LOG_WARN,
                     "nats: the server or libnats reports an error: %s", natsStatus_GetText(status));
  else if (!atomic_load(&broker->has_complained))
    vsi_log_repeated(broker->host, &broker->complaints, 0, VESTRY_LOG_WARN,
                     "nats: the server refuses a message or a subscription: %s; allow this user to publish and "
                     "subscribe to vestry.> (permissions of nats-server)",
                     text);
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

static void complain(vsi_nats_broker *broker, natsStatus status) {
  if (atomic_load(&broker->has_complained)) return;
  const bool has = vsi_log_repeated(broker->host, &broker->states, UNREACHABLE, VESTRY_LOG_WARN,
                                    "nats: cannot connect to any of %zu servers: %s; retrying",
                                    broker->settings.options.servers_count, natsStatus_GetText(status));
  atomic_store(&broker->has_complained, has);
}

/* Connect to a server. libnats gets a reference to the broker, which on_closed returns. */
static natsStatus connect_to(vsi_nats_broker *broker, size_t server) {
  natsOptions *options = broker->settings.nats;
  natsConnection *connection = NULL;
  vsi_mutex_lock(&broker->lock);
  broker->refs++;
  broker->is_closed = broker->is_refused = false;
  atomic_store(&broker->is_over, false);
  vsi_mutex_unlock(&broker->lock);
  atomic_store(&broker->must_write, false);
  broker->attached = -1;
  natsStatus s = vsi_nats_settings_choose(&broker->settings, server);
  if (!s) s = natsOptions_SetClosedCB(options, on_closed, broker);
  if (!s) s = natsOptions_SetErrorHandler(options, on_error, broker);
  if (!s) s = vsi_nats_receiver_choose(broker);
  if (!s) s = natsConnection_Connect(&connection, options);
  if (s) { /* on_closed is not called */
    vsi_mutex_lock(&broker->lock);
    broker->refs--;
    vsi_mutex_unlock(&broker->lock);
    if (broker->attached >= 0) (void)close(broker->attached);
    return s;
  }
  vsi_mutex_lock(&broker->io);
  broker->connection = connection;
  broker->socket = broker->attached;
  vsi_mutex_unlock(&broker->io);
  vsi_nats_receiver_wake(broker);
  return s;
}

static natsStatus subscribe(vsi_nats_broker *broker, size_t number) {
  natsSubscription *sub = NULL;
  natsStatus s = natsConnection_SubscribeSync(&sub, broker->connection, broker->subjects[number]);
  if (!s) s = natsSubscription_SetPendingLimits(sub, -1, -1); /* messages are taken as soon as they are read */
  vsi_mutex_lock(&broker->io);
  broker->subs[number] = sub;
  vsi_mutex_unlock(&broker->io);
  return s;
}

/* Return whether the last error of the connection is a refusal, and note it. */
static bool is_refused(vsi_nats_broker *broker) {
  const char *text = NULL;
  vsi_mutex_lock(&broker->io); /* libnats overwrites the text while it reads */
  natsStatus status = natsConnection_GetLastError(broker->connection, &text);
  const bool is = note_refusal(broker, status, text);
  vsi_mutex_unlock(&broker->io);
  return is;
}

/* Send a probe to the subject whose messages the server has refused. */
static natsStatus probe(vsi_nats_broker *broker) {
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  vsi_mutex_lock(&broker->lock);
  strcpy(subject, broker->refused);
  vsi_mutex_unlock(&broker->lock);
  return *subject ? natsConnection_Publish(broker->connection, subject, VSI_NATS_JOINED_PROBE, VSI_NATS_JOINED_HEAD)
                  : NATS_OK;
}

/* Subscribe to all subjects, and wait for the server's response after them. */
static natsStatus subscribe_all(vsi_nats_broker *broker) {
  natsStatus s = NATS_OK;
  for (size_t i = 0; !s && i < broker->subjects_count; i++) s = subscribe(broker, i);
  if (!s) s = probe(broker);
  if (!s) s = natsConnection_FlushTimeout(broker->connection, VSI_NATS_CONNECT_MS);
  if (!s && is_refused(broker)) s = NATS_NOT_PERMITTED; /* a refusal arrives before the response */
  if (s) return s;
  vsi_mutex_lock(&broker->io);
  (void)vsi_nats_receiver_take_max(broker);
  vsi_mutex_unlock(&broker->io);
  vsi_mutex_lock(&broker->lock);
  bool is_over = atomic_load(&broker->is_over) || broker->stops;
  if (!is_over) {
    *broker->refused = '\0';
    broker->stats.connections_count++;
    /* release pairs with the acquire of publish */
    atomic_store_explicit(&broker->is_up, true, memory_order_release);
  }
  vsi_mutex_unlock(&broker->lock);
  return is_over ? NATS_CONNECTION_CLOSED : NATS_OK;
}

static bool is_stopping(vsi_nats_broker *broker) {
  vsi_mutex_lock(&broker->lock);
  bool stops = broker->stops;
  vsi_mutex_unlock(&broker->lock);
  return stops;
}

/* ---- disconnecting ----------------------------------------------------------------------------------------------- */

static void drop_all(vsi_nats_broker *broker) {
  vsi_mutex_lock(&broker->lock);
  broker->stats.discarded_count += vsi_nats_send_queue_drop(&broker->send_queue);
  vsi_mutex_unlock(&broker->lock);
}

static void wait_closed(vsi_nats_broker *broker) {
  uint64_t until_ns = vsi_monotonic_in_ms(VSI_NATS_COMPLETE_MS);
  vsi_mutex_lock(&broker->lock);
  while (!broker->is_closed && vsi_wait_until(&broker->changed, &broker->lock, until_ns)) continue;
  vsi_mutex_unlock(&broker->lock);
}

/* Close the connection. Afterwards no thread is inside libnats for its socket. */
static void close_connection(vsi_nats_broker *broker) {
  (void)shutdown(broker->socket, SHUT_RDWR); /* a thread that waits for the socket continues */
  vsi_mutex_lock(&broker->io);
  natsConnection_ProcessReadEvent(broker->connection); /* detects the end; otherwise close would wait for a response */
  natsConnection_Close(broker->connection);
  broker->connection = NULL;
  for (size_t i = 0; i < broker->subjects_count; i++) {
    natsSubscription_Destroy(broker->subs[i]);
    broker->subs[i] = NULL;
  }
  (void)close(broker->socket);
  broker->socket = -1;
  vsi_mutex_lock(&broker->lock);
  broker->stats.discarded_count += broker->taken_count;
  broker->send_queue.bytes -= broker->taken_bytes;
  vsi_mutex_unlock(&broker->lock);
  broker->taken_count = broker->taken_bytes = 0;
  vsi_mutex_unlock(&broker->io);
}

/* End the connection, drop its messages, and wait until libnats has reported that it is closed. */
static void disconnect(vsi_nats_broker *broker) {
  natsConnection *connection = broker->connection;
  vsi_mutex_lock(&broker->lock);
  atomic_store_explicit(&broker->is_up, false, memory_order_release);
  vsi_mutex_unlock(&broker->lock);
  close_connection(broker);
  drop_all(broker);
  wait_closed(broker);
  natsConnection_Destroy(connection);
}

/* Try all servers once, beginning with any. */
static bool come_up(vsi_nats_broker *broker) {
  natsStatus s = NATS_NO_SERVER;
  const size_t count = broker->settings.options.servers_count;
  uint32_t first = 0;
  (void)broker->host->random(broker->host->ctx, &first, sizeof first);
  for (size_t i = 0; i < count && !is_stopping(broker); i++) {
    vsi_mutex_lock(&broker->lock);
    broker->stats.attempts_count++;
    vsi_mutex_unlock(&broker->lock);
    s = connect_to(broker, (first % count + i) % count);
    if (!s) {
      s = subscribe_all(broker);
      if (!s) return true;
      disconnect(broker);
    }
  }
  complain(broker, s);
  return false;
}

/* ---- thread ------------------------------------------------------------------------------------------------------ */

/* Wait until the send queue is written. Publish fails by now, so no message is added. */
static void write_last_messages(vsi_nats_broker *broker) {
  uint64_t until_ns = vsi_monotonic_in_ms(LAST_MESSAGES_MS);
  vsi_nats_receiver_wake(broker);
  vsi_mutex_lock(&broker->lock);
  while (broker->send_queue.bytes && !atomic_load(&broker->is_over) &&
         vsi_wait_until(&broker->changed, &broker->lock, until_ns))
    continue;
  bool are_written = !broker->send_queue.bytes;
  vsi_mutex_unlock(&broker->lock);
  /* Closing a socket with unread data resets the connection, so that the peer may lose data that was sent before. */
  if (are_written) (void)natsConnection_FlushTimeout(broker->connection, LAST_MESSAGES_MS);
}

/* Ping the server. Data that the server sent before can delay its response, so the server also counts as alive if
 * anything was read. While a function of the events runs, nothing is read, and the server counts as alive. Returns
 * whether it does. *ponged_ns: time of the last response; the longer ago it was, the longer this waits for another. */
static bool is_there(vsi_nats_broker *broker, uint64_t *ponged_ns) {
  atomic_fetch_add(&broker->checks_count, 1);
  const uint64_t ping_ms = broker->settings.options.ping_ms, reads = atomic_load(&broker->reads_count);
  uint64_t wait_ms = (vsi_monotonic_ns() - *ponged_ns) / VSI_NS_PER_MS / 2;
  if (wait_ms < ANSWER_MS || wait_ms <= 2 * ping_ms) wait_ms = ping_ms < ANSWER_MS ? ping_ms : ANSWER_MS;
  const bool has_ponged = !natsConnection_FlushTimeout(broker->connection, (int64_t)wait_ms);
  if (has_ponged || atomic_load(&broker->is_reporting)) *ponged_ns = vsi_monotonic_ns();
  return has_ponged || atomic_load(&broker->reads_count) != reads || atomic_load(&broker->is_reporting);
}

/* Watch the connection until it ends, the server refuses something, or the broker stops. */
static void serve(vsi_nats_broker *broker) {
  const vestry_nats_options *options = &broker->settings.options;
  const uint64_t ping_ns = options->ping_ms * VSI_NS_PER_MS;
  uint64_t answered_ns = vsi_monotonic_ns(), ponged_ns = answered_ns;
  for (;;) {
    vsi_mutex_lock(&broker->lock);
    while (!atomic_load(&broker->is_over) && !broker->is_refused && !broker->stops &&
           vsi_wait_until(&broker->changed, &broker->lock, answered_ns + ping_ns))
      continue;
    bool is_over = atomic_load(&broker->is_over) || broker->is_refused, stops = broker->stops;
    if (stops) atomic_store_explicit(&broker->is_up, false, memory_order_release);
    vsi_mutex_unlock(&broker->lock);
    if (stops && !is_over) write_last_messages(broker);
    if (stops || is_over) return;
    if (is_there(broker, &ponged_ns)) answered_ns = vsi_monotonic_ns();
    if (is_refused(broker)) return; /* on_error may come late: an application can block its thread */
    if (vsi_monotonic_ns() - answered_ns > ping_ns * (VSI_NATS_PINGS_OUT + 1)) return;
    /* A network may transport the server's data, and nothing to the server. */
    if (vsi_monotonic_ns() - ponged_ns > ping_ns * PONGLESS_PINGS) {
      vsi_log_repeated(broker->host, &broker->complaints, vsi_log_reason("pings"), VESTRY_LOG_WARN,
                       "nats: the server sends data, but has responded to no ping for %d ms; connecting again",
                       (int)(PONGLESS_PINGS * options->ping_ms));
      return;
    }
  }
}

static void pause_ms(vsi_nats_broker *broker, uint64_t ms) {
  uint32_t number = 0;
  (void)broker->host->random(broker->host->ctx, &number, sizeof number);
  uint64_t until_ns = vsi_monotonic_in_ms(ms + number % (ms + 1));
  vsi_mutex_lock(&broker->lock);
  while (!broker->stops && vsi_wait_until(&broker->changed, &broker->lock, until_ns)) continue;
  vsi_mutex_unlock(&broker->lock);
}

/* Request that the receiver's thread reports a change of state. */
static void request_report(vsi_nats_broker *broker, bool *waits) {
  vsi_mutex_lock(&broker->lock);
  *waits = true;
  vsi_mutex_unlock(&broker->lock);
  vsi_nats_receiver_wake(broker);
}

static void wait_until_reported(vsi_nats_broker *broker) {
  vsi_mutex_lock(&broker->lock);
  while ((broker->up_waits || broker->down_waits) && !broker->stops) vsi_mutex_wait(&broker->lock, &broker->changed);
  vsi_mutex_unlock(&broker->lock);
}

/* Connect again and again, with pauses that double up to reconnect_max_ms, until the broker stops. A server may end
 * each connection at once. Then an end that is left out of the log takes the line about the next connection with it, so
 * that the last line is true. */
static void live(vsi_nats_broker *broker) {
  bool is_down_silent = false;
  const vestry_nats_options *options = &broker->settings.options;
  for (uint64_t ms = VSI_NATS_RECONNECT_MS; !is_stopping(broker);) {
    if (!come_up(broker)) {
      pause_ms(broker, ms);
      ms = ms * 2 < options->reconnect_max_ms ? ms * 2 : options->reconnect_max_ms;
      continue;
    }
    ms = VSI_NATS_RECONNECT_MS;
    if (atomic_load(&broker->has_complained) || !is_down_silent) vsi_log(broker->host, VESTRY_LOG_INFO, "nats: up");
    atomic_store(&broker->has_complained, false);
    request_report(broker, &broker->up_waits);
    serve(broker);
    disconnect(broker);
    request_report(broker, &broker->down_waits);
    if (is_stopping(broker)) break;
    is_down_silent = !vsi_log_repeated(broker->host, &broker->states, DOWN, VESTRY_LOG_WARN, "nats: down");
    wait_until_reported(broker);
    pause_ms(broker, 1); /* so that not all nodes reconnect at the same time */
  }
}

void *vsi_nats_link_run(void *argument) {
  live(argument);
  nats_ReleaseThreadMemory();
  return NULL;
}
