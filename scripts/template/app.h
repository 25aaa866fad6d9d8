/* The application APPNAME. main.c serves it on a port; app_test.c uses it without one. */
#include <vestry/app/application.h>

/* Open the database, or create it, and make the pages. ret_app: the caller destroys it; untouched on failure, whose
 * reason is in the log */
vestry_err app_begin(const char *file, uint32_t threads_count, vestry_application **ret_app);
