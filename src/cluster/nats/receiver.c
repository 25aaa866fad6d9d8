/* SPDX-License-Identifier: MIT */
/* essay: one thread that receives, and any thread that sends */
/* By default libnats reads on one thread and delivers on another. Waking a thread takes longer than all other work for
 * a message. Therefore libnats is configured for an event loop: it reads and writes only when this library calls it,
 * and the broker's thread passes on the received messages itself.
 *
 * A thread holds `io` while it is inside libnats for the socket, because libnats reads into one buffer, and closes a
 * descriptor that another thread may be about to use. The broker's thread waits for `io`. Other threads only try:
 * they put a part into the send queue, and if another thread holds `io`, that thread checks the send queue after it has
 * released `io`. So parts gather while one thread writes, and the next write takes all of them. No part is forgotten,
 * because a part is in the queue before its thread tries `io`, and a thread checks the queue after each release.
 *
 * libnats keeps the bytes that the socket did not accept, and gets no more until the socket has accepted all of them. A
 * write with TLS can wait for the socket, so with TLS only the broker's thread writes. */
#include "cluster/nats/broker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/wait.h"
#include "cluster/nats/send_queue.h"

enum { BATCH_COUNT = 64, PASSED_MOST_BYTES = 65536 };

/* This thread is writing what libnats has for the socket. */
static _Thread_local bool writes;
_Thread_local const vsi_nats_broker *vsi_nats_here;

void vsi_nats_receiver_wake(vsi_nats_broker *broker) {
  if (vsi_nats_here != broker && !atomic_exchange(&broker->is_woken, true)) (void)eventfd_write(broker->wake_fd, 1);
}

/* ---- callbacks of libnats for an event loop ---------------------------------------------------------------------- */

static natsStatus on_attach(void **ret_ctx, void *loop, natsConnection *connection, natsSock socket) {
  (void)connection;
  vsi_nats_broker *broker = *ret_ctx = loop;
  broker->attached = fcntl(socket, F_DUPFD_CLOEXEC, 0);
  return broker->attached < 0 ? NATS_SYS_ERROR : NATS_OK;
}

static natsStatus on_read(void *ctx, bool is_wanted) {
  (void)ctx, (void)is_wanted;
  return NATS_OK;
}

/* libnats has bytes for the socket (is_wanted), or none any more. It holds a lock during the call. */
static natsStatus on_write(void *ctx, bool is_wanted) {
  vsi_nats_broker *broker = ctx;
  atomic_store(&broker->must_write, is_wanted);
  if (is_wanted && !writes) vsi_nats_receiver_wake(broker);
  return NATS_OK;
}

/* The connection has ended. */
static natsStatus on_detach(void *ctx) {
  vsi_nats_broker *broker = ctx;
  vsi_mutex_lock(&broker->lock);
  atomic_store(&broker->is_over, true);
  atomic_store_explicit(&broker->is_up, false, memory_order_release);
  vsi_mutex_unlock(&broker->lock);
  vsi_nats_receiver_wake(broker);
  return NATS_OK;
}

natsStatus vsi_nats_receiver_choose(vsi_nats_broker *broker) {
  return natsOptions_SetEventLoop(broker->settings.nats, broker, on_attach, on_read, on_write, on_detach);
}

/* ---- writing, with io -------------------------------------------------------------------------------------------- */

/* End the connection: a read then finds its end. */
static void end_connection(vsi_nats_broker *broker) {
  if (broker->socket >= 0) (void)shutdown(broker->socket, SHUT_RDWR);
}

/* Give the first parts of a list to libnats, as one message. If libnats rejects it (out of memory, or the server has
 * lowered its maximum), the message is lost, so the connection ends, which reports it. */
static void give(vsi_nats_broker *broker, vsi_nats_parts *parts) {
  const vsi_nats_message message = vsi_nats_parts_join(parts, atomic_load(&broker->max_payload), broker->joined);
  if (!natsConnection_Publish(broker->connection, message.subject, message.data.data, (int)message.data.len)) {
    broker->taken_count += message.count;
    broker->taken_bytes += message.cost;
  } else {
    vsi_mutex_lock(&broker->lock);
    broker->stats.discarded_count += message.count;
    broker->send_queue.bytes -= message.cost;
    vsi_mutex_unlock(&broker->lock);
    end_connection(broker);
  }
  vsi_nats_parts_remove(parts, message.count, broker->host);
}

/* Let libnats write, if it has bytes, because it would take an empty write for the end of the connection. When the
 * socket has accepted all bytes, the parts that libnats had taken count as written. */
static void write_taken(vsi_nats_broker *broker) {
  writes = true;
  if (atomic_load(&broker->must_write)) natsConnection_ProcessWriteEvent(broker->connection);
  writes = false;
  if (!broker->taken_count || atomic_load(&broker->must_write) || atomic_load(&broker->is_over)) return;
  vsi_mutex_lock(&broker->lock);
  broker->stats.written_count += broker->taken_count;
  broker->send_queue.bytes -= broker->taken_bytes;
  vsi_mutex_unlock(&broker->lock);
  broker->taken_count = broker->taken_bytes = 0;
  if (atomic_load(&broker->stops)) vsi_nats_receiver_wake(broker); /* it waits for the last message */
}

static void write_send_queue(vsi_nats_broker *broker) {
  vsi_mutex_lock(&broker->lock);
  vsi_nats_parts slots[VSI_NATS_SEND_QUEUE_SLOTS];
  vsi_nats_send_queue_take(&broker->send_queue, slots);
  vsi_mutex_unlock(&broker->lock);
  writes = true;
  for (size_t i = 0; i < VSI_NATS_SEND_QUEUE_SLOTS; i++)
    while (!STAILQ_EMPTY(&slots[i])) give(broker, &slots[i]);
  write_taken(broker);
}

static bool has_parts(vsi_nats_broker *broker) {
  vsi_mutex_lock(&broker->lock);
  bool has = broker->send_queue.count > 0;
  vsi_mutex_unlock(&broker->lock);
  return has;
}

void vsi_nats_receiver_write(vsi_nats_broker *broker) {
  for (bool may_write = true; may_write && has_parts(broker) && vsi_mutex_try(&broker->io);) {
    may_write = broker->connection && !atomic_load(&broker->is_over) && !atomic_load(&broker->must_write);
    if (may_write) write_send_queue(broker);
    vsi_mutex_unlock(&broker->io);
    if (atomic_load(&broker->must_write)) vsi_nats_receiver_wake(broker); /* it waits until the socket accepts bytes */
  }
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Take received messages, BATCH_COUNT at most, those of each subject in order. Probes and pings are dropped here,
 * because has_more counts only messages that are passed on. With io. */
static size_t collect(vsi_nats_broker *broker, natsMsg *batch[BATCH_COUNT]) {
  size_t count = 0;
  for (size_t i = 0; broker->connection && i < broker->subjects_count; i++) {
    int left = 0;
    const bool is_ping = i + 1 == broker->subjects_count;
    if (!broker->subs[i] || natsSubscription_GetPending(broker->subs[i], &left, NULL)) continue;
    if (is_ping && left) broker->awaited_ns = 0;
    while (left-- > 0 && count < BATCH_COUNT && natsSubscription_NextMsg(&batch[count], broker->subs[i], 0) == NATS_OK)
      if (is_ping ||
          vsi_nats_joined_is_probe(natsMsg_GetData(batch[count]), (size_t)natsMsg_GetDataLength(batch[count])))
        natsMsg_Destroy(batch[count]);
      else
        count++;
  }
  return count;
}

static void pass_part(vsi_nats_broker *broker, const char *subject, vestry_slice part, bool has_more) {
  const vestry_broker_events *events = &broker->events;
  if (atomic_load(&broker->stops)) return;
  atomic_fetch_add_explicit(&broker->received_count, 1, memory_order_relaxed);
  broker->has_more = has_more;
  if (events->on_message) events->on_message(subject, part.data, part.len, events->ctx);
}

void vsi_nats_receiver_give_back(vsi_nats_broker *broker) {
  while (broker->passed_count) natsMsg_Destroy(broker->passed[--broker->passed_count]);
  broker->passed_bytes = 0;
}

/* Keep a message that was passed on, and return several to libnats at a time. libnats frees messages on a thread that
 * it wakes when one is returned. Waking it for each message would take longer than all other work for the message. */
static void keep_passed(vsi_nats_broker *broker, natsMsg *message) {
  broker->passed[broker->passed_count++] = message;
  broker->passed_bytes += (size_t)natsMsg_GetDataLength(message);
  if (broker->passed_count == VSI_NATS_PASSED_MOST || broker->passed_bytes > PASSED_MOST_BYTES)
    vsi_nats_receiver_give_back(broker);
}

/* Pass on the parts of a message. */
static void pass_message(vsi_nats_broker *broker, natsMsg *message, bool has_more) {
  const char *subject = natsMsg_GetSubject(message);
  const vestry_slice whole = {natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message)};
  vsi_nats_joined joined;
  if (!vsi_nats_joined_open(whole.data, whole.len, &joined)) {
    pass_part(broker, subject, whole, has_more);
  } else {
    while (joined.count) {
      vestry_slice part = vsi_nats_joined_next(&joined);
      pass_part(broker, subject, part, has_more || joined.count);
    }
  }
  keep_passed(broker, message);
}

bool vsi_nats_receiver_take_max(vsi_nats_broker *broker) {
  int64_t max_payload = natsConnection_GetMaxPayload(broker->connection);
  if (max_payload <= 0 || (size_t)max_payload == atomic_load(&broker->max_payload)) return false;
  atomic_store(&broker->max_payload, (size_t)max_payload);
  return true;
}

/* Read what has arrived. With io. Returns whether the server has changed its maximum of a message. */
static bool read_socket(vsi_nats_broker *broker) {
  natsConnection_ProcessReadEvent(broker->connection);
  return vsi_nats_receiver_take_max(broker) && atomic_load(&broker->is_up);
}

/* Read and write as far as the socket is ready, and pass on the received messages. The time that this takes is not
 * that of the server: its responses wait in the socket meanwhile. */
static void serve_socket(vsi_nats_broker *broker, short ready) {
  natsMsg *batch[BATCH_COUNT];
  const bool reads = ready & ~POLLOUT;
  size_t count;
  do {
    vsi_mutex_lock(&broker->io);
    if (broker->connection && ready & POLLOUT) write_taken(broker);
    bool has_new_max = broker->connection && ready & ~POLLOUT && read_socket(broker);
    count = collect(broker, batch);
    vsi_mutex_unlock(&broker->io);
    if (has_new_max)
      vsi_log_repeated(broker->host, &broker->complaints, vsi_log_reason("max_payload"), VESTRY_LOG_INFO,
                       "nats: max_payload of the server is %zu bytes now", atomic_load(&broker->max_payload));
    vsi_nats_receiver_write(broker);
    const uint64_t since_ns = vsi_monotonic_ns();
    for (size_t i = 0; i < count; i++) pass_message(broker, batch[i], i + 1 < count);
    const uint64_t now_ns = vsi_monotonic_ns();
    if (reads || count) broker->heard_ns = now_ns;
    if (broker->awaited_ns) broker->awaited_ns += now_ns - since_ns;
    ready = 0;
  } while (count == BATCH_COUNT);
}

/* ---- thread ------------------------------------------------------------------------------------------------------ */

/* Wait, and return the events of the socket; 0: the thread was woken, or the time has come. */
static short wait_ready(vsi_nats_broker *broker, uint64_t until_ns) {
  const int socket = atomic_load(&broker->is_over) ? -1 : broker->socket;
  struct pollfd all[] = {{.fd = broker->wake_fd, .events = POLLIN},
                         {.fd = socket, .events = (short)(broker->stuck_ns ? POLLIN | POLLOUT : POLLIN)}};
  const uint64_t now_ns = vsi_monotonic_ns();
  if (poll(all, 2, until_ns > now_ns ? (int)((until_ns - now_ns) / VSI_NS_PER_MS) + 1 : 0) < 0) return 0;
  if (all[0].revents) {
    eventfd_t count;
    (void)eventfd_read(broker->wake_fd, &count);
    atomic_store(&broker->is_woken, false);
  }
  return all[1].revents;
}

bool vsi_nats_receiver_step(vsi_nats_broker *broker, uint64_t until_ns) {
  vsi_nats_receiver_write(broker);
  if (vsi_monotonic_ns() >= until_ns) return false;
  if (!atomic_load(&broker->must_write) || broker->socket < 0)
    broker->stuck_ns = 0;
  else if (!broker->stuck_ns)
    broker->stuck_ns = vsi_monotonic_in_ms(broker->settings.options.write_ms);
  const bool is_stuck_first = broker->stuck_ns && broker->stuck_ns < until_ns;
  const short ready = wait_ready(broker, is_stuck_first ? broker->stuck_ns : until_ns);
  if (broker->stuck_ns && !(ready & POLLOUT) && vsi_monotonic_ns() > broker->stuck_ns) {
    vsi_mutex_lock(&broker->io);
    end_connection(broker);
    vsi_mutex_unlock(&broker->io);
  }
  if (ready & POLLOUT) broker->stuck_ns = 0;
  if (ready) serve_socket(broker, ready);
  return true;
}
