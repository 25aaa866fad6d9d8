/* SPDX-License-Identifier: MIT */
/* A host whose memory is counted: what an instance holds now. */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <vestry/host.h>

/* malloc, counted with what it rounds up to; all else as the default host. */
const vestry_host *bench_counting_host(void);
/* What is allocated through it now. */
int64_t bench_counted_bytes(void);
/* In so many pieces: malloc keeps a word more for each. */
int64_t bench_counted_blocks(void);

#endif
