/* SPDX-License-Identifier: MIT */
/* Events that make the page run a script, by a script element that removes itself unless it is to be kept; and the
 * options of all elements that make a page run code. */
#include <string.h>

#include "base/field.h"
#include "base/options.h"
#include "event/escape.h"
#include "event/script.h"

enum { MAX_ATTRIBUTES = 64 };

typedef struct script {
  vestry_script_options options;
  const char *text;
  size_t len;
} script;

void vsi_put_script_head(vsi_writer *writer, vsi_event_meaning *meaning, const vestry_script_options *options) {
  vsi_put_head(writer, meaning, VSI_EVENT_SCRIPT, &options->event);
  vsi_put_str(writer, "data: selector body\ndata: mode append\ndata: elements ");
}

void vsi_put_script_attributes(vsi_writer *writer, const vestry_script_options *options) {
  for (size_t i = 0; i < options->attributes_count; i++) {
    const vestry_attribute *attribute = &options->attributes[i];
    vsi_put_str(writer, " ");
    vsi_put_str(writer, attribute->name);
    if (attribute->value) {
      vsi_put_str(writer, "=\"");
      vsi_put_attribute_value(writer, attribute->value);
      vsi_put_str(writer, "\"");
    }
  }
}

static void script_layout(vsi_writer *writer, vsi_event_meaning *meaning, const void *ctx) {
  const script *s = ctx;
  vsi_put_script_head(writer, meaning, &s->options);
  vsi_put_str(writer, "<script");
  vsi_put_script_attributes(writer, &s->options);
  if (!s->options.keep) vsi_put_str(writer, " data-effect=\"el.remove()\"");
  vsi_put_str(writer, ">");
  vsi_put_script_text(writer, s->text, s->len, "data: elements ");
  vsi_put_str(writer, "</script>\n\n");
}

vestry_err vsi_script_options_check(const vestry_script_options *options, const char *reserved) {
  if (!vsi_is_one_line(options->event.id)) return VESTRY_INVALID;
  if (options->attributes_count > MAX_ATTRIBUTES) return VESTRY_INVALID;
  if (options->attributes_count && !options->attributes) return VESTRY_INVALID;
  for (size_t i = 0; i < options->attributes_count; i++) {
    const char *name = options->attributes[i].name;
    if (!vsi_is_attribute_name(name)) return VESTRY_INVALID;
    /* The HTML parser drops the second of two attributes with the same name, so one of the two would be lost
     * silently. */
    if (reserved && vsi_starts_with(name, strlen(name) + 1, reserved) && !name[strlen(reserved)]) return VESTRY_INVALID;
  }
  return VESTRY_OK;
}

vestry_err vestry_event_script(const vestry_host *host, const char *text, size_t len,
                               const vestry_script_options *options, vestry_event **ret_event) {
  if (!text && len) return VESTRY_INVALID;
  script s = {.text = text ? text : "", .len = len};
  vestry_err error = VSI_OPTIONS_TAKE(vestry_script_options, s.options, options);
  if (!error) error = vsi_script_options_check(&s.options, s.options.keep ? NULL : "data-effect");
  return error ? error : vsi_event_build(host, script_layout, &s, ret_event);
}
