/* SPDX-License-Identifier: MIT */
/* Proofs of pages: any bytes. Input: a text, a NUL, another text, a NUL, a place and a change.
 *
 * - A valid seal or nonce was made here; no text of the fuzzer is valid, except those made below.
 * - A nonce is valid with a page's digits after it, and invalid with a byte changed or cut off.
 * - A parsed trace (vestry/trace.h) is written and parsed as the same.
 * - A valid origin is the origin of its own authority, in any case, and equal to itself; two origins of one host
 *   differ at most in their scheme. */
#include <ctype.h>
#include <strings.h>

#include "app/guard/proof.h"
#include "base/trace.h"
#include "fuzz/target.h"
#include "vestry/trace.h"

/* A separate copy, so that the sanitizer detects reads past its end. */
static char *copy_of(const void *bytes, size_t len) {
  char *copy = malloc(len + 1);
  require(copy != NULL);
  if (len) memcpy(copy, bytes, len);
  copy[len] = '\0';
  return copy;
}

static void check_made(const vsi_seals *seals, vestry_scope scope, const char *more, size_t place, char change) {
  char made[VSI_SEAL_LEN + 1];
  require(!vsi_seal_make(seals, vestry_host_default(), VSI_SEAL_ONCE, scope, NULL, made));
  size_t more_len = strspn(more, "0123456789abcdefABCDEFxyz-");
  if (more_len > VSI_NONCE_MORE_MAX) more_len = VSI_NONCE_MORE_MAX;
  char text[VSI_NONCE_MAX_LEN + 1];
  memcpy(text, made, sizeof made);
  if (more_len) {
    text[VSI_SEAL_LEN] = '.';
    memcpy(text + VSI_SEAL_LEN + 1, more, more_len);
    text[VSI_SEAL_LEN + 1 + more_len] = '\0';
  }
  require(vsi_nonce_is_good(seals, scope, text));
  require(!vsi_seal_is_good(seals, VSI_SEAL_TAB, scope, NULL, made, VSI_SEAL_LEN));
  place %= VSI_SEAL_LEN;
  char was = text[place];
  text[place] = (char)(was ^ change);
  require(vsi_nonce_is_good(seals, scope, text) == (change == 0));
  text[place] = '\0';
  require(!vsi_nonce_is_good(seals, scope, text));
}

static void check_origins(const char *a, const char *b) {
  bool is_good = vsi_origin_is_good(a);
  require(vsi_origins_are_equal(a, b) == vsi_origins_are_equal(b, a));
  if (!is_good) {
    require(!vsi_origin_is_host(a, b));
    return;
  }
  const char *authority = strstr(a, "://") + 3;
  char *upper = copy_of(authority, strlen(authority));
  for (char *at = upper; *at; at++) *at = (char)toupper((unsigned char)*at);
  require(vsi_origin_is_host(a, authority) && vsi_origin_is_host(a, upper) && vsi_origins_are_equal(a, a));
  free(upper);
  if (vsi_origin_is_good(b) && vsi_origins_are_equal(a, b)) require(vsi_origin_is_host(a, strstr(b, "://") + 3));
  if (vsi_origin_is_host(a, b)) { /* they differ only in letter case and port */
    size_t host = strcspn(authority, ":");
    if (*authority != '[') require(strcspn(b, ":") == host && strncasecmp(authority, b, host) == 0);
  }
}

static void check_trace(const char *text, size_t len) {
  vestry_trace trace, again;
  char written[VESTRY_TRACE_TEXT_BYTES];
  if (vsi_trace_read(text, len, &trace)) return;
  vestry_trace_write(&trace, written);
  require(strlen(written) == VESTRY_TRACE_TEXT_BYTES - 1);
  require(!vsi_trace_read(written, strlen(written), &again));
  require(!memcmp(trace.trace_id, again.trace_id, 16) && !memcmp(trace.span_id, again.span_id, 8));
  require(trace.is_sampled == again.is_sampled && !memcmp(written + 3, text + 3, 49));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static vsi_seals seals;
  static bool is_ready;
  if (!is_ready)
    require(!vsi_seals_init(&seals, vestry_host_default(), "the secret of the seeds, not short", 34,
                            "another secret, one that was before", 35));
  is_ready = true;
  const vestry_scope scope = {"scope", 5};
  const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
  size_t len = nul ? (size_t)(nul - data) : size;
  char *text = copy_of(data, len);
  const uint8_t *rest = nul ? nul + 1 : data + size;
  size_t rest_len = (size_t)(data + size - rest);
  const uint8_t *end = rest_len ? memchr(rest, 0, rest_len) : NULL;
  char *other = copy_of(rest, end ? (size_t)(end - rest) : rest_len);
  require(!vsi_seal_is_good(&seals, VSI_SEAL_CSRF, scope, other, text, len));
  require(!vsi_nonce_is_good(&seals, scope, text));
  check_trace(text, len);
  check_origins(text, other);
  check_origins(other, text);
  if (end && data + size - end >= 3) check_made(&seals, scope, other, end[1], (char)end[2]);
  free(text);
  free(other);
  return 0;
}
