/* SPDX-License-Identifier: MIT */
/* essay: finding records in a stream that begins anywhere, and never taking data for a record */
/* Splitting the WAL (the log that PostgreSQL writes before each change) into records.
 *
 * The WAL consists of pages with headers. The rest of the pages contains records, each aligned to eight bytes; a record
 * that does not fit on a page continues after the next page's header:
 *
 *     | page header | rest of A | record B | start of C |   | page header | rest of C | record D | …
 *       length of the rest of A                               length of the rest of C
 *
 * A stream begins with a page, most likely inside of a record. The page's header has the length of the rest of that
 * record, and the first record that is read is the next one.
 *
 * A reader that has lost its position would take bytes of a row for a record. Therefore, all redundant data are
 * compared: the header of a page has its position, and the missing length of the record that continues there; each
 * record has the position of the previous one; the parts of a record have lengths, whose sum must be that of the
 * record. A mismatch ends the reading with a reason, and the follower restarts. The checksum is not computed, because
 * it protects against faults of disks and torn writes, which the server must detect before it sends.
 *
 * If the server crashed while it was writing a record, the record is abandoned: the page after it has a flag for this,
 * and continues with another record. Records that are not passed on are skipped without being stored, whatever their
 * length. */
#include "data/postgres/wal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/array.h"

enum {
  PAGE_HEAD = 24,
  LONG_PAGE_HEAD = 40, /* of the first page of a segment */
  PAGE_GOES_ON = 0x1,
  PAGE_IS_LONG = 0x2,
  PAGE_GIVES_UP = 0x8,
  PAGE_FLAGS = 0xf,
  PAGE_BYTES_MIN = 512,
  PAGE_BYTES_MAX = 65536,
  RECORD_HEAD = 24,
  RECORD_ALIGNMENT = 8,
  RECORD_BYTES_MAX = 0x3fffffff, /* the maximum that a server can allocate */
  LOG_MANAGER = 0,
  LOG_SWITCH = 0x40,
  BLOCK_FORK = 0x0f,
  BLOCK_HAS_IMAGE = 0x10,
  BLOCK_HAS_DATA = 0x20,
  BLOCK_SAME_RELATION = 0x80,
  IMAGE_HAS_HOLE = 0x01,
  ID_TRANSACTION = 252, /* the transaction of which the record's transaction is a part */
  ID_ORIGIN = 253,
  ID_MAIN_LONG = 254,
  ID_MAIN = 255
};

/* ---------------------------------------------------------------------------------------------------- formats ----- */

enum { COMPRESSED_13 = 0x02, COMPRESSED_15 = 0x04 | 0x08 | 0x10 /* PGLZ, LZ4, Zstandard */ };

static const vsi_postgres_format formats[] = {{13, 0xD106, COMPRESSED_13, 0, 21},  {14, 0xD10D, COMPRESSED_13, 0, 18},
                                              {15, 0xD110, COMPRESSED_15, 12, 13}, {16, 0xD113, COMPRESSED_15, 12, 9},
                                              {17, 0xD116, COMPRESSED_15, 12, 5},  {18, 0xD118, COMPRESSED_15, 16, 0}};

const vsi_postgres_format *vsi_postgres_format_of(unsigned major) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (formats[i].major == major) return &formats[i];
  return NULL;
}

bool vsi_postgres_format_locks_all(unsigned version) {
  const vsi_postgres_format *format = vsi_postgres_format_of(version / 10000);
  return format && version % 10000 >= format->locks_all;
}

#define PLACE         "%" PRIX32 "/%" PRIX32
#define PLACE_OF(lsn) (uint32_t)((lsn) >> 32), (uint32_t)(lsn)

static vestry_err fail(vsi_postgres_wal *wal, vestry_err error, const char *format, ...) VESTRY_PRINTF(3, 4);
static vestry_err fail(vsi_postgres_wal *wal, vestry_err error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(wal->reason, sizeof wal->reason, format, arguments);
  va_end(arguments);
  return error;
}

/* -------------------------------------------------------------------------------------------------- one record ---- */
/* Read one block's header, after its number. Adds the size of its data after all headers to `rest`. */
static bool take_block(vsi_postgres_bytes *bytes, const vsi_postgres_format *format, const vsi_postgres_block *before,
                       vsi_postgres_block *ret_block, size_t *rest) {
  uint8_t flags = vsi_postgres_take_u8(bytes);
  uint16_t data_len = vsi_postgres_take_u16(bytes);
  if (!(flags & BLOCK_HAS_DATA) != !data_len) return false;
  *rest += data_len;
  if (flags & BLOCK_HAS_IMAGE) {
    *rest += vsi_postgres_take_u16(bytes);
    vsi_postgres_take_u16(bytes); /* offset of its hole */
    uint8_t image = vsi_postgres_take_u8(bytes);
    if ((image & format->compressed) && (image & IMAGE_HAS_HOLE)) vsi_postgres_take_u16(bytes);
  }
  ret_block->fork = flags & BLOCK_FORK;
  if (flags & BLOCK_SAME_RELATION) {
    if (!before) return false;
    ret_block->database = before->database;
    ret_block->relation = before->relation;
  } else {
    vsi_postgres_take_u32(bytes); /* the tablespace */
    ret_block->database = vsi_postgres_take_u32(bytes);
    ret_block->relation = vsi_postgres_take_u32(bytes);
  }
  ret_block->number = vsi_postgres_take_u32(bytes);
  ret_block->is_there = true;
  return true;
}

/* Parse a record: headers of blocks in the order of their ids, header of the main data; then, in the same order, their
 * data. */
static bool parse(const vsi_postgres_wal *wal, vsi_postgres_bytes bytes, vsi_postgres_record *record) {
  const vsi_postgres_block *before = NULL;
  size_t rest = 0;
  while (bytes.len > rest) {
    uint8_t id = vsi_postgres_take_u8(&bytes);
    if (id == ID_MAIN || id == ID_MAIN_LONG) {
      record->main_len = id == ID_MAIN ? vsi_postgres_take_u8(&bytes) : vsi_postgres_take_u32(&bytes);
      rest += record->main_len;
      break;
    }
    if (id == ID_ORIGIN) {
      vsi_postgres_take_u16(&bytes);
    } else if (id == ID_TRANSACTION) {
      vsi_postgres_take_u32(&bytes);
    } else {
      if (id >= VSI_POSTGRES_BLOCKS_MAX || id < record->blocks_count) return false;
      if (!take_block(&bytes, wal->is.format, before, &record->blocks[id], &rest)) return false;
      before = &record->blocks[id];
      record->blocks_count = id + 1;
    }
  }
  if (bytes.is_short || bytes.len != rest) return false;
  record->main = bytes.at + rest - record->main_len;
  return true;
}

static vestry_err pass_record(vsi_postgres_wal *wal, const unsigned char *data, size_t len) {
  vsi_postgres_record record = {
      .at = wal->record_at, .xid = vsi_postgres_load_u32(data + 4), .info = data[16], .manager = data[17]};
  if (!parse(wal, (vsi_postgres_bytes){data + RECORD_HEAD, len - RECORD_HEAD, false}, &record))
    return fail(wal, VESTRY_MALFORMED, "the lengths in the record at " PLACE " are inconsistent",
                PLACE_OF(wal->record_at));
  return wal->is.on_record(&record, wal->is.ctx);
}

static bool is_parsed(uint8_t manager) {
  return manager == VSI_POSTGRES_TRANSACTION || manager == VSI_POSTGRES_RELATION_MAP || manager == VSI_POSTGRES_HEAP ||
         manager == VSI_POSTGRES_HEAP2 || manager == VSI_POSTGRES_BTREE;
}

/* Process the complete header of a record. */
static vestry_err take_head(vsi_postgres_wal *wal, const unsigned char *head) {
  uint32_t bytes = vsi_postgres_load_u32(head);
  uint64_t last_at = vsi_postgres_load_u64(head + 8);
  uint8_t info = head[16], manager = head[17];
  if (bytes < RECORD_HEAD || bytes > RECORD_BYTES_MAX)
    return fail(wal, VESTRY_MALFORMED, "invalid length of %" PRIu32 " bytes of the record at " PLACE, bytes,
                PLACE_OF(wal->record_at));
  if (last_at >= wal->record_at || (wal->last_at && last_at != wal->last_at))
    return fail(wal, VESTRY_MALFORMED, "the record at " PLACE " names its predecessor at " PLACE ", not at " PLACE,
                PLACE_OF(wal->record_at), PLACE_OF(last_at), PLACE_OF(wal->last_at));
  wal->part = is_parsed(manager) ? VSI_POSTGRES_BODY : VSI_POSTGRES_PASSED;
  if (wal->part == VSI_POSTGRES_BODY && bytes > VSI_POSTGRES_RECORD_BYTES_MAX)
    return fail(wal, VESTRY_TOO_LARGE, "the record at " PLACE " has %" PRIu32 " bytes, more than %d",
                PLACE_OF(wal->record_at), bytes, VSI_POSTGRES_RECORD_BYTES_MAX);
  wal->left = bytes - RECORD_HEAD;
  if (manager == LOG_MANAGER && (info & 0xf0) == LOG_SWITCH) {
    uint64_t mask = wal->is.segment_bytes - 1;
    wal->skip_to = (wal->record_at + RECORD_HEAD + mask) & ~mask;
  }
  return VESTRY_OK;
}

/* Process a complete record, or the end of one whose start was not read: then len is 0. */
static vestry_err end_record(vsi_postgres_wal *wal, const unsigned char *data, size_t len) {
  vestry_err error = wal->part == VSI_POSTGRES_BODY ? pass_record(wal, data, len) : VESTRY_OK;
  if (len) {
    wal->last_at = wal->record_at;
    wal->records_count++;
  }
  wal->part = VSI_POSTGRES_BETWEEN;
  wal->left = 0;
  return error;
}

/* Process the complete part that was being read. */
static vestry_err end_part(vsi_postgres_wal *wal) {
  if (wal->part == VSI_POSTGRES_HEAD) {
    vestry_err error = take_head(wal, wal->record);
    if (error || wal->left) return error;
  }
  return end_record(wal, wal->record, wal->record_len);
}

/* Process a record that lies in the data completely, without a copy of it. Most records do. Returns its length with the
 * bytes up to the next record, if they are there, too; 0: it does not. */
static size_t feed_whole(vsi_postgres_wal *wal, const unsigned char *data, size_t len, vestry_err *ret_error) {
  const size_t bytes = len >= RECORD_HEAD ? vsi_postgres_load_u32(data) : 0;
  if (bytes < RECORD_HEAD || bytes > len) return 0;
  wal->record_at = wal->at;
  *ret_error = take_head(wal, data);
  if (!*ret_error) *ret_error = end_record(wal, data, bytes);
  const size_t aligned = (bytes + RECORD_ALIGNMENT - 1) / RECORD_ALIGNMENT * RECORD_ALIGNMENT;
  return aligned < len ? aligned : len;
}

/* ------------------------------------------------------------------------------------------------------ pages ----- */
/* Return how many bytes of the current record are missing. Its length is its first number, which a page always contains
 * completely, because records are aligned to eight bytes. */
static uint32_t missing(const vsi_postgres_wal *wal) {
  if (wal->part == VSI_POSTGRES_BETWEEN) return 0;
  if (wal->part == VSI_POSTGRES_HEAD) return vsi_postgres_load_u32(wal->record) - (uint32_t)wal->record_len;
  return wal->left;
}

static vestry_err refuse_page(vsi_postgres_wal *wal, uint64_t at, const char *what, uint64_t found, uint64_t wanted) {
  return fail(wal, VESTRY_MALFORMED, "%s of the page at " PLACE " is %" PRIX64 ", not %" PRIX64, what, PLACE_OF(at),
              found, wanted);
}

/* Process the complete header of a page. at: position of the page. */
static vestry_err take_page_head(vsi_postgres_wal *wal, uint64_t at) {
  uint16_t magic = vsi_postgres_load_u16(wal->page_head), flags = vsi_postgres_load_u16(wal->page_head + 2);
  uint64_t place = vsi_postgres_load_u64(wal->page_head + 8);
  uint32_t left = vsi_postgres_load_u32(wal->page_head + 16);
  if (magic != wal->is.format->magic) {
    if (magic == __builtin_bswap16(wal->is.format->magic))
      return fail(wal, VESTRY_UNSUPPORTED,
                  "the page at " PLACE " is from a machine with the other byte order, which is not supported",
                  PLACE_OF(at));
    return refuse_page(wal, at, "the magic number", magic, wal->is.format->magic);
  }
  if (place != at) return refuse_page(wal, at, "the address", place, at);
  if (flags & ~PAGE_FLAGS) return refuse_page(wal, at, "the set of flags", flags, flags & PAGE_FLAGS);
  if (flags & PAGE_IS_LONG) {
    uint32_t segment_bytes = vsi_postgres_load_u32(wal->page_head + 32);
    uint32_t page_bytes = vsi_postgres_load_u32(wal->page_head + 36);
    if (segment_bytes != wal->is.segment_bytes)
      return refuse_page(wal, at, "the segment's size", segment_bytes, wal->is.segment_bytes);
    if (page_bytes != wal->is.page_bytes) return refuse_page(wal, at, "the size", page_bytes, wal->is.page_bytes);
  }
  if (!(flags & PAGE_GOES_ON)) left = 0;
  if (wal->is_first_page) {
    wal->is_first_page = false;
    wal->left = left;
    wal->part = left ? VSI_POSTGRES_PASSED : VSI_POSTGRES_BETWEEN;
  } else if (flags & PAGE_GIVES_UP) {
    wal->part = VSI_POSTGRES_BETWEEN;
  }
  return left == missing(wal) ? VESTRY_OK
                              : refuse_page(wal, at, "the remaining length of a record", left, missing(wal));
}

/* -------------------------------------------------------------------------------------------------- the stream ---- */
/* Each feed_… function takes as many of the bytes as it can, and returns their number. */

static size_t feed_page_head(vsi_postgres_wal *wal, const unsigned char *data, size_t len, vestry_err *ret_error) {
  uint64_t page_at = wal->at & ~(uint64_t)(wal->is.page_bytes - 1);
  unsigned head_len = page_at & (wal->is.segment_bytes - 1) ? PAGE_HEAD : LONG_PAGE_HEAD;
  if (len > head_len - wal->page_head_len) len = head_len - wal->page_head_len;
  memcpy(wal->page_head + wal->page_head_len, data, len);
  wal->page_head_len += (unsigned)len;
  if (wal->page_head_len == head_len) {
    bool is_long = vsi_postgres_load_u16(wal->page_head + 2) & PAGE_IS_LONG;
    wal->in_page_head = false;
    *ret_error = take_page_head(wal, page_at);
    if (!*ret_error && is_long != (head_len == LONG_PAGE_HEAD))
      *ret_error =
          refuse_page(wal, page_at, "the length of the header", is_long ? LONG_PAGE_HEAD : PAGE_HEAD, head_len);
  }
  return len;
}

static size_t feed_record(vsi_postgres_wal *wal, const unsigned char *data, size_t len, vestry_err *ret_error) {
  if (wal->part == VSI_POSTGRES_BETWEEN) {
    const size_t whole = feed_whole(wal, data, len, ret_error);
    if (whole) return whole;
    wal->part = VSI_POSTGRES_HEAD;
    wal->left = RECORD_HEAD;
    wal->record_at = wal->at;
    wal->record_len = 0;
  }
  if (len > wal->left) len = wal->left;
  if (wal->part != VSI_POSTGRES_PASSED) {
    *ret_error = VSI_ARRAY_RESERVE(wal->is.host, wal->record, wal->record_len, wal->record_room, len);
    if (*ret_error) {
      fail(wal, *ret_error, "out of memory for the record at " PLACE, PLACE_OF(wal->record_at));
      return 0;
    }
    memcpy(wal->record + wal->record_len, data, len);
    wal->record_len += len;
  }
  wal->left -= (uint32_t)len;
  return len;
}

vestry_err vsi_postgres_wal_feed(vsi_postgres_wal *wal, const void *data, size_t len) {
  const unsigned char *at = data;
  while (len && !wal->error) {
    size_t in_page = wal->is.page_bytes - (size_t)(wal->at & (wal->is.page_bytes - 1));
    size_t taken = len < in_page ? len : in_page;
    if (wal->at < wal->skip_to) {
      if (taken > wal->skip_to - wal->at) taken = (size_t)(wal->skip_to - wal->at);
    } else if (in_page == wal->is.page_bytes || wal->in_page_head) {
      if (!wal->in_page_head) wal->page_head_len = 0;
      wal->in_page_head = true;
      taken = feed_page_head(wal, at, taken, &wal->error);
    } else if (wal->part == VSI_POSTGRES_BETWEEN && wal->at % RECORD_ALIGNMENT) {
      size_t between = RECORD_ALIGNMENT - (size_t)(wal->at % RECORD_ALIGNMENT);
      if (taken > between) taken = between;
    } else {
      taken = feed_record(wal, at, taken, &wal->error);
    }
    at += taken;
    len -= taken;
    wal->at += taken;
    if (!wal->error && !wal->left && wal->part != VSI_POSTGRES_BETWEEN) wal->error = end_part(wal);
  }
  return wal->error;
}

vestry_err vsi_postgres_wal_init(vsi_postgres_wal *wal, const vsi_postgres_wal_options *options) {
  uint32_t page = options->page_bytes, segment = options->segment_bytes;
  if (page < PAGE_BYTES_MIN || page > PAGE_BYTES_MAX || (page & (page - 1))) return VESTRY_INVALID;
  if (segment < page || (segment & (segment - 1)) || (options->at & (page - 1))) return VESTRY_INVALID;
  *wal = (vsi_postgres_wal){.is = *options, .at = options->at, .is_first_page = true};
  return VESTRY_OK;
}

void vsi_postgres_wal_finish(vsi_postgres_wal *wal) {
  vsi_free(wal->is.host, wal->record);
  wal->record = NULL;
}
