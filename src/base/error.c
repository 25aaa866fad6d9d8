/* SPDX-License-Identifier: MIT */
/* The names of errors, causes and refusals, and of the version. */
#include "vestry/error.h"

#include <stddef.h>

#include "vestry/cause.h"
#include "vestry/refusal.h"
#include "vestry/version.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* The tables contain the texts instead of pointers to them, so that a program needs no relocations for them. */
enum { NAME_BYTES = 16, MESSAGE_BYTES = 43 };

static const struct {
  char name[NAME_BYTES], message[MESSAGE_BYTES];
} errors[] = {
#define ROW(name, message) {#name, message},
    VESTRY_ERRORS(ROW)
#undef ROW
};
#define ROW(name, message) _Static_assert(sizeof #name <= NAME_BYTES && sizeof message <= MESSAGE_BYTES, #name);
VESTRY_ERRORS(ROW)
#undef ROW

const char *vestry_strerror(vestry_err error) {
  return (size_t)error < COUNT(errors) ? errors[error].message : "unknown error";
}

const char *vestry_err_name(vestry_err error) {
  return (size_t)error < COUNT(errors) ? errors[error].name : "UNKNOWN";
}

static const char causes[][NAME_BYTES] = {
#define ROW(name, text, clean) text,
    VESTRY_CAUSES(ROW)
#undef ROW
};
#define ROW(name, text, clean) _Static_assert(sizeof text <= NAME_BYTES, text);
VESTRY_CAUSES(ROW)
#undef ROW

const char *vestry_cause_name(vestry_cause cause) {
  return (size_t)cause < COUNT(causes) ? causes[cause] : "unknown";
}

static const char *const refusals[] = {
#define ROW(name, text) text,
    VESTRY_REFUSALS(ROW)
#undef ROW
};

const char *vestry_refusal_name(vestry_refusal refusal) {
  return (size_t)refusal < COUNT(refusals) ? refusals[refusal] : "unknown";
}

const char *vestry_version(void) {
  return VESTRY_VERSION;
}
