/* SPDX-License-Identifier: MIT */
#include "vestry/error.h"

#include <stddef.h>
#include <stdint.h>

#include "vestry/version.h"

static const struct {
  const char *name, *message;
} errors[] = {
#define ROW(name, message) {#name, message},
    VESTRY_ERRORS(ROW)
#undef ROW
};

static size_t row_of(vestry_err error) {
  size_t at = (size_t)error;
  return at < sizeof errors / sizeof *errors ? at : SIZE_MAX;
}

const char *vestry_strerror(vestry_err error) {
  size_t at = row_of(error);
  return at == SIZE_MAX ? "unknown error" : errors[at].message;
}

const char *vestry_err_name(vestry_err error) {
  size_t at = row_of(error);
  return at == SIZE_MAX ? "UNKNOWN" : errors[at].name;
}

const char *vestry_version(void) {
  return VESTRY_VERSION;
}
