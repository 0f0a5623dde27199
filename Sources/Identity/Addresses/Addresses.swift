// Use cases: an address is added, proven by the code that was sent to it, preferred, removed. The decision that counts is the database's (migrations/0033_delivery.sql);
// here the address is sealed and the code drawn.
// Decided in `identity.add_address`, `identity.verify_address`, `identity.prefer_address` and `identity.remove_address` (0033_delivery.sql).
import AccessLog
import Delivery
import Foundation
import Postgres
import Primitives
import Register
import Web

enum AddressTag {}
typealias AddressID = ID<AddressTag>

/// An address of the resident who asks.
struct Address: Sendable {
    let id: AddressID
    let kind: AddressKind
    /// The address itself.
    let value: String
    let addedAt: Date
    /// Nil: nobody proved yet that messages to it arrive, so it identifies nobody.
    let verifiedAt: Date?
    /// Of its kind the one that messages go to.
    let isPrimary: Bool
    /// Until when a code that this session asked for can be typed.
    let codeUntil: Date?
}

enum AddressKind: String, Sendable, CaseIterable {
    case email
    case phone

    var channel: OutgoingChannel { self == .email ? .email : .sms }
    /// What it is sealed as: the outbox and the register take the same bytes.
    var attribute: Attribute { self == .email ? .contactEmail : .contactPhone }
}

/// A well-formed address that somebody typed.
struct TypedAddress: Sendable, Hashable {
    let kind: AddressKind
    let normalForm: String

    /// The address behind a name to sign in with; nil for a user name, and for an e-mail address that no message can be sent to.
    init?(_ name: SignInName) {
        switch name.kind {
        case .username: return nil
        case .email:
            guard EmailAddress(name.normalForm) != nil else { return nil }
            kind = .email
        case .phone: kind = .phone
        }
        normalForm = name.normalForm
    }
}

/// The code that proves an address: eight random digits, so that five tries at each of the few codes of an hour find one in a million hours.
enum AddressCode {
    static let digits = 8
    /// As long as `identity.address_code_life`.
    static let minutes = 10

    static func random() -> String { String((0..<digits).map { _ in "0123456789".randomElement() ?? "0" }) }

    /// Two groups, to be read and typed.
    static func written(_ code: String) -> String { code.prefix(digits / 2) + " " + code.dropFirst(digits / 2) }

    /// The digits of what was typed, with or without spaces between; digits of other scripts count as what they mean.
    static func read(_ typed: String) -> String? {
        let code = typed.filter { !$0.isWhitespace && $0 != "-" }
        let values = code.compactMap(\.wholeNumberValue)
        guard values.count == digits, code.count == digits, values.allSatisfy({ (0...9).contains($0) }) else { return nil }
        return values.map(String.init).joined()
    }
}

/// The addresses of residents.
public struct Addresses: Sendable {
    let database: Database
    let vault: ResidentVault
    let lookup: LookupKey

    init(database: Database, vault: ResidentVault, lookup: LookupKey) {
        self.database = database
        self.vault = vault
        self.lookup = lookup
    }

    /// The addresses of the resident whom the credential names, each kind's primary first.
    func all(of credential: CredentialHash) async throws -> [Address] {
        try await database.query(OwnAddresses(credential: credential)).map { row in
            let value = try vault.open(row.sealedValue, as: row.kind.attribute, of: row.key.holderID, under: try vault.unwrap(row.key))
            return Address(
                id: row.id, kind: row.kind, value: value, addedAt: row.addedAt, verifiedAt: row.verifiedAt, isPrimary: row.isPrimary, codeUntil: row.codeUntil)
        }
    }

    /// Adds an address, or asks for another code for one that is there, and sends it. Says the same whether the address is somebody else's or not.
    func add(_ address: TypedAddress, session: CredentialHash, language: Language) async throws -> (outcome: AddAddressOutcome, id: AddressID) {
        guard let key = try await database.optional(OwnKey(credential: session)) else { return (.credentialInvalid, .new()) }
        let (id, outgoing, code) = (AddressID.new(), OutgoingID.new(), AddressCode.random())
        let hmac = lookup.signInName(address.normalForm)
        let (dataKey, sealing) = (try vault.unwrap(key), OutgoingSealing(vault: vault))
        let statement = AddAddress(
            session: session, id: id, kind: address.kind, hmac: hmac, holder: key.holderID,
            sealedValue: try sealing.recipient(address.normalForm, on: address.kind.channel, of: key.holderID, under: dataKey), codeHMAC: codeHMAC(code, of: hmac),
            outgoing: outgoing,
            sealedCode: try sealing.parameters(
                ["code": AddressCode.written(code), "minutes": String(AddressCode.minutes)], of: outgoing, for: key.holderID, under: dataKey), language: language)
        return try await database.exclusive { try await $0.one(statement) }
    }

    /// Sends another code for an address that is there already.
    func sendAgain(_ address: Address, session: CredentialHash, language: Language) async throws -> AddAddressOutcome {
        guard let name = SignInName.any(address.value), let typed = TypedAddress(name) else { return .tooManyAddresses }
        return try await add(typed, session: session, language: language).outcome
    }

    /// - Parameter typed: what stands in the field. What can be no code is not even tried.
    func verify(_ address: Address, typed: String, session: CredentialHash) async throws -> VerifyAddressOutcome {
        guard let code = AddressCode.read(typed) else { return .malformed }
        let statement = VerifyAddress(session: session, id: address.id, codeHMAC: codeHMAC(code, of: lookup.signInName(address.value)))
        return try await database.exclusive { try await $0.one(statement) }
    }

    func prefer(_ id: AddressID, session: CredentialHash) async throws -> ChangeAddressOutcome {
        try await database.exclusive { try await $0.one(PreferAddress(session: session, id: id)) }
    }

    func remove(_ id: AddressID, session: CredentialHash) async throws -> ChangeAddressOutcome {
        try await database.exclusive { try await $0.one(RemoveAddress(session: session, id: id)) }
    }

    /// Bound to the address, so that the code of one proves no other.
    private func codeHMAC(_ code: String, of hmac: [UInt8]) -> [UInt8] {
        lookup.attempt("address code", code + hmac.map { String($0, radix: 16) }.joined(separator: "."))
    }
}
