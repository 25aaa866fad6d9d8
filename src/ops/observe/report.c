/* SPDX-License-Identifier: MIT */
#include "ops/observe/report.h"

#include <string.h>

#include "base/utf8.h"
#include "connection/send.h"
#include "event/layout.h"
#include "vestry/cause.h"
#include "json/write.h"

void vsi_report_begin(vsi_report *report, const vestry_host *host) {
  vsi_buffer_init(&report->text, host);
  report->is_first = true;
  vsi_report_open(report, NULL, '{');
}

static void put_member_name(vsi_report *report, const char *name) {
  if (!report->is_first) vsi_buffer_append_char(&report->text, ',');
  report->is_first = false;
  if (name) vsi_buffer_printf(&report->text, "\"%s\":", name);
}

void vsi_report_open(vsi_report *report, const char *name, char bracket) {
  put_member_name(report, name);
  vsi_buffer_append_char(&report->text, bracket);
  report->is_first = true;
}

void vsi_report_close(vsi_report *report, char end) {
  vsi_buffer_append_char(&report->text, end);
  report->is_first = false;
}

static void put_member(vsi_report *report, const char *name, const vestry_value *value) {
  put_member_name(report, name);
  vsi_writer writer = {.to = NULL};
  vestry_err error = vsi_json_put_value(&writer, value);
  char *to = error ? NULL : vsi_buffer_reserve(&report->text, writer.len);
  if (error) report->text.error = error;
  if (!to) return;
  writer = (vsi_writer){.to = to};
  (void)vsi_json_put_value(&writer, value); /* same result as the first time */
  report->text.len += writer.len;
}

void vsi_report_put(vsi_report *report, const vestry_value *object) {
  for (size_t i = 0; i < object->count; i += 2) put_member(report, object->items[i].text, &object->items[i + 1]);
}

void vsi_report_add(vsi_report *report, vestry_value value) {
  put_member(report, NULL, &value);
}

void vsi_report_put_bytes(vsi_report *report, const char *name, const char *text, size_t len) {
  const char *end = text + len;
  vsi_buffer whole;
  vsi_buffer_init(&whole, report->text.host);
  for (size_t step; text < end; text += step) {
    bool is_valid;
    step = vsi_utf8_next(text, end, &is_valid);
    vsi_buffer_append(&whole, is_valid ? text : VSI_UTF8_REPLACEMENT, is_valid ? step : strlen(VSI_UTF8_REPLACEMENT));
  }
  put_member_name(report, name);
  if (whole.error) report->text.error = whole.error;
  vsi_literal_append(&report->text, whole.data, whole.len);
  vsi_buffer_finish(&whole);
}

void vsi_report_put_causes(vsi_report *report, const char *name, const uint64_t *counts) {
  vsi_report_open(report, name, '{');
  for (int cause = VESTRY_CAUSE_NONE + 1; cause < VESTRY_CAUSE_COUNT; cause++)
    if (counts[cause]) vsi_report_put(report, VESTRY_OBJECT(vestry_cause_name((vestry_cause)cause), counts[cause]));
  vsi_report_close(report, '}');
}

vestry_err vsi_report_send(vsi_report *report, vestry_connection *connection, const char *name) {
  vsi_report_close(report, '}');
  vestry_err error = report->text.error;
  vestry_event *event = NULL;
  if (!error)
    error = vsi_event_plain(vsi_connection_host(connection), name, report->text.data, report->text.len, NULL, &event);
  error = vsi_connection_send_made(connection, error, event);
  vsi_buffer_finish(&report->text);
  return error;
}

vestry_err vsi_report_send_object(vestry_connection *connection, const char *name, const vestry_value *object) {
  vsi_report report;
  vsi_report_begin(&report, vsi_connection_host(connection));
  vsi_report_put(&report, object);
  return vsi_report_send(&report, connection, name);
}

/* ---------------------------------------------------------------------------------------------- responses -------- */

static vestry_err show_body(vestry_reply *reply, const char *type, const char *text, size_t len) {
  vestry_err error = vestry_reply_header(reply, "Cache-Control", "no-store");
  if (!error) error = vestry_reply_header(reply, "X-Content-Type-Options", "nosniff");
  return error ? error : vestry_reply_body(reply, type, text, len);
}

vestry_err vsi_show_text(vestry_reply *reply, int status, const char *text) {
  vestry_err error = vestry_reply_status(reply, status);
  return error ? error : show_body(reply, "text/plain; charset=utf-8", text, strlen(text));
}

vestry_err vsi_show_json(vestry_reply *reply, vsi_report *report) {
  vsi_report_close(report, '}');
  vestry_err error = report->text.error;
  if (!error) error = show_body(reply, "application/json", report->text.data, report->text.len);
  vsi_buffer_finish(&report->text);
  return error;
}
