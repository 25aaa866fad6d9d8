/* SPDX-License-Identifier: MIT */
/* The headers of tus 1.0.0 (https://tus.io/protocols/resumable-upload), the protocol by which uploads are resumed. */
#ifndef VSI_UPLOAD_TUS_H
#define VSI_UPLOAD_TUS_H

#include "app/upload/form.h"
#include "vestry/error.h"

#define VSI_TUS_VERSION    "1.0.0"
#define VSI_TUS_EXTENSIONS "creation,creation-with-upload,expiration,termination"
#define VSI_TUS_TYPE       "application/offset+octet-stream"
enum { VSI_TUS_METADATA_BYTES = 2048 };

/* Parse a length or an offset: digits, a number below 2^62. false: it is malformed, or NULL */
bool vsi_tus_number(const char *declared, uint64_t *ret_number);
/* Parse pairs of a key and a Base64 value, and get the file's name and type, if they are among them. `declared` NULL:
 * no pairs.
 * OK | MALFORMED (name and type are "" and application/octet-stream) | TOO_LARGE */
vestry_err vsi_tus_metadata(const char *declared, char name[VSI_DECLARED_NAME_BYTES],
                            char type[VSI_DECLARED_TYPE_BYTES]);

#endif
