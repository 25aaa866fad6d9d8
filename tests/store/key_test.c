/* SPDX-License-Identifier: MIT */
#include "store/key.h"

#include <stdlib.h>

#include "support/test.h"
#include "support/test_host.h"

static vestry_err format(const vestry_key *key, char *text, size_t capacity) {
  unsigned char encoded[1024];
  size_t len;
  vestry_err error = vestry_key_encode(key, encoded, sizeof encoded, &len);
  return error ? error : vestry_key_format(encoded, len, text, capacity, NULL);
}

static void assert_formats(const vestry_key *key, const char *expected) {
  char text[512];
  assert_int_equal(format(key, text, sizeof text), VESTRY_OK);
  assert_string_equal(text, expected);
}

static bool same(const vestry_key *a, const vestry_key *b) {
  unsigned char encoded_a[256], encoded_b[256];
  size_t len_a, len_b;
  assert_int_equal(vestry_key_encode(a, encoded_a, sizeof encoded_a, &len_a), VESTRY_OK);
  assert_int_equal(vestry_key_encode(b, encoded_b, sizeof encoded_b, &len_b), VESTRY_OK);
  return len_a == len_b && memcmp(encoded_a, encoded_b, len_a) == 0;
}

TEST_CASE(keys_have_the_documented_encoding) {
  unsigned char encoded[32];
  size_t len;
  const vestry_key *key = VESTRY_KEY("ab", -1, 64, vestry_key_bytes("\xff", 1), VESTRY_KEY(0));
  assert_int_equal(vestry_key_encode(key, encoded, sizeof encoded, &len), VESTRY_OK);
  static const unsigned char expected[] = {4, 5, 2, 2, 'a', 'b', 1, 1, 1, 0x80, 1, 3, 1, 0xff, 4, 1, 1, 0};
  assert_int_equal(len, sizeof expected);
  assert_memory_equal(encoded, expected, sizeof expected);
}

/* capability: A9 */
TEST_CASE(encoding_distinguishes_types_and_boundaries) {
  assert_false(same(VESTRY_KEY("a", "bc"), VESTRY_KEY("ab", "c")));
  assert_false(same(VESTRY_KEY(1), VESTRY_KEY("1")));
  assert_false(same((const vestry_key[]){vestry_key_integer(1)}, (const vestry_key[]){vestry_key_string("1")}));
  assert_false(same((const vestry_key[]){vestry_key_string("a")}, (const vestry_key[]){vestry_key_bytes("a", 1)}));
  assert_false(same((const vestry_key[]){vestry_key_string("a")}, VESTRY_KEY("a")));
  assert_false(same(VESTRY_KEY("a"), VESTRY_KEY(VESTRY_KEY("a"))));
  assert_false(same(VESTRY_KEY(VESTRY_KEY("a"), "b"), VESTRY_KEY(VESTRY_KEY("a", "b"))));
  assert_false(same(VESTRY_KEY(""), (const vestry_key[]){vestry_key_tuple(NULL, 0)}));
  assert_false(same((const vestry_key[]){vestry_key_bytes("a\0", 2)}, (const vestry_key[]){vestry_key_bytes("a", 1)}));
  assert_true(same(VESTRY_KEY("counter", 1), VESTRY_KEY("counter", INT64_C(1))));
  assert_true(same((const vestry_key[]){vestry_key_bytes(NULL, 0)}, (const vestry_key[]){vestry_key_bytes("x", 0)}));
}

/* The text of 7 digits and a character of 4 bytes would fit without the character, so a shown text without it must be
 * reported as cut. */
/* capability: A9 */
TEST_CASE(shown_key_is_reported_as_cut_if_its_last_character_is_missing) {
  unsigned char encoded[32];
  char text[10];
  size_t len;
  const vestry_key key = vestry_key_string("1234567\xF0\x9F\x98\x80");
  assert_int_equal(vestry_key_encode(&key, encoded, sizeof encoded, &len), VESTRY_OK);
  assert_true(vsi_key_show(encoded, len, text, sizeof text));
  assert_string_equal(text, "\"1234567");
  assert_false(vsi_key_show(encoded, len, (char[14]){0}, 14));
}

/* The macro with all kinds of arguments, 1 to 8 of them. */
/* capability: A9 */
TEST_CASE(macro_creates_tuples) {
  char text[] = "text";
  const char *constant = "constant";
  size_t number = 7;
  assert_formats(VESTRY_KEY(text, constant, number, 'c', true, (uint8_t)255, -3, VESTRY_KEY("x", VESTRY_KEY(1), 2)),
                 "[\"text\",\"constant\",7,99,1,255,-3,[\"x\",[1],2]]");
  assert_formats(VESTRY_KEY(1, 2), "[1,2]");
  assert_formats(VESTRY_KEY(1, 2, 3), "[1,2,3]");
  assert_formats(VESTRY_KEY(1, 2, 3, 4), "[1,2,3,4]");
  assert_formats(VESTRY_KEY(1, 2, 3, 4, 5), "[1,2,3,4,5]");
  assert_formats(VESTRY_KEY(1, 2, 3, 4, 5, 6), "[1,2,3,4,5,6]");
  assert_formats(VESTRY_KEY(1, 2, 3, 4, 5, 6, 7), "[1,2,3,4,5,6,7]");
}

TEST_CASE(keys_format_as_json) {
  assert_formats((const vestry_key[]){vestry_key_integer(INT64_MIN)}, "-9223372036854775808");
  assert_formats((const vestry_key[]){vestry_key_integer(INT64_MAX)}, "9223372036854775807");
  assert_formats((const vestry_key[]){vestry_key_integer(0)}, "0");
  assert_formats((const vestry_key[]){vestry_key_tuple(NULL, 0)}, "[]");
  assert_formats(VESTRY_KEY(vestry_key_tuple(NULL, 0), 1, vestry_key_tuple(NULL, 0)), "[[],1,[]]");
  assert_formats(VESTRY_KEY(VESTRY_KEY(VESTRY_KEY(1)), 2), "[[[1]],2]");
  assert_formats((const vestry_key[]){vestry_key_string("a\"b\\c\n\x7f/")}, "\"a\\\"b\\\\c\\u000a\\u007f/\"");
  assert_formats((const vestry_key[]){vestry_key_string("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")},
                 "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
  assert_formats((const vestry_key[]){vestry_key_bytes("\x00\xfe", 2)}, "{\"bytes\":\"00fe\"}");
  assert_formats((const vestry_key[]){vestry_key_bytes(NULL, 0)}, "{\"bytes\":\"\"}");
}

TEST_CASE(invalid_utf8_strings_format_as_bytes) {
  static const struct {
    const char *text, *expected;
  } cases[] = {
      {"\xff", "{\"bytes\":\"ff\"}"},
      {"\xc3", "{\"bytes\":\"c3\"}"},                   /* truncated */
      {"\xc3(", "{\"bytes\":\"c328\"}"},                /* no continuation byte */
      {"\xc0\xaf", "{\"bytes\":\"c0af\"}"},             /* overlong, two bytes */
      {"\xe0\x80\xaf", "{\"bytes\":\"e080af\"}"},       /* overlong, three bytes */
      {"\xf0\x80\x80\xaf", "{\"bytes\":\"f08080af\"}"}, /* overlong, four bytes */
      {"\xed\xa0\x80", "{\"bytes\":\"eda080\"}"},       /* a surrogate */
      {"\xf4\x90\x80\x80", "{\"bytes\":\"f4908080\"}"}, /* above U+10FFFF */
      {"\x80", "{\"bytes\":\"80\"}"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_formats((const vestry_key[]){vestry_key_string(cases[i].text)}, cases[i].expected);
}

TEST_CASE(format_never_overruns_the_buffer) {
  const vestry_key *key = VESTRY_KEY("counter", 1);
  static const char expected[] = "[\"counter\",1]";
  unsigned char encoded[32];
  size_t len;
  assert_int_equal(vestry_key_encode(key, encoded, sizeof encoded, &len), VESTRY_OK);
  for (size_t capacity = 0; capacity <= sizeof expected; capacity++) {
    char *text = malloc(capacity + 1); /* one more byte, which must not change */
    memset(text, '#', capacity + 1);
    size_t text_len = 99;
    vestry_err error = vestry_key_format(encoded, len, text, capacity, &text_len);
    assert_int_equal(text[capacity], '#');
    if (capacity < sizeof expected) {
      assert_int_equal(error, VESTRY_TOO_LARGE);
      assert_int_equal(text_len, 99);
      if (capacity) assert_string_equal(text, "");
    } else {
      assert_int_equal(error, VESTRY_OK);
      assert_int_equal(text_len, sizeof expected - 1);
      assert_string_equal(text, expected);
    }
    free(text);
  }
}

/* Bytes that no encoder produces are refused; otherwise two byte sequences could be the same key. */
TEST_CASE(non_canonical_encodings_are_refused) {
#define CASE(bytes)                                                                                                    \
  { bytes, sizeof bytes - 1 }
  static const struct {
    const char *bytes;
    size_t len;
  } cases[] = {
      CASE(""),                                                 /* empty */
      CASE("\x00"),                                             /* unknown type */
      CASE("\x05\x00"),                                         /* unknown type */
      CASE("\x01"),                                             /* no number */
      CASE("\x01\x80"),                                         /* a truncated number */
      CASE("\x01\x80\x00"),                                     /* 0 in two bytes */
      CASE("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),     /* 65 bits */
      CASE("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00"), /* even more bits */
      CASE("\x02\x02x"),                                        /* a truncated string */
      CASE("\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"),    /* a length that would wrap */
      CASE("\x04\x01"),                                         /* a part is missing */
      CASE("\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"), /* many parts are missing */
      CASE("\x04\x02\x01\x00"),                                 /* one of two parts is missing */
      CASE("\x01\x00\x01\x00"),                                 /* two keys */
      CASE("\x04\x01\x01\x00\x01\x00"),                         /* one part too many */
      CASE("\x04\x00\x00"),                                     /* bytes after the key */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[64] = "#";
    assert_int_equal(vestry_key_format(cases[i].bytes, cases[i].len, text, sizeof text, NULL), VESTRY_MALFORMED);
    assert_string_equal(text, "");
    vestry_key parts[16];
    size_t count = 99;
    assert_int_equal(vestry_key_decode(cases[i].bytes, cases[i].len, parts, 16, &count), VESTRY_MALFORMED);
    assert_int_equal(count, 99);
    const vestry_key encoded = vestry_key_encoded(cases[i].bytes, cases[i].len);
    assert_int_equal(vestry_key_encode(&encoded, text, sizeof text, &count), VESTRY_INVALID);
    assert_int_equal(vestry_key_encode(VESTRY_KEY("a", encoded), text, sizeof text, &count), VESTRY_INVALID);
  }
}

TEST_CASE(invalid_keys_are_refused) {
  unsigned char encoded[64];
  size_t len = 99;
  const vestry_key *null_string = VESTRY_KEY("a", (const char *)NULL), unknown = {.type = (vestry_key_type)9};
  vestry_key null_bytes = vestry_key_bytes(NULL, 1), null_parts = vestry_key_tuple(NULL, 1), none = {0};
  assert_int_equal(vestry_key_encode(null_string, encoded, sizeof encoded, &len), VESTRY_INVALID);
  assert_int_equal(vestry_key_encode(&unknown, encoded, sizeof encoded, &len), VESTRY_INVALID);
  assert_int_equal(vestry_key_encode(&null_bytes, encoded, sizeof encoded, &len), VESTRY_INVALID);
  assert_int_equal(vestry_key_encode(&null_parts, encoded, sizeof encoded, &len), VESTRY_INVALID);
  assert_int_equal(vestry_key_encode(&none, encoded, sizeof encoded, &len), VESTRY_INVALID);
  assert_int_equal(vestry_key_encode(NULL, encoded, sizeof encoded, &len), VESTRY_INVALID);
  assert_int_equal(len, 99);
}

TEST_CASE(key_size_is_limited) {
  static unsigned char data[VESTRY_KEY_MAX_BYTES], encoded[VESTRY_KEY_MAX_BYTES + 16];
  size_t len = 99, needed;
  vestry_key key = vestry_key_bytes(data, VESTRY_KEY_MAX_BYTES - 4); /* after a type and a length of three bytes */
  assert_int_equal(vestry_key_encode(&key, encoded, sizeof encoded, &len), VESTRY_OK);
  assert_int_equal(len, VESTRY_KEY_MAX_BYTES);
  static char text[2 * VESTRY_KEY_MAX_BYTES + 32];
  assert_int_equal(vestry_key_format(encoded, len, text, sizeof text, NULL), VESTRY_OK);
  encoded[1]++; /* a well-formed key of one byte more */
  assert_int_equal(vestry_key_format(encoded, len + 1, text, sizeof text, NULL), VESTRY_MALFORMED);
  key.len++;
  assert_int_equal(vestry_key_encode(&key, encoded, sizeof encoded, &len), VESTRY_TOO_LARGE);
  key.len = SIZE_MAX; /* sizes that wrap are refused before any byte is read */
  assert_int_equal(vestry_key_encode(&key, encoded, sizeof encoded, &len), VESTRY_TOO_LARGE);

  key = *VESTRY_KEY("counter", 1);
  assert_int_equal(vsi_key_measure(&key, &needed), VESTRY_OK);
  for (size_t capacity = 0; capacity <= needed; capacity++) {
    encoded[capacity] = 0xaa;
    assert_int_equal(vestry_key_encode(&key, encoded, capacity, &len),
                     capacity < needed ? VESTRY_TOO_LARGE : VESTRY_OK);
    assert_int_equal(encoded[capacity], 0xaa);
  }
}

/* capability: A9 */
TEST_CASE(key_depth_is_limited) {
  vestry_key nested[VESTRY_KEY_MAX_DEPTH + 2];
  nested[0] = vestry_key_integer(1);
  for (size_t i = 1; i < sizeof nested / sizeof *nested; i++) nested[i] = vestry_key_tuple(&nested[i - 1], 1);
  unsigned char encoded[64];
  size_t len;
  assert_int_equal(vestry_key_encode(&nested[VESTRY_KEY_MAX_DEPTH], encoded, sizeof encoded, &len), VESTRY_OK);
  char text[64];
  assert_int_equal(vestry_key_format(encoded, len, text, sizeof text, NULL), VESTRY_OK);
  assert_string_equal(text, "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]");
  assert_int_equal(vestry_key_encode(&nested[VESTRY_KEY_MAX_DEPTH + 1], encoded, sizeof encoded, &len),
                   VESTRY_TOO_LARGE);
  unsigned char deeper[66] = {4, 1};
  memcpy(deeper + 2, encoded, 34);
  assert_int_equal(vestry_key_format(deeper, 36, text, sizeof text, NULL), VESTRY_MALFORMED);
  vestry_key again = vestry_key_encoded(encoded, 34); /* an encoding counts with its own depth */
  assert_int_equal(vestry_key_encode(&again, deeper, sizeof deeper, &len), VESTRY_OK);
  assert_int_equal(vestry_key_encode(VESTRY_KEY(again), deeper, sizeof deeper, &len), VESTRY_TOO_LARGE);
  again = vestry_key_encoded(encoded + 2, 32);
  assert_int_equal(vestry_key_encode(VESTRY_KEY(again), deeper, sizeof deeper, &len), VESTRY_OK);
  assert_memory_equal(deeper, encoded, 34);

  vestry_key knot[2] = {vestry_key_tuple(knot, 2), vestry_key_tuple(knot, 2)}; /* a key that contains itself, twice */
  static unsigned char large[VESTRY_KEY_MAX_BYTES];
  assert_int_equal(vestry_key_encode(&knot[0], large, sizeof large, &len), VESTRY_TOO_LARGE);
}

/* capability: P2 */
TEST_CASE(decoded_key_has_the_parts_of_the_key) {
  unsigned char encoded[64];
  size_t len, count = 0;
  const vestry_key *key = VESTRY_KEY("room", VESTRY_KEY(7, vestry_key_tuple(NULL, 0), VESTRY_KEY("x", -1)), "end");
  assert_int_equal(vestry_key_encode(key, encoded, sizeof encoded, &len), VESTRY_OK);
  vestry_key parts[9];
  assert_int_equal(vestry_key_decode(encoded, len, parts, 9, &count), VESTRY_OK);
  assert_int_equal(count, 9);
  assert_int_equal(parts[0].type, VESTRY_KEY_TUPLE);
  assert_int_equal(parts[0].len, 3);
  assert_int_equal(parts[0].parts[0].type, VESTRY_KEY_STRING);
  assert_memory_equal(parts[0].parts[0].data, "room", 4);
  assert_int_equal(parts[0].parts[1].parts[0].integer, 7);
  assert_int_equal(parts[0].parts[1].parts[1].len, 0);
  assert_int_equal(parts[0].parts[1].parts[2].parts[1].integer, -1);
  assert_memory_equal(parts[0].parts[2].data, "end", 3);
  for (size_t capacity = 0; capacity < 9; capacity++) {
    vestry_key *few = malloc((capacity + 1) * sizeof *few); /* the sanitizer detects writes past its end */
    count = 0;
    assert_int_equal(vestry_key_decode(encoded, len, capacity ? few : NULL, capacity, &count), VESTRY_TOO_LARGE);
    assert_int_equal(count, 9);
    free(few);
  }
  assert_int_equal(vestry_key_decode(encoded, len, parts, 9, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_key_decode(NULL, 1, parts, 9, &count), VESTRY_INVALID);
  assert_int_equal(vestry_key_decode(encoded, len, NULL, 1, &count), VESTRY_INVALID);
}

/* A9 as a property: the encodings of random keys are equal if and only if the keys are equal. The keys are short and
 * use few letters, so that equal keys and near misses are frequent. */
typedef struct made {
  vestry_key key;
  vestry_key parts[8][3];
  char bytes[8][3];
  size_t tuples, strings;
} made;

static vestry_key make_key(made *m, uint64_t *seed, unsigned depth) {
  *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  unsigned r = (unsigned)(*seed >> 40);
  unsigned kind = r % 4;
  if (kind == 3 && (depth == 0 || m->tuples == 8)) kind = 0;
  if ((kind == 1 || kind == 2) && m->strings == 8) kind = 0;
  r /= 4;
  if (kind == 0) return vestry_key_integer((int64_t)(r % 4) - 1);
  if (kind == 3) {
    vestry_key *parts = m->parts[m->tuples++];
    size_t count = r % 4;
    for (size_t i = 0; i < count; i++) parts[i] = make_key(m, seed, depth - 1);
    return vestry_key_tuple(parts, count);
  }
  char *bytes = m->bytes[m->strings++];
  size_t len = r % 4;
  for (size_t i = 0; i < len; i++) bytes[i] = "\1\2a"[(r >> (2 + 2 * i)) % 3]; /* letters that equal type bytes */
  vestry_key key = vestry_key_bytes(bytes, len);
  if (kind == 1) key.type = VESTRY_KEY_STRING;
  return key;
}

static bool equal(const vestry_key *a, const vestry_key *b) {
  if (a->type != b->type) return false;
  if (a->type == VESTRY_KEY_INTEGER) return a->integer == b->integer;
  if (a->len != b->len) return false;
  if (a->type != VESTRY_KEY_TUPLE) return a->len == 0 || memcmp(a->data, b->data, a->len) == 0;
  for (size_t i = 0; i < a->len; i++)
    if (!equal(&a->parts[i], &b->parts[i])) return false;
  return true;
}

/* Check that the key can be read from its encoding, and that the encoding can be used in its place. */
static void check_encoding(const vestry_key *key, const unsigned char *encoded, size_t len) {
  vestry_key parts[64];
  size_t count, again_len;
  unsigned char again[256], nested[256];
  assert_int_equal(vestry_key_decode(encoded, len, parts, 64, &count), VESTRY_OK);
  assert_true(equal(&parts[0], key));
  const vestry_key same_key = vestry_key_encoded(encoded, len);
  assert_true(same(&same_key, key));
  assert_int_equal(vestry_key_encode(VESTRY_KEY(same_key, 1), again, sizeof again, &again_len), VESTRY_OK);
  assert_int_equal(vestry_key_encode(VESTRY_KEY(key, 1), nested, sizeof nested, &len), VESTRY_OK);
  assert_int_equal(again_len, len);
  assert_memory_equal(again, nested, len);
}

/* capability: A9 */
TEST_CASE(distinct_keys_have_distinct_encodings) {
  enum { KEYS = 1200 };
  static made keys[KEYS];
  static struct {
    unsigned char bytes[256];
    size_t len;
  } encoded[KEYS];
  uint64_t seed = 20261120;
  print_message("seed %llu\n", (unsigned long long)seed);
  for (size_t i = 0; i < KEYS; i++) {
    keys[i].key = make_key(&keys[i], &seed, 3);
    assert_int_equal(vestry_key_encode(&keys[i].key, encoded[i].bytes, sizeof encoded[i].bytes, &encoded[i].len),
                     VESTRY_OK);
    check_encoding(&keys[i].key, encoded[i].bytes, encoded[i].len);
  }
  size_t equals = 0;
  for (size_t i = 0; i < KEYS; i++) {
    for (size_t j = 0; j < i; j++) {
      bool alike = encoded[i].len == encoded[j].len && memcmp(encoded[i].bytes, encoded[j].bytes, encoded[i].len) == 0;
      bool are = equal(&keys[i].key, &keys[j].key);
      assert_int_equal(alike, are);
      equals += are;
      size_t shorter = encoded[i].len < encoded[j].len ? encoded[i].len : encoded[j].len;
      /* and no encoding is the prefix of another */
      if (!are) assert_memory_not_equal(encoded[i].bytes, encoded[j].bytes, shorter);
    }
  }
  assert_true(equals > 1000);
}
