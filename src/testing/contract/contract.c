/* SPDX-License-Identifier: MIT */
#include "vestry/testing/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/contract/client.h"
#include "testing/contract/seam.h"
#include "testing/contract/server.h"
#include "testing/contract/suites.h"

enum { DEFAULT_PATIENCE_S = 60, DEFAULT_STOP_MS = 5000 };

static const vsi_suite *const suites[] = {&vsi_requests_suite, &vsi_wire_suite,      &vsi_hostile_suite,
                                          &vsi_readings_suite, &vsi_lifecycle_suite, &vsi_peers_suite,
                                          &vsi_watches_suite,  &vsi_answers_suite,   &vsi_uploads_suite,
                                          &vsi_resumed_suite,  &vsi_heads_suite};
enum { SUITES = sizeof suites / sizeof *suites };

static const char *why_not(const char *suite, const char *name) {
  char full[128];
  snprintf(full, sizeof full, "%s%s%s", suite, name ? "/" : "", name ? name : "");
  for (const vestry_contract_exception *at = vsi_adapter.exceptions; at && at->name; at++)
    if (strcmp(at->name, full) == 0) return at->reason;
  return NULL;
}

static bool begin_tls(void) {
  if (!vsi_client_tls_ops_offered) return false;
  vsi_client_tls_ops_used = vsi_client_tls_ops_offered;
  return true;
}

static const vsi_suite *find(const char *name, size_t len) {
  for (size_t i = 0; i < SUITES; i++)
    if (strlen(suites[i]->name) == len && memcmp(suites[i]->name, name, len) == 0) return suites[i];
  return NULL;
}

/* Run the suites of a list. Unknown ones count as failed cases. */
static unsigned run_list(const char *list, const vsi_runner *runner) {
  unsigned failed = 0;
  for (const char *at = list; *at;) {
    const size_t len = strcspn(at, ",");
    const vsi_suite *suite = find(at, len);
    if (!suite) fprintf(stderr, "vestry_contract_run: there is no suite \"%.*s\"\n", (int)len, at);
    failed += suite ? vsi_suite_run(suite, runner) : 1;
    at += len + (at[len] == ',');
  }
  return failed;
}

/* Run the single case "suite/case". */
static unsigned run_one(const char *name, vsi_runner runner) {
  const size_t len = strcspn(name, "/");
  const vsi_suite *suite = find(name, len);
  for (size_t i = 0; suite && name[len] && i < suite->count; i++) {
    if (strcmp(suite->cases[i].name, name + len + 1) != 0) continue;
    runner.only = name + len + 1;
    return vsi_suite_run(suite, &runner);
  }
  fprintf(stderr, "vestry_contract_run: there is no case %s\n", name);
  return 1;
}

unsigned vestry_contract_run(const vestry_contract_adapter *adapter, const char *list) {
  vsi_adapter = adapter ? *adapter : (vestry_contract_adapter){0};
  if (!adapter || !vsi_adapter.name || !vsi_adapter.start || !vsi_adapter.stop || !vsi_adapter.destroy) {
    fprintf(stderr,
            "vestry_contract_run: an adapter needs a name, start, stop and destroy, and the size of its struct\n");
    return 1;
  }
  if (vsi_adapter.has_one_loop) vsi_adapter.waits_in_handlers = true;
  if (!vsi_adapter.stop_ms) vsi_adapter.stop_ms = DEFAULT_STOP_MS;
  vsi_patience_s = vsi_adapter.patience_s ? vsi_adapter.patience_s : DEFAULT_PATIENCE_S;
  vsi_seam = vsi_socket_seam();
  const vsi_runner runner = {.title = vsi_adapter.name, .why_not = why_not, .begin_tls = begin_tls};
  const char *only = getenv("VESTRY_CONTRACT_CASE");
  if (only) return run_one(only, runner);
  if (list) return run_list(list, &runner);
  unsigned failed = 0;
  for (size_t i = 0; i < SUITES; i++) failed += vsi_suite_run(suites[i], &runner);
  return failed;
}
