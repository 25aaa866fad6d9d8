/* SPDX-License-Identifier: MIT */
#include "base/writer.h"

#include <string.h>

void vsi_put(vsi_writer *writer, const void *data, size_t len) {
  if (writer->to && len) memcpy(writer->to + writer->len, data, len);
  writer->len = vsi_size_add(writer->len, len);
}

void vsi_put_str(vsi_writer *writer, const char *text) {
  vsi_put(writer, text, strlen(text));
}

void vsi_put_uint(vsi_writer *writer, uint32_t number) {
  char digits[10], *first = digits + sizeof digits;
  do *--first = (char)('0' + number % 10);
  while (number /= 10);
  vsi_put(writer, first, (size_t)(digits + sizeof digits - first));
}
