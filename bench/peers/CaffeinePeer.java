// SPDX-License-Identifier: MIT
// Caffeine with the workloads of ../workload.c (the same formulas and keys, as the checksum of the stream proves), and
// with the output line and the checks of ../contest.c. It is configured like a connection store: a maximum size, expiry
// after access, and a removal listener that closes connections. A key is a record of its bytes as longs, created for
// each call, as an application would do. A value is a new object at each put, as usual in Java, without reference
// counts.
//
// Caffeine admits entries by frequency, so it is not the same kind of store: it may evict the new key. The measured
// time ends when the threads have made their calls. Evictions and listeners that still run then do not count, but the
// program waits for them (drain_ms), and then checks that all counters are consistent.

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import com.github.benmanes.caffeine.cache.RemovalListener;
import com.sun.management.OperatingSystemMXBean;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;

public final class CaffeinePeer {
  record Bytes(long low, long high) {}

  record Session(long id0, long id1, long id2, long id3, long name, long number) {}

  static final class Connection {
    static final VarHandle CLOSED;

    static {
      try {
        CLOSED = MethodHandles.lookup().findVarHandle(Connection.class, "closed", int.class);
      } catch (ReflectiveOperationException e) {
        throw new ExceptionInInitializerError(e);
      }
    }

    final long id;
    private volatile int closed;

    Connection(long id) {
      this.id = id;
    }

    void close() {
      if ((int) CLOSED.getAndSet(this, 1) != 0) closedTwice.increment();
      else closedCount.increment();
    }
  }

  static final LongAdder closedCount = new LongAdder();
  static final LongAdder closedTwice = new LongAdder();
  // Removals without a value: version 2.6.2 can lose the value if an explicit removal races with another operation (its
  // issue 412, of 2020). These connections cannot be closed; the output line contains their number.
  static final LongAdder lost = new LongAdder();

  // ---------------------------------------------------------------------------------------------- workload ----

  static final long GOLDEN = 0x9e3779b97f4a7c15L;
  static final long INDEX_FILL = 1L << 40, INDEX_RANK = 2L << 40, INDEX_CHURN = 4L << 40;
  static final int GET = 0, PUT = 1, REMOVE = 2;
  static final List<String> WORKLOADS = List.of("churn", "zipf", "hit", "hot", "mixed");

  static String workload = "";
  static int capacity = 10000, threads = 2;
  static long seed = 1, warmMs = 2000;
  static double seconds = 2;
  static boolean pool = true;

  static long mix(long x) {
    x = (x ^ (x >>> 30)) * 0xbf58476d1ce4e5b9L;
    x = (x ^ (x >>> 27)) * 0x94d049bb133111ebL;
    return x ^ (x >>> 31);
  }

  static long low(long index) {
    return mix(mix(seed) + index * GOLDEN);
  }

  static long high(long low) {
    return mix(low + GOLDEN);
  }

  static boolean session = true;
  static final String DIGITS = "0123456789abcdef";

  // Eight digits of a word, as bytes in a little-endian word.
  static long digits(long word, int from) {
    long eight = 0;
    for (int i = 0; i < 8; i++) eight |= (long) DIGITS.charAt((int) (word >>> 4 * (from + i) & 15)) << 8 * i;
    return eight;
  }

  static int keyLongs() {
    return session ? 6 : 2;
  }

  static void writeKey(long index, long[] keys, int at) {
    long first = low(index), second = high(first);
    if (!session) {
      keys[at] = first;
      keys[at + 1] = second;
      return;
    }
    keys[at] = digits(first, 0);
    keys[at + 1] = digits(first, 8);
    keys[at + 2] = digits(second, 0);
    keys[at + 3] = digits(second, 8);
    keys[at + 4] = 0x00726574_6e756f63L; // "counter" and its end
    keys[at + 5] = 1 + Long.remainderUnsigned(second, 60);
  }

  static Object readKey(long[] k, int at) {
    return session ? new Session(k[at], k[at + 1], k[at + 2], k[at + 3], k[at + 4], k[at + 5])
        : new Bytes(k[at], k[at + 1]);
  }

  static Object key(long index) {
    long[] longs = new long[6];
    writeKey(index, longs, 0);
    return readKey(longs, 0);
  }

  static final class Draws {
    long state;

    Draws(long state) {
      this.state = state;
    }

    long next() {
      return mix(state += GOLDEN);
    }

    long below(long bound) {
      return ((next() >>> 32) * bound) >>> 32;
    }

    int rank(double[] sums) {
      double target = (double) (next() >>> 11) * 0x1.0p-53 * sums[sums.length - 1];
      int low = 0, high = sums.length - 1;
      while (low < high) {
        int middle = (low + high) / 2;
        if (sums[middle] > target) high = middle;
        else low = middle + 1;
      }
      return low;
    }
  }

  static double[] sums() {
    double[] sums = new double[capacity * 10];
    double sum = 0;
    for (int rank = 0; rank < sums.length; rank++) sums[rank] = sum += StrictMath.pow(rank + 1, -0.99);
    return sums;
  }

  static boolean ranked() {
    return workload.equals("zipf") || workload.equals("mixed");
  }

  static long checksum;

  // ---------------------------------------------------------------------------------------------- a thread ----

  static final int WARM = 0, TIMED = 1, OVER = 2, BATCH = 256, EACH_TIMED = 32;
  static volatile int phase = WARM;

  static final class Worker extends Thread {
    final Cache<Object, Connection> cache;
    final CyclicBarrier start;
    final long[] keys;
    final byte[] ops;
    int at;
    long gets, hits, puts, opsCount, elapsedNs, sink;
    final long[] samples;
    int samplesCount;

    Worker(int thread, double[] sums, Cache<Object, Connection> cache, CyclicBarrier start) {
      this.cache = cache;
      this.start = start;
      int count = 1 << 10;
      while ((long) count * threads < 1 << 20 || count < 4 * capacity) count *= 2;
      if (workload.equals("hot")) count = 1;
      boolean mixed = workload.equals("mixed");
      keys = new long[keyLongs() * count];
      ops = new byte[mixed ? count : 0];
      samples = new long[mixed ? 1 << 21 : 0];
      Draws from = new Draws(mix(seed + (thread + 1) * GOLDEN));
      for (int i = 0; i < count; i++) {
        long index = switch (workload) {
          case "churn" -> INDEX_CHURN + ((long) thread << 32) + i;
          case "hit" -> INDEX_FILL + from.below(capacity);
          case "hot" -> INDEX_FILL;
          default -> INDEX_RANK + from.rank(sums);
        };
        writeKey(index, keys, keyLongs() * i);
        int op = GET;
        if (mixed) {
          long percent = from.below(100);
          op = percent < 90 ? GET : percent < 99 ? PUT : REMOVE;
          ops[i] = (byte) op;
        }
        checksum = (checksum ^ (keys[keyLongs() * i] + op)) * 0x100000001b3L;
      }
    }

    Object nextKey() {
      Object key = readKey(keys, at);
      at = at + keyLongs() == keys.length ? 0 : at + keyLongs();
      return key;
    }

    boolean get(Object key) {
      Connection found = cache.getIfPresent(key);
      gets++;
      if (found == null) return false;
      hits++;
      sink += found.id;
      return true;
    }

    void put(Object key) {
      cache.put(key, new Connection(++puts));
    }

    void mixedOp() {
      int op = ops[at / keyLongs()];
      Object key = nextKey();
      if (op == GET) get(key);
      else if (op == PUT) put(key);
      else cache.invalidate(key);
    }

    void churnBatch() {
      for (int i = 0; i < BATCH; i++) put(nextKey());
    }

    void zipfBatch() {
      for (int i = 0; i < BATCH; i++) {
        Object key = nextKey();
        if (!get(key)) put(key);
      }
    }

    void hitBatch() {
      for (int i = 0; i < BATCH; i++) get(nextKey());
    }

    void mixedBatch() {
      for (int i = 0; i < BATCH; i++) {
        if (i % EACH_TIMED != 0) {
          mixedOp();
          continue;
        }
        long began = System.nanoTime();
        mixedOp();
        if (samplesCount < samples.length) samples[samplesCount++] = System.nanoTime() - began;
      }
    }

    void batch() {
      switch (workload) {
        case "churn" -> churnBatch();
        case "zipf" -> zipfBatch();
        case "mixed" -> mixedBatch();
        default -> hitBatch();
      }
      opsCount += BATCH;
    }

    @Override
    public void run() {
      try {
        start.await();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
      while (phase == WARM) batch();
      gets = hits = opsCount = samplesCount = 0;
      long began = System.nanoTime();
      do batch();
      while (phase == TIMED);
      elapsedNs = System.nanoTime() - began;
    }
  }

  // ---------------------------------------------------------------------------------------------- all of it ----

  static Cache<Object, Connection> cache() {
    RemovalListener<Object, Connection> listener = (key, gone, cause) -> {
      if (gone != null) gone.close();
      else lost.increment();
    };
    Caffeine<Object, Connection> builder = Caffeine.newBuilder()
        .maximumSize(capacity)
        .expireAfterAccess(10, TimeUnit.MINUTES)
        .removalListener(listener);
    if (!pool) builder.executor(Runnable::run);
    return builder.build();
  }

  static void settle(Cache<?, ?> cache) {
    cache.cleanUp();
    ForkJoinPool.commonPool().awaitQuiescence(5, TimeUnit.MINUTES);
    cache.cleanUp();
    ForkJoinPool.commonPool().awaitQuiescence(5, TimeUnit.MINUTES);
  }

  // CPU time of the whole process, because the threads of the garbage collector and of the executor also work.
  static long cpuNs() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  static long heapBytes() {
    for (int i = 0; i < 3; i++) System.gc();
    return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
  }

  static double percentileUs(Worker[] workers, double share) {
    long[] all = new long[Arrays.stream(workers).mapToInt(w -> w.samplesCount).sum()];
    int at = 0;
    for (Worker worker : workers) {
      System.arraycopy(worker.samples, 0, all, at, worker.samplesCount);
      at += worker.samplesCount;
    }
    Arrays.sort(all);
    return all.length == 0 ? 0 : all[(int) (share * (all.length - 1))] / 1e3;
  }

  static int failures;

  static void check(String what, long a, long b) {
    if (a == b) return;
    System.err.println("caffeine: " + what + ": " + a + ", " + b);
    failures++;
  }

  static void parse(String[] args) {
    Map<String, String> given = new HashMap<>();
    for (int i = 0; i + 1 < args.length; i += 2) given.put(args[i], args[i + 1]);
    workload = given.getOrDefault("--workload", "");
    capacity = Integer.parseInt(given.getOrDefault("--capacity", "10000"));
    threads = Integer.parseInt(given.getOrDefault("--threads", "2"));
    seconds = Double.parseDouble(given.getOrDefault("--seconds", "2"));
    warmMs = Long.parseLong(given.getOrDefault("--warm-ms", "2000"));
    seed = Long.parseLong(given.getOrDefault("--seed", "1"));
    pool = given.getOrDefault("--executor", "pool").equals("pool");
    session = given.getOrDefault("--keys", "session").equals("session");
    if (WORKLOADS.contains(workload)) return;
    System.err.println("caffeine: --workload: " + String.join(", ", WORKLOADS));
    System.exit(2);
  }

  public static void main(String[] args) throws InterruptedException {
    parse(args);
    Cache<Object, Connection> cache = cache();
    CyclicBarrier start = new CyclicBarrier(threads);
    double[] sums = ranked() ? sums() : null;
    Worker[] workers = new Worker[threads];
    for (int i = 0; i < threads; i++) workers[i] = new Worker(i, sums, cache, start);
    long before = heapBytes();
    for (int i = 0; i < capacity; i++)
      cache.put(key(ranked() ? INDEX_RANK + (capacity - 1 - i) : INDEX_FILL + i), new Connection(-i));
    for (Worker worker : workers) worker.start();
    Thread.sleep(warmMs);
    long cpu = cpuNs();
    phase = TIMED;
    Thread.sleep((long) (seconds * 1000));
    phase = OVER;
    cpu = cpuNs() - cpu;
    double mops = 0;
    long put = capacity, gets = 0, hits = 0, opsCount = 0, elapsedNs = 0;
    for (Worker worker : workers) {
      worker.join();
      mops += worker.opsCount * 1e3 / worker.elapsedNs;
      put += worker.puts;
      gets += worker.gets;
      hits += worker.hits;
      opsCount += worker.opsCount;
      elapsedNs += worker.elapsedNs;
    }
    long drain = System.nanoTime();
    settle(cache);
    drain = System.nanoTime() - drain;
    long size = cache.estimatedSize(), removed = closedCount.sum(), bytes = heapBytes() - before;
    check("put is not removed, lost and live", put, removed + lost.sum() + size);
    if (size > capacity) check("more than its capacity", size, capacity);
    cache.invalidateAll();
    settle(cache);
    check("closed and lost is not put after its end", closedCount.sum() + lost.sum(), put);
    check("closed twice", closedTwice.sum(), 0);
    String latency = workload.equals("mixed")
        ? String.format(Locale.ROOT, " p99_us=%.2f p999_us=%.2f", percentileUs(workers, 0.99),
            percentileUs(workers, 0.999))
        : "";
    long connectionBytes = 24;
    System.out.printf(Locale.ROOT, "caffeine-%s %s capacity=%d threads=%d mops=%.3f ns_per_op=%.1f"
        + " cpu_ns_per_op=%.1f hit_ratio=%.4f"
        + " size=%d put=%d removed=%d closed=%d bytes_per_entry=%.1f%s lost=%d drain_ms=%.0f keys=%s key_bytes=%d api=get"
        + " stream=%016x%n",
        pool ? "pool" : "caller", workload, capacity, threads, mops, (double) elapsedNs / opsCount, (double) cpu / opsCount,
        gets == 0 ? 0 : (double) hits / gets, size, put, removed, closedCount.sum(),
        (double) bytes / size - connectionBytes, latency, lost.sum(), drain / 1e6, session ? "session" : "bytes",
        8 * keyLongs(), checksum);
    System.exit(failures == 0 ? 0 : 1);
  }
}
