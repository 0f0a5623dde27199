// The provider's keys: which one signs, which ones are published, and their rotation. They lie in the database, wrapped under the city's
// key-encryption key; the rules of time are in migrations/0032_openid_provider.sql.
import Foundation
public import Postgres
import Primitives
public import Register
import Synchronization
import Web

/// The keys of one node, read again from time to time. What is made by one node signs on all of them.
public final class SigningKeys: Sendable {
    private struct Entry: Sendable {
        let key: SigningKey
        let signsFrom: Date
    }

    private struct Held: Sendable {
        var entries: [Entry] = []
        var readAt: ContinuousClock.Instant?
    }

    private let database: Database
    private let vault: ResidentVault
    private let held = Mutex(Held())

    /// For how long a node goes by what it read. A key is published a day before it signs, so a minute is nothing.
    static let rereadSeconds = 60

    public init(database: Database, vault: ResidentVault) {
        self.database = database
        self.vault = vault
    }

    /// Makes the keys that are due, and removes those whose time is over. Any number of nodes may do this at once.
    /// - Throws: `DatabaseError`.
    public func rotate() async throws {
        for name in try await database.query(DueAlgorithms()) {
            if let algorithm = SigningAlgorithm(rawValue: name) { try await add(algorithm) }
        }
        _ = try await database.one(RemovePastKeys())
        held.withLock { $0.readAt = nil }
    }

    /// The key that signs now.
    func current(_ algorithm: SigningAlgorithm) async throws -> SigningKey {
        if let key = try await newest(algorithm) { return key }
        // A city that has just begun: the schedule has not come round yet.
        try await add(algorithm)
        held.withLock { $0.readAt = nil }
        guard let key = try await newest(algorithm) else { throw SigningKeyMissing(algorithm: algorithm.rawValue) }
        return key
    }

    /// The public keys, those that sign soon and those that signed lately included (RFC 7517 §5).
    func keySet() async throws -> JSONValue {
        _ = try await current(.es256)
        return ["keys": .array(try await entries().map(\.key.publicJWK))]
    }

    /// The claims of a token that one of these keys signed; nil for any other text.
    /// - Parameter type: the `typ` that it must have.
    func claims(of compact: String, type: String) async throws -> JSONValue? {
        let parts = compact.split(separator: ".", omittingEmptySubsequences: false)
        guard compact.utf8.count <= Self.tokenCharactersMax, parts.count == 3, let signature = Base64URL.decode(String(parts[2])),
            let header = Self.object(parts[0]), header["typ"]?.text == type, header["crit"] == nil, let keyID = header["kid"]?.text,
            let key = try await entries().first(where: { $0.key.keyID == keyID })?.key, header["alg"]?.text == key.algorithm.rawValue,
            key.isValid(signature, over: Array((parts[0] + "." + parts[1]).utf8))
        else { return nil }
        return Self.object(parts[1])
    }

    /// Our own have some 900.
    private static let tokenCharactersMax = 4_000

    private static func object(_ part: Substring) -> JSONValue? {
        Base64URL.decode(String(part)).flatMap { try? JSONScanner.scan($0) }
    }

    private func add(_ algorithm: SigningAlgorithm) async throws {
        let key = try SigningKey(new: algorithm)
        let sealed = try vault.sealSecret(key.privateBytes, as: SigningKey.secretLabel, id: SigningKey.secretID(of: key.keyID))
        let addition = AddSigningKey(key: key, encryptionKeyID: vault.keyID, sealed: sealed)
        _ = try await database.exclusive { try await $0.one(addition) }
    }

    private func newest(_ algorithm: SigningAlgorithm) async throws -> SigningKey? {
        let now = try await entries()
        return now.last { $0.key.algorithm == algorithm && $0.isDue }?.key
    }

    private func entries() async throws -> [(key: SigningKey, isDue: Bool)] {
        let known = held.withLock { held in
            held.readAt.map { $0.duration(to: .now) < .seconds(Self.rereadSeconds) } == true ? held.entries : nil
        }
        if let known, !known.isEmpty { return known.map { ($0.key, $0.signsFrom <= Date()) } }
        let rows = try await database.query(FindSigningKeys())
        let entries = try rows.map { row in
            let key = try SigningKey(
                row.algorithm, privateBytes: vault.openSecret(row.sealed, as: SigningKey.secretLabel, id: SigningKey.secretID(of: row.keyID)))
            // By the database's clock, which may run apart from this machine's.
            return Entry(key: key, signsFrom: Date().addingTimeInterval(row.signsFrom.timeIntervalSince(row.now)))
        }
        held.withLock { $0 = Held(entries: entries, readAt: .now) }
        return entries.map { ($0.key, $0.signsFrom <= Date()) }
    }
}

/// The database gave no key back that was just made for it.
struct SigningKeyMissing: Error {
    let algorithm: String
}

extension SigningKey {
    /// What the private half is sealed as.
    fileprivate static let secretLabel: StaticString = "openid/signing-key"

    /// The first half of the thumbprint: sealed under it, no key can take another's place.
    fileprivate static func secretID(of keyID: String) -> UUID {
        var id = UUID().uuid
        let bytes = Base64URL.decode(keyID) ?? []
        withUnsafeMutableBytes(of: &id) { $0.copyBytes(from: bytes.prefix(16)) }
        return UUID(uuid: id)
    }
}

private struct DueAlgorithms: Query {
    var sql: SQL { "SELECT d.name FROM openid.due_algorithms() AS d (name)" }
    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

private struct RemovePastKeys: Query {
    var sql: SQL { "SELECT openid.remove_past_keys()" }
    func decode(_ row: inout RowReader) throws -> Int32 { try row.next() }
}

private struct AddSigningKey: Query {
    let key: SigningKey
    let encryptionKeyID: String
    let sealed: [UInt8]

    var sql: SQL {
        """
        SELECT openid.add_signing_key(
            \(key.keyID), \(key.algorithm.rawValue), \(JSONText(String(decoding: key.publicJWK.serialised(), as: UTF8.self))), \(encryptionKeyID), \(sealed))
        """
    }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

private struct FindSigningKeys: Query {
    struct Row: Sendable {
        let keyID: String
        let algorithm: SigningAlgorithm
        let sealed: [UInt8]
        let signsFrom: Date
        let now: Date
    }

    var sql: SQL {
        """
        SELECT k.kid, k.algorithm, k.wrapped_private_key, k.signs_from, public.stoa_now() FROM openid.signing_key AS k ORDER BY k.algorithm, k.signs_from
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let keyID = try row.next(String.self)
        let name = try row.next(String.self)
        guard let algorithm = SigningAlgorithm(rawValue: name) else { throw SigningKeyMissing(algorithm: name) }
        return try Row(keyID: keyID, algorithm: algorithm, sealed: row.next(), signsFrom: row.next(), now: row.next())
    }
}
