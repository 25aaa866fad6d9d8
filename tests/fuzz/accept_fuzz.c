/* SPDX-License-Identifier: MIT */
/* Accept-Encoding: any bytes. Input: the header's value. The chosen coding is offered, and does not depend on
 * codings that are not; a refusal needs a q of 0 in the header. */
#include "fuzz/target.h"
#include "http/encoding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const all[] = {"br", "gzip", "x-own"}, *const none[] = {NULL, NULL, NULL};
  char *header = malloc(size + 1);
  require(header != NULL);
  if (size) memcpy(header, data, size);
  header[size] = '\0';
  size_t index = 99, plain = 99;
  vestry_err error = vsi_accept_choose(header, all, 3, &index);
  vestry_err plain_error = vsi_accept_choose(header, none, 3, &plain);
  require(error ? error == VESTRY_UNSUPPORTED && index == 99 : index <= 3);
  require(plain_error ? plain_error == VESTRY_UNSUPPORTED : plain == 3);
  if (error) require(plain_error && strstr(header, "=0")); /* identity can be refused whatever else is offered */
  for (size_t left = 0; !error && index < 3 && left < 3; left++) {
    const char *fewer[3] = {all[0], all[1], all[2]};
    size_t again = 99;
    fewer[left] = NULL;
    vestry_err other = vsi_accept_choose(header, fewer, 3, &again);
    require(left == index ? other || again != index : !other && again == index);
  }
  free(header);
  return 0;
}
