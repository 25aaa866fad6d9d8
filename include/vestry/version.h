/* SPDX-License-Identifier: MIT */
/** The library's version, at compile time and at run time. */
#ifndef VESTRY_VERSION_H
#define VESTRY_VERSION_H

#include "vestry/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the headers, in numbers and as text. */
#define VESTRY_VERSION_MAJOR 0
#define VESTRY_VERSION_MINOR 4
#define VESTRY_VERSION_PATCH 0
#define VESTRY_VERSION       "0.4.0"

/** Get the version of the running library, which may differ from VESTRY_VERSION of the headers.
 *  Returns  a static string "major.minor.patch"
 *  Threads  any; does not block */
VESTRY_API const char *vestry_version(void);

#ifdef __cplusplus
}
#endif
#endif
