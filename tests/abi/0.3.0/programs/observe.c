/* SPDX-License-Identifier: MIT */
/* Metrics of an instance as Prometheus reads them. Prints the version. */
#include <stdio.h>
#include <string.h>

#include <vestry/ops/observe.h>
#include <vestry/vestry.h>

int main(void) {
  vestry *v = NULL;
  vestry_observe *observe = NULL;
  char text[1 << 16];
  size_t len = 0;
  if (vestry_create(&(vestry_options){.threads_count = 1}, &v)) return 1;
  if (vestry_observe_create(v, NULL, &observe)) return 1;
  if (vestry_observe_metrics(observe, VESTRY_METRICS_OPEN, text, sizeof text, &len)) return 1;
  int found = strstr(text, "vestry_streams_open") != NULL;
  vestry_observe_destroy(observe);
  vestry_destroy(v);
  if (found) printf("vestry %s\n", vestry_version());
  return !found;
}
