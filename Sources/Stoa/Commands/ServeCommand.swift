// `stoa serve` and `stoa demo`: the same server, with and without a city made for looking around.
import ArgumentParser
import CoreMetrics
import Foundation
import Logging
import Postgres
import TransparencyLog
import Web

/// `stoa serve`
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serves the city of this installation.",
        discussion: """
            Without database.url it starts a private PostgreSQL in the data directory. Migrations are applied first; with database.url alone nothing
            is changed, and a migration that is due is refused: run `stoa migrate` with database.migration_url, the owner's.
            Ctrl-C finishes the requests in flight, closes the connections and stops the private PostgreSQL.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "The port to listen on (default: 8080, or PORT).") var port: Int?

    func run() async throws {
        try await serve(try await common.load(portSetting(port))) { _, _ in nil }
    }
}

/// `stoa demo`
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "Serves a small made-up city to look around in.",
        discussion: """
            Makes the city at the first start and keeps it: residents, staff, organisations, bills and a benefit that waits for approval.
            Who can sign in is printed, and written to demo.json in the data directory, readable by you alone.
            """)

    @OptionGroup var common: CommonOptions
    @Option(help: "The port to listen on (default: 8080, or PORT).") var port: Int?

    func run() async throws {
        var settings = portSetting(port)
        // Whoever looks around has no app with the staff's secrets at hand; the environment decides otherwise.
        let secondFactor = StoaConfiguration.Key.staffSecondFactor
        if ProcessInfo.processInfo.environment[secondFactor.variable] == nil { settings[secondFactor.key] = "when_asked" }
        var configuration = try await common.load(settings)
        if configuration.city.localities.isEmpty { configuration.city.localities = [DemoScript.locality] }
        configuration.permitsLoopbackWebhooks = true
        guard configuration.database.url == nil else {
            throw SetupError("The demo city lives in a database of its own. Remove database.url, or use `stoa serve`.")
        }
        try await serve(configuration) { installation, keys in
            let demo = try await DemoCity.load(in: installation, keys: keys)
            return { demo.introduction }
        }
    }
}

private func portSetting(_ port: Int?) -> [String: String] {
    port.map { [StoaConfiguration.Key.port.key: String($0)] } ?? [:]
}

/// Opens the installation, prepares it, serves until told to stop, and closes everything in the opposite order.
private func serve(
    _ configuration: StoaConfiguration, prepare: @escaping @Sendable (Installation, KeyRing) async throws -> (@Sendable () -> String)?
) async throws {
    let logger = configuration.makeLogger()
    try await requireFreePorts(configuration)
    // Before the pool is made: what counts takes its series when it is made, and before this there are none.
    let registry = PrometheusRegistry()
    if configuration.metricsAddress != nil { MetricsSystem.bootstrap(registry) }
    try await Installation.with(configuration, creatingData: true, say: sayToPerson) { installation in
        try await installation.migrate()
        try await installation.withPool(.app, logger: logger) { database in
            let keys = try await KeyRing.open(configuration, data: installation.data, database: database, say: sayToPerson)
            let introduction = try await prepare(installation, keys)
            let city = try City(configuration, database: database, url: try installation.url(.app), keys: keys, logger: logger)
            let server = CityServer(
                city: city, configuration: configuration, logger: logger, registry: registry, embedded: installation.embedded, say: sayToPerson)
            installation.signals.handOver()
            do {
                try await server.run {
                    sayToPerson("The log's verifier key, to publish: \(keys.logSigner.verifier.vkey)")
                    if let witness = keys.witnessSigner?.verifier { sayToPerson("The witness's verifier key, for the logs that it signs for: \(witness.vkey)") }
                    sayToPerson(introduction?() ?? "Serving \(configuration.baseURL.origin) — Ctrl-C stops.")
                }
            } catch {
                await city.doorDatabase.shutdown()
                throw error
            }
            await city.doorDatabase.shutdown()
        }
    }
    sayToPerson("Stopped.")
}
