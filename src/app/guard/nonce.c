/* SPDX-License-Identifier: MIT */
#include "app/guard/nonce.h"

#include <string.h>

static bool is_more(const char *text) {
  size_t len = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-");
  return len && len <= VSI_NONCE_MORE_MAX && !text[len];
}

bool vsi_nonce_is_good(const vsi_seals *seals, vestry_scope scope, const char *text) {
  size_t len = strcspn(text, ".");
  return (!text[len] || is_more(text + len + 1)) && vsi_seal_is_good(seals, VSI_SEAL_ONCE, scope, NULL, text, len);
}
