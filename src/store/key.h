/* SPDX-License-Identifier: MIT */
/* Encoded keys: measuring and reading them.
 *
 *   integer   01  zigzag of the value
 *   string    02  length  bytes …
 *   bytes     03  length  bytes …
 *   tuple     04  count   parts, each encoded …
 *
 * Numbers are LEB128: seven bits a byte, lowest first, the top bit says that more follow, shortest form only. Every
 * encoding tells its own length, so none is the beginning of another and a run of them reads in one way only. */
#ifndef VSI_STORE_KEY_H
#define VSI_STORE_KEY_H

#include "vestry/key.h"

/* How long vestry_key_encode's result will be. OK | INVALID | TOO_LARGE. */
vestry_err vsi_key_measure(const vestry_key *key, size_t *ret_len);

/* Bytes of a length or count as LEB128: written at `at` (10 bytes at most), returned. */
size_t vsi_key_number_write(uint64_t number, unsigned char *at);

/* Reads one part after the other; a tuple first yields itself (len = its count), then its parts. */
typedef struct vsi_key_reader {
  const unsigned char *at, *end;
  size_t left[VESTRY_KEY_MAX_DEPTH]; /* parts still to come in each open tuple */
  size_t depth;                      /* open tuples */
  bool whole;                        /* the outermost part has been read */
} vsi_key_reader;

VESTRY_API void vsi_key_reader_init(vsi_key_reader *reader, const void *encoded, size_t len);

/* Read the next part. ret_part: as vestry_key, but a TUPLE has no parts; ret_closed: how many tuples end after it.
 * OK | NOT_FOUND (the end: what was read is exactly one key) | MALFORMED. */
VESTRY_API vestry_err vsi_key_reader_next(vsi_key_reader *reader, vestry_key *ret_part, size_t *ret_closed);

/* Read a number; returns where the next byte is, NULL when malformed. */
const unsigned char *vsi_key_number_read(const unsigned char *at, const unsigned char *end, uint64_t *ret_number);

/* As vestry_key_format, of a key of any length: the text is cut where the buffer is full, but not inside a character.
 * Returns whether it is. capacity: not 0. What is not well formed ends the text. */
VESTRY_API bool vsi_key_show(const void *encoded, size_t len, char *buffer, size_t capacity);

#endif
