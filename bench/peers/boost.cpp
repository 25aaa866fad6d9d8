// SPDX-License-Identifier: MIT
// Boost's concurrent_flat_map (since 1.83), which stores keys and values within its groups.
#include "map.h"

#include <boost/unordered/concurrent_flat_map.hpp>

namespace {

template <size_t words> struct boost_map {
  static constexpr const char *name = "boost";
  boost::concurrent_flat_map<inline_key<words>, connection *, inline_hash<words>> in;

  explicit boost_map(size_t capacity) : in(capacity) {}

  connection *replace(const inline_key<words> &key, connection *conn) {
    connection *old = nullptr;
    in.insert_or_visit({key, conn}, [&old, conn](auto &pair) {
      old = pair.second;
      pair.second = conn;
    });
    return old;
  }

  template <typename function> bool visit(const inline_key<words> &key, function fn) {
    return in.cvisit(key, [&fn](const auto &pair) { fn(pair.second); });
  }

  connection *take(const inline_key<words> &key) {
    connection *conn = nullptr;
    in.erase_if(key, [&conn](auto &pair) { return conn = pair.second; });
    return conn;
  }

  size_t size() const {
    return in.size();
  }

  template <typename function> void each(function fn) {
    in.cvisit_all([&fn](const auto &pair) { fn(pair.second); });
  }
};

} // namespace

int main(int argc, char **argv) {
  return map_main<boost_map>(argc, argv);
}
