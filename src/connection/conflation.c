/* SPDX-License-Identifier: MIT */
/* essay: which events a later event supersedes, and across which events */
#include "connection/conflation.h"

#include <string.h>

#include "base/memory.h"
#include "event/target.h"

/* Conflation: dropping a waiting event that a later event makes superfluous.
 *
 * The list holds waiting deliveries, oldest first. A delivery is one event on its way to this connection. A morph is an
 * event that sets all of one element, which it finds by its id; this element is its target. (The client changes the old
 * element into the new one and keeps what is equal, which Datastar calls morphing.) Signals are the named values of a
 * Datastar page; a signals patch is an event that sets some of them. The rules by which one event supersedes another
 * are in event/target.c, and vsi_target in event/target.h describes an event for them; this file handles only the
 * order.
 *
 * A table has, for each target, the last delivery that set it. Fences divide the list into runs. A fence is an event
 * whose effect is not understood (VSI_EFFECT_UNKNOWN), or an event without a target: one of a batch, or one for which
 * there was no memory. So no fence lies between two deliveries of one run. A new morph looks up its target in the
 * table. If it finds a delivery of the same run there, that delivery is dropped.
 *
 * Several targets share a slot of the table. If a new delivery finds a delivery with another target in its slot, it
 * takes the slot. The older delivery is then displaced: it stays in the list and is written as if there were no
 * conflation. The table has a fixed size, so adding a delivery takes the same number of steps, however many deliveries
 * wait. A slot points to a waiting delivery or is NULL, because take_out clears the slot of the delivery that it
 * removes.
 *
 * A delivery brings an id if its content has an element with this id. An id may then move from one place of the page to
 * another, for example by these deliveries:
 *
 * 1. C sets #a. The old content of #a had an element #x; the new content has none.
 * 2. E sets #b, and brings an element #x.
 * 3. D sets #x.
 *
 * If C were dropped for a later delivery that sets #a, the page would have two elements #x when D arrives, and D could
 * set the wrong one. Therefore D begins a new run, because its target was brought in the current one, and no
 * delivery before D is dropped any more. The exception is E, which moves into the new run: it may still be dropped
 * for a later delivery that sets #b. D changes only the inside of #b, and that later delivery sets all of it again.
 *
 * The ids that a run has brought are stored as bits (two of 1,024 for each id), so a run may begin too early,
 * never too late.
 *
 * A delivery is held if it must not be dropped any more, because a later delivery with another target has a different
 * effect without it. For example, it moves a field with typed text out of content that the later delivery replaces
 * (event/target.c). The slot of the held delivery records this (is_held). */

enum { SLOTS = VSI_CONFLATION_SLOTS };

vestry_err vsi_conflation_create(const vestry_host *host, vsi_conflation **ret_conflation) {
  vsi_conflation *conflation = vsi_calloc(host, 1, sizeof *conflation);
  if (!conflation) return VESTRY_NO_MEMORY;
  conflation->host = host;
  vsi_mutex_init(&conflation->lock, VSI_LOCK_CONFLATION);
  *ret_conflation = conflation;
  return VESTRY_OK;
}

void vsi_conflation_destroy(const vestry_host *host, vsi_conflation *conflation) {
  if (!conflation) return;
  vsi_mutex_finish(&conflation->lock);
  vsi_free(host, conflation);
}

static const vsi_target *target_of(const vsi_delivery *delivery) {
  return delivery->is_of_batch ? NULL : vsi_event_target_made(delivery->event);
}

static void take_out(vsi_conflation *conflation, vsi_delivery *delivery) {
  vsi_delivery *next = vsi_delivery_next(delivery), *before = delivery->before;
  if (before)
    vsi_delivery_link(before, next);
  else
    conflation->first = next;
  if (next)
    next->before = before;
  else
    conflation->last = before;
  delivery->before = NULL;
  if (conflation->signals == delivery) conflation->signals = NULL;
  const vsi_target *target = target_of(delivery);
  vsi_delivery **slot = &conflation->slots[target ? target->hash % SLOTS : 0];
  if (*slot == delivery) *slot = NULL;
}

/* Return the waiting morph of the same target if it may be dropped. If it may not, count the reason. */
static vsi_delivery *find_morph(vsi_conflation *conflation, const vsi_target *target) {
  size_t slot = target->hash % SLOTS;
  vsi_delivery *last = conflation->slots[slot];
  if (!last) return NULL;
  const vsi_target *other = target_of(last);
  if (last->run == conflation->run && !conflation->is_held[slot] && vsi_target_replaces(target, other)) return last;
  vsi_connection_count(vsi_target_is_same(target, other) ? &conflation->kept_count : &conflation->displaced_count, 1);
  return NULL;
}

static vsi_delivery *find_signals(vsi_conflation *conflation, const vsi_target *target, vestry_event **ret_merged) {
  vsi_delivery *last = conflation->signals;
  if (!last || !target->can_go) return NULL;
  const vsi_target *other = target_of(last);
  vestry_event *merged = NULL;
  /* They cannot be merged, or there is no memory: both wait. */
  if (vsi_signals_merge(conflation->host, other, target, &merged)) return NULL;
  /* There is no memory for the target of the merged event, so later patches could not be merged with it: both wait. */
  if (merged && !vsi_event_target(merged)) {
    vestry_event_unref(merged);
    return NULL;
  }
  *ret_merged = merged;
  return last;
}

static void begin_run(vsi_conflation *conflation) {
  conflation->run++;
  memset(conflation->marks, 0, sizeof conflation->marks);
}

/* Begin a new run if the target's id may have been brought in this run. */
static void find_target(vsi_conflation *conflation, const vsi_target *target) {
  if (!target->id_len || !vsi_target_is_marked(conflation->marks, target)) return;
  uint64_t run = conflation->run;
  begin_run(conflation);
  for (size_t i = 0; i < SLOTS; i++) {
    vsi_delivery *waiting = conflation->slots[i];
    const vsi_target *other = waiting && waiting->run == run ? target_of(waiting) : NULL;
    if (!other || !vsi_target_brings(other, target)) continue;
    waiting->run = conflation->run;
    for (size_t k = 0; k < VSI_TARGET_MARKS / 64; k++) conflation->marks[k] |= other->marks[k];
  }
}

/* Mark the waiting deliveries that the new delivery holds. A morph does not hold a delivery with its own target: the
 * caller has cleared the slot of that target. */
static void hold(vsi_conflation *conflation, const vsi_target *target) {
  for (size_t i = 0; i < SLOTS; i++) {
    const vsi_target *other = conflation->slots[i] ? target_of(conflation->slots[i]) : NULL;
    if (other && vsi_target_holds(target, other)) conflation->is_held[i] = true;
  }
  /* The HTML of an event may bind signals, which creates those that are missing, and it may read signals. If the
   * waiting signals patch were merged with a later one, it would take effect after this HTML instead of before it. The
   * order matters in two cases: the patch contains a list, and the HTML binds a signal; or the patch removes a signal,
   * and the HTML binds or reads one. In these cases, later patches are not merged with the waiting one. */
  const vsi_target *signals = conflation->signals ? target_of(conflation->signals) : NULL;
  if (signals && ((signals->has_list && target->state.bound) ||
                  (signals->takes_away && (target->state.bound || target->state.read))))
    conflation->signals = NULL;
  for (size_t k = 0; k < VSI_TARGET_MARKS / 64; k++) conflation->marks[k] |= target->marks[k];
}

vsi_delivery *vsi_conflation_add(vsi_conflation *conflation, vsi_delivery *delivery, vestry_event **ret_merged) {
  const vsi_target *target = target_of(delivery);
  vsi_delivery *superfluous = NULL;
  *ret_merged = NULL;
  switch (target ? target->effect : VSI_EFFECT_UNKNOWN) {
  case VSI_EFFECT_UNKNOWN:
    begin_run(conflation);
    conflation->signals = NULL;
    vsi_connection_count(&conflation->fences_count, 1);
    break;
  case VSI_EFFECT_PASSING:
    find_target(conflation, target);
    hold(conflation, target);
    break;
  case VSI_EFFECT_MISSING:
    conflation->signals = NULL;
    hold(conflation, target);
    break;
  case VSI_EFFECT_SIGNALS:
    superfluous = find_signals(conflation, target, ret_merged);
    if (superfluous) take_out(conflation, superfluous);
    conflation->signals = target->can_go ? delivery : NULL;
    hold(conflation, target);
    break;
  case VSI_EFFECT_MORPH:
    find_target(conflation, target);
    superfluous = find_morph(conflation, target);
    if (superfluous) take_out(conflation, superfluous);
    conflation->slots[target->hash % SLOTS] = NULL;
    hold(conflation, target);
    conflation->slots[target->hash % SLOTS] = delivery;
    conflation->is_held[target->hash % SLOTS] = false;
    break;
  }
  delivery->run = conflation->run;
  delivery->before = conflation->last;
  vsi_delivery_link(delivery, NULL);
  if (conflation->last)
    vsi_delivery_link(conflation->last, delivery);
  else
    conflation->first = delivery;
  conflation->last = delivery;
  return superfluous;
}

vsi_delivery *vsi_conflation_take(vsi_conflation *conflation) {
  vsi_delivery *delivery = conflation->first;
  if (delivery) take_out(conflation, delivery);
  return delivery;
}
