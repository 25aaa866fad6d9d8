/* SPDX-License-Identifier: MIT */
#include "boxoffice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  OPTION_DB = OPTION_OWN,
  OPTION_POSTGRES,
  OPTION_ROBOTS,
  OPTION_PACE,
  OPTION_NODES,
  OPTION_RECEIPTS,
  OPTION_NODE
};

static int read_option(int option, const char *value, void *ctx) {
  struct app *app = ctx;
  if (option == OPTION_DB) app->db.file = value;
  if (option == OPTION_POSTGRES) app->db.postgres_url = value;
  if (option == OPTION_RECEIPTS && !(app->receipts = fopen(value, "a")))
    return options_refuse("boxoffice", "receipts", value, strerror(errno));
  if (option == OPTION_NODE && !node_read(value, &app->house.node))
    return options_refuse("boxoffice", "node", value, "this option is only for nodes, which --nodes starts");
  if (option == OPTION_ROBOTS && !options_number(value, 0, 5000, &app->robots_count))
    return options_refuse("boxoffice", "robots", value, "expected a number from 0 to 5000");
  if (option == OPTION_PACE && !options_number(value, 10, 600000, &app->pace_ms))
    return options_refuse("boxoffice", "pace", value, "expected a number from 10 to 600000");
  if (option == OPTION_NODES && !options_number(value, 1, NODES_MAX, &app->nodes_count))
    return options_refuse("boxoffice", "nodes", value, "expected a number from 1 to 9");
  return 0;
}

/* Called when the server listens: start the robots, and set the URL for phones. */
static void ready(unsigned port, void *ctx) {
  struct app *app = ctx;
  qr_door(options_scheme(&app->program.options), app->program.options.address, port, app->door);
  app->has_door = *app->door;
  app->robots = robots_start(port, (unsigned)app->robots_count, app->pace_ms, robot_buys, app);
}

static void ended(void *ctx) {
  robots_stop(((struct app *)ctx)->robots);
}

/* Run as a node of several processes; or start the nodes, and exit after they have ended. */
static void create(struct app *app) {
  struct server_options *served = &app->program.options;
  const vestry_application_options options = {
      .without = VESTRY_WITHOUT_SESSIONS | VESTRY_WITHOUT_CSRF | VESTRY_WITHOUT_ONCE, /* database.h has the last one */
      .pages = &(vestry_pages_options){.retry_ms = 300},
      .forms = &(vestry_forms_options){0},
  };
  served->ready_ctx = app;
  served->on_ready = app->house.node.number ? NULL : ready;
  snprintf(app->door, sizeof app->door, "%s", app->house.node.door);
  app->has_door = *app->door;
  if (!app->house.node.number && app->nodes_count > 1)
    exit(nodes_run(served, app->argv, (unsigned)app->nodes_count, ended));
  database_create(&app->db, &app->program, &options);
  app->forms = app->program.app->forms;
}

static vestry_err begin(struct app *app) {
  static const char *const fields[] = {"name"};
  vestry_application *parts = app->program.app;
  vestry_err err = vestry_forms_add(app->forms, "buyer", fields, 1);
  if (!err) err = vestry_application_page(parts, "/", &(vestry_page_options){.render = hall_page, .app = app});
  if (!err) err = sales_mount(app);
  if (!err) err = vestry_runtime_create(&(vestry_runtime_options){.threads_count = 1}, &app->clerk);
  if (!err) err = vestry_timer_create(app->clerk, sales_sweep, app, &app->sweeper);
  if (!err) err = vestry_timer_set(app->sweeper, SWEEP_MS, SWEEP_MS);
  app->house.v = parts->instance, app->house.pages = parts->pages, app->house.db = &app->db;
  return err ? err : house_begin(&app->house, app->clerk);
}

/* Destroy all objects that use the application. */
static void end(struct app *app) {
  robots_stop(app->robots);
  vestry_stop(app->program.v, VESTRY_NEVER_MS);
  house_end(&app->house);
  vestry_timer_destroy(app->sweeper);
  vestry_runtime_destroy(app->clerk);
  database_end(&app->db);
}

int main(int argc, char **argv) {
  static const struct option names[] = {OPTIONS_OF_ALL,
                                        {"db", required_argument, NULL, OPTION_DB},
                                        {"postgres", required_argument, NULL, OPTION_POSTGRES},
                                        {"robots", required_argument, NULL, OPTION_ROBOTS},
                                        {"pace", required_argument, NULL, OPTION_PACE},
                                        {"nodes", required_argument, NULL, OPTION_NODES},
                                        {"receipts", required_argument, NULL, OPTION_RECEIPTS},
                                        {"node", required_argument, NULL, OPTION_NODE},
                                        {0}};
  static struct app app = {.robots_count = 300,
                           .pace_ms = 20000,
                           .nodes_count = 1,
                           .db = {.default_file = "boxoffice.db",
                                  .sqlite_schema = (const char *)schema_sql,
                                  .sqlite_version = 1,
                                  .postgres_schema = (const char *)schema_postgres_sql,
                                  .kind = VESTRY_SQL_SERIALIZABLE}};
  app.argv = argv;
  app.program = (struct program){
      .names = names,
      .read_own = read_option,
      .own = &app,
      .style = boxoffice_css,
      .style_len = boxoffice_css_len,
      .own_help = "  --db FILE             database file [boxoffice.db]\n"
                  "  --postgres URL        use a PostgreSQL database instead, for example\n"
                  "                        postgresql://user@host/database\n"
                  "  --robots N            number of robots that buy seats [300]\n"
                  "  --pace MS             average time between two actions of a robot [20000]\n"
                  "  --nodes N             number of processes on that database; each may be killed [1]\n"
                  "  --receipts FILE       record each payment that was confirmed to a robot in FILE [none]\n"};
  program_read(&app.program, argc, argv, "boxoffice", "A hall of 2,000 seats, robots that buy them, and you");
  create(&app);
  vestry_err err = begin(&app);
  if (!err) program_wait(&app.program);
  end(&app);
  int status = program_finish(&app.program);
  if (app.receipts) fclose(app.receipts);
  return err ? 1 : status;
}
