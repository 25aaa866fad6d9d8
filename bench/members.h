/* SPDX-License-Identifier: MIT */
/* Those who log in at `serve --members`, and what they do once: for attacks on both. */
#ifndef BENCH_MEMBERS_H
#define BENCH_MEMBERS_H

#include "vestry/app/once.h"
#include "vestry/app/session.h"
#include "vestry/vestry.h"

typedef struct bench_members {
  vestry_once *once;
  _Atomic(int) done; /* actions */
} bench_members;

/* The sessions of an instance with room for so many, a tenth of them of one user. */
vestry_session_options bench_members_sessions(size_t count);
/* GET /member, POST /login?user=NAME, GET /nonce, POST /act, which runs once. members: must live as long as v. */
vestry_err bench_members_mount(bench_members *members, vestry *v, size_t count);
void bench_members_finish(bench_members *members);

#endif
