/* SPDX-License-Identifier: MIT */
/* vestry's stores as contestants. */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include <vestry/store.h>

#include "contest.h"

/* Return the store of a contestant that store.c created. */
vestry_store *store_of(void *self);

/* Run the contest IDLE: unused entries expire while some threads use others. */
int idle_run(const contest_ops *ops, const contest_settings *settings);

#endif
