/* SPDX-License-Identifier: MIT */
/* Logging through the host, and the characters that a line must not contain. */
#ifndef VSI_BASE_LOG_H
#define VSI_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vestry/error.h"
#include "vestry/host.h"

/* A one-line text must not contain control characters, because they end lines, control a terminal, or change the
 * direction of the text beside them. Control characters are the controls of ASCII and C1, the line separator, the
 * paragraph separator, and the bidirectional controls. */

/* Return the length in UTF-8 of the control character beyond ASCII at `at`; 0: it is none. */
static inline size_t vsi_control_sequence(const unsigned char *at, size_t len) {
  if (len >= 2 && at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F) return 2; /* C1 */
  if (len >= 2 && at[0] == 0xD8 && at[1] == 0x9C) return 2;                  /* U+061C */
  if (len < 3 || at[0] != 0xE2) return 0;
  if (at[1] == 0x80 && (at[2] == 0x8E || at[2] == 0x8F)) return 3; /* U+200E, U+200F */
  if (at[1] == 0x80 && at[2] >= 0xA8 && at[2] <= 0xAE) return 3;   /* U+2028 to U+202E */
  return at[1] == 0x81 && at[2] >= 0xA6 && at[2] <= 0xA9 ? 3 : 0;  /* U+2066 to U+2069 */
}

/* Return the length in UTF-8 of the control character at `at`; 0: it is none. at < end */
static inline size_t vsi_control_len(const char *at, const char *end) {
  const unsigned char *bytes = (const unsigned char *)at;
  return *bytes < 0x20 || *bytes == 0x7F ? 1 : vsi_control_sequence(bytes, (size_t)(end - at));
}

static inline bool vsi_has_control(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (vsi_control_len(text + i, text + len)) return true;
  return false;
}

/* Log a line. It is formatted into 1,024 bytes on the stack (longer lines are cut); nothing happens without a
 * logger. */
VESTRY_API void vsi_log(const vestry_host *host, vestry_log_level level, const char *format, ...) VESTRY_PRINTF(3, 4);

/* Write like write(2). If it is a pipe or a socket whose reader is gone, the result is EPIPE, without the signal, which
 * would end the process. */
VESTRY_API ssize_t vsi_write_quietly(int fd, const void *bytes, size_t len);

/* Log that a function was called with invalid arguments. An argument may come from a client; the host's log bounds the
 * number of lines that begin with the name of the function (vestry_log_is_due). */
VESTRY_API void vsi_log_mistake(const vestry_host *host, const char *function, const char *why);
/* Do the same, and return INVALID. */
static inline vestry_err vsi_mistake(const vestry_host *host, const char *function, const char *why) {
  vsi_log_mistake(host, function, why);
  return VESTRY_INVALID;
}
/* An option with its range. value: 0 stands for the default, and is valid. */
typedef struct vsi_option_range {
  const char *name;
  uint64_t value, least, most;
} vsi_option_range;

/* Check the ranges of options, and log the first option that is out of its range. function: the name of the function
 * that takes the options, for the log. OK | INVALID */
VESTRY_API vestry_err vsi_option_ranges_check(const vestry_host *host, const char *function,
                                              const vsi_option_range *options, size_t count);

#endif
