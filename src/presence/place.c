#include "presence/place.h"

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
  vsi_place *at = *vsi_presence_places_locked(presence, packed->hash);
  while (at && !(at->packed.hash == packed->hash && at->packed.len == packed->len &&
                 memcmp(at->packed.data, packed->data, packed->len) == 0))
    at = at->next;
  return at;
}

void vsi_place_enter_locked(vestry_presence *presence, vsi_place *at) {
  vsi_place **bucket = vsi_presence_places_locked(presence, at->packed.hash);
  at->next = *bucket;
  *bucket = at;
}

void vsi_place_unref_locked(vestry_presence *presence, vsi_place *at) {
  if (--at->refs) return;
  vsi_place **link = vsi_presence_places_locked(presence, at->packed.hash);
  while (*link != at) link = &(*link)->next;
  *link = at->next;
  vsi_free(presence->host, at);
}
