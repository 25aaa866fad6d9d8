/* SPDX-License-Identifier: MIT */
/* essay: publishing while subscriptions end */
/* The bus consists of topics with their subscriptions. Publishers walk the subscriptions of a topic, while other
 * threads may end them.
 *
 * One lock guards the whole bus. It is never held during a callback, so after a callback a thread must not rely on
 * anything that it read before.
 *
 * States of a subscription:
 *
 *     NEW ──entered its topic──→ LIVE ──ended──→ ENDED ──no call of it is running──→ OVER
 *      └─────────────── refused, or the stream ended first ────────────────────────────↑
 *
 * Publishing.  A publisher's position is a cursor in the topic: the next subscription to call. A thread that unlinks
 *              this subscription moves the cursor to the following one. A topic is not freed while it contains a
 *              cursor. A cursor stops at the subscription that was the newest when publishing began, so that a
 *              subscriber that subscribes again in each call cannot keep a publish running for ever. Publishing copies
 *              and counts nothing beforehand, and so needs no memory.
 * Beginning.   A subscription enters its topic, which is created if there is none, and moves from NEW to LIVE; or it
 *              is refused, and was in no topic. A reply's subscription is created when its stream begins. The handler
 *              only learns whether it would be refused then (vsi_bus_may_subscribe).
 * Ending.      A subscription ends once: under the lock it leaves its topic and moves from LIVE to ENDED. The thread
 *              that does this counts the end. It is the caller of vestry_unsubscribe or vsi_bus_destroy, or the
 *              connection's runner. No call of the subscriber begins afterwards. The subscription counts its calls that
 *              are still running. When none is left, the thread that ended the subscription, or the thread of the last
 *              call, settles it: this thread calls `over`, sets the state to OVER, and wakes waiting threads.
 * Waiting.     A thread inside a callback of any bus never waits for OVER: vestry_unsubscribe then only reads the
 *              state. A connection's runner also runs inside a callback if the callback abandons the connection or
 *              steps a runtime; it does not wait then either. So a thread for which others wait never waits itself, and
 *              no deadlock can arise.
 * Connection.  The close node of a subscription is registered before the subscription enters its topic. Otherwise the
 *              stream could end in between, and the subscription would stay in the topic for ever. If the stream ends
 *              first, its close node finds NEW and sets OVER, and subscribe returns CLOSED without any call. The
 *              runner waits for OVER before it calls the connection's close hooks, so no running call uses data that a
 *              hook frees. Therefore the node remains registered until `over` has returned, even if the subscription
 *              ended in another way: if it ended inside a callback, no thread has waited for its calls yet.
 * Memory.      References are counted under the lock. They belong to the subscription itself (until OVER), its holder
 *              (until vestry_unsubscribe), and the close node (until it is called or cancelled). Each subscription also
 *              holds a reference to the bus, so holders may outlive the bus. */
#include "app/bus/bus.h"

#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/refs.h"
#include "connection/connection.h"

enum { VSI_BUS_NESTING_MAX = 32 }; /* maximum depth of nested callbacks on a thread; beyond it: LIMIT */

/* ---- topics: a hash table by name, guarded by the bus's lock */

/* Topic names may come from users, so the hash is keyed: no user can choose names that all fall into one bucket. The
 * table is bounded, because the number of subscriptions is, and takes eight bytes for each bucket. */

vsi_topic *vsi_topics_find(const vsi_topics *topics, uint64_t hash, const void *bytes, size_t len) {
  for (vsi_map_link *at = vsi_map_first(&topics->map, hash); at; at = vsi_map_further(at)) {
    vsi_topic *topic = (vsi_topic *)at;
    if (topic->len == len && memcmp(topic->bytes, bytes, len) == 0) return topic;
  }
  return NULL;
}

vsi_topic *vsi_topic_create(const vestry_host *host, uint64_t hash, const void *bytes, size_t len) {
  vsi_topic *topic = vsi_alloc(host, sizeof *topic + len);
  if (!topic) return NULL;
  *topic = (vsi_topic){.in = {.hash = hash}, .len = len};
  TAILQ_INIT(&topic->subscriptions);
  memcpy(topic->bytes, bytes, len);
  return topic;
}

#define DEFAULT_SUBSCRIPTIONS ((size_t)100000)

typedef struct vsi_cursor {
  vestry_subscription *at; /* the next to be called */
  struct vsi_cursor *next; /* in its topic */
} vsi_cursor;

struct vestry_subscription {
  vsi_close_node node; /* first: a close node is cast to its subscription */
  vsi_bus *bus;
  vestry_subscriber subscriber;
  /* guarded by the bus's lock */
  enum { NEW, LIVE, ENDED, OVER } state;
  bool settling;
  uint32_t calls, refs;
  uint64_t number;                     /* ascending in the order of subscription */
  vsi_topic *topic;                    /* set when it enters the topic */
  TAILQ_ENTRY(vestry_subscription) at; /* in the topic */
};

struct vsi_bus {
  const vestry_host *host;
  vsi_refs refs;          /* held by the creator and by each subscription */
  vsi_mutex lock;         /* see docs/locking.md */
  pthread_cond_t changed; /* a subscription is over, or a publisher has left */
  /* guarded by lock */
  size_t max_count; /* of subscriptions */
  bool is_bound;    /* max_count was set */
  vsi_topics topics;
  vestry_bus_stats stats; /* except topics_count, which the table knows */
  uint64_t over;          /* subscriptions that are OVER; equals subscribed_count at the end */
  uint32_t publishers, waiters;
  bool closed;
};

/* Depth of nested callbacks of buses on this thread. */
static _Thread_local uint32_t inside;

/* ------------------------------------------------------------------------------------------------ the bus --------- */

vestry_err vsi_bus_create(const vestry_host *host, vsi_bus **ret_bus) {
  vsi_bus *bus = vsi_calloc(host, 1, sizeof *bus);
  if (!bus) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_siphash_key_random(host, &bus->topics.key);
  if (error) {
    vsi_free(host, bus);
    return error;
  }
  bus->host = host;
  bus->max_count = DEFAULT_SUBSCRIPTIONS;
  VSI_REFS_INIT(&bus->refs, 1);
  vsi_mutex_init(&bus->lock, VSI_LOCK_BUS);
  pthread_cond_init(&bus->changed, NULL);
  *ret_bus = bus;
  return VESTRY_OK;
}

bool vsi_bus_bound(vsi_bus *bus, size_t max_subscriptions_count) {
  vsi_mutex_lock(&bus->lock);
  const bool was_bound = bus->is_bound;
  bus->is_bound = true;
  if (!was_bound && max_subscriptions_count) bus->max_count = max_subscriptions_count;
  vsi_mutex_unlock(&bus->lock);
  return !was_bound;
}

static void bus_unref(vsi_bus *bus) {
  if (!VSI_REFS_DROP(&bus->refs)) return;
  vsi_map_finish(&bus->topics.map, bus->host);
  pthread_cond_destroy(&bus->changed);
  vsi_mutex_finish(&bus->lock);
  vsi_free(bus->host, bus);
}

void vsi_bus_close(vsi_bus *bus) {
  vsi_mutex_lock(&bus->lock);
  bus->closed = true;
  vsi_mutex_unlock(&bus->lock);
}

void vsi_bus_stats_get(vsi_bus *bus, vestry_bus_stats *ret_stats) {
  vsi_mutex_lock(&bus->lock);
  vestry_bus_stats stats = bus->stats;
  stats.topics_count = bus->topics.map.count;
  vsi_mutex_unlock(&bus->lock);
  if (ret_stats) *ret_stats = stats;
}

static void wait_locked(vsi_bus *bus) {
  bus->waiters++;
  vsi_mutex_wait(&bus->lock, &bus->changed);
  VSI_ASSERT(bus->waiters > 0);
  bus->waiters--;
}

static void wake_locked(vsi_bus *bus) {
  if (bus->waiters) pthread_cond_broadcast(&bus->changed);
}

/* ------------------------------------------------------------------------------------ a subscription's end -------- */

/* Drop a reference and release the lock. Frees the subscription with its last reference. */
static void unref_and_unlock(vestry_subscription *s) {
  vsi_bus *bus = s->bus;
  bool last = --s->refs == 0;
  vsi_mutex_unlock(&bus->lock);
  if (!last) return;
  vsi_free(bus->host, s);
  bus_unref(bus);
}

/* Remove and free a topic that has no subscription and no cursor. */
static void forget_locked(vsi_bus *bus, vsi_topic *topic) {
  if (!TAILQ_EMPTY(&topic->subscriptions) || topic->cursors) return;
  vsi_map_remove(&bus->topics.map, &topic->in);
  vsi_free(bus->host, topic);
}

/* End a subscription: LIVE → ENDED. */
static void end_locked(vestry_subscription *s, bool by_connection) {
  vsi_bus *bus = s->bus;
  vsi_topic *topic = s->topic;
  for (vsi_cursor *cursor = topic->cursors; cursor; cursor = cursor->next)
    if (cursor->at == s) cursor->at = TAILQ_NEXT(s, at);
  TAILQ_REMOVE(&topic->subscriptions, s, at);
  s->state = ENDED;
  VSI_ASSERT(bus->stats.live_count > 0);
  bus->stats.live_count--;
  bus->stats.ended_count++;
  if (by_connection) bus->stats.ended_by_connection_count++;
  forget_locked(bus, topic);
}

void vsi_bus_call_over(const vestry_subscriber *subscriber) {
  inside++;
  if (subscriber->over) subscriber->over(subscriber->ctx);
  inside--;
}

/* Set a subscription to OVER that no thread calls any more: it is ENDED, or it never entered its topic. Drop its own
 * reference, and that of its close node if the node can still be cancelled. */
static void finish(vestry_subscription *s) {
  vestry_connection *connection = s->subscriber.connection;
  bool taken_back = connection && vsi_connection_cancel_at_close(connection, &s->node);
  vestry_connection_unref(connection);
  vsi_mutex_lock(&s->bus->lock);
  if (taken_back) s->refs--;
  if (s->state == ENDED) {
    s->bus->over++;
    wake_locked(s->bus);
  }
  s->state = OVER;
  unref_and_unlock(s);
}

/* Settle a subscription (ENDED → OVER) if no call of it is running. Releases the lock meanwhile. The caller holds a
 * reference to the bus. It must not use the subscription afterwards, unless it holds a reference to it, too. */
static void settle_locked(vestry_subscription *s) {
  vsi_bus *bus = s->bus;
  if (s->state != ENDED || s->calls || s->settling) return;
  s->settling = true;
  vsi_mutex_unlock(&bus->lock);
  vsi_bus_call_over(&s->subscriber);
  finish(s); /* after `over`, because until then a connection that ends must find the node, and wait for `over` */
  vsi_mutex_lock(&bus->lock);
}

/* End a subscription if it is LIVE, and settle it. The caller holds a reference to it. */
static void end_and_settle_locked(vestry_subscription *s, bool by_connection) {
  if (s->state == LIVE) end_locked(s, by_connection);
  settle_locked(s);
}

/* Wait for OVER, except inside a callback. The caller holds a reference to the subscription. */
static void wait_until_over_locked(vestry_subscription *s) {
  while (!inside && s->state != OVER) wait_locked(s->bus);
}

static void connection_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  (void)connection, (void)cause;
  vestry_subscription *s = (vestry_subscription *)node;
  vsi_mutex_lock(&s->bus->lock);
  if (s->state == NEW) s->state = OVER; /* it has not begun, and will not begin */
  end_and_settle_locked(s, true);
  wait_until_over_locked(s);
  unref_and_unlock(s); /* the node's reference */
}

bool vestry_unsubscribe(vestry_subscription *s) {
  if (!s) return true;
  vsi_mutex_lock(&s->bus->lock);
  end_and_settle_locked(s, false);
  wait_until_over_locked(s);
  bool over = s->state == OVER;
  unref_and_unlock(s); /* the holder's reference */
  return over;
}

/* Return any subscription of the bus; NULL: there is none. The search begins at *bucket, and advances it past buckets
 * without subscriptions. None is added to them, because the bus is closed. */
static vestry_subscription *any_locked(vsi_bus *bus, size_t *bucket) {
  const vsi_map *map = &bus->topics.map;
  for (; map->buckets && *bucket >> map->bits == 0; ++*bucket)
    for (const vsi_map_link *at = map->buckets[*bucket]; at; at = at->next)
      if (!TAILQ_EMPTY(&((const vsi_topic *)at)->subscriptions))
        return TAILQ_FIRST(&((const vsi_topic *)at)->subscriptions);
  return NULL;
}

void vsi_bus_destroy(vsi_bus *bus) {
  if (!bus) return;
  vsi_mutex_lock(&bus->lock);
  bus->closed = true;
  size_t bucket = 0;
  for (vestry_subscription *s; (s = any_locked(bus, &bucket));) {
    s->refs++; /* the lock is released meanwhile */
    end_and_settle_locked(s, false);
    unref_and_unlock(s);
    vsi_mutex_lock(&bus->lock);
  }
  while (bus->over != bus->stats.subscribed_count || bus->publishers) wait_locked(bus);
  vsi_mutex_unlock(&bus->lock);
  bus_unref(bus);
}

/* ------------------------------------------------------------------------------------------- subscribing -------- */

static void append_locked(vsi_bus *bus, vsi_topic *topic, vestry_subscription *s) {
  s->number = ++bus->stats.subscribed_count;
  bus->stats.live_count++;
  TAILQ_INSERT_TAIL(&topic->subscriptions, s, at);
  s->state = LIVE;
}

static vestry_err refusal_locked(vsi_bus *bus) {
  if (bus->closed) return VESTRY_CLOSED;
  if (bus->stats.live_count < bus->max_count) return VESTRY_OK;
  bus->stats.refused_count++;
  return VESTRY_LIMIT;
}

/* Find the topic of a name, or create it. NULL: no memory. */
static vsi_topic *need_topic_locked(vsi_bus *bus, uint64_t hash, vestry_slice name) {
  vsi_map *map = &bus->topics.map;
  vsi_topic *topic = vsi_topics_find(&bus->topics, hash, name.data, name.len);
  if (topic || vsi_map_reserve(map, bus->host, map->count + 1)) return topic;
  topic = vsi_topic_create(bus->host, hash, name.data, name.len);
  if (topic) vsi_map_add(map, &topic->in, hash);
  return topic;
}

/* Enter the topic: NEW → LIVE. The bound is checked in the same section that increments the count, so it is exact.
 * *ret_subscription is set before the first call of the subscriber. */
static vestry_err enter(vestry_subscription *s, vestry_slice name, vestry_subscription **ret_subscription) {
  vsi_bus *bus = s->bus;
  uint64_t hash = vsi_siphash_1_3(bus->topics.key, name.data, name.len);
  vsi_mutex_lock(&bus->lock);
  vestry_err error = s->state == NEW ? refusal_locked(bus) : VESTRY_CLOSED; /* OVER: the stream has ended meanwhile */
  if (!error) s->topic = need_topic_locked(bus, hash, name);
  if (!error && !s->topic) error = VESTRY_NO_MEMORY;
  if (!error && ret_subscription) {
    s->refs++;
    *ret_subscription = s;
  }
  if (!error) append_locked(bus, s->topic, s);
  vsi_mutex_unlock(&bus->lock);
  return error;
}

/* Register the subscription's close node with its connection. CLOSED: the connection has ended. */
static vestry_err bind(vestry_subscription *s) {
  vestry_connection *connection = vestry_connection_ref(s->subscriber.connection);
  s->refs++; /* the close node's reference */
  if (!vsi_connection_at_close(connection, &s->node)) return VESTRY_OK;
  s->refs--; /* safe without the lock: no other thread knows the subscription */
  return VESTRY_CLOSED;
}

vestry_err vsi_bus_subscribe(vsi_bus *bus, vestry_slice name, const vestry_subscriber *subscriber,
                             vestry_subscription **ret_subscription) {
  if (!subscriber || !subscriber->call) return VESTRY_INVALID;
  if (subscriber->connection && !vestry_connection_is_open(subscriber->connection)) return VESTRY_CLOSED;
  vestry_subscription *s = vsi_calloc(bus->host, 1, sizeof *s);
  if (!s) return VESTRY_NO_MEMORY;
  vsi_close_node_init(&s->node, connection_ended);
  s->bus = bus;
  s->subscriber = *subscriber;
  s->state = NEW;
  s->refs = 1; /* the reference of the subscription itself */
  VSI_REFS_TAKE(&bus->refs);
  vestry_err error = s->subscriber.connection ? bind(s) : VESTRY_OK;
  if (!error) error = enter(s, name, ret_subscription);
  if (error) finish(s);
  return error;
}

vestry_err vsi_bus_may_subscribe(vsi_bus *bus) {
  vsi_mutex_lock(&bus->lock);
  vestry_err error = refusal_locked(bus);
  vsi_mutex_unlock(&bus->lock);
  return error;
}

/* -------------------------------------------------------------------------------------------- publishing --------- */

static void leave_topic_locked(vsi_bus *bus, vsi_topic *topic, const vsi_cursor *cursor) {
  vsi_cursor **link = &topic->cursors;
  while (*link != cursor) link = &(*link)->next;
  *link = cursor->next;
  forget_locked(bus, topic);
}

/* Call all subscribers of a topic, and return their number. Releases the lock for each call. */
static size_t call_all_locked(vsi_bus *bus, vsi_topic *topic, vestry_bus_message *message) {
  size_t count = 0;
  uint64_t last = bus->stats.subscribed_count;
  vsi_cursor cursor = {TAILQ_FIRST(&topic->subscriptions), topic->cursors};
  topic->cursors = &cursor;
  inside++;
  for (vestry_subscription *s; (s = cursor.at) && s->number <= last;) {
    cursor.at = TAILQ_NEXT(s, at);
    message->connection = s->subscriber.connection;
    if (message->connection && !vestry_connection_is_open(message->connection)) continue; /* it is ending */
    s->calls++;
    bus->stats.called_count++;
    vsi_mutex_unlock(&bus->lock);
    s->subscriber.call(message, s->subscriber.ctx);
    count++;
    vsi_mutex_lock(&bus->lock);
    VSI_ASSERT(s->calls > 0);
    s->calls--;
    settle_locked(s); /* if it has ended, and no other call is running */
  }
  inside--;
  leave_topic_locked(bus, topic, &cursor);
  return count;
}

vestry_err vsi_bus_publish(vsi_bus *bus, vestry_slice name, vestry_bus_message *message, size_t *ret_count) {
  if (inside >= VSI_BUS_NESTING_MAX) return VESTRY_LIMIT;
  uint64_t hash = vsi_siphash_1_3(bus->topics.key, name.data, name.len);
  size_t count = 0;
  vsi_mutex_lock(&bus->lock);
  bool closed = bus->closed;
  if (!closed) {
    bus->stats.published_count++;
    bus->publishers++; /* keeps the bus alive during the callbacks */
    vsi_topic *found = vsi_topics_find(&bus->topics, hash, name.data, name.len);
    if (found) count = call_all_locked(bus, found, message);
    VSI_ASSERT(bus->publishers > 0);
    bus->publishers--;
    wake_locked(bus);
  }
  vsi_mutex_unlock(&bus->lock);
  if (closed) return VESTRY_CLOSED;
  if (ret_count) *ret_count = count;
  return VESTRY_OK;
}
