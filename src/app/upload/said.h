/* SPDX-License-Identifier: MIT */
/* What clients say of files. */
#ifndef VSI_UPLOAD_SAID_H
#define VSI_UPLOAD_SAID_H

#include <stdbool.h>
#include <stddef.h>

#include "vestry/key.h"

enum { VSI_SAID_NAME_BYTES = 256, VSI_SAID_TYPE_BYTES = 128 };

/* A file's name, without folders and the characters of base/control.h; cut where a character ends. "": none, or it is
 * no UTF-8 */
void vsi_said_name(vestry_slice said, char name[VSI_SAID_NAME_BYTES]);
/* The same of one that is percent-encoded. NULL is accepted. */
void vsi_said_encoded_name(const char *said, char name[VSI_SAID_NAME_BYTES]);
/* A media type, without parameters and in lower case. */
void vsi_said_type(vestry_slice said, char type[VSI_SAID_TYPE_BYTES]);
/* Whether a list of types, with commas between them, has this one, or all of its kind. */
bool vsi_said_type_is_in(const char *types, const char *type);

#endif
