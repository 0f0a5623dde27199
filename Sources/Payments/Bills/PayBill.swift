// Paying a bill, for the page and for the JSON interface: once, whatever races, and with a message to the resident.
// Decided in `payments.pay` (0010_payments.sql).
import Foundation
import Messages
import Postgres
import Primitives
import Web

/// Why a bill was not paid now.
enum PayBillRefusal: Error, Sendable {
    /// There is a payment already; the bill carries it.
    case alreadyPaid(Bill)
    case insufficientFunds
    /// The key came with another request before.
    case keyReused
    /// No such bill, or somebody else's.
    case billUnknown
    /// The session ended or the token was revoked between the look and the payment, or has no scope to pay.
    case credentialInvalid
}

struct PayBill: Sendable {
    let database: Database

    /// Pays in full from the wallet of whom the credential names.
    /// - Parameters:
    ///   - key: nil for a page, whose form can be sent twice without harm because a bill is paid once.
    ///   - language: of the amount in the message about it.
    /// - Returns: the bill with its payment: a new one, or the one that this key led to before.
    /// - Throws: ``PayBillRefusal``; `DatabaseError`.
    func perform(_ bill: BillID, by credential: CredentialHash, key: IdempotencyKey?, language: Language) async throws -> Bill {
        var random = SystemRandomNumberGenerator()
        let pay = Pay(credential: credential, bill: bill, payment: .new(), receiptCode: PublicCode.random(using: &random).description, key: key)
        // The refusal is returned and not thrown, so that the transaction commits: the key keeps its answer.
        let result: Result<Bill, PayBillRefusal> = try await database.transaction { transaction in
            let answer = try await transaction.one(pay)
            if let refusal = refusal(answer.outcome) { return .failure(refusal) }
            let bill = try await transaction.one(BillOf(credential: credential, bill: bill))
            guard answer.outcome == "paid" else { return .failure(.alreadyPaid(bill)) }
            if answer.isNew, let resident = answer.resident {
                try await Messages.send(
                    .billPaid, to: resident, ["amount": bill.amount.formatted(locale: language.tag), "reference": bill.reference], on: transaction)
            }
            return .success(bill)
        }
        return try result.get()
    }

    /// Nil for the two outcomes that have a payment.
    private func refusal(_ outcome: String) -> PayBillRefusal? {
        switch outcome {
        case "paid", "already_paid": nil
        case "insufficient_funds": .insufficientFunds
        case "key_reused": .keyReused
        case "bill_unknown": .billUnknown
        default: .credentialInvalid
        }
    }
}
