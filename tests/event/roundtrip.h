/* SPDX-License-Identifier: MIT */
/* The property of every event: whatever text it was made from, an independent parser finds exactly one event, of the
 * right kind, whose data is that text with its line breaks as LF. Used by a test and by a fuzz target.
 *
 * Each function makes an event and reads it back. NULL: it was read back unchanged, or refused for a good reason;
 * otherwise the error. */
#ifndef TESTS_EVENT_ROUNDTRIP_H
#define TESTS_EVENT_ROUNDTRIP_H

#include "event/script.h"
#include "vestry/event.h"

const char *roundtrip_elements(const char *html, size_t len, const vestry_elements_options *options);
const char *roundtrip_signals(const char *json, size_t len, const vestry_signals_options *options);
/* options without attributes; attribute_value, if any, becomes the value of one. */
const char *roundtrip_script(const char *text, size_t len, const vsi_script_options *options,
                             const char *attribute_value);
/* name NULL: none. */
const char *roundtrip_plain(const char *name, const char *data, size_t len, const vestry_event_options *options);
const char *roundtrip_comment(const char *text);

#endif
