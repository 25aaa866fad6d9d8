/* SPDX-License-Identifier: MIT */
#include "boxoffice.h"
#include "vestry/app/secret.h"

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
  if (option == OPTION_DB) app->kept.file = value;
  if (option == OPTION_POSTGRES) app->kept.postgres_url = value;
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
static bool prepare(void *ctx) {
  struct app *app = ctx;
  struct server_options *served = &app->program.options;
  served->ready_ctx = app;
  served->on_ready = app->house.node.number ? NULL : ready;
  snprintf(app->door, sizeof app->door, "%s", app->house.node.door);
  app->has_door = *app->door;
  if (!app->house.node.number && app->nodes_count > 1)
    exit(nodes_run(served, app->argv, (unsigned)app->nodes_count, ended));
  if (database_open(&app->db, &app->kept) || database_secret(&app->db, app->secret)) {
    database_close(&app->db);
    return false;
  }
  return true;
}

static vestry_err begin(struct app *app) {
  static const char *const fields[] = {"name"};
  vestry *v = app->program.v;
  const vestry_pages_options pages = {.secret = app->secret, .secret_len = sizeof app->secret, .retry_ms = 300};
  const vestry_page_options hall = {.render = hall_page, .app = app};
  const vestry_once_options once = {.storage = app->db.once ? &vestry_sql_once_ops : NULL, .storage_ctx = app->db.once};
  vestry_page *page;
  const vestry_secret secret = {.secret = app->secret, .secret_len = sizeof app->secret};
  vestry_err err = vestry_secret_set(v, &secret);
  if (!err) err = vestry_pages_create(v, &pages, &app->pages);
  if (!err) err = vestry_page_create(app->pages, &hall, &page);
  if (!err) err = database_attach(&app->db, app->pages);
  if (!err)
    err = vestry_forms_create(v, &(vestry_forms_options){.pages = app->pages, .storage = app->db.forms}, &app->forms);
  if (!err) err = vestry_forms_add(app->forms, "buyer", fields, 1);
  if (!err) err = vestry_once_create(v, &once, &app->once);
  if (!err) err = sales_mount(app);
  if (!err) err = vestry_route(v, "GET", "/", vestry_page_handler, page);
  if (!err) err = vestry_runtime_create(&(vestry_runtime_options){.threads_count = 1}, &app->clerk);
  if (!err) err = vestry_timer_create(app->clerk, sales_sweep, app, &app->sweeper);
  if (!err) err = vestry_timer_set(app->sweeper, SWEEP_MS, SWEEP_MS);
  app->house.v = v, app->house.pages = app->pages, app->house.db = &app->db;
  return err ? err : house_begin(&app->house, app->clerk);
}

/* Destroy all objects, each before the objects that it depends on. */
static void end(struct app *app) {
  robots_stop(app->robots);
  vestry_stop(app->program.v, VESTRY_NEVER_MS);
  house_end(&app->house);
  vestry_timer_destroy(app->sweeper);
  vestry_runtime_destroy(app->clerk);
  vestry_once_destroy(app->once);
  vestry_forms_destroy(app->forms);
  database_detach(&app->db);
  vestry_pages_destroy(app->pages);
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
  static const vestry_profile offered[] = {{.ops = &vestry_profile_brotli}, {.ops = &vestry_profile_gzip}};
  const vestry_options options = {.profiles = offered, .profiles_count = 2};
  static struct app app = {.robots_count = 300,
                           .pace_ms = 20000,
                           .nodes_count = 1,
                           .kept = {.program = "boxoffice",
                                    .default_file = "boxoffice.db",
                                    .sqlite_schema = (const char *)schema_sql,
                                    .sqlite_version = 1,
                                    .postgres_schema = (const char *)schema_postgres_sql,
                                    .is_serializable = true,
                                    .has_forms = true}};
  app.argv = argv;
  app.program = (struct program){
      .names = names,
      .read_own = read_option,
      .own = &app,
      .prepare = prepare,
      .style = boxoffice_css,
      .style_len = boxoffice_css_len,
      .own_help = "  --db FILE             database file [boxoffice.db]\n"
                  "  --postgres URL        use a PostgreSQL database instead, for example\n"
                  "                        postgresql://user@host/database\n"
                  "  --robots N            number of robots that buy seats [300]\n"
                  "  --pace MS             average time between two actions of a robot [20000]\n"
                  "  --nodes N             number of processes on that database; each may be killed [1]\n"
                  "  --receipts FILE       record each payment that was confirmed to a robot in FILE [none]\n"};
  program_start(&app.program, argc, argv, "boxoffice", "A hall of 2,000 seats, robots that buy them, and you",
                &options);
  vestry_err err = begin(&app);
  app.program.options.shown.pages = app.pages;
  database_metrics(&app.db, &app.program.options.metrics);
  if (!err) program_wait(&app.program);
  end(&app);
  int status = program_finish(&app.program);
  database_close(&app.db);
  if (app.receipts) fclose(app.receipts);
  return err ? 1 : status;
}
