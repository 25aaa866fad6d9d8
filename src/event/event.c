/* SPDX-License-Identifier: MIT */
/* Events: one allocation with the bytes and a reference count. Making an event by its layout, its extras (data that
 * other modules keep with it), the parts that all layouts have in common, and the kinds that the Datastar client
 * ignores: comment, reconnect delay, id, and events of the application. */
#include "vestry/event.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/field.h"
#include "base/memory.h"
#include "base/refs.h"
#include "base/trace.h"
#include "event/extras.h"
#include "event/layout.h"
#include "event/mark.h"
#include "json/write.h"

/* ---------------------------------------------------------------------------------- the trace of an event ---- */

typedef struct traced {
  vsi_event_extra extra; /* first member */
  const vestry_host *host;
  vestry_trace parent;
  uint64_t made_ns;
  _Atomic(uint32_t) count; /* writes, both reported and not reported */
} traced;

static void release_trace(vsi_event_extra *extra) {
  vsi_free(((traced *)extra)->host, extra);
}

/* Make an extra for an event that is made now, if this thread is in a sampled trace. NULL: it is not, or there is no
 * memory; then the event's writes are not reported. */
static vsi_event_extra *make_trace(const vestry_host *host) {
  const vestry_trace *parent = vsi_trace_carried(host);
  traced *of = parent ? vsi_alloc(host, sizeof *of) : NULL;
  if (!of) return NULL;
  of->extra = (vsi_event_extra){.release = release_trace};
  of->host = host;
  of->parent = *parent;
  of->made_ns = vsi_now_ns(host);
  atomic_init(&of->count, 0);
  return &of->extra;
}

void vsi_event_trace_written(const vestry_host *host, const vsi_event_extra *extras, size_t len) {
  while (extras && extras->release != release_trace) extras = extras->next;
  traced *of = (traced *)extras;
  /* relaxed: a counter. The load prevents it from ever wrapping. */
  if (!of || atomic_load_explicit(&of->count, memory_order_relaxed) >= VESTRY_TRACE_WRITES_MAX) return;
  if (atomic_fetch_add_explicit(&of->count, 1, memory_order_relaxed) >= VESTRY_TRACE_WRITES_MAX) return;
  vestry_span span;
  vsi_trace_make(host, &of->parent, VESTRY_SPAN_WRITE, &span);
  span.begun_ns = of->made_ns;
  span.count = len;
  vsi_trace_report(host, &span);
}

/* ---------------------------------------------------------------------------------------- making an event ---- */

enum { DRAFT_BYTES = 512 };

/* A small event is complete after the first pass, which writes a draft while it counts. */
vestry_err vsi_event_build_state(const vestry_host *host, vestry_slice state, vsi_event_layout *layout, const void *ctx,
                                 vestry_event **ret_event) {
  host = vsi_host(host);
  char draft[DRAFT_BYTES];
  vsi_writer counter = {.to = draft, .draft = sizeof draft};
  layout(&counter, ctx);
  if (counter.len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  const size_t behind = state.len ? state.len : vsi_event_room_place(counter.len) - counter.len + VSI_EVENT_ROOM_BYTES;
  vestry_event *event = vsi_alloc(host, sizeof *event + counter.len + behind);
  if (!event) return VESTRY_NO_MEMORY;
  event->host = host;
  VSI_REFS_INIT(&event->references, 1);
  atomic_init(&event->extras, host->tracer ? make_trace(host) : NULL);
  atomic_init(&event->previous, NULL);
  atomic_init(&event->number, 0);
  event->len = (uint32_t)counter.len;
  event->state_len = (uint8_t)state.len;
  atomic_init(&event->has_room, !state.len);
  if (state.len) memcpy(event->bytes + counter.len, state.data, state.len);
  if (counter.len <= sizeof draft) {
    memcpy(event->bytes, draft, counter.len);
  } else {
    vsi_writer writer = {.to = event->bytes, .has_breaks = counter.has_breaks};
    layout(&writer, ctx);
    assert(writer.len == counter.len);
  }
  *ret_event = event;
  return VESTRY_OK;
}

vestry_err vsi_event_build(const vestry_host *host, vsi_event_layout *layout, const void *ctx,
                           vestry_event **ret_event) {
  return vsi_event_build_state(host, (vestry_slice){NULL, 0}, layout, ctx, ret_event);
}

vestry_event *vestry_event_ref(vestry_event *event) {
  /* relaxed: the caller holds a reference, so the event exists meanwhile, and the bytes were published by the operation
   * that gave the event to this thread. */
  VSI_REFS_TAKE(&event->references);
  return event;
}

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
  } while (event && VSI_REFS_DROP(&event->references));
}

vestry_event *vestry_event_unref(vestry_event *event) {
  /* release: this thread's reads of the bytes come before the count drops. acquire, for the last thread: the reads of
   * all other threads come before the memory is freed. Each unref pairs with the last. */
  if (event && VSI_REFS_DROP(&event->references)) vsi_event_free(event);
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

vestry_err vsi_state_check(const char *state, const vestry_event_options *options) {
  const vestry_slice name = vsi_state_slice(state);
  if (!name.len) return VESTRY_OK;
  /* a later event of the state would take the id and the delay with it */
  const bool is_alone = !options->id && !options->retry_ms;
  return is_alone && name.len <= VSI_STATE_MAX_BYTES && vsi_is_one_line(state) ? VESTRY_OK : VESTRY_INVALID;
}

vestry_slice vestry_event_bytes(const vestry_event *event) {
  return (vestry_slice){.data = event->bytes, .len = event->len};
}

/* ----------------------------------------------------------------------------------- parts of all layouts ---- */

_Static_assert(VSI_JSON_MAX_BYTES == VESTRY_EVENT_MAX_BYTES, "JSON is written for events");

/* The reconnection delay that the client uses by default. */
enum { CLIENT_RETRY_MS = 1000 };

void vsi_put_head(vsi_writer *writer, const char *name, const vestry_event_options *options) {
  vsi_put_fields(writer, name, options->id, options->retry_ms != CLIENT_RETRY_MS ? options->retry_ms : 0);
}

/* ---------------------------------------------------------------------- events without effect on the page ---- */

/* An event of one line. */
typedef struct line {
  const char *key, *value;
} line;

static void line_layout(vsi_writer *writer, const void *ctx) {
  const line *is = ctx;
  vsi_put_str(writer, is->key);
  vsi_put_str(writer, is->value);
  vsi_put(writer, "\n\n", 2);
}

vestry_err vsi_event_comment(const vestry_host *host, const char *text, vestry_event **ret_event) {
  if (!vsi_is_one_line(text)) return VESTRY_INVALID;
  const line is = {text && *text ? ": " : ":", text ? text : ""};
  return vsi_event_build(host, line_layout, &is, ret_event);
}

vestry_err vsi_event_mark(const vestry_host *host, const char *mark, vestry_event **ret_event) {
  return vsi_event_build(host, line_layout, &(line){"id: ", mark}, ret_event);
}

/* A block without data dispatches no event, but its retry field takes effect (WHATWG HTML, section 9.2.6); the Datastar
 * client also reads it. */
vestry_err vsi_event_retry(const vestry_host *host, uint32_t retry_ms, vestry_event **ret_event) {
  char value[16];
  snprintf(value, sizeof value, "%" PRIu32, vsi_browser_ms(retry_ms));
  return vsi_event_build(host, line_layout, &(line){"retry: ", value}, ret_event);
}

/* Events with names of the application, as specified for event streams (WHATWG HTML, section 9.2): for EventSource and
 * other readers. The Datastar client ignores them. */
typedef struct plain {
  vestry_event_options options;
  const char *name, *data;
  size_t len;
} plain;

static void plain_layout(vsi_writer *writer, const void *ctx) {
  const plain *p = ctx;
  /* A retry of 1000 is written, too, because it is not the default of every reader. */
  vsi_put_fields(writer, p->name, p->options.id, p->options.retry_ms);
  /* Write a data line even if it is empty, because without one no event is dispatched. */
  vsi_put_str(writer, "data: ");
  vsi_put_lines(writer, p->data, p->len, "data: ");
  vsi_put_str(writer, "\n\n");
}

/* Return whether the Datastar client acts on this name: such an event could patch the page. */
static bool is_datastars(const char *name) {
  static const char prefix[] = "datastar";
  return strncmp(name, prefix, sizeof prefix - 1) == 0;
}

vestry_err vsi_event_plain(const vestry_host *host, const char *name, const char *data, size_t len,
                           const vestry_event_options *options, vestry_event **ret_event) {
  const plain p = {
      .options = options ? *options : (vestry_event_options){0}, .name = name, .data = data ? data : "", .len = len};
  if (!vsi_is_one_line(name) || !vsi_is_one_line(p.options.id) || (name && is_datastars(name))) return VESTRY_INVALID;
  return vsi_event_build(host, plain_layout, &p, ret_event);
}
