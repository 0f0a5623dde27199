// What operators see: metrics, liveness and readiness, the document of the interface.
import CoreMetrics
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Postgres
import Primitives
import Synchronization
import TestSupport
import Testing

@testable import Web

@Suite struct OperationsTests {
    @Test func metricsAreWrittenAsPrometheusReadsThem() {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "web.refusals", dimensions: [("reason", "a\"b\\c\nd")]).increment(by: 3)
        registry.makeCounter(label: "web.refusals", dimensions: [("reason", "a\"b\\c\nd")]).increment(by: 4)
        registry.makeCounter(label: "jobs_total", dimensions: []).increment(by: 1)
        registry.makeRecorder(label: "queue", dimensions: [("b", "2"), ("a", "1")], aggregate: false).record(2.5)
        registry.makeMeter(label: "connections", dimensions: []).increment(by: 2)
        let timer = registry.makeTimer(label: "request", dimensions: [("route", "/a/{id}")])
        for milliseconds in [1, 3, 300, 20_000] as [Int64] { timer.recordNanoseconds(milliseconds * 1_000_000) }
        let lines = registry.text().split(separator: "\n").map(String.init)
        for line in [
            "# TYPE web_refusals_total counter", #"web_refusals_total{reason="a\"b\\c\nd"} 7"#, "jobs_total 1", #"queue{a="1",b="2"} 2.5"#,
            "connections 2", "# TYPE request_seconds histogram", #"request_seconds_bucket{route="/a/{id}",le="0.001"} 1"#,
            #"request_seconds_bucket{route="/a/{id}",le="0.005"} 2"#, #"request_seconds_bucket{route="/a/{id}",le="10"} 3"#,
            #"request_seconds_bucket{route="/a/{id}",le="+Inf"} 4"#, #"request_seconds_sum{route="/a/{id}"} 20.304"#,
            #"request_seconds_count{route="/a/{id}"} 4"#,
        ] { #expect(lines.contains(line), "\(line) is missing in\n\(lines.joined(separator: "\n"))") }
        #expect(lines.filter { $0.hasPrefix("# TYPE") }.count == Set(lines.filter { $0.hasPrefix("# TYPE") }).count)
    }

    @Test func aCounterLosesNothingUnderManyHands() async {
        let registry = PrometheusRegistry()
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    let counter = registry.makeCounter(label: "hits", dimensions: [("a", "b")])
                    for _ in 0..<1_000 { counter.increment(by: 1) }
                }
            }
        }
        #expect(registry.text().contains(#"hits_total{a="b"} 8000"#))
    }

    @Test func metricsAreServedOnTheirOwnAddress() async throws {
        let registry = PrometheusRegistry()
        registry.makeCounter(label: "hits", dimensions: []).increment(by: 1)
        let application = MetricsServer.build(registry: registry, address: .init(host: "127.0.0.1", port: 0), logger: quietLogger)
        try await application.test(.live) { client in
            try await client.execute(uri: "/metrics", method: .get) { response in
                #expect(response.headers[.contentType] == "text/plain; version=0.0.4; charset=utf-8")
                #expect(response.text.contains("hits_total 1"))
                #expect(response.text.contains("process_resident_memory_bytes "))
            }
            try await client.execute(uri: "/", method: .get) { #expect($0.status == .notFound) }
        }
        try await withSampleCity { client in
            try await client.execute(uri: "/metrics", method: .get) { #expect($0.status == .notFound) }
        }
    }

    @Test func readinessFollowsTheDatabaseAndLivenessDoesNot() async throws {
        let isDown = Atomic(true)
        let site = try sampleSite(sampleConfiguration())
        site.readiness = {
            if isDown.load(ordering: .relaxed) { throw DatabaseError.unavailable }
            return ["log-halted"]
        }
        site.publicAPI.get("/api/v1/rows") { _, _ in throw DatabaseError.queueFull }
        site.everyone.get("/rows") { _, _ in throw DatabaseError.connectionLost }
        let application = try WebApplication.build(site: site, logger: quietLogger)
        try await application.test(.router) { client in
            try await client.execute(uri: "/health/live", method: .get) { #expect($0.status == .ok) }
            for path in ["/health/ready", "/api/v1/rows", "/rows"] {
                try await client.execute(uri: path, method: .get) { response in
                    #expect(response.status == .serviceUnavailable)
                    #expect(response.headers[.retryAfter] == "5")
                    #expect(
                        response.text.contains(path == "/rows" ? "The service is not available just now" : "/problems/service-unavailable"))
                }
            }
            isDown.store(false, ordering: .relaxed)
            try await client.execute(uri: "/health/ready", method: .get) { response in
                #expect(response.status == .ok)
                #expect(response.text == #"{"status":"ready","warnings":["log-halted"]}"#)
            }
        }
    }

    @Test func aFullQueueIsNoFaultOfTheServer() async throws {
        let site = try sampleSite(sampleConfiguration())
        site.publicAPI.get("/api/v1/queue") { _, _ in throw GroupCommitError.queueFull }
        site.everyone.get("/queue") { _, _ in throw GroupCommitError.queueFull }
        let application = try WebApplication.build(site: site, logger: quietLogger)
        try await application.test(.router) { client in
            for path in ["/api/v1/queue", "/queue"] {
                try await client.execute(uri: path, method: .get) { response in
                    #expect(response.status == .serviceUnavailable)
                    #expect(response.headers[.retryAfter] == "1")
                }
            }
        }
    }

    @Test func theTypeOfAProblemLeadsToAPage() async throws {
        try await withSampleCity { client in
            try await client.execute(uri: "/problems/not-found", method: .get) { response in
                #expect(response.status == .ok)
                #expect(response.text.contains("<code>not-found</code>"))
            }
            for slug in ["%3Cb%3E", "invented", "title"] {
                try await client.execute(uri: "/problems/\(slug)", method: .get) { #expect($0.status == .notFound) }
            }
        }
    }

    @Test func aMistakeInATemplateOrTheNavigationStopsTheServer() throws {
        let broken = try sampleConfiguration(templates: ["sample/hello": "{{% CONTENT_TYPE:HTML}}\n<p>{{greting}}</p>"])
        #expect(throws: TemplateFailure.self) { try WebApplication.build(site: sampleSite(broken), logger: quietLogger) }
        let withoutPragma = try sampleConfiguration(templates: ["sample/other": "<p>x</p>"])
        #expect(throws: TemplateFailure.self) { try sampleSite(withoutPragma) }
        let site = try sampleSite(sampleConfiguration())
        site.addNavigation(.staff, path: "/x", textKey: "navigation.nowhere")
        #expect(throws: Catalogue.Failure.self) { try WebApplication.build(site: site, logger: quietLogger) }
    }

    @Test func theLogWriterKeepsTheOrderOfLines() throws {
        let path = try TemporaryFolder.make().path + "/lines"
        let descriptor = open(path, O_CREAT | O_WRONLY, 0o600)
        let writer = LineWriter(fileDescriptor: descriptor)
        for number in 0..<10_000 { writer.write(Array(String(number).utf8)) }
        writer.flush()
        close(descriptor)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text == (0..<10_000).map { "\($0)\n" }.joined())
    }
}
