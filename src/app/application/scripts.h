/* SPDX-License-Identifier: MIT */
/* The file of the library's scripts, which the documents of applications load (html/script.h). */
#ifndef VSI_APPLICATION_SCRIPTS_H
#define VSI_APPLICATION_SCRIPTS_H

#include "vestry/html.h"
#include "vestry/instance.h"

typedef struct vsi_scripts vsi_scripts;

/* Serve the file. OK | EXISTS (logged) | NO_MEMORY */
vestry_err vsi_scripts_mount(vestry *v, vsi_scripts **ret_scripts);
/* The instance serves no request any more. NULL is accepted. */
void vsi_scripts_destroy(vsi_scripts *scripts);
/* Append the element that loads the file, before that of the client. nonce: "": none. */
void vsi_scripts_put(vestry_html *html, const char *nonce);

#endif
