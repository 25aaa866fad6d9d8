/* SPDX-License-Identifier: MIT */
/* Live pages for measurements. */
#ifndef BENCH_PAGES_H
#define BENCH_PAGES_H

#include <vestry/app/page.h>
#include <vestry/vestry.h>

typedef struct bench_pages bench_pages;

/* Their routes are mounted too. ret_pages: to be destroyed also after an error, behind the server and before v. */
vestry_err bench_pages_create(vestry *v, bench_pages **ret_pages);
void bench_pages_destroy(bench_pages *pages); /* NULL is accepted */
vestry_pages *bench_pages_of(bench_pages *pages);
/* How many renders sleep now. */
uint64_t bench_pages_sleeping(const bench_pages *pages);

#endif
