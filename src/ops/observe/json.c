/* SPDX-License-Identifier: MIT */
#include "ops/observe/json.h"

#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"
#include "connection/send.h"
#include "event/layout.h"
#include "vestry/cause.h"
#include "json/write.h"

void vsi_json_begin(vsi_json_writer *json, const vestry_host *host) {
  vsi_buffer_init(&json->text, host);
  json->is_first = true;
}

void vsi_json_begin_object(vsi_json_writer *json, const vestry_host *host) {
  vsi_json_begin(json, host);
  vsi_json_open(json, NULL, '{');
}

void vsi_json_finish(vsi_json_writer *json) {
  vsi_buffer_finish(&json->text);
}

static void put_name(vsi_json_writer *json, const char *name) {
  if (!json->is_first) vsi_buffer_append_char(&json->text, ',');
  json->is_first = false;
  if (!name) return;
  vsi_buffer_append_char(&json->text, '"');
  vsi_buffer_append_str(&json->text, name);
  vsi_buffer_append(&json->text, "\":", 2);
}

void vsi_json_open(vsi_json_writer *json, const char *name, char bracket) {
  put_name(json, name);
  vsi_buffer_append_char(&json->text, bracket);
  json->is_first = true;
}

void vsi_json_close(vsi_json_writer *json, char end) {
  vsi_buffer_append_char(&json->text, end);
  json->is_first = false;
}

/* Replace each malformed sequence by U+FFFD. */
static void put_repaired(vsi_buffer *text, const char *at, const char *end) {
  vsi_buffer whole;
  vsi_buffer_init(&whole, text->host);
  while (at < end) {
    bool is_valid;
    const size_t len = vsi_utf8_next(at, end, &is_valid);
    if (is_valid)
      vsi_buffer_append(&whole, at, len);
    else
      vsi_buffer_append_str(&whole, VSI_UTF8_REPLACEMENT);
    at += len;
  }
  if (whole.error)
    text->error = whole.error;
  else
    vsi_literal_append(text, whole.data, whole.len);
  vsi_buffer_finish(&whole);
}

void vsi_json_text(vsi_json_writer *json, const char *name, const char *text, size_t len) {
  put_name(json, name);
  if (vsi_is_utf8(text, len))
    vsi_literal_append(&json->text, len ? text : "", len);
  else
    put_repaired(&json->text, text, text + len);
}

void vsi_json_str(vsi_json_writer *json, const char *name, const char *text) {
  if (text)
    vsi_json_text(json, name, text, strlen(text));
  else
    vsi_json_null(json, name);
}

void vsi_json_count(vsi_json_writer *json, const char *name, uint64_t value) {
  put_name(json, name);
  vsi_buffer_printf(&json->text, "%" PRIu64, value);
}

void vsi_json_bool(vsi_json_writer *json, const char *name, bool value) {
  put_name(json, name);
  vsi_buffer_append_str(&json->text, value ? "true" : "false");
}

void vsi_json_null(vsi_json_writer *json, const char *name) {
  put_name(json, name);
  vsi_buffer_append_str(&json->text, "null");
}

/* ------------------------------------------------------------------------------------------------ members -------- */

/* Written from integers, because the decimal separator of printf depends on the locale. */
static void put_number(vsi_json_writer *json, const char *name, double value) {
  const double most = 1e15;
  const double bounded = value > most ? most : value < -most ? -most : value == value ? value : 0;
  const bool is_negative = bounded < 0;
  const uint64_t milli = (uint64_t)((is_negative ? -bounded : bounded) * 1000 + 0.5);
  put_name(json, name);
  vsi_buffer_printf(&json->text, "%s%" PRIu64 ".%03u", is_negative && milli ? "-" : "", milli / 1000,
                    (unsigned)(milli % 1000));
}

static void put_causes(vsi_json_writer *json, const char *name, const uint64_t *counts) {
  vsi_json_open(json, name, '{');
  for (int cause = VESTRY_CAUSE_NONE + 1; cause < VESTRY_CAUSE_COUNT; cause++)
    if (counts[cause]) vsi_json_count(json, vestry_cause_name((vestry_cause)cause), counts[cause]);
  vsi_json_close(json, '}');
}

static void put_count(vsi_json_writer *json, const char *name, bool is_known, uint64_t count) {
  if (is_known)
    vsi_json_count(json, name, count);
  else
    vsi_json_null(json, name);
}

/* Read a number of 4 or 8 bytes. */
static uint64_t count_at(const vsi_json_member *member, const void *at) {
  uint32_t half = 0;
  uint64_t whole = 0;
  if (member->bytes == sizeof half) memcpy(&half, at, sizeof half);
  if (member->bytes == sizeof whole) memcpy(&whole, at, sizeof whole);
  return half + whole;
}

static void put_member(vsi_json_writer *json, const vsi_json_member *member, const void *at) {
  static const char *const waits[] = {NULL, "stream window", "connection window", "socket"};
  static const char *const states[] = {"opening", "open", "closing", "closed"};
  const char *name = member->name;
  const uint64_t count = count_at(member, at);
  switch (member->kind) {
  case VSI_JSON_COUNT: vsi_json_count(json, name, count); break;
  case VSI_JSON_AGO: put_count(json, name, count != VESTRY_NEVER_MS, count); break;
  case VSI_JSON_BYTES: put_count(json, name, count <= INT64_MAX, count); break;
  case VSI_JSON_NUMBER: put_number(json, name, *(const double *)at); break;
  case VSI_JSON_MS: put_number(json, name, (double)count / 1e6); break;
  case VSI_JSON_BOOL: vsi_json_bool(json, name, *(const bool *)at); break;
  case VSI_JSON_FLAG:
    if (*(const bool *)at) vsi_json_bool(json, name, true);
    break;
  case VSI_JSON_STR: vsi_json_str(json, name, *(const char *const *)at); break;
  case VSI_JSON_CHARS: vsi_json_str(json, name, at); break;
  case VSI_JSON_STATE: vsi_json_str(json, name, states[count]); break;
  case VSI_JSON_CLOSED: vsi_json_str(json, name, states[VESTRY_STATE_CLOSED]); break;
  case VSI_JSON_CAUSE: vsi_json_str(json, name, count ? vestry_cause_name((vestry_cause)count) : NULL); break;
  case VSI_JSON_CAUSES: put_causes(json, name, at); break;
  case VSI_JSON_WAIT: vsi_json_str(json, name, waits[count]); break;
  case VSI_JSON_ERROR: vsi_json_str(json, name, count ? vestry_strerror((vestry_err)count) : NULL); break;
  }
}

void vsi_json_members(vsi_json_writer *json, const vsi_json_member *members, size_t count, const void *of) {
  for (size_t i = 0; i < count; i++) put_member(json, &members[i], (const char *)of + members[i].at);
}

vestry_err vsi_json_send(vsi_json_writer *json, vestry_connection *connection, const char *name) {
  vsi_json_close(json, '}');
  vestry_err error = json->text.error;
  vestry_event *event = NULL;
  if (!error)
    error = vsi_event_plain(vsi_connection_host(connection), name, json->text.data, json->text.len, NULL, &event);
  error = vsi_connection_send_made(connection, error, event);
  vsi_json_finish(json);
  return error;
}

/* ---------------------------------------------------------------------------------------------- responses -------- */

static vestry_err show(vestry_reply *reply, const char *type, const char *text, size_t len) {
  vestry_err error = vestry_reply_header(reply, "Cache-Control", "no-store");
  if (!error) error = vestry_reply_header(reply, "X-Content-Type-Options", "nosniff");
  return error ? error : vestry_reply_body(reply, type, text, len);
}

vestry_err vsi_show_text(vestry_reply *reply, int status, const char *text) {
  vestry_err error = vestry_reply_status(reply, status);
  return error ? error : show(reply, "text/plain; charset=utf-8", text, strlen(text));
}

vestry_err vsi_show_json(vestry_reply *reply, vsi_json_writer *json) {
  vestry_err error = json->text.error;
  if (!error) error = show(reply, "application/json", json->text.data, json->text.len);
  vsi_json_finish(json);
  return error;
}
