/* SPDX-License-Identifier: MIT */
/* Answers: a line of text, or JSON. None is kept by a cache, and no other site may read it. */
#ifndef VSI_OBSERVE_SHOW_H
#define VSI_OBSERVE_SHOW_H

#include "ops/observe/json.h"
#include "vestry/request.h"

vestry_err vsi_show_text(vestry_reply *reply, int status, const char *text);
/* Takes what was written, whatever comes of it. */
vestry_err vsi_show_json(vestry_reply *reply, vsi_json_writer *json);

#endif
