/* SPDX-License-Identifier: MIT */
/* essay: state of users and signals that a dropped morph would lose */
#include "html/state.h"

#include <string.h>

#include "base/ascii.h"

/* tests/browser/morph.test.js verifies the client's behaviour (Datastar 1.0.2 and 1.0.4). The rules here follow from
 * it:
 *
 * A morph keeps an element with an id if the old and the new HTML have it, in any place. It sets the value of an input
 * or a textarea, and a checked or selected state, only if the markup differs from the element's. So if both morphs have
 * a field with an id, the later morph alone changes the same or less: typed text is rather kept than lost. A field
 * without an id is matched with one of its kind by the structure around it, up to the nearest element with an id; the
 * match depends on tags, ids, and the places of text. If both morphs have the same structure, both find the same field.
 * Otherwise the earlier morph may lead the later one to a field that it would not find alone. Options are matched by
 * position, so a user's choice changes its value if options move: a select must be equal in both.
 *
 * data-bind creates its signal from the element's value if the signal is missing; reading a signal in an expression
 * creates an empty one. The next morph undoes neither. So the later morph must bind and read all signals that the
 * earlier one does. If several inputs have one name, their signal is a list, numbered in their order: they must be the
 * same in both.
 *
 * If an event in between is about the same signal, it matters whether the signal exists. Then the earlier morph stays,
 * unless both only read the signal. */

uint64_t vsi_html_hash(uint64_t hash, vestry_slice text) {
  const unsigned char *bytes = text.data;
  for (size_t i = 0; i < text.len; i++) hash = (hash ^ bytes[i]) * UINT64_C(1099511628211); /* FNV-1a */
  return (hash ^ 0xff) * UINT64_C(1099511628211); /* never a byte of UTF-8: separates two texts */
}

void vsi_html_set_add(vsi_html_set *set, uint64_t hash) {
  for (size_t i = 0; i < set->count; i++)
    if (set->hashes[i] == hash) return;
  if (set->count == VSI_HTML_SET_MAX)
    set->is_unclear = true;
  else
    set->hashes[set->count++] = hash;
}

void vsi_html_kind_add(vsi_html_kind *kind, uint64_t hash) {
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

uint64_t vsi_html_state_bind(vsi_html_state *state, vestry_slice name) {
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

/* Find signals as the client does: $name, $name.part, $name-part. A '$' in a string counts, too. */
void vsi_html_state_read(vsi_html_state *state, vestry_slice expression) {
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
    vsi_html_set_add(&state->reads, vsi_html_hash(VSI_HTML_HASH, whole));
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
