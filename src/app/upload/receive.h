/* SPDX-License-Identifier: MIT */
/* One request that brings files: from its head to the writer's end or abort of each. */
#ifndef VSI_UPLOAD_RECEIVE_H
#define VSI_UPLOAD_RECEIVE_H

#include "app/upload/place.h"
#include "http/receiver.h"

struct vestry_uploads {
  vestry *v;
  vestry_uploads_options options; /* whole */
  vsi_upload_places places;
  char *resume_pattern; /* owned; NULL: nothing is resumed */
  size_t resume_count;  /* of its routes, those that are mounted */
  char text[];          /* pattern and types */
};

/* app: a vestry_uploads. Of its pattern; of an upload that is resumed */
extern const vsi_receiver vsi_upload_receiver, vsi_upload_resume_receiver;

#endif
