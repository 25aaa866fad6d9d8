/* SPDX-License-Identifier: MIT */
/* What app serves. main.c runs it on a port, app_test.c without one. */
#ifndef APP_H
#define APP_H

#include <vestry/vestry.h>

struct app;

/* Open the database, made if there is none, and make an instance with the routes.
 * threads_count: as vestry_options; ret_app: owned by the caller, untouched on failure, which the log explains */
vestry_err app_begin(const char *file, uint32_t threads_count, struct app **ret_app);
vestry *app_instance(struct app *app);
/* For tests: what is committed has been rendered for each open tab, and is written. */
vestry_err app_settle(struct app *app);
/* No server uses the instance any more. NULL is accepted. */
void app_end(struct app *app);

#endif
