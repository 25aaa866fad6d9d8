/* SPDX-License-Identifier: MIT */
/* essay: which pages a commit wrote, and that none was missed */
/* What commits wrote stands in the WAL: each frame has the number of its page, and the last frame of a commit says so.
 * Where the WAL ends that everybody may see, the head of its index says, which all processes share and which is written
 * last. Both formats are documented (sqlite.org/walformat.html), and no file is opened here: it is read through the own
 * connection's, because to close another descriptor would drop that one's locks.
 *
 * That nothing was missed is counted. The index has a number that goes up by one for each commit: between two looks
 * there must be as many commits in the frames. When all of the WAL is in the database it is begun anew, with other
 * salts; then the frames of the new one must account for all commits since. If they do not, some were in frames that
 * have been overwritten before they were read: these are lost. Every frame bears the salts of its WAL, so one that is
 * overwritten while it is read is seen. */
#include "data/sqlite/frames.h"

#include "base/array.h"
#include "data/sqlite/schema.h"

enum {
  HEAD_WORDS = 12, /* there are two copies, one after the other */
  WORD_VERSION = 0,
  WORD_NUMBER = 2,
  WORD_SIZES = 3, /* a byte: there is an index; a byte: the order of bytes in checksums; two: a page's size */
  WORD_LAST_FRAME = 4,
  WORD_SALTS = 8,
  WORD_CHECKSUM = 10,
  TRIES = 100,
  WAL_HEAD_BYTES = 32,
  FRAME_HEAD_BYTES = 24,
  PAGE_HEAD_BYTES = 100, /* of the database's first page */
  SCHEMA_AT = 40
};
static const uint32_t version = 3007000;

typedef struct head {
  uint32_t words[HEAD_WORDS];
} head;

static void load(const _Atomic(uint32_t) *index, head *ret_head) {
  for (size_t i = 0; i < HEAD_WORDS; i++) ret_head->words[i] = atomic_load_explicit(&index[i], memory_order_relaxed);
}

/* As SQLite does: of pairs of words, in this machine's order. */
static bool is_whole(const head *h) {
  uint32_t first = 0, second = 0;
  for (size_t i = 0; i < WORD_CHECKSUM; i += 2) {
    first += h->words[i] + second;
    second += h->words[i + 1] + first;
  }
  return first == h->words[WORD_CHECKSUM] && second == h->words[WORD_CHECKSUM + 1];
}

static uint32_t page_bytes(const head *h) {
  uint16_t size;
  memcpy(&size, (const char *)h->words + WORD_SIZES * 4 + 2, sizeof size);
  return size == 1 ? 65536 : size;
}

/* A WAL in which nothing was written yet has no size of pages: that of a database that was left cleanly. */
static bool is_of_pages(const head *h) {
  return page_bytes(h) >= 512 || (!page_bytes(h) && !h->words[WORD_LAST_FRAME]);
}

/* The second copy is written before the first one. OK | BUSY */
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

static bool has_salts(const vsi_sqlite_frames *frames, const head *h) {
  return memcmp(frames->salts, &h->words[WORD_SALTS], sizeof frames->salts) == 0;
}

static void go_to(vsi_sqlite_frames *frames, const head *h) {
  frames->number = h->words[WORD_NUMBER];
  frames->frame = h->words[WORD_LAST_FRAME];
  memcpy(frames->salts, &h->words[WORD_SALTS], sizeof frames->salts);
}

static uint32_t big_endian(const unsigned char *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Go on after what is committed now, under the schema of now, or one before it, which shows when the next commit says
 * which it is. OK | BUSY */
static vestry_err begin_anew(vsi_sqlite_frames *frames) {
  head h;
  int schema = 0;
  frames->knows_schema = !vsi_sqlite_ask(frames->db, "PRAGMA main.schema_version", NULL, &schema);
  if (frames->knows_schema) frames->schema = (uint32_t)schema;
  vestry_err error = read_head(frames->index, &h);
  if (!error) go_to(frames, &h);
  return error;
}

vestry_err vsi_sqlite_frames_init(vsi_sqlite_frames *frames, const vestry_host *host, sqlite3 *db,
                                  const _Atomic(uint32_t) *index) {
  memset(frames, 0, sizeof *frames);
  frames->host = host;
  frames->db = db;
  frames->index = index;
  return begin_anew(frames);
}

void vsi_sqlite_frames_finish(vsi_sqlite_frames *frames) {
  vsi_free(frames->host, frames->pages);
  frames->pages = NULL;
}

/* --------------------------------------------------------------------------------------------------- reading ------ */

static bool put_page(vsi_sqlite_frames *frames, size_t at, uint32_t page) {
  if (VSI_ARRAY_RESERVE(frames->host, frames->pages, at, frames->pages_room, 1)) return false;
  frames->pages[at] = page;
  return true;
}

/* The first page of the database was written. A frame's head is written before its page: the page is this frame's if
 * the head still is. */
static bool read_first_page(vsi_sqlite_frames *frames, sqlite3_file *file, sqlite3_int64 at,
                            vsi_sqlite_written *written) {
  unsigned char bytes[PAGE_HEAD_BYTES], again[FRAME_HEAD_BYTES];
  if (file->pMethods->xRead(file, bytes, sizeof bytes, at + FRAME_HEAD_BYTES)) return false;
  if (file->pMethods->xRead(file, again, sizeof again, at)) return false;
  if (memcmp(again + 8, frames->salts, sizeof frames->salts) != 0) return false;
  uint32_t schema = big_endian(bytes + SCHEMA_AT);
  written->has_schema |= !frames->knows_schema || schema != frames->schema;
  frames->schema = schema;
  frames->knows_schema = true;
  return true;
}

/* One commit, that begins after frames->frame. */
static bool read_commit(vsi_sqlite_frames *frames, sqlite3_file *file, const head *h, vsi_sqlite_written *written) {
  const uint32_t page_size = page_bytes(h), last = h->words[WORD_LAST_FRAME];
  *written = (vsi_sqlite_written){.number = frames->number + 1};
  for (bool is_end = false; !is_end; frames->frame++) {
    unsigned char bytes[FRAME_HEAD_BYTES];
    sqlite3_int64 at = WAL_HEAD_BYTES + (sqlite3_int64)frames->frame * (page_size + FRAME_HEAD_BYTES);
    if (frames->frame == last || file->pMethods->xRead(file, bytes, sizeof bytes, at)) return false;
    if (memcmp(bytes + 8, &h->words[WORD_SALTS], 8) != 0) return false;
    uint32_t page = big_endian(bytes);
    is_end = big_endian(bytes + 4) != 0;
    if (!page || !put_page(frames, written->pages_count++, page)) return false;
    if (page == 1 && !read_first_page(frames, file, at, written)) return false;
  }
  frames->number++;
  written->pages = frames->pages;
  return true;
}

static bool read_all(vsi_sqlite_frames *frames, const head *h, vsi_sqlite_written_fn fn, void *ctx) {
  sqlite3_file *file = NULL;
  if (sqlite3_file_control(frames->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &file) || !file || !file->pMethods)
    return false;
  if (!has_salts(frames, h)) {
    frames->frame = 0;
    memcpy(frames->salts, &h->words[WORD_SALTS], sizeof frames->salts);
  }
  /* More commits than frames to come: some are in frames of before. Only then nothing is told of. */
  uint32_t commits_count = h->words[WORD_NUMBER] - frames->number;
  if (frames->frame > h->words[WORD_LAST_FRAME] || commits_count > h->words[WORD_LAST_FRAME] - frames->frame)
    return false;
  vsi_sqlite_written written;
  while (frames->frame < h->words[WORD_LAST_FRAME]) {
    if (!read_commit(frames, file, h, &written)) return false;
    fn(&written, ctx);
  }
  return frames->number == h->words[WORD_NUMBER];
}

/* Whether the WAL has not been begun anew while it was read. If it has, a frame may have been written while it was. */
static bool is_still(const vsi_sqlite_frames *frames) {
  head h;
  return !read_head(frames->index, &h) && has_salts(frames, &h);
}

vestry_err vsi_sqlite_frames_read(vsi_sqlite_frames *frames, vsi_sqlite_written_fn fn, void *ctx,
                                  uint32_t *ret_number) {
  head h;
  vestry_err error = read_head(frames->index, &h);
  if (error) return error;
  *ret_number = h.words[WORD_NUMBER];
  if (has_salts(frames, &h) && frames->frame == h.words[WORD_LAST_FRAME] && frames->number == h.words[WORD_NUMBER])
    return VESTRY_OK;
  if (read_all(frames, &h, fn, ctx) && is_still(frames)) return VESTRY_OK;
  if (begin_anew(frames)) go_to(frames, &h); /* what came since is read the next time */
  return VESTRY_NOT_FOUND;
}
