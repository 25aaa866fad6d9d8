/* SPDX-License-Identifier: MIT */
#include "event/roundtrip.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "event/layout.h"
#include "event/sse_parser.h"

static bool has_break(const char *field) {
  return field && (strchr(field, '\r') || strchr(field, '\n'));
}

static bool is_empty(const char *field) {
  return !field || !*field;
}

/* Return whether a text of the event equals the field, or is absent if there was none. */
static bool is_text(sse_text got, const char *field) {
  return field ? got.data && got.len == strlen(field) && memcmp(got.data, field, got.len) == 0 : !got.data;
}

static bool is_value(const sse_event *event, const char *key, const char *field) {
  sse_text value = sse_value(event, key);
  bool is = is_text(value, is_empty(field) ? NULL : field);
  sse_text_finish(&value);
  return is;
}

/* Parse an event, and drop it. Returns NULL and one event that the caller finishes, or an error. */
static const char *read_one(vestry_event *event, const char *type, const vestry_event_options *options,
                            sse_stream *ret_stream) {
  vestry_slice bytes = vestry_event_bytes(event);
  sse_parse(bytes.data, bytes.len, ret_stream);
  vestry_event_unref(event);
  if (ret_stream->events_count != 1) return "not one event";
  if (ret_stream->comments_count || ret_stream->strange_count) return "lines of other kinds";
  const sse_event *got = &ret_stream->events[0];
  if (!is_text(got->type, type)) return "another type";
  if (!is_text(got->id, options->id)) return "another id";
  char retry[16] = "";
  for (uint32_t rest = options->retry_ms == 1000 ? 0 : options->retry_ms; rest; rest /= 10) {
    memmove(retry + 1, retry, strlen(retry) + 1);
    retry[0] = (char)('0' + rest % 10);
  }
  if (!is_text(got->retry, *retry ? retry : NULL)) return "another retry";
  return NULL;
}

/* Compare the lines of one key with the text that they were made from. */
static const char *compare_lines(const sse_event *event, const char *key, const char *text, size_t len) {
  sse_text got = sse_value(event, key), expected = sse_normalised(text, len);
  const char *why = sse_text_equal(got, expected) ? NULL : "another text";
  sse_text_finish(&got);
  sse_text_finish(&expected);
  return why;
}

static bool is_blank(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    char c = text[i];
    if (c != ' ' && c != '\t' && c != '\n' && c != '\f' && c != '\r') return false;
  }
  return true;
}

static bool elements_are_valid(const vestry_elements_options *o) {
  if (has_break(o->event.id) || has_break(o->selector) || has_break(o->view_transition_selector)) return false;
  if (!is_empty(o->view_transition_selector) && !o->use_view_transition) return false;
  bool by_id = o->mode == VESTRY_PATCH_OUTER || o->mode == VESTRY_PATCH_REPLACE;
  return (by_id || !is_empty(o->selector)) && o->mode <= VESTRY_PATCH_REMOVE && o->ns <= VESTRY_NAMESPACE_MATHML;
}

static const char *const modes[] = {
#define MODE(name, wire) [VESTRY_PATCH_##name] = wire,
    VESTRY_PATCH_MODES(MODE)};
static const char *const namespaces[] = {
#define NAMESPACE(name, wire) [VESTRY_NAMESPACE_##name] = wire,
    VESTRY_NAMESPACES(NAMESPACE)};

static const char *check_elements(const sse_event *got, const char *html, size_t len,
                                  const vestry_elements_options *o) {
  if (!is_value(got, "selector", o->selector)) return "another selector";
  if (!is_value(got, "mode", o->mode ? modes[o->mode] : NULL)) return "another mode";
  if (!is_value(got, "useViewTransition", o->use_view_transition ? "true" : NULL)) return "another useViewTransition";
  if (!is_value(got, "viewTransitionSelector", o->view_transition_selector)) return "another transition selector";
  if (!is_value(got, "namespace", o->ns ? namespaces[o->ns] : NULL)) return "another namespace";
  if (o->mode == VESTRY_PATCH_REMOVE || is_blank(html, len))
    return is_value(got, "elements", NULL) ? NULL : "elements where there should be none";
  return compare_lines(got, "elements", html, len);
}

const char *roundtrip_elements(const char *html, size_t len, const vestry_elements_options *options) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_elements(NULL, html, len, options, &event);
  if (error == VESTRY_TOO_LARGE && len > VESTRY_EVENT_MAX_BYTES / 16) return NULL;
  if (!elements_are_valid(options)) return error == VESTRY_INVALID ? NULL : "bad options were not refused";
  if (error) return "it was refused";
  sse_stream stream;
  const char *why = read_one(event, "datastar-patch-elements", &options->event, &stream);
  if (!why) why = check_elements(&stream.events[0], html, len, options);
  sse_finish(&stream);
  return why;
}

/* Check that the client receives valid JSON. jansson decides, except about text that JSON allows but C strings cannot
 * contain. */
static const char *check_is_json(const char *json, size_t len) {
  json_error_t error;
  json_t *value = json_loadb(json, len, JSON_ALLOW_NUL, &error);
  const char *why = NULL;
  if (value) {
    if (!json_is_object(value)) why = "no object was sent";
  } else if (json_error_code(&error) != json_error_numeric_overflow &&
             json_error_code(&error) != json_error_null_byte_in_key && !strstr(error.text, "invalid Unicode")) {
    why = "no JSON was sent";
  }
  json_decref(value);
  return why;
}

const char *roundtrip_signals(const char *json, size_t len, const vestry_signals_options *options) {
  vestry_event *event = NULL;
  vestry_err error = vsi_event_signals_text(NULL, json, len, options, &event);
  if (error == VESTRY_INVALID && has_break(options->event.id)) return NULL;
  if (error) {
    json_t *value = json_loadb(json, len, 0, NULL);
    /* jansson 2.14 overlooks a NUL after a number */
    bool is_good = json_is_object(value) && error == VESTRY_INVALID && !memchr(json, 0, len);
    json_decref(value);
    return is_good ? "an object was refused" : NULL;
  }
  if (has_break(options->event.id)) return "bad options were not refused";
  sse_stream stream;
  const char *why = read_one(event, "datastar-patch-signals", &options->event, &stream);
  if (!why && !is_value(&stream.events[0], "onlyIfMissing", options->only_if_missing ? "true" : NULL))
    why = "another onlyIfMissing";
  if (!why) why = compare_lines(&stream.events[0], "signals", json, len);
  if (!why) why = check_is_json(json, len);
  sse_finish(&stream);
  return why;
}

/* Compares letter by letter, with no code of the library. */
static bool begins_with(const char *at, const char *end, const char *word) {
  for (; *word; word++, at++) {
    if (at == end) return false;
    char c = *at;
    if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
    if (c != *word) return false;
  }
  return true;
}

static bool is_hazard(const char *at, const char *end) {
  return begins_with(at, end, "</script") || begins_with(at, end, "<!--") || begins_with(at, end, "</html") ||
         begins_with(at, end, "</head") || begins_with(at, end, "</body");
}

/* Read the value of an attribute up to its closing quote, unescape it and compare it. Returns the rest, or NULL. */
static const char *skip_attribute(const char *at, const char *value) {
  static const struct {
    const char *written;
    char meant;
  } entities[] = {{"&amp;", '&'}, {"&quot;", '"'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&#10;", '\n'}, {"&#13;", '\r'}};
  for (; *at && *at != '"'; value++) {
    char meant = *at;
    size_t written_len = 1;
    if (meant == '<' || meant == '>' || meant == '\n') return NULL;
    for (size_t i = 0; meant == '&' && i < sizeof entities / sizeof *entities; i++) {
      if (strncmp(at, entities[i].written, strlen(entities[i].written)) != 0) continue;
      meant = entities[i].meant;
      written_len = strlen(entities[i].written);
      break;
    }
    if (*at == '&' && written_len == 1) return NULL;
    if (meant != *value) return NULL;
    at += written_len;
  }
  return *at == '"' && !*value ? at + 1 : NULL;
}

static const char *skip(const char *at, const char *word) {
  return at && strncmp(at, word, strlen(word)) == 0 ? at + strlen(word) : NULL;
}

/* Compare the element's text with the given one: equal, except for the hazards. */
static const char *check_script_text(const char *got, const char *got_end, sse_text text) {
  const char *end = text.data + text.len;
  for (const char *at = got; at < got_end; at++) {
    if (is_hazard(at, got_end)) return "the text can leave its element";
  }
  size_t backslashes = 0; /* directly before `at` */
  for (const char *at = text.data; at < end; at++) {
    const char *expected = is_hazard(at, end) ? (backslashes % 2 ? "u003C" : "\\u003C") : NULL;
    size_t expected_len = expected ? strlen(expected) : 1;
    if ((size_t)(got_end - got) < expected_len || memcmp(got, expected ? expected : at, expected_len) != 0)
      return "another text";
    got += expected_len;
    backslashes = *at == '\\' ? backslashes + 1 : 0;
  }
  return got == got_end ? NULL : "more text";
}

static const char *check_script(const sse_event *got, const char *text, size_t len, bool keep,
                                const char *attribute_value) {
  if (!is_value(got, "selector", "body") || !is_value(got, "mode", "append")) return "another target";
  sse_text value = sse_value(got, "elements"), expected = sse_normalised(text, len);
  const char *why = "another element";
  const char *at = value.data ? skip(value.data, "<script") : NULL;
  if (attribute_value) {
    at = skip(at, " data-x=\"");
    if (at) at = skip_attribute(at, attribute_value);
  }
  if (!keep) at = skip(at, " data-effect=\"el.remove()\"");
  at = skip(at, ">");
  static const char close[] = "</script>";
  const char *end = value.data + value.len;
  if (at && (size_t)(end - at) >= strlen(close) && memcmp(end - strlen(close), close, strlen(close)) == 0)
    why = check_script_text(at, end - strlen(close), expected);
  sse_text_finish(&value);
  sse_text_finish(&expected);
  return why;
}

const char *roundtrip_script(const char *text, size_t len, const vsi_script_options *options,
                             const char *attribute_value) {
  vsi_script_options own = *options;
  vestry_attribute attribute = {"data-x", attribute_value};
  own.attributes = &attribute;
  own.attributes_count = attribute_value ? 1 : 0;
  vestry_event *event = NULL;
  vestry_err error = vsi_event_script(NULL, text, len, &own, &event);
  if (error == VESTRY_TOO_LARGE && len > VESTRY_EVENT_MAX_BYTES / 16) return NULL;
  if (has_break(own.event.id)) return error == VESTRY_INVALID ? NULL : "bad options were not refused";
  if (error) return "it was refused";
  sse_stream stream;
  const char *why = read_one(event, "datastar-patch-elements", &own.event, &stream);
  if (!why) why = check_script(&stream.events[0], text, len, own.keep, attribute_value);
  sse_finish(&stream);
  return why;
}

const char *roundtrip_comment(const char *text) {
  vestry_event *event = NULL;
  vestry_err error = vsi_event_comment(NULL, text, &event);
  if (has_break(text)) return error == VESTRY_INVALID ? NULL : "a line break was not refused";
  if (error) return "it was refused";
  vestry_slice bytes = vestry_event_bytes(event);
  sse_stream stream;
  sse_parse(bytes.data, bytes.len, &stream);
  const char *why = NULL;
  if (stream.events_count || stream.strange_count || stream.comments_count != 1) why = "not one comment";
  sse_finish(&stream);
  vestry_event_unref(event);
  return why;
}

const char *roundtrip_plain(const char *name, const char *data, size_t len, const vestry_event_options *options) {
  vestry_event *event = NULL;
  vestry_err error = vsi_event_plain(NULL, name, data, len, options, &event);
  if (error == VESTRY_TOO_LARGE && len > VESTRY_EVENT_MAX_BYTES / 16) return NULL;
  bool is_datastars = name && strncmp(name, "datastar", 8) == 0;
  if (has_break(name) || has_break(options->id) || is_datastars)
    return error == VESTRY_INVALID ? NULL : "a bad name or id was not refused";
  if (error) return "it was refused";
  sse_stream stream;
  const char *why;
  if (options->retry_ms == 1000) {
    vestry_slice bytes = vestry_event_bytes(event); /* events of other types omit the default */
    sse_parse(bytes.data, bytes.len, &stream);
    why = stream.events_count == 1 && is_text(stream.events[0].retry, "1000") ? NULL : "another retry";
    vestry_event_unref(event);
  } else {
    why = read_one(event, is_empty(name) ? NULL : name, options, &stream);
  }
  sse_text expected = sse_normalised(data ? data : "", len);
  if (!why && (!stream.events[0].data.data || !sse_text_equal(stream.events[0].data, expected))) why = "other data";
  sse_text_finish(&expected);
  sse_finish(&stream);
  return why;
}
