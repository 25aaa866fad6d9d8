/* SPDX-License-Identifier: MIT */
#include "event/sse_parser.h"

#include <stdlib.h>
#include <string.h>

static void *must(void *memory) {
  if (!memory) abort();
  return memory;
}

void sse_text_append(sse_text *text, const char *data, size_t len) {
  text->data = must(realloc(text->data, text->len + len + 1));
  if (len) memcpy(text->data + text->len, data, len);
  text->len += len;
  text->data[text->len] = '\0';
}

void sse_text_finish(sse_text *text) {
  free(text->data);
  *text = (sse_text){NULL, 0};
}

bool sse_text_equal(sse_text a, sse_text b) {
  if (!a.data || !b.data) return a.data == b.data;
  return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

sse_text sse_normalised(const char *text, size_t len) {
  sse_text out = {NULL, 0};
  sse_text_append(&out, "", 0);
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '\r') {
      sse_text_append(&out, "\n", 1);
      if (i + 1 < len && text[i + 1] == '\n') i++;
    } else {
      sse_text_append(&out, text + i, 1);
    }
  }
  return out;
}

static void set(sse_text *field, const char *value, size_t len) {
  sse_text_finish(field);
  sse_text_append(field, value, len);
}

static void take_field(sse_stream *stream, sse_event *event, const char *line, size_t len) {
  size_t name_len = 0;
  while (name_len < len && line[name_len] != ':') name_len++;
  const char *value = line + name_len;
  size_t value_len = len - name_len;
  if (value_len) value++, value_len--;
  if (value_len && *value == ' ') value++, value_len--;
#define IS(name) (name_len == sizeof(name) - 1 && memcmp(line, name, name_len) == 0)
  if (IS("event"))
    set(&event->type, value, value_len);
  else if (IS("id"))
    set(&event->id, value, value_len);
  else if (IS("retry"))
    set(&event->retry, value, value_len);
  else if (IS("data")) {
    if (event->data.data) sse_text_append(&event->data, "\n", 1);
    sse_text_append(&event->data, value, value_len);
  } else
    stream->strange_count++;
#undef IS
}

static bool has_fields(const sse_event *event) {
  return event->type.data || event->id.data || event->retry.data || event->data.data;
}

static void event_finish(sse_event *event) {
  sse_text_finish(&event->type);
  sse_text_finish(&event->id);
  sse_text_finish(&event->retry);
  sse_text_finish(&event->data);
}

void sse_parse(const void *bytes, size_t len, sse_stream *ret_stream) {
  const char *text = bytes;
  sse_stream stream = {.events = NULL};
  sse_event event = {.type = {NULL, 0}};
  size_t at = 0;
  while (at < len) {
    size_t end = at;
    while (end < len && text[end] != '\r' && text[end] != '\n') end++;
    if (end == len) break; /* no line end: not yet a line */
    if (end == at) {
      if (has_fields(&event)) {
        stream.events = must(realloc(stream.events, (stream.events_count + 1) * sizeof *stream.events));
        stream.events[stream.events_count++] = event;
        event = (sse_event){.type = {NULL, 0}};
      }
    } else if (text[at] == ':') {
      stream.comments_count++;
    } else {
      take_field(&stream, &event, text + at, end - at);
    }
    at = end + 1;
    if (text[end] == '\r' && at < len && text[at] == '\n') at++;
  }
  if (at < len || has_fields(&event)) stream.strange_count++;
  event_finish(&event);
  *ret_stream = stream;
}

void sse_finish(sse_stream *stream) {
  for (size_t i = 0; i < stream->events_count; i++) event_finish(&stream->events[i]);
  free(stream->events);
  *stream = (sse_stream){.events = NULL};
}

sse_text sse_value(const sse_event *event, const char *key) {
  sse_text value = {NULL, 0};
  size_t key_len = strlen(key);
  for (size_t at = 0; event->data.data && at <= event->data.len;) {
    const char *line = event->data.data + at;
    const char *end = memchr(line, '\n', event->data.len - at);
    size_t len = end ? (size_t)(end - line) : event->data.len - at;
    if (len > key_len && memcmp(line, key, key_len) == 0 && line[key_len] == ' ') {
      if (value.data) sse_text_append(&value, "\n", 1);
      sse_text_append(&value, line + key_len + 1, len - key_len - 1);
    }
    at += len + 1;
  }
  return value;
}
