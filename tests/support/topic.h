/* SPDX-License-Identifier: MIT */
/* A bus without an instance: topics are any bytes. */
#ifndef TEST_TOPIC_H
#define TEST_TOPIC_H

#include "app/bus/bus.h"

static inline vestry_err topic_subscribe(vsi_bus *bus, const char *topic, size_t len,
                                         const vestry_subscriber *subscriber, vestry_subscription **ret_subscription) {
  return vsi_bus_subscribe(bus, (vestry_slice){topic, len}, subscriber, ret_subscription);
}

static inline vestry_err topic_publish(vsi_bus *bus, const char *topic, size_t topic_len, const void *data, size_t len,
                                       size_t *ret_count) {
  vestry_bus_message message = {.topic = {topic, topic_len}, .data = data, .len = len};
  return vsi_bus_publish(bus, message.topic, &message, ret_count);
}

#endif
