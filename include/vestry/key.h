/* SPDX-License-Identifier: MIT */
/** Keys: the names under which connections are stored. A key is an integer, a string, bytes, or a tuple of keys.
 *
 *      VESTRY_KEY("counter", 1)                        // C: a tuple of a string and an integer
 *      VESTRY_KEY("doc", id, VESTRY_KEY("x", "y"))     // nested; this macro makes tuples of at most 8 parts
 *
 *  Functions take a key by pointer, and copy the parts that they keep. Every key has one canonical encoding with type
 *  tags and lengths, so ("a","bc") is not ("ab","c") and 1 is not "1". A scoped key is a scope, which identifies the
 *  owner (any bytes: a session, a user, a tab), and a key in it. */
#ifndef VESTRY_KEY_H
#define VESTRY_KEY_H

#include <string.h>

#include "vestry/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Type of a key, or of a part of one. */
typedef enum vestry_key_type {
  VESTRY_KEY_INTEGER = 1,
  VESTRY_KEY_STRING, /**< bytes of UTF-8 text; not checked */
  VESTRY_KEY_BYTES,
  VESTRY_KEY_TUPLE,
  VESTRY_KEY_ENCODED, /**< a key that is encoded already: see vestry_key_encoded */
  VESTRY_KEY_READY,   /**< made by vestry_store_ready (vestry/store.h) */
  VESTRY_KEY_EVERY    /**< VESTRY_EVERY_KEY (vestry/store.h) */
} vestry_key_type;

/** A key, or one part of a tuple. Its pointers are borrowed. */
typedef struct vestry_key {
  vestry_key_type type;
  int64_t integer;                /**< INTEGER */
  const void *data;               /**< STRING, BYTES, ENCODED: len bytes; BYTES: may be NULL when len is 0 */
  size_t len;                     /**< STRING, BYTES, ENCODED: bytes; TUPLE: number of parts */
  const struct vestry_key *parts; /**< TUPLE */
} vestry_key;

/** Maximum size of an encoded key, and of a scope; maximum depth of nested tuples, where a tuple without tuples in it
 *  has depth 1. */
#define VESTRY_KEY_MAX_BYTES   ((size_t)65535)
#define VESTRY_SCOPE_MAX_BYTES ((size_t)1024)
#define VESTRY_KEY_MAX_DEPTH   16

/** Make an integer key. Threads any. */
static inline vestry_key vestry_key_integer(int64_t integer) {
  vestry_key key = {VESTRY_KEY_INTEGER, integer, NULL, 0, NULL};
  return key;
}
/** Make a string key of a terminated text, which is borrowed. If text is NULL, every function that gets the key returns
 *  INVALID. Threads any. */
static inline vestry_key vestry_key_string(const char *text) {
  vestry_key key = {VESTRY_KEY_STRING, 0, text, text ? strlen(text) : 0, NULL};
  return key;
}
/** Make a key of len arbitrary bytes, which are borrowed. Threads any. */
static inline vestry_key vestry_key_bytes(const void *data, size_t len) {
  vestry_key key = {VESTRY_KEY_BYTES, 0, data, len, NULL};
  return key;
}
/** Make a tuple key of count parts, which are borrowed. Threads any. */
static inline vestry_key vestry_key_tuple(const vestry_key *parts, size_t count) {
  vestry_key key = {VESTRY_KEY_TUPLE, 0, NULL, count, parts};
  return key;
}
/** Make a key of its encoding, which is borrowed, so that a key that a list or a purge hook received can be passed on:
 *      static void remove_one(const vestry_listed *listed, void *store) { // a vestry_list_fn
 *        const vestry_key key = vestry_key_encoded(listed->key, listed->key_len);
 *        vestry_store_remove(store, listed->scope, &key, VESTRY_CAUSE_REMOVED, NULL);
 *      }
 *  It equals the key that was encoded, also as a part of a tuple. Functions that get a malformed encoding return
 *  INVALID. Threads any. */
static inline vestry_key vestry_key_encoded(const void *encoded, size_t len) {
  vestry_key key = {VESTRY_KEY_ENCODED, 0, encoded, len, NULL};
  return key;
}

/** A scope of keys. Borrows its bytes. */
typedef struct vestry_scope {
  const void *data; /**< at most VESTRY_SCOPE_MAX_BYTES; {NULL, 0}, written (vestry_scope){0}, is the scope without an
                         owner, which all clients share */
  size_t len;
} vestry_scope;

/** Encode a key canonically. Two keys have equal encodings if and only if they are equal.
 *  buffer   receives at most capacity bytes; contents undefined on failure
 *  Returns  OK | INVALID (no key: a NULL string or pointer, an unknown type, a malformed encoding) | TOO_LARGE
 *           (capacity, VESTRY_KEY_MAX_BYTES or VESTRY_KEY_MAX_DEPTH); if there are several faults, the first one in the
 *           key counts
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_key_encode(const vestry_key *key, void *buffer, size_t capacity, size_t *ret_len);

/** Decode a key, to read its parts.
 *      vestry_key parts[3]; // room for ["room", 7] and its two parts
 *      size_t count;
 *      if (!vestry_key_decode(listed->key, listed->key_len, parts, 3, &count) && parts[0].len == 2)
 *        show_room(parts[0].parts[1].integer);
 *  parts      receives the key as its first item, and the parts of each tuple as consecutive items, to which the
 *             tuple's `parts` points. Strings and bytes point into the encoding, and have no NUL at their end. Contents
 *             undefined on failure; NULL with capacity 0: get the count only
 *  capacity   number of items in parts. A key of len bytes has fewer than len items
 *  ret_count  number of items, also on TOO_LARGE
 *  Returns  OK | MALFORMED (not the encoding of a key) | TOO_LARGE (capacity) | INVALID (a NULL pointer)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_key_decode(const void *encoded, size_t len, vestry_key *parts, size_t capacity,
                                        size_t *ret_count);

/** Write an encoded key as JSON, for display and logs: ["counter",1]. Strings that are not UTF-8, and bytes, become
 *  {"bytes":"<hex>"}.
 *  buffer   receives at most capacity - 1 bytes and a NUL
 *  ret_len  without the NUL; untouched on failure; may be NULL
 *  Returns  OK | INVALID (encoded or buffer NULL, and its length is not 0) | MALFORMED (not the encoding of a key) |
 *           TOO_LARGE (capacity). After MALFORMED and TOO_LARGE the buffer is terminated (unless capacity is 0), and
 *           its contents are undefined
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_key_format(const void *encoded, size_t len, char *buffer, size_t capacity,
                                        size_t *ret_len);

#ifndef __cplusplus
/** Return a key as it is, for VESTRY_KEY. Threads any, also for the next function. */
static inline vestry_key vestry_key_self(vestry_key key) {
  return key;
}
/** Return the key behind a pointer, for VESTRY_KEY: a copy that borrows the same bytes and parts. */
static inline vestry_key vestry_key_at(const vestry_key *key) {
  return *key;
}
/* clang-format off */
/** Make a part of a key from a text, an integer, or a key or its address. */
#define VESTRY_KEY_PART(x)                                                                                             \
  _Generic((x), char *: vestry_key_string, const char *: vestry_key_string, vestry_key: vestry_key_self,               \
           vestry_key *: vestry_key_at, const vestry_key *: vestry_key_at, char: vestry_key_integer,                   \
           signed char: vestry_key_integer, unsigned char: vestry_key_integer, short: vestry_key_integer,              \
           unsigned short: vestry_key_integer, int: vestry_key_integer, unsigned: vestry_key_integer,                  \
           long: vestry_key_integer, unsigned long: vestry_key_integer, long long: vestry_key_integer,                 \
           unsigned long long: vestry_key_integer)(x)
#define VESTRY_KEY_COUNT_(a, b, c, d, e, f, g, h, n, ...) n
#define VESTRY_KEY_COUNT(...) VESTRY_KEY_COUNT_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define VESTRY_KEY_1(a) VESTRY_KEY_PART(a)
#define VESTRY_KEY_2(a, ...) VESTRY_KEY_PART(a), VESTRY_KEY_1(__VA_ARGS__)
#define VESTRY_KEY_3(a, ...) VESTRY_KEY_PART(a), VESTRY_KEY_2(__VA_ARGS__)
#define VESTRY_KEY_4(a, ...) VESTRY_KEY_PART(a), VESTRY_KEY_3(__VA_ARGS__)
#define VESTRY_KEY_5(a, ...) VESTRY_KEY_PART(a), VESTRY_KEY_4(__VA_ARGS__)
#define VESTRY_KEY_6(a, ...) VESTRY_KEY_PART(a), VESTRY_KEY_5(__VA_ARGS__)
#define VESTRY_KEY_7(a, ...) VESTRY_KEY_PART(a), VESTRY_KEY_6(__VA_ARGS__)
#define VESTRY_KEY_8(a, ...) VESTRY_KEY_PART(a), VESTRY_KEY_7(__VA_ARGS__)
#define VESTRY_KEY_PASTE_(a, b) a##b
#define VESTRY_KEY_PASTE(a, b) VESTRY_KEY_PASTE_(a, b)
/** Make a tuple key of 1 to 8 parts, and return a pointer to it. Parts: strings (char *), integers, keys, pointers to
 *  keys; anything else (1.9, a bool) does not compile. The key lives until the end of the enclosing block. C only; C++
 *  calls the functions above. */
#define VESTRY_KEY(...)                                                                                                \
  (&(const vestry_key){                                                                                                \
      VESTRY_KEY_TUPLE, 0, NULL, VESTRY_KEY_COUNT(__VA_ARGS__),                                                        \
      (const vestry_key[]){VESTRY_KEY_PASTE(VESTRY_KEY_, VESTRY_KEY_COUNT(__VA_ARGS__))(__VA_ARGS__)}})
/* clang-format on */
#endif

#ifdef __cplusplus
}
#endif
#endif
