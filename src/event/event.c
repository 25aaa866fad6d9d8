#include "vestry/event.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "event/writer.h"

/* One allocation: this, and the bytes right behind it. Nothing but the count changes after vsi_event_build. */
struct vestry_event {
  const vestry_host *host;
  _Atomic(size_t) references;
  size_t len;
  char bytes[];
};

vestry_err vsi_event_build(const vestry_host *host, vsi_event_layout *layout, const void *ctx,
                           vestry_event **ret_event) {
  host = vsi_host(host);
  vsi_writer counter = {.to = NULL};
  layout(&counter, ctx);
  if (counter.len > VESTRY_EVENT_MAX_BYTES) return VESTRY_TOO_LARGE;
  vestry_event *event = vsi_alloc(host, sizeof *event + counter.len);
  if (!event) return VESTRY_NO_MEMORY;
  event->host = host;
  atomic_init(&event->references, 1);
  event->len = counter.len;
  vsi_writer writer = {.to = event->bytes};
  layout(&writer, ctx);
  assert(writer.len == counter.len);
  *ret_event = event;
  return VESTRY_OK;
}

vestry_event *vestry_event_ref(vestry_event *event) {
  /* relaxed: whoever passes a reference on has one, so the event cannot be going away meanwhile, and the bytes were
   * published by whatever handed the event to this thread. */
  atomic_fetch_add_explicit(&event->references, 1, memory_order_relaxed);
  return event;
}

vestry_event *vestry_event_unref(vestry_event *event) {
  if (!event) return NULL;
  /* release: this thread's reads of the bytes come before the count drops. acquire, for the last one: so do everybody
   * else's, before the memory is given back. Each unref pairs with the last. */
  if (atomic_fetch_sub_explicit(&event->references, 1, memory_order_acq_rel) == 1) vsi_free(event->host, event);
  return NULL;
}

vestry_slice vestry_event_bytes(const vestry_event *event) {
  return (vestry_slice){.data = event->bytes, .len = event->len};
}

static void comment_layout(vsi_writer *writer, const void *ctx) {
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
