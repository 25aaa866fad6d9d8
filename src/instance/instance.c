/* What can be asked of an instance. */
#include "instance/instance.h"

vestry_runtime *vestry_runtime_of(vestry *v) {
  return v->runtime;
}

vestry_store *vestry_store_of(vestry *v) {
  return v->store;
}

uint64_t vestry_heartbeat_ms(const vestry *v) {
  return vsi_group_heartbeat_ms(v->group);
}

size_t vestry_max_body_bytes(const vestry *v) {
  return v->max_body_bytes;
}

const vestry_host *vestry_host_of(const vestry *v) {
  return v->host;
}
