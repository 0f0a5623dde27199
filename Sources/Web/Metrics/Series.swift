// The three kinds of series that a registry keeps. Counting must cost next to nothing, so each is a few numbers behind a lock.
import CoreMetrics
import Foundation
import Synchronization

/// A number that only grows.
final class CounterSeries: CounterHandler, FloatingPointCounterHandler {
    private let total = Mutex(0.0)

    var value: Double { total.withLock { $0 } }

    func increment(by amount: Int64) { increment(by: Double(amount)) }
    func increment(by amount: Double) { total.withLock { $0 += max(amount, 0) } }
    func reset() { total.withLock { $0 = 0 } }
}

/// A number that goes up and down.
final class GaugeSeries: MeterHandler, RecorderHandler {
    private let current = Mutex(0.0)

    var value: Double { current.withLock { $0 } }

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { current.withLock { $0 = value } }
    func increment(by amount: Double) { current.withLock { $0 += amount } }
    func decrement(by amount: Double) { current.withLock { $0 -= amount } }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }
}

/// How often a measured value fell below each of some bounds.
final class HistogramSeries: TimerHandler, RecorderHandler {
    /// From 1 ms to 10 s, as Prometheus' own libraries have them.
    static let bucketsOfSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    /// Powers of four: batch sizes, byte counts.
    static let bucketsOfSizes = [1.0, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576]

    private struct Counts {
        var buckets: [UInt64]
        var count: UInt64 = 0
        var sum = 0.0
    }

    private let bounds: [Double]
    private let counts: Mutex<Counts>

    init(bounds: [Double]) {
        self.bounds = bounds
        counts = Mutex(Counts(buckets: Array(repeating: 0, count: bounds.count)))
    }

    func record(_ value: Int64) { record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1_000_000_000) }
    func preferDisplayUnit(_ unit: TimeUnit) {}

    func record(_ value: Double) {
        let bucket = bounds.firstIndex { value <= $0 }
        counts.withLock { counts in
            if let bucket { counts.buckets[bucket] += 1 }
            counts.count += 1
            counts.sum += value
        }
    }

    /// The lines of this series: cumulative buckets, sum and count.
    func append(to lines: inout [String], key: PrometheusRegistry.Key) {
        let counts = counts.withLock { $0 }
        let prefix = key.labels.isEmpty ? "" : key.labels + ","
        var total: UInt64 = 0
        for (bound, count) in zip(bounds, counts.buckets) {
            total += count
            lines.append("\(key.name)_bucket{\(prefix)le=\"\(PrometheusRegistry.number(bound))\"} \(total)")
        }
        lines.append("\(key.name)_bucket{\(prefix)le=\"+Inf\"} \(counts.count)")
        lines.append(PrometheusRegistry.line(key.name + "_sum", key.labels, PrometheusRegistry.number(counts.sum)))
        lines.append(PrometheusRegistry.line(key.name + "_count", key.labels, String(counts.count)))
    }
}

/// What Linux says of the process; nothing on other systems.
enum ProcessMeters {
    /// Memory pages are 4 KiB on every machine that Debian 12 runs Swift on.
    private static let pageBytes = 4_096

    static func lines() -> [String] {
        guard let statm = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
            let pages = Int(statm.split(separator: " ").dropFirst().first ?? "")
        else { return [] }
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        return [
            "# TYPE process_resident_memory_bytes gauge", "process_resident_memory_bytes \(pages * pageBytes)",
            "# TYPE process_open_fds gauge", "process_open_fds \(files)",
        ]
    }
}
