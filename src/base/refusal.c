/* SPDX-License-Identifier: MIT */
#include "vestry/refusal.h"

#include <stddef.h>

static const char *const names[] = {
#define ROW(name, text) text,
    VESTRY_REFUSALS(ROW)
#undef ROW
};

const char *vestry_refusal_name(vestry_refusal refusal) {
  return (size_t)refusal < sizeof names / sizeof *names ? names[refusal] : "unknown";
}
