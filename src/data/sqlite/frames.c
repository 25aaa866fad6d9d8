/* SPDX-License-Identifier: MIT */
/* essay: which pages a commit wrote, and why none is missed */
/* The WAL contains the pages that commits wrote, each in a frame. The header of the WAL's index contains the number of
 * the last visible frame; all processes share the index, and its header is written last. Both formats are documented
 * (sqlite.org/walformat.html):
 *
 *     WAL    header (32 bytes) | frame 1 | frame 2 | …
 *     frame  page number (4) | size of the database after the commit, in the last frame of a commit, otherwise 0 (4) |
 *            salts (8) | checksum (8) | the page
 *
 * No file is opened here; the WAL is read through the file of the library's own connection, because closing another
 * descriptor would drop that connection's locks.
 *
 * Completeness is checked by counting. The index contains a number that increases by one with each commit, so between
 * two reads the frames must contain as many commits. When all of the WAL has been copied into the database, it is
 * restarted with other salts; the frames of the new WAL must then account for all commits since. If they do not, some
 * commits were in frames that were overwritten before they were read: these are lost, and are the first ones. Every
 * frame contains the salts of its WAL, so a frame that is overwritten while it is read is detected. */
#include "data/sqlite/frames.h"

#include "base/array.h"
#include "data/sqlite/schema.h"

enum {
  HEAD_WORDS = 12, /* there are two copies, one after the other */
  WORD_VERSION = 0,
  WORD_NUMBER = 2,
  WORD_SIZES = 3, /* a byte: an index exists; a byte: byte order of checksums; two bytes: page size */
  WORD_LAST_FRAME = 4,
  WORD_SALTS = 8,
  WORD_CHECKSUM = 10,
  WORD_COPIED = 2 * HEAD_WORDS, /* how many frames are copied into the database */
  TRIES = 100,
  WAL_HEAD_BYTES = 32,
  FRAME_HEAD_BYTES = 24,
  INDEX_BYTES = 32768,   /* the size that SQLite maps */
  PAGE_HEAD_BYTES = 100, /* of the first page of the database */
  SCHEMA_AT = 40,
  LARGEST_ROOT_AT = 52, /* not 0: auto_vacuum */
  INNER_OF_INDEX = 2,   /* first byte of such a page */
  LOST_MOST = 4096
};
static const uint32_t version = 3007000;

typedef struct head {
  uint32_t words[HEAD_WORDS];
} head;

vestry_err vsi_sqlite_frames_map(sqlite3_file *file, const _Atomic(uint32_t) **ret_index) {
  volatile void *mapped = NULL;
  if (file->pMethods->iVersion < 2 || !file->pMethods->xShmMap) return VESTRY_IO;
  const int result = file->pMethods->xShmMap(file, 0, INDEX_BYTES, 0, &mapped);
  if (result == SQLITE_NOMEM || result == SQLITE_IOERR_NOMEM) return VESTRY_NO_MEMORY;
  if (result == SQLITE_BUSY) return VESTRY_BUSY;
  *ret_index = (const _Atomic(uint32_t) *)(uintptr_t)mapped;
  return result == SQLITE_OK && mapped ? VESTRY_OK : VESTRY_IO;
}

static void load(const _Atomic(uint32_t) *index, head *ret_head) {
  for (size_t i = 0; i < HEAD_WORDS; i++) ret_head->words[i] = atomic_load_explicit(&index[i], memory_order_relaxed);
}

/* Return whether the checksum is right. It is computed as in SQLite, from pairs of words in this machine's byte
 * order. */
static bool is_whole(const head *h) {
  uint32_t first = 0, second = 0;
  for (size_t i = 0; i < WORD_CHECKSUM; i += 2) {
    first += h->words[i] + second;
    second += h->words[i + 1] + first;
  }
  return first == h->words[WORD_CHECKSUM] && second == h->words[WORD_CHECKSUM + 1];
}

static uint32_t page_bytes_of(uint32_t sizes) {
  uint16_t size;
  memcpy(&size, (const char *)&sizes + 2, sizeof size);
  return size == 1 ? 65536 : size;
}

static uint32_t page_bytes(const head *h) {
  return page_bytes_of(h->words[WORD_SIZES]);
}

/* Return whether the page size is valid. A WAL without frames has none, after a database was closed cleanly. */
static bool is_of_pages(const head *h) {
  return page_bytes(h) >= 512 || (!page_bytes(h) && !h->words[WORD_LAST_FRAME]);
}

/* Read the header of the index. The second copy is written before the first one. OK | BUSY */
static vestry_err read_head(const _Atomic(uint32_t) *index, head *ret_head) {
  for (int i = 0; i < TRIES; i++) {
    head again;
    load(index, ret_head);
    atomic_thread_fence(memory_order_seq_cst);
    load(index + HEAD_WORDS, &again);
    if (memcmp(ret_head, &again, sizeof again) != 0) continue;
    if (is_whole(ret_head) && ret_head->words[WORD_VERSION] == version && is_of_pages(ret_head)) return VESTRY_OK;
  }
  return VESTRY_BUSY;
}

vsi_sqlite_extent vsi_sqlite_frames_extent(const _Atomic(uint32_t) *index) {
  const uint32_t number = atomic_load_explicit(&index[WORD_NUMBER], memory_order_acquire),
                 sizes = atomic_load_explicit(&index[WORD_SIZES], memory_order_acquire);
  const uint64_t frames_count = atomic_load_explicit(&index[WORD_LAST_FRAME], memory_order_acquire);
  return (vsi_sqlite_extent){
      number, frames_count ? WAL_HEAD_BYTES + frames_count * (page_bytes_of(sizes) + FRAME_HEAD_BYTES) : 0};
}

uint32_t vsi_sqlite_frames_number(const _Atomic(uint32_t) *index) {
  return atomic_load_explicit(&index[WORD_NUMBER], memory_order_acquire);
}

vsi_sqlite_position vsi_sqlite_frames_next(const _Atomic(uint32_t) *index) {
  return (vsi_sqlite_position){.number = vsi_sqlite_frames_number(index) + 1,
                               .before = atomic_load_explicit(&index[WORD_LAST_FRAME], memory_order_relaxed)};
}

/* If the WAL has been restarted since, the salts are those of another one, so the place matches no commit. */
void vsi_sqlite_frames_reach(const _Atomic(uint32_t) *index, uint32_t frame, vsi_sqlite_position *place) {
  place->frame = frame;
  for (int i = 0; i < 2; i++) place->salts[i] = atomic_load_explicit(&index[WORD_SALTS + i], memory_order_relaxed);
}

/* The first salt of a WAL increases with each restart. So a place from before the numbers began anew, whose WAL is not
 * a later one, does not follow a commit. */
bool vsi_sqlite_frames_is_at(const vsi_sqlite_written *written, const vsi_sqlite_position *place) {
  const bool has_salts = memcmp(written->salts, place->salts, sizeof place->salts) == 0;
  if (written->number != place->number) return false;
  if (!written->lost_count) return has_salts && written->frame == place->frame;
  const uint32_t restarts = vsi_sqlite_big_endian((const unsigned char *)place->salts) -
                            vsi_sqlite_big_endian((const unsigned char *)written->salts);
  return place->before == written->frame ? has_salts || (int32_t)restarts > 0 : !place->before && (int32_t)restarts > 0;
}

uint32_t vsi_sqlite_frames_uncopied(const _Atomic(uint32_t) *index) {
  const uint32_t copied = atomic_load_explicit(&index[WORD_COPIED], memory_order_acquire),
                 last = atomic_load_explicit(&index[WORD_LAST_FRAME], memory_order_acquire);
  return last > copied ? last - copied : 0;
}

static bool has_salts(const vsi_sqlite_frames *frames, const head *h) {
  return memcmp(frames->salts, &h->words[WORD_SALTS], sizeof frames->salts) == 0;
}

static void go_to(vsi_sqlite_frames *frames, const head *h) {
  frames->number = h->words[WORD_NUMBER];
  frames->frame = h->words[WORD_LAST_FRAME];
  memcpy(frames->salts, &h->words[WORD_SALTS], sizeof frames->salts);
}

/* Continue after the last commit. The schema version may be an earlier one; in this case the next commit that writes
 * page 1 shows the difference. OK | BUSY */
static vestry_err begin_anew(vsi_sqlite_frames *frames) {
  head h;
  int schema = 0, moves = 0;
  frames->knows_schema = !vsi_sqlite_ask(frames->db, "PRAGMA main.schema_version", NULL, &schema);
  if (frames->knows_schema) frames->schema = (uint32_t)schema;
  frames->moves_pages = vsi_sqlite_ask(frames->db, "PRAGMA main.auto_vacuum", NULL, &moves) || moves;
  vestry_err error = read_head(frames->index, &h);
  if (!error) go_to(frames, &h);
  return error;
}

vestry_err vsi_sqlite_frames_init(vsi_sqlite_frames *frames, const vestry_host *host, sqlite3 *db,
                                  const _Atomic(uint32_t) *index) {
  *frames = (vsi_sqlite_frames){.host = host, .db = db, .index = index};
  TAILQ_INIT(&frames->commits);
  return begin_anew(frames);
}

static void remove_first(vsi_sqlite_frames *frames) {
  vsi_sqlite_written *first = TAILQ_FIRST(&frames->commits);
  TAILQ_REMOVE(&frames->commits, first, in);
  vsi_free(frames->host, first->pages);
  vsi_free(frames->host, first);
}

void vsi_sqlite_frames_clear(vsi_sqlite_frames *frames) {
  while (TAILQ_FIRST(&frames->commits)) remove_first(frames);
}

/* --------------------------------------------------------------------------------------------------- reading ------ */

/* Read the schema version, because the first page of the database was written. A frame's header is written before its
 * page, so the page belongs to this frame if the header is unchanged afterwards. */
static bool read_first_page(vsi_sqlite_frames *frames, sqlite3_file *file, sqlite3_int64 at,
                            vsi_sqlite_written *written) {
  unsigned char bytes[PAGE_HEAD_BYTES], again[FRAME_HEAD_BYTES];
  if (file->pMethods->xRead(file, bytes, sizeof bytes, at + FRAME_HEAD_BYTES)) return false;
  if (file->pMethods->xRead(file, again, sizeof again, at)) return false;
  if (memcmp(again + 8, frames->salts, sizeof frames->salts) != 0) return false;
  uint32_t schema = vsi_sqlite_big_endian(bytes + SCHEMA_AT);
  written->has_schema |= !frames->knows_schema || schema != frames->schema;
  frames->schema = schema;
  frames->knows_schema = true;
  frames->moves_pages = vsi_sqlite_big_endian(bytes + LARGEST_ROOT_AT) != 0;
  return true;
}

/* Read one commit, which begins after frames->frame. */
static bool read_commit(vsi_sqlite_frames *frames, sqlite3_file *file, const head *h) {
  const uint32_t page_size = page_bytes(h), last = h->words[WORD_LAST_FRAME];
  vsi_sqlite_written *written = vsi_calloc(frames->host, 1, sizeof *written);
  if (!written) return false;
  TAILQ_INSERT_TAIL(&frames->commits, written, in);
  written->number = frames->number + 1;
  memcpy(written->salts, frames->salts, sizeof written->salts);
  for (bool is_end = false; !is_end; frames->frame++) {
    unsigned char bytes[FRAME_HEAD_BYTES + 1];
    sqlite3_int64 at = WAL_HEAD_BYTES + (sqlite3_int64)frames->frame * (page_size + FRAME_HEAD_BYTES);
    if (frames->frame == last || file->pMethods->xRead(file, bytes, sizeof bytes, at)) return false;
    if (memcmp(bytes + 8, &h->words[WORD_SALTS], 8) != 0) return false;
    uint32_t page = vsi_sqlite_big_endian(bytes);
    is_end = vsi_sqlite_big_endian(bytes + 4) != 0;
    if (!page || VSI_ARRAY_RESERVE(frames->host, written->pages, written->pages_count, written->pages_room, 1))
      return false;
    written->pages[written->pages_count++] = page;
    if (page == 1 && !read_first_page(frames, file, at, written)) return false;
    written->has_inner |= page > 1 && bytes[FRAME_HEAD_BYTES] == INNER_OF_INDEX;
  }
  written->frame = frames->frame;
  written->moves_pages = frames->moves_pages;
  frames->number++;
  return true;
}

/* Insert the commits that were lost after `before` (NULL: before all). first: the first one, at the end of the one
 * before */
static bool insert_lost(vsi_sqlite_frames *frames, vsi_sqlite_written *before, const vsi_sqlite_written *first) {
  vsi_sqlite_written *made = first->lost_count > LOST_MOST ? NULL : vsi_alloc(frames->host, sizeof *made);
  if (!made) return false;
  *made = *first;
  if (before)
    TAILQ_INSERT_AFTER(&frames->commits, before, made, in);
  else
    TAILQ_INSERT_HEAD(&frames->commits, made, in);
  frames->number += first->lost_count;
  for (vsi_sqlite_written *at = made; (at = TAILQ_NEXT(at, in));) at->number += first->lost_count;
  return true;
}

/* Read all commits up to the last frame of h. false: some are lost, or the WAL cannot be read. */
static bool read_all(vsi_sqlite_frames *frames, const head *h) {
  sqlite3_file *file = NULL;
  if (sqlite3_file_control(frames->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) || !file || !file->pMethods)
    return false;
  vsi_sqlite_written lost = {
      .number = frames->number + 1, .salts = {frames->salts[0], frames->salts[1]}, .frame = frames->frame};
  const bool is_restarted = !has_salts(frames, h);
  vsi_sqlite_written *before = TAILQ_LAST(&frames->commits, vsi_sqlite_written_list);
  if (is_restarted) {
    frames->frame = 0;
    memcpy(frames->salts, &h->words[WORD_SALTS], sizeof frames->salts);
  }
  if (frames->frame > h->words[WORD_LAST_FRAME]) return false;
  while (frames->frame < h->words[WORD_LAST_FRAME])
    if (!read_commit(frames, file, h)) return false;
  lost.lost_count = h->words[WORD_NUMBER] - frames->number;
  return !lost.lost_count || (is_restarted && insert_lost(frames, before, &lost));
}

/* Return whether the WAL was not restarted while it was read. If it was, a frame may have been overwritten during the
 * read. */
static bool is_still(const vsi_sqlite_frames *frames) {
  head h;
  return !read_head(frames->index, &h) && has_salts(frames, &h);
}

vestry_err vsi_sqlite_frames_read(vsi_sqlite_frames *frames) {
  head h;
  vestry_err error = read_head(frames->index, &h);
  if (error) return error;
  if (has_salts(frames, &h) && frames->frame == h.words[WORD_LAST_FRAME] && frames->number == h.words[WORD_NUMBER])
    return VESTRY_OK;
  if (read_all(frames, &h) && is_still(frames)) return VESTRY_OK;
  vsi_sqlite_frames_clear(frames);
  if (begin_anew(frames)) go_to(frames, &h); /* later commits are read the next time */
  return VESTRY_NOT_FOUND;
}

void vsi_sqlite_frames_remove(vsi_sqlite_frames *frames, const vsi_sqlite_position *place) {
  vsi_sqlite_written *first = TAILQ_FIRST(&frames->commits);
  if (first->lost_count <= 1) {
    remove_first(frames);
    return;
  }
  first->lost_count--;
  first->number++;
  first->frame = place->frame;
  memcpy(first->salts, place->salts, sizeof first->salts);
}
