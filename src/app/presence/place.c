/* SPDX-License-Identifier: MIT */
#include "app/presence/place.h"

#include "base/memory.h"
#include "store/key.h"

static const vestry_key nowhere = {VESTRY_KEY_TUPLE, 0, NULL, 0, NULL};
static const vestry_scope no_scope = {NULL, 0};

vestry_err vsi_place_pack(const vestry_presence *presence, const vestry_key *place, vsi_scoped_key *packed) {
  return vsi_scoped_key_init(packed, &presence->hash, presence->host, no_scope, place ? place : &nowhere);
}

vestry_err vsi_place_pack_encoded(const vestry_presence *presence, vestry_slice encoded, vsi_scoped_key *packed) {
  return vsi_scoped_key_init_encoded(packed, &presence->hash, presence->host, no_scope, encoded);
}

/* How many keys it is made of, and how many bytes they have, each after a NUL. */
static vestry_err measure(vestry_slice encoded, size_t *ret_parts, size_t *ret_bytes) {
  vsi_key_reader reader;
  vestry_key part;
  size_t closed;
  vestry_err error;
  vsi_key_reader_init(&reader, encoded.data, encoded.len);
  for (*ret_parts = *ret_bytes = 0; !(error = vsi_key_reader_next(&reader, &part, &closed)); ++*ret_parts)
    if (part.type == VESTRY_KEY_STRING || part.type == VESTRY_KEY_BYTES) *ret_bytes += part.len + 1;
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error;
}

/* Room at *parts and *bytes, which move on. It has been measured: nothing fails, and depth is bounded. */
static void decode(vsi_key_reader *reader, vestry_key *to, vestry_key **parts, char **bytes) {
  size_t closed;
  (void)vsi_key_reader_next(reader, to, &closed);
  if (to->type == VESTRY_KEY_TUPLE) {
    vestry_key *own = *parts;
    *parts += to->len;
    to->parts = own;
    for (size_t i = 0; i < to->len; i++) decode(reader, &own[i], parts, bytes);
  } else if (to->type != VESTRY_KEY_INTEGER) {
    to->data = memcpy(*bytes, to->data, to->len);
    (*bytes)[to->len] = '\0';
    *bytes += to->len + 1;
  }
}

vestry_err vsi_place_create(const vestry_host *host, const vestry_scoped_key *packed, vsi_place **ret_place) {
  const vestry_slice encoded = {packed->data + packed->key_offset, packed->len - packed->key_offset};
  size_t parts_count, bytes_count;
  vestry_err error = measure(encoded, &parts_count, &bytes_count);
  if (error) return error;
  vsi_place *made = vsi_calloc(host, 1, sizeof *made + parts_count * sizeof(vestry_key) + bytes_count + packed->len);
  if (!made) return VESTRY_NO_MEMORY;
  vestry_key *first = (vestry_key *)(made + 1), *parts = first + 1;
  char *bytes = (char *)(first + parts_count);
  vsi_key_reader reader;
  vsi_key_reader_init(&reader, encoded.data, encoded.len);
  decode(&reader, first, &parts, &bytes);
  made->key = first;
  made->packed = *packed;
  made->packed.data = memcpy(bytes, packed->data, packed->len);
  made->packed.scope = no_scope;
  vsi_ring_init(&made->guests);
  *ret_place = made;
  return VESTRY_OK;
}

vsi_place *vsi_place_find_locked(const vestry_presence *presence, const vestry_scoped_key *packed) {
  for (vsi_map_link *in = vsi_map_first(&presence->places, packed->hash); in; in = vsi_map_further(in)) {
    vsi_place *at = VSI_MAP_OWNER(in, vsi_place, in);
    if (at->packed.len == packed->len && memcmp(at->packed.data, packed->data, packed->len) == 0) return at;
  }
  return NULL;
}

void vsi_place_enter_locked(vestry_presence *presence, vsi_place *at) {
  vsi_map_add(&presence->places, &at->in, at->packed.hash);
}

void vsi_place_unref_locked(vestry_presence *presence, vsi_place *at) {
  if (--at->refs) return;
  vsi_map_remove(&presence->places, &at->in);
  vsi_free(presence->host, at);
}
