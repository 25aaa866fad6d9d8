/* SPDX-License-Identifier: MIT */
/* essay: publishers, and subscriptions that end under them */
/* The bus: subscriptions in their topics, publishers that walk along them, and ends that come from three sides.
 *
 * One lock guards all of it, and no thread holds it while it calls anything. So whatever a thread knew before a call
 * may be different after it:
 *
 * Publishing.  A publisher's place is a cursor in its topic: the subscription that comes next. The thread that unlinks
 *              that subscription moves the cursor on; the topic stays as long as a cursor is in it. A cursor stops at
 *              the subscription that was the last one when it began, so subscribers that come meanwhile make no publish
 *              endless. Nothing is copied and nothing counted beforehand: publish needs no memory.
 * Beginning.   A subscription is made, and a place in its topic is kept for it. When it is put there it goes from MADE
 *              to LIVE: that needs no memory, so it can happen later, when a stream begins. A topic stays while a place
 *              in it is kept, and kept places count among max_subscriptions_count.
 * Ending.      A subscription ends once: under the lock it goes from LIVE to ENDED, and out of its topic. The thread
 *              that does so (one that unsubscribes, the connection's runner, the bus's end) counts the end. From then
 *              on no call of the subscription begins. It counts its calls that still run; when there are none, one
 *              thread settles it, that is, calls `over`: the thread that ended it, or the thread of the last call. Then
 *              it is OVER, and waiting threads are woken.
 * Waiting.     A thread that waits for OVER is never inside a callback of any bus: there, unsubscribe looks and does
 *              not wait, and neither does the runner, if it runs inside a callback (an abandoned connection; a runtime
 *              that is stepped). So the threads that are waited for never wait themselves: no circle can form.
 * With a       The subscription's close node is let in before the subscription is in its topic: otherwise a stream
 * connection.  could end in between, and leave the subscription there for ever. If the stream ends first, its end finds
 *              MADE and makes it OVER, and subscribe returns CLOSED: no call has been made. The runner waits for OVER
 *              before it goes on to the connection's hooks, so no call uses any more what a hook frees. Therefore the
 *              node stays in until `over` has returned, even if the subscription ended otherwise: inside of a callback
 *              it may have ended while no thread waited for its calls.
 * Memory.      References, counted under the lock: of its life (until OVER), its holder (until unsubscribed), and the
 *              close node (until called or taken back). Each subscription holds the bus, so holders may outlive it. */
#include "app/bus/bus.h"

#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/options.h"
#include "base/refs.h"
#include "connection/connection.h"

/* As vestry_publish, but OK without subscribers. name: of the topic; message: but for its connection, which is set for
 * each call. */
enum { VSI_BUS_NESTING_MAX = 32 }; /* callbacks that this thread is inside of: then LIMIT */

/* A bus's topics by their bytes: a hash table whose look-ups cost the same however many there are. Guarded by the bus's
 * lock; allocates nothing itself, so that nothing is allocated under that lock. */

/* Topics can be named by users, so the hash is keyed: no user can choose names that meet in one chain. The map is
 * bounded by the number of subscriptions, at eight bytes each. */

vestry_err vsi_topics_init(vsi_topics *topics, const vestry_host *host) {
  *topics = (vsi_topics){.map = {NULL, 0, 0}};
  return vsi_siphash_key_random(host, &topics->key) ? VESTRY_IO : VESTRY_OK;
}

void vsi_topics_finish(vsi_topics *topics, const vestry_host *host) {
  vsi_map_finish(&topics->map, host);
}

uint64_t vsi_topics_hash(const vsi_topics *topics, const void *bytes, size_t len) {
  return vsi_siphash_1_3(topics->key, bytes, len);
}

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
  vsi_close_node node; /* first: a close node is its subscription */
  vsi_bus *bus;
  vestry_subscriber subscriber;
  /* guarded by the bus's lock */
  enum { MADE, LIVE, ENDED, OVER } state;
  bool settling;
  uint32_t calls, refs;
  uint64_t number;                     /* ascending in the order of subscribing */
  vsi_topic *topic;                    /* in which it is, or has a place kept */
  TAILQ_ENTRY(vestry_subscription) at; /* in the topic */
};

struct vsi_bus {
  const vestry_host *host;
  size_t max_count;
  vsi_refs refs;          /* the creator's, and the subscriptions' */
  vsi_mutex lock;         /* see docs/locking.md */
  pthread_cond_t changed; /* a subscription is over, or a publisher has left */
  /* guarded by lock */
  vsi_topics topics;
  vestry_bus_stats stats; /* but topics */
  uint64_t kept_count;    /* places, of all topics */
  uint64_t over;          /* subscriptions; in the end as many as were ever subscribed */
  uint32_t publishers, waiters;
  bool closed;
};

/* How many callbacks of buses this thread is inside of. */
static _Thread_local uint32_t inside;

/* ------------------------------------------------------------------------------------------------ the bus --------- */

vestry_err vsi_bus_create(const vestry_host *host, size_t max_subscriptions_count, vsi_bus **ret_bus) {
  vsi_bus *bus = vsi_calloc(host, 1, sizeof *bus);
  if (!bus) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_topics_init(&bus->topics, host);
  if (error) {
    vsi_free(host, bus);
    return error;
  }
  bus->host = host;
  bus->max_count = max_subscriptions_count ? max_subscriptions_count : DEFAULT_SUBSCRIPTIONS;
  VSI_REFS_INIT(&bus->refs, 1);
  vsi_mutex_init(&bus->lock, VSI_LOCK_BUS);
  pthread_cond_init(&bus->changed, NULL);
  *ret_bus = bus;
  return VESTRY_OK;
}

static void bus_unref(vsi_bus *bus) {
  if (!VSI_REFS_DROP(&bus->refs)) return;
  vsi_topics_finish(&bus->topics, bus->host);
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
  VSI_RESULT_GIVE(vestry_bus_stats, ret_stats, stats);
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

/* Drop a reference and the lock; the last one frees. */
static void unref_and_unlock(vestry_subscription *s) {
  vsi_bus *bus = s->bus;
  bool last = --s->refs == 0;
  vsi_mutex_unlock(&bus->lock);
  if (!last) return;
  vsi_free(bus->host, s);
  bus_unref(bus);
}

/* Take a topic out that has no subscription, no place kept for one, and no publisher in it. Returns the topic, to be
 * freed, or NULL. */
static vsi_topic *forget_locked(vsi_bus *bus, vsi_topic *topic) {
  if (!TAILQ_EMPTY(&topic->subscriptions) || topic->cursors || topic->kept_count) return NULL;
  vsi_map_remove(&bus->topics.map, &topic->in);
  return topic;
}

/* LIVE → ENDED. Returns the topic if it is to be freed. */
static vsi_topic *end_locked(vestry_subscription *s, bool by_connection) {
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
  return forget_locked(bus, topic);
}

/* ENDED → OVER, once no call is running. Gives the lock up meanwhile. The caller holds the bus; it must not touch the
 * subscription afterwards, unless it holds the subscription too. */
static void settle_locked(vestry_subscription *s) {
  vsi_bus *bus = s->bus;
  if (s->state != ENDED || s->calls || s->settling) return;
  s->settling = true;
  vsi_mutex_unlock(&bus->lock);
  inside++;
  if (s->subscriber.over) s->subscriber.over(s->subscriber.ctx);
  inside--;
  /* Not earlier: until here the connection's end must find the node, and wait. */
  vestry_connection *connection = s->subscriber.connection;
  bool taken_back = connection && vsi_connection_cancel_at_close(connection, &s->node);
  vestry_connection_unref(connection);
  vsi_mutex_lock(&bus->lock);
  if (taken_back) s->refs--;
  s->state = OVER;
  bus->over++;
  wake_locked(bus);
  unref_and_unlock(s); /* that of its life */
  vsi_mutex_lock(&bus->lock);
}

/* The caller holds the subscription. */
static void end_and_settle_locked(vestry_subscription *s, bool by_connection) {
  vsi_bus *bus = s->bus;
  if (s->state == LIVE) {
    vsi_topic *unused = end_locked(s, by_connection);
    if (unused) {
      vsi_mutex_unlock(&bus->lock);
      vsi_free(bus->host, unused);
      vsi_mutex_lock(&bus->lock);
    }
  }
  settle_locked(s);
}

/* The caller holds the subscription. */
static void wait_until_over_locked(vestry_subscription *s) {
  while (!inside && s->state != OVER) wait_locked(s->bus);
}

static void connection_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  (void)connection, (void)cause;
  vestry_subscription *s = (vestry_subscription *)node;
  vsi_mutex_lock(&s->bus->lock);
  if (s->state == MADE) s->state = OVER; /* it has not begun, and will not */
  end_and_settle_locked(s, true);
  wait_until_over_locked(s);
  unref_and_unlock(s); /* the node's */
}

bool vestry_unsubscribe(vestry_subscription *s) {
  if (!s) return true;
  vsi_mutex_lock(&s->bus->lock);
  end_and_settle_locked(s, false);
  wait_until_over_locked(s);
  bool over = s->state == OVER;
  unref_and_unlock(s); /* the holder's */
  return over;
}

/* Any subscription of a topic, from this bucket on. No topic is added meanwhile. */
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
    s->refs++; /* the lock is given up in between */
    end_and_settle_locked(s, false);
    unref_and_unlock(s);
    vsi_mutex_lock(&bus->lock);
  }
  while (bus->over != bus->stats.subscribed_count || bus->publishers) wait_locked(bus);
  vsi_mutex_unlock(&bus->lock);
  bus_unref(bus);
}

/* ------------------------------------------------------------------------------------------- subscribing -------- */

/* Memory that is allocated without the lock, for use under it. */
typedef struct spare {
  vsi_topic *topic;
  vsi_map_room room;
} spare;

/* Whether the spare memory is enough; ret_bits says what is missing. */
static bool is_enough_locked(const vsi_bus *bus, const spare *have, const vsi_topic *topic, unsigned *ret_bits) {
  const vsi_map *map = &bus->topics.map;
  *ret_bits = topic ? 0 : vsi_map_wanted(map, map->count + 1);
  return topic || (have->topic && (!*ret_bits || (have->room.buckets && have->room.bits >= *ret_bits)));
}

static vestry_err provide(const vsi_bus *bus, spare *have, uint64_t hash, vestry_slice name, unsigned bits) {
  if (!have->topic) have->topic = vsi_topic_create(bus->host, hash, name.data, name.len);
  return have->topic ? vsi_map_room_make(&have->room, bus->host, bits) : VESTRY_NO_MEMORY;
}

static void append_locked(vsi_bus *bus, vsi_topic *topic, vestry_subscription *s) {
  s->number = ++bus->stats.subscribed_count;
  bus->stats.live_count++;
  TAILQ_INSERT_TAIL(&topic->subscriptions, s, at);
  s->state = LIVE;
}

static vestry_err refusal_locked(vsi_bus *bus) {
  if (bus->closed) return VESTRY_CLOSED;
  if (bus->stats.live_count + bus->kept_count < bus->max_count) return VESTRY_OK;
  bus->stats.refused_count++;
  return VESTRY_LIMIT;
}

/* Keep a place in its topic for a subscription. */
static vestry_err keep_place(vestry_subscription *s, vestry_slice name) {
  vsi_bus *bus = s->bus;
  uint64_t hash = vsi_topics_hash(&bus->topics, name.data, name.len);
  spare have = {NULL, {NULL, 0}};
  vestry_err error;
  vsi_mutex_lock(&bus->lock);
  for (unsigned bits; !(error = refusal_locked(bus));) {
    vsi_topic *topic = vsi_topics_find(&bus->topics, hash, name.data, name.len);
    if (is_enough_locked(bus, &have, topic, &bits)) {
      if (!topic) {
        if (bits) vsi_map_room_take(&bus->topics.map, &have.room);
        topic = have.topic;
        have.topic = NULL;
        vsi_map_add(&bus->topics.map, &topic->in, hash);
      }
      topic->kept_count++;
      bus->kept_count++;
      s->topic = topic;
      break;
    }
    vsi_mutex_unlock(&bus->lock);
    error = provide(bus, &have, hash, name, bits);
    vsi_mutex_lock(&bus->lock);
    if (error) break;
  }
  vsi_mutex_unlock(&bus->lock);
  vsi_free(bus->host, have.topic);
  vsi_map_room_free(&have.room, bus->host);
  return error;
}

/* MADE → LIVE, in its place; or CLOSED, and the place is given back. *ret_subscription is set before the subscription
 * can be called. */
static vestry_err take_place(vestry_subscription *s, bool is_wanted, vestry_subscription **ret_subscription) {
  vsi_bus *bus = s->bus;
  vsi_topic *unused = NULL;
  vsi_mutex_lock(&bus->lock);
  bool begins = is_wanted && !bus->closed && s->state == MADE;
  VSI_ASSERT(s->topic->kept_count > 0 && bus->kept_count > 0);
  s->topic->kept_count--;
  bus->kept_count--;
  if (begins) {
    if (ret_subscription) {
      s->refs++;
      *ret_subscription = s;
    }
    append_locked(bus, s->topic, s);
  } else {
    unused = forget_locked(bus, s->topic);
  }
  vsi_mutex_unlock(&bus->lock);
  vsi_free(bus->host, unused);
  return begins ? VESTRY_OK : VESTRY_CLOSED;
}

/* Let the subscription end with its connection. */
static vestry_err bind(vestry_subscription *s, vestry_connection *connection) {
  s->subscriber.connection = vestry_connection_ref(connection);
  s->refs++; /* the close node's */
  if (!vsi_connection_at_close(connection, &s->node)) return VESTRY_OK;
  s->refs--; /* no other thread knows it */
  return VESTRY_CLOSED;
}

/* The subscription was let in nowhere: drop what it holds. */
static void abandon(vestry_subscription *s) {
  vestry_connection *connection = s->subscriber.connection;
  bool taken_back = connection && vsi_connection_cancel_at_close(connection, &s->node);
  vestry_connection_unref(connection);
  vsi_mutex_lock(&s->bus->lock);
  s->state = OVER;
  if (taken_back) s->refs--;
  unref_and_unlock(s); /* that of its life */
}

/* Make a subscription, with a place kept for it, and without its connection. */
static vestry_err prepare(vsi_bus *bus, vestry_slice name, const vestry_subscriber *subscriber,
                          vestry_subscription **ret_subscription) {
  vestry_subscription *s = vsi_calloc(bus->host, 1, sizeof *s);
  if (!s) return VESTRY_NO_MEMORY;
  vsi_close_node_init(&s->node, connection_ended);
  s->bus = bus;
  s->subscriber = *subscriber;
  s->subscriber.connection = NULL;
  s->state = MADE;
  s->refs = 1; /* of its life */
  VSI_REFS_TAKE(&bus->refs);
  vestry_err error = keep_place(s, name);
  if (error)
    abandon(s);
  else
    *ret_subscription = s;
  return error;
}

/* Begin a prepared subscription; takes it. */
static vestry_err begin(vestry_subscription *s, vestry_connection *connection, vestry_subscription **ret_subscription) {
  vestry_err error = connection ? bind(s, connection) : VESTRY_OK;
  vestry_err taken = take_place(s, !error, ret_subscription);
  if (taken) abandon(s);
  return taken;
}

vestry_err vsi_bus_subscribe(vsi_bus *bus, vestry_slice name, const vestry_subscriber *subscriber,
                             vestry_subscription **ret_subscription) {
  vestry_subscriber own;
  vestry_subscription *s;
  if (VSI_OPTIONS_TAKE(vestry_subscriber, own, subscriber) || !own.call) return VESTRY_INVALID;
  if (own.connection && !vestry_connection_is_open(own.connection)) return VESTRY_CLOSED;
  vestry_err error = prepare(bus, name, &own, &s);
  return error ? error : begin(s, own.connection, ret_subscription);
}

vestry_err vsi_bus_prepare(vsi_bus *bus, vestry_slice name, const vestry_subscriber *subscriber,
                           vestry_subscription **ret_subscription) {
  vestry_subscriber own;
  if (VSI_OPTIONS_TAKE(vestry_subscriber, own, subscriber) || !own.call || own.connection) return VESTRY_INVALID;
  return prepare(bus, name, &own, ret_subscription);
}

/* Tell of an end, as if the subscription had begun and ended. */
static void call_over(const vestry_subscriber *subscriber) {
  inside++;
  if (subscriber->over) subscriber->over(subscriber->ctx);
  inside--;
}

void vsi_bus_begin(vestry_subscription *s, vestry_connection *connection) {
  const vestry_subscriber subscriber = s->subscriber;
  if (begin(s, connection, NULL)) call_over(&subscriber);
}

void vsi_bus_give_up(vestry_subscription *s) {
  const vestry_subscriber subscriber = s->subscriber;
  (void)take_place(s, false, NULL);
  abandon(s);
  call_over(&subscriber);
}

/* -------------------------------------------------------------------------------------------- publishing --------- */

static void leave_topic_locked(vsi_bus *bus, vsi_topic *topic, const vsi_cursor *cursor) {
  vsi_cursor **link = &topic->cursors;
  while (*link != cursor) link = &(*link)->next;
  *link = cursor->next;
  vsi_topic *unused = forget_locked(bus, topic);
  if (!unused) return;
  vsi_mutex_unlock(&bus->lock);
  vsi_free(bus->host, unused);
  vsi_mutex_lock(&bus->lock);
}

/* Gives the lock up for each call. */
static size_t call_all_locked(vsi_bus *bus, vsi_topic *topic, vestry_bus_message *message) {
  size_t count = 0;
  uint64_t last = bus->stats.subscribed_count;
  vsi_cursor cursor = {TAILQ_FIRST(&topic->subscriptions), topic->cursors};
  topic->cursors = &cursor;
  inside++;
  for (vestry_subscription *s; (s = cursor.at) && s->number <= last;) {
    cursor.at = TAILQ_NEXT(s, at);
    message->connection = s->subscriber.connection;
    if (message->connection && !vestry_connection_is_open(message->connection)) continue; /* its end is under way */
    s->calls++;
    bus->stats.called_count++;
    vsi_mutex_unlock(&bus->lock);
    s->subscriber.call(message, s->subscriber.ctx);
    count++;
    vsi_mutex_lock(&bus->lock);
    VSI_ASSERT(s->calls > 0);
    s->calls--;
    settle_locked(s); /* if it has ended, and this was the last call */
  }
  inside--;
  leave_topic_locked(bus, topic, &cursor);
  return count;
}

vestry_err vsi_bus_publish(vsi_bus *bus, vestry_slice name, vestry_bus_message *message, size_t *ret_count) {
  if (inside >= VSI_BUS_NESTING_MAX) return VESTRY_LIMIT;
  uint64_t hash = vsi_topics_hash(&bus->topics, name.data, name.len);
  size_t count = 0;
  vsi_mutex_lock(&bus->lock);
  bool closed = bus->closed;
  if (!closed) {
    bus->stats.published_count++;
    bus->publishers++; /* whatever is called, the bus stays */
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
