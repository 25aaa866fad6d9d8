/* SPDX-License-Identifier: MIT */
/* What conflation reads from events (src/event/target.h), compared with what a browser reads: events go through the
 * tests' parser of streams, and the resulting elements are parsed again by WHATWG HTML, section 13.2.5.
 * Input: a byte for the kind, one each for mode and namespace of the first and the second, one for flags; a selector
 * and a text, each ended by a NUL, then another text, and after one more NUL a state, if any.
 *
 * - Elements: an event with a target is one element, with that id; all its other ids are reported as brought. An
 *   event that may be dropped, or overtaken, contains nothing that runs. An event that is dropped for a later one
 *   binds and shows only signals that the later one binds and shows, too.
 * - Signals: a merged event changes any state like both events in order. It is no longer than both, and can be
 *   merged again. Two flat events of integers can always be merged. */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "event/sse_parser.h"
#include "event/target.h"
#include "html/state.h"
#include "vestry/event.h"

enum { IS_SIGNALS = 1, HAS_SELECTOR = 1, HAS_ID = 2, HAS_RETRY = 4, HAS_TRANSITION = 8, IS_MISSING = 16 };
enum { MAX_OPEN = 128, MAX_NOTED = 64 };

static void require(bool condition) {
  if (!condition) abort();
}

/* ---- the view of a browser --------------------------------------------------------------------------------------- */

typedef struct noted {
  size_t count;
  vestry_slice texts[MAX_NOTED]; /* the first ones only */
} noted;

typedef struct reading {
  size_t ids_count, roots_count;
  bool runs, is_strict; /* every end tag closes the last open tag, and only space is outside of the roots */
  vestry_slice root_id;
  vestry_slice open[MAX_OPEN];
  size_t depth;
  noted ids, binds, names; /* values of ids; names and values of data-bind; names of shown signals */
} reading;

static void note(noted *all, vestry_slice text) {
  if (all->count < MAX_NOTED) all->texts[all->count++] = text;
}

static bool is_blank(char c) {
  return c && strchr(" \t\n\f\r", c);
}

static bool is_named(vestry_slice text, const char *name) {
  return text.len == strlen(name) && strncasecmp(text.data, name, text.len) == 0;
}

static bool begins(vestry_slice text, const char *with) {
  return text.len >= strlen(with) && strncasecmp(text.data, with, strlen(with)) == 0;
}

static bool is_one_of(vestry_slice text, const char *names) {
  char padded[32] = " ";
  if (text.len > 24 || memchr(text.data, ' ', text.len) || memchr(text.data, 0, text.len)) return false;
  strncat(padded, text.data, text.len);
  strcat(padded, " ");
  return strcasestr(names, padded) != NULL;
}

static bool only_shows(vestry_slice name) {
  return is_named(name, "data-text") || is_named(name, "data-show") || begins(name, "data-attr:") ||
         begins(name, "data-class:") || is_named(name, "data-style") || begins(name, "data-style:") ||
         begins(name, "data-on:click") || begins(name, "data-on:input") || begins(name, "data-on:change") ||
         begins(name, "data-on:submit") || begins(name, "data-on:key");
}

static void see_attribute(reading *r, vestry_slice name, vestry_slice value, vestry_slice *id) {
  bool handles = begins(name, "on") && name.len > 2 && value.data;
  for (size_t i = 2; handles && i < name.len; i++) handles = isalpha((unsigned char)((const char *)name.data)[i]);
  bool binds = is_named(name, "data-bind") || begins(name, "data-bind:") || begins(name, "data-bind__");
  if (handles || (is_named(name, "is") && value.len) || (begins(name, "data-") && !only_shows(name) && !binds))
    r->runs = true;
  if (is_named(name, "data-bind") || begins(name, "data-bind:") || begins(name, "data-bind__")) {
    note(&r->binds, name);
    note(&r->binds, value);
  }
  bool is_shown = only_shows(name) && !begins(name, "data-on:");
  for (size_t i = 0; is_shown && i < value.len; i++) {
    const char *at = (const char *)value.data + i + 1, *end = (const char *)value.data + value.len;
    size_t len = 0;
    if (at[-1] != '$') continue;
    while (at + len < end && (isalnum((unsigned char)at[len]) || at[len] == '_')) len++;
    if (len) note(&r->names, (vestry_slice){at, len});
  }
  if (!is_named(name, "id")) return;
  r->ids_count++;
  if (value.len) note(&r->ids, value);
  if (!id->data) *id = value.data ? value : (vestry_slice){"", 0}; /* the first of two counts */
}

/* Read attributes up to the '>', and return it; NULL: the text ends before. */
static const char *see_attributes(reading *r, const char *at, const char *end, vestry_slice *id) {
  for (;;) {
    while (at < end && (is_blank(*at) || *at == '/')) at++;
    if (at == end || *at == '>') return at < end ? at : NULL;
    vestry_slice name = {at, 0}, value = {NULL, 0};
    do at++;
    while (at < end && !is_blank(*at) && !(*at && strchr("/>=", *at)));
    name.len = (size_t)(at - (const char *)name.data);
    while (at < end && is_blank(*at)) at++;
    if (at < end && *at == '=') {
      do at++;
      while (at < end && is_blank(*at));
      if (at == end) return NULL;
      char quote = *at == '"' || *at == '\'' ? *at++ : 0;
      value.data = at;
      while (at < end && (quote ? *at != quote : !is_blank(*at) && *at != '>')) at++;
      value.len = (size_t)(at - (const char *)value.data);
      if (at == end) return NULL;
      if (quote) at++;
    }
    see_attribute(r, name, value, id);
  }
}

static void see_tag(reading *r, vestry_slice name, bool is_end, vestry_slice id) {
  static const char voids[] = " area base br col embed hr img input link meta param source track wbr ";
  if (is_one_of(name, " script iframe frame object embed applet portal fencedframe meta base ") && !is_end)
    r->runs = true;
  if (is_end) {
    if (r->depth && r->open[r->depth - 1].len == name.len &&
        strncasecmp(r->open[r->depth - 1].data, name.data, name.len) == 0)
      r->depth--;
    else
      r->is_strict = false;
    return;
  }
  if (!r->depth && !r->roots_count++) r->root_id = id;
  if (is_one_of(name, voids)) return;
  if (r->depth == MAX_OPEN)
    r->is_strict = false;
  else
    r->open[r->depth++] = name;
}

static void read_html(const char *at, size_t len, reading *ret_reading) {
  reading *r = ret_reading;
  *r = (reading){.is_strict = true};
  for (const char *end = at + len; at < end;) {
    bool is_end = *at == '<' && end - at > 1 && at[1] == '/';
    const char *name = at + 1 + is_end;
    if (*at != '<' || name >= end || !isalpha((unsigned char)*name)) {
      if (!r->depth && !is_blank(*at)) r->is_strict = false;
      if (*at == '<' && name < end && strchr("!?/", *name)) r->is_strict = false; /* a comment of some kind */
      at++;
      continue;
    }
    const char *name_end = name;
    while (name_end < end && !is_blank(*name_end) && *name_end != '/' && *name_end != '>') name_end++;
    vestry_slice id = {NULL, 0};
    at = see_attributes(r, name_end, end, &id);
    if (!at) break; /* not a tag */
    vestry_slice tag = {name, (size_t)(name_end - name)};
    see_tag(r, tag, is_end, id);
    if (memchr(tag.data, '-', tag.len) && !memchr(tag.data, '"', tag.len) && !memchr(tag.data, '\'', tag.len) &&
        !is_end)
      r->runs = true; /* the page defines its behaviour */
    at++;
    while (is_named(tag, "textarea") && !is_end && at < end && /* its text */
           (end - at < 11 || strncasecmp(at, "</textarea", 10) != 0 || !(is_blank(at[10]) || strchr("/>", at[10]))))
      at++;
  }
  if (!at || r->depth) r->is_strict = false;
}

static bool is_text(vestry_slice a, const char *data, size_t len) {
  return a.len == len && (!len || memcmp(a.data, data, len) == 0);
}

/* Check that it is one element with this id. */
static void require_one(const reading *r, const char *id, size_t len) {
  require(r->is_strict && r->roots_count == 1 && is_text(r->root_id, id, len));
}

static void check_root(const char *html, size_t len) {
  reading r;
  vestry_slice id;
  if (memchr(html, '\n', len)) return; /* in an event, each line has a key */
  vsi_html_state state;
  if (!vsi_html_read((vestry_slice){html, len}, true, &id, &state)) return;
  require(state.binds.count <= VSI_HTML_SET_MAX && state.reads.count <= VSI_HTML_SET_MAX);
  read_html(html, len, &r);
  require(r.is_strict && r.roots_count == 1);
  if (id.len) require_one(&r, id.data, id.len);
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

static sse_text value_of(const vestry_event *event, const char *key) {
  sse_stream stream;
  vestry_slice bytes = vestry_event_bytes(event);
  sse_parse(bytes.data, bytes.len, &stream);
  require(stream.events_count == 1);
  sse_text value = sse_value(&stream.events[0], key);
  sse_finish(&stream);
  return value;
}

/* Check that every id except the target's is reported, by the function that conflation uses. */
static void require_brought(const vsi_target *target, const reading *r) {
  for (size_t i = 0; i < r->ids.count; i++) {
    vestry_slice id = r->ids.texts[i];
    if (is_text(id, target->id, target->id_len) || memchr(id.data, '\n', id.len)) continue;
    char selector[128];
    vestry_event *event = NULL;
    if (id.len > sizeof selector - 2 || memchr(id.data, 0, id.len)) continue;
    snprintf(selector, sizeof selector, "#%.*s", (int)id.len, (const char *)id.data);
    if (vestry_event_remove(NULL, selector, NULL, &event)) continue;
    const vsi_target *other = vsi_event_target(event);
    require(other);
    if (other->id_len) {
      require(other->effect == VSI_EFFECT_PASSING && vsi_target_is_marked(target->marks, other));
      require(vsi_target_brings(target, other) || memchr(id.data, '&', id.len));
    }
    vestry_event_unref(event);
  }
}

static bool has(const noted *all, const vestry_slice *texts, size_t step) {
  for (size_t i = 0; i < all->count; i += step) {
    size_t same = 0;
    while (same < step && is_text(all->texts[i + same], texts[same].data, texts[same].len)) same++;
    if (same == step) return true;
  }
  return false;
}

static void require_all(const noted *of, const noted *in, size_t step) {
  if (in->count >= MAX_NOTED - 1) return; /* more than the array holds */
  for (size_t i = 0; i + step <= of->count; i += step) require(has(in, &of->texts[i], step));
}

static void check_elements(const vestry_event *event, const vsi_target *target,
                           const vestry_elements_options *options) {
  sse_text html = value_of(event, "elements");
  reading r;
  read_html(html.data ? html.data : "", html.len, &r);
  bool is_of_stream = options->event.id || (options->event.retry_ms && options->event.retry_ms != 1000);
  require(target->effect != VSI_EFFECT_SIGNALS && target->effect != VSI_EFFECT_MISSING);
  require(target->effect == VSI_EFFECT_UNKNOWN || !r.runs);
  bool adds = options->mode == VESTRY_PATCH_APPEND || options->mode == VESTRY_PATCH_PREPEND ||
              options->mode == VESTRY_PATCH_BEFORE || options->mode == VESTRY_PATCH_AFTER;
  if (target->effect == VSI_EFFECT_PASSING)
    require((adds || !r.ids_count) && options->selector && options->selector[0] == '#');
  if (target->effect == VSI_EFFECT_PASSING || target->effect == VSI_EFFECT_MORPH) require_brought(target, &r);
  if (target->effect == VSI_EFFECT_MORPH) {
    bool is_itself = options->mode == VESTRY_PATCH_OUTER || options->mode == VESTRY_PATCH_REPLACE;
    require(is_itself || options->mode == VESTRY_PATCH_INNER);
    require(!target->can_go || !is_of_stream);
    if (is_itself) require_one(&r, target->id, target->id_len);
    const char *selector = options->selector && *options->selector ? options->selector : NULL;
    require(selector || is_itself);
    if (selector)
      require(*selector == '#' &&
              is_text((vestry_slice){target->id, target->id_len}, selector + 1, strlen(selector + 1)));
  }
  sse_text_finish(&html);
}

static void check_pair(const vestry_elements_options *options, const char *const *texts, const size_t *lens) {
  vestry_event *events[2] = {NULL, NULL};
  const vsi_target *targets[2] = {NULL, NULL};
  for (int i = 0; i < 2; i++) {
    check_root(texts[i], lens[i]);
    if (vestry_event_elements(NULL, texts[i], lens[i], &options[i], &events[i])) continue;
    targets[i] = vsi_event_target(events[i]);
    require(targets[i] && targets[i] == vsi_event_target_made(events[i]));
    check_elements(events[i], targets[i], &options[i]);
  }
  if (targets[0] && targets[1] && vsi_target_replaces(targets[1], targets[0])) {
    require(options[0].mode == options[1].mode && options[0].ns == options[1].ns);
    require(is_text((vestry_slice){targets[0]->id, targets[0]->id_len}, targets[1]->id, targets[1]->id_len));
    reading readings[2];
    sse_text htmls[2];
    for (int i = 0; i < 2; i++) {
      htmls[i] = value_of(events[i], "elements");
      read_html(htmls[i].data ? htmls[i].data : "", htmls[i].len, &readings[i]);
    }
    require_all(&readings[0].binds, &readings[1].binds, 2);
    require_all(&readings[0].names, &readings[1].names, 1);
    for (int i = 0; i < 2; i++) sse_text_finish(&htmls[i]);
  }
  for (int i = 0; i < 2; i++) vestry_event_unref(events[i]);
}

/* ---- signals ----------------------------------------------------------------------------------------------------- */

/* RFC 7396, section 2, literally; for objects only. */
static void merge_patch(json_t *target, json_t *patch) {
  const char *name;
  json_t *value;
  json_object_foreach(patch, name, value) {
    if (json_is_null(value)) {
      json_object_del(target, name);
      continue;
    }
    if (!json_is_object(value)) {
      require(!json_object_set(target, name, value));
      continue;
    }
    if (!json_is_object(json_object_get(target, name))) require(!json_object_set_new(target, name, json_object()));
    merge_patch(json_object_get(target, name), value);
  }
}

static void patch_by(json_t *state, const vestry_event *event) {
  sse_text text = value_of(event, "signals");
  json_t *patch = json_loadb(text.data, text.len, 0, NULL);
  require(json_is_object(patch));
  merge_patch(state, patch);
  json_decref(patch);
  sse_text_finish(&text);
}

static bool is_flat_of_integers(const vestry_event *event) {
  sse_text text = value_of(event, "signals");
  json_t *patch = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL), *value;
  bool is = patch && !strchr(text.data, '\n') && text.len < 4096;
  const char *name;
  json_object_foreach(patch, name, value) {
    is &= json_is_integer(value);
    for (const char *at = name; *at; at++) is &= isalnum((unsigned char)*at) != 0;
  }
  json_decref(patch);
  sse_text_finish(&text);
  return is;
}

static void check_merged(vestry_event *const *events, const vsi_target *const *targets, const json_t *start) {
  vestry_event *merged = NULL;
  vestry_err error = vsi_signals_merge(NULL, targets[0], targets[1], &merged);
  if (error) {
    require(error == VESTRY_UNSUPPORTED && !merged);
    require(!is_flat_of_integers(events[0]) || !is_flat_of_integers(events[1]));
    return;
  }
  json_t *one_by_one = json_deep_copy(start), *at_once = json_deep_copy(start);
  patch_by(one_by_one, events[0]);
  patch_by(one_by_one, events[1]);
  patch_by(at_once, merged ? merged : events[1]);
  require(json_equal(one_by_one, at_once));
  json_decref(one_by_one);
  json_decref(at_once);
  if (!merged) return;
  require(vestry_event_bytes(merged).len <= targets[0]->bytes + targets[1]->bytes);
  const vsi_target *again = vsi_event_target(merged);
  require(again && again->effect == VSI_EFFECT_SIGNALS && again->can_go);
  vestry_event_unref(merged);
}

static void check_signals(const vestry_signals_options *options, const char *const *texts, const size_t *lens) {
  vestry_event *events[2] = {NULL, NULL};
  const vsi_target *targets[2] = {NULL, NULL};
  for (int i = 0; i < 2; i++) {
    if (vestry_event_signals_text(NULL, texts[i], lens[i], options, &events[i])) continue;
    targets[i] = vsi_event_target(events[i]);
    require(targets[i] && targets[i]->bytes == vestry_event_bytes(events[i]).len);
    require(targets[i]->effect == (options->only_if_missing ? VSI_EFFECT_MISSING : VSI_EFFECT_SIGNALS));
    require(!targets[i]->can_go || (!options->only_if_missing && !options->event.id && !options->event.retry_ms));
  }
  if (targets[0] && targets[1] && targets[0]->can_go && targets[1]->can_go) {
    json_t *start = json_loadb(texts[2], lens[2], 0, NULL);
    if (!json_is_object(start)) {
      json_decref(start);
      start = json_pack("{s:i,s:{s:n,s:{s:i}},s:[i]}", "a", 1, "b", "a", "b", "a", 2, "c", 3);
    }
    check_merged(events, targets, start);
    json_decref(start);
  }
  for (int i = 0; i < 2; i++) vestry_event_unref(events[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *texts[4], *at = (const char *)data + 4, *end = (const char *)data + size;
  size_t lens[4];
  if (size < 4) return 0;
  for (int i = 0; i < 4; i++) {
    const char *zero = i < 3 && at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
    if (!zero && i < 2) return 0;
    texts[i] = at;
    lens[i] = (size_t)((zero ? zero : end) - at);
    at = zero ? zero + 1 : end;
  }
  uint8_t flags = data[3];
  vestry_event_options common = {.id = flags & HAS_ID ? "7" : NULL, .retry_ms = flags & HAS_RETRY ? 2000 : 0};
  if (data[0] & IS_SIGNALS) {
    check_signals(&(vestry_signals_options){.event = common, .only_if_missing = flags & IS_MISSING}, texts + 1,
                  lens + 1);
    return 0;
  }
  vestry_elements_options options[2];
  for (int i = 0; i < 2; i++)
    options[i] = (vestry_elements_options){.event = common,
                                           .selector = flags & HAS_SELECTOR ? texts[0] : NULL,
                                           .mode = (vestry_patch_mode)(data[1 + i] % 8),
                                           .ns = (vestry_namespace)(data[1 + i] / 8 % 3),
                                           .use_view_transition = flags & HAS_TRANSITION};
  check_pair(options, texts + 1, lens + 1);
  return 0;
}
