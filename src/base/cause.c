/* SPDX-License-Identifier: MIT */
#include "vestry/cause.h"

#include <stddef.h>

static const struct {
  const char *name;
  bool clean;
} causes[] = {
#define ROW(name, text, clean) {text, clean},
    VESTRY_CAUSES(ROW)
#undef ROW
};

static bool known(vestry_cause cause) {
  return (size_t)cause < sizeof causes / sizeof *causes;
}

const char *vestry_cause_name(vestry_cause cause) {
  return known(cause) ? causes[cause].name : "unknown";
}

bool vestry_cause_is_clean(vestry_cause cause) {
  return known(cause) && causes[cause].clean;
}
