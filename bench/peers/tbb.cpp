// oneTBB's concurrent_hash_map with keys of 16 bytes held inline, for look-ups: it evicts nothing and has no order of
// uses. A look-up holds the entry's reader lock; get takes a reference to the connection under it, with reads it there
// and then.
#include <cstring>

#include <oneapi/tbb/concurrent_hash_map.h>

#include "../contest.h"

namespace {

struct key16 {
  uint64_t low, high;
};

key16 key_of(const void *data) {
  key16 key;
  std::memcpy(&key, data, sizeof key);
  return key;
}

// One multiplication: as cheap as a hash can be that uses all of the key. No seed: keys chosen to collide would.
struct key16_hash {
  size_t hash(const key16 &key) const {
    uint64_t product = (key.low ^ (key.high << 32 | key.high >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
    return product ^ product >> 32;
  }
  bool equal(const key16 &a, const key16 &b) const {
    return a.low == b.low && a.high == b.high;
  }
};

using map = tbb::concurrent_hash_map<key16, connection *, key16_hash>;

map *map_of(void *self) {
  return static_cast<map *>(self);
}

bool create(const contest_settings *settings, void **ret_self) {
  *ret_self = new map(settings->work.capacity);
  return true;
}

void end(connection *conn) {
  connection_close(conn);
  connection_unref(conn);
}

bool destroy(void *self) {
  for (auto &pair : *map_of(self)) end(pair.second);
  delete map_of(self);
  return true;
}

void count(void *self, contest_counts *counts) {
  counts->size = map_of(self)->size();
}

bool put(void *self, const void *key, size_t, connection *conn) {
  connection_ref(conn);
  map::accessor at;
  connection *old = nullptr;
  if (!map_of(self)->insert(at, key_of(key))) old = at->second;
  at->second = conn;
  at.release();
  if (old) end(old);
  return true;
}

bool get(void *self, const void *key, size_t, uint64_t *sink) {
  map::const_accessor at;
  if (!map_of(self)->find(at, key_of(key))) return false;
  connection *conn = at->second;
  connection_ref(conn);
  at.release();
  *sink += conn->id;
  connection_unref(conn);
  return true;
}

bool with(void *self, const void *key, size_t, uint64_t *sink) {
  map::const_accessor at;
  if (!map_of(self)->find(at, key_of(key))) return false;
  *sink += at->second->id;
  return true;
}

bool drop(void *self, const void *key, size_t) {
  map::accessor at;
  if (!map_of(self)->find(at, key_of(key))) return false;
  connection *conn = at->second;
  map_of(self)->erase(at);
  end(conn);
  return true;
}

void batch(contest_worker *worker);

constexpr unsigned look_ups = 1u << WORKLOAD_HIT | 1u << WORKLOAD_HOT;
const contest_ops ops = {"tbb",   "",    look_ups, sizeof(key16), false, false, create,
                         destroy, count, put,      get,           with,  drop,  batch};

void batch(contest_worker *worker) {
  contest_batch(&ops, worker);
}

} // namespace

int main(int argc, char **argv) {
  return contest_main(&ops, argc, argv);
}
