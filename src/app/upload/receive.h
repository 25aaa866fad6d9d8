/* SPDX-License-Identifier: MIT */
/* A request that contains files, from its head until each file has ended or was aborted. */
#ifndef VSI_UPLOAD_RECEIVE_H
#define VSI_UPLOAD_RECEIVE_H

#include "app/upload/place.h"
#include "http/receiver.h"

struct vestry_uploads {
  vestry *v;
  vestry_uploads_options options; /* with the defaults filled in */
  vsi_upload_places places;
  char *resume_pattern; /* owned; NULL: uploads cannot be resumed */
  char text[];          /* the texts of pattern and types */
};

/* Header of the response to a form that its page sends by script (VSI_UPLOAD_HEADER), if its files are kept. It has the
 * status of `done`. */
#define VSI_KEPT_HEADER "Vestry-Kept"

/* Receivers for the pattern, and for resumed uploads. app: a vestry_uploads. */
extern const vsi_receiver vsi_upload_receiver, vsi_upload_resume_receiver;

#endif
