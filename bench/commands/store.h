/* SPDX-License-Identifier: MIT */
/* vestry's stores as contenders. */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include <vestry/store.h>

#include "contest.h"

/* The store of a contender that store.c created. */
vestry_store *store_of(void *self);

/* The contest of IDLE: entries that nobody uses expire, while some threads use others. */
int idle_run(const contest_ops *ops, const contest_settings *settings);

#endif
