/* SPDX-License-Identifier: MIT */
/* A message of a broker, which may contain several joined messages. For any input, these lie inside of it, do not
 * overlap, and leave no remainder; joining them again gives the same message.
 * Input: a message. */
#include "cluster/nats/send_queue.h"
#include "fuzz/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  vsi_nats_joined joined;
  if (!vsi_nats_joined_open(data, size, &joined)) return 0;
  require(joined.count > 0 && joined.count <= VSI_NATS_JOINED_MOST && vsi_nats_joined_must(data, size));
  unsigned char *again = malloc(size);
  require(again);
  size_t len = 0;
  for (const uint8_t *at = data + VSI_NATS_JOINED_HEAD; joined.count;) {
    vestry_slice letter = vsi_nats_joined_next(&joined);
    at += VSI_NATS_JOINED_EACH;
    require(letter.data == at && letter.len <= (size_t)(data + size - at));
    at += letter.len;
    len = vsi_nats_joined_add(again, len, letter.data, letter.len);
  }
  require(len == size && memcmp(again, data, size) == 0);
  free(again);
  return 0;
}
