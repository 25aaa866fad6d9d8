/* SPDX-License-Identifier: MIT */
/* Signals patches made from values instead of text. */
#ifndef VSI_EVENT_SIGNALS_PATCH_H
#define VSI_EVENT_SIGNALS_PATCH_H

#include <jansson.h>

#include "vestry/event.h"

/* Make an event as vestry_event_signals_text, from an object, without first making and checking its text. Nesting
 * counts as in text. OK | INVALID (also: it contains text that is not UTF-8) | TOO_LARGE | NO_MEMORY */
static inline vestry_err vsi_event_signals_value(const vestry_host *host, const json_t *signals,
                                                 const vestry_signals_options *options, vestry_event **ret_event) {
  const vestry_value value = vestry_value_json((json_t *)(uintptr_t)signals); /* it is not modified */
  return vestry_event_signals(host, &value, options, ret_event);
}

#endif
