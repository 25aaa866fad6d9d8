/* SPDX-License-Identifier: MIT */
/* Probes: places at which bpftrace, perf and other tools can observe a running program (USDT, the format of sys/sdt.h:
 * https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation). Each is one nop until a tool observes it, and
 * its arguments are values that are available anyway. docs/guide/metrics.md lists them; tests/source/probes.py compares
 * the list with the library. Without sys/sdt.h, or with -DVESTRY_PROBES=OFF, there are none. */
#ifndef VSI_BASE_PROBE_H
#define VSI_BASE_PROBE_H

#ifdef VESTRY_PROBES
#include <sys/sdt.h>
#ifdef __clang__ /* its macros leave variadic arguments empty, as GNU C allows */
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif
#define VSI_PROBE1(name, a)       DTRACE_PROBE1(vestry, name, a)
#define VSI_PROBE2(name, a, b)    DTRACE_PROBE2(vestry, name, a, b)
#define VSI_PROBE3(name, a, b, c) DTRACE_PROBE3(vestry, name, a, b, c)
#else
#define VSI_PROBE1(name, a)       ((void)(a))
#define VSI_PROBE2(name, a, b)    ((void)(a), (void)(b))
#define VSI_PROBE3(name, a, b, c) ((void)(a), (void)(b), (void)(c))
#endif

#endif
