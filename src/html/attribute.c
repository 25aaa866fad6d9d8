/* SPDX-License-Identifier: MIT */
/* The attribute at the place of a builder: which kind of text can be inserted into its value (attribute.h). */
#include "html/attribute.h"

#include <string.h>

#include "base/ascii.h"
#include "html/tag.h"
#include "html/value.h"

/* --------------------------------------------------------------------------------------------- JavaScript ---- */

/* Read JavaScript as far as necessary to know whether a byte is inside a string. Only a parser can distinguish the `/`
 * of a division from that of a regular expression, or find the end of a template's braces; so the reader gives up at
 * these, and at comments. In an attribute, character references are another spelling of quotes and backslashes, which a
 * browser decodes first; the reader gives up at a possible beginning of one. */
static uint8_t next_js(uint8_t js, char last, char c) {
  if (js & VSI_JS_BACKSLASH) return (uint8_t)(js & ~VSI_JS_BACKSLASH & 0xFF);
  if (js == VSI_JS_CODE) {
    if (c == '\'') return VSI_JS_SINGLE;
    if (c == '"') return VSI_JS_DOUBLE;
    return c == '`' || c == '/' || (last == '<' && c == '!') ? VSI_JS_LOST : VSI_JS_CODE;
  }
  if (c == '\n' || c == '\r') return VSI_JS_LOST; /* no string continues there */
  if (c == '\\') return js | VSI_JS_BACKSLASH;
  return c == (js == VSI_JS_SINGLE ? '\'' : '"') ? VSI_JS_CODE : js;
}

void vsi_js_read(vsi_html_place *place, char c, bool has_references) {
  char last = (char)place->js_last;
  place->js_last = (uint8_t)c;
  if (place->js == VSI_JS_LOST) return;
  if (has_references && last == '&' && (c == '#' || vsi_is_letter(c) || vsi_is_digit(c)))
    place->js = VSI_JS_LOST;
  else
    place->js = next_js(place->js, last, c);
}

/* --------------------------------------------------------------------------------------------- attributes ---- */

/* Facts about the current tag, or about the script element after it. */
enum {
  HAS_ROLE = 1,   /* its rel or type has been read; later attributes of that name do not count */
  PLAIN_LINK = 2, /* the link is only information */
  RULES = 4,      /* the script is an import map or the like */
  ORDERS = 8,     /* a meta element with http-equiv */
  HAS_TEXT = 16,  /* a meta element whose content contains inserted text */
  CONFLICT = 32   /* both */
};

void vsi_name_add(vsi_html_place *place, char c) {
  if (place->name_len < sizeof place->name - 1)
    place->name[place->name_len++] = vsi_lower(c);
  else
    place->name[sizeof place->name - 2] = '\0';
}
void vsi_name_begin(vsi_html_place *place, char c) {
  place->name_len = 0;
  vsi_name_add(place, c);
}
static vestry_slice name_in(const vsi_html_place *place) {
  return (vestry_slice){place->name, place->name_len};
}

/* The name of an attribute is complete. If a tag has two attributes of one name, the first counts. */
void vsi_attribute_named(vsi_html_place *place) {
  vsi_value result, value = vsi_html_value((vestry_slice){place->element, place->element_len}, name_in(place), &result);
  if (value == VSI_VALUE_REL || value == VSI_VALUE_TYPE) {
    if (place->facts & HAS_ROLE) value = VSI_VALUE_CLOSED;
    place->facts |= HAS_ROLE;
  }
  if (value == VSI_VALUE_PRAGMA) place->facts |= place->facts & HAS_TEXT ? ORDERS | CONFLICT : ORDERS;
  if (value == VSI_VALUE_CONTENT && place->facts & ORDERS) value = VSI_VALUE_CLOSED;
  if (value == VSI_VALUE_LINK) value = place->facts & PLAIN_LINK ? VSI_VALUE_URL : VSI_VALUE_LOADS;
  place->kind = (uint8_t)value;
  place->result = (uint8_t)result;
}

void vsi_attribute_begin(vsi_html_place *place) {
  place->js = VSI_JS_CODE;
  place->js_last = 0;
  place->in_fragment = false;
  place->name_len = 0; /* from here on: the beginning of a URL, or the kind of the tag */
}

/* A value with a character reference is spelled differently, so its meaning is unknown. */
void vsi_attribute_end(vsi_html_place *place) {
  bool is_known = !memchr(place->name, '&', place->name_len);
  if (place->kind == VSI_VALUE_REL && is_known && vsi_html_is_plain_link(name_in(place))) place->facts |= PLAIN_LINK;
  if (place->kind == VSI_VALUE_TYPE && (!is_known || vsi_html_is_rules(name_in(place)))) place->facts |= RULES;
}

/* Collect a URL as its parser reads it: the parser skips white space and controls at the front, and tabs and line
 * breaks anywhere. (Spaces in other places cannot turn a text into a scheme.) */
static void url_read(vsi_html_place *place, char c) {
  if ((unsigned char)c > 0x20 && place->name_len < sizeof place->name - 1) vsi_name_add(place, c);
}

/* Result of checking the beginning of a URL for a scheme. */
enum { OPEN, /* undecided */ SETTLED, /* a permitted scheme, or none */ RUNS };

/* A character reference or a backslash can spell another character, so it is treated as a script. */
static int scheme_of(const vsi_html_place *place, vsi_value value) {
  if (vsi_slice_begins(name_in(place), "javascript:") || vsi_slice_begins(name_in(place), "vbscript:")) return RUNS;
  for (uint8_t i = 0; i < place->name_len; i++) {
    char c = place->name[i];
    if (vsi_is_letter(c) || (i && (c == '+' || c == '-' || c == '.' || vsi_is_digit(c)))) continue;
    if (c == '\\') return RUNS;
    if (c == '&') {
      char next = i + 1 < place->name_len ? place->name[i + 1] : '#';
      return next == '#' || vsi_is_letter(next) ? RUNS : SETTLED;
    }
    if (c != ':' || !i || value != VSI_VALUE_PAGE) return SETTLED;
    return vsi_slice_begins(name_in(place), "http:") || vsi_slice_begins(name_in(place), "https:") ? SETTLED : RUNS;
  }
  return place->name_len < sizeof place->name - 1 ? OPEN : SETTLED;
}

/* Read one literal byte of a value. */
void vsi_attribute_read(vsi_html_place *place, char c) {
  uint8_t js = place->js, last = place->js_last;
  switch (place->kind) {
  case VSI_VALUE_CODE:
    vsi_js_read(place, c, true);
    if (place->result == VSI_VALUE_TEXT) return;
    if (js == VSI_JS_CODE) { /* a string begins here, or no string is open */
      place->name_len = 0;
      place->in_fragment = false;
    } else {
      url_read(place, c);
      if (c == '#') place->in_fragment = true;
    }
    return;
  case VSI_VALUE_LOADS:
    if (c == '#' && last != '&') place->in_fragment = true; /* and the # does not belong to a reference */
    place->js_last = (uint8_t)c;
    return;
  case VSI_VALUE_URL:
  case VSI_VALUE_PAGE:
  case VSI_VALUE_REL:
  case VSI_VALUE_TYPE: url_read(place, c); return;
  default: return;
  }
}

static vsi_slot code_slot(const vsi_html_place *place, vsi_slot code, const char **ret_why) {
  if (place->js & VSI_JS_LOST)
    return vsi_slot_none(ret_why, "the value is in code that is too intricate to determine its context");
  if (place->js == VSI_JS_CODE) return code;
  if (place->js & VSI_JS_BACKSLASH) return vsi_slot_none(ret_why, "the value follows a backslash");
  return VSI_SLOT_JS_STRING;
}

static const char why_loads[] = "the value is in the URL of code or style, or of a base; it is allowed only after a #";

/* Return the slot in code whose result becomes the value of an attribute. */
static vsi_slot result_slot(const vsi_html_place *place, const char **ret_why) {
  vsi_slot slot = code_slot(place, VSI_SLOT_JS_CODE, ret_why);
  if (slot == VSI_SLOT_NONE || place->result == VSI_VALUE_TEXT || place->result == VSI_VALUE_CONTENT) return slot;
  bool in_string = slot == VSI_SLOT_JS_STRING;
  switch (place->result) {
  case VSI_VALUE_URL:
  case VSI_VALUE_PAGE:
    if (in_string && scheme_of(place, place->result) == SETTLED) return slot;
    return vsi_slot_none(
        ret_why, "the value could begin a URL that code makes; it is allowed in a string, after a / or a scheme");
  case VSI_VALUE_LOADS:
  case VSI_VALUE_LINK: return in_string && place->in_fragment ? slot : vsi_slot_none(ret_why, why_loads);
  default: return vsi_slot_none(ret_why, "the value is in code that sets an attribute for which no escape exists");
  }
}

vsi_slot vsi_attribute_slot(const vsi_html_place *place, const char **ret_why) {
  switch (place->kind) {
  case VSI_VALUE_TEXT:
  case VSI_VALUE_CONTENT: return VSI_SLOT_TEXT;
  case VSI_VALUE_URL:
  case VSI_VALUE_PAGE:
    if (scheme_of(place, place->kind) == RUNS)
      return vsi_slot_none(ret_why, "the value is in a URL that is, or may be, a script");
    return VSI_SLOT_URL;
  case VSI_VALUE_LOADS: return place->in_fragment ? VSI_SLOT_TEXT : vsi_slot_none(ret_why, why_loads);
  case VSI_VALUE_CODE: return result_slot(place, ret_why);
  case VSI_VALUE_STYLE:
  case VSI_VALUE_MARKUP: return vsi_slot_none(ret_why, "the value is in style or srcdoc");
  default: return vsi_slot_none(ret_why, "the value is in an attribute for which no escape exists");
  }
}

vsi_slot vsi_script_slot(const vsi_html_place *place, const char **ret_why) {
  if (place->facts & RULES)
    return vsi_slot_none(ret_why, "the value is in a script that defines from where other scripts are loaded");
  return code_slot(place, VSI_SLOT_SCRIPT, ret_why);
}

bool vsi_attribute_insert(vsi_html_place *place, vsi_slot slot, const char *text, size_t len) {
  if (place->kind == VSI_VALUE_CONTENT) place->facts |= HAS_TEXT;
  if (slot != VSI_SLOT_URL) return false;
  /* Characters that are special in literal bytes are escaped in inserted text, and are not part of a scheme. */
  for (size_t i = 0; i < len && place->name_len < sizeof place->name - 1; i++)
    url_read(place, text[i] == '&' || text[i] == '\\' ? '/' : text[i]);
  if (scheme_of(place, place->kind) != RUNS) return false;
  vsi_name_begin(place, ':'); /* the replacement has a scheme, and no second scheme can follow */
  return true;
}

/* The first bytes of a URL determine its scheme, whatever follows. In code, an inserted number cannot end the
 * expression around it, and an escaped text cannot end the string around it. Afterwards js_last stands for the last
 * inserted byte, as far as this matters for the next literal byte. */
bool vsi_attribute_is_settled(vsi_html_place *place, bool is_number, bool *ret_in_js) {
  switch (place->kind) {
  case VSI_VALUE_TEXT: return true;
  case VSI_VALUE_URL:
  case VSI_VALUE_PAGE: return scheme_of(place, place->kind) == SETTLED;
  case VSI_VALUE_CODE:
    if (place->result != VSI_VALUE_TEXT || place->js_last == '&') return false;
    *ret_in_js = place->js == VSI_JS_SINGLE || place->js == VSI_JS_DOUBLE;
    place->js_last = is_number ? '0' : 0;
    return *ret_in_js || (is_number && place->js == VSI_JS_CODE);
  default: return false;
  }
}

const char *vsi_place_conflict(const vsi_html_place *place) {
  return place->facts & CONFLICT ? "http-equiv follows a content attribute with an inserted value" : NULL;
}
