#include "stream/conflation.h"

#include "base/memory.h"
#include "event/target.h"

/* A list, oldest first, and for each target the last delivery that set it. What makes a delivery superfluous is written
 * in event/target.c; here is only the order. Barriers cut the list into stretches: two deliveries of one stretch have
 * none between them. A later one looks its target up, and if the delivery there is of its own stretch, that one goes.
 *
 * The table has one slot for several targets. A new delivery overwrites the slot; the older one is then written as if
 * there were no conflation. So a step costs the same however many wait. A slot points to a waiting delivery or to
 * nothing: take_out clears the slot of what it takes out.
 *
 * A delivery that brings ids begins a new stretch and belongs to it. It still replaces an older delivery of its own
 * target in the former stretch, and a newer one can replace it: between two deliveries of that target stands nothing
 * that its ids could harm. */

enum { SLOTS = VSI_CONFLATION_SLOTS };

vestry_err vsi_conflation_create(const vestry_host *host, vsi_conflation **ret_conflation) {
  vsi_conflation *conflation = vsi_calloc(host, 1, sizeof *conflation);
  if (!conflation) return VESTRY_NO_MEMORY;
  conflation->host = host;
  *ret_conflation = conflation;
  return VESTRY_OK;
}

void vsi_conflation_destroy(const vestry_host *host, vsi_conflation *conflation) {
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

/* The one of the same target, in the same stretch, that may go. */
static vsi_delivery *find_morph(const vsi_conflation *conflation, const vsi_target *target) {
  vsi_delivery *last = conflation->slots[target->hash % SLOTS];
  if (!last || last->stretch != conflation->stretch) return NULL;
  const vsi_target *other = target_of(last);
  return vsi_target_replaces(target, other) ? last : NULL;
}

static vsi_delivery *find_signals(vsi_conflation *conflation, const vsi_target *target, vestry_event **ret_merged) {
  vsi_delivery *last = conflation->signals;
  if (!last || !target->can_go) return NULL;
  const vsi_target *other = target_of(last);
  vestry_event *merged = NULL;
  if (vsi_signals_merge(conflation->host, other, target, &merged)) return NULL; /* out of memory too: both wait */
  if (merged && !vsi_event_target(merged)) { /* it could not be merged again: better both */
    vestry_event_unref(merged);
    return NULL;
  }
  *ret_merged = merged;
  return last;
}

/* What binds signals is not left out across a patch that asks which are missing. */
static void hold_bound(vsi_conflation *conflation) {
  for (size_t i = 0; i < SLOTS; i++) {
    const vsi_target *target = conflation->slots[i] ? target_of(conflation->slots[i]) : NULL;
    if (target && target->binds_count) conflation->slots[i] = NULL;
  }
}

vsi_delivery *vsi_conflation_add(vsi_conflation *conflation, vsi_delivery *delivery, vestry_event **ret_merged) {
  const vsi_target *target = target_of(delivery);
  vsi_delivery *superfluous = NULL;
  *ret_merged = NULL;
  switch (target ? target->effect : VSI_EFFECT_UNKNOWN) {
  case VSI_EFFECT_UNKNOWN:
    conflation->stretch++;
    conflation->signals = NULL;
    /* one writer (the runner), and a mere count */
    atomic_store_explicit(&conflation->barriers_count,
                          atomic_load_explicit(&conflation->barriers_count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    break;
  case VSI_EFFECT_PASSING: break;
  case VSI_EFFECT_MISSING:
    conflation->signals = NULL;
    hold_bound(conflation);
    break;
  case VSI_EFFECT_SIGNALS:
    superfluous = find_signals(conflation, target, ret_merged);
    if (superfluous) take_out(conflation, superfluous);
    conflation->signals = target->can_go ? delivery : NULL;
    break;
  case VSI_EFFECT_MORPH:
    superfluous = find_morph(conflation, target);
    if (superfluous) take_out(conflation, superfluous);
    if (target->brings_ids) conflation->stretch++;
    conflation->slots[target->hash % SLOTS] = delivery;
    break;
  }
  delivery->stretch = conflation->stretch;
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
