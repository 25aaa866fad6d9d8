/* SPDX-License-Identifier: MIT */
/* Structs of extensions that functions read or fill, and of the extensions that are added to an instance after its
 * creation: sessions, secrets, topics, leases. */
#ifndef TESTS_ABI_SIZES_EXTENSIONS_H
#define TESTS_ABI_SIZES_EXTENSIONS_H

#include "vestry/app/application.h"
#include "vestry/app/bus.h"
#include "vestry/app/csp.h"
#include "vestry/app/csrf.h"
#include "vestry/app/files.h"
#include "vestry/app/form.h"
#include "vestry/app/history.h"
#include "vestry/app/once.h"
#include "vestry/app/page.h"
#include "vestry/app/presence.h"
#include "vestry/app/rate.h"
#include "vestry/app/secret.h"
#include "vestry/app/session.h"
#include "vestry/app/stream.h"
#include "vestry/app/upload.h"
#include "vestry/app/upload_view.h"
#include "vestry/app/watch.h"
#include "vestry/app/window.h"
#include "vestry/cluster/cluster.h"
#include "vestry/ops/metrics.h"
#include "vestry/ops/observe.h"
#include "vestry/testing/contract.h"

/* Each function passes the struct to a new instance. */
vestry_err sizes_take_sessions(const void *given);
vestry_err sizes_take_storage(const void *given);
vestry_err sizes_take_secret(const void *given);
vestry_err sizes_take_application(const void *given);
vestry_err sizes_take_bus(const void *given);
vestry_err sizes_take_contract(const void *given); /* to no instance */
extern const vestry_secret sizes_secret;
extern const vestry_contract_adapter sizes_contract;

void sizes_fill_bus_stats(void *ret);
void sizes_fill_session_stats(void *ret);
void sizes_fill_watch_stats(void *ret);
void sizes_fill_lease_stats(void *ret);
void sizes_fill_histories_stats(void *ret);

#endif
