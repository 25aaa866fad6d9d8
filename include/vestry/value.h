/* SPDX-License-Identifier: MIT */
/** Values for signals and effects: made of C values, and read into C variables, with types checked by the compiler.
 *
 *      VESTRY_OBJECT("counter", 4, "name", name, "price", 1.5)      // an object: names and values alternate
 *      VESTRY_LIST("patch-signals", VESTRY_OBJECT("counter", n))    // a list; here an effect
 *      vestry_reply_patch_signals(reply, VESTRY_OBJECT("counter", n));
 *
 *      int64_t n;                                                   // read a value
 *      vestry_signals_get(req->signals, "counter", VESTRY_INTO(&n), NULL);
 *
 *  An int64_t is not an int, and a text is not a number. There is no format string, so its conversions cannot be wrong.
 *  Values borrow what they point to. The macros are for C; C++ calls the functions below. */
#ifndef VESTRY_VALUE_H
#define VESTRY_VALUE_H

#include <jansson.h>

#include "vestry/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Type of a value. */
typedef enum vestry_value_type {
  VESTRY_VALUE_NULL = 1, /**< as a signal: the signal is removed */
  VESTRY_VALUE_BOOLEAN,
  VESTRY_VALUE_INTEGER,
  VESTRY_VALUE_NUMBER,
  VESTRY_VALUE_STRING,
  VESTRY_VALUE_JSON,
  VESTRY_VALUE_LIST,
  VESTRY_VALUE_OBJECT,
  VESTRY_VALUE_BYTES /**< for a statement of a database (vestry/data/sql.h); INVALID elsewhere */
} vestry_value_type;

/** A value. Its layout does not change. */
typedef struct vestry_value {
  vestry_value_type type;
  bool boolean;                     /**< BOOLEAN */
  int64_t integer;                  /**< INTEGER */
  double number;                    /**< NUMBER */
  const char *text;                 /**< STRING: UTF-8, terminated. NULL makes a value that is refused as INVALID.
                                         BYTES: count bytes */
  json_t *json;                     /**< JSON: borrowed; the JSON made of the value takes a reference */
  const struct vestry_value *items; /**< LIST; OBJECT: names, which are STRINGs, and values alternate */
  size_t count;                     /**< number of items, or of bytes */
} vestry_value;

/** Maximum depth of nested values. */
#define VESTRY_VALUE_MAX_DEPTH 64

/** Make a null of JSON; as a signal, it removes the signal. Threads any, also for the next functions. */
static inline vestry_value vestry_value_null(void) {
  vestry_value value = {VESTRY_VALUE_NULL, false, 0, 0, NULL, NULL, NULL, 0};
  return value;
}
/** Make a boolean. */
static inline vestry_value vestry_value_boolean(bool boolean) {
  vestry_value value = {VESTRY_VALUE_BOOLEAN, boolean, 0, 0, NULL, NULL, NULL, 0};
  return value;
}
/** Make an integer. */
static inline vestry_value vestry_value_integer(int64_t integer) {
  vestry_value value = {VESTRY_VALUE_INTEGER, false, integer, 0, NULL, NULL, NULL, 0};
  return value;
}
/** Make an integer. One that does not fit into an int64_t is INVALID where it is used, because JSON has no larger ones
 *  either. */
static inline vestry_value vestry_value_unsigned(uint64_t integer) {
  vestry_value value = {integer > INT64_MAX ? (vestry_value_type)0 : VESTRY_VALUE_INTEGER,
                        false,
                        (int64_t)integer,
                        0,
                        NULL,
                        NULL,
                        NULL,
                        0};
  return value;
}
/** Make a number. One that is not finite is INVALID where it is used. */
static inline vestry_value vestry_value_number(double number) {
  vestry_value value = {VESTRY_VALUE_NUMBER, false, 0, number, NULL, NULL, NULL, 0};
  return value;
}
/** Make a text. Borrowed. */
static inline vestry_value vestry_value_string(const char *text) {
  vestry_value value = {VESTRY_VALUE_STRING, false, 0, 0, text, NULL, NULL, 0};
  return value;
}
/** Make a value of len bytes. Borrowed. NULL: no bytes, len 0. */
static inline vestry_value vestry_value_bytes(const void *bytes, size_t len) {
  vestry_value value = {VESTRY_VALUE_BYTES, false, 0, 0, (const char *)bytes, NULL, NULL, len};
  return value;
}
/** Make a value of existing JSON. Borrowed. */
static inline vestry_value vestry_value_json(json_t *json) {
  vestry_value value = {VESTRY_VALUE_JSON, false, 0, 0, NULL, json, NULL, 0};
  return value;
}
/** Make a list of count values. Borrowed. */
static inline vestry_value vestry_value_list(const vestry_value *items, size_t count) {
  vestry_value value = {VESTRY_VALUE_LIST, false, 0, 0, NULL, NULL, items, count};
  return value;
}
/** Make an object. items: names and values alternate, so count is even. Borrowed. */
static inline vestry_value vestry_value_object(const vestry_value *items, size_t count) {
  vestry_value value = {VESTRY_VALUE_OBJECT, false, 0, 0, NULL, NULL, items, count};
  return value;
}

struct vestry_html;
/** Make a text of the HTML that a builder has built (vestry/html.h): VESTRY_LIST("patch-elements", &html). Borrowed: do
 *  not build on before the value has been used. A builder with an error (logged), or a NULL pointer, makes a value that
 *  is refused as INVALID. A zero byte in raw HTML ends the text. Threads the builder's. */
VESTRY_API vestry_value vestry_value_html(struct vestry_html *html);

/** Make JSON of a value.
 *  ret_json  a new reference, owned by the caller (json_decref); untouched on failure
 *  Returns  OK | INVALID (NULL or invalid UTF-8 for a text or JSON, a number that is not finite, an odd count or a name
 *           that is no text in an object) | TOO_LARGE (VESTRY_VALUE_MAX_DEPTH) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_value_to_json(const vestry_value *value, json_t **ret_json);

/** A variable that a value is read into. Its layout does not change; make it by VESTRY_INTO and the functions below.
 *  The variable is borrowed until the reading function returns, and untouched if that fails. Types are not converted:
 *  "4" is no number, 1 is not true, and null has none of the types. */
typedef struct vestry_into {
  vestry_value_type type;
  void *variable;   /**< not NULL; of this type */
  int64_t min, max; /**< INTEGER: values outside are refused */
} vestry_into;

/** Read a boolean. Threads any, also for the next functions. */
static inline vestry_into vestry_into_boolean(bool *variable) {
  vestry_into into = {VESTRY_VALUE_BOOLEAN, variable, 0, 0};
  return into;
}
/** Read an integer from min to max; 1.0 is no integer. */
static inline vestry_into vestry_into_between(int64_t *variable, int64_t min, int64_t max) {
  vestry_into into = {VESTRY_VALUE_INTEGER, variable, min, max};
  return into;
}
/** Read any integer. */
static inline vestry_into vestry_into_integer(int64_t *variable) {
  return vestry_into_between(variable, INT64_MIN, INT64_MAX);
}
/** Read a number: an integer, as the nearest double, or a real; always finite. */
static inline vestry_into vestry_into_number(double *variable) {
  vestry_into into = {VESTRY_VALUE_NUMBER, variable, 0, 0};
  return into;
}
/** Read a text: valid UTF-8, terminated, without zero characters; borrowed from the source that it is read from. */
static inline vestry_into vestry_into_string(const char **variable) {
  vestry_into into = {VESTRY_VALUE_STRING, variable, 0, 0};
  return into;
}
/** Read JSON of any type, also null; borrowed from the source that it is read from. */
static inline vestry_into vestry_into_json(json_t **variable) {
  vestry_into into = {VESTRY_VALUE_JSON, variable, 0, 0};
  return into;
}
#ifndef __cplusplus
/** Return the value behind a pointer, for VESTRY_VALUE: a copy that borrows the same data. Threads any, also for the
 *  next function. */
static inline vestry_value vestry_value_at(const vestry_value *value) {
  return *value;
}
/** Return a value as it is, for VESTRY_VALUE. */
static inline vestry_value vestry_value_self(vestry_value value) {
  return value;
}
/* clang-format off */
/** Make a value of a C value: a bool, any integer, a double, a text (char *), a json_t *, a vestry_html * (the HTML
 *  built), a list, an object; anything else does not compile. In C11 `true` is an int: write VESTRY_TRUE, or pass a
 *  variable of type bool. */
#define VESTRY_VALUE(x)                                                                                                \
  _Generic((x), bool: vestry_value_boolean, char *: vestry_value_string, const char *: vestry_value_string,            \
           float: vestry_value_number, double: vestry_value_number, char: vestry_value_integer,                        \
           signed char: vestry_value_integer, unsigned char: vestry_value_integer, short: vestry_value_integer,        \
           unsigned short: vestry_value_integer, int: vestry_value_integer, unsigned: vestry_value_integer,            \
           long: vestry_value_integer, unsigned long: vestry_value_unsigned, long long: vestry_value_integer,          \
           unsigned long long: vestry_value_unsigned, json_t *: vestry_value_json, vestry_value: vestry_value_self,    \
           vestry_value *: vestry_value_at, const vestry_value *: vestry_value_at,                                     \
           struct vestry_html *: vestry_value_html)(x)
/** Read into a variable by its address: of a bool, an int64_t, a double, a const char *, a json_t *; anything else does
 *  not compile. For an integer within bounds: vestry_into_between. */
#define VESTRY_INTO(address)                                                                                           \
  _Generic((address), bool *: vestry_into_boolean, int64_t *: vestry_into_integer, double *: vestry_into_number,       \
           const char **: vestry_into_string, json_t **: vestry_into_json)(address)
/** The two truth values, as bools. */
#define VESTRY_TRUE  ((bool)1)
#define VESTRY_FALSE ((bool)0)
#define VESTRY_VALUE_COUNT_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, count, ...) count
#define VESTRY_VALUE_COUNT(...)                                                                                        \
  VESTRY_VALUE_COUNT_(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define VESTRY_VALUES_1(a) VESTRY_VALUE(a)
#define VESTRY_VALUES_2(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_1(__VA_ARGS__)
#define VESTRY_VALUES_3(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_2(__VA_ARGS__)
#define VESTRY_VALUES_4(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_3(__VA_ARGS__)
#define VESTRY_VALUES_5(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_4(__VA_ARGS__)
#define VESTRY_VALUES_6(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_5(__VA_ARGS__)
#define VESTRY_VALUES_7(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_6(__VA_ARGS__)
#define VESTRY_VALUES_8(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_7(__VA_ARGS__)
#define VESTRY_VALUES_9(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_8(__VA_ARGS__)
#define VESTRY_VALUES_10(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_9(__VA_ARGS__)
#define VESTRY_VALUES_11(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_10(__VA_ARGS__)
#define VESTRY_VALUES_12(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_11(__VA_ARGS__)
#define VESTRY_VALUES_13(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_12(__VA_ARGS__)
#define VESTRY_VALUES_14(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_13(__VA_ARGS__)
#define VESTRY_VALUES_15(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_14(__VA_ARGS__)
#define VESTRY_VALUES_16(a, ...) VESTRY_VALUE(a), VESTRY_VALUES_15(__VA_ARGS__)
#define VESTRY_VALUES_PASTE_(a, b) a##b
#define VESTRY_VALUES_PASTE(a, b) VESTRY_VALUES_PASTE_(a, b)
/** Make an array of 1 to 16 values, and return a pointer to the first: VESTRY_VALUES(x) is a pointer to one value. They
 *  live until the end of the enclosing block, also those of the next two macros. */
#define VESTRY_VALUES(...)                                                                                             \
  ((const vestry_value[]){VESTRY_VALUES_PASTE(VESTRY_VALUES_, VESTRY_VALUE_COUNT(__VA_ARGS__))(__VA_ARGS__)})
/** Make a list of 1 to 16 values, or an object of 1 to 8 alternating names and values (an odd count does not compile),
 *  and return a pointer to it. */
#define VESTRY_LIST(...)                                                                                               \
  (&(const vestry_value){VESTRY_VALUE_LIST, false, 0, 0, NULL, NULL, VESTRY_VALUES(__VA_ARGS__),                       \
                         VESTRY_VALUE_COUNT(__VA_ARGS__)})
#define VESTRY_OBJECT(...)                                                                                             \
  (&(const vestry_value){VESTRY_VALUE_OBJECT, false, 0, 0, NULL, NULL, VESTRY_VALUES(__VA_ARGS__),                     \
                         VESTRY_VALUE_COUNT(__VA_ARGS__) +                                                             \
                             0 * sizeof(char[VESTRY_VALUE_COUNT(__VA_ARGS__) % 2 ? -1 : 1])})
/* clang-format on */
#endif

#ifdef __cplusplus
}
#endif
#endif
