/* SPDX-License-Identifier: MIT */
/* Requests about uploads that bring no bytes: how far one is, that it is not wanted any more, what is spoken here. */
#ifndef VSI_UPLOAD_ASKED_H
#define VSI_UPLOAD_ASKED_H

#include "vestry/request.h"

/* app: a vestry_uploads with a folder */
vestry_err vsi_asked_offset(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err vsi_asked_to_drop(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err vsi_asked_options(const vestry_request *req, vestry_reply *reply, void *app);

#endif
