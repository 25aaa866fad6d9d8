/* SPDX-License-Identifier: MIT */
/* The entries of an application. */
#ifndef VSI_APPLICATION_MOUNT_H
#define VSI_APPLICATION_MOUNT_H

#include "app/application/call.h"
#include "http/routes/routes.h"

/* Mount the entries of a table. */
vestry_err vsi_entries_mount(vsi_application *a, const vestry_entry *table);
/* Return whether the requests of a route are acts or forms that run in a transaction. */
bool vsi_entry_is_marked(const vsi_route *route);
/* Call vestry_once_guard, and begin the guest of an act again whose response is repeated. once: a vestry_once */
vestry_err vsi_entry_guard_once(const vestry_request *req, vestry_reply *reply, void *once);

#endif
