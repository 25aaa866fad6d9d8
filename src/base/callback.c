/* SPDX-License-Identifier: MIT */
#include "base/callback.h"

static _Thread_local unsigned depth;

void vsi_callback_begin(void) {
  depth++;
}

void vsi_callback_end(void) {
  depth--;
}

bool vsi_is_in_callback(void) {
  return depth;
}
