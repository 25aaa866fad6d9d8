/* SPDX-License-Identifier: MIT */
#include "event/extras.h"

#include "base/memory.h"

void vsi_event_free(vestry_event *event) {
  do {
    vsi_event_extra *extra = atomic_load_explicit(&event->extras, memory_order_relaxed); /* no other holder is left */
    while (extra) {
      vsi_event_extra *next = extra->next;
      extra->release(extra);
      extra = next;
    }
    vestry_event *previous = atomic_load_explicit(&event->previous, memory_order_relaxed); /* a reference */
    vsi_free(event->host, event);
    event = previous;
  } while (event && VSI_REFS_DROP_MANY(&event->references, 1));
}

uint64_t vsi_event_number(vestry_event *event, _Atomic(uint64_t) *counter) {
  /* relaxed: only the value matters */
  uint64_t number = atomic_load_explicit(&event->number, memory_order_relaxed);
  if (number) return number;
  uint64_t made = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
  if (!made) made = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
  bool is_first = atomic_compare_exchange_strong_explicit(&event->number, &number, made, memory_order_relaxed,
                                                          memory_order_relaxed);
  return is_first ? made : number;
}

vsi_event_extra *vsi_event_extras(const vestry_event *event) {
  return atomic_load_explicit(&event->extras, memory_order_acquire); /* pairs with the release in add */
}

void vsi_event_extra_add(vestry_event *event, vsi_event_extra *extra) {
  extra->next = atomic_load_explicit(&event->extras, memory_order_relaxed);
  /* release pairs with the acquire in vsi_event_extras: a thread that sees the extra sees its content. The extras below
   * it were released by their own pushes, and this read-modify-write continues their release sequences. */
  while (!atomic_compare_exchange_weak_explicit(&event->extras, &extra->next, extra, memory_order_release,
                                                memory_order_relaxed))
    continue;
}

const vestry_host *vsi_event_host(const vestry_event *event) {
  return event->host;
}
