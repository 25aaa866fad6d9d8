/* SPDX-License-Identifier: MIT */
/* essay: faults of a network that can be repeated */
/* The faults of a message are drawn when it is sent, from the random sequence of its receiver. Each message takes the
 * same number of draws, whatever the chances are. So a changed chance, or one more node, does not change any other
 * fault. */
#include "testing/memory_network.h"

#include <string.h>

#include "base/array.h"
#include "base/memory.h"
#include "base/options.h"
#include "vestry/testing/memory_network.h"

enum { CHANCES = 10000, NODES_MAX = 65536, DEFAULT_DELAY_MS = 100, DEFAULT_PAYLOAD = 1 << 20 };

/* splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014). */
uint64_t vsi_memory_chance(uint64_t *stream) {
  uint64_t z = *stream += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
  return z ^ z >> 31;
}

static vestry_err take_options(const vestry_memory_network_options *given, vestry_memory_network_options *ret_options) {
  vestry_memory_network_options o;
  if (VSI_OPTIONS_TAKE(vestry_memory_network_options, o, given) || o.drop > CHANCES || o.duplicate > CHANCES ||
      o.delay > CHANCES || o.tell > CHANCES || o.full > CHANCES)
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
  const vestry_host *host = vestry_runtime_host(runtime);
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

void vsi_memory_network_unref(vestry_memory_network *network) {
  vsi_mutex_lock(&network->lock);
  bool is_last = --network->refs == 0;
  vsi_mutex_unlock(&network->lock);
  if (!is_last) return;
  const vestry_host *host = network->host;
  vsi_free(host, network->nodes);
  vsi_free(host, network->reservations);
  pthread_cond_destroy(&network->changed);
  vsi_mutex_finish(&network->lock);
  vsi_free(host, network);
}

void vestry_memory_network_destroy(vestry_memory_network *network) {
  if (network) vsi_memory_network_unref(network);
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

void vsi_parcel_unref(const vestry_host *host, vsi_parcel *parcel) {
  if (parcel && --parcel->refs == 0) vsi_free(host, parcel);
}

/* Reserve room for more arrivals, which vsi_arrivals_add then uses. OK | NO_MEMORY */
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

vsi_arrival vsi_arrivals_take(vsi_arrivals *arrivals) {
  vsi_arrival first = arrivals->heap[0];
  arrivals->heap[0] = arrivals->heap[--arrivals->count];
  if (arrivals->count) sink(arrivals, 0);
  return first;
}

/* Drop the messages whose sender does not pass; noticed losses stay. Returns the number of dropped messages. */
static size_t cut_arrivals(const vestry_host *host, vsi_arrivals *arrivals, bool (*passes)(size_t sender, void *ctx),
                           void *ctx) {
  size_t kept = 0, cut = 0;
  for (size_t i = 0; i < arrivals->count; i++) {
    vsi_parcel *parcel = arrivals->heap[i].parcel;
    if (!parcel || passes(parcel->sender, ctx)) {
      arrivals->heap[kept++] = arrivals->heap[i];
      continue;
    }
    vsi_parcel_unref(host, parcel);
    cut++;
  }
  arrivals->count = kept;
  for (size_t at = kept / 2; at-- > 0;) sink(arrivals, at);
  return cut;
}

size_t vsi_arrivals_finish(const vestry_host *host, vsi_arrivals *arrivals) {
  size_t messages = 0;
  for (size_t i = 0; i < arrivals->count; i++) {
    if (arrivals->heap[i].parcel) messages++;
    vsi_parcel_unref(host, arrivals->heap[i].parcel);
  }
  vsi_free(host, arrivals->heap);
  *arrivals = (vsi_arrivals){NULL, 0, 0};
  return messages;
}

/* ------------------------------------------------------------------------------------------------- joining -------- */

static vestry_err make_room_locked(vestry_memory_network *network) {
  if (network->nodes_count == NODES_MAX) return VESTRY_LIMIT;
  return VSI_ARRAY_RESERVE(network->host, network->nodes, network->nodes_count, network->nodes_room, 1);
}

/* The random sequences depend only on the seed and the index. */
vestry_err vsi_memory_network_enter(vestry_memory_network *network, vsi_memory_node *node) {
  vsi_mutex_lock(&network->lock);
  vestry_err error = make_room_locked(network);
  if (!error) {
    node->index = network->nodes_count++;
    uint64_t stream = network->options.seed ^ (node->index + 1) * UINT64_C(0xD6E8FEB86659FD93);
    node->faults = vsi_memory_chance(&stream);
    node->refusals = vsi_memory_chance(&stream);
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

static bool is_of_nobody(size_t sender, void *ctx) {
  (void)sender, (void)ctx;
  return false;
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
    network->stats.cut_count += cut_arrivals(network->host, &node->arrivals, is_down ? is_of_nobody : is_of_part, node);
    vestry_actor_notify(node->actor);
  }
  vsi_mutex_unlock(&network->lock);
  return error;
}

/* ------------------------------------------------------------------------------------------------- sending -------- */

bool vsi_memory_node_is_up(const vsi_memory_node *node) {
  return node->started && !node->stopped && node->part != VESTRY_MEMORY_NETWORK_DOWN;
}

/* Faults of one message on its way to one receiver. */
typedef struct fate {
  bool is_dropped, is_reported, is_twice;
  uint64_t later_ns, second_later_ns;
} fate;

static bool happens(uint64_t *stream, uint32_t chance) {
  return vsi_memory_chance(stream) % CHANCES < chance;
}

static fate draw(uint64_t *stream, const vestry_memory_network_options *options) {
  fate f = {.is_dropped = happens(stream, options->drop), .is_reported = happens(stream, options->tell)};
  uint64_t most_ns = options->max_delay_ms * VSI_NS_PER_MS;
  f.later_ns = happens(stream, options->delay) ? 1 : 0;
  uint64_t delay_ns = 1 + vsi_memory_chance(stream) % most_ns;
  f.later_ns *= delay_ns;
  f.is_twice = happens(stream, options->duplicate);
  f.second_later_ns = 1 + vsi_memory_chance(stream) % most_ns;
  return f;
}

/* FNV-1a, because its result is the same in every run. */
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
    if (f.is_reported && vsi_memory_node_is_up(to)) add(to, due_ns, NULL);
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

static bool hears(const vsi_memory_node *to, const char *subject) {
  bool found = false;
  if (!to || !to->started || to->stopped) return false;
  for (size_t i = 0; !found && i < to->subjects_count; i++) found = strcmp(to->subjects[i], subject) == 0;
  return found;
}

vestry_err vsi_memory_network_send(vestry_memory_network *network, vsi_memory_node *from, const char *subject,
                                   const void *data, size_t len) {
  vsi_parcel *parcel = make_parcel(network->host, from->index, subject, data, len);
  if (!parcel) return VESTRY_NO_MEMORY;
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; !error && i < network->nodes_count; i++)
    if (hears(network->nodes[i], subject)) error = reserve_arrivals(network->host, &network->nodes[i]->arrivals, 2);
  uint64_t now_ns = vsi_now_ns(network->host);
  for (size_t i = 0; !error && i < network->nodes_count; i++)
    if (hears(network->nodes[i], subject)) send_to(network->nodes[i], from, parcel, now_ns);
  vsi_parcel_unref(network->host, parcel);
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
  VSI_RESULT_GIVE(vestry_memory_network_stats, ret_stats, stats);
}
