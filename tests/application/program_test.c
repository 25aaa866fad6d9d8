/* SPDX-License-Identifier: MIT */
/* A program of an application: its command line, and its begin and end, with a server that accepts no connections. */
#include "vestry/app/program.h"

#include <stdlib.h>
#include <unistd.h>

#include "instance/instance.h"
#include "support/locale.h"
#include "support/test.h"
#include "vestry/adapter.h"

static vestry_server_options started; /* options of the last server */
static char pem[64];                  /* of its certificate */
static int steps;
static const char *order[8];

static vestry_err start(vestry *v, const vestry_server_options *options, vestry_server **ret_server) {
  started = *options;
  snprintf(pem, sizeof pem, "%s", options->tls_certificate ? options->tls_certificate : "");
  *ret_server = calloc(1, sizeof **ret_server);
  assert_non_null(*ret_server);
  (*ret_server)->port = options->port;
  return VESTRY_OK;
}

static vestry_err stop(vestry_server *server, uint64_t timeout_ms) {
  return VESTRY_OK;
}

static void destroy(vestry_server *server) {
  free(server);
}

static void room(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  if (ret_streams) *ret_streams = 0;
  if (ret_capacity) *ret_capacity = 1;
}

static vestry_err make_certificate(const char *address, char *text) {
  strcpy(text, address ? address : "made");
  return VESTRY_OK;
}

static const vestry_server_adapter plain = {
    .name = "plain", .start = start, .stop = stop, .destroy = destroy, .room = room};
static const vestry_server_adapter secure = {
    .name = "secure", .start = start, .stop = stop, .destroy = destroy, .room = room};
static const vestry_program_adapter adapters[] = {{&plain, NULL}, {&secure, make_certificate}, {NULL, NULL}};

static int64_t count;
static double share;
static const char *word;
static bool is_loud;

static bool is_behind_proxy; /* of the instance */

static void note(const char *step) {
  order[steps++ % 8] = step;
}

static vestry_err begin(vestry_application *app, void *own) {
  assert_non_null(app->instance);
  assert_ptr_equal(own, &count);
  is_behind_proxy = app->instance->is_behind_proxy;
  note("begin");
  return strcmp(word, "fail") == 0 ? VESTRY_FULL : VESTRY_OK;
}

static void end(vestry_application *app, void *own) {
  assert_non_null(app->pages);
  assert_ptr_equal(own, &count);
  note("end");
}

static void ready(vestry_server *server, void *own) {
  assert_non_null(server);
  assert_ptr_equal(own, &count);
  note("ready");
  vestry_server_end();
}

/* Run the program with these arguments, the last of which is NULL. */
static int run(char **argv) {
  int argc = 0;
  const vestry_options instance = {.threads_count = VESTRY_THREADS_NONE};
  const vestry_application_options application = {
      .name = "trial", .instance = &instance, .own = &count, .begin = begin, .end = end};
  const vestry_program_option own[] = {{"count", "N", "a number\nof two lines", vestry_into_between(&count, 1, 9)},
                                       {"share", "X", "a share", VESTRY_INTO(&share)},
                                       {"word", "TEXT", "a word", VESTRY_INTO(&word)},
                                       {"loud", NULL, "a switch", VESTRY_INTO(&is_loud)},
                                       {0}};
  const vestry_program_options options = {.about = "A trial",
                                          .adapters = adapters,
                                          .options = own,
                                          .application = &application,
                                          .port = 9,
                                          .max_streams = 300,
                                          .max_head_bytes = 4096,
                                          .threads_count = 2,
                                          .on_ready = ready};
  count = 0, share = 0, word = "", is_loud = false, steps = 0;
  memset(&started, 0, sizeof started);
  while (argv[argc]) argc++;
  return vestry_program_main(argc, argv, &options);
}

/* capability: L24 */
TEST_CASE(program_runs_from_begin_to_end) {
  char *none[] = {(char[]){"trial"}, NULL};
  assert_int_equal(run(none), 0);
  assert_int_equal(steps, 3);
  assert_string_equal(order[0], "begin");
  assert_string_equal(order[1], "ready");
  assert_string_equal(order[2], "end");
  assert_int_equal(started.port, 9);
  assert_string_equal(started.address, "127.0.0.1");
  assert_int_equal(started.max_streams, 300);
  assert_int_equal(started.max_head_bytes, 4096);
  assert_int_equal(started.threads_count, 2);
  assert_string_equal(pem, "");
  char *failing[] = {(char[]){"trial"}, (char[]){"--word=fail"}, NULL};
  assert_int_equal(run(failing), 1);
  assert_int_equal(steps, 2); /* end is called, although begin has failed */
}

/* capability: L24 */
TEST_CASE(command_line_sets_options) {
  char *all[] = {(char[]){"trial"},
                 (char[]){"--count"},
                 (char[]){"8"},
                 (char[]){"--share=0.5"},
                 (char[]){"--loud"},
                 (char[]){"--word"},
                 (char[]){"--x"},
                 (char[]){"--port=1"},
                 (char[]){"--port"},
                 (char[]){"0"},
                 (char[]){"--listen"},
                 (char[]){"127.0.0.2"},
                 (char[]){"--threads"},
                 (char[]){"3"},
                 (char[]){"--streams"},
                 (char[]){"7"},
                 (char[]){"--adapter"},
                 (char[]){"secure"},
                 (char[]){"--log"},
                 (char[]){"info"},
                 (char[]){"--behind-proxy"},
                 NULL};
  assert_int_equal(run(all), 0);
  assert_int_equal(count, 8);
  assert_true(share == 0.5);
  assert_string_equal(word, "--x");
  assert_true(is_loud);
  assert_true(is_behind_proxy);
  assert_int_equal(started.port, 0);
  assert_string_equal(started.address, "127.0.0.2");
  assert_int_equal(started.threads_count, 3);
  assert_int_equal(started.max_streams, 7);
  assert_string_equal(pem, "127.0.0.2");
  char *no_tls[] = {(char[]){"trial"}, (char[]){"--adapter=secure"}, (char[]){"--no-tls"}, NULL};
  assert_int_equal(run(no_tls), 0);
  assert_null(started.tls_certificate);
  char *proxied[] = {(char[]){"trial"}, (char[]){"--adapter=secure"}, (char[]){"--unix-socket=/tmp/x"}, NULL};
  assert_int_equal(run(proxied), 0);
  assert_null(started.tls_certificate);
  assert_false(is_behind_proxy);
  assert_string_equal(started.unix_path, "/tmp/x");
}

TEST_CASE(options_do_not_depend_on_the_locale) {
  test_locale locale;
  if (!test_locale_begin(&locale, "de_DE")) TEST_SKIP("the definitions of locales are not installed");
  command_line_sets_options(state);
  test_locale_end(&locale);
}

/* capability: L24 */
TEST_CASE(certificate_is_read_from_a_file) {
  char path[] = "/tmp/vestry-program-XXXXXX", argument[64];
  const int file = mkstemp(path);
  assert_true(file >= 0);
  snprintf(argument, sizeof argument, "--certificate=%s", path);
  char *argv[] = {(char[]){"trial"}, argument, NULL};
  assert_int_equal(run(argv), 2); /* it is empty */
  assert_int_equal(write(file, "a key", 5), 5);
  assert_int_equal(run(argv), 0);
  assert_string_equal(pem, "a key");
  char *both[] = {(char[]){"trial"}, argument, (char[]){"--no-tls"}, NULL};
  assert_int_equal(run(both), 2);
  close(file);
  unlink(path);
  assert_int_equal(run(argv), 2); /* it does not exist */
}

/* capability: L24 */
TEST_CASE(wrong_command_line_is_refused) {
  static const char *const wrong[] = {"--nothing",
                                      "word",
                                      "-p",
                                      "--count",
                                      "--count=0",
                                      "--count=10",
                                      "--count=1x",
                                      "--count=",
                                      "--count=+1",
                                      "--count= 1",
                                      "--share=x",
                                      "--loud=1",
                                      "--port=65536",
                                      "--threads=0",
                                      "--streams=0",
                                      "--adapter=none",
                                      "--log=all",
                                      "--db=x",
                                      "--count=99999999999999999999",
                                      "--por=1"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char argument[64];
    snprintf(argument, sizeof argument, "%s", wrong[i]);
    char *argv[] = {(char[]){"trial"}, argument, NULL};
    assert_int_equal(run(argv), 2);
    assert_int_equal(steps, 0);
  }
  char *help[] = {(char[]){"trial"}, (char[]){"--help"}, NULL};
  assert_int_equal(run(help), 0);
  assert_int_equal(steps, 0);
  vestry_program *program;
  assert_int_equal(vestry_program_read(1, help, NULL, &program), 2);
  assert_int_equal(vestry_program_begin(NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_program_serve(NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_program_end(NULL), 1);
}
