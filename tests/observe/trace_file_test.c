/* SPDX-License-Identifier: MIT */
/* A file of spans: one line a span, whatever its name; appended, also behind a line that is torn. */
#include "vestry/ops/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"
#include "support/test_host.h"

static void make(char *path) {
  const int file = mkstemp(path);
  assert_true(file >= 0 && close(file) == 0);
}

static vestry_err create(const vestry_host *host, const char *path, vestry_trace_file **ret_file) {
  return vestry_trace_file_create(&(vestry_trace_file_options){.path = path, .service = "shop", .host = host},
                                  ret_file);
}

static void report(const vestry_trace_file *file, const vestry_span *span) {
  const vestry_tracer *tracer = vestry_trace_file_host(file)->tracer;
  tracer->on_span(span, tracer->ctx);
}

/* Read the span of a file's only line. */
static json_t *read_span(const char *path, json_t **ret_line) {
  FILE *file = fopen(path, "r");
  char line[4096];
  assert_non_null(file);
  assert_non_null(fgets(line, sizeof line, file));
  assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
  assert_int_equal(fgetc(file), EOF);
  fclose(file);
  *ret_line = json_loads(line, 0, NULL);
  assert_non_null(*ret_line);
  json_t *resource = json_array_get(json_object_get(*ret_line, "resourceSpans"), 0);
  json_t *scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
  return json_array_get(json_object_get(scope, "spans"), 0);
}

/* Check the name of a span in its line. */
static void assert_span_name(const char *name, const char *wanted) {
  char path[] = "/tmp/vestry-trace-XXXXXX";
  vestry_trace_file *file;
  make(path);
  assert_int_equal(create(NULL, path, &file), VESTRY_OK);
  const vestry_span span = {.kind = VESTRY_SPAN_RENDER,
                            .trace = {.trace_id = {1}, .span_id = {2}},
                            .begun_ns = 1,
                            .ended_ns = 2,
                            .name = name,
                            .error = VESTRY_FAILED};
  report(file, &span);
  vestry_trace_file_destroy(file);
  json_t *line, *reported = read_span(path, &line);
  assert_string_equal(json_string_value(json_object_get(reported, "name")), wanted);
  assert_string_equal(json_string_value(json_object_get(reported, "parentSpanId")), "");
  const json_t *status = json_object_get(reported, "status");
  assert_int_equal(json_integer_value(json_object_get(status, "code")), 2);
  assert_string_equal(json_string_value(json_object_get(status, "message")), "FAILED");
  json_decref(line);
  assert_int_equal(unlink(path), 0);
}

TEST_CASE(span_is_one_line_with_any_name) {
  char most[200];
  assert_span_name("", "render");
  assert_span_name("/\"}]}\n{\\", "render /\"}]}\n{\\");
  assert_span_name("/\xff", "render"); /* invalid UTF-8 */
  memset(most, 1, sizeof most);        /* each character is six characters of JSON */
  most[sizeof most - 1] = '\0';
  char wanted[8 + 100] = "render ";
  memset(wanted + 7, 1, 100);
  assert_span_name(most, wanted);
  for (size_t i = 0; i < 50; i++) memcpy(most + 3 * i, "€", 4); /* cut between two characters */
  char euros[8 + 100] = "render ";
  memcpy(euros + 7, most, 99);
  assert_span_name(most, euros);
}

static void append(const char *path, const char *text) {
  FILE *file = fopen(path, "a");
  assert_non_null(file);
  assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

HOST_CASE(file_is_appended_behind_a_torn_line) {
  char path[] = "/tmp/vestry-trace-XXXXXX", text[8192];
  const vestry_span span = {.kind = VESTRY_SPAN_WRITE, .name = "x", .count = 7};
  vestry_trace_file *file;
  make(path);
  append(path, "{\"resourceSp");
  for (int i = 0; i < 2; i++) { /* a second process continues it */
    assert_int_equal(create(&th->host, path, &file), VESTRY_OK);
    report(file, &span);
    vestry_trace_file_destroy(file);
  }
  FILE *all = fopen(path, "r");
  assert_non_null(all);
  text[fread(text, 1, sizeof text - 1, all)] = '\0';
  fclose(all);
  char *line = strchr(text, '\n') + 1, *next = strchr(line, '\n') + 1;
  assert_string_equal((*strchr(text, '\n') = '\0', text), "{\"resourceSp");
  next[-1] = '\0';
  assert_non_null(strstr(line, "{\"key\":\"vestry.bytes\",\"value\":{\"intValue\":\"7\"}}"));
  json_t *read = json_loads(line, 0, NULL);
  assert_non_null(read);
  json_decref(read);
  assert_non_null(strstr(next, "\"service.name\""));
  assert_int_equal(unlink(path), 0);
  assert_int_equal(th->log_lines, 0);
}

HOST_CASE(failed_writes_are_logged_once) {
  vestry_trace_file *file;
  const vestry_span span = {.kind = VESTRY_SPAN_RENDER, .name = "x"};
  if (access("/dev/full", W_OK)) skip();
  assert_int_equal(create(&th->host, "/dev/full", &file), VESTRY_OK);
  for (int i = 0; i < 3; i++) report(file, &span);
  assert_int_equal(th->log_lines, 1);
  assert_non_null(strstr(th->last_log, "/dev/full"));
  vestry_trace_file_destroy(file);
}

/* A pipe: without a reader there is an error, and a reader that reads nothing holds nobody up. */
HOST_CASE(pipe_is_not_waited_for) {
  char folder[] = "/tmp/vestry-trace-XXXXXX", path[64];
  vestry_trace_file *file;
  const vestry_span span = {.kind = VESTRY_SPAN_RENDER, .name = "x"};
  assert_non_null(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/pipe", folder);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(create(&th->host, path, &file), VESTRY_IO);
  assert_non_null(strstr(th->last_log, "no process reads this pipe"));
  const int reader = open(path, O_RDONLY | O_NONBLOCK);
  assert_true(reader >= 0);
  assert_int_equal(create(&th->host, path, &file), VESTRY_OK);
  for (int i = 0; i < 4096; i++) report(file, &span); /* more than a pipe holds */
  assert_non_null(strstr(th->last_log, "spans are omitted"));
  assert_int_equal(th->log_lines, 2);
  vestry_trace_file_destroy(file);
  /* A reader that ends does not end this process. */
  struct sigaction before;
  sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, &before);
  assert_int_equal(create(&th->host, path, &file), VESTRY_OK);
  assert_int_equal(close(reader), 0);
  report(file, &span);
  assert_non_null(strstr(th->last_log, "Broken pipe"));
  vestry_trace_file_destroy(file);
  sigaction(SIGPIPE, &before, NULL);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rmdir(folder), 0);
}

HOST_CASE(mistakes_are_refused) {
  vestry_trace_file *file = NULL;
  assert_int_equal(vestry_trace_file_create(NULL, &file), VESTRY_INVALID);
  assert_int_equal(create(&th->host, "", &file), VESTRY_INVALID);
  assert_int_equal(create(&th->host, "/tmp/vestry-x", NULL), VESTRY_INVALID);
  const vestry_trace_file_options quoted = {.path = "/tmp/vestry-x", .service = "a\"b", .host = &th->host};
  assert_int_equal(vestry_trace_file_create(&quoted, &file), VESTRY_INVALID);
  errno = 0;
  assert_int_equal(create(&th->host, "/nowhere/spans", &file), VESTRY_IO);
  assert_int_equal(errno, ENOENT);
  assert_null(file);
  assert_null(vestry_trace_file_host(NULL));
  vestry_trace_file_destroy(NULL);
}

static vestry_err create_and_destroy(test_host *th, void *path) {
  vestry_trace_file *file = NULL;
  const vestry_err error = create(&th->host, path, &file);
  vestry_trace_file_destroy(file);
  return error;
}

TEST_CASE(each_allocation_may_fail) {
  char path[] = "/tmp/vestry-trace-XXXXXX";
  make(path);
  test_host_fail_each(create_and_destroy, path, false);
  assert_int_equal(unlink(path), 0);
}
