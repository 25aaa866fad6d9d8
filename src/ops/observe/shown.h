/* SPDX-License-Identifier: MIT */
/* What users chose, as text that can be shown: a stream's scope and key, and names of any kind. */
#ifndef VSI_OBSERVE_SHOWN_H
#define VSI_OBSERVE_SHOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "instance/stream_context.h"
#include "store/scoped_key.h"
#include "vestry/ops/observe.h"

/* Greater values are better; of equal ones, smaller ids. */
typedef struct vsi_best_item {
  uint64_t value, id;
  void *of;
} vsi_best_item;

typedef struct vsi_best {
  size_t limit, count;
  vsi_best_item items[VESTRY_STREAMS_MAX_COUNT];
} vsi_best;

static inline bool vsi_best_is_better(uint64_t value, uint64_t id, uint64_t than_value, uint64_t than_id) {
  return value > than_value || (value == than_value && id < than_id);
}

/* limit: 1 to VESTRY_STREAMS_MAX_COUNT. */
void vsi_best_init(vsi_best *best, size_t limit);
/* Whether an item would be kept. */
bool vsi_best_takes(const vsi_best *best, uint64_t value, uint64_t id);
/* Keep one that would be. Returns `of` of the one that is not kept any more; NULL: there was room. */
void *vsi_best_add(vsi_best *best, const vsi_best_item *item);
/* Put them in order, the best first; nothing is added after that. */
void vsi_best_sort(vsi_best *best);

enum { VSI_SHOWN_SCOPE_BYTES = 9 };

/* A scope's digits; "" if it is empty. */
void vsi_shown_scope(const vestry *v, vestry_scope scope, char digits[VSI_SHOWN_SCOPE_BYTES]);

/* A key as text; "": there is none. */
typedef struct vsi_shown_key {
  char text[VESTRY_SHOWN_KEY_BYTES];
  bool is_cut;
} vsi_shown_key;
void vsi_shown_key_of(const void *encoded, size_t len, vsi_shown_key *key);
/* Whether a key's text begins with the prefix, or begins with it after any of [ and " and {. NULL, "": it does. */
bool vsi_shown_begins(const char *text, const char *prefix);
/* That under which a stream is kept: the first of its keys that is still in the store. Returns whether there is one;
 * if not, key is "". stream: may be NULL. */
bool vsi_shown_key_of_stream(const vsi_stream_context *stream, vsi_shown_key *key);
/* Under how many keys it was kept. */
uint32_t vsi_shown_keys_count(const vsi_stream_context *stream);

/* As vestry_stream_info has them. */
const char *vsi_shown_adapter(const vestry_connection *connection);
const char *vsi_shown_coding(const vestry_connection *connection);
vestry_err vsi_shown_refusal(const vestry_connection *connection);
static inline uint64_t vsi_shown_ms(uint64_t now_ns, uint64_t then_ns) {
  return now_ns > then_ns ? (now_ns - then_ns) / 1000000 : 0;
}

/* A name of any bytes, terminated: what is no UTF-8, and control characters, become U+FFFD. It is cut where there is no
 * more room. */
void vsi_shown_name(const char *name, size_t len, char *text, size_t room);

#endif
