/* SPDX-License-Identifier: MIT */
/* Files of this folder, made into arrays by the build. */
#ifndef BOARD_ASSETS_H
#define BOARD_ASSETS_H

#include <stddef.h>

extern const unsigned char board_css[], schema_sql[];
extern const size_t board_css_len, schema_sql_len;

#endif
