/* SPDX-License-Identifier: MIT */
/* Cookies of sessions: any bytes. Input: a cookie's value, a NUL, and the parts of a token: two numbers of eight
 * bytes, a place, a change, a user.
 *
 * - A parsed cookie is formatted again as the same text, with one of the two secrets.
 * - A signed token is parsed as it was, also by the previous secret; it is rejected by another secret, without a
 *   secret, cut short, with more bytes after it, and with a changed byte. */
#include "app/session/token.h"
#include "fuzz/target.h"

/* A separate copy, so that the sanitizer detects reads past its end. */
static bool read_token(const void *text, size_t len, const vsi_secret *secret, const vsi_secret *previous,
                       vsi_token *ret_token) {
  char *copy = malloc(len ? len : 1);
  require(copy != NULL);
  if (len) memcpy(copy, text, len);
  bool is_good = vsi_token_read((vestry_slice){copy, len}, secret, previous, ret_token);
  free(copy);
  return is_good;
}

static bool is_written(const vsi_token *token, const vsi_secret *secret, const void *text, size_t len) {
  char again[VSI_TOKEN_MAX_LEN + 1];
  vsi_token_write(token, secret, again);
  return strlen(again) == len && memcmp(again, text, len) == 0;
}

static void check_any(const void *text, size_t len, const vsi_secret *secret, const vsi_secret *previous) {
  vsi_token token;
  if (read_token(text, len, NULL, NULL, &token)) {
    require(!token.is_signed && !*token.user && is_written(&token, NULL, text, len));
    require(read_token(text, len, secret, previous, &token) == token.is_anonymous); /* all others must be signed */
  }
  if (!read_token(text, len, secret, previous, &token)) return;
  require(token.is_anonymous != token.is_signed && token.is_signed == (*token.user != '\0'));
  require(strspn(token.id, "0123456789abcdef") == VSI_TOKEN_ID_LEN); /* the only form */
  require(is_written(&token, secret, text, len) || is_written(&token, previous, text, len));
}

static void check_made(const vsi_token *made, size_t place, unsigned char change, const vsi_secret *secret,
                       const vsi_secret *other) {
  char text[VSI_TOKEN_MAX_LEN + 2];
  vsi_token token;
  vsi_token_write(made, secret, text);
  size_t len = strlen(text);
  require(len <= VSI_TOKEN_MAX_LEN);
  for (int i = 0; i < 2; i++) {
    require(read_token(text, len, i ? other : secret, i ? secret : NULL, &token));
    require(token.is_signed && !token.is_anonymous && strcmp(token.id, made->id) == 0);
    require(token.created_s == made->created_s && token.issued_s == made->issued_s);
    require(strcmp(token.user, made->user) == 0);
  }
  require(!read_token(text, len, other, NULL, &token));
  require(!read_token(text, len, NULL, NULL, &token));
  place %= len;
  require(!read_token(text, place, secret, other, &token));
  text[len] = (char)change;
  require(!read_token(text, len + 1, secret, other, &token));
  if (!change) return;
  text[place] = (char)(text[place] ^ change);
  require(!read_token(text, len, secret, other, &token));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  enum { NUMBERS = 2 * sizeof(uint64_t), HEAD = NUMBERS + 3 };
  vsi_secret secret, other;
  vsi_secret_init(&secret, "the secret of the seeds, not short", 34);
  vsi_secret_init(&other, "another secret, one that was before", 35);
  const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
  check_any(data, nul ? (size_t)(nul - data) : size, &secret, &other);
  if (!nul) return 0;
  check_any(data, size, &secret, &other);
  const uint8_t *rest = nul + 1, *end = data + size;
  if (end - rest <= HEAD) return 0;
  uint64_t numbers[2];
  memcpy(numbers, rest, sizeof numbers);
  vsi_token made = {
      .is_signed = true, .created_s = (int64_t)(numbers[0] & INT64_MAX), .issued_s = (int64_t)(numbers[1] & INT64_MAX)};
  for (size_t i = 0; i < VSI_TOKEN_ID_LEN; i++) made.id[i] = "0123456789abcdef"[rest[i / 2] >> i % 2 * 4 & 15];
  size_t place = (size_t)rest[NUMBERS] << 8 | rest[NUMBERS + 1];
  unsigned char change = rest[NUMBERS + 2];
  for (size_t i = 0; i < sizeof made.user - 1 && rest + HEAD + i < end && rest[HEAD + i]; i++)
    made.user[i] = (char)rest[HEAD + i];
  if (*made.user) check_made(&made, place, change, &secret, &other);
  return 0;
}
