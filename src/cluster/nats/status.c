/* SPDX-License-Identifier: MIT */
#include "cluster/nats/status.h"

vestry_err vsi_nats_error(natsStatus status) {
  switch (status) {
  case NATS_OK: return VESTRY_OK;
  case NATS_NO_MEMORY: return VESTRY_NO_MEMORY;
  case NATS_MAX_PAYLOAD: return VESTRY_TOO_LARGE;
  case NATS_INSUFFICIENT_BUFFER: return VESTRY_FULL;
  case NATS_TIMEOUT: return VESTRY_TIMEOUT;
  case NATS_NOT_FOUND: return VESTRY_NOT_FOUND;
  case NATS_INVALID_ARG:
  case NATS_INVALID_SUBJECT:
  case NATS_INVALID_TIMEOUT:
  case NATS_INVALID_QUEUE_NAME:
  case NATS_ADDRESS_MISSING: return VESTRY_INVALID;
  case NATS_NO_SERVER_SUPPORT:
  case NATS_NO_RESPONDERS:
  case NATS_ILLEGAL_STATE: return VESTRY_UNSUPPORTED; /* the last: a libnats that was built without TLS */
  default: return VESTRY_IO;
  }
}
