/* SPDX-License-Identifier: MIT */
/* essay: faults of a network that can be repeated */
/* The faults of a message are drawn when it is sent, from the random sequence of its receiver. Each message takes the
 * same number of draws, whatever the chances are. So a changed chance, or one more node, does not change any other
 * fault. */
#include "testing/memory_network.h"

#include <string.h>

#include "base/array.h"
#include "base/memory.h"
#include "runtime/runtime.h"

enum { CHANCES = 10000, NODES_MAX = 65536, DEFAULT_DELAY_MS = 100, DEFAULT_PAYLOAD = 1 << 20 };

/* Draw the next number of a random sequence, by splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", 2014). */
static uint64_t draw_number(uint64_t *stream) {
  uint64_t z = *stream += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

static vestry_err take_options(const vestry_memory_network_options *given, vestry_memory_network_options *ret_options) {
  vestry_memory_network_options o = given ? *given : (vestry_memory_network_options){0};
  if (o.drop > CHANCES || o.duplicate > CHANCES || o.delay > CHANCES || o.tell > CHANCES || o.full > CHANCES)
    return VESTRY_INVALID;
  if (!o.max_delay_ms) o.max_delay_ms = DEFAULT_DELAY_MS;
  if (!o.max_payload) o.max_payload = DEFAULT_PAYLOAD;
  *ret_options = o;
  return VESTRY_OK;
}

vestry_err vestry_memory_network_create(vestry_runtime *runtime, const vestry_memory_network_options *given,
                                        vestry_memory_network **ret_network) {
  vestry_memory_network_options options;
  if (!runtime || !ret_network || take_options(given, &options)) return VESTRY_INVALID;
  const vestry_host *host = runtime->host;
  vestry_memory_network *network = vsi_calloc(host, 1, sizeof *network);
  if (!network) return VESTRY_NO_MEMORY;
  network->runtime = runtime;
  network->host = host;
  network->refs = 1;
  network->options = options;
  vsi_mutex_init(&network->lock, VSI_LOCK_MEMORY_NETWORK);
  pthread_cond_init(&network->changed, NULL);
  *ret_network = network;
  return VESTRY_OK;
}

/* Drop a reference; the last one frees the network. Takes the lock. */
static void unref_network(vestry_memory_network *network) {
  vsi_mutex_lock(&network->lock);
  bool is_last = --network->refs == 0;
  vsi_mutex_unlock(&network->lock);
  if (!is_last) return;
  const vestry_host *host = network->host;
  vsi_free(host, network->nodes);
  pthread_cond_destroy(&network->changed);
  vsi_mutex_finish(&network->lock);
  vsi_free(host, network);
}

void vestry_memory_network_destroy(vestry_memory_network *network) {
  if (network) unref_network(network);
}

/* ---------------------------------------------------------------------------------------- messages in transit ---- */

/* Create a message with one reference. NULL: out of memory. */
static vsi_parcel *make_parcel(const vestry_host *host, size_t sender, const char *subject, const void *data,
                               size_t len) {
  vsi_parcel *parcel = len > SIZE_MAX - sizeof *parcel ? NULL : vsi_alloc(host, sizeof *parcel + len);
  if (!parcel) return NULL;
  parcel->refs = 1;
  parcel->sender = sender;
  parcel->len = len;
  memcpy(parcel->subject, subject, strlen(subject) + 1);
  if (len) memcpy(parcel->data, data, len);
  return parcel;
}

static void unref_parcel(const vestry_host *host, vsi_parcel *parcel) {
  if (parcel && --parcel->refs == 0) vsi_free(host, parcel);
}

/* Reserve room for more arrivals, which add_arrival then uses. OK | NO_MEMORY */
static vestry_err reserve_arrivals(const vestry_host *host, vsi_arrivals *arrivals, size_t more) {
  return VSI_ARRAY_RESERVE(host, arrivals->heap, arrivals->count, arrivals->room, more);
}

static bool is_before(const vsi_arrival *a, const vsi_arrival *b) {
  return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void sink(vsi_arrivals *arrivals, size_t at) {
  vsi_arrival *heap = arrivals->heap, moved = heap[at];
  for (size_t child; (child = 2 * at + 1) < arrivals->count; at = child) {
    if (child + 1 < arrivals->count && is_before(&heap[child + 1], &heap[child])) child++;
    if (!is_before(&heap[child], &moved)) break;
    heap[at] = heap[child];
  }
  heap[at] = moved;
}

static void add_arrival(vsi_arrivals *arrivals, vsi_arrival arrival) {
  vsi_arrival *heap = arrivals->heap;
  size_t at = arrivals->count++;
  for (size_t parent; at > 0 && is_before(&arrival, &heap[parent = (at - 1) / 2]); at = parent) heap[at] = heap[parent];
  heap[at] = arrival;
}

/* Remove and return the first arrival. There must be one. */
static vsi_arrival take_arrival(vsi_arrivals *arrivals) {
  vsi_arrival first = arrivals->heap[0];
  arrivals->heap[0] = arrivals->heap[--arrivals->count];
  if (arrivals->count) sink(arrivals, 0);
  return first;
}

/* Drop the messages whose sender does not pass; noticed losses stay. passes == NULL: drop all. Returns the number of
 * dropped messages. */
static size_t cut_arrivals(const vestry_host *host, vsi_arrivals *arrivals, bool (*passes)(size_t sender, void *ctx),
                           void *ctx) {
  size_t kept = 0, cut = 0;
  for (size_t i = 0; i < arrivals->count; i++) {
    vsi_parcel *parcel = arrivals->heap[i].parcel;
    if (!parcel || (passes && passes(parcel->sender, ctx))) {
      arrivals->heap[kept++] = arrivals->heap[i];
      continue;
    }
    unref_parcel(host, parcel);
    cut++;
  }
  arrivals->count = kept;
  for (size_t at = kept / 2; at-- > 0;) sink(arrivals, at);
  return cut;
}

/* Drop all arrivals, and free the heap. Returns the number of dropped messages. */
static size_t finish_arrivals(const vestry_host *host, vsi_arrivals *arrivals) {
  const size_t messages = cut_arrivals(host, arrivals, NULL, NULL);
  vsi_free(host, arrivals->heap);
  *arrivals = (vsi_arrivals){NULL, 0, 0};
  return messages;
}

/* ------------------------------------------------------------------------------------------------- joining -------- */

/* Add a node: set its index and its random sequences, which depend only on the seed and the index, and take a
 * reference. Takes the lock. OK | LIMIT | NO_MEMORY */
static vestry_err enter_network(vestry_memory_network *network, vsi_memory_node *node) {
  vsi_mutex_lock(&network->lock);
  vestry_err error = VESTRY_LIMIT;
  if (network->nodes_count < NODES_MAX)
    error = VSI_ARRAY_RESERVE(network->host, network->nodes, network->nodes_count, network->nodes_room, 1);
  if (!error) {
    node->index = network->nodes_count++;
    uint64_t stream = network->options.seed ^ (node->index + 1) * UINT64_C(0xD6E8FEB86659FD93);
    node->faults = draw_number(&stream);
    node->refusals = draw_number(&stream);
    network->nodes[node->index] = node;
    network->refs++;
  }
  vsi_mutex_unlock(&network->lock);
  return error;
}

/* -------------------------------------------------------------------------------------------------- faults -------- */

vestry_err vestry_memory_network_set(vestry_memory_network *network, const vestry_memory_network_options *given) {
  vestry_memory_network_options options;
  if (!network || take_options(given, &options)) return VESTRY_INVALID;
  vsi_mutex_lock(&network->lock);
  network->options = options;
  vsi_mutex_unlock(&network->lock);
  return VESTRY_OK;
}

static bool is_of_part(size_t sender, void *ctx) {
  const vsi_memory_node *to = ctx;
  const vsi_memory_node *from = to->network->nodes[sender];
  return !from || from->part == to->part; /* messages of destroyed nodes still arrive */
}

vestry_err vestry_memory_network_divide(vestry_memory_network *network, const uint8_t *parts, size_t count) {
  if (!network || (count && !parts)) return VESTRY_INVALID;
  for (size_t i = 0; i < count; i++)
    if (parts[i] > VESTRY_MEMORY_NETWORK_DOWN) return VESTRY_INVALID;
  vsi_mutex_lock(&network->lock);
  vestry_err error = count > network->nodes_count ? VESTRY_INVALID : VESTRY_OK;
  for (size_t i = 0; !error && i < network->nodes_count; i++)
    if (network->nodes[i]) network->nodes[i]->part = i < count ? parts[i] : 0;
  for (size_t i = 0; !error && i < network->nodes_count; i++) {
    vsi_memory_node *node = network->nodes[i];
    if (!node) continue;
    bool is_down = node->part == VESTRY_MEMORY_NETWORK_DOWN;
    if (is_down) node->reported_late = node->reported_up;
    network->stats.cut_count += cut_arrivals(network->host, &node->arrivals, is_down ? NULL : is_of_part, node);
    vestry_actor_notify(node->actor);
  }
  vsi_mutex_unlock(&network->lock);
  return error;
}

/* ------------------------------------------------------------------------------------------------- sending -------- */

/* Return whether a node is connected to the broker, so that it can publish, and receives messages of its part. Under
 * the lock. */
static bool node_is_up(const vsi_memory_node *node) {
  return node->started && !node->stopped && node->part != VESTRY_MEMORY_NETWORK_DOWN;
}

/* Faults of one message on its way to one receiver. */
typedef struct fate {
  bool is_dropped, is_reported, is_twice;
  uint64_t later_ns, second_later_ns;
} fate;

static bool happens(uint64_t *stream, uint32_t chance) {
  return draw_number(stream) % CHANCES < chance;
}

static fate draw(uint64_t *stream, const vestry_memory_network_options *options) {
  fate f = {.is_dropped = happens(stream, options->drop), .is_reported = happens(stream, options->tell)};
  uint64_t most_ns = options->max_delay_ms * VSI_NS_PER_MS;
  f.later_ns = happens(stream, options->delay) ? 1 : 0;
  uint64_t delay_ns = 1 + draw_number(stream) % most_ns;
  f.later_ns *= delay_ns;
  f.is_twice = happens(stream, options->duplicate);
  f.second_later_ns = 1 + draw_number(stream) % most_ns;
  return f;
}

/* Return where to keep the time of the last arrival from this sender with this subject. The hash is FNV-1a, because its
 * result is the same in every run. */
static uint64_t *last_due(vsi_memory_node *to, const vsi_parcel *parcel) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ parcel->sender;
  for (const char *c = parcel->subject; *c; c++) hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
  return &to->last_due_ns[hash % VSI_MEMORY_STREAMS];
}

static void add(vsi_memory_node *to, uint64_t due_ns, vsi_parcel *parcel) {
  add_arrival(&to->arrivals, (vsi_arrival){due_ns, to->network->order++, parcel});
  if (parcel) parcel->refs++;
}

static void send_to(vsi_memory_node *to, const vsi_memory_node *from, vsi_parcel *parcel, uint64_t now_ns) {
  vestry_memory_network *network = to->network;
  fate f = draw(&to->faults, &network->options);
  uint64_t *last_ns = last_due(to, parcel), due_ns = vsi_add_saturating(now_ns, f.later_ns);
  if (due_ns < *last_ns) due_ns = *last_ns;
  bool is_cut = to->part != from->part, is_lost = is_cut || f.is_dropped;
  network->stats.sent_count++;
  if (is_cut)
    network->stats.cut_count++;
  else if (f.is_dropped)
    network->stats.dropped_count++;
  if (is_lost) {
    if (f.is_reported && node_is_up(to)) add(to, due_ns, NULL);
  } else {
    *last_ns = due_ns;
    add(to, due_ns, parcel);
    if (f.is_twice) {
      network->stats.sent_count++;
      network->stats.duplicated_count++;
      add(to, vsi_add_saturating(due_ns, f.second_later_ns), parcel);
    }
  }
  vestry_actor_notify(to->actor);
}

static bool is_subscribed(const vsi_memory_node *to, const char *subject) {
  bool found = false;
  if (!to || !to->started || to->stopped) return false;
  for (size_t i = 0; !found && i < to->subjects_count; i++) found = strcmp(to->subjects[i], subject) == 0;
  return found;
}

/* Send a message to all subscribed nodes. Under the lock. OK | NO_MEMORY (no node gets it) */
static vestry_err send_to_all(vestry_memory_network *network, vsi_memory_node *from, const char *subject,
                              const void *data, size_t len) {
  vsi_parcel *parcel = make_parcel(network->host, from->index, subject, data, len);
  if (!parcel) return VESTRY_NO_MEMORY;
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; !error && i < network->nodes_count; i++)
    if (is_subscribed(network->nodes[i], subject))
      error = reserve_arrivals(network->host, &network->nodes[i]->arrivals, 2);
  uint64_t now_ns = vsi_now_ns(network->host);
  for (size_t i = 0; !error && i < network->nodes_count; i++)
    if (is_subscribed(network->nodes[i], subject)) send_to(network->nodes[i], from, parcel, now_ns);
  unref_parcel(network->host, parcel);
  return error;
}

/* ------------------------------------------------------------------------------------------------ counters -------- */

void vestry_memory_network_stats_get(vestry_memory_network *network, vestry_memory_network_stats *ret_stats) {
  if (!network) return;
  vsi_mutex_lock(&network->lock);
  vestry_memory_network_stats stats = network->stats;
  for (size_t i = 0; i < network->nodes_count; i++) {
    const vsi_memory_node *node = network->nodes[i];
    for (size_t j = 0; node && j < node->arrivals.count; j++) stats.waiting_count += !!node->arrivals.heap[j].parcel;
  }
  vsi_mutex_unlock(&network->lock);
  if (ret_stats) *ret_stats = stats;
}

/* -------------------------------------------------------------------------------------- a node, as a broker ------ */

/* A node of a memory network. Its actor takes one event at a time under the network's lock, and calls the functions of
 * the events without it. stop waits for the function that is running. */

enum { RUN_MAX = 64 }; /* events in one run of the actor, so that one node does not keep a thread */

/* ------------------------------------------------------------------------------------------------- arrival -------- */

/* A call of a function of the broker's events. */
typedef struct event {
  vsi_parcel *parcel; /* of on_message; NULL: on_state */
  vestry_broker_state state;
} event;

/* Take the next event that is due. false: there is none. */
static bool take_event_locked(vsi_memory_node *node, event *ret_event) {
  if (!node->started || node->stopped) return false;
  const bool is_up = node_is_up(node);
  if (node->reported_late || is_up != node->reported_up) {
    node->reported_up = is_up && !node->reported_late;
    node->reported_late = false;
    *ret_event = (event){NULL, node->reported_up ? VESTRY_BROKER_UP : VESTRY_BROKER_DOWN};
    return true;
  }
  const uint64_t now_ns = vsi_now_ns(node->network->host);
  while (node->arrivals.count && node->arrivals.heap[0].due_ns <= now_ns) {
    vsi_parcel *parcel = take_arrival(&node->arrivals).parcel;
    if (!parcel && !is_up) continue;
    if (parcel) node->network->stats.delivered_count++;
    *ret_event = (event){parcel, VESTRY_BROKER_MAYBE_LOST};
    return true;
  }
  return false;
}

static void pass(const vsi_memory_node *node, const event *e) {
  const vestry_broker_events *to = &node->events;
  if (e->parcel) {
    if (to->on_message) to->on_message(e->parcel->subject, e->parcel->data, e->parcel->len, to->ctx);
  } else if (to->on_state) {
    to->on_state(e->state, to->ctx);
  }
}

/* Run the actor again when the next message is due. */
static void rouse_later_locked(vsi_memory_node *node) {
  if (node->stopped || !node->arrivals.count) return;
  uint64_t now_ns = vsi_now_ns(node->network->host), due_ns = node->arrivals.heap[0].due_ns;
  if (due_ns <= now_ns)
    vestry_actor_notify(node->actor);
  else
    (void)vestry_timer_set(node->timer, (due_ns - now_ns + VSI_NS_PER_MS - 1) / VSI_NS_PER_MS, 0); /* CLOSED: ended */
}

static void node_run(vestry_actor *actor, void *ctx) {
  (void)actor;
  vsi_memory_node *node = ctx;
  vestry_memory_network *network = node->network;
  if (!network) return; /* it could not join */
  vsi_mutex_lock(&network->lock);
  event e;
  int count = 0;
  for (; count < RUN_MAX && take_event_locked(node, &e); count++) {
    node->runs = true;
    vsi_mutex_unlock(&network->lock);
    pass(node, &e);
    vsi_mutex_lock(&network->lock);
    node->runs = false;
    unref_parcel(network->host, e.parcel);
    pthread_cond_broadcast(&network->changed);
  }
  if (count < RUN_MAX)
    rouse_later_locked(node);
  else if (!node->stopped)
    vestry_actor_notify(node->actor);
  vsi_mutex_unlock(&network->lock);
}

static void node_due(vestry_timer *timer, void *ctx) {
  (void)timer;
  vsi_memory_node *node = ctx;
  vestry_actor_notify(node->actor);
}

/* ------------------------------------------------------------------------------------------- start and stop ------- */

static void free_subjects(const vestry_host *host, char **subjects, size_t count) {
  for (size_t i = 0; subjects && i < count; i++) vsi_free(host, subjects[i]);
  vsi_free(host, subjects);
}

/* Copy the subjects. NULL: out of memory. */
static char **copy_subjects(const vestry_host *host, const char *const *subjects, size_t count) {
  char **made = vsi_calloc(host, count, sizeof *made);
  for (size_t i = 0; made && i < count; i++)
    if (!(made[i] = vsi_strdup(host, subjects[i], strlen(subjects[i])))) {
      free_subjects(host, made, count);
      return NULL;
    }
  return made;
}

static vestry_err start(void *broker, const char *const *subjects, size_t count, const vestry_broker_events *given) {
  vsi_memory_node *node = broker;
  vestry_broker_events events = given ? *given : (vestry_broker_events){0};
  if (!node || !vestry_subjects_are_valid(subjects, count)) return VESTRY_INVALID;
  char **own = copy_subjects(node->host, subjects, count);
  if (!own) return VESTRY_NO_MEMORY;
  vsi_mutex_lock(&node->network->lock);
  bool is_first = !node->started && !node->stopped;
  if (is_first) {
    node->events = events;
    node->subjects = own;
    node->subjects_count = count;
    node->started = true;
    vestry_actor_notify(node->actor);
  }
  vsi_mutex_unlock(&node->network->lock);
  if (!is_first) free_subjects(node->host, own, count);
  return is_first ? VESTRY_OK : VESTRY_INVALID;
}

static void stop(void *broker) {
  vsi_memory_node *node = broker;
  vestry_memory_network *network = node->network;
  vsi_mutex_lock(&network->lock);
  node->stopped = true;
  network->stats.cut_count += finish_arrivals(network->host, &node->arrivals);
  while (node->runs) vsi_mutex_wait(&network->lock, &network->changed);
  vestry_timer *timer = node->timer;
  node->timer = NULL;
  vsi_mutex_unlock(&network->lock);
  vestry_timer_destroy(timer);
}

static void destroy(void *broker) {
  vsi_memory_node *node = broker;
  if (!node) return;
  stop(node);
  vsi_mutex_lock(&node->network->lock);
  node->network->nodes[node->index] = NULL;
  vsi_mutex_unlock(&node->network->lock);
  vestry_actor_unref(node->actor);
}

static void node_done(void *ctx) {
  vsi_memory_node *node = ctx;
  vestry_memory_network *network = node->network;
  free_subjects(node->host, node->subjects, node->subjects_count);
  vsi_free(node->host, node);
  if (network) unref_network(network);
}

/* ------------------------------------------------------------------------------------------ broker interface ------ */

static vestry_err publish_locked(vsi_memory_node *node, const char *subject, const void *data, size_t len) {
  vestry_memory_network *network = node->network;
  if (len > network->options.max_payload) return VESTRY_TOO_LARGE;
  if (!node_is_up(node)) return VESTRY_IO;
  if (happens(&node->refusals, network->options.full)) return VESTRY_FULL;
  return send_to_all(network, node, subject, data, len);
}

static vestry_err publish(void *broker, const char *subject, const void *data, size_t len) {
  vsi_memory_node *node = broker;
  if (!vestry_subject_is_valid(subject) || (len && !data)) return VESTRY_INVALID;
  vsi_mutex_lock(&node->network->lock);
  vestry_err error = publish_locked(node, subject, data, len);
  vsi_mutex_unlock(&node->network->lock);
  return error;
}

/* Nothing to do, because publish has sent the messages. */
static void flush(void *broker, bool at_once) {
  (void)broker, (void)at_once;
}

static vestry_broker_state state(void *broker) {
  vsi_memory_node *node = broker;
  vsi_mutex_lock(&node->network->lock);
  bool is_up = node_is_up(node);
  vsi_mutex_unlock(&node->network->lock);
  return is_up ? VESTRY_BROKER_UP : VESTRY_BROKER_DOWN;
}

static size_t max_payload(void *broker) {
  vsi_memory_node *node = broker;
  vsi_mutex_lock(&node->network->lock);
  size_t max = node->network->options.max_payload;
  vsi_mutex_unlock(&node->network->lock);
  return max;
}

const vestry_broker_ops vsi_memory_broker_ops = {
    .start = start,
    .stop = stop,
    .publish = publish,
    .flush = flush,
    .state = state,
    .max_payload = max_payload,
    .destroy = destroy,
};

vestry_err vestry_memory_network_join(vestry_memory_network *network, vestry_broker *ret_broker) {
  if (!network || !ret_broker) return VESTRY_INVALID;
  const vestry_host *host = network->host;
  vsi_memory_node *node = vsi_calloc(host, 1, sizeof *node);
  if (!node) return VESTRY_NO_MEMORY;
  node->host = host;
  node->network = network;
  vestry_err error = vestry_timer_create(network->runtime, node_due, node, &node->timer);
  const vestry_actor_options actor = {.run = node_run, .done = node_done, .ctx = node};
  if (!error) error = vestry_actor_create(network->runtime, &actor, &node->actor);
  if (!error) error = enter_network(network, node);
  if (!error) {
    *ret_broker = (vestry_broker){&vsi_memory_broker_ops, node};
    return VESTRY_OK;
  }
  node->network = NULL; /* it could not join */
  vestry_timer_destroy(node->timer);
  if (node->actor)
    vestry_actor_unref(node->actor); /* its done function frees the node */
  else
    vsi_free(host, node);
  return error;
}
