/* The application APPNAME. main.c serves it; app_test.c uses it without a network. */
#include <vestry/app/application.h>

extern const vestry_application_options app_options;
