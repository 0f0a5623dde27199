// What a provider of card or mobile payments tells: from the signed request to a payment, once. Decided in `payments.take_provider_event`
// (0045_providers.sql), which also checks the signature, against a secret that this process cannot read.
import Foundation
import HTTPTypes
import Messages
public import Postgres
import Primitives
import Web

/// `Stoa-Signature: t=<seconds since 1970>,v1=<HMAC-SHA-256 in hexadecimal over t, a full stop and the body>`
struct EventSignature: Sendable, Hashable {
    let signedAt: Int64
    let bytes: [UInt8]

    static let headerName = "Stoa-Signature"

    /// Nil for any other text.
    init?(_ header: String) {
        guard header.utf8.count <= 120, let match = header.wholeMatch(of: /t=([0-9]{1,12}),v1=([0-9a-f]{64})/), let signedAt = Int64(match.1) else { return nil }
        self.signedAt = signedAt
        var bytes: [UInt8] = []
        var rest = match.2
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        self.bytes = bytes
    }
}

struct TakeProviderEvent: Sendable {
    /// The kinds that tell of one payment, and the one that tells of a sum paid out.
    enum Kind: String, CaseIterable {
        case pending, settled, failed, refunded, settlement
    }

    let database: Database

    /// The largest event has some 300 bytes.
    static let bodyBytesMax = 4 * 1024

    /// - Returns: `taken` or, where it changed nothing any more, `stale`; the same again has the same answer.
    /// - Throws: `Problem`, `DatabaseError`.
    func perform(_ body: [UInt8], of provider: String, _ signature: EventSignature) async throws -> String {
        try Self.check(body)
        let statement = TakeEvent(provider: provider, signedAt: signature.signedAt, body: body, signature: signature.bytes)
        // What a refusal records stays, so it is returned and not thrown inside.
        let outcome = try await database.transaction { transaction in
            let answer = try BankAnswer(await transaction.one(statement))
            try await BankNotices.send(answer.notices, as: .billPaid, on: transaction)
            return answer.outcome
        }
        guard outcome == "taken" || outcome == "stale" else { throw Self.problem(outcome) }
        return outcome
    }

    /// The form of the body, so that the database reads what everybody reads.
    private static func check(_ body: [UInt8]) throws {
        guard body.count <= bodyBytesMax, let value = try? JSONScanner.scan(body) else {
            throw Problem("malformed-event", status: .badRequest, title: "Malformed event", detail: "Send one JSON object of at most \(bodyBytesMax) bytes.")
        }
        var event = try JSONReader(value)
        let amounts: ClosedRange<Int64> = 0...9_007_199_254_740_991
        _ = event.string("id", charactersMax: 64)
        _ = event.string("currency", charactersMax: 3)
        if event.choice("type", of: Kind.self) == .settlement {
            let reference = event.string("reference", charactersMax: 35)
            if reference.wholeMatch(of: /[A-Za-z0-9-]{6,35}/) == nil { event.reject("reference", code: "malformed", detail: "6 to 35 letters, digits and dashes.") }
            let gross = event.integer("gross", in: 1...amounts.upperBound)
            if event.integer("charges", in: amounts) >= gross { event.reject("charges", code: "too_large", detail: "Less than gross.") }
        } else {
            _ = event.uuid("payment")
            _ = event.integer("amount", in: amounts)
        }
        try event.finish()
    }

    private static func problem(_ outcome: String) -> Problem {
        switch outcome {
        case "signature_wrong":
            Problem("event-signature-invalid", status: .unauthorized, title: "Not signed by this provider", detail: "Sign t, a full stop and the body with the shared secret.")
        case "signature_old":
            Problem("event-signature-old", status: .unauthorized, title: "Not of this moment", detail: "t is more than five minutes from now. Sign the event again when you repeat it.")
        case "conflict":
            Problem("event-conflict", status: .conflict, title: "Another event has this id", detail: "An id names one event for ever. Send this one with an id of its own.")
        case "too_early":
            Problem("event-too-early", status: .conflict, title: "The payment is not settled", detail: "Send settled first, then this event again.")
        case "payment_unknown": .notFound
        case "too_much":
            Problem("event-refund-too-high", status: .unprocessableContent, title: "More than was paid", detail: "More was given back than the payment counted for. The city looks into it.")
        default:
            Problem("event-amount-differs", status: .unprocessableContent, title: "Another amount", detail: "The payment has another amount or currency. The city looks into it.")
        }
    }
}

/// Sets providers. The role that serves cannot, and cannot read their secrets.
public struct ProviderAdministration: Sendable {
    private let owner: Database

    /// - Parameter owner: a database of the role `stoa_owner`.
    public init(owner: Database) {
        self.owner = owner
    }

    /// Sets a provider, and opens its accounts in the ledger. Of one that is there already, everything but kind and currency changes.
    /// - Throws: `DatabaseError` naming the rule that it breaks.
    public func set(_ provider: PaymentProvider) async throws {
        _ = try await owner.one(SetProvider(provider: provider))
    }
}
