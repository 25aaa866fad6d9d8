/* SPDX-License-Identifier: MIT */
/* Logins at `serve --members`, and idempotent actions, for attacks on both. */
#ifndef BENCH_MEMBERS_H
#define BENCH_MEMBERS_H

#include "vestry/app/once.h"
#include "vestry/app/session.h"
#include "vestry/vestry.h"

typedef struct bench_members {
  vestry_once *once;
  _Atomic(int) done; /* actions */
} bench_members;

/* Return options for sessions: at most count, and a tenth of them for one user. */
vestry_session_options bench_members_sessions(size_t count);
/* Add the routes GET /member, POST /login?user=NAME, GET /nonce, and POST /act, which runs once. members: must live as
 * long as v. */
vestry_err bench_members_mount(bench_members *members, vestry *v, size_t count);
void bench_members_finish(bench_members *members);

#endif
