/* APPNAME: serves on this machine only, until SIGINT or SIGTERM. APPNAME --help lists the options. */
#include <vestry/app/program.h>
#include <vestry/microhttpd.h>

#include "app.h"

int main(int argc, char **argv) {
  const vestry_program_adapter adapters[] = {{&vestry_server_microhttpd, NULL}, {NULL, NULL}};
  const vestry_program_options program = {
      .about = "Notes of all users", .adapters = adapters, .application = &app_options, .drain_ms = 1000};
  return vestry_program_main(argc, argv, &program);
}
