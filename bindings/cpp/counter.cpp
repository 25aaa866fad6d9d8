// SPDX-License-Identifier: MIT
// The counter in C++: a live page whose count all tabs share, a button, and a timer. counter_cpp [PORT]
#include <atomic>
#include <charconv>
#include <cstring>
#include <iostream>

#include <vestry/microhttpd.h>

#include "vestry.hpp"

int main(int argc, char **argv) {
  uint16_t port = 8080;
  if (argc > 1) {
    const char *end = argv[1] + std::strlen(argv[1]);
    if (const auto read = std::from_chars(argv[1], end, port); argc > 2 || read.ec != std::errc() || read.ptr != end) {
      std::cerr << "usage: counter_cpp [PORT]\n";
      return 2;
    }
  }
  try {
    std::atomic<long long> count{0};
    vestrypp::instance v;
    vestrypp::pages pages(v);
    vestrypp::timer tick(v, [&] {
      count++;
      pages.refresh("count");
    });
    pages.add("/", [&](vestrypp::render &page) {
      page.topic("count");
      page.raw("<!doctype html><html lang=\"en\"><title>Counter</title>"
               "<script type=\"module\" src=\"" VESTRY_DATASTAR_CDN_URL "\"></script>");
      page.head();
      page.raw("<body><button data-on:click=\"@post('/jump')\">Jump by ten</button>");
      page.begin();
      page.raw("<output>").text(count).raw("</output>");
      page.end();
    });
    v.route("POST", "/jump", [&](vestrypp::request, vestrypp::reply reply) {
      count += 10;
      pages.refresh("count");
      reply.status(204);
    });
    v.route("POST", "/broken", [](vestrypp::request, vestrypp::reply) { throw std::logic_error("on purpose"); });
    tick.set(1000, 1000);
    v.serve(vestry_server_microhttpd, port, [](const char *url) { std::cout << "counter_cpp: " << url << std::endl; });
  } catch (const std::exception &thrown) {
    std::cerr << "counter_cpp: " << thrown.what() << "\n";
    return 1;
  }
}
