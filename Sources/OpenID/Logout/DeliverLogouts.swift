// Beside the requests: services are told that somebody signed out (OpenID Connect Back-Channel Logout), again and again until they take it. Every node does it;
// the database gives each notice to one of them at a time.
import Foundation
import HTTPTypes
public import Logging
import Outgoing
public import Postgres
public import Web

/// The loop from log-outs to the services that wait to hear of them.
public struct LogoutDelivery: Sendable {
    private let database: Database
    private let keys: SigningKeys
    private let issuer: String
    private let out: GuardedPost
    private let logger: Logger

    /// Posts at once: each is a connection of its own, open for ten seconds where the service never answers.
    static let noticesMax = 32
    /// Of these, those of one service: eight that never answer would have to come together to hold up the others.
    static let noticesPerServiceMax = 4

    /// - Parameter permitsLoopback: whether services on this machine are posted to; never in a city.
    public init(database: Database, keys: SigningKeys, baseURL: BaseURL, permitsLoopback: Bool, logger: Logger) {
        self.database = database
        self.keys = keys
        issuer = baseURL.origin
        out = GuardedPost(permitsLoopback: permitsLoopback)
        self.logger = logger
    }

    /// Works until the task is cancelled. No service waits for another.
    public func run() async {
        await DeliveryLoop(
            "log-outs", countMax: Self.noticesMax, receiver: \.clientID,
            take: { count, busy in try await database.exclusive { try await $0.query(TakeLogouts(countMax: count, busy: busy)) } },
            send: { try await deliver($0) }, logger: logger
        ).run()
    }

    /// Tells what is due now, as far as there is room, and waits for all of it.
    /// - Returns: how many attempts that were.
    @discardableResult
    func deliverOnce() async throws -> Int {
        let notices = try await database.exclusive { try await $0.query(TakeLogouts(countMax: Self.noticesMax)) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for notice in notices { group.addTask { try await deliver(notice) } }
            try await group.waitForAll()
        }
        return notices.count
    }

    private func deliver(_ notice: LogoutNotice) async throws {
        let token = try LogoutToken(notice: notice, issuer: issuer).characters(key: await keys.current(notice.algorithm))
        // The characters of a token need no escaping in a form.
        let outcome = await out.post(to: notice.url) { _ in
            (Array("logout_token=\(token)".utf8), [.contentType: "application/x-www-form-urlencoded", .userAgent: "Stoa"])
        }
        if !outcome.isDelivered {
            logger.notice(
                "a service did not take a log-out",
                metadata: ["client_id": "\(notice.clientID)", "attempt": "\(notice.attempt)", "outcome": "\(outcome.words)"])
        }
        try await database.execute(noteLogout(notice, isTold: outcome.isDelivered, outcome: outcome.words))
    }
}

/// A log-out and the service to tell.
struct LogoutNotice: Sendable {
    let id: UUID
    /// Which attempt it is, from 1.
    let attempt: Int32
    let url: String
    let clientID: String
    let algorithm: SigningAlgorithm
    let signIn: UUID
    let subject: UUID
    /// The database's clock.
    let now: Date
}

/// `openid.take_logouts`.
private struct TakeLogouts: Query {
    let countMax: Int
    /// Services that are posted to already.
    var busy: [String] = []

    var sql: SQL {
        """
        SELECT id, attempt::integer, url, client_id, algorithm, sign_in_id, subject, now
          FROM openid.take_logouts(\(Int32(countMax)), \(Int32(LogoutDelivery.noticesPerServiceMax)), \(busy))
        """
    }

    func decode(_ row: inout RowReader) throws -> LogoutNotice {
        try LogoutNotice(
            id: row.next(), attempt: row.next(), url: row.next(), clientID: row.next(), algorithm: SigningAlgorithm(rawValue: row.next()) ?? .es256,
            signIn: row.next(), subject: row.next(), now: row.next())
    }
}

/// `openid.note_logout`.
private func noteLogout(_ notice: LogoutNotice, isTold: Bool, outcome: String) -> SQL {
    "SELECT openid.note_logout(\(notice.id), \(notice.attempt)::smallint, \(isTold), \(outcome))"
}

/// The token that a service is told with (Back-Channel Logout §2.4).
struct LogoutToken: Sendable {
    static let type = "logout+jwt"
    /// Read at once; two minutes leave room for clocks that differ (§2.4 recommends no more).
    static let lifetimeSeconds: Int64 = 120

    let notice: LogoutNotice
    let issuer: String

    func characters(key: SigningKey) throws -> String {
        try key.sign(
            [
                "iss": .string(issuer), "sub": .string(notice.subject.uuidString.lowercased()), "aud": .string(notice.clientID),
                "iat": .integer(notice.now.seconds), "exp": .integer(notice.now.seconds + Self.lifetimeSeconds),
                "jti": .string(notice.id.uuidString.lowercased()), "sid": .string(notice.signIn.uuidString.lowercased()),
                "events": ["http://schemas.openid.net/event/backchannel-logout": .object([])],
            ], type: Self.type)
    }
}
