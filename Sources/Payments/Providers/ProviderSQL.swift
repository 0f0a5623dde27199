// Every statement about providers of card and mobile payments: text, binds and row together (migrations/0045_providers.sql).
import Foundation
import Ledger
import Postgres
public import Primitives
import Web

/// A provider of card or mobile payments, as the city sets it.
public struct PaymentProvider: Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        case card
        case mobileMoney = "mobile_money"
    }

    /// Small letters, digits and dashes: it stands in the address of its events.
    public var id: String
    public var kind: Kind
    /// Its own, as residents know it.
    public var name: String
    public var currency: Currency
    /// Where residents are led to.
    public var checkout: String
    /// What the payer pays for this way: an amount, and parts of ten thousand of what is paid.
    public var feeFixed: Int64
    public var feePer10000: Int
    /// Of HMAC-SHA-256: 32 to 64 bytes.
    public var secret: Redacted<[UInt8]>
    public var isOffered: Bool

    public init(
        id: String, kind: Kind, name: String, currency: Currency, checkout: String, feeFixed: Int64, feePer10000: Int, secret: Redacted<[UInt8]>, isOffered: Bool
    ) {
        self.id = id
        self.kind = kind
        self.name = name
        self.currency = currency
        self.checkout = checkout
        self.feeFixed = feeFixed
        self.feePer10000 = feePer10000
        self.secret = secret
        self.isOffered = isOffered
    }
}

/// A provider through which what is left of a bill can be paid, and what that costs.
struct PaymentWay: Sendable {
    let id: String
    let name: String
    let checkout: String
    let net: Money
    let fee: Money
}

/// `payments.ways_of`
struct WaysOf: Query {
    let credential: CredentialHash
    let bill: BillID

    var sql: SQL { "SELECT id, name, checkout, currency, net, fee FROM payments.ways_of(\(credential.bytes), \(bill))" }

    func decode(_ row: inout RowReader) throws -> PaymentWay {
        let (id, name, checkout) = (try row.next(String.self), try row.next(String.self), try row.next(String.self))
        let currency = try Currency(column: row.next())
        return PaymentWay(
            id: id, name: name, checkout: checkout, net: Money(minorUnits: try row.next(), currency: currency), fee: Money(minorUnits: try row.next(), currency: currency))
    }
}

/// `payments.begin_attempt`. May wait for the bill, so it runs in a transaction.
struct BeginAttempt: Query {
    let credential: CredentialHash
    let bill: BillID
    let provider: String
    let attempt: AttemptID
    let receiptCode: String
    /// As it was shown.
    let fee: Int64
    /// Where the provider leads back to, escaped.
    let returnAddress: String

    var sql: SQL {
        "SELECT payments.begin_attempt(\(credential.bytes), \(bill), \(provider), \(attempt), \(receiptCode), \(fee), \(returnAddress))"
    }

    func decode(_ row: inout RowReader) throws -> JSONText { try row.next() }
}

/// What `AttemptID` names: one try to pay a bill through a provider.
enum AttemptTag {}
typealias AttemptID = ID<AttemptTag>

/// A try to pay a bill through a provider.
struct Attempt: Sendable {
    enum State: String, Sendable {
        case open
        case pending
        case settled
        case failed
        case expired
    }

    let id: AttemptID
    let bill: BillID
    let provider: String
    let net: Money
    let fee: Money
    let state: State
    let expiresAt: Date
    /// Where it is paid, while that is open.
    let address: String?
}

/// `payments.attempt_of`
struct AttemptOf: Query {
    let credential: CredentialHash
    let attempt: AttemptID

    var sql: SQL {
        "SELECT id, bill_id, provider_name, currency, net, fee, state, expires_at, address FROM payments.attempt_of(\(credential.bytes), \(attempt))"
    }

    func decode(_ row: inout RowReader) throws -> Attempt {
        let (id, bill) = (AttemptID(try row.next(UUID.self)), BillID(try row.next(UUID.self)))
        let provider = try row.next(String.self)
        let currency = try Currency(column: row.next())
        let (net, fee) = (Money(minorUnits: try row.next(), currency: currency), Money(minorUnits: try row.next(), currency: currency))
        guard let state = Attempt.State(rawValue: try row.next()) else { throw DatabaseError.decoding(column: "state", reason: "is no state of an attempt") }
        return Attempt(id: id, bill: bill, provider: provider, net: net, fee: fee, state: state, expiresAt: try row.next(), address: try row.next())
    }
}

/// `payments.take_provider_event`. May wait for a bill, so it runs in a transaction.
struct TakeEvent: Query {
    let provider: String
    /// Seconds since 1970.
    let signedAt: Int64
    let body: [UInt8]
    let signature: [UInt8]

    var sql: SQL { "SELECT payments.take_provider_event(\(provider), \(signedAt), \(body), \(signature))" }

    func decode(_ row: inout RowReader) throws -> JSONText { try row.next() }
}

/// `payments.set_provider`: for the owner.
struct SetProvider: Query {
    let provider: PaymentProvider

    var sql: SQL {
        """
        SELECT payments.set_provider(\(provider.id), \(provider.kind.rawValue), \(provider.name), \(provider.currency.code), \(provider.checkout),
            \(provider.feeFixed), \(Int32(clamping: provider.feePer10000)), \(provider.secret.reveal()), \(provider.isOffered)) IS NULL
        """
    }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
