/* SPDX-License-Identifier: MIT */
/* Dividing a content into units (unit.h).
 *
 * Units that are the same as in the list of the content before are skipped, because reading tags takes most of the
 * time. The rest is read once, tag by tag. Each start tag must have an end tag, and must not close or move anything
 * (element.h): then the bytes of an element, parsed alone by the client, make the same element as in the content. All
 * other contents are unsuitable.
 *
 * The bytes inside of some elements are never divided: the client does not patch inside of an element with
 * data-ignore-morph, and elements of svg, math and select have a meaning only in their context. Their ids are noted,
 * because an id that occurs twice, or changes between a unit and such an element, makes a content unsuitable. */
#include "app/page/unit.h"

#include <string.h>

#include "app/page/content.h"
#include "app/page/element.h"
#include "base/array.h"
#include "base/ascii.h"
#include "base/memory.h"

enum {
  INDEX_BITS = 24,
  IS_OTHER = (1 << INDEX_BITS) - 1,
  SLOTS_FEWEST = 64,
  SUBUNITS_MOST = 64, /* inside of a unit that is compared at once */
  LEVELS_MOST = 256,
};

static const char why_repaired[] = "a tag is missing, or a parser repairs the nesting of elements";
static const char why_id[] = "an id occurs twice";

/* ---------------------------------------------------------------------------------------------- tables by name ---- */

static uint64_t *slot_of(const vsi_unit_names *names, uint64_t name) {
  size_t i = (size_t)name & (names->room - 1);
  while (names->slots[i] && names->slots[i] >> INDEX_BITS != name) i = (i + 1) & (names->room - 1);
  return &names->slots[i];
}

static vestry_err grow_names(vsi_unit_names *names, const vestry_host *host, size_t room) {
  const vsi_unit_names former = *names;
  names->room = room;
  names->slots = vsi_calloc(host, room, sizeof *names->slots);
  if (!names->slots) {
    *names = former;
    return VESTRY_NO_MEMORY;
  }
  for (size_t i = 0; i < former.room; i++)
    if (former.slots[i]) *slot_of(names, former.slots[i] >> INDEX_BITS) = former.slots[i];
  vsi_free(host, former.slots);
  return VESTRY_OK;
}

/* Returns OK | EXISTS | NO_MEMORY. */
static vestry_err add_name(vsi_unit_names *names, const vestry_host *host, uint64_t name, uint64_t value) {
  if (names->count * 2 >= names->room && grow_names(names, host, names->room ? names->room * 4 : SLOTS_FEWEST))
    return VESTRY_NO_MEMORY;
  uint64_t *slot = slot_of(names, name);
  if (*slot) return VESTRY_EXISTS;
  *slot = name << INDEX_BITS | value;
  names->count++;
  return VESTRY_OK;
}

static vestry_slice id_of(const vsi_unit *unit) {
  return (vestry_slice){unit->id, unit->id_len};
}

static bool is_id(const vsi_unit *unit, vestry_slice id) {
  return unit->id_len == id.len && memcmp(unit->id, id.data, id.len) == 0;
}

/* Add all units of the list, once one of them is searched. */
static vestry_err name_had(vsi_units *units, vsi_siphash_key key) {
  vsi_unit_names *names = &units->had_names;
  size_t room = SLOTS_FEWEST;
  while (room < units->had_count * 2 + 2) room *= 2;
  vestry_err error = grow_names(names, units->host, room);
  for (uint32_t i = 0; i < units->had_count && !error; i++) {
    error = add_name(names, units->host, vsi_unit_name(key, id_of(&units->had[i])), i + 1);
    if (error == VESTRY_EXISTS) error = VESTRY_OK; /* two ids with one hash: the second is never found */
  }
  return error;
}

/* Find a unit of the list by the name of an id. ret: its index; NONE: there is none. Returns OK | NO_MEMORY. */
static vestry_err find_had(vsi_units *units, vsi_siphash_key key, uint64_t name, vestry_slice id, uint32_t *ret) {
  *ret = VSI_UNIT_NONE;
  if (!units->had_count) return VESTRY_OK;
  if (!units->had_names.room && name_had(units, key)) return VESTRY_NO_MEMORY;
  const uint64_t value = *slot_of(&units->had_names, name) & IS_OTHER;
  if (value && is_id(&units->had[value - 1], id)) *ret = (uint32_t)value - 1;
  return VESTRY_OK;
}

static vestry_err add_unit(vsi_units *units, const vsi_unit *unit) {
  vestry_err error = VSI_ARRAY_RESERVE(units->host, units->all, units->count, units->room, 1);
  if (!error) units->all[units->count++] = *unit;
  return error;
}

void vsi_units_finish(vsi_units *units) {
  vsi_free(units->host, units->all);
  vsi_free(units->host, units->had);
  vsi_free(units->host, units->had_ids);
  vsi_free(units->host, units->to_now);
  vsi_free(units->host, units->names.slots);
  vsi_free(units->host, units->had_names.slots);
}

/* --------------------------------------------------------------------------------------------------- dividing ----- */

/* An open element. */
typedef struct level {
  uint32_t unit; /* NONE: it is not a unit */
  uint32_t in;   /* what is open inside of it (element.h) */
  uint32_t name_at;
  uint32_t name_len : 31;
  uint32_t has_body : 1; /* a table in which the parser has opened a tbody without a tag */
} level;

/* An open unit. */
typedef struct own_bytes {
  uint32_t unit;
  uint32_t edge;   /* end of its start tag, or of the last unit inside of it */
  uint32_t hashed; /* the bytes before are hashed */
  uint32_t run;
  uint32_t next;     /* unit of the list that is expected next inside of it */
  uint32_t next_end; /* index in the list after the units that can be expected */
  uint32_t tried;    /* unit of the list that was compared, and differs or is elsewhere; 0: none */
  bool is_plain;     /* all bytes are hashed as they are, and all ids in it are those of units */
  uint64_t hash;     /* of its place, and of the parts before `pieces` */
  uint64_t place;    /* of units that begin here; 0: not known */
  vsi_siphash_128 pieces;
} own_bytes;

typedef struct division {
  vsi_units *units;
  const vsi_unit_text *text;
  const char *html, *end;
  vsi_siphash_key key;
  size_t insert; /* number of inserts that are hashed */
  level levels[LEVELS_MOST];
  size_t levels_count;
  size_t closed; /* number of levels from which on nothing is divided; SIZE_MAX: everything is divided */
  own_bytes owns[VSI_UNIT_DEPTH_MAX + 1];
  size_t owns_count;
  vestry_err error;
} division;

/* Return what is open at this place. */
static uint32_t in_of(const division *d) {
  return d->levels_count ? d->levels[d->levels_count - 1].in : 0;
}

static const char *run_out(division *d, vestry_err error) {
  d->error = error;
  return error == VESTRY_EXISTS ? why_id : "out of memory";
}

/* ---- hashes of own bytes ---- */

/* The own bytes are hashed in parts: the start tag with the first gap, each further gap, and a new part at each
 * insert. The last part includes the end tag. */
enum { OF_GAP = 1, OF_APART, OF_TEXT, OF_INSERT, OF_PLACE, OF_END, OF_OTHER };

static uint64_t mix(vsi_siphash_key key, uint64_t hash, uint64_t with, unsigned kind) {
  return vsi_siphash_1_3_words(key, hash, with, kind, 17);
}

/* Begin another part. */
static void hash_mark(const division *d, own_bytes *own, unsigned kind) {
  own->hash = mix(d->key, vsi_siphash_pieces_final(&own->pieces), own->hash, kind);
  vsi_siphash_pieces_init(&own->pieces, d->key);
}

/* Hash bytes of a unit. Pieces are hashed in the order of the text. */
static void hash_bytes(division *d, own_bytes *own, uint32_t from, uint32_t to) {
  own->place = 0;
  vsi_siphash_pieces_update(&own->pieces, d->html + from, to - from);
  for (; d->insert < d->text->inserts_count && d->text->inserts_at[d->insert] <= to; d->insert++) {
    const char *insert = d->text->inserts[d->insert];
    hash_mark(d, own, OF_TEXT);
    vsi_siphash_pieces_update(&own->pieces, insert, strlen(insert));
    hash_mark(d, own, OF_INSERT);
    own->is_plain = false;
  }
  own->hashed = to;
}

/* is_apart: there is a gap even without bytes. */
static void hash_gap(division *d, own_bytes *own, uint32_t to, bool is_apart) {
  vsi_unit *unit = &d->units->all[own->unit];
  if (own->hashed == to && !is_apart) return;
  if (unit->gaps_count || is_apart) hash_mark(d, own, is_apart ? OF_APART : OF_GAP);
  unit->gaps_count++;
  hash_bytes(d, own, own->hashed, to);
}

/* Return whether the bytes up to here are hashed as they are. */
static bool is_plain_to(const division *d, uint32_t to) {
  return d->insert == d->text->inserts_count || d->text->inserts_at[d->insert] > to;
}

/* Return the place of units that begin here. It depends on the own bytes of all units around it so far: at equal places
 * the parser has the same open elements. */
static uint64_t place_of(const division *d, own_bytes *own) {
  if (!own->place) own->place = mix(d->key, vsi_siphash_pieces_final(&own->pieces), own->hash, OF_PLACE) | 1;
  return own->place;
}

/* ---- units that are the same as in the list ---- */

/* A unit of the list that is found again with the same bytes, and at an equal place, needs not be read. */

static uint64_t outer_hash(const division *d, uint64_t place, uint32_t begin, uint32_t end) {
  return vsi_text_hash_hidden(d->text->key, place, d->html + begin, end - begin) >> (64 - VSI_UNIT_HASH_BITS);
}

/* Return whether the tag at this place seems to be the start tag of a unit. */
static bool has_id_in_tag(const division *d, uint32_t at, vestry_slice id) {
  const char *begin = d->html + at, *end = memchr(begin, '>', (size_t)(d->end - begin));
  return end && memmem(begin, (size_t)(end - begin), id.data, id.len);
}

/* Return whether to compare the unit of the list that is expected next with the bytes from `begin` on. */
static bool is_to_try(const division *d, const own_bytes *around, uint32_t begin) {
  /* directly in a table, the parser may open a tbody before it */
  if (around->next >= around->next_end || around->tried == around->next || in_of(d) & VSI_IN_TABLE) return false;
  const vsi_unit *had = &d->units->had[around->next];
  if (!had->outer || had->len > d->end - (d->html + begin) || !is_plain_to(d, begin + had->len)) return false;
  if (had->depth != d->owns_count || d->units->count + had->after - around->next > VSI_UNITS_MAX) return false;
  return begin == around->edge || has_id_in_tag(d, begin, id_of(had));
}

/* Add a unit of the list, with the units inside of it. Returns OK | EXISTS (an id occurs twice) | NO_MEMORY. */
static vestry_err add_same(vsi_units *units, uint32_t i, const own_bytes *around, uint32_t begin) {
  const uint32_t from = (uint32_t)units->count - i;
  vestry_err error = VESTRY_OK;
  for (uint32_t k = i; k < units->had[i].after && !error; k++) {
    vsi_unit unit = units->had[k];
    unit.parent = k == i ? around->unit : unit.parent + from;
    unit.after += from;
    unit.was = k;
    unit.is_same = true;
    if (k == i) {
      unit.run = around->run;
      unit.begin = begin;
      unit.end = begin + unit.len;
    }
    error = units->to_now[k] == VSI_UNIT_NONE ? add_unit(units, &unit) : VESTRY_EXISTS;
    units->to_now[k] = k + from;
  }
  return error;
}

/* Skip the unit of the list that is expected next, if it begins at `begin`. Returns its end; 0: it must be read. */
static uint32_t skip_same(division *d, uint32_t begin) {
  own_bytes *around = &d->owns[d->owns_count - 1], tried = *around;
  vsi_unit *parent = &d->units->all[around->unit];
  if (!is_to_try(d, around, begin)) return 0;
  const uint32_t i = around->next, end = begin + d->units->had[i].len;
  const bool has_gap = around->hashed != begin;
  if (has_gap) {
    if (parent->gaps_count) hash_mark(d, &tried, OF_GAP);
    vsi_siphash_pieces_update(&tried.pieces, d->html + tried.hashed, begin - tried.hashed);
    tried.place = 0;
  }
  if (outer_hash(d, place_of(d, &tried), begin, end) != d->units->had[i].outer) {
    around->tried = i;
    return 0;
  }
  parent->gaps_count += has_gap;
  if (around->edge != begin) tried.run++;
  tried.next = d->units->had[i].after;
  tried.edge = tried.hashed = end;
  *around = tried;
  d->error = add_same(d->units, i, around, begin);
  return end;
}

/* Letters, digits and - _ . : need no escape in HTML, and none in a quoted selector. */
static bool is_plain_id(vestry_slice id) {
  const char *text = id.data;
  if (id.len > VSI_UNIT_ID_MAX) return false;
  for (size_t i = 0; i < id.len; i++)
    if (!vsi_is_letter(text[i]) && !vsi_is_digit(text[i]) && !memchr("-_.:", text[i], 4)) return false;
  return true;
}

typedef struct start {
  vsi_tag tag;
  vestry_slice id;
  bool is_ignored; /* the client keeps it as it is */
} start;

/* Find the unit of the list with the id of a unit that is read, which begins inside of `around`. Returns OK | EXISTS |
 * NO_MEMORY. */
static vestry_err match(division *d, own_bytes *around, vsi_unit *unit) {
  vsi_units *units = d->units;
  const vestry_slice id = {unit->id, unit->id_len};
  const uint32_t next = around ? around->next : 0, next_end = around ? around->next_end : (uint32_t)units->had_count;
  vestry_err error = VESTRY_OK;
  if (next < next_end && is_id(&units->had[next], id)) { /* usually */
    unit->was = next;
  } else {
    const uint64_t name = vsi_unit_name(d->key, id);
    error = find_had(units, d->key, name, id, &unit->was);
    if (!error && unit->was == VSI_UNIT_NONE) return add_name(&units->names, units->host, name, 1);
  }
  if (error) return error;
  if (units->to_now[unit->was] != VSI_UNIT_NONE) return VESTRY_EXISTS;
  units->to_now[unit->was] = (uint32_t)units->count;
  /* a unit that is gone, or has moved, is not expected any more */
  if (around && unit->was >= next && unit->was < next_end && units->had[unit->was].parent == units->had[next].parent)
    around->next = units->had[unit->was].after;
  return VESTRY_OK;
}

/* Begin a unit whose start tag is read. is_apart: the parser opens a tbody before it, so it is no sibling of the unit
 * before it. */
static const char *begin_unit(division *d, uint32_t begin, const start *s, bool is_apart) {
  vsi_units *units = d->units;
  if (units->count == VSI_UNITS_MAX) return "more than 16,384 elements have an id";
  if (d->owns_count > VSI_UNIT_DEPTH_MAX) return "an element with an id is in more than 62 others";
  own_bytes *around = d->owns_count ? &d->owns[d->owns_count - 1] : NULL;
  vsi_unit unit = {.begin = begin,
                   .parent = around ? around->unit : 0,
                   .id = s->id.data,
                   .id_len = (uint8_t)s->id.len,
                   .depth = (uint8_t)d->owns_count,
                   .was = VSI_UNIT_NONE};
  if (around) {
    if (around->edge != begin || is_apart) around->run++;
    hash_gap(d, around, begin, is_apart);
    unit.run = around->run;
  }
  vestry_err error = match(d, around, &unit);
  if (!error) error = add_unit(units, &unit);
  if (error) return run_out(d, error);
  own_bytes *own = &d->owns[d->owns_count++];
  *own = (own_bytes){.unit = (uint32_t)(units->count - 1),
                     .edge = (uint32_t)(s->tag.at - d->html),
                     .is_plain = true,
                     .hash = around ? place_of(d, around) : 0};
  if (unit.was != VSI_UNIT_NONE) {
    own->next = unit.was + 1;
    own->next_end = units->had[unit.was].after;
  }
  vsi_siphash_pieces_init(&own->pieces, d->key);
  hash_bytes(d, own, begin, own->edge);
  return NULL;
}

/* End the innermost unit. inside_end: where its end tag begins; end: after it. is_apart: its end closes a tbody without
 * a tag, so the last unit in it is not directly inside of it. */
static const char *end_unit(division *d, uint32_t inside_end, uint32_t end, bool is_apart) {
  own_bytes *own = &d->owns[--d->owns_count], *around = d->owns_count ? own - 1 : NULL;
  vsi_unit *unit = &d->units->all[own->unit];
  hash_gap(d, own, inside_end, is_apart);
  hash_bytes(d, own, inside_end, end);
  unit->own = mix(d->key, vsi_siphash_pieces_final(&own->pieces), own->hash, OF_END) >> (64 - VSI_UNIT_HASH_BITS);
  unit->end = end;
  unit->after = (uint32_t)d->units->count;
  if (!around) return NULL;
  if (own->is_plain && end - unit->begin <= UINT16_MAX && unit->after - own->unit <= SUBUNITS_MOST) {
    unit->len = (uint16_t)(end - unit->begin);
    unit->outer = outer_hash(d, place_of(d, around), unit->begin, end);
  }
  around->edge = around->hashed = end;
  around->is_plain &= own->is_plain;
  return NULL;
}

static bool is_closed(const division *d) {
  return d->levels_count > d->closed;
}

/* Note an id that is not the id of a unit, and the unit that it is in: it must not move from one unit to another. */
static const char *note_other(division *d, vestry_slice id) {
  vsi_units *units = d->units;
  uint32_t was;
  const uint64_t name = vsi_unit_name(d->key, id);
  vsi_unit *around = &units->all[d->owns[d->owns_count - 1].unit];
  d->owns[d->owns_count - 1].is_plain = false;
  units->others += mix(d->key, name, vsi_unit_name(d->key, (vestry_slice){around->id, around->id_len}), OF_OTHER);
  vestry_err error = find_had(units, d->key, name, id, &was);
  if (!error && was != VSI_UNIT_NONE) { /* then no unit may have it */
    if (units->to_now[was] != VSI_UNIT_NONE) error = VESTRY_EXISTS;
    units->to_now[was] = IS_OTHER;
    units->is_other_now = true;
  } else if (!error) {
    error = add_name(&units->names, units->host, name, IS_OTHER);
  }
  return error ? run_out(d, error) : NULL;
}

static bool ends_with(vestry_slice text, const char *lower) {
  const size_t len = strlen(lower);
  return text.len >= len && vsi_is_same_text((const char *)text.data + text.len - len, lower, len);
}

/* Read a tag. Returns false if the content ends inside it. */
static bool read_tag(start *s) {
  vsi_tag_attribute attribute;
  bool has_id = false;
  s->id = (vestry_slice){NULL, 0};
  s->is_ignored = false;
  while (vsi_tag_next(&s->tag, &attribute)) {
    if (ends_with(attribute.name, "ignore-morph")) s->is_ignored = true; /* also with an alias of the client */
    if (has_id || !vsi_is_word(attribute.name, "id")) continue;
    has_id = true; /* of two, the first counts */
    s->id = attribute.value;
  }
  return s->tag.at;
}

/* Return whether an element is complete after its start tag, and the text inside of it. */
static bool is_complete(const start *s, const vsi_element *element, bool reads_foreign) {
  if (reads_foreign || element->is & VSI_READS_FOREIGN) return s->tag.is_self_closing;
  return element->traits & (VSI_IS_VOID | VSI_IS_TEXT);
}

/* Open an element, whose start tag was read. is_unit: its unit has begun */
static const char *open_level(division *d, const start *s, const vsi_element *element, bool is_unit) {
  const uint32_t around = d->levels_count ? in_of(d) : VSI_IN_ITEM; /* around the root there may be an item */
  if (d->levels_count == LEVELS_MOST) return why_repaired;
  const bool is_whole = s->is_ignored || element->is & (VSI_IN_SELECT | VSI_READS_FOREIGN);
  if (!is_closed(d) && is_whole) d->closed = d->levels_count;
  d->levels[d->levels_count++] = (level){.unit = is_unit ? d->owns[d->owns_count - 1].unit : VSI_UNIT_NONE,
                                         .in = vsi_element_inside(element, around),
                                         .name_at = (uint32_t)((const char *)s->tag.name.data - d->html),
                                         .name_len = (uint32_t)s->tag.name.len & INT32_MAX};
  return NULL;
}

static const char *start_tag(division *d, start *s, const char **at) {
  const uint32_t begin = (uint32_t)(*at - d->html), around = in_of(d);
  const vsi_element *element = vsi_element_of(s->tag.name);
  const bool reads_foreign = around & VSI_READS_FOREIGN, is_unit = s->id.len && !is_closed(d);
  if (!reads_foreign && (vsi_is_word(s->tag.name, "template") || vsi_is_word(s->tag.name, "noscript")))
    return "it has a template or a noscript";
  if (s->id.len && !is_plain_id(s->id)) return "an id has other characters than letters, digits and - _ . :";
  if (!vsi_element_fits(element, around)) return why_repaired;
  const bool opens_body = !reads_foreign && element->is & VSI_IN_ROW && around & VSI_IN_TABLE;
  if (opens_body) {
    level *table = &d->levels[d->levels_count - 1];
    table->in ^= VSI_IN_TABLE | VSI_IN_BODY;
    table->has_body = true;
  }
  const char *why = NULL, *inside_end = s->tag.at;
  if (s->id.len) why = is_unit ? begin_unit(d, begin, s, opens_body) : note_other(d, s->id);
  if (why) return why;
  *at = s->tag.at;
  if (!is_complete(s, element, reads_foreign)) return open_level(d, s, element, is_unit);
  if (!reads_foreign && element->traits & VSI_IS_TEXT && !(*at = vsi_element_skip_text(&s->tag, d->end, &inside_end)))
    return why_repaired;
  return is_unit ? end_unit(d, (uint32_t)(inside_end - d->html), (uint32_t)(*at - d->html), false) : NULL;
}

static const char *end_tag(division *d, const start *s, const char **at) {
  const uint32_t begin = (uint32_t)(*at - d->html);
  if (!d->levels_count) return why_repaired;
  const level *top = &d->levels[--d->levels_count];
  const vestry_slice name = s->tag.name;
  if (name.len != top->name_len || !vsi_is_same_text(name.data, d->html + top->name_at, name.len)) return why_repaired;
  if (d->levels_count <= d->closed) d->closed = SIZE_MAX;
  *at = s->tag.at;
  return top->unit == VSI_UNIT_NONE ? NULL : end_unit(d, begin, (uint32_t)(*at - d->html), top->has_body);
}

/* Check a text: between the parts of a table, only white space stays where it is. */
static const char *text_of(const division *d, const char *from, const char *to) {
  if (!(in_of(d) & VSI_IN_PARTS)) return NULL;
  while (from < to && vsi_is_space(*from)) from++;
  return from < to ? why_repaired : NULL;
}

/* Read the markup that begins at '<'. */
static const char *markup(division *d, const char **at) {
  const char *const from = *at, *next = from + 1;
  start s;
  if (d->owns_count && !is_closed(d) && next < d->end && *next != '/') {
    const uint32_t end = skip_same(d, (uint32_t)(from - d->html));
    if (d->error) return run_out(d, d->error);
    if (end) {
      *at = d->html + end;
      return NULL;
    }
  }
  if (!vsi_tag_begin(&s.tag, from, d->end)) {
    const bool is_markup = next < d->end && (*next == '!' || *next == '?' || *next == '/');
    *at = is_markup ? vsi_tag_skip_markup(from, d->end, in_of(d) & VSI_READS_CDATA) : next;
    return is_markup ? NULL : text_of(d, from, next);
  }
  if (!read_tag(&s)) return why_repaired;
  return s.tag.is_end ? end_tag(d, &s, at) : start_tag(d, &s, at);
}

static const char *divide(division *d) {
  const char *at = d->html, *why = NULL;
  if (d->text->content.len > VSI_CONTENT_MAX_BYTES) return "it has more than 16 MiB";
  do {
    const char *less = memchr(at, '<', (size_t)(d->end - at));
    why = !less || (less != at && !d->levels_count) ? why_repaired : text_of(d, at, less);
    if (why) return why;
    at = less;
    if ((why = markup(d, &at))) return why;
    if (!d->units->count) return "its element has no id";
  } while (d->levels_count);
  return at == d->end ? NULL : why_repaired;
}

vestry_err vsi_units_divide(vsi_units *units, const vestry_host *host, const vsi_unit_text *text, vsi_siphash_key key,
                            const vsi_unit_list *had) {
  *units = (vsi_units){.host = host, .text = text->content.data, .key = key, .list = had};
  division *d = vsi_alloc(host, sizeof *d);
  if (!d || (had && vsi_unit_list_read(units))) {
    vsi_free(host, d);
    return VESTRY_NO_MEMORY;
  }
  *d = (division){.units = units,
                  .text = text,
                  .html = text->content.data,
                  .end = (const char *)text->content.data + text->content.len,
                  .key = key,
                  .closed = SIZE_MAX};
  units->why = divide(d);
  vestry_err error = !units->why ? VESTRY_OK : d->error == VESTRY_NO_MEMORY ? VESTRY_NO_MEMORY : VESTRY_UNSUPPORTED;
  vsi_free(host, d);
  return error;
}
