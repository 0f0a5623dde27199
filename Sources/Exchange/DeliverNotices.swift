// Beside the requests: posts notices to the organisations that have a webhook, again and again until they take them. Every node does it;
// the database gives each notice to one of them at a time.
// Decided in `exchange.take_deliveries` and `exchange.note_delivery` (0024_notices.sql).
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

    /// Posts at once: each is a connection of its own, open for ten seconds where the receiver never answers.
    static let deliveriesMax = 16
    /// Of these, those of one organisation: four receivers that never answer would have to come together to hold up the others.
    static let deliveriesPerOrganisationMax = 4
    /// - Parameters:
    ///   - signer: the city's key.
    ///   - permitsLoopback: whether receivers on this machine are posted to; never in a city.
    public init(database: Database, signer: Ed25519NoteSigner, permitsLoopback: Bool, logger: Logger) {
        self.database = database
        post = NoticePost(signer: signer, out: GuardedPost(permitsLoopback: permitsLoopback))
        self.logger = logger
    }

    /// Works until the task is cancelled. Nobody waits for another's receiver.
    public func run() async {
        await DeliveryLoop(
            "notices", countMax: Self.deliveriesMax, receiver: { $0.notice.organisationID },
            take: { count, busy in try await database.exclusive { try await $0.query(TakeDeliveries(countMax: count, busy: busy)) } },
            send: { try await deliver($0) }, logger: logger
        ).run()
    }

    /// Posts what is due now, as far as there is room, and waits for all of it.
    /// - Returns: how many attempts that were.
    @discardableResult
    func deliverOnce() async throws -> Int {
        let deliveries = try await database.exclusive { try await $0.query(TakeDeliveries(countMax: Self.deliveriesMax)) }
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
