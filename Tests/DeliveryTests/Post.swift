// A city with an outbox: messages written as a slice writes them, and adapters that a test looks into.
import City
import Foundation
import Logging
import Postgres
import Primitives
import Register
import Synchronization
import TestSupport
import Web

@testable import Delivery

struct Post {
    let city: CityFixture
    let ada: FixtureResident
    let adapter = RecordingAdapter()

    static let start = Date(timeIntervalSince1970: 1_801_353_600)  // 31 January 2027

    init() async throws {
        city = try await CityFixture.make()
        ada = try await city.resident()
    }

    static func texts(city: String = "Marisport", baseURL: String = "https://stoa.example") throws -> OutgoingTexts {
        var catalogues: [Language: Catalogue] = [:]
        for language in Language.allCases {
            catalogues[language] = try Catalogue(language: language, directory: TestCluster.projectRoot.path + "/config/locales/\(language.tag)")
        }
        return try OutgoingTexts(catalogues: catalogues, city: city, baseURL: try BaseURL(baseURL))
    }

    func node() throws -> OutgoingDelivery {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return OutgoingDelivery(
            database: city.app, vault: city.vault, texts: try Self.texts(), email: adapter, shortMessages: adapter, logger: logger)
    }

    /// Writes a message, as the functions of other slices do: with a role that may.
    @discardableResult
    func put(
        _ channel: OutgoingChannel = .email, to address: String? = "ada@example.org", for resident: FixtureResident? = nil, template: String = "news",
        expiresAt: Date? = nil, on executor: (any Executor)? = nil
    ) async throws -> OutgoingID {
        let (id, resident) = (OutgoingID.new(), resident ?? ada)
        let sealed = try await address.asyncMap {
            try OutgoingSealing(vault: city.vault).recipient($0, on: channel, of: resident.id, under: try await key(of: resident))
        }
        let statement: SQL = """
            SELECT delivery.put(\(id.uuid), \(resident.id), \(channel.rawValue), \(template), 'en', \(sealed as [UInt8]?), NULL, \(expiresAt as Date?))
            """
        if let executor { try await executor.execute(statement) } else { try await city.owner.execute(statement) }
        return id
    }

    func key(of resident: FixtureResident) async throws -> DataKey {
        let (keyID, bytes) = try await city.owner.one(KeyOf(resident: resident.id))
        return try city.vault.unwrap(WrappedKey(keyID: keyID, bytes: bytes), of: resident.id)
    }

    /// `sent`, `failed` or `waiting`, the outcome's words, and whether anything sealed is left.
    func state(of id: OutgoingID) async throws -> String {
        try await city.owner.one(
            OneValue(
                """
                SELECT CASE WHEN sent_at IS NOT NULL THEN 'sent' WHEN failed_at IS NOT NULL THEN 'failed' ELSE 'waiting' END || ': ' || coalesce(outcome, 'none')
                    || CASE WHEN sealed_recipient IS NULL AND sealed_parameters IS NULL THEN ', erased' ELSE '' END
                FROM delivery.outgoing WHERE id = \(id.uuid)
                """))
    }

    func at(minutes: Double) async throws { try await city.stopClock(at: Self.start + minutes * 60) }
}

private struct KeyOf: Query {
    let resident: ResidentID
    var sql: SQL { "SELECT key_id, wrapped_key FROM register.data_key WHERE resident_id = \(resident)" }
    func decode(_ row: inout RowReader) throws -> (String, [UInt8]) { (try row.next(), try row.next()) }
}

extension Optional {
    fileprivate func asyncMap<Other>(_ transform: (Wrapped) async throws -> Other) async rethrows -> Other? {
        guard let self else { return nil }
        return try await transform(self)
    }
}

/// Keeps what it is given, and answers what it is told to.
actor RecordingAdapter: EmailAdapter, ShortMessageAdapter {
    private(set) var emails: [EmailMessage] = []
    private(set) var shortMessages: [(text: String, to: String)] = []
    private var answer = SendOutcome.sent("status 250")
    private var held: [String: [CheckedContinuation<Void, Never>]] = [:]
    private var isHeld: Set<String> = []
    private var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

    func answer(_ outcome: SendOutcome) { answer = outcome }

    /// Messages to this address wait until it is let go.
    func hold(_ address: String) { isHeld.insert(address) }

    func letGo(_ address: String) {
        isHeld.remove(address)
        for continuation in held.removeValue(forKey: address) ?? [] { continuation.resume() }
    }

    /// Returns once so many e-mails have gone out.
    func sent(_ count: Int) async {
        if emails.count >= count { return }
        await withCheckedContinuation { watchers.append((count, $0)) }
    }

    func send(_ message: EmailMessage) async -> SendOutcome {
        if isHeld.contains(message.to.text) { await withCheckedContinuation { held[message.to.text, default: []].append($0) } }
        emails.append(message)
        for watcher in watchers where watcher.count <= emails.count { watcher.continuation.resume() }
        watchers.removeAll { $0.count <= emails.count }
        return answer
    }

    func send(_ message: ShortMessage, to number: PhoneNumber, id: OutgoingID) async -> SendOutcome {
        shortMessages.append((message.text, number.text))
        return answer
    }
}
