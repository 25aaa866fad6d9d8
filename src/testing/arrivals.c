/* SPDX-License-Identifier: MIT */
#include "testing/arrivals.h"

#include <string.h>

#include "base/array.h"
#include "base/memory.h"

vsi_parcel *vsi_parcel_new(const vestry_host *host, size_t sender, const char *subject, const void *data, size_t len) {
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

vestry_err vsi_arrivals_reserve(const vestry_host *host, vsi_arrivals *arrivals, size_t more) {
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

void vsi_arrivals_add(vsi_arrivals *arrivals, vsi_arrival arrival) {
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

size_t vsi_arrivals_cut(const vestry_host *host, vsi_arrivals *arrivals, bool (*passes)(size_t sender, void *ctx),
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
