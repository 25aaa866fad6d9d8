/* SPDX-License-Identifier: MIT */
/* Cookies of sessions: any bytes. Input: a cookie's value. A value that is accepted has the only form, and is formatted
 * again as the same text. */
#include "app/session/token.h"
#include "fuzz/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  vsi_token token;
  char again[VSI_TOKEN_MAX_LEN + 1], *copy = malloc(size ? size : 1); /* the sanitizer detects reads past its end */
  require(copy != NULL);
  if (size) memcpy(copy, data, size);
  const bool is_good = vsi_token_read((vestry_slice){copy, size}, &token);
  free(copy);
  if (!is_good) return 0;
  require(strspn(token.id, "0123456789abcdef") == VSI_TOKEN_ID_LEN);
  vsi_token_write(&token, again);
  require(strlen(again) == size && memcmp(again, data, size) == 0);
  return 0;
}
