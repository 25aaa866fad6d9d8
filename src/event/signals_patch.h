/* SPDX-License-Identifier: MIT */
/* Patching signals that are values, not text. */
#ifndef VSI_EVENT_SIGNALS_PATCH_H
#define VSI_EVENT_SIGNALS_PATCH_H

#include <jansson.h>

#include "vestry/event.h"

/* As vestry_event_signals_text, of an object; its text is not made first, nor checked. Nesting counts as in text.
 * OK | INVALID (also: text in it that is not UTF-8) | TOO_LARGE | NO_MEMORY */
static inline vestry_err vsi_event_signals_value(const vestry_host *host, const json_t *signals,
                                                 const vestry_signals_options *options, vestry_event **ret_event) {
  const vestry_value value = vestry_value_json((json_t *)(uintptr_t)signals); /* which is not changed */
  return vestry_event_signals(host, &value, options, ret_event);
}

#endif
