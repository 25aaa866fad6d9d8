/* SPDX-License-Identifier: MIT */
/* Events with names of the application, as specified for event streams (WHATWG HTML, section 9.2): for EventSource and
 * other readers. The Datastar client ignores them. */
#include <string.h>

#include "base/field.h"
#include "base/options.h"
#include "event/layout.h"

typedef struct plain {
  vestry_plain_options options;
  const char *name, *data;
  size_t len;
} plain;

static void plain_layout(vsi_writer *writer, vsi_event_meaning *meaning, const void *ctx) {
  const plain *p = ctx;
  const vestry_event_options *event = &p->options.event;
  meaning->kind = VSI_EVENT_NOTHING;
  /* A retry of 1000 is written, too, because it is not the default of every reader. */
  vsi_put_fields(writer, meaning, p->name, event->id, event->retry_ms);
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

vestry_err vestry_event_plain(const vestry_host *host, const char *name, const char *data, size_t len,
                              const vestry_plain_options *options, vestry_event **ret_event) {
  plain p = {.name = name, .data = data, .len = len};
  if (VSI_OPTIONS_TAKE(vestry_plain_options, p.options, options) || (!data && len)) return VESTRY_INVALID;
  if (!vsi_is_one_line(name) || !vsi_is_one_line(p.options.event.id) || (name && is_datastars(name)))
    return VESTRY_INVALID;
  if (!data) p.data = "";
  return vsi_event_build(host, plain_layout, &p, ret_event);
}
