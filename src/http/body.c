/* SPDX-License-Identifier: MIT */
/* Bodies of responses: their bytes, or the open file that they come from, and the budget of bytes that all of them
 * share; the budget that all running requests share, and counters of rejected requests. */
#include "http/body.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "instance/instance.h"

/* Shorter bodies are not counted, because the limit of connections already bounds them. */
enum { UNCOUNTED_BYTES = 1024 };

/* The last sixteenth of the room is reserved for small bodies, so that they can be sent while large responses are
 * cut. */
enum { SMALL_PART = 256, RESERVED_PART = 16 };

/* Of a connection: so small that many of them fit, and that one who reads nothing gets few responses. */
enum { SHARE_PART = 32 };

typedef struct vsi_body {
  vestry_body seen; /* the adapter's view; first member. Its bytes are owned */
  vsi_room room;
  vsi_open_file *file;
  uint64_t at; /* offset of the body in the file */
  size_t len;
} vsi_body;

/* Take room for a body. If a body is rejected but would fit if others held less, its size is noted in response_wanted,
 * and until another body gets room, vestry_response_bytes_excess reports that much excess, so that the largest
 * responses are cut. The accesses are relaxed because only the budget must be exact. */
static bool take_response_bytes(vestry *v, size_t held, size_t whole) {
  vsi_budget *budget = &v->response_bytes;
  uint64_t most = whole > budget->max / SMALL_PART ? budget->max - budget->max / RESERVED_PART : budget->max;
  uint64_t cost = whole - held;
  bool fits = whole <= most;
  if (fits && atomic_load_explicit(&budget->used, memory_order_relaxed) <= most - cost &&
      vsi_budget_take(budget, cost)) {
    if (atomic_load_explicit(&v->response_wanted, memory_order_relaxed))
      atomic_store_explicit(&v->response_wanted, 0, memory_order_relaxed);
    return true;
  }
  if (fits) atomic_store_explicit(&v->response_wanted, cost, memory_order_relaxed);
  return false;
}

vestry_err vsi_room_resize(vsi_room *room, size_t len) {
  const size_t counted = len < UNCOUNTED_BYTES || !room->v ? 0 : len;
  if (counted > room->bytes && !take_response_bytes(room->v, room->bytes, counted)) return VESTRY_LIMIT;
  if (counted < room->bytes) vsi_budget_give_back(&room->v->response_bytes, room->bytes - counted);
  room->bytes = counted;
  return VESTRY_OK;
}

vestry_err vsi_body_create(vsi_room *room, const vsi_body_source *source, size_t len, vestry_body **ret_body) {
  const vestry_host *host = room->v->host;
  if (vsi_room_resize(room, source->file && len > VESTRY_BODY_PIECE_BYTES ? VESTRY_BODY_PIECE_BYTES : len))
    return VESTRY_LIMIT;
  vsi_body *body = vsi_alloc(host, sizeof *body);
  char *bytes = body && source->borrowed ? vsi_strdup(host, source->borrowed, len) : source->bytes;
  if (!body || (source->borrowed && !bytes)) {
    vsi_free(host, body);
    return VESTRY_NO_MEMORY;
  }
  *body = (vsi_body){.seen = {bytes, room->bytes}, .room = *room, .file = source->file, .at = source->at, .len = len};
  room->bytes = 0;
  *ret_body = &body->seen;
  return VESTRY_OK;
}

/* Read a part of a file with one read; it may return fewer bytes. OK | IO (the file is shorter) */
static vestry_err read_body_file(int fd, uint64_t at, void *buffer, size_t capacity, size_t *ret_len) {
  for (;;) {
    ssize_t n = pread(fd, buffer, capacity, (off_t)at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return VESTRY_IO; /* 0: the file has become shorter */
    *ret_len = (size_t)n;
    return VESTRY_OK;
  }
}

vestry_err vestry_body_read(vestry_body *seen, uint64_t at, void *buffer, size_t capacity, size_t *ret_len) {
  const vsi_body *body = (const vsi_body *)seen;
  if (at >= body->len || !capacity) return VESTRY_IO;
  size_t left = body->len - (size_t)at, len = left < capacity ? left : capacity;
  if (!seen->bytes) return read_body_file(body->file->fd, body->at + at, buffer, len, ret_len);
  memcpy(buffer, (const char *)seen->bytes + at, len);
  *ret_len = len;
  return VESTRY_OK;
}

void vestry_body_destroy(vestry_body *seen) {
  vsi_body *body = (vsi_body *)seen;
  if (!body) return;
  vsi_room room = body->room;
  if (body->file) body->file->give_back(body->file);
  vsi_free(room.v->host, (void *)(uintptr_t)seen->bytes);
  vsi_free(room.v->host, body);
  (void)vsi_room_resize(&room, 0);
}

vestry_err vsi_open_file_load(const vestry_host *host, const vsi_open_file *file, uint64_t at, size_t len,
                              char **ret_bytes) {
  char *bytes = len == SIZE_MAX ? NULL : vsi_alloc(host, len + 1);
  if (!bytes) return VESTRY_NO_MEMORY;
  vestry_err error = VESTRY_OK;
  for (size_t got = 0, n = 0; !error && got < len; got += n)
    error = read_body_file(file->fd, at + got, bytes + got, len - got, &n);
  if (error) {
    vsi_free(host, bytes);
    return error;
  }
  bytes[len] = '\0';
  *ret_bytes = bytes;
  return VESTRY_OK;
}

uint64_t vestry_response_bytes_excess(const vestry *v) {
  uint64_t held = atomic_load_explicit(&v->response_bytes.used, memory_order_relaxed); /* relaxed: estimates */
  uint64_t wanted = atomic_load_explicit(&v->response_wanted, memory_order_relaxed);
  uint64_t most = v->response_bytes.mark > wanted ? v->response_bytes.mark - wanted : 0;
  return held > most ? held - most : 0;
}

bool vsi_response_share_is_used(const vestry *v, uint64_t held_bytes) {
  const vsi_budget *budget = &v->response_bytes;
  const uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed); /* relaxed: an estimate */
  return used > budget->mark / 2 && held_bytes >= budget->mark / SHARE_PART;
}

void vestry_response_cut(vestry *v) {
  atomic_fetch_add_explicit(&v->responses_cut, 1, memory_order_relaxed); /* relaxed: only a count */
}

/* ------------------------------------------------------------------------------------------------ requests -------- */

void vestry_reject(vestry *v, vestry_refusal refusal) {
  if (refusal <= VESTRY_REFUSAL_NONE || refusal >= VESTRY_REFUSAL_COUNT) return;
  atomic_fetch_add_explicit(&v->refused_by_reason[refusal], 1, memory_order_relaxed); /* relaxed: only a count */
}

bool vestry_request_bytes_take(vestry *v, size_t bytes) {
  return vsi_budget_take(&v->request_bytes, bytes);
}

bool vsi_request_bytes_take_within(vestry *v, size_t bytes, unsigned part) {
  const uint64_t used = atomic_load_explicit(&v->request_bytes.used, memory_order_relaxed); /* relaxed: an estimate */
  return used <= v->request_bytes.max / part && vestry_request_bytes_take(v, bytes);
}

uint64_t vestry_request_bytes_excess(const vestry *v) {
  uint64_t used = atomic_load_explicit(&v->request_bytes.used, memory_order_relaxed); /* relaxed: an estimate */
  return used > v->request_bytes.mark ? used - v->request_bytes.mark : 0;
}

void vestry_request_bytes_give(vestry *v, size_t bytes) {
  vsi_budget_give_back(&v->request_bytes, bytes);
}

void vsi_intake_stats(vestry *v, vestry_stats *stats) {
  for (size_t i = 0; i < VESTRY_REFUSAL_COUNT; i++)
    stats->refused_by_reason[i] =
        atomic_load_explicit(&v->refused_by_reason[i], memory_order_relaxed); /* relaxed: only counts */
  stats->request_bytes = atomic_load_explicit(&v->request_bytes.used, memory_order_relaxed);
  stats->request_peak_bytes = atomic_load_explicit(&v->request_bytes.peak, memory_order_relaxed);
  stats->response_bytes = atomic_load_explicit(&v->response_bytes.used, memory_order_relaxed);
  stats->response_peak_bytes = atomic_load_explicit(&v->response_bytes.peak, memory_order_relaxed);
  stats->responses_cut_count = atomic_load_explicit(&v->responses_cut, memory_order_relaxed);
}
