/* One thread speaks to libnats; all others leave what they have in the outbox. So no other thread waits for a socket
 * that is full, or for libnats's lock while it is, and there is one order of subscribing and publishing.
 *
 * A connection is made, used and thrown away; nothing of one lives in the next. Up is said when the server has answered
 * after all subscriptions. Down is said as soon as the connection is known to have ended: by a write that failed, or by
 * libnats, whose reader and whose pings notice. What waits then is dropped: it was never to arrive late.
 *
 * libnats calls back for a subscription until it has said that it is complete, and for a connection until it has said
 * that it is closed. Until then each has a reference to what it is called back with. The next connection waits for
 * both, so that no message of the last one comes among those of the next; if libnats does not say so within some
 * seconds (without memory it cannot), it goes on, and what the reference holds is not freed. */
#include "nats/link.h"

#include <stdio.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/wait.h"
#include "nats/broker.h"

enum { LAST_WORDS_MS = 1000, COMPLAINTS_MAX = 8, LINE_MAX_BYTES = 256 };

/* One connection, as its callbacks see it. */
typedef struct wire {
  vsi_nats_broker *broker; /* a reference */
  /* guarded by the broker's lock */
  unsigned refs; /* the link's thread's, and on_closed's */
  bool is_over, is_closed;

  unsigned complaints_count; /* of on_error's thread */
} wire;

/* What the thread has in hand. */
typedef struct link {
  vsi_nats_broker *broker;
  natsConnection *connection;
  wire *wire;
  vsi_ring standing; /* interests that are subscribed to */
  size_t *order;     /* of servers */
  bool has_complained;
} link;

/* ---- callbacks --------------------------------------------------------------------------------------------------- */

static void wire_unref_locked(wire *w) {
  if (--w->refs) return;
  vsi_nats_broker_unref_locked(w->broker);
  vsi_free(w->broker->host, w);
}

static void set_down_locked(vsi_nats_broker *broker) {
  atomic_store_explicit(&broker->is_up, false, memory_order_release);
}

/* In libnats's thread for such: exactly once for a connection that was made. */
static void on_closed(natsConnection *connection, void *ctx) {
  (void)connection;
  wire *w = ctx;
  vsi_nats_broker *broker = w->broker;
  pthread_mutex_lock(&broker->lock);
  w->is_over = w->is_closed = true;
  set_down_locked(broker);
  pthread_cond_broadcast(&broker->changed);
  wire_unref_locked(w);
  pthread_mutex_unlock(&broker->lock);
}

/* There too. */
static void on_error(natsConnection *connection, natsSubscription *sub, natsStatus status, void *ctx) {
  (void)connection, (void)sub;
  wire *w = ctx;
  char line[LINE_MAX_BYTES];
  if (status == NATS_SLOW_CONSUMER) {
    atomic_store(&w->broker->libnats_dropped, true);
    vsi_nats_inbox_lose(&w->broker->inbox);
  }
  if (w->complaints_count++ >= COMPLAINTS_MAX) return;
  snprintf(line, sizeof line, "nats: the server or libnats complains: %s", natsStatus_GetText(status));
  vsi_log_line(w->broker->host, VESTRY_LOG_WARN, line);
}

/* libnats has dropped something, because an application's handler held up its thread: of which subscription, and where,
 * it does not say. It drops what comes when a subscription's list is full, so the gap is in the list, or at its end: it
 * is told before the list and after it. True: after this message. */
static bool look_for_gap(vsi_nats_broker *broker, vsi_nats_interest *interest, natsSubscription *sub) {
  int64_t dropped;
  int left;
  if (natsSubscription_GetDropped(sub, &dropped)) return false;
  if (atomic_exchange_explicit(&interest->dropped_count, dropped, memory_order_relaxed) != dropped) {
    vsi_nats_inbox_lose(&broker->inbox);
    if (natsSubscription_GetPending(sub, &left, NULL)) left = 0;
    interest->doubtful_count = left + 1;
  }
  return interest->doubtful_count && --interest->doubtful_count == 0;
}

/* In libnats's thread that delivers, of which there may be several; one for a subscription. */
static void on_message(natsConnection *connection, natsSubscription *sub, natsMsg *message, void *ctx) {
  (void)connection;
  vsi_nats_interest *interest = ctx;
  vsi_nats_broker *broker = interest->broker;
  bool is_gap =
      atomic_load_explicit(&broker->libnats_dropped, memory_order_relaxed) && look_for_gap(broker, interest, sub);
  vsi_nats_inbox_put(&broker->inbox, interest, message);
  if (is_gap) vsi_nats_inbox_lose(&broker->inbox);
}

/* There too: no message of this subscription comes any more. */
static void on_complete(void *ctx) {
  vsi_nats_interest *interest = ctx;
  vsi_nats_broker *broker = interest->broker;
  pthread_mutex_lock(&broker->lock);
  broker->subs_alive--;
  vsi_nats_interest_unref(interest);
  vsi_nats_broker_unref_locked(broker);
  pthread_mutex_unlock(&broker->lock);
}

/* ---- interests --------------------------------------------------------------------------------------------------- */

static natsStatus stand(link *l, vsi_nats_interest *interest) {
  vsi_nats_broker *broker = l->broker;
  atomic_store(&interest->dropped_count, 0);
  interest->doubtful_count = 0;
  pthread_mutex_lock(&broker->lock);
  vsi_nats_interest_ref(interest);
  broker->refs++;
  broker->subs_alive++;
  pthread_mutex_unlock(&broker->lock);
  natsStatus s = natsConnection_Subscribe(&interest->sub, l->connection, interest->subject, on_message, interest);
  if (s) {
    interest->sub = NULL;
    on_complete(interest);
    return s;
  }
  vsi_ring_add_last(&l->standing, &interest->standing);
  s = natsSubscription_SetOnCompleteCB(interest->sub, on_complete, interest);
  if (s) { /* closed already, so on_complete does not come; but on_message may run just now: the references stay */
    pthread_mutex_lock(&broker->lock);
    broker->subs_alive--;
    pthread_mutex_unlock(&broker->lock);
  }
  return s;
}

static void fall(vsi_nats_interest *interest) {
  vsi_ring_remove(&interest->standing);
  natsSubscription_Destroy(interest->sub); /* unsubscribes, if there is a connection */
  interest->sub = NULL;
}

/* An interest is out of the outbox. If it is not wanted, and not subscribed to, it is out of the table too. */
static bool take_out(link *l, vsi_nats_interest *interest) {
  vsi_nats_broker *broker = l->broker;
  pthread_mutex_lock(&broker->lock);
  interest->is_queued = false;
  bool is_wanted = atomic_load_explicit(&interest->wanted, memory_order_relaxed);
  if (!is_wanted && !interest->sub) vsi_nats_interests_remove(&broker->interests, interest);
  pthread_mutex_unlock(&broker->lock);
  return is_wanted;
}

/* An interest that is not subscribed to any more is out of the table, unless it is wanted, or comes again. */
static void let_go(link *l, vsi_nats_interest *interest) {
  vsi_nats_broker *broker = l->broker;
  fall(interest);
  pthread_mutex_lock(&broker->lock);
  if (!interest->is_queued && !atomic_load_explicit(&interest->wanted, memory_order_relaxed))
    vsi_nats_interests_remove(&broker->interests, interest);
  pthread_mutex_unlock(&broker->lock);
}

/* An interest that was in the outbox: make it as it is to be. */
static natsStatus see_to(link *l, vsi_nats_interest *interest) {
  vsi_nats_interest_ref(interest);
  bool is_wanted = take_out(l, interest);
  natsStatus s = NATS_OK;
  if (is_wanted && !interest->sub) s = stand(l, interest);
  if (!is_wanted && interest->sub) let_go(l, interest);
  vsi_nats_interest_unref(interest);
  return s;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static natsStatus write_letter(link *l, vsi_nats_letter *letter) {
  return natsConnection_Publish(l->connection, letter->subject, letter->data, (int)letter->len);
}

/* A letter is done with. */
static void settle(link *l, vsi_nats_letter *letter, bool is_written) {
  vsi_nats_broker *broker = l->broker;
  pthread_mutex_lock(&broker->lock);
  broker->outbox.bytes -= vsi_nats_letter_bytes(letter->len);
  *(is_written ? &broker->written_count : &broker->discarded_count) += 1;
  pthread_mutex_unlock(&broker->lock);
  vsi_free(broker->host, letter);
}

/* All of a list, until something fails or the time is up: what is after that is dropped. until_ns 0: no limit. */
static natsStatus perform(link *l, vsi_nats_item *first, uint64_t until_ns) {
  natsStatus s = NATS_OK;
  for (vsi_nats_item *item = first, *next; item; item = next) {
    next = item->next;
    if (!s && until_ns && vsi_monotonic_ns() > until_ns) s = NATS_TIMEOUT;
    if (item->is_interest) {
      if (s)
        (void)take_out(l, (vsi_nats_interest *)item);
      else
        s = see_to(l, (vsi_nats_interest *)item);
      continue;
    }
    vsi_nats_letter *letter = (vsi_nats_letter *)item;
    natsStatus failed = s ? s : write_letter(l, letter);
    settle(l, letter, !failed);
    /* A server whose limit has shrunk, or no memory for one message: it alone is lost. */
    if (!s && failed != NATS_MAX_PAYLOAD && failed != NATS_NO_MEMORY) s = failed;
  }
  return s;
}

/* ---- coming up --------------------------------------------------------------------------------------------------- */

static void complain(link *l, natsStatus status) {
  char line[LINE_MAX_BYTES];
  if (l->has_complained) return;
  l->has_complained = true;
  snprintf(line, sizeof line, "nats: no connection to any of %zu servers: %s; trying on",
           l->broker->settings.options.servers_count, natsStatus_GetText(status));
  vsi_log_line(l->broker->host, VESTRY_LOG_WARN, line);
}

static natsStatus connect_to(link *l, size_t server) {
  vsi_nats_broker *broker = l->broker;
  natsOptions *options = broker->settings.nats;
  wire *w = vsi_calloc(broker->host, 1, sizeof *w);
  if (!w) return NATS_NO_MEMORY;
  pthread_mutex_lock(&broker->lock);
  w->broker = broker;
  w->refs = 2;
  broker->refs++;
  pthread_mutex_unlock(&broker->lock);
  natsStatus s = vsi_nats_settings_choose(&broker->settings, server);
  if (!s) s = natsOptions_SetClosedCB(options, on_closed, w);
  if (!s) s = natsOptions_SetErrorHandler(options, on_error, w);
  if (!s) s = natsConnection_Connect(&l->connection, options);
  if (s) { /* on_closed does not come */
    l->connection = NULL;
    pthread_mutex_lock(&broker->lock);
    w->refs = 1;
    wire_unref_locked(w);
    pthread_mutex_unlock(&broker->lock);
    return s;
  }
  l->wire = w;
  vsi_nats_inbox_listen(&broker->inbox);
  return s;
}

static void queue_if_wanted(vsi_nats_interest *interest, void *ctx) {
  vsi_nats_broker_queue_locked(ctx, interest);
}

/* All subscriptions, and the server's answer after them; again, until no interest has changed meanwhile. */
static natsStatus subscribe_all(link *l) {
  vsi_nats_broker *broker = l->broker;
  pthread_mutex_lock(&broker->lock);
  vsi_nats_interests_each(&broker->interests, queue_if_wanted, broker);
  pthread_mutex_unlock(&broker->lock);
  size_t max_payload = (size_t)natsConnection_GetMaxPayload(l->connection);
  for (;;) {
    pthread_mutex_lock(&broker->lock);
    vsi_nats_item *some = vsi_nats_outbox_take(&broker->outbox);
    bool is_over = l->wire->is_over || broker->stops;
    if (!some && !is_over) {
      broker->connections_count++;
      atomic_store(&broker->max_payload, max_payload);
      /* release pairs with the acquire of a publisher */
      atomic_store_explicit(&broker->is_up, true, memory_order_release);
    }
    pthread_mutex_unlock(&broker->lock);
    if (!some) return is_over ? NATS_CONNECTION_CLOSED : NATS_OK;
    natsStatus s = perform(l, some, 0);
    if (!s) s = natsConnection_FlushTimeout(l->connection, (int64_t)broker->settings.options.connect_ms);
    if (s) return s;
  }
}

static bool is_stopping(vsi_nats_broker *broker) {
  pthread_mutex_lock(&broker->lock);
  bool stops = broker->stops;
  pthread_mutex_unlock(&broker->lock);
  return stops;
}

static void shuffle(link *l) {
  size_t count = l->broker->settings.options.servers_count;
  for (size_t i = count; i > 1; i--) {
    uint32_t number = 0;
    (void)l->broker->host->random(l->broker->host->ctx, &number, sizeof number); /* without: the order stays */
    size_t other = number % i, swapped = l->order[i - 1];
    l->order[i - 1] = l->order[other];
    l->order[other] = swapped;
  }
}

static void disconnect(link *l);

/* One round of attempts. */
static bool come_up(link *l) {
  vsi_nats_broker *broker = l->broker;
  natsStatus s = NATS_NO_SERVER;
  shuffle(l);
  for (size_t i = 0; i < broker->settings.options.servers_count && !is_stopping(broker); i++) {
    pthread_mutex_lock(&broker->lock);
    broker->attempts_count++;
    pthread_mutex_unlock(&broker->lock);
    s = connect_to(l, l->order[i]);
    if (!s) {
      s = subscribe_all(l);
      if (!s) return true;
      disconnect(l);
    }
  }
  complain(l, s);
  return false;
}

/* ---- going down -------------------------------------------------------------------------------------------------- */

static void drop_all(link *l) {
  pthread_mutex_lock(&l->broker->lock);
  vsi_nats_item *all = vsi_nats_outbox_take(&l->broker->outbox);
  pthread_mutex_unlock(&l->broker->lock);
  for (vsi_nats_item *item = all, *next; item; item = next) {
    next = item->next;
    if (item->is_interest)
      (void)take_out(l, (vsi_nats_interest *)item);
    else
      settle(l, (vsi_nats_letter *)item, false);
  }
}

static void wait_complete(link *l) {
  vsi_nats_broker *broker = l->broker;
  uint64_t until_ns = vsi_monotonic_in_ms(VSI_NATS_COMPLETE_MS);
  pthread_mutex_lock(&broker->lock);
  while ((broker->subs_alive || !l->wire->is_closed) && vsi_wait_until(&broker->changed, &broker->lock, until_ns))
    continue;
  pthread_mutex_unlock(&broker->lock);
}

static void disconnect(link *l) {
  vsi_nats_broker *broker = l->broker;
  pthread_mutex_lock(&broker->lock);
  set_down_locked(broker);
  pthread_mutex_unlock(&broker->lock);
  vsi_nats_claims_cut(&broker->claims);
  natsConnection_Close(l->connection);
  vsi_nats_claims_detach(&broker->claims);
  while (!vsi_ring_is_empty(&l->standing))
    let_go(l, (vsi_nats_interest *)((char *)l->standing.next - offsetof(vsi_nats_interest, standing)));
  drop_all(l);
  wait_complete(l);
  natsConnection_Destroy(l->connection);
  l->connection = NULL;
  pthread_mutex_lock(&broker->lock);
  wire_unref_locked(l->wire);
  pthread_mutex_unlock(&broker->lock);
  l->wire = NULL;
  atomic_store(&broker->libnats_dropped, false);
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

/* Write what comes, until the connection ends or the broker stops; then what has been published so far. */
static void serve(link *l) {
  vsi_nats_broker *broker = l->broker;
  for (bool is_over = false; !is_over;) {
    pthread_mutex_lock(&broker->lock);
    while (!broker->outbox.first && !l->wire->is_over && !broker->stops)
      pthread_cond_wait(&broker->changed, &broker->lock);
    bool stops = broker->stops;
    is_over = l->wire->is_over || stops;
    if (stops) set_down_locked(broker); /* from here on publish fails, so this is the last of it */
    vsi_nats_item *some = l->wire->is_over ? NULL : vsi_nats_outbox_take(&broker->outbox);
    pthread_mutex_unlock(&broker->lock);
    uint64_t until_ns = stops ? vsi_monotonic_in_ms(LAST_WORDS_MS) : 0;
    if (some && perform(l, some, until_ns)) return;
    /* A socket that is closed while something unread is in it takes back what it has sent. */
    if (stops) (void)natsConnection_FlushTimeout(l->connection, LAST_WORDS_MS);
  }
}

static void pause_ms(vsi_nats_broker *broker, uint64_t ms) {
  uint32_t number = 0;
  (void)broker->host->random(broker->host->ctx, &number, sizeof number);
  uint64_t until_ns = vsi_monotonic_in_ms(ms + number % (ms + 1));
  pthread_mutex_lock(&broker->lock);
  while (!broker->stops && vsi_wait_until(&broker->changed, &broker->lock, until_ns)) continue;
  pthread_mutex_unlock(&broker->lock);
}

static void live(link *l) {
  vsi_nats_broker *broker = l->broker;
  const vestry_nats_options *options = &broker->settings.options;
  for (uint64_t ms = options->reconnect_ms; !is_stopping(broker);) {
    if (!come_up(l)) {
      drop_all(l);
      pause_ms(broker, ms);
      ms = ms * 2 < options->reconnect_max_ms ? ms * 2 : options->reconnect_max_ms;
      continue;
    }
    ms = options->reconnect_ms;
    l->has_complained = false;
    vsi_log_line(broker->host, VESTRY_LOG_INFO, "nats: up");
    vsi_nats_claims_attach(&broker->claims, l->connection);
    vsi_nats_inbox_say(&broker->inbox, true);
    serve(l);
    pthread_mutex_lock(&broker->lock);
    set_down_locked(broker);
    pthread_mutex_unlock(&broker->lock);
    vsi_nats_inbox_say(&broker->inbox, false);
    disconnect(l);
    if (is_stopping(broker)) break;
    vsi_log_line(broker->host, VESTRY_LOG_WARN, "nats: down");
    vsi_nats_inbox_wait_told(&broker->inbox);
    pause_ms(broker, 1); /* all nodes come back at once otherwise */
  }
}

void *vsi_nats_link_run(void *argument) {
  vsi_nats_broker *broker = argument;
  link l = {.broker = broker};
  vsi_ring_init(&l.standing);
  size_t count = broker->settings.options.servers_count;
  while (!(l.order = vsi_alloc(broker->host, count * sizeof *l.order)) && !is_stopping(broker))
    pause_ms(broker, broker->settings.options.reconnect_ms);
  for (size_t i = 0; l.order && i < count; i++) l.order[i] = i;
  if (l.order) live(&l);
  drop_all(&l);
  vsi_free(broker->host, l.order);
  nats_ReleaseThreadMemory();
  return NULL;
}
