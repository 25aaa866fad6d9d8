/* SPDX-License-Identifier: MIT */
/* Files of this folder, made into arrays by the build. */
#ifndef CELLS_ASSETS_H
#define CELLS_ASSETS_H

#include <stddef.h>

extern const unsigned char cells_css[];
extern const size_t cells_css_len;

#endif
