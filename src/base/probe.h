/* SPDX-License-Identifier: MIT */
/* Probes: places at which bpftrace, perf and others can look into a program that runs (USDT, the format of
 * sys/sdt.h: https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation). Each is one nop until something
 * looks, and its arguments are what is at hand anyway. docs/guide/probes.md has the list; tests/source/probes.py
 * compares it with the library. Without sys/sdt.h, or with -DVESTRY_PROBES=OFF, there are none. */
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
