#include "event/target.h"

#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "event/layout.h"
#include "html/roots.h"
#include "html/tag.h"
#include "html/value.h"

/* Read from what the event's maker noted (vsi_event_meaning), and from the HTML as it stands in the event. The keys of
 * later lines stand in between: to HTML they are text, or attributes that mean nothing; but where space may stand in an
 * attribute they would part its name from its value (vsi_tag_skip_space).
 *
 * When may a morph E1 be left out for a later E2 of the same target? Both set all of that element (or of its children),
 * whatever was there, so E2 alone leaves what E1 and E2 leave, if E2 finds the same element: so the target must be one
 * id, and E1 must keep it (HTML says that ids are unique in a page). What stands between them sees the page without
 * E1. It can make no difference where it changes the element's inside, since E2 sets that anew; nor elsewhere, if it
 * finds there what it would have found. It does, if it finds by id, and brings no id that E1 would have taken away: one
 * that brings ids of its own is a barrier. So is a selector that is not one id (it can ask for anything), and whatever
 * runs: a script can read the page. E1 itself must not run anything, or leave signals behind: attributes that only show
 * what signals say, and handlers of events, are all it may have.
 *
 * What the user has typed is the client's to keep. Its morph sets the value of an input, a textarea, an option only
 * where the markup has another than the element had (Datastar 1.0.2, `value`, `defaultValue`, `checked`, `selected`):
 * so E2 alone changes what E1 and E2 change, or less, and what is typed stays rather more than less. data-bind makes
 * its signal, from the element's value, if that is missing; and a changed value goes into the signal. So E1 may go only
 * for an E2 that has all of its bound elements too, written alike; and not across a patch of missing signals, which
 * might find one missing now. tests/browser/morph.test.js asks the client.
 *
 * Not seen from here: elements that the page itself keeps from being morphed (data-ignore-morph, data-preserve-attr).
 * connection.h says so. */

static bool starts_with(vestry_slice text, const char *prefix) {
  size_t len = strlen(prefix);
  return text.len >= len && memcmp(text.data, prefix, len) == 0;
}

static vestry_slice behind(vestry_slice text, size_t len) {
  return (vestry_slice){(const char *)text.data + len, text.len - len};
}

static bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* Attributes that show signals, or wait for the user. */
static bool is_harmless_data(vestry_slice rest) {
  static const char *const names[] = {"text=",    "show=",     "attr:",     "class:",     "style:",  "on:click",
                                      "on:input", "on:change", "on:submit", "on:keydown", "on:keyup"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (starts_with(rest, names[i])) return true;
  return false;
}

static bool ends_a_word(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '/' || c == '"' || c == '\'';
}

/* data-bind itself, and no name that begins like it. */
static bool is_bind(vestry_slice rest) {
  const char *text = rest.data;
  if (rest.len < 5 || strncasecmp(text, "bind", 4) != 0) return false;
  return ends_a_word(text[4]) || text[4] == '=' || text[4] == '>' || text[4] == ':' ||
         (rest.len > 5 && text[4] == '_' && text[5] == '_');
}

/* An attribute that handles an event: on, letters, an equals sign. */
static bool is_handler(vestry_slice text) {
  const char *at = text.data, *end = at + text.len;
  if (text.len < 4 || strncasecmp(at, "on", 2) != 0 || !is_name_byte(at[2])) return false;
  while (at < end && is_name_byte(*at)) at++;
  at = vsi_tag_skip_space(at, end, true);
  return at < end && *at == '=';
}

/* Whether a tag of an element that does more than show begins here. No such name is longer. */
static bool is_active(vestry_slice text) {
  enum { MAX_NAME = 16 };
  const char *at = text.data;
  size_t len = 0;
  while (len < text.len && len < MAX_NAME && !ends_a_word(at[len]) && at[len] != '>') len++;
  return vsi_html_is_active((vestry_slice){at, len});
}

typedef struct html_look {
  bool runs;        /* or might: such elements, handlers, attributes of Datastar's that do more than show */
  bool binds;       /* data-bind, or what looks like it */
  size_t ids_count; /* attributes that may be ids */
} html_look;

static html_look look_at(vestry_slice html) {
  html_look look = {false, false, 0};
  const char *text = html.data;
  for (size_t i = 0; i < html.len; i++) {
    size_t left = html.len - i;
    bool begins = i && ends_a_word(text[i - 1]);
    switch (text[i] | 0x20) {
    case '<' | 0x20: look.runs |= is_active(behind(html, i + 1)); break;
    case 'd':
      if (left <= 5 || strncasecmp(text + i, "data-", 5) != 0) break;
      if (is_bind(behind(html, i + 5)))
        look.binds = true;
      else
        look.runs |= !is_harmless_data(behind(html, i + 5));
      break;
    case 'o': look.runs |= begins && is_handler(behind(html, i)); break;
    case 'i': look.ids_count += begins && left > 2 && (text[i + 1] | 0x20) == 'd' && !is_name_byte(text[i + 2]); break;
    default: break;
    }
  }
  return look;
}

static uint64_t hash_of(const vsi_target *target) {
  uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)(target->mode * 4 + target->ns); /* FNV-1a */
  for (size_t i = 0; i < target->id_len; i++) hash = (hash ^ (unsigned char)target->id[i]) * UINT64_C(1099511628211);
  return hash ^ (hash >> 32);
}

/* The id that a selector is; len 0: it is something else. */
static vestry_slice id_of_selector(vestry_slice selector) {
  const char *text = selector.data;
  vestry_slice none = {NULL, 0};
  if (selector.len < 2 || text[0] != '#' || (text[1] >= '0' && text[1] <= '9') || text[1] == '-') return none;
  for (size_t i = 1; i < selector.len; i++)
    if (!is_name_byte(text[i])) return none;
  return behind(selector, 1);
}

static bool is_same_text(vestry_slice a, vestry_slice b) {
  return a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

static vestry_slice part_of(vestry_slice text, uint32_t at, size_t len) {
  return (vestry_slice){(const char *)text.data + at, len};
}

static void read_elements(vsi_target *target, vsi_html_binds *binds, const vsi_event_meaning *meaning,
                          vestry_slice text) {
  vestry_slice selector = part_of(text, meaning->selector, meaning->selector_len);
  size_t end = meaning->content_end ? meaning->content_end : text.len;
  vestry_slice html = part_of(text, meaning->content, meaning->content ? end - meaning->content : 0);
  vestry_slice id = id_of_selector(selector);
  html_look look = look_at(html);
  if (look.runs || (selector.len && !id.len)) return;
  bool sets_itself = meaning->mode == VESTRY_PATCH_OUTER || meaning->mode == VESTRY_PATCH_REPLACE;
  vestry_slice root = {NULL, 0};
  bool is_one = sets_itself && vsi_html_one_root(html, &root, binds);
  if (look.binds && (!is_one || binds->too_many)) return; /* nobody knows what it binds */
  if (!selector.len) id = root;
  if (meaning->mode == VESTRY_PATCH_INNER ? html.len != 0 : is_one && root.len && is_same_text(root, id)) {
    target->effect = VSI_EFFECT_MORPH;
    target->can_go = !meaning->of_stream;
    target->brings_ids = look.ids_count > (sets_itself ? 1 : 0);
    target->mode = meaning->mode;
    target->ns = meaning->ns;
    target->id = id.data;
    target->id_len = id.len;
    target->hash = hash_of(target);
  } else if (!look.ids_count && selector.len) {
    target->effect = VSI_EFFECT_PASSING;
  }
}

static void read_signals(vsi_target *target, const vsi_event_meaning *meaning, vestry_slice text) {
  bool is_set = meaning->kind == VSI_EVENT_SIGNALS;
  target->effect = is_set ? VSI_EFFECT_SIGNALS : VSI_EFFECT_MISSING;
  /* On one line, it ends before the line break and the empty line that end the event. */
  vestry_slice json = part_of(text, meaning->content, text.len - meaning->content - 2);
  if (!memchr(json.data, '\n', json.len)) target->json = json;
  target->can_go = is_set && !meaning->of_stream && target->json.len;
}

static void read_event(vsi_target *target, vsi_html_binds *binds, const vestry_event *event) {
  const vsi_event_meaning *meaning = vsi_event_meaning_of(event);
  vestry_slice text = vestry_event_bytes(event);
  switch ((vsi_event_kind)meaning->kind) {
  case VSI_EVENT_NOTHING: target->effect = VSI_EFFECT_PASSING; break;
  case VSI_EVENT_ELEMENTS: read_elements(target, binds, meaning, text); break;
  case VSI_EVENT_SCRIPT: target->effect = VSI_EFFECT_UNKNOWN; break;
  case VSI_EVENT_SIGNALS:
  case VSI_EVENT_MISSING_SIGNALS: read_signals(target, meaning, text); break;
  }
}

static void release(vsi_event_extra *extra) {
  vsi_target *target = (vsi_target *)extra;
  vsi_free(target->host, target);
}

const vsi_target *vsi_event_target_made(const vestry_event *event) {
  for (vsi_event_extra *extra = vsi_event_extras(event); extra; extra = extra->next)
    if (extra->release == release) return (const vsi_target *)extra;
  return NULL;
}

const vsi_target *vsi_event_target(vestry_event *event) {
  const vsi_target *made = vsi_event_target_made(event);
  if (made) return made;
  const vestry_host *host = vsi_event_host(event);
  vsi_target read = {.extra.release = release, .host = host, .bytes = vestry_event_bytes(event).len};
  vsi_html_binds binds;
  binds.count = 0;
  binds.too_many = false;
  read_event(&read, &binds, event);
  read.binds_count = read.effect == VSI_EFFECT_MORPH ? binds.count : 0;
  vsi_target *target = vsi_alloc(host, sizeof *target + read.binds_count * sizeof *target->binds);
  if (!target) return NULL;
  *target = read;
  if (read.binds_count) memcpy(target->binds, binds.hashes, read.binds_count * sizeof *target->binds);
  vsi_event_extra_add(event, &target->extra); /* two threads may both: they say the same */
  return target;
}

static bool binds_all(const vsi_target *later, const vsi_target *earlier) {
  for (size_t i = 0; i < earlier->binds_count; i++) {
    size_t at = 0;
    while (at < later->binds_count && later->binds[at] != earlier->binds[i]) at++;
    if (at == later->binds_count) return false;
  }
  return true;
}

bool vsi_target_replaces(const vsi_target *later, const vsi_target *earlier) {
  return earlier->can_go && later->effect == VSI_EFFECT_MORPH && earlier->effect == VSI_EFFECT_MORPH &&
         later->hash == earlier->hash && later->mode == earlier->mode && later->ns == earlier->ns &&
         is_same_text((vestry_slice){later->id, later->id_len}, (vestry_slice){earlier->id, earlier->id_len}) &&
         binds_all(later, earlier);
}
