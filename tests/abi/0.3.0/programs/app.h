/* SPDX-License-Identifier: MIT */
/* The application app. main.c serves it on a port; app_test.c uses it without one. */
#ifndef APP_H
#define APP_H

#include <vestry/vestry.h>

struct app;

/* Open the database, or create it, and create an instance with the routes. threads_count: as in vestry_options;
 * ret_app: owned by the caller, untouched on failure; the log has the reason */
vestry_err app_begin(const char *file, uint32_t threads_count, struct app **ret_app);
vestry *app_instance(struct app *app);
/* For tests: wait until all commits have been rendered for each open tab, and written. */
vestry_err app_settle(struct app *app);
/* Stop and free the application. No server may use the instance any more. NULL is accepted. */
void app_end(struct app *app);

#endif
