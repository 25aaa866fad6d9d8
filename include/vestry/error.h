/* SPDX-License-Identifier: MIT */
/** Error codes: one enum, 0 is success. Every function of vestry that can fail returns one.
 *      vestry_err error = vestry_create(NULL, &v);
 *      if (error) fprintf(stderr, "vestry: %s\n", vestry_strerror(error)); */
#ifndef VESTRY_ERROR_H
#define VESTRY_ERROR_H

#ifdef __cplusplus
extern "C" {
#elif !defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L
#error "vestry needs C11 or later: compile with -std=c11 or -std=gnu11"
#endif

/** Mark the symbols that the shared library exports. All others are hidden. */
#if defined(__GNUC__)
#define VESTRY_API                                  __attribute__((visibility("default")))
#define VESTRY_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#else
#define VESTRY_API
#define VESTRY_PRINTF(format_index, first_argument)
#endif

/** X(name, message): the list of errors. Numbers are positions and never change meaning. */
#define VESTRY_ERRORS(X)                                                                                               \
  X(OK, "success")                                                                                                     \
  X(INVALID, "an argument has a value that is refused")                                                                \
  X(NO_MEMORY, "out of memory")                                                                                        \
  X(CLOSED, "the connection or object is closed")                                                                      \
  X(FULL, "a bounded queue is full")                                                                                   \
  X(NOT_FOUND, "no object has this name or key")                                                                       \
  X(EXISTS, "the name or key is already in use")                                                                       \
  X(LIMIT, "a configured limit is reached")                                                                            \
  X(TOO_LARGE, "the input is larger than allowed")                                                                     \
  X(MALFORMED, "the input is not well formed")                                                                         \
  X(UNSUPPORTED, "this build or platform does not support it")                                                         \
  X(TIMEOUT, "the timeout has expired")                                                                                \
  X(IO, "the operating system or a peer failed")                                                                       \
  X(FAILED, "an application callback reported a failure")                                                              \
  X(BUSY, "in use, and waiting here could deadlock")

/** Result of a function: 0 is success, every other value is an error. */
typedef enum vestry_err {
#define VESTRY_ERROR_ENUM(name, message) VESTRY_##name,
  VESTRY_ERRORS(VESTRY_ERROR_ENUM)
#undef VESTRY_ERROR_ENUM
} vestry_err;

/** Get the message of an error: one English sentence without a full stop.
 *  Returns  a static string; "unknown error" for another number
 *  Threads  any; does not block */
VESTRY_API const char *vestry_strerror(vestry_err error);

/** Get the name of an error, such as "NO_MEMORY".
 *  Returns  a static string; "UNKNOWN" for another number
 *  Threads  any; does not block */
VESTRY_API const char *vestry_err_name(vestry_err error);

#ifdef __cplusplus
}
#endif
#endif
