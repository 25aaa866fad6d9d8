/* SPDX-License-Identifier: MIT */
/* Sending a patch of elements whose HTML is made from a printf-like format (vestry/html.h). */
#include <stdarg.h>

#include "connection/send.h"
#include "event/layout.h"

vestry_err vestry_connection_patch_elementsf(vestry_connection *connection, const vestry_elements_options *options,
                                             const char *format, ...) {
  vestry_event *event = NULL;
  va_list arguments;
  va_start(arguments, format);
  vestry_err error = vsi_event_velements(vsi_connection_host(connection), options, &event, format, arguments);
  va_end(arguments);
  return vestry_connection_send_made(connection, error, event);
}
