// Every statement about addresses: the functions of migrations/0033_delivery.sql, which derive the account from the session.
import AccessLog
import Delivery
import Foundation
import Postgres
import Primitives
import Web

/// `identity.own_addresses`.
struct OwnAddresses: Query {
    let credential: CredentialHash

    struct Row: Sendable {
        let id: AddressID
        let kind: AddressKind
        let sealedValue: [UInt8]
        let key: SealingKey
        let addedAt: Date
        let verifiedAt: Date?
        let isPrimary: Bool
        let codeUntil: Date?
    }

    var sql: SQL {
        """
        SELECT id, kind, sealed_value, holder_id, key_id, wrapped_key, added_at, verified_at, is_primary, code_until
        FROM identity.own_addresses(\(credential.bytes))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let id = AddressID(try row.next(UUID.self))
        let kind = try row.next(word: AddressKind.self)
        return Row(
            id: id, kind: kind, sealedValue: try row.next(),
            key: try SealingKey(&row), addedAt: try row.next(),
            verifiedAt: try row.next(), isPrimary: try row.next(), codeUntil: try row.next())
    }
}

/// `identity.own_key`: what the session's resident gives is sealed under it.
struct OwnKey: Query {
    let credential: CredentialHash
    var sql: SQL { "SELECT holder_id, key_id, wrapped_key FROM identity.own_key(\(credential.bytes))" }
    func decode(_ row: inout RowReader) throws -> SealingKey {
        try SealingKey(&row)
    }
}

/// What identity.add_address answers.
enum AddAddressOutcome: String, Sendable {
    case sent
    case alreadyVerified = "already_verified"
    case tooManyCodes = "too_many_codes"
    case tooManyAddresses = "too_many_addresses"
    case credentialInvalid = "credential_invalid"
}

/// `identity.add_address`. It waits for whoever adds the same address, so it belongs on an exclusive connection.
struct AddAddress: Query {
    let session: CredentialHash
    let id: AddressID
    let kind: AddressKind
    let hmac: [UInt8]
    let holder: ResidentID
    let sealedValue: [UInt8]
    let codeHMAC: [UInt8]
    let outgoing: OutgoingID
    let sealedCode: [UInt8]
    let language: Language

    var sql: SQL {
        """
        SELECT outcome, address_id FROM identity.add_address(
            \(session.bytes), \(id.uuid), \(kind.rawValue), \(hmac), \(holder), \(sealedValue), \(codeHMAC), \(outgoing.uuid), \(sealedCode), \(language.tag))
        """
    }

    func decode(_ row: inout RowReader) throws -> (outcome: AddAddressOutcome, id: AddressID) {
        (try row.next(word: AddAddressOutcome.self), try row.next(UUID?.self).map { AddressID($0) } ?? id)
    }
}

/// What identity.verify_address answers.
enum VerifyAddressOutcome: Sendable, Equatable {
    case verified
    case wrong(triesLeft: Int)
    /// It ran out, was tried too often or was asked for in another browser.
    case ended
    case credentialInvalid
    /// Not of the form of a code, so that it was not tried.
    case malformed
}

/// `identity.verify_address`. It waits for another try, so it belongs on an exclusive connection.
struct VerifyAddress: Query {
    let session: CredentialHash
    let id: AddressID
    let codeHMAC: [UInt8]

    var sql: SQL { "SELECT outcome, tries_left FROM identity.verify_address(\(session.bytes), \(id.uuid), \(codeHMAC))" }

    func decode(_ row: inout RowReader) throws -> VerifyAddressOutcome {
        let (outcome, left) = (try row.next(String.self), try row.next(Int32?.self))
        switch outcome {
        case "verified": return .verified
        case "wrong": return .wrong(triesLeft: Int(left ?? 0))
        case "ended": return .ended
        case "credential_invalid": return .credentialInvalid
        default: throw DatabaseError.decoding(column: "verify_address", reason: "is no outcome that this server knows")
        }
    }
}

/// What identity.prefer_address and identity.remove_address answer.
enum ChangeAddressOutcome: String, Sendable {
    case changed
    case removed
    case unchanged
    /// Nothing would be left to sign in with.
    case lastName = "last_name"
    case addressUnknown = "address_unknown"
    case credentialInvalid = "credential_invalid"
}

/// `identity.prefer_address`; for an exclusive connection.
struct PreferAddress: Query {
    let session: CredentialHash
    let id: AddressID
    var sql: SQL { "SELECT identity.prefer_address(\(session.bytes), \(id.uuid))" }
    func decode(_ row: inout RowReader) throws -> ChangeAddressOutcome { try row.next(word: ChangeAddressOutcome.self) }
}

/// `identity.remove_address`; for an exclusive connection.
struct RemoveAddress: Query {
    let session: CredentialHash
    let id: AddressID
    var sql: SQL { "SELECT identity.remove_address(\(session.bytes), \(id.uuid))" }
    func decode(_ row: inout RowReader) throws -> ChangeAddressOutcome { try row.next(word: ChangeAddressOutcome.self) }
}

/// What residents can be reached about.
enum ContactTheme: String, Sendable, CaseIterable {
    case money
    case sharing
    case log
    case account
}

/// How a resident is reached.
struct ContactWishes: Sendable, Equatable {
    /// Nothing for a theme: its messages wait on the site.
    var channels: [ContactTheme: OutgoingChannel]
    /// Whether a letter follows where a message did not arrive.
    var wantsLetter: Bool
    /// Whether the register holds an address for letters.
    var canHaveLetters: Bool
}

/// `delivery.own_preferences`: a row each theme.
struct OwnContactWishes: Query {
    let credential: CredentialHash

    var sql: SQL { "SELECT theme, channel, wants_letter, can_have_letters FROM delivery.own_preferences(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> (theme: ContactTheme?, channel: OutgoingChannel?, wantsLetter: Bool, canHaveLetters: Bool) {
        (ContactTheme(rawValue: try row.next()), try row.next(String?.self).flatMap { OutgoingChannel(rawValue: $0) }, try row.next(), try row.next())
    }
}

extension ContactWishes {
    /// Read from the rows of ``OwnContactWishes``.
    init(_ rows: [(theme: ContactTheme?, channel: OutgoingChannel?, wantsLetter: Bool, canHaveLetters: Bool)]) {
        channels = Dictionary(rows.compactMap { row in row.theme.flatMap { theme in row.channel.map { (theme, $0) } } }, uniquingKeysWith: { first, _ in first })
        wantsLetter = rows.first?.wantsLetter ?? false
        canHaveLetters = rows.first?.canHaveLetters ?? false
    }
}

/// `delivery.choose`; for an exclusive connection. False: the session has ended.
struct ChooseContactWishes: Query {
    let session: CredentialHash
    let wishes: ContactWishes

    var sql: SQL {
        let chosen = wishes.channels.sorted { $0.key.rawValue < $1.key.rawValue }
        return """
            SELECT delivery.choose(\(session.bytes), \(chosen.map(\.key.rawValue)), \(chosen.map(\.value.rawValue)), \(wishes.wantsLetter))
            """
    }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
