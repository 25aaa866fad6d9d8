/* SPDX-License-Identifier: MIT */
/* conformance_runner SERVER ADAPTER: start the conformance server on a free port, run every official case against it
 * with every method, as Datastar's client and as another client, and compare the output by the official rule and byte
 * by byte. VESTRY_CONFORMANCE_DIR contains the cases. Exit status 0, 1, or 77 if there are no cases. */
#include <dirent.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance/http.h"
#include "event/conformance_rule.h"
#include "support/patience.h"

enum { OFFICIAL_CASES = 20, SKIPPED = 77 };

static const char *const methods[] = {"GET", "DELETE", "POST", "PUT", "PATCH"};
enum { METHODS = sizeof methods / sizeof *methods };

/* The header of Datastar's client, and that of another client. */
static const char *const clients[] = {"Datastar-Request: true\r\n", ""};
enum { CLIENTS = sizeof clients / sizeof *clients, WAYS = METHODS * CLIENTS };

static int failures;

static void fail(const char *what, const char *method, const char *why) {
  printf("%s %s: %s\n", method, what, why);
  failures++;
}

/* Start the server, and read its port from its output. The server ends with this process. */
static pid_t start(const char *program, const char *adapter, int *ret_port) {
  int out[2];
  if (pipe(out)) return -1;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(out[1], STDOUT_FILENO);
    close(out[0]);
    close(out[1]);
    execl(program, program, "--port", "0", "--adapter", adapter, (char *)NULL);
    _exit(127);
  }
  close(out[1]);
  FILE *said = fdopen(out[0], "r");
  if (!said || fscanf(said, "vestry-conformance: http://127.0.0.1:%d/test", ret_port) != 1) *ret_port = 0;
  if (said) fclose(said);
  return pid;
}

static const char *check_answer(const http_answer *answer, sse_text expected, sse_text canonical) {
  if (answer->status != 200) return answer->head.data;
  if (!http_has_header(answer, "Content-Type", "text/event-stream")) return "another Content-Type";
  if (!http_has_header(answer, "Cache-Control", "no-cache, no-transform")) return "another Cache-Control";
  if (!http_has_header(answer, "X-Accel-Buffering", "no")) return "another X-Accel-Buffering";
  const char *why = conformance_compare(answer->body, expected);
  if (why) return why;
  return sse_text_equal(answer->body, canonical) ? NULL : "the same events in other bytes";
}

static void play(int port, const char *directory) {
  sse_text input = conformance_read(directory, "input.json"), expected = conformance_read(directory, "output.txt");
  if (!input.data || !expected.data) {
    fail(directory, "-", "no case");
  } else {
    sse_text canonical = conformance_canonical(expected);
    for (int i = 0; i < WAYS; i++) {
      http_answer answer;
      const char *method = methods[i % METHODS];
      const char *why = http_request(port, method, "/test", clients[i / METHODS], input, &answer);
      if (!why) why = check_answer(&answer, expected, canonical);
      if (why) fail(directory, method, why);
      if (why && answer.body.data) printf("%s", answer.body.data);
      http_finish(&answer);
    }
    sse_text_finish(&canonical);
  }
  sse_text_finish(&input);
  sse_text_finish(&expected);
}

static int play_all(int port, const char *root, const char *kind) {
  char directory[2048];
  snprintf(directory, sizeof directory, "%s/%s", root, kind);
  DIR *listing = opendir(directory);
  if (!listing) return 0;
  int played = 0;
  for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    play(port, path);
    played++;
  }
  closedir(listing);
  return played;
}

/* Send invalid requests, as a public server also receives them. */
static void play_nonsense(int port) {
  static const char *const bodies[] = {
      "", "{}", "[]", "{\"events\":1}", "{\"events\":[{\"type\":\"x\"}]}", "{\"events\":[1]}", "{"};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    for (int way = 0; way < WAYS; way++) {
      http_answer answer;
      const char *method = methods[way % METHODS];
      sse_text body = {(char *)(uintptr_t)bodies[i], strlen(bodies[i])};
      const char *why = http_request(port, method, "/test", clients[way / METHODS], body, &answer);
      if (!why && answer.status != 400) why = answer.head.data;
      if (why) fail(bodies[i], method, why);
      http_finish(&answer);
    }
  }
}

int main(int argc, char **argv) {
  const char *root = getenv("VESTRY_CONFORMANCE_DIR");
  if (argc != 3) return 2;
  if (!root || !*root) {
    printf("VESTRY_CONFORMANCE_DIR is not set: the official cases are not played\n");
    return SKIPPED;
  }
  alarm(PATIENCE_S); /* ends this process, and with it the server */
  int port = 0, status = 0;
  pid_t server = start(argv[1], argv[2], &port);
  if (server < 0 || !port) {
    printf("%s does not start\n", argv[1]);
    return 1;
  }
  int played = play_all(port, root, "get") + play_all(port, root, "post");
  play_nonsense(port);
  if (played < OFFICIAL_CASES) fail(root, "-", "there are fewer than the official cases");
  kill(server, SIGTERM);
  if (waitpid(server, &status, 0) != server || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail(argv[1], "-", "the server did not end well");
  printf("%d cases, each in %d ways; %d failures\n", played, WAYS, failures);
  return failures ? 1 : 0;
}
