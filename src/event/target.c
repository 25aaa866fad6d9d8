/* SPDX-License-Identifier: MIT */
/* essay: which events a later event supersedes, and across which events */
#include "event/target.h"

#include <stdlib.h>
#include <string.h>

#include "base/ascii.h"
#include "base/memory.h"
#include "event/layout.h"
#include "html/tag.h"
#include "html/value.h"

/* Words: a fence is an event across which no event is dropped; to bring an id is to contain an element with this id;
 * a run is the events between two fences. connection/conflation.c explains them. A target describes the effect of
 * an event (target.h). In the text below, the target of a morph is the element that it sets.
 *
 * A target is computed from the event's meaning (vsi_event_meaning), which has the positions of its selector and its
 * HTML, and from this HTML as it stands in the event. If the HTML has several lines, each further line begins with the
 * key of a server-sent event, "data: elements ". As HTML these keys are text, or attributes without meaning. But HTML
 * allows a line break between an attribute's name, its equals sign and its value. There vsi_tag_skip_space skips the
 * key.
 *
 * When may a morph E1 be dropped for a later morph E2 of the same target? Both set all of that element (or of its
 * children), regardless of its former content. So E2 alone has the same result as E1 and E2, if E2 finds the same
 * element. Therefore, both must find the element by a single id, and the element must still have this id after E1 (HTML
 * requires ids to be unique in a page).
 *
 * The events between E1 and E2 see the page without E1. This makes no difference in two cases:
 * - they change the inside of the element, because E2 sets that again;
 * - they find the same elements elsewhere as they would have with E1. This holds if they find an element by an id that
 *   only one element has. If a waiting event has brought another element with the same id, it may be E1 that removes
 *   the first one (the example in conflation.c).
 *
 * A selector that is not a single id is a fence, because it can depend on anything. So is every event that runs code:
 * a script can read the page, and custom elements are scripts. E1 itself must not run anything. Of Datastar's
 * attributes it may only have data-bind, attributes that show signals, such as data-text, and attributes that act only
 * when the user does something, such as data-on:click. An attribute such as onclick counts as code.
 *
 * html/state.c handles the other state of elements: signals that they create, and changes by users. Text that a user
 * has typed could be lost as follows, because a morph moves an element with an id from its old place to its new one,
 * with its state:
 *
 * 1. The page contains #x, and in it the field #f with typed text.
 * 2. E1 sets #a; its content is an empty #x and, beside it, #f. So the field moves out of #x.
 * 3. The event in between sets #x.
 * 4. E2 sets #a again, with the same content as E1.
 *
 * Without E1, the event in between removes the field with its text, and E2 creates an empty field. So E1 stays if it
 * has fields and the event in between concerns an id in it.
 *
 * Elements that are excluded from morphing (data-ignore-morph, data-preserve-attr) make no difference: the client
 * excludes an element only if the new element has the attribute, too, and an event that contains such an attribute is a
 * fence. Around the target, both attributes are ignored. */

static bool is_name_byte(char c) {
  return vsi_is_letter(c) || vsi_is_digit(c) || c == '_' || c == '-';
}

static bool ends_a_word(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '/' || c == '"' || c == '\'';
}

/* Return whether the text goes on with an equals sign, possibly after white space. */
static bool has_value(const char *at, const char *end) {
  at = vsi_tag_skip_space(at, end, true);
  return at < end && *at == '=';
}

/* Return whether the attribute is data-bind itself, and not one whose name begins with it. */
static bool is_bind(vestry_slice rest) {
  const char *text = rest.data;
  if (rest.len < 5 || !vsi_starts_with(text, rest.len, "bind")) return false;
  return vsi_is_space(text[4]) || text[4] == '/' || text[4] == '=' || text[4] == '>' || text[4] == ':' ||
         (rest.len > 5 && text[4] == '_' && text[5] == '_');
}

/* Return whether an attribute handles an event: on, letters, an equals sign. */
static bool is_handler(vestry_slice text) {
  const char *at = text.data, *end = at + text.len;
  if (text.len < 4 || !vsi_starts_with(at, text.len, "on") || !is_name_byte(at[2])) return false;
  while (at < end && is_name_byte(*at)) at++;
  return has_value(at, end);
}

/* Return whether a tag begins here whose element does more than show content. No such name is longer than MAX_NAME. */
static bool is_active(vestry_slice text) {
  enum { MAX_NAME = 16 };
  const char *at = text.data;
  size_t len = 0;
  while (len < text.len && len < MAX_NAME && !ends_a_word(at[len]) && at[len] != '>') len++;
  return vsi_html_is_active((vestry_slice){at, len});
}

typedef struct html_look {
  bool runs;        /* it may run code: active or custom elements, handlers, Datastar attributes that do more than
                       show */
  bool has_state;   /* it may have state: it must be read completely, or its effect is unknown */
  size_t ids_count; /* number of attributes that may be ids */
} html_look;

/* Return whether a custom element begins here: its name has a hyphen. */
static bool is_defined_by_page(vestry_slice text) {
  const char *at = text.data, *end = at + text.len;
  if (at == end || !vsi_is_letter(*at)) return false;
  while (at < end && !ends_a_word(*at) && *at != '>' && *at != '-') at++;
  return at < end && *at == '-';
}

static bool may_be_id(vestry_slice text) {
  const char *at = text.data;
  return text.len > 2 && (at[0] | 0x20) == 'i' && (at[1] | 0x20) == 'd' && !is_name_byte(at[2]);
}

/* Look at an attribute of Datastar, after "data-". The attributes in `shows` only show signals, and the attributes in
 * `waits` act only when the user does something. Those in `read` are read by a listener of the page (app/guard/press.c,
 * app/page/navigate.js) or by its clock, and do nothing themselves. */
static void look_at_data(html_look *look, vestry_slice rest) {
  static const char *const shows[] = {"text=", "show=", "attr:", "class:", "style:"};
  static const char *const waits[] = {"on:click", "on:input", "on:change", "on:submit", "on:keydown", "on:keyup"};
  static const char *const read[] = {
      "press=", "payload=", "navigate", "countdown=", "elapsed=", "format=", "over=", "local="};
  if (is_bind(rest) || VSI_STARTS_WITH_ANY(rest, shows))
    look->has_state = true;
  else if (!VSI_STARTS_WITH_ANY(rest, waits) && !VSI_STARTS_WITH_ANY(rest, read))
    look->runs = true;
}

static html_look look_at(vestry_slice html) {
  static const char *const stateful[] = {"input", "textarea", "select", "opt", "video", "audio", "canvas", "dialog"};
  html_look look = {false, false, 0};
  const char *text = html.data;
  for (size_t i = 0; i < html.len; i++) {
    bool begins = i && ends_a_word(text[i - 1]);
    vestry_slice rest = vsi_slice_behind(html, i);
    switch (text[i] | 0x20) {
    case '<' | 0x20:
      look.runs |= is_active(vsi_slice_behind(html, i + 1)) || is_defined_by_page(vsi_slice_behind(html, i + 1));
      look.has_state |= VSI_STARTS_WITH_ANY(vsi_slice_behind(html, i + 1), stateful);
      break;
    case 'd':
      if (rest.len > 5 && vsi_starts_with(rest.data, rest.len, "data-")) look_at_data(&look, vsi_slice_behind(rest, 5));
      break;
    case 'o': look.runs |= begins && is_handler(rest); break;
    case 'a': look.has_state |= begins && vsi_starts_with(rest.data, rest.len, "autofocus"); break;
    case 'i':
      look.ids_count += begins && may_be_id(rest);
      look.runs |= begins && vsi_starts_with(rest.data, rest.len, "is") &&
                   has_value((const char *)rest.data + 2, (const char *)rest.data + rest.len);
      break;
    default: break;
    }
  }
  return look;
}

static uint64_t hash_of_id(vestry_slice id, uint64_t seed) {
  uint64_t hash = vsi_html_hash(VSI_HTML_HASH ^ seed, id);
  return hash ^ hash >> 32;
}

/* Return the id if the selector is a single id; len 0: it is not. */
static vestry_slice id_of_selector(vestry_slice selector) {
  const char *text = selector.data;
  vestry_slice none = {NULL, 0};
  if (selector.len < 2 || text[0] != '#' || vsi_is_digit(text[1]) || text[1] == '-') return none;
  for (size_t i = 1; i < selector.len; i++)
    if (!is_name_byte(text[i])) return none;
  return vsi_slice_behind(selector, 1);
}

static bool is_same_text(vestry_slice a, vestry_slice b) {
  return a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

static vestry_slice part_of(vestry_slice text, uint32_t at, size_t len) {
  return (vestry_slice){(const char *)text.data + at, len};
}

/* ---- ids that an event brings ----------------------------------------------------------------------------------- */

/* Read the value of an attribute that may be an id. Returns false if it has none. ret_id len 0: the value cannot be
 * read. */
static bool read_id(vestry_slice text, vestry_slice *ret_id) {
  const char *end = (const char *)text.data + text.len,
             *at = vsi_tag_skip_space((const char *)text.data + 2, end, true);
  if (at == end || *at != '=') return false;
  at = vsi_tag_skip_space(at + 1, end, true);
  char quote = at < end && (*at == '"' || *at == '\'') ? *at++ : 0;
  const char *from = at;
  while (at < end && *at != '&' && *at != '\n' && (quote ? *at != quote : !vsi_is_space(*at) && *at != '>')) at++;
  bool is_whole = at < end && *at != '&' && (*at != '\n' || !quote);
  *ret_id = (vestry_slice){from, is_whole ? (size_t)(at - from) : 0};
  return true;
}

static int by_number(const void *a, const void *b) {
  uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
  return (left > right) - (left < right);
}

static void mark(uint64_t *marks, uint64_t hash) {
  marks[hash % VSI_TARGET_MARKS / 64] |= UINT64_C(1) << hash % 64;
  hash /= VSI_TARGET_MARKS;
  marks[hash % VSI_TARGET_MARKS / 64] |= UINT64_C(1) << hash % 64;
}

bool vsi_target_is_marked(const uint64_t *marks, const vsi_target *target) {
  uint64_t hash = target->id_hash;
  if (!(marks[hash % VSI_TARGET_MARKS / 64] >> hash % 64 & 1)) return false;
  hash /= VSI_TARGET_MARKS;
  return marks[hash % VSI_TARGET_MARKS / 64] >> hash % 64 & 1;
}

/* Record all ids in the HTML except that of the target. Returns false without memory. */
static bool note_ids(vsi_target *target, vestry_slice html, size_t count) {
  if (!count) return true;
  target->ids = vsi_calloc(target->host, count, sizeof *target->ids);
  if (!target->ids) return false;
  target->ids_room = count;
  const char *text = html.data;
  for (size_t i = 1; i < html.len && target->ids_count < count; i++) {
    vestry_slice id;
    if (!ends_a_word(text[i - 1]) || !may_be_id(vsi_slice_behind(html, i)) || !read_id(vsi_slice_behind(html, i), &id))
      continue;
    if (is_same_text(id, (vestry_slice){target->id, target->id_len})) continue;
    if (!id.len) {
      target->has_other_ids = true;
      memset(target->marks, 0xff, sizeof target->marks);
      continue;
    }
    uint64_t hash = hash_of_id(id, 0);
    mark(target->marks, hash);
    target->ids[target->ids_count++] = hash;
  }
  if (target->ids_count > 1) qsort(target->ids, target->ids_count, sizeof *target->ids, by_number);
  return true;
}

bool vsi_target_brings(const vsi_target *target, const vsi_target *of) {
  return target->ids_count && bsearch(&of->id_hash, target->ids, target->ids_count, sizeof *target->ids, by_number);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static bool adds(vestry_patch_mode mode) {
  return mode == VESTRY_PATCH_APPEND || mode == VESTRY_PATCH_PREPEND || mode == VESTRY_PATCH_BEFORE ||
         mode == VESTRY_PATCH_AFTER;
}

static void read_elements(vsi_target *target, const vsi_event_meaning *meaning, vestry_slice text) {
  vestry_slice selector = part_of(text, meaning->selector, meaning->selector_len);
  size_t end = meaning->content_end ? meaning->content_end : text.len;
  vestry_slice html = part_of(text, meaning->content, meaning->content ? end - meaning->content : 0);
  vestry_slice id = id_of_selector(selector);
  html_look look = look_at(html);
  if (look.runs || (selector.len && !id.len)) return;
  bool sets_itself = meaning->mode == VESTRY_PATCH_OUTER || meaning->mode == VESTRY_PATCH_REPLACE;
  vestry_slice root = {NULL, 0};
  bool is_read = vsi_html_read(html, sets_itself, &root, &target->state);
  if (look.has_state && (!is_read || meaning->ns != VESTRY_NAMESPACE_HTML)) return; /* its effect is unknown */
  if (meaning->mode == VESTRY_PATCH_REPLACE) vsi_html_state_forget_user(&target->state);
  if (!selector.len) id = root;
  vsi_effect effect = VSI_EFFECT_UNKNOWN;
  if (meaning->mode == VESTRY_PATCH_INNER ? html.len != 0
                                          : sets_itself && is_read && root.len && is_same_text(root, id))
    effect = VSI_EFFECT_MORPH;
  else if (selector.len && (!look.ids_count || adds(meaning->mode)))
    effect = VSI_EFFECT_PASSING;
  target->id = id.data;
  target->id_len = id.len;
  target->id_hash = hash_of_id(id, 0);
  if (effect == VSI_EFFECT_UNKNOWN || !note_ids(target, html, look.ids_count)) return;
  target->effect = effect;
  target->can_go = effect == VSI_EFFECT_MORPH && !meaning->of_stream;
  target->mode = meaning->mode;
  target->ns = meaning->ns;
  target->hash = hash_of_id(id, meaning->mode * 4u + meaning->ns);
}

static void read_signals(vsi_target *target, const vsi_event_meaning *meaning, vestry_slice text) {
  bool is_set = meaning->kind == VSI_EVENT_SIGNALS;
  target->effect = is_set ? VSI_EFFECT_SIGNALS : VSI_EFFECT_MISSING;
  /* If the JSON is on one line, it ends before the line break and the empty line that end the event. */
  vestry_slice json = part_of(text, meaning->content, text.len - meaning->content - 2);
  if (!memchr(json.data, '\n', json.len)) target->json = json;
  target->can_go = is_set && !meaning->of_stream && target->json.len;
  target->takes_away = memmem(json.data, json.len, "null", 4) != NULL;
  target->has_list = memchr(json.data, '[', json.len) != NULL;
}

static void read_event(vsi_target *target, const vestry_event *event) {
  const vsi_event_meaning *meaning = vsi_event_meaning_of(event);
  vestry_slice text = vestry_event_bytes(event);
  switch ((vsi_event_kind)meaning->kind) {
  case VSI_EVENT_NOTHING: target->effect = VSI_EFFECT_PASSING; break;
  case VSI_EVENT_ELEMENTS: read_elements(target, meaning, text); break;
  case VSI_EVENT_SCRIPT: target->effect = VSI_EFFECT_UNKNOWN; break;
  case VSI_EVENT_SIGNALS:
  case VSI_EVENT_MISSING_SIGNALS: read_signals(target, meaning, text); break;
  }
}

static void release(vsi_event_extra *extra) {
  vsi_target *target = (vsi_target *)extra;
  vsi_free(target->host, target->ids);
  vsi_free(target->host, target);
}

const vsi_target *vsi_event_target_made(const vestry_event *event) {
  for (vsi_event_extra *extra = vsi_event_extras(event); extra; extra = extra->next)
    if (extra->release == release) return (const vsi_target *)extra;
  return NULL;
}

/* Overhead of the allocator for each of the two allocations. */
enum { ALLOCATION_COST = 16 };

size_t vsi_event_target_cost(const vestry_event *event) {
  const vsi_target *target = vsi_event_target_made(event);
  if (!target) return 0;
  const size_t ids = target->ids ? target->ids_room * sizeof *target->ids + ALLOCATION_COST : 0;
  return sizeof *target + ALLOCATION_COST + ids;
}

const vsi_target *vsi_event_target(vestry_event *event) {
  const vsi_target *made = vsi_event_target_made(event);
  if (made) return made;
  const vestry_host *host = vsi_event_host(event);
  vsi_target *target = vsi_calloc(host, 1, sizeof *target);
  if (!target) return NULL;
  target->extra.release = release;
  target->host = host;
  target->bytes = vestry_event_bytes(event).len;
  read_event(target, event);
  /* Two threads may both make a target, with the same content. Only one is kept, so that the memory used is the memory
   * that was counted (vsi_event_target_cost). */
  vsi_event_extra *kept = vsi_event_extra_add_once(event, &target->extra);
  if (kept == &target->extra) return target;
  release(&target->extra);
  return (const vsi_target *)kept;
}

bool vsi_target_is_same(const vsi_target *a, const vsi_target *b) {
  return a->effect == VSI_EFFECT_MORPH && b->effect == VSI_EFFECT_MORPH && a->hash == b->hash && a->mode == b->mode &&
         a->ns == b->ns && is_same_text((vestry_slice){a->id, a->id_len}, (vestry_slice){b->id, b->id_len});
}

bool vsi_target_replaces(const vsi_target *later, const vsi_target *earlier) {
  return earlier->can_go && vsi_target_is_same(later, earlier) && vsi_html_state_goes(&earlier->state, &later->state);
}

bool vsi_target_holds(const vsi_target *behind, const vsi_target *before) {
  const vsi_html_state *state = &before->state;
  switch (behind->effect) {
  case VSI_EFFECT_SIGNALS: return behind->takes_away && (state->bound || state->read);
  case VSI_EFFECT_MISSING: return state->bound || state->read;
  case VSI_EFFECT_PASSING:
  case VSI_EFFECT_MORPH:
    if (vsi_html_state_meets(state, &behind->state)) return true;
    return state->has_fields && (before->has_other_ids || vsi_target_brings(before, behind) ||
                                 (behind->id_hash == before->id_hash && !adds(behind->mode)));
  case VSI_EFFECT_UNKNOWN: break; /* it ends a run */
  }
  return false;
}
