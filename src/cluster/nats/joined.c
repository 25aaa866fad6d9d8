/* SPDX-License-Identifier: MIT */
#include "cluster/nats/joined.h"

#include <string.h>

bool vsi_nats_joined_must(const void *data, size_t len) {
  return len && *(const unsigned char *)data == VSI_NATS_JOINED_MARK;
}

size_t vsi_nats_joined_add(unsigned char *message, size_t message_len, const void *data, size_t len) {
  if (!message_len) {
    message[0] = VSI_NATS_JOINED_MARK;
    message[1] = 0;
    message_len = VSI_NATS_JOINED_HEAD;
  }
  message[1]++;
  unsigned char *at = message + message_len;
  for (unsigned i = 0; i < VSI_NATS_JOINED_EACH; i++) at[i] = (unsigned char)(len >> 8 * i);
  if (len) memcpy(at + VSI_NATS_JOINED_EACH, data, len);
  return message_len + VSI_NATS_JOINED_EACH + len;
}

static size_t read_size(const unsigned char *at) {
  size_t size = 0;
  for (unsigned i = 0; i < VSI_NATS_JOINED_EACH; i++) size |= (size_t)at[i] << 8 * i;
  return size;
}

bool vsi_nats_joined_open(const void *data, size_t len, vsi_nats_joined *ret_joined) {
  const unsigned char *at = data;
  if (len < VSI_NATS_JOINED_HEAD || !vsi_nats_joined_must(data, len) || !at[1]) return false;
  *ret_joined = (vsi_nats_joined){at + VSI_NATS_JOINED_HEAD, at[1]};
  size_t left = len - VSI_NATS_JOINED_HEAD;
  at += VSI_NATS_JOINED_HEAD;
  for (size_t i = 0; i < ret_joined->count; i++) {
    if (left < VSI_NATS_JOINED_EACH) return false;
    size_t size = read_size(at);
    left -= VSI_NATS_JOINED_EACH;
    if (size > left) return false;
    left -= size;
    at += VSI_NATS_JOINED_EACH + size;
  }
  return !left;
}

vestry_slice vsi_nats_joined_next(vsi_nats_joined *joined) {
  vestry_slice letter = {joined->at + VSI_NATS_JOINED_EACH, read_size(joined->at)};
  joined->at += VSI_NATS_JOINED_EACH + letter.len;
  joined->count--;
  return letter;
}
