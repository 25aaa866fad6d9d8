/* SPDX-License-Identifier: MIT */
#include "boxoffice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vestry/app/stream.h"

/* Check what the command line says. */
static void read_options(struct app *app) {
  if (app->receipts_file && !(app->receipts = fopen(app->receipts_file, "a")))
    program_refuse("boxoffice", "receipts", app->receipts_file, strerror(errno));
  if (app->node && !node_read(app->node, &app->house.node))
    program_refuse("boxoffice", "node", app->node, "this option is only for nodes, which --nodes starts");
}

/* Called when the server listens: start the robots, and set the URL for phones. */
static void ready(vestry_server *server, void *ctx) {
  struct app *app = ctx;
  if (app->house.node.number) return;
  qr_door(program_scheme(&app->program), app->program.is->server->address, server->port, app->door);
  app->has_door = *app->door;
  app->robots = robots_start(server->port, (unsigned)app->robots_count, (uint64_t)app->pace_ms, robot_buys, app);
}

static void ended(void *ctx) {
  robots_stop(((struct app *)ctx)->robots);
}

/* Run as a node of several processes; or start the nodes, and exit after they have ended. */
static void create(struct app *app) {
  snprintf(app->door, sizeof app->door, "%s", app->house.node.door);
  app->has_door = *app->door;
  if (!app->house.node.number && app->nodes_count > 1)
    exit(nodes_run(&app->program, app->argv, (unsigned)app->nodes_count, ended));
  database_create(&app->db, &app->program, app->program.application);
  app->forms = app->program.app->forms;
}

static vestry_err begin(struct app *app) {
  static const vestry_input field = {.name = "name"};
  vestry_application *parts = app->program.app;
  vestry_err err = vestry_forms_add(app->forms, "buyer", &field, 1);
  vestry_page *hall;
  if (!err) err = vestry_page_create(parts->pages, &(vestry_page_options){.render = hall_page, .app = app}, &hall);
  if (!err) err = vestry_route(parts->instance, "GET", "/", vestry_page_handler, hall);
  if (!err) err = vestry_runtime_create(&(vestry_runtime_options){.threads_count = 1}, &app->clerk);
  if (!err) err = vestry_timer_create(app->clerk, sales_sweep, app, &app->sweeper);
  if (!err) err = vestry_timer_set(app->sweeper, SWEEP_MS, SWEEP_MS);
  /* The nodes are no cluster: a renewal may reach another one than that of the stream. */
  if (!err && app->house.node.number) err = vestry_leases_create(parts->instance, VESTRY_NEVER_MS);
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
  static struct app app = {.robots_count = 300,
                           .pace_ms = 20000,
                           .nodes_count = 1,
                           .db = {.default_file = "boxoffice.db",
                                  .sqlite_schema = (const char *)schema_sql,
                                  .sqlite_version = 1,
                                  .postgres_schema = (const char *)schema_postgres_sql}};
  const vestry_application_options application = {.without = VESTRY_WITHOUT_SESSIONS | VESTRY_WITHOUT_CSRF,
                                                  .database = &vestry_sqlite_application,
                                                  .pages = &(vestry_pages_options){.retry_ms = 300},
                                                  .forms = &(vestry_forms_options){0},
                                                  .entries = sales_entries,
                                                  .isolation = VESTRY_SQL_SERIALIZABLE,
                                                  .own = &app};
  const vestry_program_option own[] = {
      {"postgres", "URL", "use a PostgreSQL database instead, for example\npostgresql://user@host/database",
       VESTRY_INTO(&app.db.postgres_url)},
      {"robots", "N", "number of robots that buy seats [300]", vestry_into_between(&app.robots_count, 0, 5000)},
      {"pace", "MS", "average time between two actions of a robot [20000]",
       vestry_into_between(&app.pace_ms, 10, 600000)},
      {"nodes", "N", "number of processes on that database; each may be killed [1]",
       vestry_into_between(&app.nodes_count, 1, NODES_MAX)},
      {"receipts", "FILE", "record each payment that was confirmed to a robot in FILE [none]",
       VESTRY_INTO(&app.receipts_file)},
      {"node", "WORDS", "of a process that --nodes has started", VESTRY_INTO(&app.node)},
      {0}};
  app.argv = argv;
  app.program = (struct program){.own = own,
                                 .application = &application,
                                 .style = boxoffice_css,
                                 .style_len = boxoffice_css_len,
                                 .on_ready = ready};
  program_read(&app.program, argc, argv, "boxoffice", "A hall of 2,000 seats, robots that buy them, and you");
  read_options(&app);
  create(&app);
  vestry_err err = begin(&app);
  if (!err) program_wait(&app.program);
  end(&app);
  int status = program_finish(&app.program);
  if (app.receipts) fclose(app.receipts);
  return err ? 1 : status;
}
