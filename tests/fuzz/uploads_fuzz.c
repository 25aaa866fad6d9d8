/* SPDX-License-Identifier: MIT */
/* Uploads: however a form is cut into pieces, it has the same parts with the same bytes; and file names, types and
 * offsets of clients are parsed as a name, a type and a number, or rejected. */
#include "app/upload/form.h"
#include "app/upload/tus.h"
#include "fuzz/target.h"

enum { SAID_BYTES = 65536 };

/* All calls, in order. */
typedef struct heard {
  size_t len;
  unsigned char text[SAID_BYTES];
} heard;

static void hear(heard *h, char kind, const void *bytes, size_t len) {
  if (sizeof h->text - h->len < len + 1) abort();
  if (kind) h->text[h->len++] = (unsigned char)kind;
  if (len) memcpy(h->text + h->len, bytes, len);
  h->len += len;
}

static vestry_err part(void *ctx, const vsi_part *found) {
  hear(ctx, '[', found->name.data, found->name.len);
  if (found->filename.data) hear(ctx, '=', found->filename.data, found->filename.len);
  hear(ctx, ':', found->type.data, found->type.len);
  return VESTRY_OK;
}
static vestry_err bytes(void *ctx, const char *some, size_t len) {
  if (!len) abort();
  hear(ctx, 0, some, len);
  return VESTRY_OK;
}
static vestry_err over(void *ctx) {
  hear(ctx, ']', NULL, 0);
  return VESTRY_OK;
}
static const vsi_form_sink reported = {part, bytes, over};

static vestry_err take(const char *body, size_t len, size_t piece, heard *h, bool *ret_is_whole) {
  static vsi_form form;
  h->len = 0;
  if (vsi_form_init(&form, "multipart/form-data; boundary=b", &reported, h)) abort();
  vestry_err error = VESTRY_OK;
  for (size_t at = 0; at < len && !error; at += piece)
    error = vsi_form_take(&form, body + at, len - at < piece ? len - at : piece);
  *ret_is_whole = !error && vsi_form_is_whole(&form);
  return error;
}

static void read_headers(const uint8_t *data, size_t size) {
  char name[VSI_DECLARED_NAME_BYTES], type[VSI_DECLARED_TYPE_BYTES];
  uint64_t number;
  char *said = malloc(size + 1);
  if (!said) abort();
  memcpy(said, data, size);
  said[size] = '\0';
  if (vsi_tus_number(said, &number) && number >= UINT64_C(1) << 62) abort();
  vestry_err error = vsi_tus_metadata(said, name, type);
  if (error && (*name || strcmp(type, "application/octet-stream") != 0)) abort();
  if (strchr(name, '/') || strchr(name, '\\') || strcmp(name, "..") == 0 || !strchr(type, '/')) abort();
  vsi_declared_encoded_name(said, name);
  if (strchr(name, '/') || strchr(name, '\\') || strcmp(name, "..") == 0) abort();
  free(said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static heard whole, cut;
  bool is_whole, is_cut_whole;
  if (!size) return 0;
  const char *body = (const char *)data + 1;
  const vestry_err error = take(body, size - 1, size, &whole, &is_whole);
  const vestry_err again = take(body, size - 1, 1 + data[0] % 64, &cut, &is_cut_whole);
  /* If the form is invalid, pieces before the fault may contain more or less of an incomplete part. */
  if (error != again || is_whole != is_cut_whole) abort();
  if (!error && (whole.len != cut.len || memcmp(whole.text, cut.text, whole.len) != 0)) abort();
  read_headers(data, size);
  return 0;
}
