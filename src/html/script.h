/* SPDX-License-Identifier: MIT */
/* The library's scripts in attributes. scripts/embed.cmake makes two arrays of each NAME.js: vsi_script_NAME is the
 * script itself, and vsi_called_NAME calls the function of this name in the file that contains all scripts. An
 * application serves this file (app/application/scripts.c), and its documents load it before the client. */
#ifndef VSI_HTML_SCRIPT_H
#define VSI_HTML_SCRIPT_H

#include "html/builder.h"

#define VSI_SCRIPTS(name)      extern const char vsi_script_##name[], vsi_called_##name[]
#define VSI_SCRIPT(html, name) (vsi_html_of(html)->has_file ? vsi_called_##name : vsi_script_##name)

#endif
