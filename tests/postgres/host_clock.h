/* SPDX-License-Identifier: MIT */
/* This host's clock (CLOCK_REALTIME), as the program sees it: a test may set it. Other clocks go on as they do. */
#ifndef TESTS_POSTGRES_HOST_CLOCK_H
#define TESTS_POSTGRES_HOST_CLOCK_H

/* So many seconds ahead of what it was when the program began; below 0: behind. 0 again at the end of the test. */
void host_clock_set(long ahead_s);

#endif
