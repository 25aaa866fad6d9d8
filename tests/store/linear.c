/* SPDX-License-Identifier: MIT */
#include "store/linear.h"

#include <stdlib.h>

#include "support/test.h"

/* ----------------------------------------------------------------------------------------------- the search ---- */

typedef struct spot {
  uint64_t done, value; /* the operations that have taken effect, and the value of the key then */
} spot;

typedef struct search {
  const linear_op *ops;
  size_t count;
  spot *visited; /* a hash table */
  size_t visited_count, visited_room;
  linear_states *finals;
} search;

/* Whether the operation can return its result if the key holds `value`; ret_after: the value afterwards. */
static bool answers(const linear_op *op, uint64_t value, uint64_t *ret_after) {
  *ret_after = value;
  switch (op->kind) {
  case LINEAR_PUT: *ret_after = op->value; return op->took == value;
  case LINEAR_PUT_NEW:
    if (op->did) *ret_after = op->value;
    return op->did == (value == 0);
  case LINEAR_GET: return op->value == value || (op->value == 0 && value <= op->took);
  case LINEAR_REMOVE: *ret_after = 0; return op->took == value;
  case LINEAR_REMOVE_IF:
    if (op->did) *ret_after = 0;
    return op->did == (value == op->value);
  default: *ret_after = 0; return op->value == value;
  }
}

static size_t place_of(const search *s, spot at) {
  uint64_t hash = (at.done * UINT64_C(0x9E3779B97F4A7C15) ^ at.value) * UINT64_C(0xBF58476D1CE4E5B9);
  size_t place = (size_t)(hash >> 20) & (s->visited_room - 1);
  /* value UINT64_MAX: none */
  while (s->visited[place].value != UINT64_MAX &&
         (s->visited[place].done != at.done || s->visited[place].value != at.value))
    place = (place + 1) & (s->visited_room - 1);
  return place;
}

static void make_room(search *s) {
  spot *before = s->visited;
  size_t room = s->visited_room;
  s->visited_room = room ? room * 2 : 256;
  s->visited = malloc(s->visited_room * sizeof *s->visited);
  assert_non_null(s->visited);
  for (size_t i = 0; i < s->visited_room; i++) s->visited[i] = (spot){0, UINT64_MAX};
  for (size_t i = 0; i < room; i++)
    if (before[i].value != UINT64_MAX) s->visited[place_of(s, before[i])] = before[i];
  free(before);
}

static bool is_new(search *s, spot at) {
  if (s->visited_count * 2 >= s->visited_room) make_room(s);
  size_t place = place_of(s, at);
  if (s->visited[place].value != UINT64_MAX) return false;
  s->visited[place] = at;
  s->visited_count++;
  return true;
}

static void add_final(linear_states *finals, uint64_t value) {
  for (size_t i = 0; i < finals->count; i++)
    if (finals->values[i] == value) return;
  finals->values[finals->count++] = value;
}

/* The next operation must have begun before any operation that is not done returned. An operation that changes nothing
 * and fits takes effect at once, because it cannot hinder others. The rest are tried one after the other. */
static void go_on(search *s, spot at) {
  if (!is_new(s, at)) return;
  uint64_t first_return = UINT64_MAX, after;
  for (size_t i = 0; i < s->count; i++)
    if (!(at.done >> i & 1) && s->ops[i].returned < first_return) first_return = s->ops[i].returned;
  if (first_return == UINT64_MAX) {
    add_final(s->finals, at.value);
    return;
  }
  uint64_t next = 0;
  for (size_t i = 0; i < s->count; i++) {
    if (at.done >> i & 1 || s->ops[i].invoked > first_return || !answers(&s->ops[i], at.value, &after)) continue;
    if (after == at.value) {
      go_on(s, (spot){at.done | UINT64_C(1) << i, after});
      return;
    }
    next |= UINT64_C(1) << i;
  }
  for (size_t i = 0; i < s->count; i++) {
    if (!(next >> i & 1)) continue;
    (void)answers(&s->ops[i], at.value, &after);
    go_on(s, (spot){at.done | UINT64_C(1) << i, after});
  }
}

bool linear_is_possible(const linear_op *ops, size_t count, linear_states *states) {
  assert_true(count <= LINEAR_OPS);
  linear_states finals = {.count = 0};
  search s = {.ops = ops, .count = count, .finals = &finals};
  make_room(&s);
  for (size_t i = 0; i < states->count; i++) go_on(&s, (spot){0, states->values[i]});
  free(s.visited);
  *states = finals;
  return finals.count > 0;
}
