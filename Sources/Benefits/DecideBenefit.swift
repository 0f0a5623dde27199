// Deciding about a prepared payment, by somebody else than prepared it. Decided in `benefits.approve` and `benefits.refuse` (0011_benefits.sql):
// it is posted at once and the resident hears of it, all in one transaction.
import Messages
import Postgres
import Primitives
import Web

/// Why a decision was not taken.
enum DecisionRefusal: Error, Sendable, Hashable {
    /// It is decided already; nothing happened now.
    case alreadyApproved
    case alreadyRefused
    /// Four eyes: whoever prepared it does not decide.
    case selfApproval
    /// The treasury has not enough.
    case insufficientFunds
    case roleMissing
    case disbursementUnknown

    init(_ outcome: String) {
        switch outcome {
        case "already_approved": self = .alreadyApproved
        case "already_refused": self = .alreadyRefused
        case "self_approval": self = .selfApproval
        case "insufficient_funds": self = .insufficientFunds
        case "disbursement_unknown": self = .disbursementUnknown
        default: self = .roleMissing
        }
    }
}

struct DecideBenefit: Sendable {
    let database: Database

    /// Approves and pays. Approved twice, it has one effect.
    /// - Throws: ``DecisionRefusal``; `DatabaseError`.
    func approve(_ id: DisbursementID, by credential: CredentialHash) async throws {
        let approval = Approve(credential: credential, id: id, transfer: .new())
        try await database.transaction { transaction in
            let answer = try await transaction.one(approval)
            guard answer.outcome == "approved", let paid = answer.paid else { throw DecisionRefusal(answer.outcome) }
            try await Messages.send(
                .paymentReceived, to: paid.resident,
                ["amount": paid.amount.formatted(locale: paid.language.tag), "reference": paid.caseReference], on: transaction)
        }
    }

    /// Refuses, with a reason for whoever prepared it.
    /// - Throws: ``DecisionRefusal``; `DatabaseError`.
    func refuse(_ id: DisbursementID, reason: String, by credential: CredentialHash) async throws {
        let refusal = Refuse(credential: credential, id: id, reason: reason)
        let outcome = try await database.transaction { try await $0.one(refusal) }
        guard outcome == "refused" else { throw DecisionRefusal(outcome) }
    }
}
