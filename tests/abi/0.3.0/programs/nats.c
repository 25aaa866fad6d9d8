/* SPDX-License-Identifier: MIT */
/* The same with the NATS broker, whose creation needs no server. */
#include <stdio.h>

#include <vestry/cluster/nats.h>
#include <vestry/vestry.h>

int main(void) {
  vestry_broker broker;
  if (vestry_nats_create(NULL, &broker)) return 1;
  if (broker.ops->state(broker.broker) != VESTRY_BROKER_DOWN) return 1;
  if (broker.ops->publish(broker.broker, "hello", "x", 1) != VESTRY_IO) return 1;
  broker.ops->destroy(broker.broker);
  printf("vestry %s\n", vestry_version());
  return 0;
}
