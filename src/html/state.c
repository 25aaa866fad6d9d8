/* SPDX-License-Identifier: MIT */
/* essay: state of users and signals that a dropped morph would lose */
#include "html/state.h"

#include <string.h>

#include "base/ascii.h"
#include "html/tag.h"

/* Conflation drops a waiting morph for a later morph of the same element (event/target.c), unless the later morph alone
 * would lose state that both together keep: typed text, a choice of the user, or a signal. The rules here follow from
 * the client's behaviour (Datastar 1.0.2 and 1.0.4), which tests/browser/morph.test.js verifies.
 *
 * A morph keeps an element with an id if the old and the new HTML have it, in any place. It sets the value of an input
 * or a textarea, and a checked or selected state, only if the markup differs from the element's. So if both morphs have
 * a field with an id, the later morph alone makes the same changes or fewer, and typed text is kept rather than lost. A
 * field without an id is matched with one of its kind by the structure around it, up to the nearest element with an id;
 * the match depends on tags, ids, and the places of text. If both morphs have the same structure, both find the same
 * field. Otherwise the later morph may find another field than it would find without the earlier morph. Options are
 * matched by position, so a user's choice changes its value if options move: a select must be equal in both.
 *
 * data-bind creates its signal from the element's value if the signal is missing; reading a signal in an expression
 * creates an empty one. The next morph undoes neither. So the later morph must bind and read all signals that the
 * earlier one does. If several inputs have one name, their signal is a list in the order of the inputs. Therefore these
 * inputs must be the same in both morphs.
 *
 * The effect of an event between the two morphs may depend on the existence of a signal. So if this event and the
 * earlier morph use the same signal, the earlier morph stays, unless both only read the signal. */

uint64_t vsi_html_hash(uint64_t hash, vestry_slice text) {
  const unsigned char *bytes = text.data;
  for (size_t i = 0; i < text.len; i++) hash = (hash ^ bytes[i]) * UINT64_C(1099511628211); /* FNV-1a */
  return (hash ^ 0xff) * UINT64_C(1099511628211); /* never a byte of UTF-8: separates two texts */
}

static void set_add(vsi_html_set *set, uint64_t hash) {
  for (size_t i = 0; i < set->count; i++)
    if (set->hashes[i] == hash) return;
  if (set->count == VSI_HTML_SET_MAX)
    set->is_unclear = true;
  else
    set->hashes[set->count++] = hash;
}

static void kind_add(vsi_html_kind *kind, uint64_t hash) {
  if (kind->count && kind->hash != hash) kind->count = 2;
  if (kind->count) return;
  *kind = (vsi_html_kind){hash, 1};
}

static bool is_name_byte(char c) {
  return vsi_is_letter(c) || vsi_is_digit(c) || c == '_';
}

/* Hash a name so that the spellings fooBar, foo-bar and foo_bar are equal. The parts of a path up to `stop` count. */
static uint64_t hash_of_name(vestry_slice name, char stop) {
  uint64_t hash = VSI_HTML_HASH;
  const char *at = name.data, *end = at + name.len;
  for (; at < end && *at != stop; at++) {
    char c = vsi_lower(*at);
    if (c != '-' && c != '_') hash = vsi_html_hash(hash, (vestry_slice){&c, 1});
  }
  return hash;
}

static uint64_t bit_of(vestry_slice name) {
  uint64_t hash = hash_of_name(name, '.');
  return UINT64_C(1) << ((hash ^ hash >> 40) & 63);
}

/* Note the name of a data-bind: its key or value. Returns a hash that is the same for all spellings of the name. */
static uint64_t note_bind(vsi_html_state *state, vestry_slice name) {
  bool is_plain = name.len && !memchr(name.data, '&', name.len);
  state->bound |= is_plain ? bit_of(name) : UINT64_MAX;
  state->binds.is_unclear |= !is_plain;
  return hash_of_name(name, '\0');
}

/* Return whether the character reference at '&' cannot be part of a name. */
static bool is_plain_reference(vestry_slice text) {
  static const char *const plain[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#39;", "&#34;"};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
    if (text.len >= strlen(plain[i]) && memcmp(text.data, plain[i], strlen(plain[i])) == 0) return true;
  return false;
}

static void read_any(vsi_html_state *state) {
  state->reads.is_unclear = true;
  state->read = UINT64_MAX;
}

/* Note the signals in an attribute's value that is an expression, evaluated when its element is shown. They are found
 * as by the client: $name, $name.part, $name-part. A '$' in a string counts, too. */
static void note_reads(vsi_html_state *state, vestry_slice expression) {
  const char *at = expression.data, *end = at + expression.len;
  while (at < end) {
    char c = *at++;
    if (c == '&' && !is_plain_reference((vestry_slice){at - 1, (size_t)(end - at + 1)})) read_any(state);
    if (c != '$' || at == end) continue;
    if (*at == '[') read_any(state); /* the name is computed */
    const char *name = at;
    while (at < end &&
           (is_name_byte(*at) || ((*at == '.' || *at == '-') && at > name && end - at > 1 && is_name_byte(at[1]))))
      at++;
    vestry_slice whole = {name, (size_t)(at - name)};
    if (!whole.len) continue;
    set_add(&state->reads, vsi_html_hash(VSI_HTML_HASH, whole));
    state->read |= bit_of(whole);
  }
}

static bool is_subset(const vsi_html_set *of, const vsi_html_set *set) {
  if (set->is_unclear) return false;
  for (size_t i = 0; i < set->count; i++) {
    size_t at = 0;
    while (at < of->count && of->hashes[at] != set->hashes[i]) at++;
    if (at == of->count) return false;
  }
  return true;
}

/* Return whether the later HTML has elements of only one kind, and the earlier HTML, if it has any, of the same
 * kind. */
static bool is_of_one_kind(const vsi_html_kind *earlier, const vsi_html_kind *later) {
  return !later->count ||
         (later->count == 1 && (!earlier->count || (earlier->count == 1 && earlier->hash == later->hash)));
}

void vsi_html_state_forget_user(vsi_html_state *state) {
  state->select_list = 0;
  state->selects.count = state->unnamed.count = 0;
  state->has_fields = false;
}

bool vsi_html_state_goes(const vsi_html_state *earlier, const vsi_html_state *later) {
  if (!is_subset(&later->binds, &earlier->binds) || !is_subset(&later->reads, &earlier->reads)) return false;
  if (earlier->boxes != later->boxes || earlier->focus != later->focus) return false;
  if (earlier->select_list != later->select_list && !is_of_one_kind(&earlier->selects, &later->selects)) return false;
  return earlier->shape == later->shape || is_of_one_kind(&earlier->unnamed, &later->unnamed);
}

bool vsi_html_state_meets(const vsi_html_state *before, const vsi_html_state *behind) {
  return (before->bound & (behind->bound | behind->read)) || (before->read & behind->bound);
}

/* ------------------------------------------------------------------------------------------- reading HTML ---- */

/* Tags are matched strictly: each end tag closes the last open start tag, by name. A document that passes can still be
 * parsed differently (WHATWG HTML, section 13.2.6): elements are closed by others that must not be nested in them,
 * moved out of tables, or dropped. All that happens inside the outermost element if no element inside closes or leaves
 * it; therefore only such elements are accepted as the root. Text that is not parsed as tags (styles, comments and the
 * like) is not accepted at all. */

enum { MAX_DEPTH = 64 };

static bool is_in(const char *const *names, size_t count, vestry_slice name) {
  for (size_t i = 0; i < count; i++)
    if (vsi_is_word(name, names[i])) return true;
  return false;
}
#define IS_IN(names, name) is_in(names, sizeof(names) / sizeof *(names), name)

typedef struct tag {
  vestry_slice name, id, type, bind;
  bool is_end, binds, has_name, takes_focus;
  uint64_t hash; /* of its name and attributes as they are written, without the id */
} tag;

static bool is_same_name(vestry_slice a, vestry_slice b) {
  return a.len == b.len && vsi_is_same_text(a.data, b.data, a.len);
}

static vestry_slice between(const char *from, const char *to) {
  return (vestry_slice){from, (size_t)(to - from)};
}

/* Read the key of data-bind:key, without modifiers; len 0: the name is in the value. Returns whether the attribute is
 * data-bind. */
static bool read_bind(vestry_slice name, vestry_slice *ret_key) {
  static const char bind[] = "data-bind";
  enum { LEN = sizeof bind - 1 };
  const char *text = name.data, *end = text + name.len;
  if (!vsi_starts_with(text, name.len, bind)) return false;
  const char *key = text + LEN, *stop = key;
  if (key < end && *key != ':' && !(end - key > 2 && key[0] == '_' && key[1] == '_')) return false;
  while (stop < end && !(end - stop > 1 && stop[0] == '_' && stop[1] == '_')) stop++;
  *ret_key = key < stop ? between(key + 1, stop) : (vestry_slice){NULL, 0};
  return true;
}

/* Return whether an attribute's value is an expression that is evaluated when the element appears. */
static bool is_shown(vestry_slice name) {
  static const char *const names[] = {"data-text", "data-show", "data-attr:", "data-class:", "data-style:"};
  return VSI_STARTS_WITH_ANY(name, names);
}

static void note_attribute(tag *t, vestry_slice name, vestry_slice value, vsi_html_state *state) {
  if (vsi_is_word(name, "id")) {
    if (!t->id.data) t->id = value; /* of two, the first counts */
    return;
  }
  t->hash = vsi_html_hash(vsi_html_hash(t->hash, name), value);
  if (vsi_is_word(name, "type") && !t->type.data) t->type = value;
  t->has_name |= vsi_is_word(name, "name");
  t->takes_focus |= vsi_is_word(name, "autofocus");
  vestry_slice key;
  if (read_bind(name, &key)) {
    state->binds.is_unclear |= t->binds; /* it is bound twice */
    t->binds = true;
    t->bind = key.len ? key : value;
  }
  if (is_shown(name)) note_reads(state, value);
}

/* Read the tag that begins at '<'. Returns its end; NULL: it is not supported. */
static const char *read_tag(const char *at, const char *end, tag *ret_tag, vsi_html_state *state) {
  vsi_tag reader;
  vsi_tag_attribute attribute;
  if (!vsi_tag_begin(&reader, at, end, true)) return NULL;
  tag t = {.name = reader.name, .is_end = reader.is_end, .hash = vsi_html_hash(VSI_HTML_HASH, reader.name)};
  while (vsi_tag_next(&reader, &attribute)) note_attribute(&t, attribute.name, attribute.value, state);
  *ret_tag = t;
  return reader.at;
}

/* Find the end tag of this name; NULL: there is none. */
static const char *find_end(const char *at, const char *end, const char *name) {
  size_t len = strlen(name);
  for (; (size_t)(end - at) >= len + 2; at++)
    if (at[0] == '<' && at[1] == '/' && vsi_starts_with(at + 2, len, name)) return at;
  return NULL;
}

/* --------------------------------------------------------------------------------------- the state of elements ---- */

enum { NO_TEXT, SPACE, TEXT, TEXT_WITH_REFERENCES };

typedef struct element {
  vestry_slice name;
  uint64_t shape, id; /* of its content so far; of its id, 0: none */
  bool is_foreign, has_unnamed;
} element;

typedef struct reading {
  vsi_html_state *state;
  element open[MAX_DEPTH + 1]; /* the first stands for the whole text */
  size_t depth;
  uint64_t text;          /* since the last tag */
  vsi_html_set box_names; /* of bound inputs */
  uint64_t boxes;         /* bound inputs, in order */
  bool are_numbered;      /* two have one name */
} reading;

static uint64_t mix(uint64_t hash, uint64_t with) {
  return vsi_html_hash(hash, (vestry_slice){&with, sizeof with});
}

static uint64_t hash_of_id(vestry_slice id) {
  return id.len ? vsi_html_hash(VSI_HTML_HASH, id) : 0;
}

static element *innermost(reading *r) {
  return &r->open[r->depth];
}

static void end_text(reading *r) {
  if (r->text != NO_TEXT) innermost(r)->shape = mix(innermost(r)->shape, r->text);
  r->text = NO_TEXT;
}

static bool is_field(const tag *t) {
  static const char *const fields[] = {"input", "textarea", "select", "video", "audio", "canvas", "dialog"};
  static const char *const plain[] = {"hidden", "submit", "button", "reset", "image"};
  if (!IS_IN(fields, t->name)) return false;
  return !vsi_is_word(t->name, "input") || !IS_IN(plain, t->type);
}

static void note_bound(reading *r, const tag *t, uint64_t hash) {
  bool is_input = vsi_is_word(t->name, "input"), is_radio = is_input && vsi_is_word(t->type, "radio");
  uint64_t name = note_bind(r->state, t->bind);
  set_add(&r->state->binds, hash);
  if (is_radio && !t->has_name) r->state->binds.is_unclear = true; /* the client sets a name, and a morph removes it */
  if (!is_input || is_radio) return;
  uint32_t count = r->box_names.count;
  set_add(&r->box_names, name);
  r->are_numbered |= r->box_names.count == count;
  r->boxes = mix(mix(r->boxes, hash), hash_of_id(t->id));
}

/* Note an element that begins. inside: its content, if it is read together with its tag. */
static void note_element(reading *r, const tag *t, vestry_slice inside) {
  vsi_html_state *state = r->state;
  uint64_t hash = vsi_html_hash(t->hash, inside), id = hash_of_id(t->id);
  if (t->binds) note_bound(r, t, hash);
  if (t->takes_focus) state->focus = mix(mix(state->focus, t->hash), id);
  if (!is_field(t)) return;
  state->has_fields = true;
  if (vsi_is_word(t->name, "select")) {
    kind_add(&state->selects, hash);
    state->select_list = mix(mix(state->select_list, hash), id);
  }
}

/* Add the shape of an ended element to the shape of the element around it. */
static void close_element(reading *r, const element *ended) {
  element *around = innermost(r);
  around->shape = mix(ended->id ? mix(around->shape, ended->id) : around->shape, ended->shape);
  if (ended->has_unnamed && ended->id)
    kind_add(&r->state->unnamed, ended->shape);
  else
    around->has_unnamed |= ended->has_unnamed;
}

static element element_of(const reading *r, const tag *t) {
  uint64_t shape = VSI_HTML_HASH;
  for (size_t i = 0; i < t->name.len; i++) {
    char c = vsi_lower(((const char *)t->name.data)[i]);
    shape = vsi_html_hash(shape, (vestry_slice){&c, 1});
  }
  bool is_foreign = r->open[r->depth].is_foreign || vsi_is_word(t->name, "svg") || vsi_is_word(t->name, "math");
  bool has_unnamed = is_field(t) && !t->id.len;
  if (is_field(t)) shape = vsi_html_hash(shape, t->type);
  return (element){t->name, shape, hash_of_id(t->id), is_foreign, has_unnamed};
}

static bool is_of_select(vestry_slice name) {
  static const char *const inside[] = {"option", "optgroup", "hr"};
  return IS_IN(inside, name);
}

/* Return whether a select contains only options, so that a browser would move nothing out of it. */
static bool is_options(vestry_slice inside) {
  vestry_slice open[2];
  size_t depth = 0;
  vsi_html_state ignored = {.has_fields = false};
  for (const char *at = inside.data, *end = at + inside.len; at < end;) {
    tag t;
    if (*at != '<') {
      at++;
      continue;
    }
    at = read_tag(at, end, &t, &ignored);
    if (!at || !is_of_select(t.name)) return false;
    if (t.is_end) {
      if (!depth || !is_same_name(open[depth - 1], t.name)) return false;
      depth--;
    } else if (!vsi_is_word(t.name, "hr")) {
      if (depth == 2 || (depth && !vsi_is_word(open[0], "optgroup")) || (depth && vsi_is_word(t.name, "optgroup")))
        return false;
      open[depth++] = t.name;
    }
  }
  return !depth;
}

bool vsi_html_read(vestry_slice html, bool one_root, vestry_slice *ret_id, vsi_html_state *ret_state) {
  static const char *const roots[] = {"div", "main", "section", "article", "aside",  "header",  "footer",
                                      "nav", "ul",   "ol",      "dl",      "figure", "details", "span"};
  static const char *const voids[] = {"area",  "base", "br",   "col",   "embed",  "hr",    "img",
                                      "input", "link", "meta", "param", "source", "track", "wbr"};
  static const char *const opaque[] = {"script",   "style",    "title",     "xmp",      "iframe",   "noembed",
                                       "noframes", "noscript", "plaintext", "template", "frameset", "html",
                                       "head",     "body",     "image",     "option",   "optgroup"};
  reading r = {.state = ret_state, .open = {{.shape = VSI_HTML_HASH}}};
  vestry_slice id = {NULL, 0};
  bool begun = false;
  *ret_state = (vsi_html_state){.has_fields = false};
  if (!html.len) return false;
  for (const char *at = html.data, *end = at + html.len; at < end;) {
    if (vsi_is_space(*at)) {
      at = vsi_tag_skip_space(at, end, true);
      if (r.text < SPACE) r.text = SPACE;
      continue;
    }
    if (*at != '<') {
      if (!r.depth && one_root) return false;
      if (r.text < TEXT) r.text = TEXT;
      if (*at == '&') r.text = TEXT_WITH_REFERENCES;
      at++;
      continue;
    }
    tag t;
    at = read_tag(at, end, &t, ret_state);
    if (!at || IS_IN(opaque, t.name)) return false;
    end_text(&r);
    if (t.is_end) {
      if (!r.depth || !is_same_name(innermost(&r)->name, t.name)) return false;
      element ended = *innermost(&r);
      r.depth--;
      close_element(&r, &ended);
      continue;
    }
    if (!r.depth && one_root && (begun || !IS_IN(roots, t.name))) return false;
    if (!r.depth && !begun) id = t.id;
    begun = true;
    element new = element_of(&r, &t);
    vestry_slice inside = {at, 0};
    bool is_textarea = vsi_is_word(t.name, "textarea"), is_select = vsi_is_word(t.name, "select");
    /* In svg and math these are not the fields of HTML. */
    if (innermost(&r)->is_foreign && (is_field(&t) || t.binds)) return false;
    if (is_textarea || is_select) {
      at = find_end(at, end, is_textarea ? "textarea" : "select");
      if (!at) return false;
      inside = between(inside.data, at);
      if (is_select && !is_options(inside)) return false;
    }
    note_element(&r, &t, inside);
    if (IS_IN(voids, t.name)) {
      close_element(&r, &new);
      continue;
    }
    if (r.depth == MAX_DEPTH) return false;
    r.open[++r.depth] = new;
  }
  end_text(&r);
  if (r.depth || (one_root && !begun)) return false;
  ret_state->shape = r.open[0].shape;
  if (r.open[0].has_unnamed) kind_add(&ret_state->unnamed, r.open[0].shape);
  ret_state->boxes = r.are_numbered ? r.boxes : 0;
  *ret_id = id.len && !memchr(id.data, '&', id.len) && !memchr(id.data, '\n', id.len) ? id : (vestry_slice){NULL, 0};
  return true;
}
