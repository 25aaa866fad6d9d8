/* SPDX-License-Identifier: MIT */
/* Events: one allocation with the bytes and a reference count. Making an event by its layout, its extras (data that
 * other modules keep with it), and the simplest kinds: comment, reconnect delay, id. */
#include "vestry/event.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/field.h"
#include "base/memory.h"
#include "base/refs.h"
#include "event/extras.h"
#include "event/layout.h"
#include "event/mark.h"
#include "event/trace.h"

/* An event is one allocation: this struct, directly followed by the bytes. A layout function writes the bytes, and also
 * the event's meaning, which is its effect on the page (layout.h). After vsi_event_build only four members change: the
 * count of references; the list of extras, which are data that other layers attach; the number, by which the encoders
 * recognize an event (extras.h); and the previous event.
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
  size_t len;
  vsi_event_meaning meaning;
  char bytes[];
};

vestry_err vsi_event_build(const vestry_host *host, vsi_event_layout *layout, const void *ctx,
                           vestry_event **ret_event) {
  host = vsi_host(host);
  vsi_writer counter = {.to = NULL};
  vsi_event_meaning meaning = {.kind = VSI_EVENT_NOTHING};
  layout(&counter, &meaning, ctx);
  if (counter.len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vestry_event *event = vsi_alloc(host, sizeof *event + counter.len);
  if (!event) return VESTRY_NO_MEMORY;
  event->host = host;
  VSI_REFS_INIT(&event->references, 1);
  atomic_init(&event->extras, vsi_tracer_of(host) ? vsi_event_trace_make(host) : NULL);
  atomic_init(&event->previous, NULL);
  atomic_init(&event->number, 0);
  event->len = counter.len;
  event->meaning = (vsi_event_meaning){.kind = VSI_EVENT_NOTHING};
  vsi_writer writer = {.to = event->bytes};
  layout(&writer, &event->meaning, ctx);
  assert(writer.len == counter.len);
  *ret_event = event;
  return VESTRY_OK;
}

vestry_event *vestry_event_ref(vestry_event *event) {
  /* relaxed: the caller holds a reference, so the event exists meanwhile, and the bytes were published by the operation
   * that gave the event to this thread. */
  VSI_REFS_TAKE(&event->references);
  return event;
}

vestry_event *vestry_event_unref(vestry_event *event) {
  /* release: this thread's reads of the bytes come before the count drops. acquire, for the last thread: the reads of
   * all other threads come before the memory is freed. Each unref pairs with the last. */
  while (event && VSI_REFS_DROP(&event->references)) {
    vsi_event_extra *extra = atomic_load_explicit(&event->extras, memory_order_relaxed); /* no other holder is left */
    while (extra) {
      vsi_event_extra *next = extra->next;
      extra->release(extra);
      extra = next;
    }
    vestry_event *previous = atomic_load_explicit(&event->previous, memory_order_relaxed); /* a reference */
    vsi_free(event->host, event);
    event = previous;
  }
  return NULL;
}

void vestry_event_follow(vestry_event *event, vestry_event *previous) {
  if (!event || event == previous) return;
  if (previous) {
    vestry_event_ref(previous);
    vestry_event_unref(vsi_event_take_previous(previous));
  }
  /* acq_rel: release pairs with the acquire of the thread that takes it; acquire pairs with the release of the thread
   * that set the old value */
  vestry_event_unref(atomic_exchange_explicit(&event->previous, previous, memory_order_acq_rel));
}

vestry_event *vsi_event_take_previous(vestry_event *event) {
  /* Load first: most events follow none, and a swap would take the cache line from all other threads that send the
   * event. */
  if (!atomic_load_explicit(&event->previous, memory_order_relaxed)) return NULL;
  return atomic_exchange_explicit(&event->previous, NULL, memory_order_acq_rel);
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

vsi_event_extra *vsi_event_extra_add_once(vestry_event *event, vsi_event_extra *extra) {
  extra->next = vsi_event_extras(event);
  do {
    for (vsi_event_extra *at = extra->next; at; at = at->next)
      if (at->release == extra->release) return at;
    /* as in vsi_event_extra_add; acquire: extras that other threads have pushed meanwhile are read */
  } while (!atomic_compare_exchange_weak_explicit(&event->extras, &extra->next, extra, memory_order_acq_rel,
                                                  memory_order_acquire));
  return extra;
}

const vestry_host *vsi_event_host(const vestry_event *event) {
  return event->host;
}

const vsi_event_meaning *vsi_event_meaning_of(const vestry_event *event) {
  return &event->meaning;
}

vestry_slice vestry_event_bytes(const vestry_event *event) {
  return (vestry_slice){.data = event->bytes, .len = event->len};
}

static void comment_layout(vsi_writer *writer, vsi_event_meaning *meaning, const void *ctx) {
  (void)meaning;
  const char *text = ctx;
  if (text && *text) {
    vsi_put_line(writer, ": ", text);
    vsi_put(writer, "\n", 1);
  } else {
    vsi_put_str(writer, ":\n\n");
  }
}

vestry_err vestry_event_comment(const vestry_host *host, const char *text, vestry_event **ret_event) {
  if (!vsi_is_one_line(text)) return VESTRY_INVALID;
  return vsi_event_build(host, comment_layout, text, ret_event);
}

static void retry_layout(vsi_writer *writer, vsi_event_meaning *meaning, const void *ctx) {
  (void)meaning;
  vsi_put_str(writer, "retry: ");
  vsi_put_uint(writer, *(const uint32_t *)ctx);
  vsi_put_str(writer, "\n\n");
}

static void mark_layout(vsi_writer *writer, vsi_event_meaning *meaning, const void *ctx) {
  (void)meaning;
  vsi_put_line(writer, "id: ", ctx);
  vsi_put(writer, "\n", 1);
}

vestry_err vsi_event_mark(const vestry_host *host, const char *mark, vestry_event **ret_event) {
  return vsi_event_build(host, mark_layout, mark, ret_event);
}

/* A block without data dispatches no event, but its retry field takes effect (WHATWG HTML, section 9.2.6); the Datastar
 * client also reads it. */
vestry_err vestry_event_retry(const vestry_host *host, uint32_t retry_ms, vestry_event **ret_event) {
  return vsi_event_build(host, retry_layout, &retry_ms, ret_event);
}
