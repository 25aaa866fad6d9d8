/* SPDX-License-Identifier: MIT */
/* An event as the layers that send it see it: its length and state; room for one delivery; data that they keep with it
 * for its lifetime, such as encoded forms of it, made once for all streams; and references for many streams. */
#ifndef VSI_EVENT_EXTRAS_H
#define VSI_EVENT_EXTRAS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/event.h"

/* First member of such data. */
typedef struct vsi_event_extra {
  struct vsi_event_extra *next; /* set by vsi_event_extra_add, then constant */
  /* Frees the data together with the event, on the thread that drops the event's last reference. */
  void (*release)(struct vsi_event_extra *extra);
} vsi_event_extra;

/* An event is one allocation: this struct, directly followed by the bytes. Behind them is the name of the state that
 * the event shows or, if it shows none, room for one delivery. A layout function writes the bytes. After
 * vsi_event_build_state only five members change: the count of references; the list of extras; the number, by which
 * the encoders recognize an event; the previous event; and whether the room is free.
 *
 * An event may follow a previous event, for example the last render of the same page. It is then encoded as the
 * difference from that one (coding/coder.c). The reference to the previous event can be taken once: the thread that
 * swaps it for NULL owns it. So no lock is needed between two threads that drop this reference: a runner that has
 * encoded this event, and a thread that calls vestry_event_follow(next, this). */
struct vestry_event {
  const vestry_host *host;
  _Atomic(size_t) references;
  _Atomic(vsi_event_extra *) extras; /* a stack that only grows */
  _Atomic(vestry_event *) previous;  /* a reference; NULL: none */
  _Atomic(uint64_t) number;          /* 0: none yet */
  uint32_t len;
  uint8_t state_len;      /* 0: it shows no state */
  _Atomic(bool) has_room; /* the room exists and is free */
  char bytes[];
};

/* Get the name of the state that an event shows, valid as long as the event; len 0: none. Any thread. */
static inline vestry_slice vsi_event_state(const vestry_event *event) {
  return (vestry_slice){.data = event->bytes + event->len, .len = event->state_len};
}

/* The room: most events are sent to one stream, so the delivery (coding/delivery.h) needs no separate allocation. It is
 * aligned as pointers are. */
enum { VSI_EVENT_ROOM_BYTES = 56 };
/* Return the offset of the room in the bytes of an event of len bytes. */
static inline size_t vsi_event_room_place(size_t len) {
  const size_t head = offsetof(vestry_event, bytes), unit = sizeof(void *);
  return (head + len + unit - 1) / unit * unit - head;
}
static inline void *vsi_event_room(vestry_event *event) {
  return event->bytes + vsi_event_room_place(event->len);
}
/* Take the room; NULL: it is taken, or there is none. The caller holds a reference until it gives the room back. Any
 * thread, lock-free. */
static inline void *vsi_event_take_room(vestry_event *event) {
  /* acquire pairs with the release of the thread that used it before. The load is cheaper. */
  return atomic_load_explicit(&event->has_room, memory_order_relaxed) &&
                 atomic_exchange_explicit(&event->has_room, false, memory_order_acquire)
             ? vsi_event_room(event)
             : NULL;
}
static inline void vsi_event_give_room(vestry_event *event) {
  atomic_store_explicit(&event->has_room, true, memory_order_release);
}

/* Get the extras of an event, the youngest first. They exist as long as a reference to the event is held. Any thread,
 * wait-free. */
vsi_event_extra *vsi_event_extras(const vestry_event *event);

/* Add an extra to an event. Any thread, lock-free. */
void vsi_event_extra_add(vestry_event *event, vsi_event_extra *extra);

/* Return the event's number; give it one at the first call. Numbers of one counter are unique among events. Any thread,
 * lock-free. */
uint64_t vsi_event_number(vestry_event *event, _Atomic(uint64_t) *counter);

/* Take the event that this one follows (vestry_event_follow): a reference for the caller; NULL: none, or it was taken
 * before. Any thread, lock-free. */
static inline vestry_event *vsi_event_take_previous(vestry_event *event) {
  /* Load first: most events follow none, and a swap would take the cache line from all other threads that send the
   * event. */
  if (!atomic_load_explicit(&event->previous, memory_order_relaxed)) return NULL;
  return atomic_exchange_explicit(&event->previous, NULL, memory_order_acq_rel);
}

/* Free an event whose last reference was dropped, and drop its reference to the previous one. */
void vsi_event_free(vestry_event *event);

/* Report that a stream's transport has taken an event of len bytes completely. extras: the event's. No lock held. */
void vsi_event_trace_written(const vestry_host *host, const vsi_event_extra *extras, size_t len);

#endif
