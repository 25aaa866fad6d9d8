/* SPDX-License-Identifier: MIT */
#include "postgres/written.h"

#include <stdlib.h>

#include "support/test.h"

enum { HEAD = 24, GOES_ON = 1, IS_LONG = 2, GIVES_UP = 8 };

static void append(written *w, const void *data, size_t len) {
  if (w->room - w->len < len) {
    w->room = (w->len + len) * 2;
    w->bytes = realloc(w->bytes, w->room);
    assert_non_null(w->bytes);
  }
  memcpy(w->bytes + w->len, data, len);
  w->len += len;
  w->at += len;
}

static void page_head(written *w, uint32_t left, unsigned flags) {
  unsigned char head[40] = {0};
  bool is_long = w->at % w->segment_bytes == 0;
  uint16_t all = (uint16_t)(flags | (left ? GOES_ON : 0) | (is_long ? IS_LONG : 0));
  memcpy(head, &w->format->magic, 2);
  memcpy(head + 2, &all, 2);
  memcpy(head + 4, &(uint32_t){1}, 4);
  memcpy(head + 8, &w->at, 8);
  memcpy(head + 16, &left, 4);
  memcpy(head + 24, &(uint64_t){77}, 8);
  memcpy(head + 32, &w->segment_bytes, 4);
  memcpy(head + 36, &w->page_bytes, 4);
  append(w, head, is_long ? 40 : 24);
}

/* Write the first `len` bytes of a record of `whole` bytes. */
static void put(written *w, const unsigned char *record, size_t len, size_t whole) {
  for (size_t done = 0; done < len;) {
    if (w->at % w->page_bytes == 0) page_head(w, (uint32_t)(done ? whole - done : 0), 0);
    size_t room = w->page_bytes - w->at % w->page_bytes, part = len - done < room ? len - done : room;
    append(w, record + done, part);
    done += part;
  }
}

static void align(written *w) {
  while (w->at % 8) append(w, "", 1);
}

void written_open(written *w, unsigned major, uint64_t at, uint32_t page_bytes, uint32_t segment_bytes) {
  *w = (written){.format = vsi_postgres_format_of(major),
                 .at = at,
                 .last_at = 8,
                 .page_bytes = page_bytes,
                 .segment_bytes = segment_bytes};
  assert_non_null(w->format);
}

void written_close(written *w) {
  free(w->bytes);
}

written_record written_begin(uint32_t xid, uint8_t manager, unsigned info) {
  return (written_record){.xid = xid, .manager = manager, .info = (uint8_t)info};
}

static void in_head(written_record *r, const void *data, size_t len) {
  assert_true(r->head_len + len <= sizeof r->head);
  memcpy(r->head + r->head_len, data, len);
  r->head_len += len;
}

static void in_tail(written_record *r, const void *data, size_t len) {
  assert_true(r->tail_len + len <= sizeof r->tail);
  if (data) memcpy(r->tail + r->tail_len, data, len);
  if (!data) memset(r->tail + r->tail_len, 0xaa, len);
  r->tail_len += len;
}

static void block(written_record *r, unsigned id, unsigned flags, uint32_t relation, uint32_t number, size_t data_len,
                  const unsigned char *image, size_t image_len) {
  unsigned char fixed[4] = {(unsigned char)id, (unsigned char)(flags | (data_len ? 0x20 : 0))};
  memcpy(fixed + 2, &(uint16_t){(uint16_t)data_len}, 2);
  in_head(r, fixed, 4);
  in_head(r, image, image_len);
  if (!(flags & WRITTEN_SAME)) in_head(r, (uint32_t[]){1663, WRITTEN_DATABASE, relation}, 12);
  in_head(r, &number, 4);
}

void written_block(written_record *r, unsigned id, unsigned flags, uint32_t relation, uint32_t number,
                   size_t data_len) {
  block(r, id, flags, relation, number, data_len, (const unsigned char *)"", 0);
  in_tail(r, NULL, data_len);
}

void written_image(written_record *r, unsigned id, uint32_t relation, uint32_t number, unsigned image, size_t len,
                   size_t data_len, bool is_compressed) {
  unsigned char head[7] = {0};
  memcpy(head, &(uint16_t){(uint16_t)len}, 2);
  head[4] = (unsigned char)image;
  block(r, id, WRITTEN_IMAGE, relation, number, data_len, head, is_compressed && (image & WRITTEN_HOLE) ? 7 : 5);
  in_tail(r, NULL, len + data_len);
}

void written_origin(written_record *r) {
  in_head(r, "\xfd\1\0", 3);
}

void written_transaction(written_record *r, uint32_t xid) {
  in_head(r, "\xfc", 1);
  in_head(r, &xid, 4);
}

void written_main(written_record *r, const void *data, size_t len) {
  if (len < 256) {
    in_head(r, (unsigned char[]){255, (unsigned char)len}, 2);
  } else {
    in_head(r, "\xfe", 1);
    in_head(r, &(uint32_t){(uint32_t)len}, 4);
  }
  in_tail(r, data, len);
}

static size_t make(const written *w, const written_record *r, unsigned char *ret_bytes) {
  size_t len = HEAD + r->head_len + r->tail_len;
  memset(ret_bytes, 0, HEAD);
  memcpy(ret_bytes, &(uint32_t){(uint32_t)len}, 4);
  memcpy(ret_bytes + 4, &r->xid, 4);
  memcpy(ret_bytes + 8, &w->last_at, 8);
  ret_bytes[16] = r->info;
  ret_bytes[17] = r->manager;
  memcpy(ret_bytes + HEAD, r->head, r->head_len);
  memcpy(ret_bytes + HEAD + r->head_len, r->tail, r->tail_len);
  return len;
}

/* Return the position of the next record, behind a page's header. */
static uint64_t next_at(written *w) {
  align(w);
  if (w->at % w->page_bytes == 0) page_head(w, 0, 0);
  return w->at;
}

uint64_t written_put(written *w, const written_record *r) {
  unsigned char bytes[HEAD + sizeof r->head + sizeof r->tail];
  uint64_t at = next_at(w);
  size_t len = make(w, r, bytes);
  put(w, bytes, len, len);
  w->last_at = at;
  return at;
}

void written_give_up(written *w, const written_record *r, size_t len) {
  unsigned char bytes[HEAD + sizeof r->head + sizeof r->tail];
  next_at(w);
  size_t whole = make(w, r, bytes);
  assert_true(len < whole);
  put(w, bytes, len, whole);
  while (w->at % w->page_bytes) append(w, "", 1);
  page_head(w, 0, GIVES_UP);
}

void written_switch(written *w) {
  written_record r = written_begin(0, 0, 0x40);
  written_put(w, &r);
  while (w->at % w->segment_bytes) append(w, "", 1);
}
