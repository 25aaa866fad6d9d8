/* SPDX-License-Identifier: MIT */
/* essay: connections to NATS that leave no state behind */
/* The broker's thread. It makes a connection, serves it until it ends, and begins again.
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
 * Pings are messages to a subject that only this broker has, because libnats's own pings block a thread until another
 * one reads the response. The server passes a ping on after all that it has read before: the response to the first one
 * follows any refusal of a subscription, and the response to the last one the last message. Data that the server sent
 * before can delay a response, so the server also counts as alive if anything was read.
 *
 * Until libnats has reported that a connection is closed, it calls back, and holds a reference to the broker. The next
 * connection waits for that report. If it does not arrive within COMPLETE_MS (libnats cannot send it without memory),
 * the thread continues; the broker's memory is freed only after the report. */

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/wait.h"
#include "cluster/nats/broker.h"

enum { LAST_MESSAGES_MS = 1000, COMPLETE_MS = 5000, SILENT_PINGS = 2, PONGLESS_PINGS = 10, DOWN = 1, UNREACHABLE };

/* ---- callbacks --------------------------------------------------------------------------------------------------- */

/* Called on a thread of libnats, exactly once for each connection that was made. */
static void on_closed(natsConnection *connection, void *ctx) {
  (void)connection;
  vsi_nats_broker *broker = ctx;
  vsi_mutex_lock(&broker->lock);
  atomic_store(&broker->is_closed, true);
  broker->refs--;
  vsi_nats_receiver_wake(broker); /* under the lock, because the broker may be freed afterwards */
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
  vsi_mutex_unlock(&broker->lock);
  atomic_store(&broker->is_refused, true);
  vsi_nats_receiver_wake(broker);
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
  atomic_store(&broker->is_over, false);
  vsi_mutex_unlock(&broker->lock);
  atomic_store(&broker->is_closed, false);
  atomic_store(&broker->is_refused, false);
  atomic_store(&broker->must_write, false);
  broker->attached = -1;
  broker->awaited_ns = 0;
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
  return s;
}

static natsStatus subscribe(vsi_nats_broker *broker, size_t number) {
  natsSubscription **sub = &broker->subs[number];
  natsStatus s = natsConnection_SubscribeSync(sub, broker->connection, broker->subjects[number]);
  return s ? s : natsSubscription_SetPendingLimits(*sub, -1, -1); /* messages are taken as soon as they are read */
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

/* Request a response of the server. */
static void ping(vsi_nats_broker *broker) {
  broker->pinged_ns = vsi_monotonic_ns();
  if (!broker->awaited_ns) broker->awaited_ns = broker->heard_ns = broker->pinged_ns;
  vsi_mutex_lock(&broker->io);
  (void)natsConnection_Publish(broker->connection, broker->subjects[broker->subjects_count - 1], NULL, 0);
  vsi_mutex_unlock(&broker->io);
}

/* Wait for a response. false: there was none. */
static bool await_response(vsi_nats_broker *broker, uint64_t until_ns) {
  while (broker->awaited_ns && !atomic_load(&broker->is_over) && !atomic_load(&broker->is_refused) &&
         vsi_nats_receiver_step(broker, until_ns))
    continue;
  return !broker->awaited_ns;
}

/* Subscribe to all subjects, and wait for the server's response after them. */
static natsStatus subscribe_all(vsi_nats_broker *broker) {
  natsStatus s = NATS_OK;
  for (size_t i = 0; !s && i < broker->subjects_count; i++) s = subscribe(broker, i);
  if (!s) s = probe(broker);
  if (s) return s;
  ping(broker);
  const bool has_responded = await_response(broker, vsi_monotonic_in_ms(VSI_NATS_CONNECT_MS));
  if (is_refused(broker)) return NATS_NOT_PERMITTED;
  if (!has_responded) return NATS_TIMEOUT;
  vsi_mutex_lock(&broker->io);
  (void)vsi_nats_receiver_take_max(broker);
  vsi_mutex_unlock(&broker->io);
  vsi_mutex_lock(&broker->lock);
  const bool is_over = atomic_load(&broker->is_over);
  if (!is_over) {
    *broker->refused = '\0';
    broker->stats.connections_count++;
    /* release pairs with the acquire of state */
    atomic_store_explicit(&broker->is_up, true, memory_order_release);
  }
  vsi_mutex_unlock(&broker->lock);
  return is_over ? NATS_CONNECTION_CLOSED : NATS_OK;
}

/* ---- disconnecting ----------------------------------------------------------------------------------------------- */

/* Close the connection, and drop its messages. Afterwards no thread is inside libnats for its socket. */
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
  broker->stats.discarded_count += broker->taken_count + vsi_nats_send_queue_drop(&broker->send_queue);
  broker->send_queue.bytes -= broker->taken_bytes;
  vsi_mutex_unlock(&broker->lock);
  broker->taken_count = broker->taken_bytes = 0;
  vsi_mutex_unlock(&broker->io);
}

/* End the connection, and wait until libnats has reported that it is closed. */
static void disconnect(vsi_nats_broker *broker) {
  natsConnection *connection = broker->connection;
  vsi_mutex_lock(&broker->lock);
  atomic_store_explicit(&broker->is_up, false, memory_order_release);
  vsi_mutex_unlock(&broker->lock);
  close_connection(broker);
  const uint64_t until_ns = vsi_monotonic_in_ms(COMPLETE_MS);
  while (!atomic_load(&broker->is_closed) && vsi_nats_receiver_step(broker, until_ns)) continue;
  natsConnection_Destroy(connection);
}

/* Try all servers once, beginning with any. */
static bool come_up(vsi_nats_broker *broker) {
  natsStatus s = NATS_NO_SERVER;
  const size_t count = broker->settings.options.servers_count;
  uint32_t first = 0;
  (void)broker->host->random(broker->host->ctx, &first, sizeof first);
  for (size_t i = 0; i < count && !atomic_load(&broker->stops); i++) {
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

static bool has_unwritten(vsi_nats_broker *broker) {
  vsi_mutex_lock(&broker->lock);
  const bool has = broker->send_queue.bytes > 0;
  vsi_mutex_unlock(&broker->lock);
  return has;
}

/* Wait until the send queue is written. Publish fails from now on, so no message is added. */
static void write_last_messages(vsi_nats_broker *broker) {
  const uint64_t until_ns = vsi_monotonic_in_ms(LAST_MESSAGES_MS);
  vsi_mutex_lock(&broker->lock);
  atomic_store_explicit(&broker->is_up, false, memory_order_release);
  vsi_mutex_unlock(&broker->lock);
  while ((broker->awaited_ns || has_unwritten(broker)) && !atomic_load(&broker->is_over) &&
         vsi_nats_receiver_step(broker, until_ns))
    continue;
  /* Closing a socket with unread data resets the connection, so that the peer may lose data that was sent before. */
  ping(broker);
  (void)await_response(broker, until_ns);
}

/* Ping the server if it is time, and return whether it still counts as alive. */
static bool is_there(vsi_nats_broker *broker, uint64_t ping_ns) {
  const uint64_t now_ns = vsi_monotonic_ns();
  if (broker->awaited_ns && now_ns - broker->heard_ns >= ping_ns * SILENT_PINGS) return false;
  /* A network may transport the server's data, and nothing to the server. */
  if (broker->awaited_ns && now_ns - broker->awaited_ns > ping_ns * PONGLESS_PINGS) {
    vsi_log_repeated(broker->host, &broker->complaints, vsi_log_reason("pings"), VESTRY_LOG_WARN,
                     "nats: the server sends data, but has responded to no ping for %d ms; connecting again",
                     (int)(ping_ns * PONGLESS_PINGS / VSI_NS_PER_MS));
    return false;
  }
  if (now_ns - broker->pinged_ns < ping_ns) return true;
  ping(broker);
  return !is_refused(broker); /* on_error may come late: an application can block its thread */
}

/* Serve the connection until it ends, the server refuses something, or the broker stops. */
static void serve(vsi_nats_broker *broker) {
  const uint64_t ping_ns = broker->settings.options.ping_ms * VSI_NS_PER_MS;
  while (!atomic_load(&broker->is_over) && !atomic_load(&broker->is_refused) && !atomic_load(&broker->stops) &&
         is_there(broker, ping_ns))
    (void)vsi_nats_receiver_step(broker, broker->pinged_ns + ping_ns);
  if (atomic_load(&broker->stops)) write_last_messages(broker);
}

static void pause_ms(vsi_nats_broker *broker, uint64_t ms) {
  uint32_t number = 0;
  (void)broker->host->random(broker->host->ctx, &number, sizeof number);
  const uint64_t until_ns = vsi_monotonic_in_ms(ms + number % (ms + 1));
  while (!atomic_load(&broker->stops) && vsi_nats_receiver_step(broker, until_ns)) continue;
}

static void report(vsi_nats_broker *broker, vestry_broker_state state) {
  if (broker->events.on_state && !atomic_load(&broker->stops)) broker->events.on_state(state, broker->events.ctx);
}

/* Connect again and again, with pauses that double up to reconnect_max_ms, until the broker stops. A server may end
 * each connection at once. Then an end that is left out of the log takes the line about the next connection with it, so
 * that the last line is true. */
static void live(vsi_nats_broker *broker) {
  bool is_down_silent = false;
  const vestry_nats_options *options = &broker->settings.options;
  for (uint64_t ms = VSI_NATS_RECONNECT_MS; !atomic_load(&broker->stops);) {
    if (!come_up(broker)) {
      pause_ms(broker, ms);
      ms = ms * 2 < options->reconnect_max_ms ? ms * 2 : options->reconnect_max_ms;
      continue;
    }
    ms = VSI_NATS_RECONNECT_MS;
    if (atomic_load(&broker->has_complained) || !is_down_silent) vsi_log(broker->host, VESTRY_LOG_INFO, "nats: up");
    atomic_store(&broker->has_complained, false);
    report(broker, VESTRY_BROKER_UP);
    serve(broker);
    disconnect(broker);
    report(broker, VESTRY_BROKER_DOWN);
    if (atomic_load(&broker->stops)) break;
    is_down_silent = !vsi_log_repeated(broker->host, &broker->states, DOWN, VESTRY_LOG_WARN, "nats: down");
    pause_ms(broker, 1); /* so that not all nodes reconnect at the same time */
  }
}

void *vsi_nats_link_run(void *argument) {
  vsi_nats_here = argument;
  live(argument);
  vsi_nats_receiver_give_back(argument);
  nats_ReleaseThreadMemory();
  return NULL;
}
