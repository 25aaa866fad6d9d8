/* SPDX-License-Identifier: MIT */
/* A coding whose encodings are counted. */
#ifndef BENCH_ENCODES_H
#define BENCH_ENCODES_H

#include <vestry/profile.h>

/* The same, counted; of one coding in a process. */
const vestry_profile_ops *bench_counting_profile(const vestry_profile_ops *of);
/* How often something was encoded through it. */
int64_t bench_encodes_count(void);

#endif
