// The running server: the site on its port, the sequencer, what is cleaned up now and then, and a stop that finishes what was begun.
import AccessLog
import Consent
import Delivery
import Disputes
import Exchange
import Foundation
import Hummingbird
import Ledger
import Logging
import NIOCore
import OpenID
import Payments
import Payouts
import Postgres
import ServiceLifecycle
import UnixSignals
import Web

/// Serves one city until it is told to stop.
struct CityServer {
    let city: City
    let configuration: StoaConfiguration
    let logger: Logger
    let registry: PrometheusRegistry
    /// Brings an embedded cluster back that was killed; nil for a database elsewhere.
    let embedded: EmbeddedPostgres?
    let say: Say

    /// How often what has ended is removed. Nothing depends on it: ended rows count for nothing before they go.
    private static let janitorInterval = Duration.seconds(60)
    /// An unusual access becomes a task within a minute or so.
    private static let anomalyInterval = Duration.seconds(60)
    /// Reminders go by days, so minutes do not matter.
    private static let reminderInterval = Duration.seconds(600)
    /// How often the embedded cluster is looked at: an outage of the length of a slow page.
    private static let clusterInterval = Duration.seconds(1)

    /// Threads that move bytes between sockets and handlers: half of the cores. Handlers run on Swift's own pool, one thread a core; a loop a
    /// core beside it only makes the two wait for each other (36 % more CPU for a plain request on two cores).
    private static let eventLoops = max(1, System.coreCount / 2)

    /// Returns after a signal (Ctrl-C or SIGTERM), when requests in flight are answered and connections are closed.
    /// - Parameter onReady: called once the port is open.
    func run(onReady: @escaping @Sendable () async -> Void) async throws {
        NIOSingletons.groupLoopCountSuggestion = Self.eventLoops
        try await city.sequencer.signEmptyTree()
        let application = try WebApplication.build(site: city.site, logger: logger, onServerRunning: { _ in await onReady() })
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = []
        for (name, loop) in loops { services.append(.init(service: LoopService(name: name, loop: loop))) }
        if let address = configuration.metricsAddress {
            services.append(.init(service: MetricsServer.build(registry: registry, address: address, logger: logger)))
        }
        // Last in, first out: the site stops taking requests before what it stands on goes.
        services.append(.init(service: application))
        var group = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigint, .sigterm], logger: logger)
        group.maximumGracefulShutdownDuration = .seconds(configuration.stopSecondsMax)
        do {
            try await ServiceGroup(configuration: group).run()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw SetupError("Port \(configuration.port) of \(configuration.host) is in use by another program. PORT=… chooses another.")
        }
    }

    private var loops: [(String, @Sendable () async -> Void)] {
        let (database, sequencer, noticeDelivery, logoutDelivery, outgoing, signingKeys, paymentFiles, rules, logger, say) = (
            city.database, city.sequencer, city.noticeDelivery, city.logoutDelivery, city.outgoing, city.signingKeys, city.paymentFiles, configuration.anomalies, self.logger, self.say)
        var loops: [(String, @Sendable () async -> Void)] = [
            ("sequencer", { await sequencer.run() }),
            ("webhooks", { await noticeDelivery.run() }),
            ("log-outs", { await logoutDelivery.run() }),
            ("payment files", { await paymentFiles.run() }),
            ("outgoing messages", { await outgoing.run() }),
            (
                "janitor",
                {
                    await every(Self.janitorInterval) {
                        try await removeEnded(from: database)
                    } onError: { logger.warning("cleaning up failed; will try again", metadata: ["error": "\($0)"]) }
                }
            ),
            (
                "signing keys",
                {
                    await every(Self.janitorInterval) {
                        try await signingKeys.rotate()
                    } onError: { logger.error("the provider's keys were not rotated; will try again", metadata: ["error": "\($0)"]) }
                }
            ),
            (
                "reminders",
                { [zone = configuration.city.timeZone] in
                    await every(Self.reminderInterval) {
                        try await BillReminders.run(in: database, zone: zone)
                    } onError: { logger.warning("reminding of bills failed; will try again", metadata: ["error": "\($0)"]) }
                }
            ),
            (
                "anomalies",
                {
                    await every(Self.anomalyInterval) {
                        try await AnomalySearch.run(in: database, rules: rules)
                    } onError: { logger.error("unusual accesses were not looked for; will try again", metadata: ["error": "\($0)"]) }
                }
            ),
        ]
        if let witnesses = city.witnesses {
            loops.append(("witnesses", { await WitnessClient.with { await witnesses.run($0) } }))
        }
        if let embedded {
            loops.append((
                "database watch",
                {
                    await every(Self.clusterInterval) {
                        if try await embedded.startAgainIfKilled(say: say) { say("The database was killed and is running again.") }
                    } onError: { logger.error("the embedded database cannot be brought back", metadata: ["error": "\($0)"]) }
                }
            ))
        }
        return loops
    }
}

/// Rows that no request can need any more.
private func removeEnded(from database: Database) async throws {
    // Codes and tokens refer to requests, so tokens go first.
    try await database.execute("SELECT web.remove_ended_credentials()")
    try await OpenIDJanitor.removeEnded(from: database)
    try await database.execute("SELECT exchange.remove_past_volume()")
    try await database.execute("SELECT identity.remove_ended()")
    try await database.execute("SELECT identity.remove_old_challenges()")
    try await database.execute("SELECT exchange.remove_past_nonces()")
    try await database.execute("SELECT delivery.remove_done()")
    try await database.execute("SELECT identity.remove_unproven()")
    try await database.execute("SELECT identity.remove_old_letters()")
    try await ConsentJanitor.recordExpiries(in: database)
    try await LedgerJanitor.expireHolds(in: database)
    try await DisputeEscalation.run(in: database)
    // Twice the time that a client may sensibly take to ask again with the same key.
    try await database.execute("DELETE FROM web.idempotency_key WHERE created_at < public.stoa_now() - interval '2 days'")
}

/// Repeats until the task is cancelled. An error is told and does not end it.
private func every(_ interval: Duration, _ work: @Sendable () async throws -> Void, onError: @Sendable (any Error) -> Void) async {
    while !Task.isCancelled {
        do {
            try await work()
            try await Task.sleep(for: interval)
        } catch is CancellationError {
            return
        } catch {
            // Stopping cancels the statement that is under way; that is no failure.
            if Task.isCancelled { return }
            onError(error)
            try? await Task.sleep(for: interval)
        }
    }
}

/// A loop as a service that a graceful stop ends.
private struct LoopService: Service {
    let name: String
    let loop: @Sendable () async -> Void

    func run() async throws {
        await cancelWhenGracefulShutdown { await loop() }
    }
}
