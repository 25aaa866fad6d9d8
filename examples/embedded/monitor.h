/* SPDX-License-Identifier: MIT */
/* A device monitor before vestry was added: a login with a cookie, its values, and handlers for two servers. */
#ifndef EXAMPLES_MONITOR_H
#define EXAMPLES_MONITOR_H

#include <civetweb.h>
#include <microhttpd.h>
#include <pthread.h>

#include "vestry/app/input.h"

enum { DEVICES = 4, USERS_MAX = 100, NAME_MAX = 20 };

extern pthread_mutex_t monitor_lock;
extern int celsius[DEVICES]; /* guarded by monitor_lock */

/* Write the user of a cookie; returns the length of the name, 0: no user. */
size_t monitor_user(const char *cookies, char name[VESTRY_TEXT_BYTES(NAME_MAX)]);

/* Handle /login and /values.json, for either server. */
int monitor_by_civetweb(struct mg_connection *conn, void *ctx);
enum MHD_Result monitor_by_microhttpd(struct MHD_Connection *conn, const char *path);

#endif
