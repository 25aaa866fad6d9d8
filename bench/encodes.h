/* SPDX-License-Identifier: MIT */
/* A coding whose encodings are counted. */
#ifndef BENCH_ENCODES_H
#define BENCH_ENCODES_H

#include <vestry/profile.h>

/* Return a profile that counts the encodings of another one; for one coding in a process. */
const vestry_profile_ops *bench_counting_profile(const vestry_profile_ops *of);
/* Return the number of encodings. */
int64_t bench_encodes_count(void);

#endif
