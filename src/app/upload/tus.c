/* SPDX-License-Identifier: MIT */
#include "app/upload/tus.h"

#include <nettle/base64.h>
#include <string.h>

#include "base/ascii.h"

bool vsi_tus_number(const char *declared, uint64_t *ret_number) {
  uint64_t number = 0;
  if (!declared || !*declared) return false;
  for (; *declared; declared++) {
    if (!vsi_is_digit(*declared) || number > (UINT64_C(1) << 62) / 10 - 1) return false;
    number = number * 10 + (uint64_t)(*declared - '0');
  }
  *ret_number = number;
  return true;
}

/* Decode Base64. false: it is malformed. */
static bool decode(vestry_slice declared, char *text, size_t *ret_len) {
  struct base64_decode_ctx ctx;
  base64_decode_init(&ctx);
  return base64_decode_update(&ctx, ret_len, (uint8_t *)text, declared.len, declared.data) && base64_decode_final(&ctx);
}

static bool is_key(vestry_slice key, const char *name) {
  return key.len == strlen(name) && memcmp(key.data, name, key.len) == 0;
}

static vestry_err take_pair(const char *at, size_t len, char *name, char *type) {
  char text[BASE64_DECODE_LENGTH(VSI_TUS_METADATA_BYTES)];
  const char *blank = memchr(at, ' ', len);
  const vestry_slice key = {at, blank ? (size_t)(blank - at) : len};
  const vestry_slice value = {blank ? blank + 1 : "", blank ? len - key.len - 1 : 0};
  size_t text_len;
  if (!key.len || !decode(value, text, &text_len)) return VESTRY_MALFORMED;
  if (is_key(key, "filename")) vsi_declared_name((vestry_slice){text, text_len}, name);
  if (is_key(key, "filetype")) vsi_declared_type((vestry_slice){text, text_len}, type);
  return VESTRY_OK;
}

vestry_err vsi_tus_metadata(const char *declared, char name[VSI_DECLARED_NAME_BYTES],
                            char type[VSI_DECLARED_TYPE_BYTES]) {
  vestry_err error = VESTRY_OK;
  name[0] = '\0';
  vsi_declared_type((vestry_slice){"", 0}, type);
  if (!declared || !*declared) return VESTRY_OK;
  if (strlen(declared) > VSI_TUS_METADATA_BYTES) return VESTRY_TOO_LARGE;
  for (bool has_more = true; has_more && !error; declared++) {
    declared += strspn(declared, " \t");
    const size_t len = strcspn(declared, ",");
    size_t own = len;
    while (own && vsi_is_blank(declared[own - 1])) own--;
    error = take_pair(declared, own, name, type);
    declared += len;
    has_more = *declared == ',';
  }
  if (!error) return VESTRY_OK;
  name[0] = '\0';
  vsi_declared_type((vestry_slice){"", 0}, type);
  return error;
}
