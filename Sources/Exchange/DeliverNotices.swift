// Beside the requests: posts notices to the organisations that have a webhook, again and again until they take them. Every node does it;
// the database gives each notice to one of them at a time.
import Foundation
public import Logging
import Outgoing
public import Postgres
public import TransparencyLog

/// The loop from waiting notices to webhooks.
public struct NoticeDelivery: Sendable {
    private let database: Database
    private let post: NoticePost
    private let logger: Logger

    /// Posts at once, so that a receiver that never answers holds up few others, and for ten seconds.
    static let deliveriesPerTurnMax = 16
    /// How long an idle loop waits: webhooks are for those who do not want to wait longer.
    private static let idleWait = Duration.seconds(1)
    /// How long it waits after an error, for example while the database is away.
    private static let errorWait = Duration.seconds(5)

    /// - Parameters:
    ///   - signer: the city's key.
    ///   - permitsLoopback: whether receivers on this machine are posted to; never in a city.
    public init(database: Database, signer: Ed25519NoteSigner, permitsLoopback: Bool, logger: Logger) {
        self.database = database
        post = NoticePost(signer: signer, out: GuardedPost(permitsLoopback: permitsLoopback))
        self.logger = logger
    }

    /// Works until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            do {
                if try await deliverOnce() < Self.deliveriesPerTurnMax { try await Task.sleep(for: Self.idleWait) }
            } catch is CancellationError {
                return
            } catch {
                if Task.isCancelled { return }
                logger.error("delivering notices failed; will try again", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: Self.errorWait)
            }
        }
    }

    /// Posts what is due, at most `deliveriesPerTurnMax`.
    /// - Returns: how many attempts that were.
    @discardableResult
    public func deliverOnce() async throws -> Int {
        let deliveries = try await database.exclusive { try await $0.query(TakeDeliveries(countMax: Self.deliveriesPerTurnMax)) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for delivery in deliveries { group.addTask { try await deliver(delivery) } }
            try await group.waitForAll()
        }
        return deliveries.count
    }

    private func deliver(_ delivery: Delivery) async throws {
        let outcome = await post.post(delivery.notice, to: delivery.url)
        if !outcome.isDelivered {
            logger.notice(
                "a webhook did not take a notice",
                metadata: ["organisation": "\(delivery.notice.organisationID)", "attempt": "\(delivery.attempt)", "outcome": "\(outcome.words)"])
        }
        try await database.execute(noteDelivery(delivery, isDelivered: outcome.isDelivered, outcome: outcome.words))
    }
}

/// Sets webhooks, with the owner's role.
public enum WebhookAdministration {
    /// What can be a webhook, for whoever types one.
    public static let rule = "an address like https://clinic.example/stoa; plain http only for a receiver on this machine (http://127.0.0.1:9000/stoa)"

    /// Whether a text can be a webhook.
    public static func isAddress(_ text: String) -> Bool { WebhookAddress(text) != nil }

    /// - Parameter url: nil: the organisation is posted to no more, and reads its notices itself.
    /// - Throws: `DatabaseError`: a foreign key where there is no such organisation.
    public static func set(_ url: String?, of organisation: String, with owner: some Executor) async throws {
        try await owner.execute("SELECT exchange.set_webhook(\(organisation), \(url as String?))")
    }
}
