// Where swift-metrics' counters, gauges and timers are kept, and how they are written for Prometheus. The executable
// bootstraps the metrics system with a registry and serves it on an address of its own (MetricsServer).
public import CoreMetrics
import Foundation
import Synchronization

/// A backend for swift-metrics that writes the Prometheus text format 0.0.4.
public final class PrometheusRegistry: MetricsFactory {
    /// Series that are kept. Each costs a few hundred bytes; a label that takes any value would fill this, not the memory.
    private static let seriesMax = 10_000

    struct Key: Hashable {
        let name: String
        let labels: String
    }

    private enum Series {
        case counter(CounterSeries)
        case gauge(GaugeSeries)
        case histogram(HistogramSeries)
    }

    private let series = Mutex<[Key: Series]>([:])

    public init() {}

    // MARK: MetricsFactory

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler { counter(label, dimensions) }
    public func makeFloatingPointCounter(label: String, dimensions: [(String, String)]) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler { gauge(label, dimensions) }

    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        // A recorder that does not aggregate is what `Gauge` is made of.
        aggregate ? histogram(label, dimensions, HistogramSeries.bucketsOfSizes) : gauge(label, dimensions)
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label.hasSuffix("_seconds") ? label : label + "_seconds", dimensions, HistogramSeries.bucketsOfSeconds)
    }

    // Series are kept when their handle goes: Prometheus takes a counter that vanishes and returns for a restart.
    public func destroyCounter(_ handler: any CounterHandler) {}
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    public func destroyMeter(_ handler: any MeterHandler) {}
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    public func destroyTimer(_ handler: any TimerHandler) {}

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> CounterSeries {
        let fresh = CounterSeries()
        let found = find(Self.key(label.hasSuffix("_total") ? label : label + "_total", dimensions), .counter(fresh))
        if case .counter(let counter) = found { return counter }
        return fresh
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeSeries {
        let fresh = GaugeSeries()
        if case .gauge(let gauge) = find(Self.key(label, dimensions), .gauge(fresh)) { return gauge }
        return fresh
    }

    private func histogram(_ label: String, _ dimensions: [(String, String)], _ bounds: [Double]) -> HistogramSeries {
        let fresh = HistogramSeries(bounds: bounds)
        if case .histogram(let histogram) = find(Self.key(label, dimensions), .histogram(fresh)) { return histogram }
        return fresh
    }

    /// The series of a name and its labels. One that is used for another kind, or too many, is measured but not shown.
    private func find(_ key: Key, _ fresh: Series) -> Series {
        series.withLock { series in
            if let found = series[key] { return found }
            if series.count < Self.seriesMax { series[key] = fresh }
            return fresh
        }
    }

    // MARK: Text

    /// Every series, sorted by name, with those of the process itself.
    public func text() -> String {
        let all = series.withLock { $0 }.sorted { ($0.key.name, $0.key.labels) < ($1.key.name, $1.key.labels) }
        var lines: [String] = []
        var lastName = ""
        for (key, series) in all {
            let kind =
                switch series {
                case .counter: "counter"
                case .gauge: "gauge"
                case .histogram: "histogram"
                }
            if key.name != lastName { lines.append("# TYPE \(key.name) \(kind)") }
            lastName = key.name
            switch series {
            case .counter(let counter): lines.append(Self.line(key.name, key.labels, Self.number(counter.value)))
            case .gauge(let gauge): lines.append(Self.line(key.name, key.labels, Self.number(gauge.value)))
            case .histogram(let histogram): histogram.append(to: &lines, key: key)
            }
        }
        lines.append(contentsOf: ProcessMeters.lines())
        return lines.joined(separator: "\n") + "\n"
    }

    static func line(_ name: String, _ labels: String, _ value: String) -> String {
        labels.isEmpty ? "\(name) \(value)" : "\(name){\(labels)} \(value)"
    }

    static func number(_ value: Double) -> String {
        if let whole = Int64(exactly: value) { return String(whole) }
        return value.isInfinite ? (value > 0 ? "+Inf" : "-Inf") : String(value)
    }

    private static func key(_ label: String, _ dimensions: [(String, String)]) -> Key {
        let labels = dimensions.sorted { $0.0 < $1.0 }.map { "\(name($0.0))=\"\(escaped($0.1))\"" }
        return Key(name: name(label), labels: labels.joined(separator: ","))
    }

    /// Names may have letters, digits and underscores; the dots of other conventions become underscores.
    private static func name(_ label: String) -> String {
        let name = String(
            label.unicodeScalars.map { $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0)) ? Character($0) : "_" })
        return name.first.map { $0.isNumber ? "_" + name : name } ?? "_"
    }

    private static func escaped(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
