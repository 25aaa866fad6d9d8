/* SPDX-License-Identifier: MIT */
/* The entries of an application. */
#ifndef VSI_APPLICATION_MOUNT_H
#define VSI_APPLICATION_MOUNT_H

#include "app/application/call.h"

/* Mount the entries of a table. */
vestry_err vsi_entries_mount(vsi_application *a, const vestry_entry *table);

#endif
